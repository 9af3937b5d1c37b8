"""Checks for minutes on end, at half of the measured capacity, while everything around them goes on and goes wrong.

The roles run apart behind a proxy. By turns a release is published, the evaluator is killed and started again, and the
disk of the release folder is filled to the last octet while a steward tries to publish. Every answer is held against
what is true of the release that it names. Releases differ and do not grow: each reads a second dataset anew, with and
without the earnings in it.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final

from breachcheck.client import Client
from fault_tools.campaign import Tally
from fault_tools.exchanges import Said, ask_python
from fault_tools.proxy import proxying
from fault_tools.services import Service, held, start
from fault_tools.truth import Who, judge, people, truth_of
from tests.world import World, make_world
from tests.world import run as command

_PEOPLE: Final = 400
_DISK: Final = 96 << 20  # bytes of the small disk
_EVERY: Final = 10.0  # seconds from one event to the next
_CAPACITY: Final = 8.0  # seconds in which it is measured
_CLIENTS: Final = 2
_KEPT: Final = 3  # releases that stay in the folder


@dataclass
class Stage:
    """The world, its two services, and what is true of each release so far."""

    world: World
    asked: Sequence[Who]
    buckets: Service
    evaluator: Service
    truths: dict[int, dict[Who, Said]] = field(default_factory=dict)
    published: int = 0
    unjudged: list[tuple[Who, Said]] = field(default_factory=list)  # of releases that nobody here knew yet
    turning: threading.Lock = field(default_factory=threading.Lock)  # held by whoever makes an event, or waits for one

    def route(self, path: str) -> int:
        """Return the port for a request."""
        return self.evaluator.port if path.startswith("/v1/evaluate") else self.buckets.port


@dataclass(frozen=True)
class Used:
    """What processes hold at one moment."""

    when: str
    buckets: tuple[int, int]  # bytes of memory, descriptors
    evaluator: tuple[int, int]
    clients: tuple[int, int]


@contextmanager
def small_disk(folder: Path, say: Callable[[str], None]) -> Iterator[bool]:
    """Put a disk of a few megabytes in place of `folder`, and yield whether that could be done: it takes root."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "none", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(words, check=False, capture_output=True).returncode == 0
    if not mounted:
        say("soak: no small disk can be mounted here: the disk will not fill")
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def soak(folder: Path, minutes: float, seed: int, say: Callable[[str], None]) -> tuple[Tally, list[Used], float]:
    """Return outcomes, what processes held at the start, in the middle and at the end, and checks a second.

    `folder` is where everything is written; it may be on a small disk.
    """
    disk = folder / "disk"
    disk.mkdir()
    with small_disk(disk, say) as fills:
        world = make_world(disk / "world", _PEOPLE, seed)
        publisher = bytes.fromhex(world.publisher.read_text("ascii").strip())
        words = ("--role", "buckets", "--releases", world.releases, "--publisher-key", world.publisher)
        # Releases that were replaced are let go soon: or those of the last two minutes would be counted as descriptors.
        fast = {"BREACHCHECK_RELEASE_INTERVAL": "1", "BREACHCHECK_RELEASE_GRACE": "5"}
        log = folder / "log"
        buckets = start(world, *words, env=fast, log=log)
        evaluator = start(world, "--role", "evaluator", log=log)
        stage = Stage(world, people(world, 97), buckets, evaluator)
        try:
            with proxying(stage.route) as url, Client(url, publisher, timeout=10) as client:
                return _run(stage, client, minutes * 60, random.Random(seed), fills, say)
        finally:
            for service in (stage.buckets, stage.evaluator):
                service.process.terminate()
                service.process.wait()


def _run(
    stage: Stage, client: Client, seconds: float, rng: random.Random, fills: bool, say: Callable[[str], None]
) -> tuple[Tally, list[Used], float]:
    tally, lock = Tally("soak"), threading.Lock()
    _learn(stage)
    measured = min(_CAPACITY, seconds)
    capacity = _together(stage, client, tally, lock, rng, measured, 0.0) / measured
    rate = capacity / 2
    say(f"soak: {capacity:.0f} checks a second at most; {rate:.0f} a second from now on")
    used = [_used("start", stage)]
    halves = []
    stop = threading.Event()
    events = threading.Thread(target=_events, args=(stage, tally, lock, stop, fills, say))
    events.start()
    try:
        for when in ("middle", "end"):
            halves.append(_together(stage, client, tally, lock, rng, seconds / 2, rate))
            if when == "end":
                stop.set()
                events.join()
            used.append(_used(when, stage))
    finally:
        stop.set()
        events.join()
    for who, said in stage.unjudged:
        outcome, wrong = judge(said, who, stage.truths)
        tally.count("check", outcome, wrong=wrong)
    return tally, used, sum(halves) / seconds


