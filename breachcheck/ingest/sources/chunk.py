"""What every format becomes: chunks that travel to the workers, and there columns of text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import pyarrow as pa

from breachcheck.ingest.plan import Plan


@dataclass(frozen=True, slots=True, repr=False)
class Rows:
    """Rows of one chunk, as columns of text: one for each header of the plan. Its `repr` is blank.

    `columns` are `pa.string()` of equal length; null is a cell that is not there. `numbers` (`pa.int64()`) tells for
    each row its number in the file: the first row under the header is 1. `rejected` are the rows that could not be
    made into columns: number and reason, of `columns`, `empty`, `quoting`, `too_long`, `syntax`, `no_text`.
    """

    columns: tuple[pa.Array, ...]
    numbers: pa.Array
    rejected: tuple[tuple[int, str], ...] = ()

    def __repr__(self) -> str:
        return f"<{len(self.numbers)} rows>"


@dataclass(frozen=True, slots=True, repr=False)
class Chunk(ABC):
    """A part of one file, small enough to be held in memory a few times over; picklable. Its `repr` is blank.

    `plan` is the mapping, settled for this file. `count` is how many rows are in it, rejected ones among them, by a
    count that owes nothing to `rows`; `offset`, how many octets of the file on disk lie behind it. `part` says where in
    the file it is from: "" if there is one place only, else "3" for the third file of an archive or the third sheet of
    a workbook, "3.2" for a sheet in an archive. Rows are numbered anew in each part.
    """

    plan: Plan
    count: int
    offset: int
    part: str
    octets: bytes

    def __repr__(self) -> str:
        return f"<{self.count} rows>"

    @abstractmethod
    def rows(self) -> Rows:
        """Make columns of it. Runs in a worker."""
