"""DuckDB files: their tables, their version, and how one is opened so that nothing leaves it unasked."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

import duckdb

from breachcheck.errors import ReleaseError

LEDGER_VERSION: Final = 4  # 4 has tombstones; 3 marks rows by their linking identifiers, and keeps their rules
RUN_VERSION: Final = 3  # 3 tells values apart by their tags; 2 has places of files, not their names
RELEASE_VERSION: Final = 3  # 3 has the count of erasures in its manifest, 2 canaries and what was withdrawn

RELEASE: Final = """
CREATE TABLE release (schema_version UINTEGER NOT NULL, number UBIGINT NOT NULL);
CREATE TABLE dataset (position UINTEGER NOT NULL, name VARCHAR NOT NULL, description VARCHAR NOT NULL);
CREATE TABLE kind (position UINTEGER NOT NULL, name VARCHAR NOT NULL, prefix_bits UINTEGER NOT NULL,
                   entries_per_bucket UINTEGER NOT NULL, root BLOB NOT NULL);
CREATE TABLE bucket (kind UINTEGER NOT NULL, number UINTEGER NOT NULL, digest BLOB NOT NULL,
                     entries BLOB NOT NULL USING COMPRESSION uncompressed);
"""

# Ciphertext and outputs are random: DuckDB would look long for what it can save of them, and find nothing.
LEDGER: Final = """
CREATE TABLE ledger (schema_version UINTEGER NOT NULL, service_salt BLOB NOT NULL, parameters VARCHAR NOT NULL,
                     public_key BLOB NOT NULL, released UBIGINT NOT NULL DEFAULT 0);
CREATE TABLE replaced (dataset VARCHAR NOT NULL, released UBIGINT NOT NULL);
CREATE SEQUENCE runs;
CREATE TABLE run (number UBIGINT NOT NULL DEFAULT nextval('runs'), name VARCHAR NOT NULL, dataset VARCHAR NOT NULL,
                  mapping BLOB NOT NULL, description VARCHAR NOT NULL, rules VARCHAR NOT NULL);
CREATE TABLE tombstone (mark BLOB NOT NULL, kind VARCHAR NOT NULL, reference VARCHAR NOT NULL, date VARCHAR NOT NULL);
CREATE TABLE source (run VARCHAR NOT NULL, digest BLOB NOT NULL);
CREATE TABLE exposure (run VARCHAR NOT NULL, dataset VARCHAR NOT NULL, kind VARCHAR NOT NULL,
                       output BLOB NOT NULL USING COMPRESSION uncompressed, locator UBIGINT NOT NULL,
                       linking BOOLEAN NOT NULL, row_high UBIGINT NOT NULL, row_low UBIGINT NOT NULL,
                       fields UINTEGER NOT NULL, flags UTINYINT NOT NULL);
"""

RUN: Final = """
CREATE TABLE rules (rules VARCHAR NOT NULL);
CREATE TABLE progress (stage VARCHAR NOT NULL, state VARCHAR NOT NULL);
CREATE TABLE shrouded (kind VARCHAR NOT NULL, value BLOB NOT NULL USING COMPRESSION uncompressed,
                       tag_high UBIGINT NOT NULL, tag_low UBIGINT NOT NULL, row_high UBIGINT NOT NULL,
                       row_low UBIGINT NOT NULL, fields UINTEGER NOT NULL, flags UTINYINT NOT NULL);
CREATE TABLE standing (tag_high UBIGINT NOT NULL, tag_low UBIGINT NOT NULL, row_high UBIGINT NOT NULL,
                       row_low UBIGINT NOT NULL, fields UINTEGER NOT NULL, flags UTINYINT NOT NULL);
CREATE TABLE merged (kind VARCHAR NOT NULL, value BLOB NOT NULL USING COMPRESSION uncompressed,
                     tag_high UBIGINT NOT NULL, tag_low UBIGINT NOT NULL);
CREATE TABLE rejected (file UINTEGER NOT NULL, part VARCHAR NOT NULL, number UBIGINT NOT NULL, reason VARCHAR NOT NULL);
CREATE TABLE evaluated (position UBIGINT NOT NULL, output BLOB NOT NULL USING COMPRESSION uncompressed,
                        locator UBIGINT NOT NULL);
"""
_LOCKED: Final = "IO Error: Could not set lock on file "  # as DuckDB says it; a damaged one has a bad "block"


def connect(
    path: Path, *, read_only: bool = False, memory: str = "512MB", spill: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file, or create it where `read_only` is not set.

    No extension is loaded and no other file read or written; memory is bounded, and spills to `spill` where given.

    Raises:
        ReleaseError: `unreadable`: not a DuckDB file, damaged, locked or missing.
    """
    try:
        connection = duckdb.connect(
            path,
            read_only=read_only,
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "memory_limit": memory,
                "temp_directory": str(spill) if spill else "",
                "preserve_insertion_order": "false" if spill else "true",
            },
        )
        # Without a main file Python is taken for an interactive one, and long queries for what wants a bar on stdout.
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        raise failed(path, error) from None
    return connection


def remove(path: Path) -> None:
    """Remove a DuckDB file and its log, if they are there."""
    for one in (path, path.with_name(f"{path.name}.wal")):
        one.unlink(missing_ok=True)


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turn what DuckDB cannot do with the file at `path` into an error of ours.

    Raises:
        ReleaseError: `locked` or `unreadable`.
    """
    try:
        yield
    except duckdb.Error as error:
        raise failed(path, error) from None


def failed(path: Path, error: duckdb.Error) -> ReleaseError:
    """Return the error for what DuckDB could not do. DuckDB's own words may quote content: only their kind stands."""
    if isinstance(error, duckdb.IOException) and str(error).startswith(_LOCKED):
        return ReleaseError("locked", f"another process has {path.name} open")
    if os.strerror(errno.ENOSPC) in str(error):  # of a transaction or a checkpoint it is another type each
        return ReleaseError("unreadable", f"{path.name}: its disk is full")
    return ReleaseError("unreadable", f"{path.name}: DuckDB says {type(error).__name__}")


def make(path: Path, tables: str, insert: str, values: Sequence[object]) -> None:
    """Make a DuckDB file with these tables and one row, for the owner alone.

    Under another name first: a file that is there is whole, however its making ended.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with connect(new) as database:
        new.chmod(0o600)
        database.execute(tables)
        database.execute(insert, values)
        database.execute("CHECKPOINT")
    new.rename(path)


def quoted(path: Path) -> str:
    """Return a path as it stands between quotes in SQL."""
    return str(path).replace("'", "''")


class Transaction:
    """All that is done in the block, or nothing of it."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.begin()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._database.commit()
        else:
            self._database.rollback()
