"""All that people can be told at one moment: what every page, feed and status answer is made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from breachcheck.notices.incidents import Incident
from breachcheck.notices.plan import NOTICE, Window

KEPT: Final = timedelta(days=90)  # how long what is over, or was cancelled, stays listed
MOST: Final = 50  # of each sort that is over


@dataclass(frozen=True, slots=True)
class Board:
    """Windows and incidents. `current` is the window under way; `soon` are those that every page speaks of.

    `planned` are all that are still to come, earliest first; `cancelled` those that would be, and `over` those that
    were, latest first; `troubles` are the incidents that last, and `past` those that are over, latest first.
    """

    current: Window | None = None
    planned: tuple[Window, ...] = ()
    soon: tuple[Window, ...] = ()
    cancelled: tuple[Window, ...] = ()
    over: tuple[Window, ...] = ()
    troubles: tuple[Incident, ...] = ()
    past: tuple[Incident, ...] = ()

    @property
    def windows(self) -> tuple[Window, ...]:
        """All windows that are listed."""
        return (*([self.current] if self.current else []), *self.planned, *self.cancelled, *self.over)


def board(windows: Iterable[Window], troubles: Iterable[Incident], past: Iterable[Incident], now: datetime) -> Board:
    """Return what can be told at `now`, from a plan's windows, earliest first, and incidents, latest first."""
    windows = tuple(windows)
    standing = [window for window in windows if window.cancelled is None]
    planned = tuple(window for window in standing if now < window.begins)
    return Board(
        current=next((window for window in standing if window.holds(now)), None),
        planned=planned,
        soon=tuple(window for window in planned if window.begins - now <= NOTICE),
        cancelled=tuple(window for window in windows if window.cancelled and now - window.ends <= KEPT)[-MOST:][::-1],
        over=tuple(window for window in standing if window.ends <= now and now - window.ends <= KEPT)[-MOST:][::-1],
        troubles=tuple(troubles),
        past=tuple(one for one in past if one.ended is not None and now - one.ended <= KEPT)[:MOST],
    )
