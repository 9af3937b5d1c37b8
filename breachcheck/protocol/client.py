"""The client's steps, each from a frozen state and the peer's answer to the next (PROTOCOL.md §9).

    accept_manifest(answer) -> Manifest
    start(manifest, identifier) -> Blinded, request
    locate(blinded, answer) -> Located, which bucket to ask for
    conclude(located, answer) -> Exposed | NotFound

Every step raises `ProtocolError` with the word for what was not proved. `conclude` is the one place that builds
`NotFound`, and a `Located` comes only from a verified proof.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from breachcheck.errors import ProtocolError
from breachcheck.exposure import Coverage, Exposed, Exposure, Flag, NotFound, Reason, Unchecked, names_of
from breachcheck.protocol import bucket, entry, messages, oprf
from breachcheck.protocol.identifier import KINDS, Identifier
from breachcheck.protocol.manifest import Dataset, KindTable, Manifest, open_signed
from breachcheck.protocol.slow_hash import slow_hash

CLOCK_SKEW: Final = timedelta(hours=24)  # how far a device's clock may stand before the release's creation


@dataclass(frozen=True, slots=True, repr=False)
class Blinded:
    """The client's secrets between question and evaluation."""

    manifest: Manifest
    table: KindTable
    message: bytes
    scalar: bytes
    element: bytes


@dataclass(frozen=True, slots=True)
class Located:
    """The output of a verified evaluation, and the bucket it points to."""

    manifest: Manifest
    table: KindTable
    output: bytes = field(repr=False)
    bucket: int


def accept_manifest(signed: bytes, publisher_key: bytes, now: datetime, last_seen: int) -> Manifest:
    """Return the manifest in `signed` if its publisher is the pinned one and it is neither stale nor rolled back.

    Raises:
        ProtocolError: `manifest_*` or `release_rolled_back`.
    """
    manifest = open_signed(signed, publisher_key)
    if now.replace(microsecond=0) > manifest.valid_until:
        raise ProtocolError(Reason.MANIFEST_EXPIRED)
    if now < manifest.created - CLOCK_SKEW:
        raise ProtocolError(Reason.MANIFEST_NOT_YET_VALID)
    if manifest.release < last_seen:
        raise ProtocolError(Reason.RELEASE_ROLLED_BACK, f"release {manifest.release} after {last_seen}")
    return manifest


def start(manifest: Manifest, identifier: Identifier) -> tuple[Blinded, bytes]:
    """Return the state and the evaluation request for `identifier`. Takes the time and memory of the slow hash.

    Raises:
        ProtocolError: `kind_not_indexed` or `identifier_rules`.
    """
    table = manifest.table(identifier.kind)
    if table is None or not any(identifier.kind in dataset.kinds for dataset in manifest.datasets):
        raise ProtocolError(Reason.KIND_NOT_INDEXED)
    if table.rules != KINDS[identifier.kind].digest:
        raise ProtocolError(Reason.IDENTIFIER_RULES)
    message = slow_hash(identifier, manifest.service_salt, manifest.parameters)
    scalar, element = oprf.blind(message)
    return Blinded(manifest, table, message, scalar, element), messages.encode_request([element])


def locate(state: Blinded, answer: bytes) -> Located:
    """Return which bucket to ask for, from an evaluation whose proof holds under the manifest's key.

    Raises:
        ProtocolError: `evaluation_malformed` or `evaluation_proof`.
    """
    try:
        elements, proof = messages.decode_response(answer)
        proved = oprf.verify_proof(state.manifest.public_key, [state.element], elements, proof)
    except ProtocolError:
        raise ProtocolError(Reason.EVALUATION_MALFORMED) from None
    if not proved:
        raise ProtocolError(Reason.EVALUATION_PROOF)
    output = oprf.finalize(state.message, state.scalar, elements[0])
    locator = entry.locate(output, state.table.kind)
    return Located(state.manifest, state.table, output, state.table.layout.bucket_of(locator))


def conclude(state: Located, answer: bytes) -> Exposed | NotFound:
    """Return the verdict from a bucket that is whole and the steward's, dataset by dataset.

    Raises:
        ProtocolError: `bucket_length`, `bucket_proof` or `entry_malformed`.
    """
    manifest, table = state.manifest, state.table
    if len(answer) != table.layout.page_length:
        raise ProtocolError(Reason.BUCKET_LENGTH, f"{len(answer)} bytes, not {table.layout.page_length}")
    try:
        entries = bucket.open_page(answer, table.layout, state.bucket, table.root)
    except ProtocolError:
        raise ProtocolError(Reason.BUCKET_PROOF) from None
    checked, unchecked, coverage, exposures = [], [], [], []
    for dataset in manifest.datasets:
        try:
            payload = entry.find(state.output, dataset.name, manifest.release, entries)
        except ProtocolError:
            raise ProtocolError(Reason.ENTRY_MALFORMED) from None
        # A file without this kind can still be known to hold the person, by another file that has both.
        if table.kind in dataset.kinds:
            checked.append(dataset.name)
            coverage.append(_coverage(dataset, table.kind))
        elif payload is None:
            unchecked.append(Unchecked(dataset.name, dataset.kinds))
        if payload is not None:
            fields = names_of(payload.fields, manifest.data_classes)
            if payload.fields >> len(manifest.data_classes) or not set(fields) <= set(dataset.fields):
                raise ProtocolError(Reason.ENTRY_MALFORMED, "a field that the manifest does not have")
            flags = payload.flags
            exposures.append(Exposure(dataset.name, fields, bool(flags & Flag.EMPLOYER), bool(flags & Flag.SHARED)))
    if exposures:
        return Exposed(manifest.release, tuple(exposures), tuple(checked), tuple(unchecked), tuple(coverage))
    return NotFound(manifest.release, tuple(checked), tuple(unchecked), tuple(coverage))


def _coverage(dataset: Dataset, kind: str) -> Coverage:
    rejected = sum(dataset.identifiers_rejected.get(kind, {}).values())
    return Coverage(dataset.name, dataset.rows_read, dataset.rows_accepted, rejected)
