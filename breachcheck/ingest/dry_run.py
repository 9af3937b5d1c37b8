"""What an ingest would take on this machine: time, memory, disk. Nothing is written, and no key is needed.

All files are walked through and their rows counted. Chunks chosen by chance are worked on as an ingest would; how many
identifiers there are is estimated from those that were met in one chunk and in two, after Chao and Lin (2012),
"Nonparametric lower bounds for species richness and shared species richness under sampling without replacement". With
little to read the sample is all there is, and the count is exact. What takes long is measured: reading, slow hash and
OPRF with all workers at once, telling people apart, sealing. It is measured in time of the processor, so that what else
runs on the machine meanwhile does not count: the estimate is of a machine that has nothing else to do.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from breachcheck.errors import InputError
from breachcheck.ingest.cells import siv_of
from breachcheck.ingest.engine import Engine
from breachcheck.ingest.mapping import Mapping
from breachcheck.ingest.memory import MAX_REMEMBERED
from breachcheck.ingest.reduce import Evaluate, Numbered, Shroud
from breachcheck.ingest.sources.chunk import Chunk
from breachcheck.ingest.sources.open import chunks
from breachcheck.protocol import entry, oprf
from breachcheck.protocol.parameters import SALT_LENGTH, STANDARD, SlowHash
from breachcheck.store import people, schema

SAMPLE_FOR: Final = 20.0  # seconds of work on chunks
WALK_FOR: Final = 240.0  # seconds after which the rest of the files is taken to be like what was seen
FIRST_LOOK: Final = 1.5  # seconds
_EVALUATE_FOR: Final = 3.0
_EVALUATE_BATCH: Final = 8  # identifiers with STANDARD; more with what is quicker, at most:
_EVALUATE_MOST: Final = 1024
_PEOPLE_ROWS: Final = 40_000
_SEALS: Final = 2_000
# Octets, as they were measured: of a line of exposure or a distinct identifier in the files of ledger and run, and in
# memory of a process that has begun, and of a row that it knows again.
_LINE_ON_DISK, _IDENTIFIER_ON_DISK, _ENTRY_ON_DISK = 150, 100, 60
_PARENT, _WORKER, _DUCKDB = 200 << 20, 110 << 20, 512 << 20
_LINE_IN_MEMORY, _REMEMBERED = 900, 64

_Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an ingest of some files would take, as of files that the ledger does not hold yet.

    `walked` is the share of the octets that were walked through, `sampled` the share of these rows that were worked on;
    `identifiers` are distinct. `seconds` are by stage; `memory` and `disk` are octets at the peak, of all processes.
    """

    rows: int
    identifiers: int
    walked: float
    sampled: float
    workers: int
    rows_a_second: float
    evaluations_a_second_a_core: float
    seconds: dict[str, float]
    memory: int
    disk: int

    def json(self) -> dict[str, Any]:
        """Return it in the types of JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, repr=False)
class Seen:
    """What was seen in one chunk: 64-bit pseudorandom marks, each once, and seconds of work."""

    rows: int
    identifiers: _Hashes
    lines: _Hashes
    spelled: _Hashes  # rows, as workers know them again
    emitted: int
    first: float
    again: float


@dataclass(frozen=True, slots=True)
class _Look:
    """Work on a chunk as on one of new rows, then as on one of rows that were seen before."""

    run_key: bytes = field(repr=False)

    def __call__(self, chunk: Chunk) -> Seen:
        began = time.process_time()
        task = Shroud(self.run_key, os.urandom(16))
        shrouded = task(Numbered(0, "", chunk))
        first = time.process_time()
        task(Numbered(1, "", chunk))
        again = time.process_time()
        batch = shrouded.batch
        tags = pc.binary_slice(batch["value"], 0, 8).to_pylist()
        identifiers = np.frombuffer(b"".join(tags), "<u8")
        told = next(iter(shrouded.news), None)  # of too many nobody else hears
        high, low = (batch[name].to_numpy() for name in ("row_high", "row_low"))
        lines = identifiers + high * np.uint64(3) + low * np.uint64(5)
        return Seen(
            rows=chunk.count,
            identifiers=np.unique(identifiers),
            lines=np.unique(lines),
            spelled=np.unique(told.marks[:, 0] if told else np.frombuffer(os.urandom(8 * chunk.count), np.uint64)),
            emitted=len(lines),
            first=first - began,
            again=again - first,
        )


@dataclass(frozen=True, slots=True)
class _Timed:
    """Evaluate, and return how many it were, and the seconds of the processor's time."""

    task: Evaluate

    def __call__(self, shrouded: tuple[str, Sequence[bytes]]) -> tuple[int, float]:
        began = time.process_time()
        _, locators = self.task(shrouded)
        return len(locators), time.process_time() - began


