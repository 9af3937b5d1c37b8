"""The ledger: what the steward keeps offline between releases, so that the leaked files can be destroyed.

Of each exposure it holds dataset, kind, OPRF output, locator, field mask and flags: without the key it names nobody. It
is never deployed; every release is made from it. While an ingest runs, its run file stands beside the ledger: it holds
shrouded values, which are ciphertext, and OPRF outputs, and goes when the run's results are in the ledger.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import duckdb
import pyarrow as pa

from breachcheck.errors import ReleaseError
from breachcheck.exposure import DataClass
from breachcheck.keys import StewardKeys
from breachcheck.protocol.manifest import Dataset
from breachcheck.protocol.parameters import SlowHash
from breachcheck.store import schema

FILE: Final = "ledger.duckdb"
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
    """A run whose results the ledger holds: the digest of its mapping, what it read, keyed digests of its files."""

    name: str
    mapping: bytes
    dataset: Dataset
    sources: frozenset[bytes]


class Ledger:
    """An open ledger. One process at a time has it: DuckDB locks the file."""

    def __init__(self, path: Path, keys: StewardKeys, parameters: SlowHash) -> None:
        """Open the ledger at `path`, or begin one there.

        Raises:
            ReleaseError: `unreadable`, `schema`, or `ledger_keys`: it was begun with other keys or parameters.
        """
        self.path = path
        spill = path.with_name(f".{path.name}.spill")
        if not path.exists():
            begun = [schema.SCHEMA_VERSION, keys.service_salt, parameters.name, keys.evaluator.pk]
            try:
                _make(path, schema.LEDGER, begun)
            except duckdb.Error as error:
                raise schema.failed(path, error) from None
        self._database = schema.connect(path, spill=spill)
        shutil.rmtree(spill, ignore_errors=True)  # of a run that was killed; this one makes it anew when it spills
        try:
            self._check(keys, parameters)
        except ReleaseError:
            self._database.close()
            raise

    def _check(self, keys: StewardKeys, parameters: SlowHash) -> None:
        [(version, salt, name, public_key)] = self._database.execute("FROM ledger").fetchall()
        if version != schema.SCHEMA_VERSION:
            raise ReleaseError(
                "schema", f"the ledger is of schema {version}; this version reads {schema.SCHEMA_VERSION}"
            )
        if (salt, public_key) != (keys.service_salt, keys.evaluator.pk):
            raise ReleaseError("ledger_keys", "the ledger was begun with other keys")
        if name != parameters.name:
            raise ReleaseError("ledger_keys", f"the ledger was begun with the parameters {name!r}")

    def runs(self) -> list[Past]:
        """Return the runs whose results are held, in the order in which they ended."""
        rows = self._database.execute(
            "SELECT name, mapping, description, (SELECT list(digest) FROM source WHERE source.run = run.name) "
            "FROM run ORDER BY number"
        ).fetchall()
        return [
            Past(name, mapping, Dataset.model_validate_json(description), frozenset(digests))
            for name, mapping, description, digests in rows
        ]

    def datasets(self) -> list[Dataset]:
        """Return the datasets, each as its runs together make it, in the order of their names."""
        runs: dict[str, list[Dataset]] = {}
        for past in self.runs():
            runs.setdefault(past.dataset.name, []).append(past.dataset)
        return [_together(runs[name]) for name in sorted(runs)]

    def describe(self, dataset: Dataset) -> None:
        """Let what is said of a dataset, but not what was counted, be what `dataset` says."""
        for past in self.runs():
            if past.dataset.name == dataset.name:
                told = past.dataset.model_copy(update={name: getattr(dataset, name) for name in _SAID})
                self._database.execute(
                    "UPDATE run SET description = ? WHERE name = ?", [told.model_dump_json(), past.name]
                )

    def kinds(self) -> list[str]:
        """Return the kinds of which the ledger holds at least one identifier."""
        return [
            kind for (kind,) in self._database.execute("SELECT DISTINCT kind FROM exposure ORDER BY kind").fetchall()
        ]

    def members(self, kind: str, bits: int) -> list[int]:
        """Return how many distinct identifiers of `kind` fall into each bucket under a prefix of `bits` bits."""
        counts = [0] * (1 << bits)
        rows = self._database.execute(
            "SELECT locator >> ?, count(DISTINCT output) FROM exposure WHERE kind = ? GROUP BY ALL", [64 - bits, kind]
        )
        for bucket, members in rows.fetchall():
            counts[bucket] = members
        return counts

    def fullest(self, kind: str, bits: int) -> int:
        """Return how many entries the fullest bucket of `kind` has: one for each identifier and dataset."""
        rows = self._database.execute(
            "SELECT count(DISTINCT (output, dataset)) FROM exposure WHERE kind = ? GROUP BY locator >> ? "
            "ORDER BY 1 DESC LIMIT 1",
            [kind, 64 - bits],
        ).fetchall()
        return int(rows[0][0])

    def sealables(self, kind: str) -> Iterator[Sealable]:
        """Yield what is known of each identifier in each dataset, in bucket order."""
        reader = self._database.cursor().execute(
            "SELECT locator, output, dataset, bit_or(fields), bit_or(flags) FROM exposure WHERE kind = ? "
            "GROUP BY locator, output, dataset ORDER BY locator",
            [kind],
        )
        while rows := reader.fetchmany(4096):
            yield from map(Sealable._make, rows)

    def run(self, name: str) -> Run:
        """Begin the ingest run of this name, or go on with it."""
        return Run(self._database, self.path.with_name(f"{self.path.name}.{name}"), name)

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
    """The run file of one ingest. What is in it survives the process; reading starts anew, evaluation goes on."""

    def __init__(self, database: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
        self._database, self._path, self._name = database, path, name
        try:
            if path.exists():
                self._attach()
                if self._stage() is not None:
                    return
                self.discard()  # killed while it was reading
            _make(path, schema.RUN)
            self._attach()
        except duckdb.Error as error:
            raise schema.failed(path, error) from None

    def _attach(self) -> None:
        self._database.execute(f"ATTACH '{str(self._path).replace(chr(39), chr(39) * 2)}' AS run")

    def discard(self) -> None:
        """Forget the run: its file goes."""
        self._database.execute("DETACH DATABASE IF EXISTS run")
        for path in (self._path, self._path.with_name(f"{self._path.name}.wal")):
            path.unlink(missing_ok=True)

    def _stage(self) -> tuple[Any, ...] | None:
        tables = "SELECT 1 FROM duckdb_tables() WHERE database_name = 'run' AND table_name = 'progress'"
        if not self._database.execute(tables).fetchone():
            return None
        return self._database.execute("SELECT dataset FROM run.progress WHERE stage = ?", [_MERGED]).fetchone()

    @property
    def dataset(self) -> Dataset | None:
        """What was read, once all of it is read and merged; None before."""
        stage = self._stage()
        return Dataset.model_validate_json(stage[0]) if stage else None

    def add(self, batch: pa.RecordBatch) -> None:
        """Append shrouded values with their masks."""
        self._insert("run.shrouded", batch)

    def merge(self, dataset: Dataset) -> None:
        """Make one row of all rows with the same shrouded value; what was read is kept with the result."""
        with _Transaction(self._database):
            self._database.execute(
                "CREATE TABLE run.merged AS SELECT kind, value, bit_or(fields) AS fields, bit_or(flags) AS flags "
                "FROM run.shrouded GROUP BY kind, value"
            )
            self._database.execute("DROP TABLE run.shrouded")
            self._database.execute("INSERT INTO run.progress VALUES (?, ?)", [_MERGED, dataset.model_dump_json()])
        self._database.execute("CHECKPOINT run")

    def identifiers(self) -> dict[str, int]:
        """Return how many distinct identifiers of each kind there are."""
        return dict(
            self._database.execute("SELECT kind, count(*) FROM run.merged GROUP BY kind ORDER BY kind").fetchall()
        )

    def evaluated(self) -> int:
        """Return how many identifiers were evaluated: the first ones, by position."""
        [(count,)] = self._database.execute("SELECT count(*) FROM run.evaluated").fetchall()
        return int(count)

    def shrouded(self, start: int, size: int) -> Iterator[list[tuple[str, bytes]]]:
        """Yield (kind, shrouded value) from position `start` on, `size` at a time."""
        step = size * 64
        while rows := self._database.execute(
            "SELECT kind, value FROM run.merged WHERE rowid >= ? AND rowid < ? ORDER BY rowid",
            [start, start + step],
        ).fetchall():
            for at in range(0, len(rows), size):
                yield rows[at : at + size]
            start += step

    def masks(self, positions: Sequence[int]) -> list[tuple[str, bytes, int]]:
        """Return (kind, shrouded value, field mask) at these positions."""
        return self._database.execute(
            "SELECT kind, value, fields FROM run.merged WHERE list_contains(?, rowid)", [list(positions)]
        ).fetchall()

    def store(self, start: int, results: Sequence[tuple[bytes, int]]) -> None:
        """Append (output, locator) of the identifiers from position `start` on."""
        outputs, locators = zip(*results, strict=True)
        columns = [
            pa.array(range(start, start + len(results)), pa.uint64()),
            pa.array(outputs, pa.binary()),
            pa.array(locators, pa.uint64()),
        ]
        self._insert("run.evaluated", pa.RecordBatch.from_arrays(columns, ["position", "output", "locator"]))

    def finish(self, dataset: Dataset, mapping: bytes, sources: frozenset[bytes], replaced: Sequence[Past]) -> None:
        """Write the results into the ledger in place of those of `replaced`, all or nothing; the run file goes."""
        with _Transaction(self._database):
            for table in ("exposure", "source"):
                for past in replaced:
                    self._database.execute(f"DELETE FROM {table} WHERE run = ?", [past.name])  # noqa: S608
            for past in replaced:
                self._database.execute("DELETE FROM run WHERE name = ?", [past.name])
            self._database.execute(
                "INSERT INTO exposure SELECT ?, ?, kind, output, locator, fields, flags "
                "FROM run.merged JOIN run.evaluated ON merged.rowid = position",
                [self._name, dataset.name],
            )
            self._database.execute(
                "INSERT INTO main.run (name, dataset, mapping, description) VALUES (?, ?, ?, ?)",
                [self._name, dataset.name, mapping, dataset.model_dump_json()],
            )
            for digest in sources:
                self._database.execute("INSERT INTO source VALUES (?, ?)", [self._name, digest])
        self.discard()

    def _insert(self, table: str, batch: pa.RecordBatch) -> None:
        self._database.register("batch", batch)
        self._database.execute(f"INSERT INTO {table} FROM batch")
        self._database.unregister("batch")


def _make(path: Path, tables: str, values: Sequence[object] | None = None) -> None:
    # Under another name first: a file that is there is whole, however its making ended. For the owner alone.
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with schema.connect(new) as database:
        new.chmod(0o600)
        database.execute(tables)
        if values is not None:
            database.execute("INSERT INTO ledger VALUES (?, ?, ?, ?)", values)
        database.execute("CHECKPOINT")
    new.rename(path)


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
