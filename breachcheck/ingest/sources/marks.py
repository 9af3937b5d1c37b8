"""Where lines and records end in octets, and which records are in doubt: found for all of them at once.

Quotes open and close cells by turns. From the start of a record on either those of an even number open them or those of
an odd one: that is its phase, and as long as records are sound it stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from breachcheck.ingest.sources.syntax import MAX_LINES, MAX_RECORD, Syntax

_QUOTE, _LF, _CR = b'"\n\r'

Positions = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
_NONE: Final[Positions] = np.empty(0, np.intp)


class Marks:
    """The lines of a buffer that begins with a record, and the records of `width` cells in them. `last`: nothing
    follows the buffer.

    A record is in doubt where a quote neither opens nor closes a cell in its turn, where a line is too long, and where
    it has several lines and the rule of `records` refuses it, or its end is not there.
    """

    def __init__(self, buffer: bytes, last: bool, syntax: Syntax, width: int) -> None:
        octets = np.frombuffer(buffer, np.uint8)
        is_end = octets == _LF
        if b"\r" in buffer:
            is_return = octets == _CR
            is_return[:-1] &= ~is_end[1:]
            is_return[-1] &= last  # or it may be half of a CR LF
            is_end |= is_return
        ends: Positions = np.flatnonzero(is_end) + 1
        if last and buffer and not is_end[-1]:
            ends = np.append(ends, len(buffer))
        quotes: Positions = np.flatnonzero(octets == _QUOTE) if syntax.quotes else _NONE
        self.lines = len(ends)
        self.quoted = len(quotes) > 0
        self._octets = octets
        self._bounds = np.concatenate(([0], ends))  # of line n: n and n + 1
        self._quotes = quotes
        self._quotes_before = quotes.searchsorted(self._bounds)
        self._delimiter = syntax.delimiter[0]
        self._width = width
        self._last = last
        self._phases: dict[int, _Phase] = {}

    @cached_property
    def ends(self) -> list[int]:
        """Where each line ends: for one record at a time, a list is quicker."""
        ends: list[int] = self._bounds[1:].tolist()
        return ends

    def doubtful(self, line: int) -> tuple[int, int]:
        """Return the line in which the next record in doubt begins, from `line` on, with which one begins; and how many
        records stand before it. If none is in doubt, it is the line behind them all.
        """
        number = int(self._quotes_before[line]) % 2
        phase = self._phases.get(number)
        if phase is None:
            phase = self._phases[number] = self._judged(number)
        record = int(phase.ends.searchsorted(line))
        place = int(phase.doubts.searchsorted(record))
        until = int(phase.doubts[place]) if place < len(phase.doubts) else len(phase.ends)
        return int(phase.ends[until - 1]) + 1 if until else 0, until - record

    @cached_property
    def _turns(self) -> tuple[Flags, Flags]:
        """Which quotes can open a cell, and which can close one."""
        quotes, octets = self._quotes, self._octets
        parting = np.zeros(256, bool)
        parting[[_LF, _CR, self._delimiter]] = True
        opens = parting[octets[quotes - 1]]
        opens[:1] |= quotes[:1] == 0
        closes = parting[octets[np.minimum(quotes + 1, len(octets) - 1)]]
        if len(quotes) and quotes[-1] == len(octets) - 1:
            closes[-1] = self._last
        doubled = np.diff(quotes) == 1
        opens[1:] |= doubled
        closes[:-1] |= doubled
        return opens, closes

    @cached_property
    def _delimiters(self) -> Positions:
        return np.flatnonzero(self._octets == self._delimiter)

    @cached_property
    def _delimiters_before(self) -> Positions:
        before: Positions = self._delimiters.searchsorted(self._bounds)
        return before

    def _judged(self, phase: int) -> _Phase:
        ends = np.flatnonzero(self._quotes_before[1:] % 2 == phase)
        opens, closes = self._turns
        out_of_place = np.empty(len(self._quotes), bool)
        out_of_place[phase::2] = ~opens[phase::2]
        out_of_place[1 - phase :: 2] = ~closes[1 - phase :: 2]
        long = np.diff(self._bounds) > MAX_RECORD
        faults = np.concatenate((self._quotes[out_of_place], self._bounds[:-1][long]))
        doubts = np.zeros(len(ends) + 1, bool)
        doubts[self._bounds[ends + 1].searchsorted(faults, "right")] = True
        doubts[self._refused(phase, ends)] = True
        doubts[-1] = (ends[-1] + 1 if len(ends) else 0) < self.lines
        return _Phase(ends, np.flatnonzero(doubts))

    def _refused(self, phase: int, ends: Positions) -> Positions:
        """Return the records of several lines, of those that end with the lines `ends`, that the rule refuses, if their
        quotes are in place.
        """
        begins = np.concatenate(([0], ends[:-1] + 1))[: len(ends)]
        begins[:phase] = ends[:phase]  # no record of phase 1 begins with the buffer
        several = np.flatnonzero(ends > begins)
        if self._width == 1 or not len(several):
            return several
        begins, ends = begins[several], ends[several]
        cells = self._cells(begins, ends)
        delimiters = self._delimiters_before
        opened, closed = self._delimiters.searchsorted(cells.opens), self._delimiters.searchsorted(cells.closes)
        quoted = closed - opened  # delimiters that are text
        first = np.flatnonzero(np.diff(cells.record, prepend=-1))  # of the cells of each record
        parting = delimiters[ends + 1] - delimiters[begins] - np.add.reduceat(quoted, first)
        refused: Flags = (
            (parting != self._width - 1)
            | (self._bounds[ends + 1] - self._bounds[begins] > MAX_RECORD)
            | (ends - begins >= MAX_LINES)
        )
        # And what looks like rows that a stray quote swallowed.
        quoted_before = np.cumsum(quoted) - quoted
        quoted_before -= quoted_before[first][cells.record]
        index = opened - delimiters[begins][cells.record] - quoted_before
        from_line, to_line = (self._bounds.searchsorted(at, "right") - 1 for at in (cells.opens, cells.closes))
        ends_as_a_row = delimiters[from_line + 1] - opened == self._width - 1 - index
        begins_as_a_row = closed - delimiters[to_line] == index
        is_row = np.diff(delimiters) == self._width - 1
        rows_before = np.concatenate(([0], np.cumsum(is_row)))
        holds_a_row = rows_before[to_line] > rows_before[np.minimum(from_line + 1, to_line)]
        swallows = (to_line > from_line) & (holds_a_row | (ends_as_a_row & begins_as_a_row))
        refused[cells.record[swallows]] = True
        return several[refused]

    def _cells(self, begins: Positions, ends: Positions) -> _Cells:
        """Return the quoted cells of the records from the lines `begins` to the lines `ends`, of several lines each."""
        start = self._quotes_before[begins]
        count = self._quotes_before[ends + 1] - start
        behind = np.cumsum(count)
        quotes = self._quotes[np.arange(behind[-1]) + np.repeat(start - behind + count, count)]
        opens, closes = quotes[::2], quotes[1::2]
        parted = opens[1:] != closes[:-1] + 1  # a doubled quote closes a cell and opens it again
        is_first, is_last = np.append(True, parted), np.append(parted, True)
        record = np.repeat(np.arange(len(count)), count // 2)
        return _Cells(record[is_first], opens[is_first], closes[is_last])


@dataclass(frozen=True, slots=True)
class _Phase:
    """The lines with which records end if quotes open and close in one phase, and which of the records are in doubt;
    the one behind them all is lines at the end of the buffer that make none.
    """

    ends: Positions
    doubts: Positions


@dataclass(frozen=True, slots=True)
class _Cells:
    """Quoted cells: to which record each belongs (from 0), and its outer quotes."""

    record: Positions
    opens: Positions
    closes: Positions