def estimate(files: Sequence[Path], mapping: Mapping, parameters: SlowHash, engine: Engine, workers: int) -> Estimate:
    """Measure, and say what an ingest of these files would take.

    Raises:
        InputError: a file cannot be used, or no row stands in any.
    """
    octets = sum(path.stat().st_size for path in files)
    sample = _sample(files, mapping, engine, octets)
    if not sample.rows:
        raise InputError("source", "there is no row in these files")
    walked = 1.0 if sample.ended else sample.octets / octets
    identifiers, lines, spelled = (
        distinct([getattr(one, name) for one in sample.seen], sample.share) / walked
        for name in ("identifiers", "lines", "spelled")
    )
    rows, splitting = sample.rows / walked, sample.splitting / walked
    emitted = sum(one.emitted for one in sample.seen) / sample.share / walked
    # Each worker knows again what any of them has seen.
    new = min(1.0, spelled / rows)
    remembered = min(1.0, MAX_REMEMBERED / max(1.0, new * rows))
    new = 1 - (1 - new) * remembered
    worked = sum(one.rows for one in sample.seen)
    first, again = (sum(getattr(one, name) for one in sample.seen) / worked for name in ("first", "again"))
    work = rows * (new * first + (1 - new) * again)
    cores = len(os.sched_getaffinity(0))
    reading = max(splitting, work / workers, (splitting + work) / min(cores, workers + 1))
    rate = _evaluations(parameters, engine, workers)
    by_line, by_seal = _people(), _sealing()
    written = emitted * new
    return Estimate(
        rows=round(rows),
        identifiers=round(identifiers),
        walked=walked,
        sampled=sample.share,
        workers=workers,
        rows_a_second=rows / reading,
        evaluations_a_second_a_core=rate,
        seconds={
            "read": reading + by_line * written / 2,  # and the merge
            "evaluate": identifiers / rate / min(cores, workers),
            "keep": by_line * lines / 2,
            "people": by_line * lines,
            "publish": by_seal * identifiers / min(cores, workers),
        },
        memory=round(
            _PARENT
            + min(_DUCKDB, _LINE_IN_MEMORY * lines)
            + workers * (_WORKER + parameters.memory_kib * 1024)
            + _REMEMBERED * workers * min(MAX_REMEMBERED, new * rows)
        ),
        disk=round(
            _LINE_ON_DISK * max(lines, written / 3)
            + (_IDENTIFIER_ON_DISK + _ENTRY_ON_DISK) * identifiers
            + max(0.0, _LINE_IN_MEMORY * lines - _DUCKDB)  # spilt
        ),
    )


