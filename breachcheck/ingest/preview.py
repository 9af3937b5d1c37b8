"""Rows of text files, delimited and in UTF-8, for `breachcheck mapping`: some without a mapping, or all with one."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Final

import pyarrow as pa

from breachcheck.errors import InputError
from breachcheck.ingest.mapping import Mapping, Plan
from breachcheck.ingest.propose import SAMPLE_ROWS
from breachcheck.ingest.sources.chunk import Rows

_CHUNK_ROWS: Final = 4096
_MAX_CELL: Final = 1 << 20  # characters
_DELIMITERS: Final = (";", ",", "\t", "|")


@contextmanager
def _opened(path: Path, delimiter: str | None = None) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
    """Give the header of a file and its rows.

    Raises:
        InputError: `source`, with the line number alone.
    """
    csv.field_size_limit(_MAX_CELL)
    reader = None
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            first = text.readline(_MAX_CELL)
            delimiter = delimiter or max(_DELIMITERS, key=first.count)
            reader = csv.reader(chain([first], text), delimiter=delimiter, strict=True)
            yield next(reader, []), reader
    except OSError as error:
        raise InputError("source", f"{path.name}: {error.strerror}") from None
    except csv.Error as error:
        line = reader.line_num if reader else 1
        raise InputError("source", f"{path.name}, line {line}: {error}") from None
    except UnicodeDecodeError:
        raise InputError("source", f"{path.name} is not in UTF-8") from None


def head(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header of a file and its first rows, at most `SAMPLE_ROWS`, held in memory alone.

    Raises:
        InputError: `source`.
    """
    with _opened(path) as (header, rows):
        return header, list(islice(rows, SAMPLE_ROWS))


def read(path: Path, mapping: Mapping) -> Iterator[tuple[Plan, Rows]]:
    """Yield all rows of a file, some thousand at a time, and the mapping settled for it.

    Raises:
        InputError: `source` or `columns`.
    """
    with _opened(path, mapping.delimiter) as (header, rows):
        plan = mapping.plan(header)
        first = 1
        while several := list(islice(rows, _CHUNK_ROWS)):
            numbered = list(enumerate(several, start=first))
            whole = [(number, row) for number, row in numbered if len(row) == len(header)]
            yield (
                plan,
                Rows(
                    columns=tuple(pa.array([row[at] for _, row in whole], pa.string()) for at in range(len(header))),
                    numbers=pa.array([number for number, _ in whole], pa.int64()),
                    rejected=tuple(
                        (number, "columns" if any(row) else "empty")
                        for number, row in numbered
                        if len(row) != len(header)
                    ),
                ),
            )
            first += len(several)
