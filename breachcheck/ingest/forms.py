"""Canonical forms of a column: what `Kind.canonical` returns for each text, but for those that it must look at itself.

The expressions of the rules are such as RE2, which Arrow has, reads as Python does (PROTOCOL.md §3.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import count
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from breachcheck.ingest.octets import Octets, Offsets, parts
from breachcheck.protocol.identifier import KINDS, Kind

_ASCII: Final = 128
_GROUP: Final = re.compile("[(](?![?])")


def forms(kind: str, texts: pa.Array) -> pa.Array:
    """Return the canonical form of each text, or null: it is refused, or not ASCII and may be one all the same.

    There may be no null among the texts.
    """
    return _rules(kind).forms(texts)


@lru_cache(maxsize=len(KINDS))
def _rules(kind: str) -> _Rules:
    return _Rules(KINDS[kind])


class _Rules:
    """The rules of a kind, for ASCII alone."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        fold = [kind.translation.get(code, chr(code)) for code in range(_ASCII)]
        self._fold = np.array([ord(character or "\0") for character in fold], np.uint8)
        marks = [code for code, character in enumerate(fold) if character is None]
        self._dropped = _table([*marks, *kind.dropped])
        self._unquoted = _table([*marks, *kind.unquoted])
        self._spaces = "".join(filter(str.isascii, kind.spaces))
        numbers = count()
        self._pattern = _whole(_GROUP.sub(lambda _: f"(?P<g{next(numbers)}>", kind.pattern.pattern))
        self._alphabet = _whole(kind.alphabet.pattern)
        self._spreadsheet_number = _whole(kind.spreadsheet_number.pattern) if kind.spreadsheet_number else None

    def forms(self, texts: pa.Array) -> pa.Array:
        plain = pc.and_(pc.string_is_ascii(texts), pc.less_equal(pc.binary_length(texts), self._kind.max_text))
        found = self._forms(texts.filter(plain))
        return pc.replace_with_mask(pa.nulls(len(texts), pa.string()), plain, found)

    def _forms(self, texts: pa.Array) -> pa.Array:
        offsets, octets = parts(pc.ascii_trim(texts, self._spaces))
        octets = self._fold[octets]
        compact = _without(self._dropped, offsets, octets)
        lengths = pc.binary_length(compact)
        sound = pc.and_(pc.greater(lengths, 0), pc.less_equal(lengths, self._kind.max_length))
        sound = pc.and_(sound, pc.match_substring_regex(compact, self._alphabet))
        if self._spreadsheet_number:
            unquoted = _without(self._unquoted, offsets, octets)
            sound = pc.and_not(sound, pc.match_substring_regex(unquoted, self._spreadsheet_number))
        groups = pc.extract_regex(pc.if_else(sound, compact, None), self._pattern)
        found = pc.binary_join_element_wise(*groups.flatten(), "")
        found = pc.ascii_lpad(found, self._kind.zero_fill, "0")
        check = self._kind.check
        if check is None:
            return found
        return pa.array([form and check(form) for form in found.to_pylist()], pa.string())


def _whole(expression: str) -> str:
    return f"^(?:{expression})$"


def _table(codes: Iterable[int]) -> npt.NDArray[np.bool_]:
    table = np.zeros(_ASCII, bool)
    table[[code for code in codes if code < _ASCII]] = True
    return table


def _without(table: npt.NDArray[np.bool_], offsets: Offsets, octets: Octets) -> pa.Array:
    """Return the texts without the octets that are in the table."""
    kept = ~table[octets]
    if not kept.all():
        offsets = np.concatenate(([0], np.cumsum(kept)))[offsets].astype(np.int32)
        octets = octets[kept]
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(octets))
