"""Text of one row a line: fixed width, and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from breachcheck.errors import InputError
from breachcheck.ingest.plan import OTHER_RECORD, SEVERAL, folded
from breachcheck.ingest.sources.chunk import Chunk, Rows
from breachcheck.ingest.sources.columns import numbered
from breachcheck.ingest.sources.records import Cutter, Piece
from breachcheck.ingest.sources.stream import Readable
from breachcheck.ingest.sources.syntax import LINE_END, Syntax
from breachcheck.ingest.sources.text import Text, to_utf8

if TYPE_CHECKING:
    from breachcheck.ingest.mapping import Mapping

_LINES: Final = Syntax(b"\n", quotes=False)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, repr=False)
class _Lines(Chunk):
    """Lines of a text. Its `repr` is blank. Fields are as in `Delimited`."""

    encoding: str
    first: int
    faults: tuple[tuple[int, str], ...]

    def _lines(self) -> list[bytes]:
        lines = LINE_END.split(to_utf8(self.octets, self.encoding))
        if not lines[-1]:
            lines.pop()
        return lines


@dataclass(frozen=True, slots=True, repr=False)
class FixedWidth(_Lines):
    """Lines of `line` characters; `places` are the first character (from 0) and the last but one of each column.

    `records` are the beginnings of the lines in which each column stands: of all, where it has none. Where a column has
    some, a line that begins with none of any column is rejected as `other_record`.
    """

    line: int
    places: tuple[tuple[int, int], ...]
    records: tuple[tuple[str, ...], ...]

    def rows(self) -> Rows:
        """Make columns of it: white space around a value is not part of it.

        Raises:
            InputError: `reconcile`.
        """
        given = self._lines()
        known = tuple(record.encode() for records in self.records for record in records)
        others = [index for index, line in enumerate(given) if line.strip() and known and not line.startswith(known)]
        faults = _with_faults(self, len(given), ((index, OTHER_RECORD) for index in others))
        lines = pa.array(np.delete(np.array(given, object), others), pa.binary()).cast(pa.string())
        lengths = pc.utf8_length(lines).to_numpy(zero_copy_only=False)
        sound = (lengths == self.line) | (lengths == 0)  # the latter are found to be empty
        wrong = np.flatnonzero(~sound).tolist()
        lines = lines.filter(pa.array(sound))
        columns = []
        for (start, stop), records in zip(self.places, self.records, strict=True):
            column = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(lines, start, stop))
            if records:
                here = reduce(pc.or_, (pc.starts_with(lines, record) for record in records))
                column = pc.if_else(here, column, "")
            columns.append(column)
        return numbered(columns, wrong, faults, self.first, self.count)


@dataclass(frozen=True, slots=True, repr=False)
class JsonLines(_Lines):
    """JSON objects, one a line.

    The value of a key in an object in another is under `outer.inner`. Lists are as if each of their values stood under
    the list's key; several values of a key are joined by `SEVERAL`. Numbers stay as they are written. A key that is
    missing, and null, are no cell. An object with a key of which the mapping says nothing is rejected as `columns`.
    """

    def rows(self) -> Rows:
        """Make columns of it.

        Raises:
            InputError: `reconcile`.
        """
        places = {folded(name): index for index, name in enumerate(self.plan.header)}
        columns: list[list[str | None]] = [[] for _ in places]
        faults: list[tuple[int, str]] = []
        for index, line in enumerate(self._lines()):
            try:
                row = _cells(line, places)
            except _LineError as error:
                faults.append((index, error.reason))
                continue
            for column, cell in zip(columns, row, strict=True):
                column.append(cell)
        every = _with_faults(self, len(columns[0]) + len(faults), faults)
        return numbered([pa.array(column, pa.string()) for column in columns], [], every, self.first, self.count)


def _with_faults(lines: _Lines, read: int, faults: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return all faults by index in the chunk: its own, and those by index among the lines that were `read`."""
    given = np.delete(np.arange(lines.count), [index for index, _ in lines.faults])
    if read != len(given):
        raise InputError("reconcile", f"{len(given)} rows were counted, {read} were read")
    return sorted([*lines.faults, *((int(given[index]), reason) for index, reason in faults)])


