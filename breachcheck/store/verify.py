"""What a steward verifies of a release beyond what a service needs to serve it.

`store.reader` has compared every bucket, digest and root with the signed manifest when a release is open. Here the
manifest's own numbers are checked, the order of every bucket and, with the evaluator's key, every canary.
"""

from __future__ import annotations

import struct
from datetime import datetime
from operator import ge

from breachcheck.errors import ReleaseError
from breachcheck.exposure import Exposed, Exposure, NotFound
from breachcheck.protocol import canary, client, messages
from breachcheck.protocol.identifier import KINDS, Identifier
from breachcheck.protocol.manifest import Dataset, KindTable
from breachcheck.protocol.parameters import ENTRY_LENGTH, K_MEMBERS, K_POPULATION
from breachcheck.protocol.server import Evaluator
from breachcheck.store.reader import Release


def verify(release: Release, k_members: int = K_MEMBERS, k_population: int = K_POPULATION) -> int:
    """Check counts, minima, canaries' places and the order of entries; return the number of buckets.

    A kind of more than one bucket must have at least `k_members` members and `k_population` assigned numbers in each.
    How many members a bucket really has is the steward's word: nobody can count them without the key.

    Raises:
        ReleaseError: `minimum`, `mismatch`, or `page_damaged`.
    """
    manifest = release.manifest
    for table in manifest.kinds:
        _check_minima(table, k_members, k_population)
        for number in range(table.layout.buckets):
            _check_order(release.page(table.kind, number)[: table.layout.entries_length], table.kind, number)
    for dataset in manifest.datasets:
        _check_counts(dataset)
    if not manifest.has_every_canary:
        raise ReleaseError("mismatch", "there is not one canary for each kind and dataset")
    return sum(table.layout.buckets for table in manifest.kinds)


def verify_canaries(release: Release, publisher_key: bytes, evaluator: Evaluator, now: datetime) -> int:
    """Ask for every canary as a client would, and return how many gave the answer they must give.

    Raises:
        ProtocolError: `manifest_*` or what else a client refuses.
        ReleaseError: `verification`.
    """
    manifest = release.manifest
    for one in manifest.canaries:
        identifier = canary.member(one.kind, one.dataset, manifest.release)
        verdict = ask(release, publisher_key, evaluator, now, identifier)
        expected = (Exposure(one.dataset, one.fields),)
        if not isinstance(verdict, Exposed) or verdict.exposures != expected:
            raise ReleaseError("verification", f"the {one.kind} canary of {one.dataset} is not found as it must be")
    asked = [
        table.kind for table in manifest.kinds if any(table.kind in dataset.kinds for dataset in manifest.datasets)
    ]
    for kind in asked:
        if not isinstance(ask(release, publisher_key, evaluator, now, canary.absent(kind, manifest.release)), NotFound):
            raise ReleaseError("verification", f"a {kind} that is in no dataset is found")
    return len(manifest.canaries) + len(asked)


def ask(
    release: Release, publisher_key: bytes, evaluator: Evaluator, now: datetime, identifier: Identifier
) -> Exposed | NotFound:
    """Return the verdict of a client that asks this release and evaluator.

    Raises:
        ProtocolError: the release or the key is not what it must be.
    """
    manifest = client.accept_manifest(release.signed, publisher_key, now, last_seen=0)
    blinded, request = client.start(manifest, identifier)
    located = client.locate(blinded, evaluator.answer(messages.decode_request(request)))
    return client.conclude(located, release.page(identifier.kind, located.bucket))


def _check_minima(table: KindTable, k_members: int, k_population: int) -> None:
    rules = KINDS.get(table.kind)
    if rules is None or rules.digest != table.rules:
        raise ReleaseError("mismatch", f"{table.kind}: made with other rules than this version's")
    if table.population_min != rules.population >> table.prefix_bits:
        raise ReleaseError("mismatch", f"{table.kind}: the population is not that of the rules")
    if table.members_min > table.entries_per_bucket:
        raise ReleaseError("mismatch", f"{table.kind}: more members than entries in a bucket")
    if table.prefix_bits and (table.members_min < k_members or table.population_min < k_population):
        raise ReleaseError(
            "minimum", f"{table.kind}: fewer than {k_members} members or {k_population} numbers a bucket"
        )


def _check_order(entries: bytes, kind: str, number: int) -> None:
    split = struct.unpack(f"{ENTRY_LENGTH}s" * (len(entries) // ENTRY_LENGTH), entries)
    if any(map(ge, split, split[1:])):
        raise ReleaseError("mismatch", f"{kind} bucket {number:x}: entries are out of order or stand twice")


def _check_counts(dataset: Dataset) -> None:
    if dataset.rows_read != dataset.rows_accepted + sum(dataset.rows_rejected.values()):
        raise ReleaseError("mismatch", f"{dataset.name}: rows read are not those accepted and those rejected")
