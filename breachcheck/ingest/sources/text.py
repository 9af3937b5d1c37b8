"""What encoding text is in, and UTF-8 made of it.

Text in UTF-8 and in code pages of one octet a character is cut and counted as it stands, since ASCII means itself in
it; workers make UTF-8 of it. Any other encoding is transcoded while it is read. Octets that do not decode become
U+FFFD.
"""

from __future__ import annotations

import codecs
import re
from array import array
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Final

import pyarrow as pa

from breachcheck.ingest.sources.stream import Readable

BLOCK: Final = 1 << 20  # octets
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_HIGH: Final = re.compile(rb"[\x80-\xff]+")
_NOT_ASCII: Final = bytes(range(128, 256))
_ARABIC: Final = frozenset(
    octet for octet in range(128, 256) if "\u0620" <= bytes([octet]).decode("cp1256") <= "\u06d3"
)
_WORD: Final = 3  # Arabic letters in a row, which in a Western code page are accented ones in a row


class Text:
    """The octets of a text, in blocks in which ASCII means itself, and their encoding as soon as it shows."""

    def __init__(self, file: Readable, encoding: str | None) -> None:
        head = file.read(BLOCK)
        bom, found = next(((bom, name) for bom, name in _BOMS if head.startswith(bom)), (b"", None))
        self._encoding = _normal(encoding) if encoding else found or _wide(head[:4096])
        # "utf-16" and "utf-32" look at the mark themselves.
        marked = self._encoding in ("utf-16", "utf-32") or (encoding is not None and found != self._encoding)
        self._octets = chain((head if marked else head[len(bom) :],), iter(lambda: file.read(BLOCK), b""))

    def blocks(self) -> Iterator[bytes]:
        """Yield the octets, once; none, if there are none."""
        if self._encoding is None or _is_superset(self._encoding):
            return filter(None, self._octets)
        return self._transcoded(self._encoding)

    def settle(self, octets: bytes) -> str:
        """Return the encoding of whole lines: for all of a file, what the first that are not ASCII show."""
        if self._encoding is None:
            if octets.isascii():
                return "ascii"
            self._encoding = guess(octets)
        return self._encoding if _is_superset(self._encoding) else "utf-8"

    def _transcoded(self, encoding: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        for block in self._octets:
            if text := decoder.decode(block):
                yield text.encode("utf-8", "replace")
        if text := decoder.decode(b"", final=True):
            yield text.encode("utf-8", "replace")


def to_utf8(octets: bytes, encoding: str) -> bytes:
    """Return the same text in UTF-8; ASCII characters stay where they are among the others."""
    if octets.isascii():
        return octets
    if encoding == "utf-8" and _is_utf8(octets):
        return octets
    return octets.decode(encoding, "replace").encode()


def _is_utf8(octets: bytes) -> bool:
    text = pa.StringArray.from_buffers(1, pa.py_buffer(array("i", (0, len(octets)))), pa.py_buffer(octets))
    try:
        text.validate(full=True)  # at a fifth of the time of `decode`
    except pa.ArrowInvalid:
        return False
    return True


def guess(octets: bytes) -> str:
    """Return the encoding of lines that are not all ASCII: "utf-8", "cp1256" or "cp1252" (of which Latin-1 is a part).

    UTF-8 has a pattern that other text does not fall into, so it may have faults. In Windows-1256, Arabic words are
    letters outside of ASCII in a row; in Western text such letters stand alone or in twos.
    """
    text = octets.decode("utf-8", "replace")
    characters = len(text) - len(octets.translate(None, _NOT_ASCII))
    faults = text.count("\ufffd") - octets.count("\ufffd".encode())
    if characters - faults >= faults:
        return "utf-8"
    high = words = 0
    for run in _HIGH.finditer(octets):
        length = run.end() - run.start()
        high += length
        if length >= _WORD and _ARABIC.issuperset(run[0]):
            words += length
    return "cp1256" if words * 20 >= high else "cp1252"


def _wide(head: bytes) -> str | None:
    """Return "utf-16-le" or "utf-16-be" if every other octet is mostly what Latin and Arabic letters have there."""
    even, odd = head[::2], head[1::2]
    for name, upper, lower in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        known = upper.count(0) + upper.count(6)
        if upper and known * 3 >= len(upper) and lower.count(0) * 20 <= len(lower):
            return name
    return None


def _normal(encoding: str) -> str:
    name = codecs.lookup(encoding).name
    return "utf-8" if name == "utf-8-sig" else name


@cache
def _is_superset(encoding: str) -> bool:
    """Return whether ASCII means itself wherever it stands, and nothing else is needed to cut lines."""
    if encoding in ("utf-8", "ascii"):
        return True
    ascii_ = bytes(range(128))
    return ascii_.decode(encoding, "replace") == ascii_.decode() and all(
        len(text := bytes([octet, 0x7C]).decode(encoding, "replace")) == 2 and text[1] == "|"
        for octet in range(128, 256)
    )
