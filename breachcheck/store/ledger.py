"""The ledger: what the steward keeps offline between releases, so that the leaked files can be destroyed.

Of each exposure it holds dataset, kind, OPRF output, locator, field mask and flags: without the key it names nobody. Of
an identifier that was erased it holds a tombstone: a keyed mark of the output, by which the output is known when it
comes again, and never the output itself, which would open the entry in a release that somebody kept. It is never
deployed; every release is made from it. While an ingest runs, its run file stands beside the ledger: it holds
shrouded values, which are ciphertext, and OPRF outputs, and goes when the run's results are in the ledger.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from breachcheck.store.durable import sync
from breachcheck.store.people import People, gather
from breachcheck.store.run import Past, Run, read_rules, redraw

FILE: Final = "ledger.duckdb"
SEALABLE: Final = pa.schema(
    [
        ("locator", pa.uint64()),
        ("output", pa.binary()),
        ("dataset", pa.string()),
        ("fields", pa.uint32()),
        ("flags", pa.uint8()),
    ]
)
_ROWS: Final = 16384  # at a time
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
class Erasure:
    """What became of identifiers that were to be erased: how many the ledger held, and how many it did not.

    `before` counts those that had a tombstone already.
    """

    erased: int
    absent: int
    before: int


class Ledger:
    """An open ledger. One process at a time has it: DuckDB locks the file."""

    def __init__(self, path: Path, keys: StewardKeys, parameters: SlowHash | None = None) -> None:
        """Open the ledger at `path`; or begin one there, if `parameters` are given.

        Raises:
            ReleaseError: `unreadable`, `schema`, `no_ledger`, or `ledger_keys`: it was begun with other keys or
                parameters.
        """
        self.path = path
        self._keys = keys
        self.public_key = keys.evaluator.pk
        spill = path.with_name(f".{path.name}.spill")
        if not path.exists():
            if parameters is None:
                raise ReleaseError("no_ledger", f"{path} is not there")
            begun = [schema.LEDGER_VERSION, keys.service_salt, parameters.name, keys.evaluator.pk]
            try:
                schema.make(path, schema.LEDGER, "INSERT INTO ledger VALUES (?, ?, ?, ?, 0)", begun)
            except duckdb.Error as error:
                raise schema.failed(path, error) from None
        self._spill = spill
        self._database = schema.connect(path, spill=spill)
        shutil.rmtree(spill, ignore_errors=True)  # of a run that was killed; this one makes it anew when it spills
        schema.remove(self._heir)
        try:
            self._check(keys, parameters)
        except ReleaseError:
            self._database.close()
            raise
        except duckdb.Error as error:
            self._database.close()
            raise schema.failed(path, error) from None

    def _check(self, keys: StewardKeys, parameters: SlowHash | None) -> None:
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
        if parameters and name != parameters.name:
            raise ReleaseError("ledger_keys", f"the ledger was begun with the parameters {name!r}")

    def runs(self) -> list[Past]:
        """Return the runs whose results are held, in the order in which they ended."""
        rows = self._database.execute(
            "SELECT name, mapping, description, (SELECT list(digest) FROM source WHERE source.run = run.name), rules "
            "FROM run ORDER BY number"
        ).fetchall()
        return [
            Past(name, mapping, Dataset.model_validate_json(description), frozenset(digests), read_rules(rules))
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
        with schema.Transaction(self._database):
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
        stays with it, nor in the place where the old mark stood.

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
            schema.remove(self._heir)
            raise schema.failed(self.path, error) from None
        return Erasure(held, len(fresh) - held, len(marks) - len(fresh))

    def _marks(self) -> set[bytes]:
        return {mark for (mark,) in self._database.execute("SELECT mark FROM tombstone").fetchall()}

    @property
    def _heir(self) -> Path:
        return self.path.with_name(f".{self.path.name}.heir")

    def _rewrite(self, kind: str, fresh: Mapping[bytes, bytes], reference: str, date: str) -> int:
        run = self._database.execute
        run("CHECKPOINT")  # so that no log of the old file stands beside the new one
        schema.remove(self._heir)
        outputs = pa.array(fresh.values(), pa.binary())
        self._database.register("erased", pa.table({"kind": pa.array([kind] * len(fresh)), "output": outputs}))
        [(held,)] = run("SELECT count(DISTINCT output) FROM exposure SEMI JOIN erased USING (kind, output)").fetchall()
        rows = run(
            "SELECT DISTINCT row_high, row_low FROM exposure SEMI JOIN erased USING (kind, output) WHERE linking"
        )
        self._database.register("redrawn", redraw(rows.fetchall()))
        [(old,)] = run("SELECT current_database()").fetchall()
        run(f"ATTACH '{schema.quoted(self._heir)}' AS heir")
        self._heir.chmod(0o600)
        run(f'COPY FROM DATABASE "{old}" TO heir (SCHEMA)')
        tables = run("SELECT table_name FROM duckdb_tables() WHERE database_name = 'heir'").fetchall()
        for (table,) in tables:
            if table != "exposure":
                run(f"INSERT INTO heir.{table} FROM main.{table}")
        run(
            "INSERT INTO heir.exposure SELECT run, dataset, kind, output, locator, linking, "
            "coalesce(new_high, row_high) AS high, coalesce(new_low, row_low) AS low, fields, flags "
            "FROM main.exposure ANTI JOIN erased USING (kind, output) "
            "LEFT JOIN redrawn USING (row_high, row_low) ORDER BY locator, high, low"
        )
        for mark in fresh:
            run("INSERT INTO heir.tombstone VALUES (?, ?, ?, ?)", [mark, kind, reference, date])
        run("CHECKPOINT heir")
        run("DETACH heir")
        sync(self._heir)
        # Under the lock on the old file, which goes with it.
        self._heir.rename(self.path)
        self._database.close()
        sync(self.path.parent)
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

    def entries(self) -> int:
        """Return how many entries there are of all kinds: one for each identifier and dataset."""
        [(count,)] = self._database.execute("SELECT count(*) FROM sealable").fetchall()
        return int(count)

    def counts(self, kind: str, bits: int) -> tuple[list[int], list[int]]:
        """Return how many distinct identifiers of `kind`, and how many entries, fall into each bucket.

        The buckets are those under a prefix of `bits` bits. Entries are one for each identifier and dataset.
        """
        members, entries = ([0] * (1 << bits) for _ in range(2))
        rows = self._database.execute(
            "SELECT locator >> ?, count(DISTINCT locator), count(*) FROM sealable WHERE kind = ? GROUP BY ALL",
            [64 - bits, kind],
        )
        for bucket, distinct, lines in rows.fetchall():
            members[bucket], entries[bucket] = distinct, lines
        return members, entries

    def fields(self, dataset: str) -> dict[int, int]:
        """Return how many identifiers show which field mask in a dataset."""
        rows = self._database.execute(
            "SELECT fields, count(*) FROM sealable WHERE dataset = ? GROUP BY fields ORDER BY fields", [dataset]
        )
        return dict(rows.fetchall())

    def sealables(self, kind: str, invented: Iterable[Sealable] = ()) -> Iterator[pa.RecordBatch]:
        """Yield what is known of each identifier in each dataset, and what is `invented`, in bucket order.

        In batches of the schema `SEALABLE`, none of them empty.
        """
        # On this connection, whose temporary table it is: no other query of the ledger may run meanwhile.
        self._database.register("invented", pa.Table.from_pylist([one._asdict() for one in invented], SEALABLE))
        query = (
            "SELECT locator, output, dataset, fields, flags FROM sealable WHERE kind = ? "
            "UNION ALL FROM invented ORDER BY locator"
        )
        yield from self._database.sql(query, params=[kind]).to_arrow_reader(_ROWS)

    def run(self, name: str, rules: Mapping[str, bytes]) -> Run:
        """Begin the ingest run of this name under these identifier rules (digests by kind), or go on with it.

        Raises:
            ReleaseError: `unreadable`, or `run_rules`: it was begun under others.
        """
        return Run(self._database, self._file_of(name), name, rules, self._is_erased)

    def tidy(self, past: Past) -> None:
        """Remove the run file of a run whose results are held, which was killed before it did so itself."""
        schema.remove(self._file_of(past.name))

    def _file_of(self, run: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{run}")

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
