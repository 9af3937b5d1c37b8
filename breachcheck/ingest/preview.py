"""The first rows of a file for which there is no mapping yet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from breachcheck.ingest.mapping import Mapping
from breachcheck.ingest.plan import Plan
from breachcheck.ingest.propose import SAMPLE_ROWS
from breachcheck.ingest.sources.open import chunks


class _Unmapped(Mapping):
    def plan(self, header: Sequence[str]) -> Plan:
        return Plan(tuple(header), (), frozenset())


def head(path: Path, above: int = 0) -> tuple[list[str], list[list[str | None]]]:
    """Return the header of a file, under so many lines, and its first rows, at most `SAMPLE_ROWS`, in memory alone.

    Of sheets or files in it that have several headers it is the one with the most rows, and these are its own.

    Raises:
        InputError: `source`, `format`, or what else `sources.open.chunks` refuses.
    """
    found: dict[tuple[str, ...], list[list[str | None]]] = {}
    for chunk in chunks(path, _Unmapped.model_construct(version=1, above=above, column=())):
        rows = found.setdefault(chunk.plan.header, [])
        columns = (column.slice(0, SAMPLE_ROWS).to_pylist() for column in chunk.rows().columns)
        rows += map(list, islice(zip(*columns, strict=True), SAMPLE_ROWS - len(rows)))
        if len(rows) == SAMPLE_ROWS:
            break
    header = max(found, key=lambda one: len(found[one]), default=())
    return list(header), found.get(header, [])
