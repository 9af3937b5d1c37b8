"""Octets out of a file, packed or not, read forwards and never put on a disk."""

from __future__ import annotations

import io
from typing import Final, Protocol

from breachcheck.errors import InputError

HEAD: Final = 4096  # octets, by which a format is told
MAX_HELD: Final = 256 << 20  # octets of a packed file that has to be in memory as a whole
MAX_UNPACKED: Final = 256 << 30  # octets that one file on disk may unpack to
MAX_RATIO: Final = 250  # how many times its size a file on disk may unpack to,
FREE: Final = 64 << 20  # beyond as many octets


class Readable(Protocol):
    """What octets are read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` octets; none at the end."""
        ...


class Allowance:
    """How much may still be unpacked out of one file on disk of `size` octets."""

    def __init__(self, size: int) -> None:
        self._left = min(MAX_UNPACKED, FREE + MAX_RATIO * size)

    def take(self, octets: int) -> None:
        """Note that so many were unpacked.

        Raises:
            InputError: `unpacks_too_far`.
        """
        self._left -= octets
        if self._left < 0:
            raise InputError("unpacks_too_far", "it unpacks to far more than leaked files do")


class Stream:
    """Octets read forwards. Each read is whole, except for the last. `head` are the first `HEAD` octets."""

    def __init__(self, source: Readable, allowance: Allowance | None = None) -> None:
        self._source = source
        self._allowance = allowance
        self.head = b""
        self.head = self.read(HEAD)
        self._kept = self.head

    def read(self, size: int, /) -> bytes:
        """Return `size` octets, or what is left of them.

        Raises:
            InputError: `unpacks_too_far`.
        """
        parts = []
        if self.head and self._kept:
            parts.append(self._kept[:size])
            self._kept = self._kept[size:]
            size -= len(parts[0])
        while size and (part := self._source.read(size)):
            if self._allowance:
                self._allowance.take(len(part))
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def hold(self) -> io.BytesIO:
        """Return all of it, in memory.

        Raises:
            InputError: `unpacks_too_far`: it is over `MAX_HELD` octets.
        """
        octets = self.read(MAX_HELD + 1)
        if len(octets) > MAX_HELD:
            raise InputError("unpacks_too_far", f"files of this format are read up to {MAX_HELD >> 20} MiB")
        return io.BytesIO(octets)
