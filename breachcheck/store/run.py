"""The run file of one ingest, beside the ledger: shrouded values, which are ciphertext, and OPRF outputs."""

from __future__ import annotations

import json
import os
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from breachcheck.errors import ReleaseError
from breachcheck.exposure import Flag
from breachcheck.protocol.manifest import Dataset
from breachcheck.store import schema

_ROWS: Final = 16384  # at a time
_READING: Final = "reading"
_MERGED: Final = "merged"


@dataclass(frozen=True, slots=True)
class Past:
    """A run whose results the ledger holds.

    `mapping` is the digest of its mapping, `sources` keyed digests of its files, `rules` the digests of the identifier
    rules, by kind, under which its outputs were made.
    """

    name: str
    mapping: bytes
    dataset: Dataset
    sources: frozenset[bytes]
    rules: Mapping[str, bytes]


class Run:
    """The run file of one ingest. What is in it survives the process: reading and evaluation go on where they were."""

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        path: Path,
        name: str,
        rules: Mapping[str, bytes],
        is_erased: Callable[[], Callable[[bytes], bool] | None],
    ) -> None:
        self._database, self._path, self._name, self._is_erased = database, path, name, is_erased
        self._rules = _write_rules(rules)
        try:
            if not path.exists():
                schema.make(path, schema.RUN, "INSERT INTO rules VALUES (?)", [self._rules])
            self._attach()
            begun = self._database.execute("SELECT rules FROM run.rules").fetchall()
        except duckdb.Error as error:
            raise schema.failed(path, error) from None
        if begun != [(self._rules,)]:
            raise ReleaseError(
                "run_rules", f"{path.name} was begun under other identifier rules: remove it, and it begins anew"
            )

    def _attach(self) -> None:
        self._database.execute(f"ATTACH '{schema.quoted(self._path)}' AS run")

    def discard(self) -> None:
        """Forget the run: its file goes."""
        self._database.execute("TRUNCATE run.evaluated")  # DETACH would write down what it holds
        self._database.execute("DETACH DATABASE IF EXISTS run")
        schema.remove(self._path)

    def _state(self, stage: str) -> str | None:
        found = self._database.execute("SELECT state FROM run.progress WHERE stage = ?", [stage]).fetchone()
        return str(found[0]) if found else None

    def _reach(self, stage: str, state: str) -> None:
        self._database.execute("DELETE FROM run.progress")
        self._database.execute("INSERT INTO run.progress VALUES (?, ?)", [stage, state])

    @property
    def dataset(self) -> Dataset | None:
        """What was read, once all of it is read and merged; None before."""
        state = self._state(_MERGED)
        return Dataset.model_validate_json(state) if state else None

    @property
    def reading(self) -> str | None:
        """What was given to `keep` last; None if nothing was."""
        return self._state(_READING)

    def keep(self, shrouded: pa.Table, rejected: pa.Table, state: str) -> None:
        """Append shrouded values with their masks, rejected rows, and how far it has come, all or nothing."""
        with schema.Transaction(self._database):
            # Not in the order of the files: whoever knows that a file is sorted could name its values by their place.
            # Nor in that of the rows in which one value stands: by their marks it names all else that stands in them.
            self._insert("run.shrouded", shrouded, order="tag_high, row_high")
            self._insert("run.rejected", rejected)
            self._reach(_READING, state)

    def merge(self, dataset: Dataset) -> None:
        """Make one line of all with the same value and row mark, and number the values; keep the result of reading.

        A value's tag, its synthetic IV in two halves, tells it apart: numbers are sooner compared than octets.
        """
        with schema.Transaction(self._database):
            self._database.execute(
                # Not across flags: who stands in a row as employer may stand there as the person too.
                "INSERT INTO run.standing SELECT tag_high, tag_low, row_high, row_low, bit_or(fields), flags "
                "FROM run.shrouded GROUP BY ALL"
            )
            for (kind,) in self._database.execute("SELECT DISTINCT kind FROM run.shrouded ORDER BY kind").fetchall():
                self._database.execute(
                    "INSERT INTO run.merged SELECT DISTINCT kind, value, tag_high, tag_low FROM run.shrouded "
                    "WHERE kind = ?",
                    [kind],
                )
            self._database.execute("DROP TABLE run.shrouded")
            self._reach(_MERGED, dataset.model_dump_json())
        self._database.execute("CHECKPOINT run")

    def rejected(self) -> Iterator[tuple[int, str, int, str]]:
        """Yield place and part of the file, row number and reason of every row that was rejected, in order."""
        reader = self._database.cursor().execute("SELECT * FROM run.rejected ORDER BY ALL")
        while rows := reader.fetchmany(4096):
            yield from rows

    def identifiers(self) -> dict[str, int]:
        """Return how many distinct identifiers of each kind there are."""
        return dict(
            self._database.execute("SELECT kind, count(*) FROM run.merged GROUP BY kind ORDER BY kind").fetchall()
        )

    def evaluated(self) -> int:
        """Return how many identifiers were evaluated: the first ones, by position."""
        [(count,)] = self._database.execute("SELECT count(*) FROM run.evaluated").fetchall()
        return int(count)

    def shrouded(self, start: int, size: int) -> Iterator[tuple[str, list[bytes]]]:
        """Yield kind and shrouded values from position `start` on, at most `size` at a time."""
        step = max(size, 65536 // size * size)
        while True:
            table = self._database.execute(
                "SELECT kind, value FROM run.merged WHERE rowid >= ? AND rowid < ? ORDER BY rowid",
                [start, start + step],
            ).fetchall()
            if not table:
                return
            for kind, rows in groupby(table, key=itemgetter(0)):
                values = [value for _, value in rows]
                for at in range(0, len(values), size):
                    yield kind, values[at : at + size]
            start += step

    def masks(self, positions: Sequence[int]) -> list[tuple[str, bytes, int]]:
        """Return (kind, shrouded value, field mask) at these positions."""
        return self._database.execute(
            "SELECT kind, value, bit_or(fields) FROM run.standing "
            "JOIN (FROM run.merged WHERE list_contains(?, rowid)) USING (tag_high, tag_low) GROUP BY ALL",
            [list(positions)],
        ).fetchall()

    def store(self, start: int, outputs: bytes, locators: array[int]) -> None:
        """Append 64-byte outputs and locators of the identifiers from position `start` on."""
        count = len(locators)
        columns = [
            pa.array(range(start, start + count), pa.uint64()),
            pa.FixedSizeBinaryArray.from_buffers(pa.binary(64), count, [None, pa.py_buffer(outputs)]),
            pa.Array.from_buffers(pa.uint64(), count, [None, pa.py_buffer(locators)]),
        ]
        self._insert("run.evaluated", pa.RecordBatch.from_arrays(columns, ["position", "output", "locator"]))

    def erased(self) -> set[int]:
        """Return the positions of those evaluated identifiers that have a tombstone in the ledger."""
        is_erased = self._is_erased()
        if is_erased is None:
            return set()
        rows = self._database.execute("SELECT position, output FROM run.evaluated")
        found: set[int] = set()
        while batch := rows.fetchmany(_ROWS):
            found.update(position for position, output in batch if is_erased(output))
        return found

    def finish(
        self,
        dataset: Dataset,
        mapping: bytes,
        linking: Sequence[str],
        sources: frozenset[bytes],
        replaced: Sequence[Past],
    ) -> None:
        """Write the results into the ledger in place of those of `replaced`, all or nothing; the run file goes.

        They stand there in an order that the key makes: that of a sorted file would tell whose each of them is. What
        was erased from the ledger does not come back (`Ledger.erase`).
        """
        strong = "list_contains(?, kind) AND flags & ? = 0"
        linked = [list(linking), int(Flag.EMPLOYER)]
        erased = self.erased()
        self._database.register("erased", pa.table({"position": pa.array(erased, pa.uint64())}))
        rows = (
            "SELECT DISTINCT row_high, row_low FROM run.standing JOIN run.merged USING (tag_high, tag_low) "  # noqa: S608
            f"JOIN erased ON merged.rowid = position WHERE {strong}"
        )
        self._database.register("redrawn", redraw(self._database.execute(rows, linked).fetchall() if erased else ()))
        with schema.Transaction(self._database):
            for table in ("exposure", "source"):
                for past in replaced:
                    self._database.execute(f"DELETE FROM {table} WHERE run = ?", [past.name])  # noqa: S608
            for past in replaced:
                self._database.execute("DELETE FROM run WHERE name = ?", [past.name])
                self._database.execute("INSERT INTO replaced SELECT ?, released FROM ledger", [past.dataset.name])
            self._database.execute(
                # What all lines have in common is set beside them when they are in order: it need not be sorted. Of an
                # unsigned position and a rowid DuckDB would compare 128 bits.
                "INSERT INTO exposure SELECT ?, ?, kind, output, locator, linking, high, low, fields, flags FROM ("  # noqa: S608
                f"SELECT kind, output, locator, {strong} AS linking, "
                "coalesce(new_high, row_high) AS high, coalesce(new_low, row_low) AS low, fields, flags "
                "FROM run.standing JOIN run.merged USING (tag_high, tag_low) "
                "JOIN (FROM run.evaluated ANTI JOIN erased USING (position)) AS kept "
                "ON merged.rowid = kept.position::BIGINT "
                "LEFT JOIN redrawn USING (row_high, row_low) ORDER BY locator, high, low)",
                [self._name, dataset.name, *linked],
            )
            self._database.execute(
                "INSERT INTO main.run (name, dataset, mapping, description, rules) VALUES (?, ?, ?, ?, ?)",
                [self._name, dataset.name, mapping, dataset.model_dump_json(), self._rules],
            )
            for digest in sources:
                self._database.execute("INSERT INTO source VALUES (?, ?)", [self._name, digest])
        for view in ("erased", "redrawn"):
            self._database.unregister(view)
        self.discard()

    def _insert(self, table: str, batch: pa.RecordBatch | pa.Table, order: str = "") -> None:
        self._database.register("batch", batch)
        self._database.execute(f"INSERT INTO {table} FROM batch" + (order and f" ORDER BY {order}"))
        self._database.unregister("batch")


def redraw(marks: Iterable[tuple[int, int]]) -> pa.Table:
    """Return these row marks, of two halves, and a random one in place of each.

    A row's mark is a sum over its linking identifiers: one that was erased must not go on in it.
    """
    columns: list[list[int]] = [[], [], [], []]
    for mark in marks:
        for column, half in zip(columns, (*mark, *struct.unpack("=QQ", os.urandom(16))), strict=True):
            column.append(half)
    names = ("row_high", "row_low", "new_high", "new_low")
    return pa.table([pa.array(column, pa.uint64()) for column in columns], names=names)


def _write_rules(rules: Mapping[str, bytes]) -> str:
    return json.dumps({kind: digest.hex() for kind, digest in sorted(rules.items())})


def read_rules(text: str) -> dict[str, bytes]:
    """Return the digests of identifier rules, by kind, as a run wrote them."""
    return {kind: bytes.fromhex(digest) for kind, digest in json.loads(text).items()}
