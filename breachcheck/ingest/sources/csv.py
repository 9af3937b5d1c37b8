"""Rows out of a leaked file, a chunk at a time, never staged."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from breachcheck.errors import InputError
from breachcheck.ingest.mapping import Mapping, Plan

CHUNK_ROWS: Final = 4096
MAX_CELL: Final = 1 << 20  # characters
_DELIMITERS: Final = (";", ",", "\t", "|")


@dataclass(frozen=True, slots=True, repr=False)
class Chunk:
    """Some rows, the plan to read them by, and how many bytes of the file lie behind them. Its `repr` is blank."""

    plan: Plan
    rows: list[list[str]]
    offset: int

    def __repr__(self) -> str:
        return f"<{len(self.rows)} rows>"


def digest(path: Path) -> bytes:
    """Return the SHA-256 of a file.

    Raises:
        InputError: `source`.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InputError("source", f"{path.name}: {error.strerror}") from None


def read_csv(path: Path, mapping: Mapping) -> Iterator[Chunk]:
    """Yield the rows of a CSV file with a header, `CHUNK_ROWS` at a time.

    Octets that are not text in the mapping's encoding are kept apart as lone surrogates: the cell they stand in is then
    no valid identifier, and the row is not lost.

    Raises:
        InputError: `columns`, or `source`: broken quoting, an overlong cell, or not a file; with its line number alone.
    """
    csv.field_size_limit(MAX_CELL)
    with path.open("rb") as raw, io.TextIOWrapper(raw, mapping.encoding, "surrogateescape", newline="") as text:
        reader = None
        rows: list[list[str]] = []
        try:
            first = text.readline(MAX_CELL)
            delimiter: str = mapping.delimiter or max(_DELIMITERS, key=lambda one: first.count(one))
            reader = csv.reader(chain([first], text), delimiter=delimiter, strict=True)
            header = next(reader, [])
            if not any(map(str.strip, header)):
                raise InputError("source", f"{path.name}: the file is empty, or does not begin with its header")
            plan = mapping.plan(header)
            for row in reader:
                rows.append(row)
                if len(rows) == CHUNK_ROWS:
                    yield Chunk(plan, rows, raw.tell())
                    rows = []
        except csv.Error as error:
            line = reader.line_num if reader else 1
            raise InputError("source", f"{path.name}, line {line}: {error}") from None
        except UnicodeDecodeError:
            raise InputError("source", f"{path.name} is not in the encoding {mapping.encoding}") from None
        yield Chunk(plan, rows, raw.tell())
