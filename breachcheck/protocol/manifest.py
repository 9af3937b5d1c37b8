"""The signed manifest: all that a client needs to know of a release, and the only place to learn it (PROTOCOL.md §8).

A manifest travels as the 64-byte Ed25519 signature followed by the JSON text it signs, octet for octet, so that nothing
has to be canonicalised to be verified.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    model_validator,
)

from breachcheck.errors import ProtocolError
from breachcheck.exposure import Reason
from breachcheck.protocol import merkle, oprf
from breachcheck.protocol.bucket import Layout
from breachcheck.protocol.encoding import encode
from breachcheck.protocol.parameters import (
    MAX_MANIFEST_LENGTH,
    MAX_PAGE_LENGTH,
    MAX_PREFIX_BITS,
    PROTOCOL,
    SALT_LENGTH,
    SLOW_HASHES,
    SUITE,
    SlowHash,
)

SIGNATURE_LENGTH: Final = 64
PUBLISHER_KEY_LENGTH: Final = 32


_TIME: Final = re.compile("[2-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def _from_hex(value: object) -> object:
    if not isinstance(value, str):
        return value
    raw = bytes.fromhex(value)
    if raw.hex() != value:
        raise ValueError("hexadecimal is written in lower case, without spaces")
    return raw


def _from_time(value: object) -> object:
    if not isinstance(value, str):
        return value
    # strptime alone takes lower case, single digits and the digits of other scripts
    if not _TIME.fullmatch(value):
        raise ValueError("a time is written YYYY-MM-DDTHH:MM:SSZ, in a year from 2000 on")
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _to_time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_Hex = (BeforeValidator(_from_hex), PlainSerializer(bytes.hex, return_type=str))
Digest = Annotated[bytes, *_Hex, Field(min_length=merkle.HASH_LENGTH, max_length=merkle.HASH_LENGTH)]
Salt = Annotated[bytes, *_Hex, Field(min_length=SALT_LENGTH, max_length=SALT_LENGTH)]
Element = Annotated[bytes, *_Hex, Field(min_length=oprf.ELEMENT_LENGTH, max_length=oprf.ELEMENT_LENGTH)]
Time = Annotated[datetime, BeforeValidator(_from_time), PlainSerializer(_to_time, return_type=str)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
KindName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_+]{0,63}$")]
DatasetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Date = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$")]
Text = dict[Language, str]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SlowHashParameters(_Model):
    """The Argon2id set, spelled out; a client accepts the sets it knows by name and number, and no other."""

    name: str
    algorithm: Literal["argon2id"]
    version: Annotated[int, Field(ge=19, le=19)]  # a Literal would take 19.0, and true for 1
    memory_kib: int
    passes: int
    lanes: Annotated[int, Field(ge=1, le=1)]

    @classmethod
    def of(cls, parameters: SlowHash) -> Self:
        """Return the manifest's form of a parameter set."""
        return cls(
            name=parameters.name,
            algorithm="argon2id",
            version=19,
            memory_kib=parameters.memory_kib,
            passes=parameters.passes,
            lanes=1,
        )


class KindTable(_Model):
    """The buckets of one kind; `members_min` and `population_min` are what the smallest hides a question among."""

    kind: KindName
    rules: Digest
    prefix_bits: Annotated[int, Field(ge=0, le=MAX_PREFIX_BITS)]
    entries_per_bucket: Annotated[int, Field(ge=1)]
    root: Digest
    members_min: Count
    population_min: Count

    @property
    def layout(self) -> Layout:
        """The shape of this kind's table."""
        return Layout(self.prefix_bits, self.entries_per_bucket)


class Dataset(_Model):
    """One breach: what it is called, what stands in it, and how much of it could be read."""

    name: DatasetName
    title: Text
    date: Date | None
    source_note: Text
    authenticity_note: Text
    fields: tuple[str, ...]
    kinds: tuple[KindName, ...]
    rows_read: Count
    rows_accepted: Count
    rows_rejected: dict[str, Count]
    identifiers_rejected: dict[KindName, dict[str, Count]]


class Canary(_Model):
    """An invented identifier that is sealed in `dataset` with exactly these fields; `protocol.canary` spells it."""

    kind: KindName
    dataset: DatasetName
    fields: Annotated[tuple[str, ...], Field(min_length=1)]


class Withdrawal(_Model):
    """A dataset that was taken back: its name is not used again."""

    name: DatasetName
    date: Date
    reason: Text


