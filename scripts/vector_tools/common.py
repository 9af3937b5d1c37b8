"""What all vectors are made with: fixed octets, fixed keys, and the comparison with the code under test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from breachcheck.errors import InputError, ProtocolError
from breachcheck.protocol import oprf
from breachcheck.protocol.parameters import SlowHash

Vector = dict[str, Any]


def stream(label: str, length: int) -> bytes:
    """Return fixed octets that look random, by label."""
    return hashlib.shake_256(f"breachcheck vectors: {label}".encode()).digest(length)


def scalar(label: str) -> bytes:
    return (int.from_bytes(stream(label, 64), "little") % (oprf.ORDER - 1) + 1).to_bytes(32, "little")


def flip(octets: bytes, bit: int) -> bytes:
    changed = bytearray(octets)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def agree(name: str, wanted: object, got: object) -> None:
    if wanted != got:
        raise SystemExit(f"vectors: {name}: the vector says {wanted!r}, the code {got!r}")


def refusal(step: Callable[..., object], *arguments: object) -> str:
    """Return the word with which `step` refuses, or "accepted"."""
    try:
        step(*arguments)
    except (InputError, ProtocolError) as error:
        return str(error.reason)
    return "accepted"


SALT: Final = bytes(range(16))
SK, PK = oprf.derive_key_pair(bytes([0xA3]) * 32, b"test key")  # those of RFC 9497, Appendix A.1.2
OTHER_SK, OTHER_PK = oprf.derive_key_pair(stream("other key", 32), b"other key")
BLIND: Final = bytes.fromhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706")
PROOF_SCALAR: Final = bytes.fromhex("222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e")
PUBLISHER: Final = Ed25519PrivateKey.from_private_bytes(stream("publisher", 32))
OTHER_PUBLISHER: Final = Ed25519PrivateKey.from_private_bytes(stream("other publisher", 32))
PUBLISHER_KEY: Final = PUBLISHER.public_key().public_bytes_raw()


def parameters_of(parameters: SlowHash) -> Vector:
    return {"name": parameters.name, "memory_kib": parameters.memory_kib, "passes": parameters.passes}
