"""Entries: what a dataset holds of an identifier, sealed so that only its owner finds it (PROTOCOL.md §6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from breachcheck.errors import ProtocolError
from breachcheck.exposure import Flag
from breachcheck.protocol.encoding import encode, hkdf_expand
from breachcheck.protocol.parameters import ENTRY_LENGTH, PAYLOAD_LENGTH, PAYLOAD_VERSION, TAG_LENGTH

_PAYLOAD = struct.Struct(">IBBH")  # fields, flags, version, zero
_KNOWN_FLAGS = sum(Flag)
LOCATOR_BITS = 64


@dataclass(frozen=True, slots=True)
class Payload:
    """The mask of exposed fields (bit n: the manifest's n-th data class) and flags of one entry."""

    fields: int
    flags: Flag = Flag.NONE


@lru_cache(maxsize=64)  # a release has few kinds and datasets, and many entries
def _info(purpose: str, *parts: bytes) -> bytes:
    return encode(purpose, *parts)


def locate(y: bytes, kind: str) -> int:
    """Return the 64-bit locator of OPRF output `y`; its first `prefix_bits` bits are the bucket's number."""
    return int.from_bytes(hkdf_expand(y, _info("bucket", kind.encode()), LOCATOR_BITS // 8), "big")


def _keystream(y: bytes, dataset: str, release: int) -> bytes:
    return hkdf_expand(y, _info("entry", dataset.encode(), release.to_bytes(8, "big")), ENTRY_LENGTH)


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(PAYLOAD_LENGTH, "big")


def seal(y: bytes, dataset: str, release: int, payload: Payload) -> bytes:
    """Return the 24-byte entry of OPRF output `y` in `dataset` for `release`."""
    stream = _keystream(y, dataset, release)
    plain = _PAYLOAD.pack(payload.fields, payload.flags, PAYLOAD_VERSION, 0)
    return stream[:TAG_LENGTH] + _xor(stream[TAG_LENGTH:], plain)


def find(y: bytes, dataset: str, release: int, entries: bytes) -> Payload | None:
    """Return the payload of the entry of `y` among `entries`, or None when its tag is not there.

    Raises:
        ProtocolError: `entry`: the tag stands there twice, or its payload is not of this version.
    """
    stream = _keystream(y, dataset, release)
    tag = stream[:TAG_LENGTH]
    found = [at for at in range(0, len(entries), ENTRY_LENGTH) if entries.startswith(tag, at)]
    if not found:
        return None
    sealed = entries[found[0] + TAG_LENGTH : found[0] + ENTRY_LENGTH]
    fields, flags, version, zero = _PAYLOAD.unpack(_xor(stream[TAG_LENGTH:], sealed))
    if len(found) > 1 or version != PAYLOAD_VERSION or zero or not fields or flags & ~_KNOWN_FLAGS:
        raise ProtocolError("entry", "an entry that this protocol version does not write")
    return Payload(fields, Flag(flags))
