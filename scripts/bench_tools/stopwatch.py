"""A stopwatch in the workers of an ingest: how long they are in slow hash and OPRF, and how much memory they take.

It imports no more than the ingest's own workers do, for their start is measured too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from breachcheck.ingest import reduce
from breachcheck.ingest.engine import Engine
from breachcheck.protocol import oprf

Work = TypeVar("Work")
Done = TypeVar("Done")

_EVALUATION = ((reduce, "slow_hash_bulk"), (oprf, "evaluate"))
_LOOK_EVERY = 64  # tasks between two looks at the memory: a look takes as long as sealing a hundred entries
_spent = 0.0  # seconds of this process in _EVALUATION
_tasks = 0


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
        global _tasks
        if _tasks == 0:
            for module, name in _EVALUATION:
                setattr(module, name, _put_stopwatch(getattr(module, name)))
        before = _spent
        done = self.task(batch)
        _tasks += 1
        return done, _spent - before, peak_memory() if _tasks % _LOOK_EVERY == 1 else 0


class TimedEngine:
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
