"""Parquet: read by row group, made into text by a worker."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from breachcheck.errors import InputError
from breachcheck.ingest.hardening import bounded
from breachcheck.ingest.plan import SEVERAL
from breachcheck.ingest.sources.chunk import Chunk, Rows
from breachcheck.ingest.sources.columns import numbered
from breachcheck.ingest.sources.values import EXACT, number_text, text

if TYPE_CHECKING:
    from breachcheck.ingest.mapping import Mapping

MAX_DECODED: Final = 1 << 30  # octets that are taken to decode a chunk: a page may say one value a million times
_ROWS: Final = 1 << 14  # a chunk
_EXACT: Final = {16: 1 << 11, 32: 1 << 24, 64: EXACT}  # by bits of a column: below it, every whole number is held
_LISTS: Final = pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray, pa.ListViewArray, pa.LargeListViewArray
_MIDNIGHT: Final = "(?: 00:00:00)?(?:[.]0+)?$"


@dataclass(frozen=True, slots=True, repr=False)
class Parquet(Chunk):
    """Rows of a row group, as an Arrow stream in memory. Its `repr` is blank."""

    first: int

    def rows(self) -> Rows:
        """Make text of it: null is no cell, fields of structures are columns, values of a list joined as in JSON lines.

        Raises:
            InputError: `unpacks_too_far`; `reconcile`: the row group does not hold as many rows as the file's footer
                says.
        """
        try:
            with bounded(MAX_DECODED):
                table = _flattened(pa.ipc.open_stream(self.octets).read_all())
                columns = [_text(column.combine_chunks()) for column in table.columns]
        except (pa.ArrowException, MemoryError):  # it was read whole before: this is more than a column can hold
            raise _too_far() from None
        return numbered(columns, [], (), self.first, self.count)


def read_parquet(file: BinaryIO, disk: BinaryIO, part: str, mapping: Mapping) -> Iterator[Parquet]:
    """Yield the rows of a Parquet file.

    Raises:
        InputError: `columns`; `source`: it is damaged; `unpacks_too_far`; `reconcile`.
    """
    try:
        reader = parquet.ParquetFile(file, pre_buffer=False, memory_map=False)
        plan = mapping.plan(_flattened(reader.schema_arrow.empty_table()).column_names)
        number = 1
        room = MAX_DECODED + file.seek(0, io.SEEK_END)  # a row group is read as it stands there, at once
        for group in range(reader.num_row_groups):
            left = reader.metadata.row_group(group).num_rows
            batches = reader.iter_batches(_ROWS, [group], use_threads=False)
            while (batch := _next(batches, room)) is not None:
                count = min(_ROWS, left)
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, batch.schema) as stream:
                    stream.write_batch(batch)
                yield Parquet(plan, count, disk.tell(), part, sink.getvalue().to_pybytes(), number)
                number += count
                left -= count
            if left:
                raise InputError("reconcile", f"row group {group + 1} has {left} rows less than the footer says")
    except MemoryError:
        raise _too_far() from None
    except (pa.ArrowException, UnicodeDecodeError):
        raise InputError("source", "it is damaged, or encrypted") from None


def _too_far() -> InputError:
    return InputError("unpacks_too_far", f"it has values of over {MAX_DECODED >> 20} MiB in {_ROWS:,} rows")


def _next(batches: Iterator[pa.RecordBatch], room: int) -> pa.RecordBatch | None:
    with bounded(room):
        return next(batches, None)


def _flattened(table: pa.Table) -> pa.Table:
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def _text(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = column.dictionary
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            lengths = pc.binary_length(values).take(column.indices).cast(pa.int64())
            if (pc.sum(lengths).as_py() or 0) > MAX_DECODED:
                raise _too_far()
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_floating(kind):
        doubles = column.cast(pa.float64())
        exact = _EXACT[kind.bit_width]
        return pa.array([None if one is None else number_text(one, exact) for one in doubles.to_pylist()], pa.string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:  # it is not UTF-8
            column = column.cast(pa.large_binary())
        else:
            return column.cast(pa.string())
    if pa.types.is_integer(kind) or pa.types.is_date32(kind):
        return column.cast(pa.string())
    if pa.types.is_decimal(kind):
        return pc.replace_substring_regex(column.cast(pa.string()), r"[.]0+$", "")
    # Not by Python's own types, which have no nanoseconds and no year 10,000.
    if pa.types.is_timestamp(kind):
        written = column.cast(pa.timestamp(kind.unit)).cast(pa.string())
        return pc.replace_substring(pc.replace_substring_regex(written, _MIDNIGHT, ""), " ", "T")
    if pa.types.is_duration(kind):
        column = column.cast(pa.int64())
    if pa.types.is_temporal(kind):
        return column.cast(pa.string())
    if pa.types.is_map(kind):  # its keys are no values
        pairs = column.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        return _joined(pairs, pairs.flatten().flatten()[1])
    if isinstance(column, _LISTS):
        return _joined(column, column.flatten())
    if pa.types.is_struct(kind):  # in a list
        return pa.array(
            map(_several, zip(*(_text(one).to_pylist() for one in column.flatten()), strict=True)), pa.string()
        )
    return pa.array([text(one) for one in column.to_pylist()], pa.string())


def _joined(lists: pa.Array, values: pa.Array) -> pa.Array:
    texts, lengths = iter(_text(values).to_pylist()), pc.list_value_length(lists).to_pylist()
    return pa.array([_several(islice(texts, length or 0)) for length in lengths], pa.string())


def _several(texts: Iterable[str | None]) -> str | None:
    found = [one for one in texts if one is not None]
    return SEVERAL.join(found) if found else None
