"""Named constants and parameter sets of the protocol (PROTOCOL.md §2). There are no loose numbers elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PROTOCOL: Final = "breachcheck-v1"
SUITE: Final = "ristretto255-SHA512"

SALT_LENGTH: Final = 16  # bytes
TAG_LENGTH: Final = 16  # bytes
PAYLOAD_LENGTH: Final = 8  # bytes
ENTRY_LENGTH: Final = TAG_LENGTH + PAYLOAD_LENGTH
PAYLOAD_VERSION: Final = 1
MAX_BATCH: Final = 8  # elements in one evaluation
MAX_PREFIX_BITS: Final = 24
MAX_MANIFEST_LENGTH: Final = 1 << 20  # bytes
MAX_PAGE_LENGTH: Final = 1 << 24  # bytes
K_MEMBERS: Final = 100  # identifiers in the smallest bucket
K_POPULATION: Final = 1000  # assigned numbers a bucket


@dataclass(frozen=True, slots=True)
class SlowHash:
    """An Argon2id parameter set (RFC 9106): memory in KiB, passes; one lane, 32 bytes out."""

    name: str
    memory_kib: int
    passes: int


STANDARD: Final = SlowHash("standard", memory_kib=19 * 1024, passes=2)
TESTING_ONLY: Final = SlowHash("testing-only", memory_kib=8, passes=1)
SLOW_HASHES: Final[Mapping[str, SlowHash]] = {one.name: one for one in (STANDARD, TESTING_ONLY)}
