"""The running service's notices: the plan, read again when its file changes, and the incidents."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from breachcheck.errors import InputError
from breachcheck.notices.board import Board, board
from breachcheck.notices.incidents import Incidents
from breachcheck.notices.plan import Window, read_plan
from breachcheck.service import problems

_LOG = logging.getLogger(__name__)

STATUS: Final = "/v1/status"  # tells of the maintenance while it lasts
PLAN_TROUBLE: Final = "maintenance_plan"
LONGEST_WAIT: Final = 86_400  # seconds in Retry-After: clients believe no more
_LOOK_EVERY: Final = 3.0  # seconds between looks at the plan's file


class Notices:
    """What is announced and what went wrong. `clock` returns seconds since 1970.

    A plan that cannot be read does not stop the service: the last good one holds, and `maintenance_plan` is an
    incident until the file is a plan again.
    """

    def __init__(self, clock: Callable[[], float], plan: Path | None = None, record: Path | None = None) -> None:
        self._clock = clock
        self._path = plan
        self._seen: tuple[int, ...] | None = None
        self.readable = True  # the plan, if there is one, when it was last looked at
        self._windows: tuple[Window, ...] = ()
        self._current: Window | None = None
        self._since = self._until = 0.0  # between which `_current` holds without another look
        self.incidents = Incidents(clock, record, planned=lambda: self._current is not None)

    def current(self) -> Window | None:
        """Return the window that is under way, if one is; the plan's file is looked at every few seconds."""
        now = self._clock()
        if not self._since <= now < self._until:
            self._look(now)
        return self._current

    def board(self) -> Board:
        """Return all that can be told now."""
        self.current()
        return board(self._windows, self.incidents.open, self.incidents.past, self._now())

    def seconds_left(self, window: Window) -> int:
        """Return in how many seconds to come back after a window: 1 to LONGEST_WAIT."""
        return min(max(1, math.ceil(window.ends.timestamp() - self._clock())), LONGEST_WAIT)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _look(self, now: float) -> None:
        if self._path is not None:
            self.readable = self._read(self._path)
        moment = datetime.fromtimestamp(now, UTC)
        self._current = next((window for window in self._windows if window.holds(moment)), None)
        edges = (edge.timestamp() for window in self._windows for edge in (window.begins, window.ends))
        self._since, self._until = now, min([now + _LOOK_EVERY, *(edge for edge in edges if edge > now)])
        (self.incidents.clear if self.readable else self.incidents.trouble)(PLAN_TROUBLE)

    def _read(self, path: Path) -> bool:
        try:
            found = path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._seen = None
                self._windows = read_plan(path)
        except (OSError, InputError) as error:
            if self.readable:
                why = error.detail if isinstance(error, InputError) else error.strerror
                _LOG.error("the maintenance plan cannot be used, and what it was before holds: %s", why)
            return False
        self._seen = seen
        return True


def closes(path: str) -> bool:
    """Return whether a path is not answered during maintenance."""
    return path.startswith("/v1/") and path != STATUS


class Gate:
    """Answers for the API with `maintenance` while a window lasts: whoever serves then must not be believed."""

    def __init__(self, app: ASGIApp, notices: Notices) -> None:
        self._app = app
        self._notices = notices

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, outside of a window."""
        app = self._app
        if scope["type"] == "http" and (window := self._notices.current()) and closes(scope["path"]):
            app = problems.render(
                problems.TABLE["maintenance"],
                {"retry-after": str(self._notices.seconds_left(window))},
                {"until": window.ends.strftime("%Y-%m-%dT%H:%M:%SZ")},
            )
        await app(scope, receive, send)
