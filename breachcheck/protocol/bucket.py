"""Buckets: how many, how they are filled to one length, and how one travels with its proof (PROTOCOL.md §7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from breachcheck.errors import ProtocolError
from breachcheck.protocol import merkle
from breachcheck.protocol.entry import LOCATOR_BITS
from breachcheck.protocol.parameters import ENTRY_LENGTH, K_MEMBERS, K_POPULATION, MAX_PREFIX_BITS


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape of one kind's table: 2**prefix_bits buckets of `entries_per_bucket` entries each."""

    prefix_bits: int
    entries_per_bucket: int

    @property
    def buckets(self) -> int:
        """The number of buckets."""
        return 1 << self.prefix_bits

    @property
    def entries_length(self) -> int:
        """The length of a bucket's entries, in bytes."""
        return self.entries_per_bucket * ENTRY_LENGTH

    @property
    def page_length(self) -> int:
        """The length of a page, which is the entries and the Merkle path to them, in bytes."""
        return self.entries_length + self.prefix_bits * merkle.HASH_LENGTH

    def bucket_of(self, locator: int) -> int:
        """Return the number of the bucket that a 64-bit locator falls into."""
        return locator >> (LOCATOR_BITS - self.prefix_bits)

    def first_locator(self, bucket: int) -> int:
        """Return the least 64-bit locator that falls into the bucket of this number."""
        return bucket << (LOCATOR_BITS - self.prefix_bits)


def widest(population: int, k_population: int = K_POPULATION) -> int:
    """Return the largest number of prefix bits at which a bucket still stands for `k_population` assigned numbers."""
    return min(MAX_PREFIX_BITS, max(0, (population // k_population).bit_length() - 1))


def choose_prefix_bits(members: Sequence[int], k_members: int = K_MEMBERS) -> tuple[int, int]:
    """Return the number of prefix bits, and the members of the smallest bucket under it.

    `members` counts distinct identifiers, never entries or dummies, by bucket under the widest prefix allowed; their
    number is a power of two. The answer is the largest number of bits that leaves `k_members` in every bucket, or 0.
    """
    counts = list(members)
    while len(counts) > 1 and min(counts) < k_members:
        counts = halved(counts)
    return len(counts).bit_length() - 1, min(counts)


def halved(counts: Sequence[int]) -> list[int]:
    """Return what was counted by bucket as it is under a prefix of one bit less."""
    return [counts[i] + counts[i + 1] for i in range(0, len(counts), 2)]


def fill(entries: Sequence[bytes], layout: Layout, random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a bucket's entries, sorted, with random dummies up to the one length of all buckets.

    Sealed entries are indistinguishable from random octets, so their sorted order tells nothing of which are real.

    Raises:
        ValueError: more entries than a bucket holds.
    """
    missing = layout.entries_per_bucket - len(entries)
    if missing < 0:
        raise ValueError("more entries than a bucket holds")
    dummies = random_bytes(missing * ENTRY_LENGTH)
    split = [dummies[at : at + ENTRY_LENGTH] for at in range(0, len(dummies), ENTRY_LENGTH)]
    return b"".join(sorted([*entries, *split]))


def page(entries: bytes, path: Sequence[bytes]) -> bytes:
    """Return what is served for a bucket: its entries and its Merkle path, from the leaf up."""
    return entries + b"".join(path)


def open_page(content: bytes, layout: Layout, bucket: int, root: bytes) -> bytes:
    """Return the entries in `content`, proved to be those of `bucket` under `root`.

    Raises:
        ProtocolError: `page_length` or `page_proof`.
    """
    if len(content) != layout.page_length:
        raise ProtocolError("page_length", f"{len(content)} bytes where the manifest says {layout.page_length}")
    entries, rest = content[: layout.entries_length], content[layout.entries_length :]
    path = [rest[at : at + merkle.HASH_LENGTH] for at in range(0, len(rest), merkle.HASH_LENGTH)]
    if not merkle.verify_inclusion(merkle.leaf_hash(entries), bucket, layout.buckets, path, root):
        raise ProtocolError("page_proof", "not the bucket that the manifest commits to")
    return entries
