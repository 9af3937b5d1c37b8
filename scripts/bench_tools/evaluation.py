"""The OPRF at ingest: one core against the C limit, all cores against one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench_tools.bench import Bench, Figures
from bench_tools.tools import Comparison, interleaved, limit_rate, pinned
from breachcheck.ingest.engine import LocalEngine
from breachcheck.protocol import oprf

_BATCH: Final = 1024  # messages a task: 60 ms of work, where a task of an ingest is a second of it


@dataclass(frozen=True, slots=True)
class Evaluations:
    """The ingest's task, without its slow hash."""

    sk: bytes = field(repr=False)

    def __call__(self, messages: Sequence[bytes]) -> list[bytes]:
        """Return the output of each 32-byte message."""
        return [oprf.evaluate(self.sk, message) for message in messages]


def rate(call: Callable[[], object], seconds: float, calls: int = 1) -> float:
    """Return how often a second of processor time something is done of which one call does `calls`."""
    done, began = 0, time.process_time()
    while (elapsed := time.process_time() - began) < seconds:
        call()
        done += calls
    return done / elapsed


def _batches(seconds: float) -> Iterator[list[bytes]]:
    messages = [os.urandom(32) for _ in range(_BATCH)]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield messages


def _engine_rate(engine: LocalEngine, task: Evaluations, batches: Iterable[list[bytes]]) -> float:
    began = time.perf_counter()
    done = sum(map(len, engine.map(task, batches)))
    return done / (time.perf_counter() - began)


def measure(bench: Bench) -> Figures:
    """Compare `oprf.evaluate` on one core and through the ingest's engine."""
    core, _ = bench.cores
    sk, message = oprf.random_scalar(), os.urandom(32)
    task = Evaluations(sk)

    def ours() -> float:
        with pinned(core):
            return rate(lambda: task([message] * _BATCH), bench.seconds, _BATCH)

    workers = len(os.sched_getaffinity(0))
    with LocalEngine(workers) as engine:
        _engine_rate(engine, task, _batches(0.2))  # the workers start
        best = interleaved(
            {
                "limit": lambda: limit_rate(bench.limit, "evaluate", bench.seconds, cores=core),
                "ours": ours,
                "engine": lambda: _engine_rate(engine, task, _batches(2 * bench.seconds)),
            },
            bench.rounds,
        )
    rows = [Comparison("evaluate, one core", "/s", best["ours"], "C over libsodium", best["limit"], wanted=0.90)]
    if workers > 1:
        wanted = 1.7 if workers == 2 else None
        rows.append(
            Comparison(
                f"through the engine, {workers} cores", "/s", best["engine"], "ours on one", best["ours"], wanted
            )
        )
    return Figures("OPRF evaluation at ingest", rows)
