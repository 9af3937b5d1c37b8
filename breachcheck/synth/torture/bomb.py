"""Archives that unpack to a thousand times their size."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import Final

import pyarrow as pa

BOMB: Final = 1 << 30  # octets


class Bomb:
    """What unpacks to some good rows and then `BOMB` octets of lines of zeros, without ever holding them."""

    _BLOCK: Final = b"0" * ((1 << 20) - 1) + b"\n"

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._blocks = BOMB // len(self._BLOCK)
        self._size = len(head) + self._blocks * len(self._BLOCK)
        self._sum = zlib.crc32(head)
        for _ in range(self._blocks):
            self._sum = zlib.crc32(self._BLOCK, self._sum)
        # A full flush forgets what went before: what the block becomes behind one can be repeated.
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
        block = packer.compress(self._BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
        self._deflated = first + block * self._blocks + packer.flush()

    def gzip(self) -> bytes:
        """Return it as one member of a gzip file."""
        # RFC 1952 §2.3
        head = bytes([0x1F, 0x8B, zlib.DEFLATED, 0, 0, 0, 0, 0, 0, 255])
        return head + self._deflated + struct.pack("<II", self._sum, self._size)

    def zip(self, name: bytes) -> bytes:
        """Return it as the one file of a zip archive."""
        # APPNOTE.TXT §4.3.7, §4.3.12, §4.3.16; the date is 1 January 1980
        common = struct.pack(
            "<HHHHHIIIHH",
            20,
            0,
            zipfile.ZIP_DEFLATED,
            0,
            0x21,
            self._sum,
            len(self._deflated),
            self._size,
            len(name),
            0,
        )
        local = b"PK\3\4" + common + name + self._deflated
        central = b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
        end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
        return local + central + end

    def zstd(self) -> bytes:
        """Return it as one zstd frame."""
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(self._head)
            for _ in range(self._blocks):
                stream.write(self._BLOCK)
        packed: bytes = sink.getvalue().to_pybytes()
        return packed
