"""Trouble that nobody planned: what it was, when it began and when it ended.

A name is a fixed word of the program. No address, no bucket and nothing that was submitted ever stands here.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from breachcheck.notices.files import replace_file

_LOG = logging.getLogger(__name__)

MOST: Final = 200  # incidents kept; the oldest that is over gives way
SAME: Final = timedelta(minutes=2)  # trouble that comes back within this time is the same incident
_NAME: Final = "[a-z][a-z0-9_]{0,63}"
_MAX_FILE: Final = 1 << 18  # bytes
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Incident:
    """One trouble; `ended` is None while it lasts, `again` when it last came back. Times are UTC, in whole seconds."""

    name: str
    began: datetime
    ended: datetime | None = None
    again: datetime | None = None

    @property
    def updated(self) -> datetime:
        """When there was last something new to tell of it."""
        return self.ended or self.again or self.began


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=f"^{_NAME}$")]
    began: AwareDatetime
    ended: AwareDatetime | None = None
    again: AwareDatetime | None = None


class Incidents:
    """The record of a running service; may be shared by threads.

    Args:
        clock: seconds since 1970.
        path: a file of JSON lines that keeps the record beyond the process, for this process alone; without it, or
            while it cannot be written, the record is kept in memory.
        planned: whether maintenance is under way now, in which no new trouble is an incident.
    """

    def __init__(
        self, clock: Callable[[], float], path: Path | None = None, planned: Callable[[], bool] = lambda: False
    ) -> None:
        self._clock = clock
        self._path = path
        self._planned = planned
        self._lock = threading.Lock()
        self._record: list[Incident] = []
        self.begun = 0  # since the process began
        if path is not None:
            self._load(path)

    def trouble(self, name: str, since: float | None = None) -> None:
        """Say that something is wrong: an incident begins, unless it has begun before or maintenance is under way.

        `name` is 1 to 64 lower-case letters, digits and underscores; `since`, in seconds since 1970, is when it
        began, if that was before now.
        """
        if not re.fullmatch(_NAME, name):
            raise ValueError("not the name of an incident")
        with self._lock:
            if any(one.name == name and one.ended is None for one in self._record) or self._planned():
                return
            now = self._now()
            for place, one in enumerate(self._record):
                if one.name == name and one.ended is not None and timedelta() <= now - one.ended <= SAME:
                    self._record[place] = replace(one, ended=None, again=now)
                    break
            else:
                self.begun += 1
                self._record.append(Incident(name, now if since is None else min(now, _moment(since))))
                self._forget_oldest()
            self._save()

    def clear(self, name: str) -> None:
        """Say that it is right again: the incident of this name ends, if there is one."""
        with self._lock:
            # More than one, if two processes wrote one file, or somebody by hand.
            lasting = [place for place, one in enumerate(self._record) if one.name == name and one.ended is None]
            for place in lasting:
                self._record[place] = replace(self._record[place], ended=max(self._now(), self._record[place].updated))
            if lasting:
                self._save()

    @property
    def open(self) -> tuple[Incident, ...]:
        """What is wrong now, longest first."""
        with self._lock:
            return tuple(one for one in self._record if one.ended is None)

    @property
    def past(self) -> tuple[Incident, ...]:
        """What was wrong and is over, latest first."""
        with self._lock:
            return tuple(one for one in reversed(self._record) if one.ended is not None)

    def _now(self) -> datetime:
        return _moment(self._clock())

    def _forget_oldest(self) -> None:
        while len(self._record) > MOST:
            over = next((one for one in self._record if one.ended is not None), self._record[0])
            self._record.remove(over)

    def _load(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                lines = file.read(_MAX_FILE).splitlines()
        except FileNotFoundError:
            return
        except OSError:
            _LOG.error("the record of incidents cannot be read; it begins anew, in memory")
            self._path = None
            return
        for line in lines:
            try:
                read = _Line.model_validate_json(line)
                times = (_whole(moment) if moment else None for moment in (read.ended, read.again))
                self._record.append(Incident(read.name, _whole(read.began), *times))
            except (ValidationError, OverflowError):
                _LOG.error("a line of the record of incidents cannot be read and is left out")
        self._record.sort(key=lambda one: one.began)
        self._forget_oldest()

    def _save(self) -> None:
        if self._path is None:
            return
        lines = [_Line(**asdict(one)).model_dump_json(exclude_none=True) for one in self._record]
        try:
            replace_file(self._path, "".join(f"{line}\n" for line in lines).encode(), _MODE)
        except OSError as error:
            # The next change is written with this one, if it can be.
            _LOG.error("the record of incidents cannot be written: %s", error.strerror)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _whole(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
