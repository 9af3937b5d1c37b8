"""Texts and times of others, as the pages and feeds of a language show them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time, get_datetime_format

from breachcheck.web.languages import Language

_ZONE: Final = "Africa/Casablanca"  # whose clocks the pages show; `Morocco time` in the catalogues

# Controls, what turns the direction of a text or hides in it, and what XML cannot hold.
_UNPRINTABLE: Final = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]+"
)


def _clock() -> ZoneInfo:
    # From the package that the lock file pins: Morocco changes its clocks at short notice, a system's own zones may be
    # years old, and ZoneInfo would prefer those.
    with resources.files("tzdata").joinpath("zoneinfo", *_ZONE.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, _ZONE)


_CLOCK: Final = _clock()


@dataclass(frozen=True, slots=True)
class Said:
    """A text of somebody's and the language it is in, or None where nobody said."""

    text: str
    tag: str | None

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`; `auto`, as its own letters say, where the language is not known."""
        try:
            return Locale.parse(self.tag or "", sep="-").text_direction
        except (UnknownLocaleError, ValueError):
            return "auto"


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, or a moment, in words and, if it is one, for machines."""

    text: str
    iso: str


def said(texts: Mapping[str, str], language: Language, most: int, otherwise: str = "") -> Said:
    """Return a text in the language that the reader most likely knows, of at most `most` characters."""
    # A manifest may be well signed, and yet hold anything.
    for tag in (*language.preferred, *sorted(texts)):
        text = _UNPRINTABLE.sub(" ", texts.get(tag, "")).strip()
        if text:
            return Said(text if len(text) <= most else f"{text[: most - 1]}…", tag)
    return Said(otherwise, None)


def day(iso: str, language: Language) -> Moment:
    """Return a year, month or day in words."""
    try:
        match [int(part) for part in iso.split("-")]:
            case [year, month]:
                text = format_skeleton("yMMMM", date(year, month, 1), locale=language.locale)
            case [year, month, number]:
                text = format_date(date(year, month, number), "long", language.locale)
            case _:
                text = iso
    except ValueError:  # the manifest's pattern lets the 31st of February pass
        return Moment(iso, "")
    return Moment(text, iso)


def moment(time: datetime, language: Language) -> Moment:
    """Return day and minute in words, as the clocks of Morocco show it."""
    local = time.astimezone(_CLOCK)
    glue = str(get_datetime_format("medium", locale=language.locale))
    text = glue.format(
        format_time(local, "short", _CLOCK, language.locale), format_date(local, "full", language.locale)
    )
    return Moment(text, f"{time:%Y-%m-%dT%H:%M:%SZ}")
