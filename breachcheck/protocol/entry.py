"""Entries: what a dataset holds of an identifier, sealed so that only its owner finds it (PROTOCOL.md §6)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from breachcheck.errors import ProtocolError
from breachcheck.exposure import Flag
from breachcheck.protocol.encoding import encode, hkdf_expand
from breachcheck.protocol.parameters import ENTRY_LENGTH, PAYLOAD_VERSION, TAG_LENGTH

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


def _keystreams(outputs: Iterable[bytes], dataset: str, release: int) -> bytes:
    info = _info("entry", dataset.encode(), release.to_bytes(8, "big"))
    return b"".join([hkdf_expand(y, info, ENTRY_LENGTH) for y in outputs])


def _xor(one: bytes, other: bytes) -> bytes:
    # Little-endian is as Python keeps numbers: twice as fast, of many entries.
    return (int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).to_bytes(len(one), "little")


def plain(payload: Payload) -> bytes:
    """Return the 24 octets that an entry is over its keystream: 16 of zero, which leave the tag, and the payload."""
    return bytes(TAG_LENGTH) + _PAYLOAD.pack(payload.fields, payload.flags, PAYLOAD_VERSION, 0)


def seal(y: bytes, dataset: str, release: int, payload: Payload) -> bytes:
    """Return the 24-byte entry of OPRF output `y` in `dataset` for `release`."""
    return seal_all([y], dataset, release, plain(payload))


def seal_all(outputs: Iterable[bytes], dataset: str, release: int, plains: bytes) -> bytes:
    """Return the entries of OPRF outputs, one after the other, as their `plain` octets are in `plains`."""
    return _xor(_keystreams(outputs, dataset, release), plains)


def find(y: bytes, dataset: str, release: int, entries: bytes) -> Payload | None:
    """Return the payload of the entry of `y` among `entries`, or None when its tag is not there.

    Raises:
        ProtocolError: `entry`: the tag stands there twice, or its payload is not of this version.
    """
    stream = _keystreams([y], dataset, release)
    tag = stream[:TAG_LENGTH]
    found = [at for at in range(0, len(entries), ENTRY_LENGTH) if entries.startswith(tag, at)]
    if not found:
        return None
    sealed = entries[found[0] + TAG_LENGTH : found[0] + ENTRY_LENGTH]
    fields, flags, version, zero = _PAYLOAD.unpack(_xor(stream[TAG_LENGTH:], sealed))
    if len(found) > 1 or version != PAYLOAD_VERSION or zero or not fields or flags & ~_KNOWN_FLAGS:
        raise ProtocolError("entry", "an entry that this protocol version does not write")
    return Payload(fields, Flag(flags))
