"""Campaign 1: a steward's commands, killed or failing at every system call that touches the release folder.

A first run of each command is traced. Each of its system calls on the release folder then is a point: the process is
killed as it enters the call (SIGKILL), or the call fails (EIO; ENOSPC where it could write). Afterwards the folder must
hold the old release or the new one, whole; and the same command given again must bring the new one.

Each command runs in a forked process that has imported everything, with one thread of DuckDB's, so that its calls come
in one order.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import duckdb

from breachcheck import keys as key_room
from breachcheck.errors import BreachcheckError, InputError
from breachcheck.ingest.publish import Policy
from breachcheck.ingest.renewal import renew
from breachcheck.ingest.withdrawal import withdraw
from breachcheck.protocol.parameters import TESTING_ONLY
from breachcheck.store import reader
from breachcheck.store.ledger import FILE, Ledger
from breachcheck.store.verify import verify, verify_canaries
from fault_tools.campaign import MissingError, Plan, Tally
from fault_tools.forks import fork, in_child
from tests.steward import NOW, Inline, ingest_small, leak, silent

_PEOPLE: Final = 30
_WRITES: Final = frozenset(
    {"openat", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "fallocate", "mkdir", "rename"}
)
_PATH: Final = re.compile(r"[\"<](/[^\">]*)")
_CALL: Final = re.compile(r"(\d+) +(\w+)\(")


@dataclass(frozen=True)
class Command:
    """A command, and the datasets of the release before it and after it."""

    run: Callable[[Path], None]
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """The `when`-th call of this name by the main thread on the release folder meets `fault`."""

    command: str
    call: str
    when: int
    fault: str

    @property
    def injection(self) -> str:
        """The point as strace reads it."""
        action = "signal=KILL" if self.fault == "SIGKILL" else f"error={self.fault}"
        return f"inject={self.call}:{action}:when={self.when}"


def _rows(first: int) -> list[str]:
    return [
        f"10;202401;{number};NAME;AB{100000 + number};26;4000,00;06{10000000 + number}"
        for number in range(first, first + _PEOPLE)
    ]


def _ingest(root: Path) -> None:
    ingest_small(root, root.parent / "two.csv", dataset="two")


def _withdraw(root: Path) -> None:
    steward = key_room.read_steward(root / "keys")
    with Ledger(root / "keys" / FILE, steward, TESTING_ONLY) as ledger:
        try:
            withdraw("one", {"en": "A mistake."}, ledger, steward, root / "releases", Inline(), Policy(), NOW, silent)
        except InputError as error:
            if _state(root)["datasets"] != ["two"] or error.reason != "dataset":
                raise  # else it had been done: killed after its last step


def _renew(root: Path) -> None:
    renew(key_room.read_steward(root / "keys"), root / "releases", Policy().valid_for, NOW)


COMMANDS: Final = {
    "ingest": Command(_ingest, ("one",), ("one", "two")),
    "withdraw": Command(_withdraw, ("one", "two"), ("two",)),
    "renew": Command(_renew, ("one", "two"), ("one", "two")),
}


def run(plan: Plan) -> Tally:
    """Make every point, or as many as the plan says."""
    strace = shutil.which("strace")
    if strace is None:
        raise MissingError("strace (Debian package strace)")
    with _one_thread():
        return _run(plan, strace)


def _run(plan: Plan, strace: str) -> Tally:
    folder = plan.folder / "publish"
    _make_bases(folder)
    points: list[Point] = []
    paths = {}
    for name in COMMANDS:
        found, paths[name] = _points(strace, folder, name)
        points += found
    chosen = plan.some("publish", points)
    plan.say(f"publish: {len(chosen)} of {len(points)} points")
    tally = Tally("publish")
    for number, point in enumerate(chosen, 1):
        outcome, wrong = _try(strace, folder, point, paths[point.command])
        tally.count(f"{point.command}: {point.fault}", outcome, wrong=wrong)
        if wrong:
            tally.wrong[-1] += f" (call {point.when} of {point.call})"
        if number % 100 == 0:
            plan.say(f"publish: {number} points, {len(tally.wrong)} wrong")
    return tally


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let DuckDB work in the thread that calls it: strace counts the calls of each thread by itself."""
    connect = duckdb.connect

    def with_one(path: Path, *, read_only: bool, config: dict[str, str]) -> duckdb.DuckDBPyConnection:
        return connect(path, read_only=read_only, config={**config, "threads": "1"})

    with patch.object(duckdb, "connect", with_one):
        yield


@contextmanager
def _tracing(words: list[str], pid: int) -> Iterator[None]:
    """Have strace at a process."""
    with subprocess.Popen([*words, "-p", str(pid)], stderr=subprocess.PIPE, text=True) as tracer:
        if not tracer.stderr or "attached" not in tracer.stderr.readline():
            os.kill(pid, signal.SIGKILL)
            raise MissingError("the right to trace a process (CAP_SYS_PTRACE)")
        yield


