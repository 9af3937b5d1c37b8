"""The verifiable oblivious pseudorandom function of RFC 9497: ristretto255-SHA512, mode 1, in the RFC's order.

Group arithmetic is libsodium's. What libsodium does not check is checked here: it takes the identity for a valid
element, ignores bit 255 of a scalar and (1.0.18) of an element, and takes scalars that are not below the group
order.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final

import pysodium

from breachcheck.errors import ProtocolError

ELEMENT_LENGTH: Final = 32
SCALAR_LENGTH: Final = 32
PROOF_LENGTH: Final = 64
OUTPUT_LENGTH: Final = 64
ORDER: Final = 2**252 + 27742317777372353535851937790883648493

# RFC 9497 §3.1, §4.1
_CONTEXT: Final = b"OPRFV1-\x01-ristretto255-SHA512"
_HASH_TO_GROUP: Final = b"HashToGroup-" + _CONTEXT
_HASH_TO_SCALAR: Final = b"HashToScalar-" + _CONTEXT
_DERIVE_KEY_PAIR: Final = b"DeriveKeyPair" + _CONTEXT
_SEED: Final = b"Seed-" + _CONTEXT
_IDENTITY: Final = bytes(ELEMENT_LENGTH)

# The door to libsodium: octets in, octets out; a product that is the identity raises ValueError.
_multiply: Callable[[bytes, bytes], bytes] = pysodium.crypto_scalarmult_ristretto255
_multiply_base: Callable[[bytes], bytes] = pysodium.crypto_scalarmult_ristretto255_base
_add: Callable[[bytes, bytes], bytes] = pysodium.crypto_core_ristretto255_add
_from_uniform: Callable[[bytes], bytes] = pysodium.crypto_core_ristretto255_from_hash
_is_valid: Callable[[bytes], bool] = pysodium.crypto_core_ristretto255_is_valid_point
_reduce: Callable[[bytes], bytes] = pysodium.crypto_core_ristretto255_scalar_reduce
_invert: Callable[[bytes], bytes] = pysodium.crypto_core_ristretto255_scalar_invert
_scalar_multiply: Callable[[bytes, bytes], bytes] = pysodium.crypto_core_ristretto255_scalar_mul
_scalar_subtract: Callable[[bytes, bytes], bytes] = pysodium.crypto_core_ristretto255_scalar_sub
_scalar_random: Callable[[], bytes] = pysodium.crypto_core_ristretto255_scalar_random

_GENERATOR: Final = _multiply_base((1).to_bytes(SCALAR_LENGTH, "little"))


def random_scalar() -> bytes:
    """Return a uniform non-zero scalar (RFC 9497 §2.1). The protocol draws randomness nowhere else."""
    return _scalar_random()


# --- RFC 9497 §2.1, RFC 9380 §5.3.1: hashing and codecs ---------------------------------------------------------------


def _prefixed(part: bytes) -> bytes:
    return len(part).to_bytes(2, "big") + part


def _expand_message(message: bytes, dst: bytes) -> bytes:
    # expand_message_xmd for 64 octets of SHA-512: one block, so b_0 and b_1 are the whole of it
    dst_prime = dst + len(dst).to_bytes(1, "big")
    b_0 = hashlib.sha512(bytes(128) + message + b"\x00\x40\x00" + dst_prime).digest()
    return hashlib.sha512(b_0 + b"\x01" + dst_prime).digest()


def _hash_to_group(message: bytes) -> bytes:
    return _from_uniform(_expand_message(message, _HASH_TO_GROUP))


def _hash_to_scalar(message: bytes, dst: bytes = _HASH_TO_SCALAR) -> bytes:
    return _reduce(_expand_message(message, dst))


def check_element(element: bytes) -> bytes:
    """Return `element` if it is the canonical 32-byte encoding of an element other than the identity.

    Raises:
        ProtocolError: `element` otherwise (RFC 9497 §2.1 DeserializeElement).
    """
    if len(element) != ELEMENT_LENGTH or element == _IDENTITY or element[-1] >> 7 or not _is_valid(element):
        raise ProtocolError("element", "not a canonical, non-identity group element of 32 bytes")
    return element


def check_scalar(scalar: bytes) -> bytes:
    """Return `scalar` if it is 32 bytes, little-endian, and below the group order.

    Raises:
        ProtocolError: `scalar` otherwise (RFC 9497 §2.1 DeserializeScalar).
    """
    if len(scalar) != SCALAR_LENGTH or int.from_bytes(scalar, "little") >= ORDER:
        raise ProtocolError("scalar", "not a scalar of 32 bytes below the group order")
    return scalar


# --- RFC 9497 §2.2: the proof that one key evaluated them all ---------------------------------------------------------


def _weights(pk: bytes, blinded: Sequence[bytes], evaluated: Sequence[bytes]) -> list[bytes]:
    seed = hashlib.sha512(_prefixed(pk) + _prefixed(_SEED)).digest()
    return [
        _hash_to_scalar(_prefixed(seed) + i.to_bytes(2, "big") + _prefixed(c) + _prefixed(d) + b"Composite")
        for i, (c, d) in enumerate(zip(blinded, evaluated, strict=True))
    ]


def _combine(weights: Sequence[bytes], elements: Sequence[bytes]) -> bytes:
    total = _multiply(weights[0], elements[0])
    for weight, element in zip(weights[1:], elements[1:], strict=True):
        total = _add(total, _multiply(weight, element))
    return total


def _challenge(pk: bytes, m: bytes, z: bytes, t2: bytes, t3: bytes) -> bytes:
    return _hash_to_scalar(b"".join(map(_prefixed, (pk, m, z, t2, t3))) + b"Challenge")


def _generate_proof(sk: bytes, pk: bytes, blinded: Sequence[bytes], evaluated: Sequence[bytes], r: bytes) -> bytes:
    m = _combine(_weights(pk, blinded, evaluated), blinded)
    z = _multiply(sk, m)  # ComputeCompositesFast
    t2 = _multiply_base(r)
    t3 = _multiply(r, m)
    c = _challenge(pk, m, z, t2, t3)
    s = _scalar_subtract(r, _scalar_multiply(c, sk))
    return c + s


def verify_proof(pk: bytes, blinded: Sequence[bytes], evaluated: Sequence[bytes], proof: bytes) -> bool:
    """Return whether `proof` shows that the key behind `pk` turned each blinded element into its evaluated one.

    Raises:
        ProtocolError: an element, `pk` or a scalar of the 64-byte `proof` is not one.
    """
    for element in (pk, *blinded, *evaluated):
        check_element(element)
    c, s = check_scalar(proof[:SCALAR_LENGTH]), check_scalar(proof[SCALAR_LENGTH:])
    if not blinded or len(blinded) != len(evaluated):
        return False
    try:
        weights = _weights(pk, blinded, evaluated)
        m, z = _combine(weights, blinded), _combine(weights, evaluated)
        t2 = _add(_multiply(s, _GENERATOR), _multiply(c, pk))
        t3 = _add(_multiply(s, m), _multiply(c, z))
    except ValueError:  # libsodium refuses a product that is the identity, which no honest proof has
        return False
    return hmac.compare_digest(_challenge(pk, m, z, t2, t3), c)


# --- RFC 9497 §3.2: keys ----------------------------------------------------------------------------------------------


def derive_key_pair(seed: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Return (sk, pk), 32 bytes each, from a 32-byte seed and public `info` (RFC 9497 §3.2.1)."""
    derive_input = seed + _prefixed(info)
    for counter in range(256):
        sk = _hash_to_scalar(derive_input + counter.to_bytes(1, "big"), _DERIVE_KEY_PAIR)
        if sk != bytes(SCALAR_LENGTH):
            return sk, public_key(sk)
    raise ProtocolError("derive_key_pair")  # pragma: no cover - 2^-64000


