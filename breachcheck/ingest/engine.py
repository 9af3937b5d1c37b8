"""Where the work is done: one port, and the engine that uses all cores of this machine."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from types import TracebackType
from typing import Protocol, Self, TypeVar

from breachcheck.errors import ReleaseError
from breachcheck.ingest.hardening import die_with, harden

Work = TypeVar("Work")
Done = TypeVar("Done")


class Engine(Protocol):
    """Runs a picklable task over batches. Nothing it moves or keeps may reach a disk in the clear."""

    def map(self, task: Callable[[Work], Done], batches: Iterable[Work]) -> Iterator[Done]:
        """Yield the results in the order of the batches, with a bounded number of them under way."""
        ...


class LocalEngine:
    """A pool of processes, `workers` of them, by default one a core; batches travel through pipes, in memory."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        # Not fork: a forked child would inherit DuckDB's threads' locks and a copy of all that the parent has read.
        self._pool = ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"), _begin, (os.getpid(),))
        for _ in range(self.workers):  # each starts one, while this process still opens files
            self._pool.submit(_prepare)

    def map(self, task: Callable[[Work], Done], batches: Iterable[Work]) -> Iterator[Done]:
        """Yield the results in the order of the batches; at most three a worker are under way.

        Raises:
            ReleaseError: `worker_lost`.
        """
        waiting: deque[Future[Done]] = deque()
        try:
            for batch in batches:
                waiting.append(self._pool.submit(task, batch))
                if len(waiting) >= 3 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise ReleaseError(
                "worker_lost", "a worker process was killed; the same command goes on from here"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    import_module("breachcheck.ingest.reduce")


def _begin(parent: int) -> None:
    die_with(parent)  # it holds the key
    harden()
    gc.set_threshold(200_000, 20, 50)  # a chunk makes a hundred thousand objects and no cycle of them
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends the pool
