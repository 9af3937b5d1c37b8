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
single records that are in doubt, as `marks` finds them. All of it is linear in the octets.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from breachcheck.ingest.sources.marks import Marks
from breachcheck.ingest.sources.syntax import (
    LINE_END,
    MAX_LINES,
    MAX_RECORD,
    SURE_LINE_END,
    BrokenError,
    Syntax,
    UnfinishedError,
)

MANY: Final = 1 << 17  # records; each that is rejected, as an empty line is, takes 100 octets wherever its chunk is


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


def together(pieces: Iterable[Piece], count: int) -> Iterator[Piece]:
    """Yield as one so many pieces at a time, or fewer, of which the last reached `MANY` records."""
    some: list[Piece] = []
    for piece in pieces:
        some.append(piece)
        if len(some) == count or sum(one.count for one in some) >= MANY:
            yield _one(some)
            some = []
    if some:
        yield _one(some)


def _one(pieces: Sequence[Piece]) -> Piece:
    rejected: list[tuple[int, str]] = []
    counted = 0
    for piece in pieces:
        rejected += [(counted + index, reason) for index, reason in piece.rejected]
        counted += piece.count
    octets = b"".join(piece.octets for piece in pieces)
    return Piece(octets, counted, tuple(rejected), any(piece.quoted for piece in pieces))


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
        if self._skipping:
            found = (LINE_END if last else SURE_LINE_END).search(buffer)
            if found is None:
                return Piece(b"", 0, (), False), len(buffer) - (buffer.endswith(b"\r") and not last)
            self._skipping = False
            piece, used = self._piece(buffer[found.end() :], last)
            return piece, found.end() + used
        if (self._syntax.quotes and b'"' in buffer) or _may_be_long(buffer):
            return self._examine(buffer, last)
        # A CR at the very end may be half of a CR LF.
        stop = len(buffer) if last else max(buffer.rfind(b"\n"), buffer.rfind(b"\r", 0, -1)) + 1
        octets = buffer[:stop]
        return Piece(octets, count_lines(octets), (), False), stop

    def _examine(self, buffer: bytes, last: bool) -> tuple[Piece, int]:
        marks = Marks(buffer, last, self._syntax, self._width)
        kept: list[tuple[int, int]] = []
        rejected: list[tuple[int, str]] = []
        position = line = count = 0  # the line that starts at `position`, and the records before it
        while True:
            line, records = marks.doubtful(line)
            if records:
                after = marks.ends[line - 1]
                _append(kept, position, after)
                count += records
                position = after
            if line == marks.lines:
                break
            try:
                after, reason = self._record(buffer, position, line, marks.ends, last)
            except UnfinishedError:
                break
            if reason:
                rejected.append((count, reason))
            else:
                _append(kept, position, after)
            count += 1
            position = after
            line = bisect_left(marks.ends, after, line) + 1
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


def _may_be_long(buffer: bytes) -> bool:
    # A line of MAX_RECORD octets fills one of these windows.
    half = MAX_RECORD // 2
    return any(
        buffer.find(b"\n", at, at + half) < 0 and buffer.find(b"\r", at, at + half) < 0
        for at in range(0, len(buffer) - half + 1, half)
    )
