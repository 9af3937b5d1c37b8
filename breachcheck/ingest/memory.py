"""The rows that were seen before, by mark: a dump of monthly files says the same of a person a dozen times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from breachcheck.ingest.cells import Marks, Refused

SLOT: Final = 24  # octets
MAX_SLOTS: Final = 1 << 23
_SLOTS: Final = 1 << 14  # at first
_FILLED: Final = 0.75  # of the slots, at most
MAX_REMEMBERED: Final = int(MAX_SLOTS * _FILLED)  # rows

Numbers = npt.NDArray[np.uint32]


class Outcome(NamedTuple):
    """Of a row: whether an identifier was found in it, and what was refused in each of its cells of identifiers."""

    accepted: bool
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class News:
    """The rows that a chunk was the first to tell: their marks, and for each the number of one of the outcomes."""

    chunk: int
    outcomes: tuple[Outcome, ...]
    numbers: Numbers
    marks: Marks


class Memory:
    """What a worker has seen or heard of. Of each row it has the first chunk that it knows to tell it, and the outcome.

    Of a row whose identifiers are spelled as they were before, beside the same fields, there is nothing new to tell.
    "Before" is in a chunk of a lower number: so the first chunk in which a row stands tells it, whichever worker did
    that chunk, in whatever order, and did it again when the first result was lost. What another worker told is heard of
    when its result has arrived.

    It is a hash table with linear probing, in arrays, so that the rows of a chunk are looked for at once: a dict of so
    many octet strings takes five times the room, and most of its time waits for memory.
    """

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._known: dict[Outcome, int] = {}
        self._heard: set[int] = set()
        self._rows = 0
        self._make(_SLOTS)

    def _make(self, slots: int) -> None:
        self._marks = np.zeros((slots, 2), np.uint64)
        self._chunks = np.zeros(slots, np.uint32)  # and 1; 0 where no row is
        self._numbers = np.zeros(slots, np.uint32)  # in `outcomes`

    def find(self, marks: Marks, before: int) -> tuple[npt.NDArray[np.bool_], Numbers]:
        """Return which rows chunks of a lower number than `before` told, and the numbers of the outcomes of those."""
        seen, numbers = np.zeros(len(marks), bool), np.zeros(len(marks), np.uint32)
        left, slots = np.arange(len(marks)), self._slots_of(marks)
        while len(left):
            same = _same(self._marks[slots], marks[left])
            chunks = self._chunks[slots]
            here = same & (chunks > 0) & (chunks <= before)
            seen[left[here]], numbers[left[here]] = True, self._numbers[slots[here]]
            further = ~same & (chunks > 0)
            left, slots = left[further], self._next(slots[further])
        return seen, numbers

    def keep(self, news: News) -> None:
        """Remember the rows that a chunk told, while there is room; nothing, if it was heard of before."""
        if news.chunk in self._heard:
            return
        self._heard.add(news.chunk)
        rows = self._rows + len(news.marks)
        while rows > _FILLED * len(self._chunks) and len(self._chunks) < MAX_SLOTS:
            self._grow()
        if rows > _FILLED * len(self._chunks):
            return
        for outcome in news.outcomes:
            if outcome not in self._known:
                self._known[outcome] = len(self.outcomes)
                self.outcomes.append(outcome)
        known = np.array([self._known[outcome] for outcome in news.outcomes], np.uint32)
        self._insert(news.marks, np.full(len(news.marks), news.chunk + 1, np.uint32), known[news.numbers])

    def _insert(self, marks: Marks, chunks: Numbers, numbers: Numbers) -> None:
        left, slots = np.arange(len(marks)), self._slots_of(marks)
        while len(left):
            empty = self._chunks[slots] == 0
            row, slot = left[empty], slots[empty]
            # Of rows that find the same slot empty the last one stays: the others go on.
            self._marks[slot], self._chunks[slot], self._numbers[slot] = marks[row], chunks[row], numbers[row]
            self._rows += len(np.unique(slot))
            here = _same(self._marks[slots], marks[left])
            np.minimum.at(self._chunks, slots[here], chunks[left[here]])  # some were there before
            left, slots = left[~here], self._next(slots[~here])

    def _grow(self) -> None:
        marks, chunks, numbers = self._marks, self._chunks, self._numbers
        self._make(2 * len(chunks))
        self._rows = 0
        for at in range(0, len(chunks), _SLOTS):  # few at a time: to place a row takes twice the room that it has here
            part = slice(at, at + _SLOTS)
            filled = chunks[part] > 0
            self._insert(marks[part][filled], chunks[part][filled], numbers[part][filled])

    def _slots_of(self, marks: Marks) -> npt.NDArray[np.intp]:
        return marks[:, 0].astype(np.intp) & (len(self._chunks) - 1)

    def _next(self, slots: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        return (slots + 1) & (len(self._chunks) - 1)


def _same(some: Marks, others: Marks) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = (some[:, 0] == others[:, 0]) & (some[:, 1] == others[:, 1])
    return same
