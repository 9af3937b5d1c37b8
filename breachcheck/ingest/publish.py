"""From the ledger to a numbered, signed, immutable release: stage, fsync, verify, rename, swap one pointer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from breachcheck.errors import ProtocolError, ReleaseError
from breachcheck.exposure import DataClass, Exposed, Flag, mask_of, names_of
from breachcheck.ingest.completeness import (
    of_people,
    refuse_behind,
    refuse_forgetful,
    refuse_other_rules,
    refuse_unfinished,
)
from breachcheck.ingest.engine import Engine
from breachcheck.ingest.sealing import Seal, Sealed, spans
from breachcheck.ingest.tally import SMALL
from breachcheck.keys import StewardKeys
from breachcheck.protocol import bucket, canary, entry, merkle, oprf
from breachcheck.protocol.bucket import Layout
from breachcheck.protocol.identifier import KINDS, Identifier
from breachcheck.protocol.manifest import (
    Canary,
    Dataset,
    KindTable,
    Manifest,
    SlowHashParameters,
    Withdrawal,
    open_signed,
    sign,
)
from breachcheck.protocol.parameters import K_MEMBERS, K_POPULATION, MAX_PAGE_LENGTH, SlowHash
from breachcheck.protocol.slow_hash import slow_hash
from breachcheck.store import reader
from breachcheck.store.durable import open_tree, replace, sync, sync_tree
from breachcheck.store.ledger import Ledger, Sealable
from breachcheck.store.verify import ask, verify, verify_canaries
from breachcheck.store.writer import Writer

VALID_FOR: Final = timedelta(days=90)
_WRITE_BYTES: Final = 8 << 20  # of buckets; DuckDB takes twice as long with a tenth of them at a time
# A release holds no secret, and the service that reads it is another user than the steward who writes it.


@dataclass(frozen=True, slots=True)
class Policy:
    """What a release promises: how many share a bucket, how long it is current, and whether prefixes may grow.

    With `shrink` it may lack what the release before it had, and follow one that was signed later than now. `follows`
    is the last release of the epoch before: what was withdrawn there stays listed, as many must be erased here, and
    without `shrink` no dataset may be missing, and none have fewer rows.
    """

    k_members: int = K_MEMBERS
    k_population: int = K_POPULATION
    valid_for: timedelta = VALID_FOR
    grow: bool = False
    shrink: bool = False
    follows: Manifest | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Sample:
    """An identifier of this ingest and the fields it must be found with, held in memory to verify the release."""

    identifier: Identifier
    dataset: str
    fields: int


def publish(
    ledger: Ledger,
    keys: StewardKeys,
    parameters: SlowHash,
    releases: Path,
    engine: Engine,
    policy: Policy,
    now: datetime,
    sample: Sequence[Sample],
    watch: Callable[[str, int, int], None],
    withdrawal: Withdrawal | None = None,
) -> Manifest:
    """Publish the next release of what the ledger holds, and return its manifest.

    What was withdrawn stays listed in every later release. A dataset of the release before, or of the epoch before,
    that neither the ledger has nor anybody withdrew is an error: none goes without a word.

    Until the last rename the folder serves the release it served before; a run that is killed leaves at most a staging
    folder that the next run removes, or a complete release that nothing points to and whose number is not used again.

    Raises:
        ReleaseError: `nothing_to_publish`, `epoch`, `epoch_before`, `clock`, `ledger_behind`, `ledger_rules`,
            `erasures_missing`, `dataset_missing`, `withdrawn`, `page_length`, `worker_lost`, `verification`, or what
            `store.reader` finds wrong.
    """
    if not releases.exists():
        releases.mkdir(parents=True)
        releases.chmod(0o755)  # it holds no secret
    for left in releases.glob(".staging-*"):
        shutil.rmtree(left)
    previous = read_previous(releases, keys)
    refuse_less(previous, ledger, keys, policy, now)
    refuse_other_rules(ledger.runs())
    rules = ledger.rules()
    datasets = list(map(of_people, ledger.datasets()))
    # A kind of which the last identifier was erased is still asked for: "not found" is the answer, and it is proved.
    kinds = sorted({*ledger.kinds(), *(kind for dataset in datasets for kind in dataset.kinds)})
    withdrawn = withdrawals(previous, policy)
    _refuse_silence(previous, datasets, withdrawn, withdrawal)
    withdrawn = (*withdrawn, *([withdrawal] if withdrawal else ()))
    if policy.follows and not policy.shrink:
        refuse_unfinished(policy.follows, ledger, {one.name for one in withdrawn})
    if not kinds and not withdrawn:
        raise ReleaseError("nothing_to_publish", "the ledger holds no identifier")
    number = keys.spend_release_number(max(reader.numbers(releases), default=0))
    stage = releases / f".staging-{number}"
    (stage / reader.PAGES).mkdir(parents=True)
    writer = Writer(stage / reader.DATABASE)
    canaries = [
        Canary(kind=kind, dataset=dataset.name, fields=dataset.fields) for dataset in datasets for kind in dataset.kinds
    ]
    tables = []
    total = ledger.entries() + len(canaries)
    written = 0

    def told(sealed: Iterable[Sealed]) -> Iterator[Sealed]:
        nonlocal written
        for one in sealed:
            watch("publish", written, total)
            written += one.entries
            yield one

    # Never on a cluster: outputs open entries, and those of earlier ingests are no business of its workers.
    with engine.here() as crew:
        for position, kind in enumerate(kinds):
            invented = _seal_canaries(canaries, kind, keys, parameters, number)
            layout, members_min = _layout(ledger, kind, policy, previous, invented)
            sealed = crew.map(Seal(number, layout), spans(ledger.sealables(kind, invented), layout))
            root = _write_kind(told(sealed), writer, position, layout, stage / reader.PAGES / f"{kind}.bin")
            tables.append(
                KindTable(
                    kind=kind,
                    rules=rules[kind],
                    prefix_bits=layout.prefix_bits,
                    entries_per_bucket=layout.entries_per_bucket,
                    root=root,
                    members_min=members_min,
                    population_min=KINDS[kind].population >> layout.prefix_bits,
                )
            )
    created = now.astimezone(UTC).replace(microsecond=0)
    manifest = Manifest(
        release=number,
        created=created,
        valid_until=created + policy.valid_for,
        service_salt=keys.service_salt,
        slow_hash=SlowHashParameters.of(parameters),
        public_key=keys.evaluator.pk,
        data_classes=tuple(map(str, DataClass)),
        kinds=tuple(tables),
        datasets=tuple(datasets),
        canaries=tuple(canaries),
        withdrawn=withdrawn,
        erasures=ledger.erasures(),
    )
    writer.close(manifest)
    (stage / reader.MANIFEST).write_bytes(sign(manifest, keys.publisher))
    open_tree(stage)
    sync_tree(stage)
    with reader.open_folder(stage, keys.publisher_key) as release:
        _verify(release, keys, policy, now, sample)
    watch("publish", total, total)
    stage.rename(releases / str(number))
    sync(releases)
    ledger.release(number)
    replace(releases / reader.CURRENT, f"{number}\n".encode("ascii"))
    return manifest


def read_previous(releases: Path, keys: StewardKeys) -> Manifest | None:
    """Return the manifest of the current release, or None where there is none yet.

    Raises:
        ReleaseError: `no_release`, `unreadable` or `manifest`: what is there is not a release of this publisher;
            `epoch`: it was made with another evaluator key, whose service could not follow nor be started again.
    """
    if not (releases / reader.CURRENT).exists():
        return None
    manifest = _read(releases, keys)
    if manifest.public_key != keys.evaluator.pk:
        raise ReleaseError("epoch", f"the releases in {releases} have another key: give each epoch a folder of its own")
    return manifest


def read_followed(releases: Path, keys: StewardKeys) -> Manifest:
    """Return the manifest of the current release of the epoch that `keys` follow.

    Raises:
        ReleaseError: as `read_previous`; `epoch_before`: these releases are of another.
    """
    manifest = _read(releases, keys)
    if manifest.public_key != keys.before:
        raise ReleaseError(
            "epoch_before",
            f"the releases in {releases} are not of the epoch that these keys follow; where that published nothing, "
            "rotate the keys of the one before it again, and leave these",
        )
    return manifest


def _read(releases: Path, keys: StewardKeys) -> Manifest:
    try:
        return open_signed((reader.current(releases) / reader.MANIFEST).read_bytes(), keys.publisher_key)
    except OSError as error:
        raise ReleaseError("unreadable", f"{reader.MANIFEST} of the release before: {error.strerror}") from None
    except ProtocolError as error:
        raise ReleaseError("manifest", f"the release before this one: {error}") from None


def refuse_less(previous: Manifest | None, ledger: Ledger, keys: StewardKeys, policy: Policy, now: datetime) -> None:
    """Refuse to publish from a ledger that has forgotten: rows, who was erased, or the epoch before; or in the past.

    Raises:
        ReleaseError: `ledger_behind`, `erasures_missing`, `epoch_before`, `clock`.
    """
    for before in (previous, policy.follows):
        if before:
            refuse_forgetful(before, ledger)
    if policy.shrink:
        return
    if any(before and now < before.created for before in (previous, policy.follows)):
        raise ReleaseError(
            "clock",
            "the release before was signed later than now: the clock is behind, and what is published would expire "
            "early; or it was ahead then, and `ingest --allow-shrinking` goes on",
        )
    if previous:
        refuse_behind(previous, ledger)
    elif keys.before and not policy.follows:
        raise ReleaseError(
            "epoch_before",
            "these keys follow others: name the folder of their releases with --follows, so that what was withdrawn "
            "stays said, and nobody who was erased comes back; if it is lost, --allow-shrinking goes on without",
        )


def withdrawals(previous: Manifest | None, policy: Policy) -> tuple[Withdrawal, ...]:
    """Return what was withdrawn so far, in the epoch before too; what was withdrawn in both, as it was told here."""
    told = (one for before in (policy.follows, previous) if before for one in before.withdrawn)
    return tuple({one.name: one for one in told}.values())


def refuse_withdrawn(withdrawn: Iterable[Withdrawal], dataset: str) -> None:
    """Refuse a name that was withdrawn.

    Raises:
        ReleaseError: `withdrawn`: what comes under that name again could be taken for what was taken back.
    """
    if any(one.name == dataset for one in withdrawn):
        raise ReleaseError(
            "withdrawn",
            f"a dataset called {dataset} was withdrawn: choose another name, or, where it is published here, withdraw "
            "it here too",
        )


def _refuse_silence(
    previous: Manifest | None,
    datasets: Sequence[Dataset],
    withdrawn: Sequence[Withdrawal],
    withdrawal: Withdrawal | None,
) -> None:
    for dataset in datasets:
        refuse_withdrawn(withdrawn, dataset.name)
    told = {one.name for one in (*datasets, *withdrawn, *([withdrawal] if withdrawal else ()))}
    missing = sorted({one.name for one in previous.datasets} - told) if previous else []
    if missing:
        raise ReleaseError(
            "dataset_missing", f"the ledger does not hold {', '.join(missing)}: `release withdraw` says so in public"
        )


def _seal_canaries(
    canaries: Sequence[Canary], kind: str, keys: StewardKeys, parameters: SlowHash, number: int
) -> list[Sealable]:
    invented = []
    for one in canaries:
        if one.kind == kind:
            message = slow_hash(canary.member(kind, one.dataset, number), keys.service_salt, parameters)
            output = oprf.evaluate(keys.evaluator.sk, message)
            fields = mask_of(map(DataClass, one.fields))
            invented.append(Sealable(entry.locate(output, kind), output, one.dataset, fields, Flag.NONE))
    return invented


def _layout(
    ledger: Ledger, kind: str, policy: Policy, previous: Manifest | None, invented: Sequence[Sealable]
) -> tuple[Layout, int]:
    bits = bucket.widest(KINDS[kind].population, policy.k_population)
    before = previous.table(kind) if previous else None
    if before and not policy.grow:
        bits = min(bits, before.prefix_bits)
    # Members are people's identifiers alone: a canary hides nobody. As an entry it takes its place like any other.
    members, entries = ledger.counts(kind, bits)
    bits, members_min = bucket.choose_prefix_bits(members, policy.k_members)
    while len(entries) > 1 << bits:
        entries = bucket.halved(entries)
    for one in invented:
        entries[Layout(bits, 1).bucket_of(one.locator)] += 1
    # Neither length nor minimum of a kind that is one bucket may count a few people in public.
    layout = Layout(bits, max(max(entries), SMALL + len(invented)))
    if not bits and members_min < SMALL:
        members_min = min(members_min, 1)
    if layout.page_length > MAX_PAGE_LENGTH:
        raise ReleaseError("page_length", f"{kind}: too many identifiers a bucket; --grow lets prefixes be longer")
    return layout, members_min


def _write_kind(sealed: Iterable[Sealed], writer: Writer, position: int, layout: Layout, path: Path) -> bytes:
    leaves: list[bytes] = []
    unwritten: list[bytes] = []

    def write() -> None:
        first = len(leaves) - len(unwritten)
        writer.buckets(position, first, leaves[first:], unwritten)
        unwritten.clear()

    with path.open("xb") as pages:
        for buckets, digests, _ in sealed:
            leaves += digests
            unwritten += buckets
            if len(unwritten) * layout.entries_length >= _WRITE_BYTES:
                write()
            for entries in buckets:
                pages.write(entries)
                pages.seek(layout.page_length - layout.entries_length, os.SEEK_CUR)
        if unwritten:
            write()
        tree = merkle.Tree(leaves)
        for index in range(layout.buckets):
            pages.seek(index * layout.page_length + layout.entries_length)
            pages.write(b"".join(tree.path(index)))
        return tree.root


def _verify(
    release: reader.Release, keys: StewardKeys, policy: Policy, now: datetime, sample: Sequence[Sample]
) -> None:
    # A client of our own asks for members, for canaries, and for what cannot be there, as any client would.
    verify(release, policy.k_members, policy.k_population)
    for one in sample:
        verdict = ask(release, keys.publisher_key, keys.evaluator, now, one.identifier)
        fields = names_of(one.fields)
        if not isinstance(verdict, Exposed) or not any(
            exposure.dataset == one.dataset and set(fields) <= set(exposure.fields) for exposure in verdict.exposures
        ):
            raise ReleaseError("verification", f"a {one.identifier.kind} of the sources is not found in the release")
    verify_canaries(release, keys.publisher_key, keys.evaluator, now)