def _together(
    stage: Stage, client: Client, tally: Tally, lock: threading.Lock, rng: random.Random, seconds: float, rate: float
) -> int:
    """Check in several threads for so long, at `rate` checks a second or without a pause; return how many."""
    end = time.monotonic() + seconds
    made = [0] * _CLIENTS

    def ask(number: int, own: random.Random) -> None:
        due = time.monotonic()
        while time.monotonic() < end:
            who = own.choice(stage.asked)
            said = ask_python(client, *who)
            with lock:
                _count(stage, tally, who, said)
            made[number] += 1
            if rate:
                due += _CLIENTS / rate
                time.sleep(max(0.0, due - time.monotonic()))

    threads = [threading.Thread(target=ask, args=(n, random.Random(rng.random()))) for n in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(made)


def _count(stage: Stage, tally: Tally, who: Who, said: Said) -> None:
    if said.release and said.release not in stage.truths:
        stage.unjudged.append((who, said))
    else:
        outcome, wrong = judge(said, who, stage.truths)
        tally.count("check", outcome, wrong=wrong)


def _learn(stage: Stage) -> None:
    """Learn what is true of the current release."""
    number = (stage.world.releases / "current").read_text("ascii").strip()
    release, truth = truth_of(stage.world.releases / number, stage.world.keys, stage.asked)
    stage.truths[release] = truth


def _events(
    stage: Stage, tally: Tally, lock: threading.Lock, stop: threading.Event, fills: bool, say: Callable[[str], None]
) -> None:
    turns: list[Callable[[Stage], str]] = [_publish, _kill, _fill] if fills else [_publish, _kill]
    number = 0
    while not stop.wait(_EVERY):
        turn = turns[number % len(turns)]
        number += 1
        with stage.turning:
            outcome = turn(stage)
        with lock:
            tally.count(f"event: {turn.__name__.strip('_')}", outcome, wrong=outcome.startswith("WRONG"))
        say(f"soak: {outcome}")


def _publishing(stage: Stage) -> list[object]:
    """Return the words that publish a release which says otherwise than the one before."""
    mapping = stage.world.root / f"{'without' if stage.published % 2 else 'with'}-earnings.toml"
    text = (resources.files("breachcheck.ingest") / "mappings" / "cnss.toml").read_text("utf-8")
    if stage.published % 2:
        text = text.replace('data_class = "Earnings"\nzero_is_absent = true', "ignore = true")
    mapping.write_text(text, "utf-8")
    stage.published += 1
    return stage.world.ingest_words(dataset="more", mapping=str(mapping))


def _publish(stage: Stage) -> str:
    """Publish the next release."""
    done = command(*_publishing(stage), check=False)
    if done.returncode:
        return f"WRONG: publishing ended with {done.returncode}"
    _learn(stage)
    for number in sorted(stage.truths)[:-_KEPT]:  # a steward's broom: the disk is small
        shutil.rmtree(stage.world.releases / str(number), ignore_errors=True)
    return "a release was published"


def _kill(stage: Stage) -> str:
    """Kill the evaluator, leave people without it for a second, and start it again."""
    stage.evaluator.process.kill()
    stage.evaluator.process.wait()
    time.sleep(1)
    stage.evaluator = start(stage.world, "--role", "evaluator", port=stage.evaluator.port)
    return "the evaluator was killed and started again"


def _fill(stage: Stage) -> str:
    """Fill the disk, and let a steward try to publish: it must fail, and the release must stand as it was."""
    words = _publishing(stage)
    before = (stage.world.releases / "current").read_bytes()
    filler = stage.world.root / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    failed = command(*words, check=False).returncode != 0
    stands = (stage.world.releases / "current").read_bytes() == before
    filler.unlink()
    time.sleep(1)
    done = command(*words, check=False)
    if not failed or not stands or done.returncode:
        return f"WRONG: with the disk full: failed {failed}, stands {stands}, afterwards {done.returncode}"
    _learn(stage)
    return "the disk was full: publishing failed, the release stood; with room again it was published"


def _used(when: str, stage: Stage) -> Used:
    with stage.turning:  # or the evaluator may be dead
        return Used(when, *(held(pid) for pid in (stage.buckets.process.pid, stage.evaluator.process.pid, os.getpid())))