def public_key(sk: bytes) -> bytes:
    """Return the 32-byte public key of the 32-byte scalar `sk`.

    Raises:
        ProtocolError: `scalar`: `sk` is not below the group order, or is zero.
    """
    if check_scalar(sk) == bytes(SCALAR_LENGTH):
        raise ProtocolError("scalar", "zero is no key")
    return _multiply_base(sk)


# --- RFC 9497 §3.3.2: the protocol ------------------------------------------------------------------------------------


def blind(message: bytes) -> tuple[bytes, bytes]:
    """Return a fresh random blind and the blinded element of `message`, 32 bytes each."""
    scalar = random_scalar()
    return scalar, _blind(message, scalar)


def _blind(message: bytes, scalar: bytes) -> bytes:
    # Deterministic: for test vectors. A blind that is used twice links the two questions.
    return _multiply(scalar, _hash_to_group(message))


def blind_evaluate(sk: bytes, pk: bytes, blinded: Sequence[bytes]) -> tuple[list[bytes], bytes]:
    """Return the evaluated elements and the 64-byte proof for them all.

    Raises:
        ProtocolError: an element is malformed; none has been multiplied then.
    """
    return _blind_evaluate(sk, pk, blinded, random_scalar())


def _blind_evaluate(sk: bytes, pk: bytes, blinded: Sequence[bytes], r: bytes) -> tuple[list[bytes], bytes]:
    for element in blinded:
        check_element(element)
    evaluated = [_multiply(sk, element) for element in blinded]
    return evaluated, _generate_proof(sk, pk, blinded, evaluated, r)


def finalize(message: bytes, scalar: bytes, evaluated: bytes) -> bytes:
    """Return the 64-byte output for `message` from its blind and evaluated element, whose proof was verified before."""
    return _finalize(message, _multiply(_invert(scalar), evaluated))


def evaluate(sk: bytes, message: bytes) -> bytes:
    """Return the 64-byte output for `message`, as its key's holder computes it without a client."""
    return _finalize(message, _multiply(sk, _hash_to_group(message)))


def _finalize(message: bytes, element: bytes) -> bytes:
    return hashlib.sha512(_prefixed(message) + _prefixed(element) + b"Finalize").digest()
