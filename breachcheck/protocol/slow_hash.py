"""The speed bump before the OPRF: Argon2id (RFC 9106), version 0x13, one lane, 32 octets (PROTOCOL.md §4)."""

from __future__ import annotations

import pysodium
from argon2.low_level import Type, hash_secret_raw

from breachcheck.protocol.encoding import encode
from breachcheck.protocol.identifier import Identifier
from breachcheck.protocol.parameters import SlowHash

LENGTH = 32

# pysodium does not; without it libsodium uses no vector instructions, and Argon2id takes twice the time.
if pysodium.sodium_init() < 0:
    raise ImportError("libsodium does not start")


def _password(identifier: Identifier) -> bytes:
    return encode("slow-hash", identifier.kind.encode(), identifier.canonical.encode())


def slow_hash(identifier: Identifier, salt: bytes, parameters: SlowHash) -> bytes:
    """Return the 32-byte OPRF input of `identifier` under a 16-byte `salt`, by the reference implementation."""
    return hash_secret_raw(
        secret=_password(identifier),
        salt=salt,
        time_cost=parameters.passes,
        memory_cost=parameters.memory_kib,
        parallelism=1,
        hash_len=LENGTH,
        type=Type.ID,
    )


def slow_hash_bulk(identifier: Identifier, salt: bytes, parameters: SlowHash) -> bytes:
    """Return what `slow_hash` returns, by libsodium, which takes little more than half the time."""
    tag: bytes = pysodium.crypto_pwhash(
        LENGTH,
        _password(identifier),
        salt,
        parameters.passes,
        parameters.memory_kib * 1024,
        pysodium.crypto_pwhash_ALG_ARGON2ID13,
    )
    return tag
