"""How one record of delimited text is written: what the rule of `records` says of its cells."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MAX_CELL: Final = 1 << 20  # octets
MAX_RECORD: Final = 2 * MAX_CELL  # octets
MAX_LINES: Final = 64
LINE_END: Final = re.compile(rb"\r\n|\n|\r")
SURE_LINE_END: Final = re.compile(rb"\r\n|\n|\r(?!\Z)")  # whatever follows


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
