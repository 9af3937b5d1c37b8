"""The maintenance plan: a TOML file of windows in which nothing can be checked, each with its message.

    [[window]]
    id = "2026-12-01"
    from = 2026-12-01T01:00:00+01:00
    until = 2026-12-01T05:00:00+01:00
    updated = 2026-11-20T09:00:00Z          # optional: when this entry was last changed; else when the file was
    cancelled = 2026-11-25T09:00:00Z        # optional
    message.ar = "..."
    message.fr = "..."
    message.en = "..."

Windows that are not cancelled neither overlap nor touch: "until when?" has one answer. Windows stay in the plan after
their end, so that what was announced can be looked up; remove them when you like.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

import tomlkit
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from breachcheck.errors import InputError
from breachcheck.notices.files import replace_file

NOTICE: Final = timedelta(hours=72)  # how long ahead of a window every page speaks of it
LONGEST: Final = timedelta(days=31)  # of a window: a wrong year must not close the service for one
MAX_MESSAGE: Final = 600  # characters, in one language
MAX_PLAN: Final = 1 << 20  # bytes of the file
MAX_WINDOWS: Final = 500
_MODE: Final = 0o644  # of a new plan: it is announced to everybody, and the service may run as another user


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which nothing can be checked: `begins` is in it, `ends` is not. All times are UTC, in whole seconds."""

    name: str
    begins: datetime
    ends: datetime
    message: Mapping[str, str]
    updated: datetime
    cancelled: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Return whether `now` is inside the window, and the window was not cancelled."""
        return self.cancelled is None and self.begins <= now < self.ends


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_MESSAGE)]
_Tag = Annotated[str, StringConstraints(pattern="^[a-z]{2,3}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    begins: AwareDatetime = Field(alias="from")
    ends: AwareDatetime = Field(alias="until")
    message: Annotated[dict[_Tag, _Text], Field(min_length=1)]
    updated: AwareDatetime | None = None
    cancelled: AwareDatetime | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    window: Annotated[list[_Entry], Field(max_length=MAX_WINDOWS)] = []


def _refused(detail: str) -> InputError:
    return InputError("maintenance_plan", detail)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


# --- Reading ----------------------------------------------------------------------------------------------------------


def parse(text: str, modified: datetime) -> tuple[Window, ...]:
    """Return the windows of a plan, earliest first; `modified` stands in for an entry's missing `updated`.

    Raises:
        InputError: `maintenance_plan`: not TOML, or not a plan; the detail names the place and never quotes it.
    """
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError):  # a number without end is no TOMLDecodeError
        raise _refused("not TOML") from None
    try:
        entries = _File.model_validate(content).window
        windows = tuple(sorted((_window(entry, modified) for entry in entries), key=lambda window: window.begins))
    except OverflowError:
        raise _refused("a time that is too far away") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise _refused(_plainly(first["type"], tuple(map(str, first["loc"])), first["msg"])) from None
    names = [window.name for window in windows]
    for name in names:
        if names.count(name) > 1:
            raise _refused(f"{name}: two windows have this id")
    for before, after in pairwise(window for window in windows if window.cancelled is None):
        if after.begins <= before.ends:
            raise _refused(f"{after.name} overlaps or touches {before.name}: make one window of the two")
    return windows


_PLAINLY: Final = {  # pydantic's types of errors; its other words are said as they are
    "missing": "is missing",
    "extra_forbidden": "is no word of a plan: id, from, until, message, updated, cancelled",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "string_too_long": f"is longer than {MAX_MESSAGE} characters",
    "too_long": f"has more than {MAX_WINDOWS} windows",
    "timezone_aware": "needs a zone: 2026-12-01T01:00:00+01:00, or Z for UTC",
    "datetime_type": "is no time: wanted 2026-12-01T01:00:00+01:00 without quotation marks",
}
_PATTERNS: Final = {  # by the last part of a place
    "id": "wanted 1 to 64 letters A to Z, digits, dots, hyphens and underscores, the first a letter or digit",
    "[key]": "wanted a language of two or three lower-case letters: ar, fr, en",
}


def _plainly(kind: str, place: tuple[str, ...], words: str) -> str:
    wanted = _PATTERNS.get(place[-1]) if kind == "string_pattern_mismatch" and place else None
    return f"{'.'.join(place)}: {wanted or _PLAINLY.get(kind, words)}"


def _window(entry: _Entry, modified: datetime) -> Window:
    begins, ends = _utc(entry.begins), _utc(entry.ends)
    if ends <= begins:
        raise _refused(f"{entry.id}: until must be after from")
    if ends - begins > LONGEST:
        raise _refused(f"{entry.id}: a window is {LONGEST.days} days long at most")
    cancelled = _utc(entry.cancelled) if entry.cancelled else None
    return Window(entry.id, begins, ends, entry.message, cancelled or _utc(entry.updated or modified), cancelled)


def read_plan(path: Path) -> tuple[Window, ...]:
    """Return the windows of the plan in a file, earliest first.

    Raises:
        InputError: `maintenance_plan`: the file cannot be read, or is not a plan.
    """
    return parse(*_read(path))


def _read(path: Path) -> tuple[str, datetime]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PLAN + 1)
            modified = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    except OSError as error:
        raise _refused(f"{path}: {error.strerror}") from None
    if len(content) > MAX_PLAN:
        raise _refused(f"{path}: longer than {MAX_PLAN} bytes")
    try:
        return content.decode(), modified
    except UnicodeDecodeError:
        raise _refused(f"{path}: not UTF-8") from None


# --- Changing, beside whatever else the steward wrote into the file ---------------------------------------------------


def add_window(
    path: Path, begins: datetime, ends: datetime, message: Mapping[str, str], now: datetime, name: str | None = None
) -> Window:
    """Add a window to the plan, which is made if it is not there, and return the window.

    Without a `name` it is called after its beginning.

    Raises:
        InputError: `maintenance_plan`: a time without a zone, a window that is over, empty or overlaps another, no
            message, a name that is taken; or the plan cannot be read or written. The plan is then as it was.
    """
    if begins.tzinfo is None or ends.tzinfo is None:
        raise _refused("from and until need a zone: 2026-12-01T01:00+01:00, or Z for UTC")
    if ends <= now:
        raise _refused("the window is over already")
    document = _document(path)
    windows = document.setdefault("window", tomlkit.aot())
    if not isinstance(windows, AoT):
        raise _refused("window: wanted: [[window]] tables")
    if not any(text.strip() for text in message.values()):
        raise _refused("a window needs a message: --ar, --fr, --en, or several of them")
    name = name or f"{_utc(begins):%Y%m%dT%H%MZ}"
    taken = next((one for one in _tables(document) if one["id"] == name), None)
    if taken is not None:
        why = "was cancelled, and stays listed" if "cancelled" in taken else "is in the plan"
        raise _refused(f"a window called {name} {why}: give another name with --id")
    table = tomlkit.table()
    table.update({"id": name, "from": begins.replace(microsecond=0), "until": ends.replace(microsecond=0)})
    table["updated"] = _utc(now)
    table["message"] = tomlkit.inline_table()
    table["message"].update({tag: text for tag, text in message.items() if text})
    windows.append(table)
    return _save(path, document, name, now)


def cancel_window(path: Path, name: str, now: datetime) -> Window:
    """Mark a window as cancelled, so that everybody learns of it, and return it. One that has begun ends at once.

    Raises:
        InputError: `maintenance_plan`: there is no such window, it is over or was cancelled before; or the plan cannot
            be read or written.
    """
    known = next((window for window in read_plan(path) if window.name == name), None)
    if known is None:
        raise _refused(f"{name}: no such window")
    if known.cancelled:
        raise _refused(f"{name}: was cancelled before")
    if known.ends <= now:
        raise _refused(f"{name}: is over")
    document = _document(path)
    for table in _tables(document):
        if table["id"] == name:
            table["cancelled"] = _utc(now)
    return _save(path, document, name, now)


def _tables(document: tomlkit.TOMLDocument) -> Sequence[Any]:
    tables: Sequence[Any] = document["window"]
    return tables


def _document(path: Path) -> tomlkit.TOMLDocument:
    text = ""
    if path.exists():
        text, modified = _read(path)
        parse(text, modified)  # what is not a plan is not written to
    try:
        return tomlkit.parse(text)
    except TOMLKitError:
        raise _refused(f"{path}: not TOML") from None


def _save(path: Path, document: tomlkit.TOMLDocument, name: str, now: datetime) -> Window:
    text = tomlkit.dumps(document)
    windows = parse(text, now)
    try:
        replace_file(path, text.encode(), _MODE)
    except OSError as error:
        raise _refused(f"{path}: {error.strerror}") from None
    return next(window for window in windows if window.name == name)
