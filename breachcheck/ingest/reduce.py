"""Rows to shrouded values, and shrouded values to OPRF outputs: two of the tasks that an engine runs, in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass, Flag
from breachcheck.ingest.cells import UINT32, Findings, Marks, Positions, Refused, absent_in, find, joined, siv_of
from breachcheck.ingest.counts import Counts
from breachcheck.ingest.memory import Memory, News, Numbers, Outcome
from breachcheck.ingest.plan import Cell, Plan
from breachcheck.ingest.siv import Siv
from breachcheck.ingest.sources.chunk import Chunk
from breachcheck.protocol import entry, oprf
from breachcheck.protocol.identifier import Identifier
from breachcheck.protocol.parameters import SlowHash
from breachcheck.protocol.slow_hash import slow_hash_bulk

MAX_SPREAD: Final = 1 << 26  # rows, times octets of the longest cell that is split: one may hold 100,000 identifiers
MAX_PASSED_ON: Final = 1 << 16  # rows told in one chunk of which others hear; 20 octets each in a message
_SEPARATOR: Final = b"\xff"  # no octet of UTF-8
_SHROUDED: Final = pa.schema(
    [
        ("kind", pa.dictionary(pa.int8(), pa.string())),
        ("value", pa.binary()),
        ("tag_high", pa.uint64()),
        ("tag_low", pa.uint64()),
        ("row_high", pa.uint64()),
        ("row_low", pa.uint64()),
        ("fields", pa.uint32()),
        ("flags", pa.uint8()),
    ]
)


class Numbered(NamedTuple):
    """A chunk, its number, the name of its file, and the news of some chunks that were done."""

    number: int
    name: str
    chunk: Chunk
    news: Sequence[News] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Shrouded:
    """What a chunk came to.

    `batch` has a line for each identifier in each row that says something new: kind, shrouded value, its 128-bit tag,
    the 128-bit mark of the row's linking identifiers (0 where it has none), field mask and flags. `rejected` are number
    and reason of rows. `news` are of those that it was the first to tell; none, if they are too many to be passed on.
    """

    batch: pa.RecordBatch
    counts: Counts
    offset: int
    rejected: Sequence[tuple[int, str]]
    news: Sequence[News]


@lru_cache(maxsize=1)
def _memory(attempt: bytes) -> Memory:  # noqa: ARG001  one for each
    return Memory()


@dataclass(frozen=True, slots=True)
class Shroud:
    """Turn a chunk of rows into shrouded values: AES-SIV (RFC 5297) of the canonical form under the 64-byte run key.

    Equal identifiers shroud to equal values, so they can be merged out of core; without the key they are ciphertext.
    `attempt` is drawn anew for each reading of the files: what a worker remembers is of this one.
    """

    run_key: bytes = field(repr=False)
    attempt: bytes = field(repr=False)

    def __call__(self, numbered: Numbered) -> Shrouded:
        """Return what the chunk came to.

        Raises:
            InputError: `reconcile`: rows were lost or invented on the way; or what the chunk cannot be read for.
        """
        number, name, chunk, news = numbered
        memory = _memory(self.attempt)
        for one in news:
            memory.keep(one)
        try:
            rows = chunk.rows()
        except InputError as error:
            raise InputError(error.reason, f"{name}: {error.detail}") from None
        read = len(rows.numbers) + len(rows.rejected)
        if read != chunk.count:
            raise InputError("reconcile", f"{name}: {read} rows were read where {chunk.count} were counted")
        counts = Counts(rows_read=chunk.count, rows_rejected=Counter(reason for _, reason in rows.rejected))
        rejected = list(rows.rejected)
        columns = [
            column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in rows.columns
        ]
        numbers = rows.numbers
        header = _repeated_header(columns, chunk.plan.header)
        if header is not None:
            repeated = numbers.filter(header).to_pylist()
            rejected += [(number, "repeated_header") for number in repeated]
            counts.rows_rejected["repeated_header"] += len(repeated)
            kept = pc.invert(header)
            columns, numbers = [column.filter(kept) for column in columns], numbers.filter(kept)
        batch, told = self._rows(number, chunk.plan, columns, numbers, counts, rejected)
        memory.keep(told)
        passed_on = [told] if len(told.marks) <= MAX_PASSED_ON else []
        return Shrouded(batch, counts, chunk.offset, rejected, passed_on)

    def _rows(
        self,
        number: int,
        plan: Plan,
        columns: Sequence[pa.Array],
        numbers: pa.Array,
        counts: Counts,
        rejected: list[tuple[int, str]],
    ) -> tuple[pa.RecordBatch, News]:
        mask = pa.repeat(pa.scalar(0, UINT32), len(numbers))
        identifying: list[tuple[Cell, pa.Array]] = []
        for cell in plan.cells:
            text = joined([columns[index] for index in cell.indexes], cell)
            if cell.kinds:
                identifying.append((cell, text))
            else:
                bit = pa.scalar(DataClass.EMPLOYERS.bit if cell.employer else cell.mask, UINT32)
                without = pc.equal(pc.bit_wise_and(mask, bit), 0)  # few, where another column told
                absent = absent_in(text.filter(without), cell)
                bits = pc.if_else(absent, pa.scalar(0, UINT32), bit)
                mask = pc.replace_with_mask(mask, without, pc.bit_wise_or(mask.filter(without), bits))
        # Rows seen before have only to be counted.
        memory = _memory(self.attempt)
        marks = self._marks(plan, mask, [text for _, text in identifying])
        seen, outcomes = memory.find(marks, number)
        useless = np.zeros(len(marks), bool)
        useless[seen] = self._count(counts, memory.outcomes, outcomes[seen])
        new = pa.array(~seen)
        cells = [(cell, text.filter(new)) for cell, text in identifying]
        batch, fresh = self._parted(plan, cells, mask.filter(new), counts)
        useless[~seen] = self._count(counts, fresh.outcomes, fresh.numbers)
        rejected += [(row, "no_identifier") for row in numbers.filter(pa.array(useless)).to_pylist()]
        return batch, News(number, fresh.outcomes, fresh.numbers, marks[~seen])

    def _marks(self, plan: Plan, mask: pa.Array, texts: Sequence[pa.Array]) -> Marks:
        columns = [pc.fill_null(text.cast(pa.binary()), b"") for text in texts]
        joined = pc.binary_join_element_wise(
            mask.cast(pa.string()).cast(pa.binary()), *columns, pa.scalar(_SEPARATOR, pa.binary())
        )
        return _siv_of_rows(self.run_key, plan).tags(joined).view(np.uint64)

    @staticmethod
    def _count(counts: Counts, outcomes: Sequence[Outcome], numbers: Numbers) -> npt.NDArray[np.bool_]:
        """Count rows by the numbers of their outcomes; return which had no identifier."""
        useless = np.zeros(len(outcomes), bool)
        times = np.bincount(numbers, minlength=len(outcomes)).tolist()
        for number, (outcome, count) in enumerate(zip(outcomes, times, strict=True)):
            if not count:
                continue
            if outcome.accepted:
                counts.rows_accepted += count
            else:
                useless[number] = True
                counts.rows_rejected["no_identifier"] += count
            for refused in outcome.refused:
                for kind, reason in refused:
                    counts.reject(kind, reason, count)
        return useless[numbers]

    def _parted(
        self, plan: Plan, cells: Sequence[tuple[Cell, pa.Array]], mask: pa.Array, counts: Counts
    ) -> tuple[pa.RecordBatch, _Outcomes]:
        """Do as `_new` does, with so few rows at a time that one cell of many identifiers takes no room in all."""
        longest = max((pc.max(pc.binary_length(text)).as_py() or 0 for cell, text in cells if cell.split), default=0)
        half = len(mask) // 2
        if not half or len(mask) * longest <= MAX_SPREAD:
            return self._new(plan, cells, mask, counts)
        parts = [
            self._parted(plan, [(cell, text.slice(*place)) for cell, text in cells], mask.slice(*place), counts)
            for place in ((0, half), (half,))
        ]
        (batch, first), (other, second) = parts
        numbers = np.concatenate((first.numbers, second.numbers + len(first.outcomes)))
        return _one_batch([batch, other]), _Outcomes((*first.outcomes, *second.outcomes), numbers)

    def _new(
        self, plan: Plan, cells: Sequence[tuple[Cell, pa.Array]], mask: pa.Array, counts: Counts
    ) -> tuple[pa.RecordBatch, _Outcomes]:
        """Return the lines of rows that were not seen before, and what came of each row."""
        marks = np.zeros((len(mask), 2), np.uint64)
        found = np.zeros(len(mask), bool)
        columns = []
        for cell, text in cells:
            coded = text.dictionary_encode()
            findings = find(self.run_key, cell, coded.dictionary)
            codes = pc.fill_null(coded.indices, len(coded.dictionary)).to_numpy().astype(np.intp)
            columns.append((cell, codes, findings))
            bits = findings.mask
            if cell.employer:
                bits = pc.if_else(pc.not_equal(bits, 0), pa.scalar(DataClass.EMPLOYERS.bit, UINT32), bits)
            mask = pc.bit_wise_or(mask, bits.take(pa.array(codes)))
            found |= (np.diff(findings.bounds) > 0)[codes]
            if not cell.employer and not plan.linking.isdisjoint(cell.kinds):
                marks += findings.marks(plan.linking)[codes]
        batches = []
        for cell, codes, findings in columns:
            holders, places = findings.within(codes)
            rows, chosen = pa.array(holders), pa.array(places)
            flags = int(Flag.EMPLOYER if cell.employer else Flag.NONE)  # an enum's | takes 1 us
            batches.append(
                pa.RecordBatch.from_arrays(
                    [
                        findings.kinds.take(chosen),
                        findings.values.take(chosen),
                        *(pa.array(half[places]) for half in findings.tags.T),
                        *(pa.array(half[holders]) for half in marks.T),
                        pc.bit_wise_or(mask.take(rows), findings.bits.take(chosen)),
                        pa.repeat(pa.scalar(flags, pa.uint8()), len(chosen)),
                    ],
                    schema=_SHROUDED,
                )
            )
            counts.kinds.update(pc.unique(findings.kinds).to_pylist())
            counts.fields |= reduce(int.__or__, pc.unique(batches[-1]["fields"]).to_pylist(), 0)
        return _one_batch(batches), _outcomes(found, [(codes, findings) for _, codes, findings in columns])


def _repeated_header(columns: Sequence[pa.Array], names: Sequence[str]) -> pa.Array | None:
    """Return which rows are the header once more; None, if none is."""
    header = pa.scalar(True)
    for column, name in zip(columns, names, strict=True):
        header = pc.and_(header, pc.fill_null(pc.equal(column, name), False))
        if not pc.any(header).as_py():
            return None
    return header


class _Outcomes(NamedTuple):
    """What came of rows: of each the number of one of the outcomes."""

    outcomes: tuple[Outcome, ...]
    numbers: Numbers


def _outcomes(found: npt.NDArray[np.bool_], columns: Sequence[tuple[Positions, Findings]]) -> _Outcomes:
    """Return what came of each row, in which something was found or not, from its cells in each column."""
    none: tuple[Refused, ...] = ((),) * len(columns)
    known = {Outcome(False, none): 0, Outcome(True, none): 1}
    numbers = found.astype(np.uint32)
    faulty = np.zeros(len(found), bool)
    for codes, findings in columns:
        wrong = np.zeros(len(findings.bounds), bool)
        wrong[list(findings.refused)] = True
        faulty |= wrong[codes]
    rows = np.flatnonzero(faulty)
    refused = [map(findings.refused.get, codes[rows].tolist(), repeat(())) for codes, findings in columns]
    for row, *told in zip(rows.tolist(), *refused, strict=True):
        numbers[row] = known.setdefault(Outcome(bool(numbers[row]), tuple(told)), len(known))
    return _Outcomes(tuple(known), numbers)


def _one_batch(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches, _SHROUDED).unify_dictionaries().combine_chunks()
    return (table.to_batches() or [pa.RecordBatch.from_pylist([], _SHROUDED)])[0]


@lru_cache(maxsize=8)
def _siv_of_rows(run_key: bytes, plan: Plan) -> Siv:
    return Siv(run_key, plan.digest)


def unshroud(run_key: bytes, kind: str, values: Sequence[bytes]) -> list[Identifier]:
    """Return the identifiers behind shrouded values of one kind, in memory.

    Raises:
        cryptography.exceptions.InvalidTag: a value was not shrouded under this key.
    """
    return [
        Identifier(kind, form.decode())
        for form in siv_of(run_key, kind).decrypt(pa.array(values, pa.binary())).to_pylist()
    ]


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Turn shrouded values into 64-byte OPRF outputs and 64-bit locators: slow hash, then RFC 9497 Evaluate."""

    run_key: bytes = field(repr=False)
    sk: bytes = field(repr=False)
    salt: bytes
    parameters: SlowHash

    def __call__(self, shrouded: tuple[str, Sequence[bytes]]) -> tuple[bytes, array[int]]:
        """Return the outputs of the shrouded values of one kind, one after the other, and their locators."""
        kind, values = shrouded
        _memory.cache_clear()  # no row is read any more
        outputs, locators = bytearray(), array("Q")
        for identifier in unshroud(self.run_key, kind, values):
            message = slow_hash_bulk(identifier, self.salt, self.parameters)
            output = oprf.evaluate(self.sk, message)
            outputs += output
            locators.append(entry.locate(output, kind))
        return bytes(outputs), locators
