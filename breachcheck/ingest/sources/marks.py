"""Where lines and records end in octets, and which records are in doubt: found for all of them at once.

Quotes open and close cells by turns. From the start of a record on either those of an even number open them or those of
an odd one: that is its phase, and as long as records are sound it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from breachcheck.ingest.sources.syntax import MAX_LINES, MAX_RECORD, Syntax

_QUOTE, _LF, _CR = b'"\n\r'

Positions = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


class Marks:
    """The lines of a buffer that begins with a record, and the records of `width` cells in them. `last`: nothing
    follows the buffer.

    A record is in doubt where a quote neither opens nor closes a cell in its turn, where a line is too long, and where
    it has several lines and the rule of `records` refuses it, or its end is not there.
    """

    def __init__(self, buffer: bytes, last: bool, syntax: Syntax, width: int) -> None:
        self._buffer = buffer
        self._last = last
        self._delimiter = syntax.delimiter[0]
        self._width = width
        self._octets = np.frombuffer(buffer, np.uint8)
        self._bounds = _bounds_of_lines(buffer, last)
        self._quotes = np.flatnonzero(self._octets == _QUOTE) if syntax.quotes else np.empty(0, np.intp)
        self._quotes_before = self._quotes.searchsorted(self._bounds)
        self._phases: dict[int, _Phase] = {}
        self.lines = len(self._bounds) - 1
        self.quoted = len(self._quotes) > 0

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
        doubts[-1] = (ends[-1] + 1 if len(ends) else 0) < self.lines

        begins = np.concatenate(([0], ends[:-1] + 1))[: len(ends)]
        begins[:phase] = ends[:phase]  # no record of phase 1 begins with the buffer
        start, stop = self._bounds[begins], self._bounds[ends + 1]
        several = ends > begins
        known = several & ~doubts[:-1] & (ends - begins < MAX_LINES) & (stop - start <= MAX_RECORD)
        doubts[:-1] |= several
        if self._width > 1 and known.any():
            places = zip(start[known].tolist(), stop[known].tolist(), strict=True)
            records = [self._buffer[one:two] for one, two in places]
            doubts[:-1][known] = _refused(records, self._delimiter, self._width)
        return _Phase(ends, np.flatnonzero(doubts))


@dataclass(frozen=True, slots=True)
class _Phase:
    """The lines with which records end if quotes open and close in one phase, and which of the records are in doubt;
    the one behind them all is lines at the end of the buffer that make none.
    """

    ends: Positions
    doubts: Positions


def _bounds_of_lines(buffer: bytes, last: bool) -> Positions:
    """Return where line 0 begins, and where each line ends."""
    octets = np.frombuffer(buffer, np.uint8)
    ends = np.flatnonzero(octets == _LF)
    if b"\r" in buffer:
        returns = np.flatnonzero(octets == _CR)
        if returns[-1] == len(buffer) - 1 and not last:
            returns = returns[:-1]  # it may be half of a CR LF
        alone = returns[octets[np.minimum(returns + 1, len(buffer) - 1)] != _LF]
        if len(alone):
            ends = np.sort(np.concatenate((ends, alone)))
    bounds = np.concatenate(([0], ends + 1))
    return np.append(bounds, len(buffer)) if last and bounds[-1] != len(buffer) else bounds


def _refused(records: Sequence[bytes], delimiter: int, width: int) -> Flags:
    """Tell which records the rule refuses. Each has several lines, and in it quotes open and close cells by turns."""
    buffer = b"".join(records)
    octets = np.frombuffer(buffer, np.uint8)
    delimiters = np.flatnonzero(octets == delimiter)
    quotes = np.flatnonzero(octets == _QUOTE)
    opens, closes = quotes[::2], quotes[1::2]
    parted = opens[1:] != closes[:-1] + 1  # a doubled quote closes a cell and opens it again
    opens, closes = opens[np.append(True, parted)], closes[np.append(parted, True)]
    stops = np.cumsum(list(map(len, records)))
    record = stops.searchsorted(opens, "right")  # to which each quoted cell belongs
    first = np.flatnonzero(np.diff(record, prepend=-1))  # of the cells of each
    opened, closed = delimiters.searchsorted(opens), delimiters.searchsorted(closes)
    quoted = closed - opened  # delimiters that are text
    before = np.concatenate(([0], delimiters.searchsorted(stops)))
    refused: Flags = np.diff(before) - np.add.reduceat(quoted, first) != width - 1
    # And those that look like rows that a stray quote swallowed.
    quoted_before = np.cumsum(quoted) - quoted
    index = opened - before[record] - (quoted_before - quoted_before[first][record])
    bounds = _bounds_of_lines(buffer, last=True)
    from_line, to_line = (bounds.searchsorted(at, "right") - 1 for at in (opens, closes))
    before_lines = delimiters.searchsorted(bounds)
    ends_as_a_row = before_lines[from_line + 1] - opened == width - 1 - index
    begins_as_a_row = closed - before_lines[to_line] == index
    is_row = np.diff(before_lines) == width - 1
    rows_before = np.concatenate(([0], np.cumsum(is_row)))
    holds_a_row = rows_before[to_line] > rows_before[np.minimum(from_line + 1, to_line)]
    refused[record[(to_line > from_line) & (holds_a_row | (ends_as_a_row & begins_as_a_row))]] = True
    return refused
