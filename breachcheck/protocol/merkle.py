"""The Merkle tree of RFC 9162 §2.1, SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

HASH_LENGTH: Final = 32


def leaf_hash(leaf: bytes) -> bytes:
    """Return the 32-byte hash of a leaf's octets."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of a node over its two children's hashes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree over leaf hashes, kept whole: 64 bytes a leaf."""

    def __init__(self, leaf_hashes: Iterable[bytes]) -> None:
        level = list(leaf_hashes)
        self._levels = [level]
        while len(level) > 1:
            pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            # A last node without a sibling stands in the next level as it is: RFC 9162 splits at a power of two.
            level = pairs + level[len(pairs) * 2 :]
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """The 32-byte tree head; that of no leaves is the hash of nothing."""
        return self._levels[-1][0] if self._levels[0] else hashlib.sha256(b"").digest()

    def path(self, index: int) -> list[bytes]:
        """Return the inclusion path of leaf `index`, from the leaf up (RFC 9162 §2.1.3.1).

        Raises:
            IndexError: there is no such leaf.
        """
        if not 0 <= index < len(self._levels[0]):
            raise IndexError(index)
        path = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            index >>= 1
        return path


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Return whether the leaf of this hash stands at `index` in the tree of this size and root (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size or any(len(node) != HASH_LENGTH for node in (leaf, *path)):
        return False
    fn, sn = index, size - 1
    r = leaf
    for node in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(node, r)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            r = node_hash(r, node)
        fn >>= 1
        sn >>= 1
    return sn == 0 and r == root
