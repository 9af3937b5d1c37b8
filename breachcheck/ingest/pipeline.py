"""The five steps in their order: read, shroud, merge, evaluate, publish. Between them only ciphertext is kept."""

from __future__ import annotations

import csv
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from breachcheck.errors import InputError
from breachcheck.exposure import names_of
from breachcheck.ingest import publish
from breachcheck.ingest.completeness import other_rules, refuse_other_rules
from breachcheck.ingest.counts import Counts
from breachcheck.ingest.engine import Engine
from breachcheck.ingest.mapping import About
from breachcheck.ingest.mapping import Mapping as Rules
from breachcheck.ingest.plan import OTHER_RECORD
from breachcheck.ingest.progress import Watch
from breachcheck.ingest.reduce import Evaluate, unshroud
from breachcheck.ingest.sources.open import digest, refuse_pipe
from breachcheck.ingest.stages import Version, evaluate, names, read, shown, version
from breachcheck.keys import StewardKeys
from breachcheck.protocol.encoding import encode, hkdf_expand
from breachcheck.protocol.identifier import KINDS
from breachcheck.protocol.manifest import Dataset, Manifest
from breachcheck.protocol.parameters import MAX_MANIFEST_LENGTH, SlowHash
from breachcheck.store.ledger import Ledger
from breachcheck.store.people import People
from breachcheck.store.run import Run
from breachcheck.store.schema import RUN_VERSION

SAMPLE: Final = 16  # identifiers of the sources that the new release is asked for before it is published
MOST_DESCRIBED: Final = MAX_MANIFEST_LENGTH // 2  # octets of the manifest for datasets; there is more in it


@dataclass(frozen=True, slots=True)
class Job:
    """What the steward asked for; with `accept_rejects`, even of files of which most rows cannot be used."""

    files: tuple[Path, ...]
    mapping: Rules
    dataset: str
    about: About = field(default_factory=About)
    rejects: Path | None = None  # where to write which rows were rejected, and why
    accept_rejects: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it: counts, never content.

    `dataset` counts all lines, also those of another sort, of which the manifest says nothing. `skipped` files were in
    the ledger already. `identifiers` counts by kind those of this run. Of all that the ledger
    holds, `fields` counts the identifiers of the dataset by field mask, and `members` those of each kind, by bucket.
    `seconds` are those of each stage in this process: a run that was `resumed` took more. `unfinished` names
    the files that other runs left when they were killed.
    """

    manifest: Manifest
    dataset: Dataset
    policy: publish.Policy
    people: People
    resumed: bool
    skipped: int
    identifiers: dict[str, int]
    fields: dict[int, int]
    members: dict[str, list[int]]
    seconds: dict[str, float]
    unfinished: Sequence[str] = ()


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
        InputError: a file, the mapping or the description cannot be used; `no_identifier` when nothing in them can;
            `rejects` when more than half of the rows cannot.
        ReleaseError: ledger or release folder cannot be used, or the new release does not verify.
    """
    laps, began = _Laps(), time.monotonic()
    asked = _describe(job, Counts())
    _refuse_before_reading(job, asked, ledger)
    # Now already, and not only when hours of work are in the wrong ledger.
    previous = publish.read_previous(releases, keys)
    publish.refuse_less(previous, ledger, keys, policy, now)
    publish.refuse_withdrawn(publish.withdrawals(previous, policy), job.dataset)
    # Not a bare digest: that of a leaked file would say, to whoever has the file, that the ledger was made from it.
    versions = {path: version(path) for path in job.files}
    given = {keys.keyed("source", digest(path)): path for path in job.files}
    runs = [past for past in ledger.runs() if past.dataset.name == job.dataset]
    as_now = [past for past in runs if past.mapping == job.mapping.digest and not other_rules(past)]
    for past in as_now:
        ledger.tidy(past)
    known = {source for past in as_now for source in past.sources}
    fresh = {source: path for source, path in given.items() if source not in known}
    # A file that was read with another mapping, or under other rules of identifiers, is read again with these, in place
    # of what it gave then.
    replaced = [past for past in runs if past.sources & fresh.keys()]
    if any(not past.sources <= fresh.keys() for past in replaced):
        raise InputError(
            "already_read",
            "some of these files were read with another mapping or other rules, beside others: give them all again",
        )
    refuse_other_rules(past for past in ledger.runs() if all(past.name != one.name for one in replaced))
    identifiers: dict[str, int] = {}
    sample: list[publish.Sample] = []
    resumed = False
    if fresh:
        made_of = (bytes([RUN_VERSION]), job.dataset.encode(), job.mapping.digest, *sorted(fresh))
        name = keys.keyed("run", *made_of).hex()[:16]
        run_key = hkdf_expand(keys.evaluator.sk, encode("shroud", name.encode()), 64)
        run = ledger.run(name, {kind: KINDS[kind].digest for column in job.mapping.column for kind in column.kind})
        resumed = run.reading is not None or run.dataset is not None
        try:
            # In the order of their digests: the same wherever the shell put them, so that reading can go on.
            files = {fresh[source]: versions[fresh[source]] for source in sorted(fresh)}
            dataset = run.dataset or _read(job, files, run, run_key, engine, watch)
            laps.end("read")
        except InputError:
            run.discard()
            raise
        identifiers = run.identifiers()
        task = Evaluate(run_key, keys.evaluator.sk, keys.service_salt, parameters)
        evaluate(run, sum(identifiers.values()), task, engine, watch)
        laps.end("evaluate")
        if job.rejects:
            _write_rejects(job.rejects, run, list(files))
        watch("keep", 0, 1)
        sample = _sample(run, run_key, job.dataset, sum(identifiers.values()))
        run.finish(dataset, job.mapping.digest, job.mapping.linking, frozenset(fresh), replaced)
        watch("keep", 1, 1)
    if job.about != About():
        ledger.describe(asked)
    laps.end("keep")
    watch("people", 0, 1)
    people = ledger.gather()
    watch("people", 1, 1)
    laps.end("people")
    now += timedelta(seconds=time.monotonic() - began)  # the release before may have been renewed meanwhile
    manifest = publish.publish(ledger, keys, parameters, releases, engine, policy, now, sample, watch)
    dataset = next(one for one in ledger.datasets() if one.name == job.dataset)
    laps.end("publish")
    members = {table.kind: ledger.counts(table.kind, table.prefix_bits)[0] for table in manifest.kinds}
    fields = ledger.fields(job.dataset)
    skipped = len(given) - len(fresh)
    return Report(
        manifest,
        dataset,
        policy,
        people,
        resumed,
        skipped,
        identifiers,
        fields,
        members,
        laps.seconds,
        ledger.unfinished(),
    )


