"""From what the ledger knows to filled buckets: the last of the tasks that an engine runs, in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from breachcheck.exposure import Flag
from breachcheck.protocol import bucket, entry, merkle
from breachcheck.protocol.bucket import Layout
from breachcheck.protocol.parameters import ENTRY_LENGTH
from breachcheck.store.ledger import SEALABLE

_ENTRY: Final = np.dtype((np.void, ENTRY_LENGTH))
_FLAG_BITS: Final = 8


@dataclass(frozen=True, slots=True, repr=False)
class Span:
    """Buckets from number `first` to before `end`, and what is known of each identifier in them, in bucket order."""

    first: int
    end: int
    known: pa.Table


class Sealed(NamedTuple):
    """Consecutive buckets as they are published, their leaf hashes, and how many entries they hold, filling apart."""

    buckets: list[bytes]
    digests: list[bytes]
    entries: int


def spans(known: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[Span]:
    """Yield spans of all buckets, cut where a bucket ends, of about as many identifiers as the batches."""
    first = 0
    held: list[pa.RecordBatch] = []
    for batch in known:
        last = layout.bucket_of(batch["locator"][-1].as_py())  # the next batch may go on with it
        if last > first:
            end = int(_places(batch["locator"], layout, range(last, last + 1))[0])
            yield Span(first, last, _together([*held, batch.slice(0, end)]))
            first, held = last, [batch.slice(end)]
        else:
            held.append(batch)
    yield Span(first, layout.buckets, _together(held))


def _together(batches: list[pa.RecordBatch]) -> pa.Table:
    # Copied: of a slice, all that it was cut from would travel.
    return pa.Table.from_batches(batches, SEALABLE).combine_chunks()


def _places(locators: pa.Array, layout: Layout, buckets: Iterable[int]) -> npt.NDArray[np.intp]:
    """Return where these buckets begin, among locators in their order."""
    return np.searchsorted(locators.to_numpy(), np.array(list(map(layout.first_locator, buckets)), np.uint64))


@dataclass(frozen=True, slots=True)
class Seal:
    """Seal what is known of the identifiers of a span for release `number`, and fill its buckets."""

    number: int
    layout: Layout

    def __call__(self, span: Span) -> Sealed:
        """Return the buckets of the span."""
        entries = self._entries(span.known)
        inner = _places(span.known["locator"], self.layout, range(span.first + 1, span.end))
        bounds = [0, *inner.tolist(), len(entries)]
        buckets = [bucket.fill(entries[start:stop], self.layout, os.urandom) for start, stop in pairwise(bounds)]
        return Sealed(buckets, list(map(merkle.leaf_hash, buckets)), len(entries))

    def _entries(self, known: pa.Table) -> list[bytes]:
        fields, flags = (known[name].to_numpy().astype(np.uint64) for name in ("fields", "flags"))
        masks, those = np.unique(fields << _FLAG_BITS | flags, return_inverse=True)  # few, for many people
        plains = np.array([_plain(mask) for mask in masks.tolist()], _ENTRY)[those]
        entries = np.empty(known.num_rows, _ENTRY)
        coded = known["dataset"].combine_chunks().dictionary_encode()
        codes = coded.indices.to_numpy()
        for code, dataset in enumerate(coded.dictionary.to_pylist()):
            at = np.flatnonzero(codes == code)
            outputs = known["output"].take(at).to_pylist()
            sealed = entry.seal_all(outputs, dataset, self.number, plains[at].tobytes())
            entries[at] = np.frombuffer(sealed, _ENTRY)
        octets: list[bytes] = entries.tolist()
        return octets


def _plain(mask: int) -> bytes:
    fields, flags = divmod(mask, 1 << _FLAG_BITS)
    return entry.plain(entry.Payload(fields, Flag(flags)))
