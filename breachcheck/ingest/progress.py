"""How fast a stage goes, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

_POINTS: Final = 256  # of a stage's course that are remembered
_FEWEST: Final = 16  # points a rate is taken from, where there are as many: results come in bursts


class Watch(Protocol):
    """Whoever wants to know how far it is."""

    def __call__(self, stage: str, done: int, total: int, rows: int = 0, /) -> None:
        """Hear that `done` of `total` units of a stage are behind us: octets, of which `rows`; identifiers; entries.

        A stage of which nobody can say how far it is has one unit.
        """
        ...


class Pace:
    """The course of one stage in this process, from the first that was heard of it.

    The rate is that of the later half of what was done: how long a stage took to begin does not count in it, and what
    has changed since (rows that were seen before take a fifth; somebody else works on the machine) does.
    """

    def __init__(self, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._course = [(clock(), done)]
        self._apart = 0.0  # seconds, at least, between two points

    def at(self, done: int) -> None:
        """Note how far it is."""
        now = self._clock()
        if now - self._course[-1][0] <= self._apart:
            return
        self._course.append((now, done))
        if len(self._course) > _POINTS:
            del self._course[1::2]
            self._apart = (now - self._course[0][0]) / _POINTS

    def rate(self, done: int) -> float:
        """Return how many units a second are being done, or 0 as long as nobody can say."""
        now = self._clock()
        middle = (self._course[0][1] + done) / 2
        half = sum(before <= middle for _, before in self._course) - 1
        since, before = self._course[max(0, min(half, len(self._course) - _FEWEST))]
        return (done - before) / (now - since) if now > since else 0.0

    def left(self, done: int, total: int) -> float | None:
        """Return the seconds until `total` are done, or None as long as nobody can say."""
        rate = self.rate(done)
        return (total - done) / rate if rate > 0 else None


def duration(seconds: float) -> str:
    """Return a duration in words, as exact as anybody needs it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