class _Laps:
    """How many seconds each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def end(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = now - self._since
        self._since = now


def _refuse_before_reading(job: Job, asked: Dataset, ledger: Ledger) -> None:
    for path in job.files:
        refuse_pipe(path)
    described = sum(len(one.model_dump_json().encode()) for one in (asked, *ledger.datasets()))
    if described > MOST_DESCRIBED:
        raise InputError("about", f"what is said of all datasets is longer than {MOST_DESCRIBED:,} octets")


def _refuse_useless(job: Job, counts: Counts) -> None:
    rejected = counts.rows_rejected.total()
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in counts.rows_rejected.most_common())
    told = f"of {counts.rows_read:,} rows {rejected:,} were rejected" + (f": {reasons}" if reasons else "")
    if not counts.rows_accepted:
        raise InputError("no_identifier", f"no row has an identifier that can be read; {told}")
    # Neither is about anybody: lines of which the mapping says so, as a return has around two employees, and empty
    # ones, which a sheet may have to its end.
    nobodys = counts.rows_rejected[OTHER_RECORD] + counts.rows_rejected["empty"]
    if rejected - nobodys > counts.rows_accepted and not job.accept_rejects:
        raise InputError("rejects", f"{told}. Correct the mapping, or take the rest by --accept-rejects")


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


def _read(job: Job, files: Mapping[Path, Version], run: Run, run_key: bytes, engine: Engine, watch: Watch) -> Dataset:
    counts = read(files, job.mapping, run, run_key, engine, watch)
    _refuse_useless(job, counts)
    dataset = _describe(job, counts)
    run.merge(dataset)
    return dataset


def _write_rejects(path: Path, run: Run, files: Sequence[Path]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "number", "reason"))
        called = names(files)
        rows.writerows((shown(called[file], part), number, reason) for file, part, number, reason in run.rejected())


def _sample(run: Run, run_key: bytes, dataset: str, total: int) -> list[publish.Sample]:
    erased = run.erased()
    drawn = random.sample(range(total), min(total, SAMPLE + len(erased)))
    positions = [position for position in drawn if position not in erased][:SAMPLE]
    return [
        publish.Sample(identifier, dataset, fields)
        for kind, value, fields in run.masks(positions)
        for identifier in unshroud(run_key, kind, [value])
    ]
