"""What every section of the benchmark shares."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from bench_tools.tools import Comparison, compile_limit, split_cores
from bench_tools.worlds import World
from breachcheck.protocol.parameters import SlowHash


@dataclass
class Bench:
    """One run: where its files are, how long it may take, and what is made once for all sections."""

    folder: Path
    quick: bool
    say: Callable[[str], None]

    @cached_property
    def limit(self) -> Path:
        """The C limit, compiled. Raises MissingError."""
        return compile_limit(self.folder)

    @cached_property
    def cores(self) -> tuple[frozenset[int], frozenset[int]]:
        """A core for what is measured, and one for what puts load on it."""
        return split_cores()

    @property
    def rounds(self) -> int:
        """How often measures take turns."""
        return 2 if self.quick else 16

    @property
    def seconds(self) -> float:
        """How long one measure lasts in one round. Many short rounds find a quiet moment, a few long ones do not."""
        return 0.25

    def world(self, people: int, parameters: SlowHash) -> World:
        """Return a leak about `people` and a release made from it."""
        world = World(self.folder / f"{people}-{parameters.name}", people)
        if not world.releases.exists():
            self.say(f"synthesising and ingesting a leak about {people:,} people ({parameters.name})")
            world.synth()
            world.ingest(parameters)
        return world

    def leak(self, people: int, parameters: SlowHash) -> World:
        """Return a leak about `people`, of which `world` will find the release that is made of it."""
        world = World(self.folder / f"{people}-{parameters.name}", people)
        self.say(f"synthesising a leak about {people:,} people")
        world.synth()
        return world


class Figures(NamedTuple):
    """One table."""

    title: str
    rows: list[Comparison]


class Section(Protocol):
    """Measures one thing."""

    def __call__(self, bench: Bench) -> Figures:
        """Return its table. Raises ToolError."""
        ...


class Others:
    """How much of the machine other processes take: what they took is missing from every figure."""

    def __init__(self) -> None:
        self._before = self._read()

    def share(self) -> float:
        """Return their share of all cores since this was made, from 0 to 1."""
        busy, total, own = (now - then for now, then in zip(self._read(), self._before, strict=True))
        return min(1.0, max(0.0, busy - own) / total) if total else 0.0

    @staticmethod
    def _read() -> tuple[float, float, float]:
        with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123
            user, nice, system, idle, wait, *more = (int(number) for number in file.readline().split()[1:9])
        busy = user + nice + system + sum(more)
        ticks = os.sysconf("SC_CLK_TCK")
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        return busy / ticks, (busy + idle + wait) / ticks, own