class Walk:
    """A walk through files, in an order of chance, and what was seen in chunks chosen by chance.

    It ends after so many `seconds`, or with the last file: `ended`. `rows` are all that were walked through and
    `octets` those of the files behind it; `share` is that of the rows that were worked on; `took` are the seconds of
    it all, `splitting` those in which files were cut into chunks.
    """

    def __init__(self, files: Sequence[Path], mapping: Mapping, engine: Engine, chosen: float, seconds: float) -> None:
        self.seen: list[Seen] = []
        self.rows = self.octets = 0
        self.splitting = 0.0
        self.ended = False
        self._until: float | None = None
        began = time.monotonic()
        for one in engine.map(_Look(os.urandom(64)), self._chosen(files, mapping, chosen)):
            if not self.seen:
                began = time.monotonic()  # what it takes to start the workers is no part of it
                self._until = began + seconds
            self.seen.append(one)
        self.took = time.monotonic() - began
        self.share = sum(one.rows for one in self.seen) / max(self.rows, 1)

    def _chosen(self, files: Sequence[Path], mapping: Mapping, chosen: float) -> Iterator[Chunk]:
        behind = 0
        for path in random.sample(files, len(files)):
            walk = chunks(path, mapping)
            while True:
                began = time.perf_counter()
                chunk = next(walk, None)
                self.splitting += time.perf_counter() - began
                if chunk is None:
                    break
                self.rows += chunk.count
                self.octets = behind + chunk.offset
                if random.random() < chosen:  # noqa: S311  a sample
                    yield chunk
                if self._until is not None and time.monotonic() > self._until:
                    return
            behind += path.stat().st_size
            self.octets = behind
        self.ended = True


def _sample(files: Sequence[Path], mapping: Mapping, engine: Engine, octets: int) -> Walk:
    first = Walk(files, mapping, engine, 1.0, FIRST_LOOK)
    if first.ended:
        return first
    speed = first.octets / max(first.took, 1e-3)
    second = Walk(files, mapping, engine, SAMPLE_FOR * speed / octets, WALK_FOR)
    return second if second.seen else first


def distinct(marks: Sequence[_Hashes], share: float) -> float:
    """Estimate how many different marks there are in all chunks, of those of chosen ones, each once in its chunk.

    `share` is that of the chosen ones. If it is 1 the count is exact.
    """
    found, times = np.unique(np.concatenate(marks), return_counts=True)
    if share >= 1:
        return float(len(found))
    once, twice = int((times == 1).sum()), int((times == 2).sum())
    taken = max(2, len(marks))
    below = taken / (taken - 1) * 2 * twice + share / (1 - share) * once
    return len(found) + (once**2 / below if below else 0.0)


def _evaluations(parameters: SlowHash, engine: Engine, workers: int) -> float:
    """Return how many evaluations one worker does in a second of its processor's time, while all work."""
    run_key = os.urandom(64)
    task = _Timed(Evaluate(run_key, oprf.random_scalar(), os.urandom(SALT_LENGTH), parameters))
    ours, standard = (one.memory_kib * one.passes for one in (parameters, STANDARD))
    size = min(_EVALUATE_MOST, max(1, _EVALUATE_BATCH * standard // ours))

    def batches(until: float) -> Iterator[tuple[str, list[bytes]]]:
        sent = 0
        while sent < 2 * workers or time.monotonic() < until:
            sent += 1
            numbers = [f"{random.randrange(10**9):09}".encode() for _ in range(size)]  # noqa: S311  of nobody
            yield "phone", siv_of(run_key, "phone").encrypt(pa.array(numbers)).to_pylist()

    for _ in engine.map(task, batches(0)):
        pass
    done = list(engine.map(task, batches(time.monotonic() + _EVALUATE_FOR)))
    return sum(count for count, _ in done) / sum(seconds for _, seconds in done)


def _people() -> float:
    """Return the seconds a line that DuckDB takes to tell people apart."""
    with duckdb.connect(":memory:") as database:
        database.execute(schema.LEDGER)
        database.execute(
            "INSERT INTO exposure SELECT 'run', 'one', kind, unhex(sha256(i || kind)) || unhex(sha256(kind || i)), "
            "hash(i, kind), kind <> 'phone', i, i, 7, 0 FROM range(?) AS rows(i), "
            "(VALUES ('national_id'), ('social_security'), ('phone')) AS kinds(kind)",
            [_PEOPLE_ROWS],
        )
        began = time.process_time()  # of all threads together
        people.gather(database)
        return (time.process_time() - began) / len(os.sched_getaffinity(0)) / (3 * _PEOPLE_ROWS)


def _sealing() -> float:
    """Return the seconds that it takes to seal an entry."""
    output = os.urandom(64)
    began = time.process_time()
    for release in range(_SEALS):
        entry.seal(output, "one", release, entry.Payload(1))
    return (time.process_time() - began) / _SEALS
