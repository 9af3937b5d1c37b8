"""The ledger: what the steward keeps offline between releases, so that the leaked files can be destroyed.

Of each exposure it holds dataset, kind, OPRF output, locator, field mask and flags: without the key it names nobody. Of
an identifier that was erased it holds a tombstone: a keyed mark of the output, by which the output is known when it
comes again, and never the output itself, which would open the entry in a release that somebody kept. It is never
deployed; every release is made from it. While an ingest runs, its run file stands beside the ledger: it holds
shrouded values, which are ciphertext, and OPRF outputs, and goes when the run's results are in the ledger.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import struct
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import duckdb
import pyarrow as pa

from breachcheck.errors import ReleaseError
from breachcheck.exposure import DataClass, Flag
from breachcheck.keys import StewardKeys
from breachcheck.protocol.manifest import Dataset
from breachcheck.protocol.parameters import SlowHash
from breachcheck.store import schema
from breachcheck.store.people import People, gather

FILE: Final = "ledger.duckdb"
_ROWS: Final = 16384  # at a time
_READING: Final = "reading"
_MERGED: Final = "merged"
_TOMBSTONE: Final = "tombstone"  # the purpose of its keyed mark, and its table
_SAID: Final = ("title", "date", "source_note", "authenticity_note")  # what is said of a dataset, not counted


class Sealable(NamedTuple):
    """One identifier in one dataset, ready to be sealed."""

    locator: int
    output: bytes
    dataset: str
    fields: int
    flags: int


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


@dataclass(frozen=True, slots=True)
class Erasure:
    """What became of identifiers that were to be erased: how many the ledger held, and how many it did not.

    `before` counts those that had a tombstone already.
    """

    erased: int
    absent: int
    before: int


class Ledger:
    """An open ledger. One process at a time has it: DuckDB locks the file."""

    def __init__(self, path: Path, keys: StewardKeys, parameters: SlowHash) -> None:
        """Open the ledger at `path`, or begin one there.

        Raises:
            ReleaseError: `unreadable`, `schema`, or `ledger_keys`: it was begun with other keys or parameters.
        """
        self.path = path
        self._keys = keys
        self.public_key = keys.evaluator.pk
        spill = path.with_name(f".{path.name}.spill")
        if not path.exists():
            begun = [schema.LEDGER_VERSION, keys.service_salt, parameters.name, keys.evaluator.pk]
            try:
                _make(path, schema.LEDGER, "INSERT INTO ledger VALUES (?, ?, ?, ?, 0)", begun)
            except duckdb.Error as error:
                raise schema.failed(path, error) from None
        self._spill = spill
        self._database = schema.connect(path, spill=spill)
        shutil.rmtree(spill, ignore_errors=True)  # of a run that was killed; this one makes it anew when it spills
        self._remove_heir()
        try:
            self._check(keys, parameters)
        except ReleaseError:
            self._database.close()
            raise
        except duckdb.Error as error:
            self._database.close()
            raise schema.failed(path, error) from None

    def _check(self, keys: StewardKeys, parameters: SlowHash) -> None:
        [(version,)] = self._database.execute("SELECT schema_version FROM ledger").fetchall()
        if version != schema.LEDGER_VERSION:
            raise ReleaseError(
                "schema", f"the ledger is of schema {version}; this version reads {schema.LEDGER_VERSION}"
            )
        [(salt, name, public_key)] = self._database.execute(
            "SELECT service_salt, parameters, public_key FROM ledger"
        ).fetchall()
        if (salt, public_key) != (keys.service_salt, keys.evaluator.pk):
            raise ReleaseError("ledger_keys", "the ledger was begun with other keys")
        if name != parameters.name:
            raise ReleaseError("ledger_keys", f"the ledger was begun with the parameters {name!r}")

    def runs(self) -> list[Past]:
        """Return the runs whose results are held, in the order in which they ended."""
        rows = self._database.execute(
            "SELECT name, mapping, description, (SELECT list(digest) FROM source WHERE source.run = run.name), rules "
            "FROM run ORDER BY number"
        ).fetchall()
        return [
            Past(name, mapping, Dataset.model_validate_json(description), frozenset(digests), _read_rules(rules))
            for name, mapping, description, digests, rules in rows
        ]

    def datasets(self) -> list[Dataset]:
        """Return the datasets, each as its runs together make it, in the order of their names."""
        runs: dict[str, list[Dataset]] = {}
        for past in self.runs():
            runs.setdefault(past.dataset.name, []).append(past.dataset)
        return [_together(runs[name]) for name in sorted(runs)]

    @property
    def released(self) -> int:
        """The number of the last release that was made from this ledger; 0 before the first."""
        [(number,)] = self._database.execute("SELECT released FROM ledger").fetchall()
        return int(number)

    def release(self, number: int) -> None:
        """Keep the number of a release that is made from this ledger, before anybody can see the release."""
        self._database.execute("UPDATE ledger SET released = ?", [number])

    def replaced_since(self, number: int) -> set[str]:
        """Return the datasets of which results were replaced after the release of this number was made."""
        rows = self._database.execute("SELECT dataset FROM replaced WHERE released >= ?", [number]).fetchall()
        return {name for (name,) in rows}

    def describe(self, dataset: Dataset) -> None:
        """Let what is said of a dataset, but not what was counted, be what `dataset` says."""
        for past in self.runs():
            if past.dataset.name == dataset.name:
                told = past.dataset.model_copy(update={name: getattr(dataset, name) for name in _SAID})
                self._database.execute(
                    "UPDATE run SET description = ? WHERE name = ?", [told.model_dump_json(), past.name]
                )

    def withdraw(self, dataset: str) -> bool:
        """Forget all that was read for `dataset`; return whether there was anything."""
        runs = [past.name for past in self.runs() if past.dataset.name == dataset]
        with _Transaction(self._database):
            for name in runs:
                self._database.execute("INSERT INTO replaced SELECT ?, released FROM ledger", [dataset])
                for table, column in (("exposure", "run"), ("source", "run"), ("run", "name")):
                    self._database.execute(f"DELETE FROM {table} WHERE {column} = ?", [name])  # noqa: S608
        return bool(runs)

    def erasures(self) -> int:
        """Return how many identifiers have a tombstone."""
        [(count,)] = self._database.execute("SELECT count(*) FROM tombstone").fetchall()
        return int(count)

    def tombstones(self) -> list[tuple[str, str, str]]:
        """Return date, kind and reference of every erasure, in the order in which they were made."""
        return self._database.execute("SELECT date, kind, reference FROM tombstone ORDER BY rowid").fetchall()

    def erase(self, kind: str, outputs: Iterable[bytes], reference: str, date: str) -> Erasure:
        """Forget 64-byte outputs of one kind, and keep a tombstone of each that has none yet.

        The ledger is written anew without them: rows that are deleted would stay in its file. The file at `path` is the
        old one or the new, whole, whenever this is killed. The mark of a row that an erased output linked is drawn
        anew, once for all that stands in the row: the rest of it stays together, and nothing made from what was erased
        stays with it.

        Raises:
            ReleaseError: `run_unfinished`: the run file of an ingest may hold them; `unreadable`: no space, say.
        """
        if left := self.unfinished():
            raise ReleaseError(
                "run_unfinished", f"{left[0]} is of a run that did not end: give its command again, or remove it"
            )
        marks = {self._keys.keyed(_TOMBSTONE, output): output for output in outputs}
        known = self._marks()
        fresh = {mark: output for mark, output in marks.items() if mark not in known}
        if not fresh:
            return Erasure(0, 0, len(marks))
        try:
            held = self._rewrite(kind, fresh, reference, date)
        except duckdb.Error as error:
            self._remove_heir()
            raise schema.failed(self.path, error) from None
        return Erasure(held, len(fresh) - held, len(marks) - len(fresh))

    def _marks(self) -> set[bytes]:
        return {mark for (mark,) in self._database.execute("SELECT mark FROM tombstone").fetchall()}

    @property
    def _heir(self) -> Path:
        return self.path.with_name(f".{self.path.name}.heir")

    def _remove_heir(self) -> None:
        for path in (self._heir, self._heir.with_name(f"{self._heir.name}.wal")):
            path.unlink(missing_ok=True)

    def _rewrite(self, kind: str, fresh: Mapping[bytes, bytes], reference: str, date: str) -> int:
        run = self._database.execute
        run("CHECKPOINT")  # so that no log of the old file stands beside the new one
        self._remove_heir()
        outputs = pa.array(fresh.values(), pa.binary())
        self._database.register("erased", pa.table({"kind": pa.array([kind] * len(fresh)), "output": outputs}))
        [(held,)] = run("SELECT count(DISTINCT output) FROM exposure SEMI JOIN erased USING (kind, output)").fetchall()
        rows = run(
            "SELECT DISTINCT row_high, row_low FROM exposure SEMI JOIN erased USING (kind, output) WHERE linking"
        )
        self._database.register("redrawn", _redraw(rows.fetchall()))
        [(old,)] = run("SELECT current_database()").fetchall()
        run(f"ATTACH '{_quoted(self._heir)}' AS heir")
        self._heir.chmod(0o600)
        run(f'COPY FROM DATABASE "{old}" TO heir (SCHEMA)')
        tables = run("SELECT table_name FROM duckdb_tables() WHERE database_name = 'heir'").fetchall()
        for (table,) in tables:
            if table != "exposure":
                run(f"INSERT INTO heir.{table} FROM main.{table}")
        run(
            "INSERT INTO heir.exposure SELECT run, dataset, kind, output, locator, linking, "
            "coalesce(new_high, row_high), coalesce(new_low, row_low), fields, flags "
            "FROM main.exposure ANTI JOIN erased USING (kind, output) "
            "LEFT JOIN redrawn USING (row_high, row_low)"
        )
        for mark in fresh:
            run("INSERT INTO heir.tombstone VALUES (?, ?, ?, ?)", [mark, kind, reference, date])
        run("CHECKPOINT heir")
        run("DETACH heir")
        _sync(self._heir)
        # Under the lock on the old file, which goes with it.
        self._heir.rename(self.path)
        self._database.close()
        _sync(self.path.parent)
        self._database = schema.connect(self.path, spill=self._spill)
        return int(held)

    def gather(self) -> People:
        """Tell people apart, and settle what each identifier shows. What follows here needs it done once."""
        return gather(self._database)

    def rules(self) -> dict[str, bytes]:
        """Return by kind the digest of the identifier rules under which its outputs were made."""
        return {kind: digest for past in self.runs() for kind, digest in past.rules.items()}

    def kinds(self) -> list[str]:
        """Return the kinds of which the ledger holds at least one identifier."""
        return [
            kind for (kind,) in self._database.execute("SELECT DISTINCT kind FROM sealable ORDER BY kind").fetchall()
        ]

    def members(self, kind: str, bits: int) -> list[int]:
        """Return how many distinct identifiers of `kind` fall into each bucket under a prefix of `bits` bits."""
        counts = [0] * (1 << bits)
        rows = self._database.execute(
            "SELECT locator >> ?, count(DISTINCT output) FROM sealable WHERE kind = ? GROUP BY ALL", [64 - bits, kind]
        )
        for bucket, members in rows.fetchall():
            counts[bucket] = members
        return counts

    def fields(self, dataset: str) -> dict[int, int]:
        """Return how many identifiers show which field mask in a dataset."""
        rows = self._database.execute(
            "SELECT fields, count(*) FROM sealable WHERE dataset = ? GROUP BY fields ORDER BY fields", [dataset]
        )
        return dict(rows.fetchall())

    def entries(self, kind: str, bits: int) -> list[int]:
        """Return how many entries of `kind` fall into each bucket: one for each identifier and dataset."""
        counts = [0] * (1 << bits)
        rows = self._database.execute(
            "SELECT locator >> ?, count(*) FROM sealable WHERE kind = ? GROUP BY ALL", [64 - bits, kind]
        )
        for bucket, entries in rows.fetchall():
            counts[bucket] = entries
        return counts

    def sealables(self, kind: str) -> Iterator[Sealable]:
        """Yield what is known of each identifier in each dataset, in bucket order."""
        # On this connection, whose temporary table it is: no other query of the ledger may run meanwhile.
        query = "SELECT locator, output, dataset, fields, flags FROM sealable WHERE kind = ? ORDER BY locator"
        reader = self._database.sql(query, params=[kind]).to_arrow_reader(_ROWS)
        for batch in reader:
            yield from map(Sealable._make, zip(*(column.to_pylist() for column in batch.columns), strict=True))

    def run(self, name: str, rules: Mapping[str, bytes]) -> Run:
        """Begin the ingest run of this name under these identifier rules (digests by kind), or go on with it.

        Raises:
            ReleaseError: `unreadable`, or `run_rules`: it was begun under others.
        """
        return Run(self._database, self.path.with_name(f"{self.path.name}.{name}"), name, rules, self._is_erased)

    def _is_erased(self) -> Callable[[bytes], bool] | None:
        marks, keyed = self._marks(), self._keys.keyed
        return (lambda output: keyed(_TOMBSTONE, output) in marks) if marks else None

    def unfinished(self) -> list[str]:
        """Return the names of the run files beside the ledger: of runs that did not end."""
        found = re.compile(rf"{re.escape(self.path.name)}\.[0-9a-f]{{16}}")
        return sorted(path.name for path in self.path.parent.iterdir() if found.fullmatch(path.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file.

        Raises:
            ReleaseError: `unreadable`: DuckDB failed while the ledger was open, for lack of space, say.
        """
        with contextlib.suppress(duckdb.Error):
            self._database.close()
        if isinstance(error, duckdb.Error):
            raise schema.failed(self.path, error) from None


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
                _make(path, schema.RUN, "INSERT INTO rules VALUES (?)", [self._rules])
            self._attach()
            begun = self._database.execute("SELECT rules FROM run.rules").fetchall()
        except duckdb.Error as error:
            raise schema.failed(path, error) from None
        if begun != [(self._rules,)]:
            raise ReleaseError(
                "run_rules", f"{path.name} was begun under other identifier rules: remove it, and it begins anew"
            )

    def _attach(self) -> None:
        self._database.execute(f"ATTACH '{_quoted(self._path)}' AS run")

    def discard(self) -> None:
        """Forget the run: its file goes."""
        self._database.execute("DETACH DATABASE IF EXISTS run")
        for path in (self._path, self._path.with_name(f"{self._path.name}.wal")):
            path.unlink(missing_ok=True)

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
        with _Transaction(self._database):
            self._insert("run.shrouded", shrouded)
            self._insert("run.rejected", rejected)
            self._reach(_READING, state)

    def merge(self, dataset: Dataset) -> None:
        """Make one line of all with the same value and row mark, and number the values; keep the result of reading."""
        with _Transaction(self._database):
            self._database.execute(
                # Not across flags: who stands in a row as employer may stand there as the person too.
                "CREATE TABLE run.standing AS SELECT kind, value, row_high, row_low, bit_or(fields) AS fields, flags "
                "FROM run.shrouded GROUP BY ALL"
            )
            self._database.execute(
                "CREATE TABLE run.merged AS SELECT kind, value FROM run.standing GROUP BY ALL ORDER BY kind"
            )
            self._database.execute("DROP TABLE run.shrouded")
            self._reach(_MERGED, dataset.model_dump_json())
        self._database.execute("CHECKPOINT run")

    def rejected(self) -> Iterator[tuple[str, int, str]]:
        """Yield name of file, row number and reason of every row that was rejected, in order."""
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
            "SEMI JOIN (FROM run.merged WHERE list_contains(?, rowid)) USING (kind, value) GROUP BY ALL",
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

        What was erased from the ledger does not come back (`Ledger.erase`).
        """
        strong = "list_contains(?, kind) AND flags & ? = 0"
        linked = [list(linking), int(Flag.EMPLOYER)]
        self._database.register("erased", pa.table({"position": pa.array(self.erased(), pa.uint64())}))
        rows = self._database.execute(
            "SELECT DISTINCT row_high, row_low FROM run.standing JOIN run.merged USING (kind, value) "  # noqa: S608
            f"JOIN erased ON merged.rowid = position WHERE {strong}",
            linked,
        )
        self._database.register("redrawn", _redraw(rows.fetchall()))
        with _Transaction(self._database):
            for table in ("exposure", "source"):
                for past in replaced:
                    self._database.execute(f"DELETE FROM {table} WHERE run = ?", [past.name])  # noqa: S608
            for past in replaced:
                self._database.execute("DELETE FROM run WHERE name = ?", [past.name])
                self._database.execute("INSERT INTO replaced SELECT ?, released FROM ledger", [past.dataset.name])
            self._database.execute(
                f"INSERT INTO exposure SELECT ?, ?, kind, output, locator, {strong}, "  # noqa: S608
                "coalesce(new_high, row_high), coalesce(new_low, row_low), fields, flags "
                "FROM run.standing JOIN run.merged USING (kind, value) "
                "JOIN (FROM run.evaluated ANTI JOIN erased USING (position)) AS kept ON merged.rowid = kept.position "
                "LEFT JOIN redrawn USING (row_high, row_low)",
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

    def _insert(self, table: str, batch: pa.RecordBatch | pa.Table) -> None:
        self._database.register("batch", batch)
        self._database.execute(f"INSERT INTO {table} FROM batch")
        self._database.unregister("batch")


def _make(path: Path, tables: str, insert: str, values: Sequence[object]) -> None:
    # Under another name first: a file that is there is whole, however its making ended. For the owner alone.
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with schema.connect(new) as database:
        new.chmod(0o600)
        database.execute(tables)
        database.execute(insert, values)
        database.execute("CHECKPOINT")
    new.rename(path)


def _redraw(marks: Iterable[tuple[int, int]]) -> pa.Table:
    # A row's mark is a sum over its linking identifiers: one that was erased must not go on in it.
    columns: list[list[int]] = [[], [], [], []]
    for mark in marks:
        for column, half in zip(columns, (*mark, *struct.unpack("=QQ", os.urandom(16))), strict=True):
            column.append(half)
    names = ("row_high", "row_low", "new_high", "new_low")
    return pa.table([pa.array(column, pa.uint64()) for column in columns], names=names)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_rules(rules: Mapping[str, bytes]) -> str:
    return json.dumps({kind: digest.hex() for kind, digest in sorted(rules.items())})


def _read_rules(text: str) -> dict[str, bytes]:
    return {kind: bytes.fromhex(digest) for kind, digest in json.loads(text).items()}


def _together(runs: Sequence[Dataset]) -> Dataset:
    rejected: Counter[str] = Counter()
    identifiers: dict[str, Counter[str]] = {}
    said: dict[str, Any] = {}
    for run in runs:
        rejected.update(run.rows_rejected)
        for kind, reasons in run.identifiers_rejected.items():
            identifiers.setdefault(kind, Counter()).update(reasons)
        said |= {name: getattr(run, name) for name in _SAID if getattr(run, name)}
    counted = {
        "fields": tuple(name for name in DataClass if any(name in run.fields for run in runs)),
        "kinds": tuple(sorted({kind for run in runs for kind in run.kinds})),
        "rows_read": sum(run.rows_read for run in runs),
        "rows_accepted": sum(run.rows_accepted for run in runs),
        "rows_rejected": dict(sorted(rejected.items())),
        "identifiers_rejected": {kind: dict(sorted(counts.items())) for kind, counts in sorted(identifiers.items())},
    }
    return runs[0].model_copy(update=said | counted)


class _Transaction:
    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.begin()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._database.commit()
        else:
            self._database.rollback()
