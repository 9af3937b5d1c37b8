"""Sealing: spans of buckets that leave nobody out, and buckets that hold what `entry.seal` makes of each."""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breachcheck.exposure import Flag
from breachcheck.ingest.sealing import Seal, spans
from breachcheck.protocol import bucket, entry, merkle
from breachcheck.protocol.bucket import Layout
from breachcheck.protocol.parameters import ENTRY_LENGTH
from breachcheck.store import writer
from breachcheck.store.ledger import SEALABLE
from tests.faulty import Steward

Known = list[dict[str, Any]]
known: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    # Those at the edges of buckets too.
    locator=st.integers(0, 2**64 - 1) | st.integers(0, 15).map(lambda number: number << 60),
    output=st.binary(min_size=64, max_size=64),
    dataset=st.sampled_from(["one", "two", "drei"]),
    fields=st.integers(1, 2**32 - 1),
    flags=st.integers(0, int(sum(Flag))),
)


def _batches(rows: Known, size: int) -> list[pa.RecordBatch]:
    rows = sorted(rows, key=lambda row: row["locator"])
    batches: list[pa.RecordBatch] = pa.Table.from_pylist(rows, SEALABLE).to_batches(max_chunksize=size)
    return batches


@settings(max_examples=200, deadline=None)
@given(st.lists(known, max_size=40), st.integers(0, 4), st.integers(1, 9), st.integers(0, 3))
def test_each_bucket_holds_the_entry_of_each_who_falls_into_it(rows: Known, bits: int, size: int, spare: int) -> None:
    places = Counter(Layout(bits, 1).bucket_of(row["locator"]) for row in rows)
    layout = Layout(bits, max(places.values(), default=0) + spare)
    sealed = [Seal(7, layout)(span) for span in spans(_batches(rows, size), layout)]
    buckets = [octets for one in sealed for octets in one.buckets]
    assert len(buckets) == layout.buckets
    assert [digest for one in sealed for digest in one.digests] == list(map(merkle.leaf_hash, buckets))
    for number, octets in enumerate(buckets):
        split = [octets[at : at + ENTRY_LENGTH] for at in range(0, len(octets), ENTRY_LENGTH)]
        assert len(octets) == layout.entries_length
        assert all(one <= other for one, other in pairwise(split))
        wanted = Counter(
            entry.seal(row["output"], row["dataset"], 7, entry.Payload(row["fields"], Flag(row["flags"])))
            for row in rows
            if layout.bucket_of(row["locator"]) == number
        )
        assert wanted <= Counter(split)


@settings(max_examples=100, deadline=None)
@given(st.lists(known, max_size=40), st.integers(0, 4), st.integers(1, 9))
def test_spans_are_of_all_buckets_in_their_order_and_of_whole_ones(rows: Known, bits: int, size: int) -> None:
    layout = Layout(bits, 1)
    cut = list(spans(_batches(rows, size), layout))
    assert [0, *(span.end for span in cut)] == [*(span.first for span in cut), layout.buckets]
    assert all(span.first < span.end for span in cut)
    for span in cut:
        assert {layout.bucket_of(one) for one in span.known["locator"].to_pylist()} <= set(range(span.first, span.end))
    whole = [row for span in cut for row in span.known.to_pylist()]
    assert whole == [row for batch in _batches(rows, 100) for row in batch.to_pylist()]


def test_dummies_are_new_each_time() -> None:
    layout = Layout(1, 3)
    [span] = spans([], layout)
    first, again = (Seal(7, layout)(span) for _ in range(2))
    assert len({octets[at : at + 24] for octets in first.buckets + again.buckets for at in range(0, 72, 24)}) == 12


def test_more_entries_than_a_bucket_holds_are_an_error() -> None:
    layout = Layout(0, 1)
    row = {"locator": 0, "output": bytes(64), "dataset": "one", "fields": 1, "flags": 0}
    [span] = spans(_batches([row, row], 9), layout)
    with pytest.raises(ValueError, match="more entries"):
        Seal(7, layout)(span)


@given(st.lists(st.integers(0, 9), min_size=8, max_size=8))
def test_counts_under_a_shorter_prefix_are_sums(counts: list[int]) -> None:
    assert bucket.halved(bucket.halved(counts)) == [sum(counts[:4]), sum(counts[4:])]


def test_a_release_is_written_in_less_memory_than_its_entries_take(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(writer, "_MEMORY", "48MB")
    release = writer.Writer(tmp_path / "release.duckdb")
    size, digest = 4096, bytes(32)
    for first in range(0, 40_000, 2000):
        release.buckets(0, first, [digest] * 2000, [os.urandom(size) for _ in range(2000)])
    release.close(Steward().publish(1).manifest)
    assert [path.name for path in tmp_path.iterdir()] == ["release.duckdb"]
    with duckdb.connect(tmp_path / "release.duckdb", read_only=True) as database:
        found = database.execute("SELECT count(*), count(DISTINCT number), sum(octet_length(entries)) FROM bucket")
        assert found.fetchall() == [(40_000, 40_000, 40_000 * size)]
