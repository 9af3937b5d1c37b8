"""A stopwatch in the workers of an ingest: how long they are in slow hash and OPRF, and how much memory they take.

It imports no more than the ingest's own workers do, for their start is measured too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from breachcheck.ingest import reduce
from breachcheck.ingest.engine import Engine
from breachcheck.protocol import oprf

Work = TypeVar("Work")
Done = TypeVar("Done")

_EVALUATION = ((reduce, "slow_hash_bulk"), (oprf, "evaluate"))
_spent = 0.0  # seconds of this process in _EVALUATION, by the clock
_watching = False
_said = 0.0  # processor time of this process at the end of its last task


def _put_stopwatch(function: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        global _spent  # one thread runs the tasks of a worker
        began = time.perf_counter()
        result = function(*arguments)
        _spent += time.perf_counter() - began
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
class _Lap:
    """What a worker did since it last said so."""

    cpu: float  # seconds
    evaluation: float  # of these
    peak: int  # bytes


@dataclass(frozen=True, slots=True)
class _Timed(Generic[Work, Done]):
    task: Callable[[Work], Done]

    def __call__(self, batch: Work) -> tuple[Done, _Lap]:
        global _watching, _said
        if not _watching:
            _watching = True
            for module, name in _EVALUATION:
                setattr(module, name, _put_stopwatch(getattr(module, name)))
        before, clock, cpu = _spent, time.perf_counter(), time.thread_time()
        done = self.task(batch)
        # What other processes took of the core is shared out evenly: to ask for processor time at each identifier would
        # cost a tenth of what is measured.
        share = (time.thread_time() - cpu) / (time.perf_counter() - clock)
        now = time.process_time()
        lap = _Lap(now - _said, (_spent - before) * share, peak_memory())
        _said = now
        return done, lap


class TimedEngine:
    """The local engine, with a stopwatch in its workers.

    Sums up the processor time of slow hash and OPRF, and of all else that the workers do for the tasks that call them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.evaluation = 0.0
        self.around_evaluation = 0.0
        self.worker_peak = 0

    def map(self, task: Callable[[Work], Done], batches: Iterable[Work]) -> Iterator[Done]:
        """Do what the engine does."""
        for done, lap in self._engine.map(_Timed(task), batches):
            if lap.evaluation:
                self.evaluation += lap.evaluation
                self.around_evaluation += lap.cpu - lap.evaluation
            self.worker_peak = max(self.worker_peak, lap.peak)
            yield done

    def here(self) -> AbstractContextManager[Engine]:
        """Lend itself."""
        return nullcontext(self)
