"""Where the work is done: one port, and the engine that uses all cores of this machine."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Semaphore, Thread
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from breachcheck.errors import ReleaseError
from breachcheck.ingest.hardening import die_with, harden

Work = TypeVar("Work")
Done = TypeVar("Done")

_Queue = SimpleQueue[Any]
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_AHEAD: Final = 2  # batches that a worker has, so that the next is there when it is done with one


class Engine(Protocol):
    """Runs a picklable task over batches. Nothing it moves or keeps may reach a disk in the clear."""

    def map(self, task: Callable[[Work], Done], batches: Iterable[Work]) -> Iterator[Done]:
        """Yield the results in the order of the batches, with a bounded number of them under way."""
        ...

    def here(self) -> AbstractContextManager[Engine]:
        """Lend an engine of this machine alone."""
        ...


class LocalEngine:
    """A pool of processes, `workers` of them, by default one a core; batches travel through pipes, in memory.

    Each has a pipe of its own. Where they share one, as in `concurrent.futures`, a worker that is killed in the middle
    of a result leaves everybody waiting for the rest of it, for ever.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self._work: _Queue = SimpleQueue()
        # Ctrl-C is for this process, which ends the others: they inherit that it is blocked, from their first moment.
        resource_tracker.ensure_running()  # or the first of them would start it, which unblocks
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._crew = [_Worker(self._work) for _ in range(self.workers)]  # they start while this process opens files
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def map(self, task: Callable[[Work], Done], batches: Iterable[Work]) -> Iterator[Done]:
        """Yield the results in the order of the batches; at most three a worker are under way.

        Raises:
            ReleaseError: `worker_lost`.
        """
        answers: _Queue = SimpleQueue()
        early: dict[int, tuple[Done, Exception | None]] = {}

        def result(number: int) -> Done:
            while number not in early:
                answer = answers.get()
                if answer is None:
                    raise ReleaseError("worker_lost", "a worker process was killed; the same command goes on from here")
                early[answer[0]] = answer[1:]
            done, error = early.pop(number)
            if error is not None:
                raise error
            return done

        given = taken = 0
        for given, batch in enumerate(batches, 1):
            self._work.put((answers, given - 1, pickle.dumps((task, batch))))
            if given - taken >= 3 * self.workers:
                yield result(taken)
                taken += 1
        for number in range(taken, given):
            yield result(number)

    def here(self) -> AbstractContextManager[Engine]:
        """Lend itself."""
        return nullcontext(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for _ in self._crew:
            self._work.put(None)
        for worker in self._crew:
            worker.end()


class _Worker:
    """A process, and two threads of this one: neither waits for the other, or a full pipe would be the end of it."""

    def __init__(self, work: _Queue) -> None:
        # Not fork: a forked child would inherit DuckDB's threads' locks and a copy of all that the parent has read.
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()  # nobody else has that end: when the process ends, so does the pipe
        self._work = work
        self._under_way: deque[tuple[_Queue, int]] = deque()
        self._room = Semaphore(_AHEAD)
        self._threads = [Thread(target=target, daemon=True) for target in (self._give, self._take)]
        for thread in self._threads:
            thread.start()

    def _give(self) -> None:
        while self._room.acquire() and (work := self._work.get()) is not None:
            answers, number, octets = work
            self._under_way.append((answers, number))
            try:
                self._pipe.send_bytes(octets)
            except OSError:
                answers.put(None)
                self._room.release()

    def _take(self) -> None:
        try:
            while True:
                done, error = self._pipe.recv()
                answers, number = self._under_way.popleft()
                self._room.release()
                answers.put((number, done, error))
        except (EOFError, OSError):
            pass
        finally:
            while self._under_way:
                self._under_way.popleft()[0].put(None)
                self._room.release()

    def end(self) -> None:
        """End the process, whatever it does, and the threads."""
        self._process.kill()
        self._process.join()
        for thread in self._threads:
            thread.join()
        self._pipe.close()


def _hold_memory() -> None:
    """Keep memory that is freed: the arrays of each chunk are as large as those of the one before.

    The C library would give it back, and take it anew page by page, which is a tenth of all the time.
    """
    with suppress(AttributeError):  # it is not glibc
        library = ctypes.CDLL(None)
        library.mallopt(_M_TRIM_THRESHOLD, 64 << 20)
        library.mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # it takes no more


def _serve(pipe: Connection[Any, Any], parent: int) -> None:
    die_with(parent)  # it holds the key
    harden()
    _hold_memory()
    gc.set_threshold(200_000, 20, 50)  # a chunk makes a hundred thousand objects and no cycle of them
    import_module("breachcheck.ingest.reduce")
    while True:
        task, batch = pipe.recv()
        done, fault = None, None
        try:
            done = task(batch)
        except Exception as error:  # noqa: BLE001  # it is raised where the work was asked for
            error.add_note(traceback.format_exc())
            fault = error
        pipe.send((done, fault))
