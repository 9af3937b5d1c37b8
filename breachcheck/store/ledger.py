"""The ledger: what the steward keeps offline between releases, so that the leaked files can be destroyed.

Of each exposure it holds dataset, kind, OPRF output, locator, field mask and flags: without the key it names nobody. It
is never deployed; every release is made from it. While an ingest runs, its run file stands beside the ledger: it holds
shrouded values, which are ciphertext, and OPRF outputs, and goes when the run's results are in the ledger.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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


class Ledger:
    """An open ledger. One process at a time has it: DuckDB locks the file."""

    def __init__(self, path: Path, keys: StewardKeys, parameters: SlowHash) -> None:
        """Open the ledger at `path`, or begin one there.

        Raises:
            ReleaseError: `unreadable`, `schema`, or `ledger_keys`: it was begun with other keys or parameters.
        """
        self.path = path
        self.public_key = keys.evaluator.pk
        spill = path.with_name(f".{path.name}.spill")
        if not path.exists():
            begun = [schema.LEDGER_VERSION, keys.service_salt, parameters.name, keys.evaluator.pk]
            try:
                _make(path, schema.LEDGER, "INSERT INTO ledger VALUES (?, ?, ?, ?, 0)", begun)
            except duckdb.Error as error:
                raise schema.failed(path, error) from None
        self._database = schema.connect(path, spill=spill)
        shutil.rmtree(spill, ignore_errors=True)  # of a run that was killed; this one makes it anew when it spills
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
        return Run(self._database, self.path.with_name(f"{self.path.name}.{name}"), name, rules)

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

    def __init__(self, database: duckdb.DuckDBPyConnection, path: Path, name: str, rules: Mapping[str, bytes]) -> None:
        self._database, self._path, self._name = database, path, name
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
        self._database.execute(f"ATTACH '{str(self._path).replace(chr(39), chr(39) * 2)}' AS run")

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

    def finish(
        self,
        dataset: Dataset,
        mapping: bytes,
        linking: Sequence[str],
        sources: frozenset[bytes],
        replaced: Sequence[Past],
    ) -> None:
        """Write the results into the ledger in place of those of `replaced`, all or nothing; the run file goes."""
        with _Transaction(self._database):
            for table in ("exposure", "source"):
                for past in replaced:
                    self._database.execute(f"DELETE FROM {table} WHERE run = ?", [past.name])  # noqa: S608
            for past in replaced:
                self._database.execute("DELETE FROM run WHERE name = ?", [past.name])
                self._database.execute("INSERT INTO replaced SELECT ?, released FROM ledger", [past.dataset.name])
            self._database.execute(
                "INSERT INTO exposure SELECT ?, ?, kind, output, locator, list_contains(?, kind) AND flags & ? = 0, "
                "row_high, row_low, fields, flags FROM run.standing JOIN run.merged USING (kind, value) "
                "JOIN run.evaluated ON merged.rowid = position",
                [self._name, dataset.name, list(linking), int(Flag.EMPLOYER)],
            )
            self._database.execute(
                "INSERT INTO main.run (name, dataset, mapping, description, rules) VALUES (?, ?, ?, ?, ?)",
                [self._name, dataset.name, mapping, dataset.model_dump_json(), self._rules],
            )
            for digest in sources:
                self._database.execute("INSERT INTO source VALUES (?, ?)", [self._name, digest])
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