def _make_bases(folder: Path) -> None:
    folder.mkdir()
    leak(folder / "one.csv", *_rows(1))
    leak(folder / "two.csv", *_rows(_PEOPLE // 2))
    base = folder / "base-ingest"
    base.mkdir()
    in_child(lambda: _no_result(ingest_small(base, folder / "one.csv", dataset="one")))
    shutil.copytree(base, folder / "base-withdraw")
    in_child(lambda: _ingest(folder / "base-withdraw"))
    shutil.copytree(folder / "base-withdraw", folder / "base-renew")


def _no_result(_: object) -> None:
    return None


def _points(strace: str, folder: Path, name: str) -> tuple[list[Point], list[str]]:
    """Trace a command, and return what can be done to its calls on the release folder, and all paths in there."""
    root, log = folder / "point", folder / "trace"  # under the name that every point has
    shutil.copytree(folder / f"base-{name}", root)
    main = _traced(strace, root, name, ["-y", "-s", "4096", "-o", str(log), "-e", "trace=%file,%desc"])
    wanted, seen, points = str(root / "releases"), Counter[str](), []
    paths = set[str]()
    for line in log.read_text("utf-8", errors="replace").splitlines():
        match = _CALL.match(line)
        if match is None or int(match[1]) != main:
            if match and wanted in line:
                raise RuntimeError(f"{name}: another thread touches the release folder")
            continue
        call = match[2]
        if wanted in line:
            paths.update(_PATH.findall(line))
            seen[call] += 1
            faults = ("SIGKILL", "EIO", "ENOSPC") if call in _WRITES else ("SIGKILL", "EIO")
            points += [Point(name, call, seen[call], fault) for fault in faults]
    shutil.rmtree(root)
    return points, sorted(path for path in paths if path.startswith(wanted))


def _traced(strace: str, root: Path, name: str, words: list[str]) -> int:
    child = fork(lambda: COMMANDS[name].run(root))
    with _tracing([strace, "-f", *words], child.pid):
        child.go()
        ended = child.wait()
    if ended.signal or ended.code:
        raise RuntimeError(f"{name} failed without a fault")
    return child.pid


def _try(strace: str, folder: Path, point: Point, paths: list[str]) -> tuple[str, bool]:
    """Return the outcome of a point, and whether it is wrong."""
    command = COMMANDS[point.command]
    root = folder / "point"
    shutil.copytree(folder / f"base-{point.command}", root)
    try:
        ended = _spoil(strace, root, point, paths)
        if ended not in ("died", "aborted", "done", "not reached") and not ended.startswith("failed: "):
            return ended, True
        found = in_child(lambda: _state(root))
        if "error" in found:
            return f"{ended}; half published: {found['error']}", True
        which = {command.before: "old", command.after: "new"}[tuple(found["datasets"])]
        if command.before == command.after:
            which = "whole"
        again = in_child(lambda: _again(command, root))
        if again.get("datasets") != list(command.after):
            return f"{ended}; {which} release; next run: {again}", True
        return f"{ended}; {which} release; next run succeeds", False
    finally:
        shutil.rmtree(root)


def _spoil(strace: str, root: Path, point: Point, paths: list[str]) -> str:
    child = fork(lambda: _attempt(COMMANDS[point.command], root))
    words = [strace, "-f", "-o", os.devnull, "-e", f"trace={point.call}", "-e", point.injection]
    words += [word for path in paths for word in ("-P", path)]  # what is read elsewhere does not count
    with _tracing(words, child.pid):
        child.go()
        ended = child.wait()
    if ended.signal == signal.SIGKILL and point.fault == "SIGKILL":
        return "died"
    if ended.signal == signal.SIGABRT:
        return "aborted"  # as DuckDB does with some errors: for the folder it is a kill
    if ended.signal or ended.code:
        return f"signal {ended.signal}, code {ended.code}"
    return "not reached" if point.fault == "SIGKILL" else str(ended.said)


def _attempt(command: Command, root: Path) -> str:
    try:
        command.run(root)
    except BreachcheckError as error:
        return f"failed: {error.reason}"
    except OSError:
        return "failed: OSError"  # which the command line tells as such
    return "done"


def _state(root: Path) -> dict[str, Any]:
    """Return the datasets of the current release, verified as `release verify --keys` does."""
    steward = key_room.read_steward(root / "keys")
    try:
        with reader.open_release(root / "releases", steward.publisher_key) as release:
            verify(release)
            verify_canaries(release, steward.publisher_key, steward.evaluator, NOW)
            return {"datasets": [dataset.name for dataset in release.manifest.datasets]}
    except BreachcheckError as error:
        return {"error": error.reason}


def _again(command: Command, root: Path) -> dict[str, Any]:
    try:
        command.run(root)
    except BreachcheckError as error:
        return {"error": error.reason}
    return _state(root)
