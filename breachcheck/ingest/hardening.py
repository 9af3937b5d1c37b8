"""Keep a row from leaving this process by a way nobody asked for."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4  # prctl(2)


def harden() -> None:
    """Write no core file, let no other process of the same user read this one's memory, and files be the owner's alone.

    The last is for what DuckDB writes beside ledger and run file. A release is for everybody: `publish` says so.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with(parent: int) -> None:
    """End this process as soon as its parent, with this process number, has ended, by whatever signal."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it could be watched
        os._exit(1)


@contextmanager
def bounded(octets: int) -> Iterator[None]:
    """Let this process take at most so many octets of memory beyond what it has, where the system can see to it.

    For parsers that unpack without a bound of their own.

    Raises:
        MemoryError: what was done took more.
    """
    if sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    taken = int(Path("/proc/self/statm").read_text("ascii").split()[5]) * resource.getpagesize()
    wanted = taken + octets
    soft = wanted if before[0] == resource.RLIM_INFINITY else min(wanted, before[0])
    resource.setrlimit(resource.RLIMIT_DATA, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