class _LineError(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Pairs(tuple[tuple[str, Any], ...]):
    """A JSON object, with each key as often as it stands there."""

    __slots__ = ()


def _no_number(_: str) -> None:
    return None  # NaN and the infinities


_decode = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=_no_number, strict=False
).decode


def _flat(line: bytes) -> list[tuple[str, str | None]]:
    if not line.strip():
        raise _LineError("empty")
    try:
        value = _decode(line.decode())
        if not isinstance(value, _Pairs):
            raise _LineError("syntax")
        return list(_walk("", value))
    except (json.JSONDecodeError, RecursionError):
        raise _LineError("syntax") from None


def _walk(key: str, value: Any) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, _Pairs):
        for name, inner in value:
            yield from _walk(f"{key}.{name}" if key else name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(key, inner)
        if not value:
            yield key, None
    elif isinstance(value, bool):
        yield key, "true" if value else "false"
    else:
        yield key, value if value is None else _SURROGATE.sub("\ufffd", value)


def _cells(line: bytes, places: dict[str, int]) -> list[str | None]:
    row: list[list[str]] = [[] for _ in places]
    for key, value in _flat(line):
        index = places.get(folded(key))
        if index is None:
            raise _LineError("columns")
        if value is not None:
            row[index].append(value)
    return [SEVERAL.join(values) if values else None for values in row]


def read_fixed(file: Readable, disk: BinaryIO, part: str, mapping: Mapping, line: int) -> Iterator[FixedWidth]:
    """Yield the lines of a file without a header, each of `line` characters, as the mapping's places say."""
    plan = mapping.plan([header for column in mapping.column for header in column.header])
    places = tuple((at[0] - 1, at[0] - 1 + at[1]) for column in mapping.column if (at := column.at))
    records = tuple(column.record for column in mapping.column)
    for piece, encoding, first in _pieces(file, mapping):
        text = (piece.octets, encoding, first, piece.rejected)
        yield FixedWidth(plan, piece.count, disk.tell(), part, *text, line, places, records)


def read_json(file: Readable, disk: BinaryIO, part: str, mapping: Mapping) -> Iterator[JsonLines]:
    """Yield objects, one a line. Their header is that of the mapping; where that has no column, of the first octets.

    Raises:
        InputError: `columns`: the first object has a key of which the mapping says nothing; `header`: there is none.
    """
    headers = [header for column in mapping.column for header in column.header]
    plan = None
    for piece, encoding, first in _pieces(file, mapping):
        if plan is None:
            lines = LINE_END.split(to_utf8(piece.octets, encoding))
            keys = _keys(lines[:1] if headers else lines)
            names = set(map(folded, keys))
            mapping.plan([*keys, *(header for header in headers if folded(header) not in names)])
            if not (headers or keys):
                raise InputError("header", "no line is a JSON object with a key")
            plan = mapping.plan(headers or keys)
        yield JsonLines(plan, piece.count, disk.tell(), part, piece.octets, encoding, first, piece.rejected)


def _keys(lines: Iterable[bytes]) -> list[str]:
    """Return the keys of the objects in these lines; none of a line that is rejected as a row."""
    keys: dict[str, str] = {}
    for line in lines:
        with suppress(_LineError):
            for key, _ in _flat(line):
                keys.setdefault(folded(key), key)
    return list(keys.values())


def _pieces(file: Readable, mapping: Mapping) -> Iterator[tuple[Piece, str, int]]:
    text = Text(file, mapping.encoding)
    number = 1
    for piece in Cutter(_LINES, 1).cut(text.blocks()):
        yield piece, text.settle(piece.octets), number
        number += piece.count
