"""The five steps in their order: read, shroud, merge, evaluate, publish. Between them only ciphertext is kept."""

from __future__ import annotations

import hmac
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from pydantic import ValidationError

from breachcheck.errors import InputError
from breachcheck.exposure import names_of
from breachcheck.ingest import publish, source
from breachcheck.ingest.engine import Engine
from breachcheck.ingest.mapping import About, Mapping
from breachcheck.ingest.reduce import Counts, Evaluate, Shroud, unshroud
from breachcheck.keys import StewardKeys
from breachcheck.protocol.encoding import encode, hkdf_expand
from breachcheck.protocol.manifest import Dataset, Manifest
from breachcheck.protocol.parameters import SlowHash
from breachcheck.store.ledger import Ledger, Run

EVALUATE_BATCH: Final = 64  # identifiers a task: about a second of STANDARD
KEEP_EVERY: Final = 5.0  # seconds of work that a killed run may lose
SAMPLE: Final = 16  # identifiers of the sources that the new release is asked for before it is published


class Watch(Protocol):
    """Whoever wants to know how far it is."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear that `done` of `total` units of a stage (bytes, identifiers, entries) are behind us."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What the steward asked for."""

    files: tuple[Path, ...]
    mapping: Mapping
    dataset: str
    about: About = field(default_factory=About)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it: counts, never content. `skipped` files were in the ledger already."""

    manifest: Manifest
    dataset: Dataset
    resumed: bool
    skipped: int
    identifiers: dict[str, int]


def ingest(
    job: Job,
    keys: StewardKeys,
    parameters: SlowHash,
    ledger: Ledger,
    releases: Path,
    engine: Engine,
    policy: publish.Policy,
    now: datetime,
    watch: Watch,
) -> Report:
    """Bring files into the ledger and publish the next release.

    Raises:
        InputError: a file or the mapping cannot be used.
        ReleaseError: ledger or release folder cannot be used, or the new release does not verify.
    """
    asked = _describe(job, Counts())
    given = {_keyed(keys, "source", source.digest(path)): path for path in job.files}
    runs = [past for past in ledger.runs() if past.dataset.name == job.dataset]
    known = {digest for past in runs if past.mapping == job.mapping.digest for digest in past.sources}
    fresh = {digest: path for digest, path in given.items() if digest not in known}
    # A file that was read with another mapping is read again with this one, in place of what it gave then.
    replaced = [past for past in runs if past.sources & fresh.keys()]
    if any(not past.sources <= fresh.keys() for past in replaced):
        raise InputError(
            "already_read",
            "some of these files were read with another mapping, beside others: give them all again",
        )
    identifiers: dict[str, int] = {}
    sample: list[publish.Sample] = []
    resumed = False
    if fresh:
        name = _keyed(keys, "run", job.dataset.encode(), job.mapping.digest, *sorted(fresh)).hex()[:16]
        run_key = hkdf_expand(keys.evaluator.sk, encode("shroud", name.encode()), 64)
        run = ledger.run(name)
        resumed = run.dataset is not None
        try:
            read = run.dataset or _read(job, tuple(fresh.values()), run, run_key, engine, watch)
        except InputError:
            run.discard()
            raise
        identifiers = run.identifiers()
        task = Evaluate(run_key, keys.evaluator.sk, keys.service_salt, parameters)
        _evaluate(run, sum(identifiers.values()), task, engine, watch)
        sample = _sample(run, run_key, job.dataset, sum(identifiers.values()))
        run.finish(read, job.mapping.digest, frozenset(fresh), replaced)
    if job.about != About():
        ledger.describe(asked)
    manifest = publish.publish(ledger, keys, parameters, releases, policy, now, sample, watch)
    dataset = next(one for one in manifest.datasets if one.name == job.dataset)
    return Report(manifest, dataset, resumed, len(given) - len(fresh), identifiers)


def _keyed(keys: StewardKeys, purpose: str, *parts: bytes) -> bytes:
    # Not a bare digest: that of a leaked file would say, to whoever has the file, that the ledger was made from it.
    return hmac.digest(keys.evaluator.sk, encode(purpose, *parts), "sha256")


def _read(job: Job, files: Sequence[Path], run: Run, run_key: bytes, engine: Engine, watch: Watch) -> Dataset:
    counts = Counts()
    total = sum(path.stat().st_size for path in files)
    for batch, chunk, done in engine.map(Shroud(run_key), _chunks(files, job.mapping)):
        run.add(batch)
        counts.add(chunk)
        watch("read", done, total, f"{counts.rows_read:,} rows")
    dataset = _describe(job, counts)
    run.merge(dataset)
    return dataset


def _describe(job: Job, counts: Counts) -> Dataset:
    try:
        return Dataset(
            name=job.dataset,
            title=job.about.title,
            date=job.about.date,
            source_note=job.about.source_note,
            authenticity_note=job.about.authenticity_note,
            fields=names_of(counts.fields),
            kinds=tuple(sorted(counts.kinds)),
            rows_read=counts.rows_read,
            rows_accepted=counts.rows_accepted,
            rows_rejected=dict(sorted(counts.rows_rejected.items())),
            identifiers_rejected={
                kind: dict(sorted(reasons.items())) for kind, reasons in sorted(counts.identifiers_rejected.items())
            },
        )
    except ValidationError:
        raise InputError("dataset", "a dataset's name is of a-z, 0-9, dot, dash and underscore") from None


def _chunks(files: Sequence[Path], mapping: Mapping) -> Iterator[source.Chunk]:
    behind = 0
    for path in files:
        for chunk in source.read_csv(path, mapping):
            yield replace(chunk, offset=behind + chunk.offset)
        behind += path.stat().st_size


def _evaluate(run: Run, total: int, task: Evaluate, engine: Engine, watch: Watch) -> None:
    start = done = run.evaluated()
    results: list[tuple[bytes, int]] = []
    kept = time.monotonic()
    for batch in engine.map(task, run.shrouded(start, EVALUATE_BATCH)):
        results += batch
        done += len(batch)
        watch("evaluate", done, total)
        if time.monotonic() - kept > KEEP_EVERY:
            run.store(done - len(results), results)
            results, kept = [], time.monotonic()
    if results:
        run.store(done - len(results), results)


def _sample(run: Run, run_key: bytes, dataset: str, total: int) -> list[publish.Sample]:
    positions = random.sample(range(total), min(total, SAMPLE))
    cipher = AESSIV(run_key)
    return [
        publish.Sample(unshroud(cipher, kind, value), dataset, fields) for kind, value, fields in run.masks(positions)
    ]