class Manifest(_Model):
    """A release, as its steward signed it."""

    protocol: Literal["breachcheck-v1"] = PROTOCOL
    suite: Literal["ristretto255-SHA512"] = SUITE
    release: Annotated[int, Field(ge=1, lt=2**53)]
    created: Time
    valid_until: Time
    service_salt: Salt
    slow_hash: SlowHashParameters
    public_key: Element
    data_classes: Annotated[tuple[str, ...], Field(max_length=32)]
    kinds: tuple[KindTable, ...]
    datasets: tuple[Dataset, ...]
    canaries: tuple[Canary, ...]
    withdrawn: tuple[Withdrawal, ...]
    erasures: Count

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kinds = [table.kind for table in self.kinds]
        names = [dataset.name for dataset in self.datasets]
        if len(set(kinds)) < len(kinds) or len(set(names)) < len(names):
            raise ValueError("a kind or dataset stands twice")
        if len(set(self.data_classes)) < len(self.data_classes):
            raise ValueError("a data class stands twice")
        if self.created > self.valid_until:
            raise ValueError("it ends before it begins")
        for dataset in self.datasets:
            if len(set(dataset.kinds)) < len(dataset.kinds) or len(set(dataset.fields)) < len(dataset.fields):
                raise ValueError("a kind or field of a dataset stands twice")
            if not set(dataset.kinds) <= set(kinds) or not set(dataset.fields) <= set(self.data_classes):
                raise ValueError("a dataset names a kind or field that the release does not have")
        self._check_canaries()
        withdrawn = [one.name for one in self.withdrawn]
        if len(set(withdrawn)) < len(withdrawn) or set(withdrawn) & set(names):
            raise ValueError("a dataset was withdrawn twice, or is still there")
        if any(table.layout.page_length > MAX_PAGE_LENGTH for table in self.kinds):
            raise ValueError("a page is longer than the protocol allows")
        return self

    @property
    def has_every_canary(self) -> bool:
        """Whether each dataset has a canary of each of its kinds, as every release must that is published or served."""
        wanted = {(kind, dataset.name) for dataset in self.datasets if dataset.fields for kind in dataset.kinds}
        return wanted == {(one.kind, one.dataset) for one in self.canaries}

    def _check_canaries(self) -> None:
        datasets = {dataset.name: dataset for dataset in self.datasets}
        places = [(canary.kind, canary.dataset) for canary in self.canaries]
        if len(set(places)) < len(places):
            raise ValueError("a kind and dataset have two canaries")
        for canary in self.canaries:
            dataset = datasets.get(canary.dataset)
            if dataset is None or canary.kind not in dataset.kinds or not set(canary.fields) <= set(dataset.fields):
                raise ValueError("a canary names a dataset, kind or field that is not there")
            if len(set(canary.fields)) < len(canary.fields):
                raise ValueError("a field of a canary stands twice")

    @property
    def parameters(self) -> SlowHash:
        """The parameter set of the slow hash."""
        return SLOW_HASHES[self.slow_hash.name]

    def table(self, kind: str) -> KindTable | None:
        """Return the table of `kind`, or None when the release does not index it."""
        return next((table for table in self.kinds if table.kind == kind), None)


def _refuse_number(_: str) -> None:
    raise ValueError("a number is an integer, written as one")


def sign(manifest: Manifest, publisher: Ed25519PrivateKey) -> bytes:
    """Return the signed form of `manifest`: 64 bytes of signature, then the JSON text."""
    body = manifest.model_dump_json().encode()
    return publisher.sign(encode("manifest", body)) + body


def open_signed(signed: bytes, publisher_key: bytes) -> Manifest:
    """Return the manifest in `signed`, proved to be from the publisher with this 32-byte Ed25519 key.

    Raises:
        ProtocolError: `manifest_malformed`, `manifest_signature`, `manifest_version` or `manifest_parameters`.
    """
    if not SIGNATURE_LENGTH < len(signed) <= MAX_MANIFEST_LENGTH:
        raise ProtocolError(Reason.MANIFEST_MALFORMED, f"{len(signed)} bytes")
    signature, body = signed[:SIGNATURE_LENGTH], signed[SIGNATURE_LENGTH:]
    try:
        Ed25519PublicKey.from_public_bytes(publisher_key).verify(signature, encode("manifest", body))
    except InvalidSignature:
        raise ProtocolError(Reason.MANIFEST_SIGNATURE) from None
    return parse(body)


def parse(body: bytes) -> Manifest:
    """Return the manifest that the JSON text `body` is. Whether to believe it is for `open_signed` to say.

    Raises:
        ProtocolError: `manifest_malformed`, `manifest_version` or `manifest_parameters`.
    """
    try:
        # As text: given octets, json would take UTF-16 and a byte order mark.
        content: Any = json.loads(body.decode(), parse_float=_refuse_number, parse_constant=_refuse_number)
        json.dumps(content, ensure_ascii=False).encode()  # fails for a lone surrogate
    except (ValueError, RecursionError):  # a ValueError of no closer kind is an integer of more than 4300 digits
        raise ProtocolError(Reason.MANIFEST_MALFORMED, "not JSON") from None
    if not isinstance(content, dict):
        raise ProtocolError(Reason.MANIFEST_MALFORMED, "not a JSON object")
    if content.get("protocol") != PROTOCOL or content.get("suite") != SUITE:
        raise ProtocolError(Reason.MANIFEST_VERSION, "another protocol or suite")
    try:
        manifest = Manifest.model_validate_json(body)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise ProtocolError(Reason.MANIFEST_MALFORMED, f"at {where or 'the whole'}") from None
    known = SLOW_HASHES.get(manifest.slow_hash.name)
    if known is None or manifest.slow_hash != SlowHashParameters.of(known):
        raise ProtocolError(Reason.MANIFEST_PARAMETERS)
    return manifest
