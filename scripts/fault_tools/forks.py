"""Work in a forked process, so that it may die, and so that a database opened there is forgotten with it."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

_FAILED = 70  # EX_SOFTWARE: an error that nobody foresaw


@dataclass(frozen=True)
class Ended:
    """How a child ended: what it returned, or the signal or exit code it ended with."""

    said: Any
    signal: int
    code: int


@dataclass
class Child:
    """A forked process that waits for `go` before it works."""

    pid: int
    gate: int
    results: int

    def go(self) -> None:
        """Let it work. One that was killed meanwhile is told nothing."""
        with suppress(BrokenPipeError):
            os.write(self.gate, b"x")
        os.close(self.gate)

    def wait(self) -> Ended:
        """Return how it ended."""
        with os.fdopen(self.results, "rb") as results:
            said = results.read()
        _, status = os.waitpid(self.pid, 0)
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
        return Ended(json.loads(said) if said else None, killed, code)


def fork(work: Callable[[], Any]) -> Child:
    """Fork a process that will do `work`, whose result must be JSON."""
    gate, opening = os.pipe()
    results, saying = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(opening)
        os.close(results)
        _run(gate, saying, work)
    os.close(gate)
    os.close(saying)
    return Child(pid, opening, results)


def in_child(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a process of its own.

    Raises:
        RuntimeError: it did not come to its end; what it said stands on standard error.
    """
    child = fork(work)
    child.go()
    ended = child.wait()
    if ended.signal or ended.code:
        raise RuntimeError(f"a process ended with signal {ended.signal}, code {ended.code}")
    return ended.said


def _run(gate: int, saying: int, work: Callable[[], Any]) -> NoReturn:
    code = _FAILED
    try:
        _allow_tracing()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if os.read(gate, 1):
            said = json.dumps(work()).encode()
            os.write(saying, said)
        code = 0
    except Exception:  # noqa: BLE001  # the parent counts it as wrong
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _allow_tracing() -> None:
    # Where only a parent may trace (Yama), strace is none: it is the child's sister.
    import ctypes

    pr_set_ptracer, anybody = 0x59616D61, ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(pr_set_ptracer, anybody, 0, 0, 0)
