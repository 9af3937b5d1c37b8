"""The release file, written once, offline."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from breachcheck.protocol.manifest import Manifest
from breachcheck.store import schema

_ROWS = pa.schema([("kind", pa.uint32()), ("number", pa.uint32()), ("digest", pa.binary()), ("entries", pa.binary())])

_MEMORY = "192MB"  # rows are appended and left alone


class Writer:
    """Writes `release.duckdb`: buckets as they come, the manifest's numbers at the end.

    Each method raises ReleaseError, `unreadable`, with the name of this file, for lack of space, say.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # DuckDB holds a hundred thousand buckets before it writes them; what has no room goes beside the file so long.
        spill = path.with_name(f".{path.name}.spill")
        self._database: duckdb.DuckDBPyConnection = schema.connect(path, memory=_MEMORY, spill=spill)
        with schema.blaming(path):
            self._database.execute(schema.RELEASE)

    def buckets(self, kind: int, first: int, digests: Iterable[bytes], entries: Iterable[bytes]) -> None:
        """Append consecutive buckets of the kind at this position, from number `first` on."""
        digest_column, entry_column = pa.array(digests, pa.binary()), pa.array(entries, pa.binary())
        size = len(digest_column)
        columns = [
            pa.array([kind] * size, pa.uint32()),
            pa.array(range(first, first + size), pa.uint32()),
            digest_column,
            entry_column,
        ]
        with schema.blaming(self._path):
            self._database.register("batch", pa.RecordBatch.from_arrays(columns, schema=_ROWS))
            self._database.execute("INSERT INTO bucket FROM batch")
            self._database.unregister("batch")

    def close(self, manifest: Manifest) -> None:
        """Write what the manifest says, and close the file with nothing left in a log beside it."""
        with schema.blaming(self._path):
            self._fill(manifest)
            self._database.execute("CHECKPOINT")
            self._database.close()

    def _fill(self, manifest: Manifest) -> None:
        self._database.execute("INSERT INTO release VALUES (?, ?)", [schema.RELEASE_VERSION, manifest.release])
        for position, dataset in enumerate(manifest.datasets):
            self._database.execute(
                "INSERT INTO dataset VALUES (?, ?, ?)", [position, dataset.name, dataset.model_dump_json()]
            )
        for position, table in enumerate(manifest.kinds):
            self._database.execute(
                "INSERT INTO kind VALUES (?, ?, ?, ?, ?)",
                [position, table.kind, table.prefix_bits, table.entries_per_bucket, table.root],
            )
