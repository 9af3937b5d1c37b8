"""Typed values as text, with nothing lost and nothing made up."""

from __future__ import annotations

import datetime
import math
from typing import Final

EXACT: Final = 10**15  # from here on a double, or a spreadsheet, no longer holds every digit of a whole number


def number_text(value: float, exact: int = EXACT) -> str | None:
    """Return a number as it would be written: whole ones without a fraction, none for what is not a number.

    A spreadsheet, or a column of doubles, has damaged a whole number of more than 15 digits; a column of smaller
    numbers, one from `exact` on. It is given with an exponent, a form that every kind of identifier refuses.
    """
    if not math.isfinite(value):
        return None
    if abs(value) >= exact:
        return f"{value:.15E}"
    return str(int(value)) if value == int(value) else repr(value)


def text(value: object) -> str | None:
    """Return any value as text; dates as in ISO 8601, and without a time that is midnight."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() and not value.tzinfo else value.isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
