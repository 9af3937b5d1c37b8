"""One unambiguous encoding for everything that is hashed, derived or signed (PROTOCOL.md §2)."""

from __future__ import annotations

import hmac

from breachcheck.protocol.parameters import PROTOCOL


def encode(purpose: str, *parts: bytes) -> bytes:
    """Return protocol name, `purpose` and `parts`, each behind its length as 4 octets, big-endian.

    No two different lists of parts encode to the same octets.
    """
    return b"".join(len(part).to_bytes(4, "big") + part for part in (PROTOCOL.encode(), purpose.encode(), *parts))


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """Return `length` octets (at most 64 here) of HKDF-Expand with SHA-512 (RFC 5869 §2.3).

    One block is all this protocol asks for, and a block more would be a loop that no caller runs.
    """
    if not 0 < length <= 64:
        raise ValueError("one block of HKDF-Expand is 1 to 64 octets")
    return hmac.digest(key, info + b"\x01", "sha512")[:length]
