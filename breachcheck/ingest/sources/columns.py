"""From columns as a parser gives them to rows with their numbers, all of them accounted for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from breachcheck.errors import InputError
from breachcheck.ingest.sources.chunk import Rows
from breachcheck.ingest.sources.syntax import MAX_CELL


def numbered(
    columns: Sequence[pa.Array], wrong: Sequence[int], faults: Sequence[tuple[int, str]], first: int, count: int
) -> Rows:
    """Return the rows of a chunk of `count`, of which `first` is the number in the file of the first.

    `faults` are rows (index in the chunk) that were not given to the parser, `wrong` those (index among what it was
    given) that have not the header's width. Rows of empty cells, and such with a cell over `MAX_CELL` octets, are
    rejected here.

    Raises:
        InputError: `reconcile`: parser and count do not agree.
    """
    numbers = np.arange(first, first + count)
    rejected = [(first + index, reason) for index, reason in faults]
    given = np.delete(numbers, [index for index, _ in faults])
    accepted = len(columns[0])
    if accepted + len(wrong) != len(given) or (wrong and wrong[-1] >= len(given)):
        raise InputError("reconcile", f"{len(given)} rows were counted, {accepted + len(wrong)} were read")
    rejected += ((int(number), "columns") for number in given[list(wrong)])
    numbers = np.delete(given, list(wrong))
    drop = np.zeros(accepted, bool)
    if accepted:
        empty = _lengths(columns[0]) == 0
        for column in columns:
            lengths = _lengths(column)
            long = lengths > MAX_CELL
            if long.any():
                rejected += ((int(number), "too_long") for number in numbers[long & ~drop])
                drop |= long
            if empty.any():
                empty &= lengths == 0
        if empty.any():
            rejected += ((int(number), "empty") for number in numbers[empty])
            drop |= empty
    if drop.any():
        keep = pa.array(~drop)
        columns = [column.filter(keep) for column in columns]
        numbers = numbers[~drop]
    return Rows(tuple(columns), pa.array(numbers, pa.int64()), tuple(sorted(rejected)))


def _lengths(column: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    lengths: np.ndarray[tuple[int], np.dtype[np.int32]] = pc.fill_null(pc.binary_length(column), 0).to_numpy(
        zero_copy_only=False
    )
    return lengths
