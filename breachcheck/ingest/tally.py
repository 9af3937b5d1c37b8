"""How well a mapping fits its files: what each column holds, counted and never shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass
from breachcheck.ingest.plan import Cell, Plan, column_names, folded
from breachcheck.ingest.sources.chunk import Rows
from breachcheck.protocol.identifier import KINDS

SMALL: Final = 10  # counts under it are told as such only


@dataclass(slots=True)
class ColumnTally:
    """What stands in one column: `absent` cells of `cells`, and of what is there how much passed, and what did not.

    `headers` and `means` come from the mapping: the kinds of its identifiers or its data class. `passed` counts
    identifiers by kind (of a cell that holds several each counts), or cells of the data class; `refused` counts
    identifiers by reason.
    """

    headers: tuple[str, ...]
    means: tuple[str, ...]
    cells: int = 0
    absent: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def told(self) -> tuple[str, str, dict[str, str], dict[str, str]]:
        """Return cells, absent, passed and refused in words.

        A count from 1 to 9 is told as "<10". Then all others but `cells` are rounded down to tens, or it would follow
        from them.
        """
        counts = (self.cells, self.absent, *self.passed.values(), *self.refused.values())
        rounded = any(0 < count < SMALL for count in counts)

        def say(count: int) -> str:
            return coarse(count - count % SMALL if rounded and count >= SMALL else count)

        passed = {name: say(self.passed[name]) for name in self.means}
        refused = {name: say(count) for name, count in sorted(self.refused.items())}
        return coarse(self.cells), say(self.absent), passed, refused


@dataclass(slots=True)
class Tally:
    """What stands in all columns of some files, and the rows that could not be read, by reason."""

    rows: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    columns: dict[tuple[str, ...], ColumnTally] = field(default_factory=dict)


def coarse(count: int) -> str:
    """Return a count in words, a small one as "<10": few people may stand behind it."""
    return f"<{SMALL}" if 0 < count < SMALL else f"{count:,}"


def tally(chunks: Iterable[tuple[Plan, Rows]]) -> Tally:
    """Count what stands in the columns of chunks of one or more files that were read with one mapping."""
    counted = Tally()
    for plan, rows in chunks:
        counted.rows += len(rows.numbers) + len(rows.rejected)
        counted.rejected.update(reason for _, reason in rows.rejected)
        texts = [column.to_pylist() for column in rows.columns]
        repeated = {row for row in range(len(rows.numbers)) if tuple(text[row] for text in texts) == plan.header}
        counted.rejected.update({"repeated_header": len(repeated)} if repeated else {})
        names = column_names(plan.header)
        for cell in plan.cells:
            headers = tuple(names[index] for index in cell.indexes)
            column = counted.columns.setdefault(
                tuple(map(folded, headers)), ColumnTally(headers, cell.kinds or _data_class(cell))
            )
            for row, parts in enumerate(zip(*(texts[index] for index in cell.indexes), strict=True)):
                if row not in repeated:
                    _count(cell, parts, column)
    return counted


def _data_class(cell: Cell) -> tuple[str, ...]:
    return tuple(one.value for one in DataClass if one.bit == cell.mask)


def _count(cell: Cell, parts: Sequence[str | None], column: ColumnTally) -> None:
    column.cells += 1
    values = list(_values(cell, parts))
    if not values:
        column.absent += 1
    elif not cell.kinds:
        column.passed[column.means[0]] += 1
    else:
        for value in values:
            _judge(cell.kinds, value, column)


def _values(cell: Cell, parts: Sequence[str | None]) -> Iterator[str]:
    """Yield what stands in a cell: its parts joined, cut where it is split, without what is absent."""
    if all(part is None or folded(part) in cell.absent for part in parts):
        return
    yield from cell.values("".join(part.strip() for part in parts if part is not None))


def _judge(kinds: Sequence[str], value: str, column: ColumnTally) -> None:
    first = ""
    for kind in kinds:
        try:
            KINDS[kind].canonical(value)
        except InputError as error:
            first = first or error.reason
        else:
            column.passed[kind] += 1
            return
    column.refused[first] += 1
