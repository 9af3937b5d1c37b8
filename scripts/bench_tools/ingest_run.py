"""Run one ingest and print what it took: `python -m bench_tools.ingest_run FOLDER PARAMETERS`.

A process of its own, so that its peak of memory is that of an ingest. The stopwatch stands around two functions in the
workers, slow hash and OPRF; everything else runs as `breachcheck ingest` runs it.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from bench_tools.worlds import IngestFigures, World
from breachcheck import keys
from breachcheck.ingest import reduce
from breachcheck.ingest.engine import Engine, LocalEngine
from breachcheck.ingest.mapping import read_mapping
from breachcheck.ingest.pipeline import Job, ingest
from breachcheck.ingest.publish import Policy
from breachcheck.protocol import oprf
from breachcheck.protocol.parameters import SLOW_HASHES
from breachcheck.store.ledger import FILE, Ledger

Work = TypeVar("Work")
Done = TypeVar("Done")

_EVALUATION = ((reduce, "slow_hash_bulk"), (oprf, "evaluate"))
_spent = 0.0  # seconds of this process in _EVALUATION
_watching = False


def _put_stopwatch(function: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        global _spent  # one thread runs the tasks of a worker
        began = time.thread_time()
        result = function(*arguments)
        _spent += time.thread_time() - began
        return result

    return timed


def peak_memory() -> int:
    """Return the peak of this process's resident memory, in bytes."""
    # Not getrusage: a worker would be given its parent's, from before it was a program of its own.
    status = Path("/proc/self/status").read_text("ascii")
    found = re.search(r"VmHWM:\s+([0-9]+) kB", status)
    if found is None:
        raise RuntimeError("this kernel does not say VmHWM")
    return int(found[1]) * 1024


@dataclass(frozen=True, slots=True)
class _Timed(Generic[Work, Done]):
    task: Callable[[Work], Done]

    def __call__(self, batch: Work) -> tuple[Done, float, int]:
        global _watching
        if not _watching:
            _watching = True
            for module, name in _EVALUATION:
                setattr(module, name, _put_stopwatch(getattr(module, name)))
        before = _spent
        done = self.task(batch)
        return done, _spent - before, peak_memory()


class _TimedEngine:
    """The local engine, with a stopwatch in its workers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.evaluation = 0.0
        self.worker_peak = 0

    def map(self, task: Callable[[Work], Done], batches: Iterable[Work]) -> Iterator[Done]:
        for done, spent, peak in self._engine.map(_Timed(task), batches):
            self.evaluation += spent
            self.worker_peak = max(self.worker_peak, peak)
            yield done


class _Stages:
    """How long each stage took, from the first word of it to the first word of the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage, self._began = "start", time.perf_counter()

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:  # noqa: ARG002
        if stage != self._stage:
            now = time.perf_counter()
            self.seconds[self._stage] = now - self._began
            self._stage, self._began = stage, now


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(world: World, parameters: str) -> IngestFigures:
    """Make keys, then measure from the opening of the ledger to the end of the pool."""
    steward = keys.init(world.keys)
    slow_hash = SLOW_HASHES[parameters]
    job = Job((world.leak,), read_mapping("cnss"), "bench")
    workers = len(os.sched_getaffinity(0))
    cpu_before, began, stages = _cpu(), time.perf_counter(), _Stages()
    with Ledger(world.keys / FILE, steward, slow_hash) as ledger, LocalEngine(workers) as local:
        engine = _TimedEngine(local)
        report = ingest(job, steward, slow_hash, ledger, world.releases, engine, Policy(), datetime.now(UTC), stages)
        stages("end", 0, 0)
    wall = time.perf_counter() - began
    if not engine.evaluation:
        raise RuntimeError("the stopwatch saw no evaluation: is it still where the ingest calls it?")
    return IngestFigures(
        rows=report.dataset.rows_read,
        identifiers=sum(report.identifiers.values()),
        workers=workers,
        wall=wall,
        stages=stages.seconds,
        evaluation=engine.evaluation,
        cpu=_cpu() - cpu_before,
        parent_peak=peak_memory(),
        worker_peak=engine.worker_peak,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(measure(World(Path(sys.argv[1]), 0), sys.argv[2]))))
