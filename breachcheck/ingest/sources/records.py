"""Where one record of delimited text ends and the next begins, decided before any parser sees it.

Parsers are lenient about quotes: an unclosed one swallows the rows after it. So only octets that were shown to be well
formed go to the parser, and the rest is rejected here, line by line. The rule:

- A line ends with LF, CR LF or CR. A cell that begins with `"` is quoted: it ends at the next `"` that is not doubled,
  and a delimiter or the end of the record must follow. In a cell that begins otherwise, `"` is a character.
- A quoted cell may hold line ends, but a record has at most `MAX_LINES` lines and `MAX_RECORD` octets.
- A record of several lines has the header's width, and does not look like rows that a stray quote swallowed. It does
  where a line wholly inside of a quoted cell has the header's width by itself, or where both its first line and its
  last one have; in a file of one column, every cell of several lines does.
- What breaks this is rejected as far as the end of its first line, as `quoting`, and reading goes on at the next line.
  A line of more than `MAX_RECORD` octets is rejected as `too_long`.

Octets are searched as arrays where there are quotes, and by `bytes` methods where there are none; Python looks only at
single records in which a quote is out of place or a line end is quoted. All of it is linear in the octets.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

MAX_CELL: Final = 1 << 20  # octets
MAX_RECORD: Final = 2 * MAX_CELL  # octets
MAX_LINES: Final = 64
_QUOTE, _LF, _CR = b'"\n\r'
LINE_END: Final = re.compile(rb"\r\n|\n|\r")
SURE_LINE_END: Final = re.compile(rb"\r\n|\n|\r(?!\Z)")  # whatever follows

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, repr=False)
class Piece:
    """Whole records, one after the other. Its `repr` is blank.

    `count` of them were read; `rejected` ones (index in the piece, from 0, and reason) are left out of `octets`.
    `quoted`: there may be quoted cells.
    """

    octets: bytes
    count: int
    rejected: tuple[tuple[int, str], ...]
    quoted: bool

    def __repr__(self) -> str:
        return f"<{self.count} records>"


class Cell(NamedTuple):
    """Where the text of one cell begins and ends in a buffer, without its quotes."""

    start: int
    stop: int
    quoted: bool


class BrokenError(Exception):
    """A record is not well formed."""


class UnfinishedError(Exception):
    """A record goes on behind the end of the buffer."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """How cells are parted: an octet, and whether quotes mean anything."""

    delimiter: bytes
    quotes: bool = True
    _stop: re.Pattern[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_stop", re.compile(b"[\r\n" + re.escape(self.delimiter) + b"]"))

    def cells(self, buffer: bytes, start: int, limit: int, last: bool) -> list[Cell]:
        """Return the cells of the record at `start`; no quoted one may reach `limit`. `last`: nothing follows `buffer`.

        Raises:
            BrokenError: it is not well formed.
            UnfinishedError: the buffer ends before it does.
        """
        cells = []
        position = start
        while True:
            if self.quotes and buffer.startswith(b'"', position):
                close = self._close(buffer, position + 1, limit, last)
                cells.append(Cell(position + 1, close, True))
                end = close + 1
                if end == len(buffer):
                    if not last:
                        raise UnfinishedError
                    return cells
                if buffer[end] in b"\r\n":
                    return cells
                if not buffer.startswith(self.delimiter, end):
                    raise BrokenError
            else:
                found = self._stop.search(buffer, position)
                if found is None and not last:
                    raise UnfinishedError
                end = found.start() if found else len(buffer)
                cells.append(Cell(position, end, False))
                if found is None or buffer[end] in b"\r\n":
                    return cells
            position = end + 1

    def text(self, buffer: bytes, cell: Cell) -> bytes:
        """Return what a cell says."""
        octets = buffer[cell.start : cell.stop]
        return octets.replace(b'""', b'"') if cell.quoted else octets

    @staticmethod
    def _close(buffer: bytes, position: int, limit: int, last: bool) -> int:
        while True:
            close = buffer.find(b'"', position, limit)
            if close < 0:
                if limit >= len(buffer) and not last:
                    raise UnfinishedError
                raise BrokenError
            if not buffer.startswith(b'"', close + 1):
                return close
            position = close + 2


class Cutter:
    """Cuts blocks of octets between records. The same blocks give the same pieces."""

    def __init__(self, syntax: Syntax, width: int) -> None:
        self._syntax = syntax
        self._width = width
        self._skipping = False  # within a line that was rejected as too long

    def cut(self, blocks: Iterable[bytes]) -> Iterator[Piece]:
        """Yield about one piece a block. At most `MAX_RECORD` octets are carried from one block to the next."""
        carried = b""
        source = iter(blocks)
        block = next(source, None)
        while block is not None:
            following = next(source, None)
            buffer = carried + block if carried else block
            piece, used = self._piece(buffer, following is None)
            carried = buffer[used:]
            if piece.count:
                yield piece
            block = following

    def _piece(self, buffer: bytes, last: bool) -> tuple[Piece, int]:
        start = 0
        if self._skipping:
            found = (LINE_END if last else SURE_LINE_END).search(buffer)
            if found is None:
                return Piece(b"", 0, (), False), len(buffer) - (buffer.endswith(b"\r") and not last)
            self._skipping = False
            start = found.end()
        quoted = self._syntax.quotes and buffer.find(b'"', start) >= 0
        if quoted or _may_be_long(buffer, start):
            return self._examine(buffer, start, last)
        # A CR at the very end may be half of a CR LF.
        stop = len(buffer) if last else max(buffer.rfind(b"\n"), buffer.rfind(b"\r", 0, -1)) + 1
        octets = buffer[start:stop]
        return Piece(octets, count_lines(octets), (), False), max(start, stop)

    def _examine(self, buffer: bytes, start: int, last: bool) -> tuple[Piece, int]:
        marks = _Marks(buffer, start, last, self._syntax)
        kept: list[tuple[int, int]] = []
        rejected: list[tuple[int, str]] = []
        position = start
        line = count = 0  # the line that starts at `position`, and the records before it
        while (event := marks.next_event(line)) is not None:
            ends = marks.ends  # as a list: an event is looked at by itself
            before, line = line, bisect_right(ends, event, line)
            if line > before:
                _append(kept, position, ends[line - 1])
                count += line - before
                position = ends[line - 1]
            if line == len(ends):
                break
            try:
                sound = marks.sound_record(line)
                if sound is not None and self._spans(buffer[position : ends[sound]], sound - line):
                    after, reason = ends[sound], None
                else:
                    after, reason = self._record(buffer, position, line, ends, last)
            except UnfinishedError:
                break
            if reason:
                rejected.append((count, reason))
            else:
                _append(kept, position, after)
            count += 1
            position = after
            line = bisect_left(ends, after, line) + 1
        else:
            if marks.lines > line:
                _append(kept, position, marks.stop)
                count += marks.lines - line
                position = marks.stop
        if not last and len(buffer) - position > MAX_RECORD:
            # Any record of several lines would have been judged: this is one line.
            rejected.append((count, "too_long"))
            count += 1
            self._skipping = True
            position = len(buffer) - buffer.endswith(b"\r")  # which may be half of a CR LF
        octets = b"".join(_closed(buffer[one:two]) for one, two in kept)
        return Piece(octets, count, tuple(rejected), marks.quoted), position

    def _record(self, buffer: bytes, begin: int, line: int, ends: list[int], last: bool) -> tuple[int, str | None]:
        """Return where the record at `begin`, the start of a line, ends, and why it is rejected."""
        first_end = ends[line]
        if first_end - begin > MAX_RECORD:
            return first_end, "too_long"
        limit = begin + MAX_RECORD
        if line + MAX_LINES <= len(ends):
            limit = min(limit, ends[line + MAX_LINES - 1])
        try:
            cells = self._syntax.cells(buffer, begin, limit, last)
            stop = cells[-1].stop + cells[-1].quoted
            last_line = (bisect_right if stop < len(buffer) else bisect_left)(ends, stop, line)
            if last_line == len(ends):
                raise UnfinishedError
        except BrokenError:
            return first_end, "quoting"
        except UnfinishedError:
            if len(buffer) - begin > MAX_RECORD:
                return first_end, "quoting"
            raise
        end = ends[last_line]
        if last_line > line:
            if end > limit or len(cells) != self._width:
                return first_end, "quoting"
            for index, cell in enumerate(cells):
                if cell.stop >= first_end and self._swallows(buffer[cell.start : cell.stop], index):
                    return first_end, "quoting"
        return end, None

    def _spans(self, record: bytes, more_lines: int) -> bool:
        """Return whether a record of several lines, in which each quote is in its place, is surely accepted."""
        if len(record) > MAX_RECORD or more_lines >= MAX_LINES:
            return False
        index = 0
        # Of quotes in a row the odd one opens or closes, if there is one; the others are text, or an empty cell.
        for place, text in enumerate(record.replace(b'""', b"").split(b'"')):
            if place % 2 == 0:
                index += text.count(self._syntax.delimiter)
            elif self._swallows(text, index):
                return False
        return index + 1 == self._width

    def _swallows(self, text: bytes, index: int) -> bool:
        if b"\n" not in text and b"\r" not in text:
            return False
        delimiter = self._syntax.delimiter
        if self._width == 1 or delimiter not in text:  # a row of one column has none
            return self._width == 1
        first, *inner, final = LINE_END.split(text)
        return any(line.count(delimiter) == self._width - 1 for line in inner) or (
            first.count(delimiter) == self._width - 1 - index and final.count(delimiter) == index
        )


class _Marks:
    """Where lines end in a buffer, and where a record needs to be looked at by itself."""

    def __init__(self, buffer: bytes, start: int, last: bool, syntax: Syntax) -> None:
        octets = np.frombuffer(buffer, np.uint8)
        is_end = octets == _CR
        is_end[:-1] &= octets[1:] != _LF
        if not last:
            is_end[-1:] = False
        is_end |= octets == _LF
        ends: Positions = np.flatnonzero(is_end) + 1
        ends = ends[ends > start]
        if last and len(buffer) > start and (not len(ends) or ends[-1] != len(buffer)):
            ends = np.append(ends, len(buffer))
        self._ends = ends
        self.lines = len(ends)
        self.stop = int(ends[-1]) if self.lines else start
        quotes: Positions = np.flatnonzero(octets == _QUOTE) if syntax.quotes else np.empty(0, np.intp)
        quotes = quotes[quotes >= start]
        self._quotes = quotes
        self.quoted = len(quotes) > 0
        # Quotes open and close by turns. From a given line on, either the even ones open or the odd ones do.
        parting = np.zeros(256, bool)
        parting[[_LF, _CR, syntax.delimiter[0]]] = True
        self._opens = parting[octets[quotes - 1]]
        self._opens[quotes == start] = True
        self._opens[1:] |= np.diff(quotes) == 1
        self._closes = parting[octets[np.minimum(quotes + 1, len(octets) - 1)]]
        self._closes[quotes == len(octets) - 1] = last
        self._closes[:-1] |= np.diff(quotes) == 1
        self._quotes_before = quotes.searchsorted(ends) % 2  # each line's end
        self._long = ends[np.diff(ends, prepend=start) > MAX_RECORD] - 1
        self._start = start
        self._events: dict[int, list[int]] = {}
        self._faults: dict[int, list[int]] = {}

    @cached_property
    def ends(self) -> list[int]:
        """Where each line ends."""
        ends: list[int] = self._ends.tolist()
        return ends

    @cached_property
    def _phases(self) -> list[int]:
        return [0, *self._quotes_before.tolist()]

    def next_event(self, line: int) -> int | None:
        """Return the first octet that is out of the ordinary, if a record starts where `line` does; none if there is
        none.

        Out of the ordinary are a quote that neither opens nor closes a cell in its turn, a line end within a quoted
        cell, and a line that is too long.
        """
        phase = self._phases[line] if line else 0
        if phase not in self._events:
            self._events[phase] = self._find_events(phase)
        events = self._events[phase]
        if not events:
            return None
        index = bisect_left(events, self.ends[line - 1] if line else self._start)
        return events[index] if index < len(events) else None

    def _find_events(self, phase: int) -> list[int]:
        out_of_place = np.empty(len(self._quotes), bool)
        out_of_place[phase::2] = ~self._opens[phase::2]
        out_of_place[1 - phase :: 2] = ~self._closes[1 - phase :: 2]
        within = self._ends[self._quotes_before != phase] - 1
        faults = np.sort(np.concatenate((self._quotes[out_of_place], self._long)))
        self._faults[phase] = faults.tolist()
        events: list[int] = np.sort(np.concatenate((faults, within))).tolist()
        return events

    def sound_record(self, line: int) -> int | None:
        """Return the last line of the record that starts where `line` does, if nothing is at fault with its quotes.

        To be called for a line of which `next_event` was asked.
        """
        phase = self._phases[line]
        faults = self._faults[phase]
        begin = self.ends[line - 1] if line else self._start
        for last in range(line, min(line + MAX_LINES, self.lines)):
            if self._phases[last + 1] == phase:
                index = bisect_left(faults, begin)
                return last if index == len(faults) or faults[index] >= self.ends[last] else None
        return None


def _append(kept: list[tuple[int, int]], start: int, stop: int) -> None:
    if kept and kept[-1][1] == start:
        kept[-1] = kept[-1][0], stop
    else:
        kept.append((start, stop))


def _closed(records: bytes) -> bytes:
    # What follows may begin with LF, and was no part of this line end.
    return records + b"\n" if records.endswith(b"\r") else records


def count_lines(octets: bytes) -> int:
    """Return the number of lines, whether or not the last one has its end."""
    returns = octets.count(b"\r")
    ends = octets.count(b"\n") + (returns - octets.count(b"\r\n") if returns else 0)
    return ends + (bool(octets) and octets[-1] not in b"\r\n")


def _may_be_long(buffer: bytes, start: int) -> bool:
    # A line of MAX_RECORD octets fills one of these windows.
    half = MAX_RECORD // 2
    return any(
        buffer.find(b"\n", at, at + half) < 0 and buffer.find(b"\r", at, at + half) < 0
        for at in range(start, len(buffer) - half + 1, half)
    )
