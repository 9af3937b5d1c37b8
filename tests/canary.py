"""Search files for canaries: values of a leak that may stand in no file, in no encoding.

    Scanner(canaries).scan(paths) -> Findings
    python tests/canary.py --canaries FILE PATH...       one canary a line, UTF-8

A canary is an identifier, an e-mail address or a full name, of 6 characters or more; a number has 8 digits or more. No
canary is ever printed: a finding names it by its position. Exit codes: 0 nothing found, 1 found, 2 usage, 3 nothing
found, but something could not be read.

Each file is searched as it is, then through what hides bytes from a search: compressed streams at any offset (gzip,
zlib, zip, bzip2, xz, zstd, LZ4 and snappy frames; streams in streams, to `_DEPTH` levels), Parquet columns, DuckDB
tables with their WAL, DuckDB's FSST and bit-packed segments (so that dropped tables and deleted rows are seen too), and
the 8-byte words of DuckDB's sort runs. What cannot be opened is listed as unreadable.

Not seen: numbers below 2^24 in binary form; single precision; DOUBLE columns of a dropped DuckDB table (ALP);
compressed data without a magic of its own (raw deflate, brotli, bare LZ4 and snappy blocks; but a Parquet file without
its footer is listed as unreadable); what is encrypted, or hashed with a key.

Short patterns match by chance: one of n bytes is expected b / 256^n times in b random bytes, 4-byte integers 0.23 times
in 1 GB. So matches of `_WEAK` bytes or fewer count as findings only where they are more than chance explains, wrongly
in one scan of 1,000 at most; the others are listed in `Findings.chance`.
"""

from __future__ import annotations

import argparse
import base64
import bz2
import hashlib
import json
import lzma
import math
import os
import re
import shutil
import stat
import struct
import sys
import tempfile
import unicodedata
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard
from ahocorasick_rs import BytesAhoCorasick

_SHORTEST: Final = 6  # characters of a canary: below this, text itself matches by chance
_SHORTEST_NUMBER: Final = 8  # digits of a number without its leading zeros, to be searched without them
_WEAK: Final = 5  # bytes of a pattern up to which chance matches are to be expected
_DOUBT: Final = 1e-3  # probability, a scan of random bytes, that chance matches are reported as findings
_WINDOW: Final = 1 << 20  # bytes searched at a time
_ANCHOR: Final = 16  # bytes of a pattern that the automaton holds; the rest is compared at a match
_STREAM: Final = 256 << 20  # bytes of one decompressed stream
_DEPTH: Final = 3  # levels of streams in streams
_BLOCK: Final = 256 << 10  # bytes of a DuckDB block
_ROWS: Final = 2048  # rows of a column looked at together


# --- What a scan says -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """A canary, named by its position, found in a file; `offset` is in bytes within the innermost part of `where`."""

    canary: int
    encoding: str
    where: str
    offset: int
    count: int

    def __str__(self) -> str:
        return f"canary {self.canary} as {self.encoding} at {self.where}:{self.offset} ({self.count} times)"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place that could not be looked into, and why. Never holds content."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What a scan found. `chance` holds the matches of short patterns that are no more than `expected` explains."""

    findings: tuple[Finding, ...]
    unreadable: tuple[Unreadable, ...]
    chance: tuple[Finding, ...]
    expected: float
    files: int
    scanned: int

    @property
    def clean(self) -> bool:
        """Return whether everything could be read and nothing was found."""
        return not self.findings and not self.unreadable


# --- Encodings --------------------------------------------------------------------------------------------------------

# Separators people and spreadsheets put into numbers, with the marks that text of two directions carries.
_SEPARATORS: Final = re.compile("[\\s.\\-/()_\u00ad\u200b-\u200f\u2010-\u2015\u202a-\u202f\u2060-\u2069\ufeff]")
_PHONE: Final = re.compile(r"(?:(?:00)?212)?0?([5-8]\d{8})")
_HASHES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "sha-1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "sha-256": lambda data: hashlib.sha256(data).digest(),
    "sha-512": lambda data: hashlib.sha512(data).digest(),
    "blake2b-256": lambda data: hashlib.blake2b(data, digest_size=32).digest(),
}
_CODECS: Final = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "cp1256", "cp1252", "iso8859-6")
_INVERTED: Final = bytes(255 - value for value in range(256))

Encoded = tuple[str, bytes]


def _digits(text: str) -> str | None:
    """Return the ASCII digits of a number, without separators, plus and IBAN's MA64; None for other texts."""
    bare = _SEPARATORS.sub("", text).removeprefix("+")
    if bare[:4].upper() == "MA64" and len(bare) == 28:
        bare = bare[4:]
    if not bare or not all(character.isdecimal() for character in bare):
        return None
    return "".join(str(unicodedata.decimal(character)) for character in bare)


def _spellings(digits: str) -> tuple[str, ...]:
    """Return how a number is written in digits; the first is the one that stands in all others, if there is one."""
    if phone := _PHONE.fullmatch(digits):
        national = phone[1]
        return national, "0" + national, "212" + national, "00212" + national, "+212" + national
    bare = digits.lstrip("0")
    spellings = (bare, digits) if len(bare) >= _SHORTEST_NUMBER else (digits,)
    return (*spellings, "MA64" + digits) if len(digits) == 24 else spellings


def _forms(text: str) -> tuple[set[str], set[str]]:
    """Return the texts to search, none of which contains another, and all texts of which a hash may have been taken."""
    digits = _digits(text)
    spelled = {
        unicodedata.normalize(form, cased)
        for cased in (text, text.upper(), text.lower(), text.title() if " " in text else text)
        for form in ("NFC", "NFD")
    }
    if digits is None:
        return spelled, spelled
    spellings = _spellings(digits)
    return {spellings[0], *(form for form in spelled if spellings[0] not in form)}, {*spellings, *spelled}


def _base64(data: bytes) -> Iterator[Encoded]:
    for lead in range(3):
        # A character that also depends on the neighbours is left out: ceil(8 * lead / 6) whole ones come first.
        whole = base64.b64encode(bytes(lead) + data)[(8 * lead + 5) // 6 : (8 * (lead + len(data))) // 6]
        yield f"base64 +{lead}", whole
        yield f"base64url +{lead}", whole.translate(bytes.maketrans(b"+/", b"-_"))


def _escaped(text: str) -> Iterator[Encoded]:
    data = text.encode()
    lower = re.compile("%[0-9A-F]{2}")
    for quoted in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield "percent", quoted.encode()
        yield "percent, lower case", lower.sub(lambda match: match[0].lower(), quoted).encode()
    if not text.isascii():
        once = json.dumps(text)[1:-1]
        upper = re.sub(r"\\u[0-9a-f]{4}", lambda match: "\\u" + match[0][2:].upper(), once)
        yield "json", once.encode()
        yield "json, upper case", upper.encode()
        yield "json in json", json.dumps(once)[1:-1].encode()
        yield "bytes literal", repr(data)[2:-1].encode()
        yield (
            "bytes literal, upper case",
            re.sub(rb"\\x[0-9a-f]{2}", lambda match: b"\\x" + match[0][2:].upper(), repr(data)[2:-1].encode()),
        )
        yield "xml references", text.encode("ascii", "xmlcharrefreplace")
        yield "xml references, hex", "".join(c if c.isascii() else f"&#x{ord(c):x};" for c in text).encode()


def _sort_key(name: str, data: bytes) -> Iterator[Encoded]:
    yield f"sort key of {name}", data
    yield f"sort key of {name}, descending", data.translate(_INVERTED)


def _text_patterns(text: str) -> Iterator[Encoded]:
    for codec in _CODECS:
        try:
            yield codec, text.encode(codec)
        except UnicodeEncodeError:
            continue  # the code page has no such letters
    data = text.encode()
    yield "hex", data.hex().encode()
    yield "hex, upper case", data.hex().upper().encode()
    yield from _base64(data)
    yield from _escaped(text)
    # DuckDB's create_sort_key adds 1 to each byte of a VARCHAR, to keep 0 as the end of the string.
    yield from _sort_key("text", bytes(value + 1 & 255 for value in data))


def _hash_patterns(text: str) -> Iterator[Encoded]:
    for name, function in _HASHES.items():
        digest = function(text.encode())
        yield name, digest
        yield f"{name}, hex", digest.hex().encode()
        yield f"{name}, hex, upper case", digest.hex().upper().encode()
        yield f"{name}, base64", base64.b64encode(digest).rstrip(b"=")
        yield f"{name}, base64url", base64.urlsafe_b64encode(digest).rstrip(b"=")


def _varint(number: int) -> bytes:
    """Return the LEB128 form, as Protocol Buffers, Avro and Thrift write integers."""
    octets = []
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    return bytes([*octets, number])


def _integer_patterns(number: int) -> Iterator[Encoded]:
    # Below 2^24, offsets and lengths of any file would match.
    if number < 1 << 24:
        return
    for bits in (32, 64, 128):
        if number >= 1 << bits or (bits == 128 and number < 1 << 64):
            continue
        yield f"u{bits}-le", number.to_bytes(bits // 8, "little")
        yield f"u{bits}-be", number.to_bytes(bits // 8, "big")
        if number < 1 << bits - 1:
            # Sort keys flip the sign bit, to order negative numbers first.
            yield from _sort_key(f"i{bits}", (number | 1 << bits - 1).to_bytes(bits // 8, "big"))
    double = struct.pack(">d", number)
    yield "double-le", double[::-1]
    yield "double-be", double
    yield from _sort_key("double", bytes([double[0] | 128]) + double[1:])
    if number < 1 << 63:
        yield "varint", _varint(number)
        yield "varint, zigzag", _varint(number << 1)


def _bcd_patterns(digits: str) -> Iterator[Encoded]:
    # An odd number of digits is filled with 0 in front, or F or COMP-3's sign C behind.
    filled = (digits, "0" + digits + "C") if len(digits) % 2 == 0 else ("0" + digits, digits + "F", digits + "C")
    for nibbles in filled:
        yield "bcd", bytes.fromhex(nibbles)
        yield "bcd, swapped", bytes(value >> 4 | (value & 15) << 4 for value in bytes.fromhex(nibbles))


def encodings(text: str) -> Iterator[Encoded]:
    """Yield the name and bytes of every encoding of a canary, but DuckDB's own hash; the same bytes may come twice."""
    texts, hashed = _forms(text)
    for form in texts:
        yield from _text_patterns(form)
    for form in hashed:
        yield from _hash_patterns(form)
    digits = _digits(text)
    if digits is not None:
        for form in _spellings(digits):
            if form.isdecimal():
                yield from _integer_patterns(int(form))
                yield from _bcd_patterns(form)


def _duckdb_hashes(texts: Sequence[str]) -> Iterator[tuple[int, str, bytes]]:
    """Yield each text's position and `hash()` of it, as spilled hash tables hold it beside the row."""
    strings = [(place, form) for place, text in enumerate(texts) for form in _forms(text)[1]]
    numbers = [(place, int(form)) for place, form in strings if form.isascii() and form.isdecimal() and len(form) < 39]
    with duckdb.connect() as connection:
        for type_, rows in (("VARCHAR", strings), ("HUGEINT", numbers)):
            places: dict[Any, list[int]] = {}
            for place, value in rows:
                places.setdefault(value, []).append(place)
            query = f"SELECT x, hash(x) FROM (SELECT unnest(?::{type_}[]) AS x)"  # noqa: S608
            for value, hashed in connection.execute(query, [list(places)]).fetchall():
                for place in places[value]:
                    yield place, "duckdb hash", hashed.to_bytes(8, "little")
                    yield place, "duckdb hash, digits", str(hashed).encode()


# --- Search of bytes --------------------------------------------------------------------------------------------------


class _Automaton:
    """Aho-Corasick over the first `_ANCHOR` bytes of each pattern."""

    def __init__(self, patterns: Iterable[bytes]) -> None:
        anchored: dict[bytes, list[bytes]] = {}
        for pattern in patterns:
            anchored.setdefault(pattern[:_ANCHOR], []).append(pattern)
        self._patterns = list(anchored.values())
        self._machine = BytesAhoCorasick(list(anchored))

    def find(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        for index, start, _ in self._machine.find_matches_as_indexes(data, overlapping=True):
            for pattern in self._patterns[index]:
                if len(pattern) <= _ANCHOR or data.startswith(pattern, start):
                    yield pattern, start


class _Digests:
    """Digests of 16 bytes or more, by the 8-byte words of which each holds a whole one wherever it stands.

    Digests are uniform: in an automaton they would spread over all of memory, and cost five times as much.
    """

    def __init__(self, patterns: Iterable[bytes]) -> None:
        self._owners = {
            int.from_bytes(pattern[lead : lead + 8], sys.byteorder): pattern
            for pattern in patterns
            for lead in range(8)
        }
        self._words = frozenset(self._owners)

    def find(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        words = memoryview(data)[: len(data) // 8 * 8].cast("Q")
        for pattern in {self._owners[word] for word in self._words.intersection(words)}:
            start = data.find(pattern)
            while start >= 0:
                yield pattern, start
                start = data.find(pattern, start + 1)


def _swapped(data: bytes) -> bytes:
    """Return the 8-byte words of data with their bytes reversed, as DuckDB keeps sort keys of fixed length."""
    words = array("Q", data[: len(data) // 8 * 8])
    words.byteswap()
    return words.tobytes()


# --- Sources and streams ----------------------------------------------------------------------------------------------


class _Source(Protocol):
    @property
    def size(self) -> int: ...
    def read(self, start: int, length: int) -> bytes:
        """Return up to `length` bytes from `start`; fewer at the end."""


class _File:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, start: int, length: int) -> bytes:
        parts = []
        while length and (part := os.pread(self._descriptor, length, start)):
            parts.append(part)
            start += len(part)
            length -= len(part)
        return b"".join(parts)


class _Memory:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int, length: int) -> bytes:
        return self._data[start : start + length]


class _Readable:
    """A source, or the part from `start` to `end`, as the file object that pyarrow reads."""

    closed = False

    def __init__(self, source: _Source, start: int = 0, end: int | None = None) -> None:
        self._source = source
        self._start = start
        self._size = (source.size if end is None else end) - start
        self._place = 0

    def read(self, length: int = -1) -> bytes:
        rest = max(0, self._size - self._place)
        data = self._source.read(self._start + self._place, rest if length < 0 else min(length, rest))
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True, slots=True)
class _Stream:
    """What a stream holds; `end` is where it ended, if it ended as it should; `fault` says what was not read."""

    data: bytes
    end: int | None = None
    fault: str | None = None


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


_Open = Callable[[_Source, int, int], _Stream]
_VARINT: Final = re.compile(rb"[\x80-\xff]{0,2}[\x00-\x7f]")  # a snappy chunk's own length
_BROKEN: Final = (zlib.error, OSError, EOFError, lzma.LZMAError, zstandard.ZstdError)


def _inflate(decoder: _Decoder, source: _Source, start: int, bound: int) -> _Stream:
    """Decompress from `start`. What came before a fault is kept: killed programs leave streams without their end."""
    output: list[bytes] = []
    size, step = 0, 256  # most magics of two bytes stand there by chance: a short first piece ends them
    while piece := source.read(start, step):
        try:
            output.append(decoder.decompress(piece))
        except _BROKEN:
            break
        start += len(piece)
        size += len(output[-1])
        if decoder.eof:
            return _Stream(b"".join(output), start - len(decoder.unused_data))
        if size > bound:
            return _Stream(b"".join(output), fault=f"stream of more than {bound} bytes")
        step = 1 << 14
    return _Stream(b"".join(output))


def _zip_member(source: _Source, start: int, bound: int) -> _Stream:
    """Decompress one member of a zip archive (APPNOTE 4.3.7)."""
    header = source.read(start, 30)
    if len(header) < 30:
        return _Stream(b"")
    _, _, flags, method, _, _, _, _, _, name, extra = struct.unpack("<4s5H3I2H", header)
    if method == 8 and not flags & 1:
        return _inflate(zlib.decompressobj(-15), source, start + 30 + name + extra, bound)
    # A stored member is found as it is; of the others, methods above 99 are no archive at all.
    hidden = flags & 1 or method != 0
    return _Stream(b"", fault=f"zip member of method {method}" if hidden and method <= 99 else None)


def _bounded(pieces: Iterator[bytes], bound: int) -> _Stream:
    """Join what a frame's reader yields until it ends, fails or passes the bound."""
    output: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            output.append(piece)
            size += len(piece)
            if size > bound:
                return _Stream(b"".join(output), fault=f"stream of more than {bound} bytes")
    except (OSError, pa.ArrowException):
        pass  # broken off: what came before is kept
    return _Stream(b"".join(output))


def _lz4_end(source: _Source, start: int) -> int:
    """Return the end of an LZ4 frame: magic u32, flags u8, size u8, options, checksum u8, blocks after their length."""
    flags = int.from_bytes(source.read(start + 4, 1), "little")
    start += 7 + (8 if flags & 8 else 0) + (4 if flags & 1 else 0)
    while length := int.from_bytes(source.read(start, 4), "little") & 0x7FFFFFFF:
        start += 4 + length + (4 if flags & 16 else 0)
    return min(start + 4 + (4 if flags & 4 else 0), source.size)


def _lz4_pieces(source: _Source, start: int) -> Iterator[bytes]:
    # pyarrow fails on what follows a frame, and loses what it read in the same call: hence the end, and small pieces.
    with pa.input_stream(_Readable(source, start, _lz4_end(source, start)), compression="lz4") as stream:
        while piece := stream.read(256):
            yield bytes(piece)


def _snappy_pieces(source: _Source, start: int) -> Iterator[bytes]:
    """Yield the chunks of a snappy frame: type u8, length u24, then CRC u32 and at most 65,536 bytes of data."""
    while len(header := source.read(start, 4)) == 4:
        length = int.from_bytes(header[1:], "little")
        chunk = source.read(start + 4, length)
        if header[0] == 0:
            prefix = _VARINT.match(chunk, 4)
            if prefix is None:
                return
            size = sum((octet & 127) << 7 * place for place, octet in enumerate(prefix[0]))
            yield pa.decompress(chunk[4:], decompressed_size=min(size, 1 << 16), codec="snappy", asbytes=True)
        elif header[0] == 1:
            yield chunk[4:]
        elif header[0] <= 0x7F:
            return  # reserved, not to be skipped
        start += 4 + length


def _opens(make: Callable[[], _Decoder]) -> _Open:
    return lambda source, start, bound: _inflate(make(), source, start, bound)


def _zstd() -> _Decoder:
    return zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()


_STREAMS: Final[dict[str, tuple[bytes, _Open]]] = {
    "gzip": (rb"\x1f\x8b\x08", _opens(lambda: zlib.decompressobj(31))),
    "zlib": (rb"\x78[\x01\x5e\x9c\xda]", _opens(zlib.decompressobj)),
    "zstd": (rb"\x28\xb5\x2f\xfd", _opens(_zstd)),
    "bzip2": (rb"BZh[1-9]\x31\x41\x59\x26\x53\x59", _opens(bz2.BZ2Decompressor)),
    "xz": (rb"\xfd7zXZ\x00", _opens(lzma.LZMADecompressor)),
    "lz4": (rb"\x04\x22\x4d\x18", lambda source, start, bound: _bounded(_lz4_pieces(source, start), bound)),
    "snappy": (rb"\xff\x06\x00\x00sNaPpY", lambda source, start, bound: _bounded(_snappy_pieces(source, start), bound)),
    "zip": (rb"PK\x03\x04", _zip_member),
}
# One expression each: a literal at the head is searched at 1 GB/s, alternatives at a hundredth of it.
_MAGICS: Final = {name: re.compile(magic) for name, (magic, _) in _STREAMS.items()}


# --- DuckDB's compressed segments -------------------------------------------------------------------------------------

# duckdb_fsst_export: endianness 1, symbols u8, terminator u8, limit u8, version 20190218 u32; then the table.
_FSST: Final = re.compile(rb"\x01[\x00-\xff]{3}\x0a\x14\x34\x01")
# The last four bytes of a bit-packed segment are the first group's: offset 8 in 24 bits, then mode 2 to 5.
_PACKED: Final = re.compile(rb"\x08\x00\x00[\x02-\x05]")
_CONSTANT, _CONSTANT_DELTA, _DELTA, _FRAME = 2, 3, 4, 5
_GROUP: Final = 2048  # values of a bit-packed group


def _fsst_symbols(export: bytes) -> tuple[list[bytes], int] | None:
    """Return the 256 symbols of an exported FSST table and the table's length; None if it is none."""
    if len(export) < 17:
        return None
    counts = list(export[9:17])
    code = export[8] & 1
    counts[0] -= code
    symbols = [b""] * 256
    place = 17
    for length in (2, 3, 4, 5, 6, 7, 8, 1):
        for _ in range(counts[length - 1]):
            if code >= 255:
                return None
            symbols[code] = export[place : place + length]
            place += length
            code += 1
    return (symbols, place) if code == export[1] and place <= len(export) else None


def _fsst_decode(data: bytes, symbols: list[bytes]) -> bytes:
    # 255 means: the next byte as it is.
    parts = re.split(rb"\xff([\x00-\xff])", data)
    parts[::2] = [b"".join(map(symbols.__getitem__, part)) for part in parts[::2]]
    return b"".join(parts)


def _fsst_strings(source: _Source, table: int) -> Iterator[tuple[int, bytes]]:
    """Yield start and text of the strings that the FSST table at offset `table` belongs to, in its DuckDB segment."""
    found = _fsst_symbols(source.read(table, 17 + 255 * 8))
    if found is None:
        return
    first = max(0, table - _BLOCK)
    before = source.read(first, table - first)
    for start in range((first + 7) // 8 * 8, table - 15, 8):
        distance = table - start
        size, end, _, symbols_at = struct.unpack_from("<4I", before, start - first)
        if symbols_at == distance and size <= end <= _BLOCK:  # FSST: strings at the end of the segment
            yield start + end - size, _fsst_decode(source.read(start + end - size, size), found[0])
        for header in (16, 24):  # DICT_FSST: strings between header and symbols
            if size > 0 and header + (size + 7) // 8 * 8 == distance:
                yield start + header, _fsst_decode(source.read(start + header, size), found[0])


def _unpack(data: bytes, offsets: list[tuple[int, int]], width: int) -> list[int] | None:
    """Return the values of a bit-packed segment of integers of `width` bytes; None if they are of another width."""
    values: list[int] = []
    wrap = (1 << 8 * width) - 1
    for place, (mode, offset) in enumerate(offsets):
        fields = [int.from_bytes(data[offset + width * i : offset + width * (i + 1)], "little") for i in range(3)]
        if mode == _CONSTANT:
            size = width
            values.append(fields[0])
        elif mode == _CONSTANT_DELTA:
            size = 2 * width
            values.extend(fields[0] + fields[1] * i & wrap for i in range(_GROUP))
        else:
            base, bits, value = fields
            if bits > 8 * width:
                return None
            head = width * (3 if mode == _DELTA else 2)
            size = head + bits * _GROUP // 8
            mask = (1 << bits) - 1
            for start in range(offset + head, offset + size, 4 * bits) if bits else ():
                group = int.from_bytes(data[start : start + 4 * bits], "little")
                for i in range(32):
                    difference = base + (group >> i * bits & mask)
                    value = value + difference & wrap if mode == _DELTA else difference & wrap
                    values.append(value)
        following = offsets[place + 1][1] if place + 1 < len(offsets) else None
        if following is not None and following not in (offset + size, offset + (size + 7) // 8 * 8):
            return None
    return values


def _packed_values(source: _Source, metadata: int) -> Iterator[tuple[int, list[int]]]:
    """Yield start and values of the bit-packed DuckDB segments whose last four bytes stand at offset `metadata`."""
    end = metadata + 4
    first = (max(0, end - _BLOCK) + 7) // 8 * 8
    block = source.read(first, end - first)
    for index, length in enumerate(memoryview(block)[: len(block) // 8 * 8].cast("Q")):
        if length != len(block) - 8 * index:
            continue
        segment = block[8 * index :]
        offsets: list[tuple[int, int]] = []
        for place in range(length - 4, 7, -4):
            entry = int.from_bytes(segment[place : place + 4], "little")
            mode, offset = entry >> 24, entry & 0xFFFFFF
            if not _CONSTANT <= mode <= _FRAME or offset >= place or (offsets and offset <= offsets[-1][1]):
                break
            offsets.append((mode, offset))
        for width in (4, 8, 16):
            values = _unpack(segment, offsets, width)
            if values:
                yield first + 8 * index, values


# --- Columns ----------------------------------------------------------------------------------------------------------


def _leaves(values: Any) -> Iterator[Any]:
    """Yield the Arrow arrays without nesting that an array is made of."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        yield from _leaves(values.dictionary)
    elif pa.types.is_struct(kind):
        for field in values.flatten():
            yield from _leaves(field)
    elif pa.types.is_map(kind):
        yield from _leaves(values.keys)
        yield from _leaves(values.items)
    elif pa.types.is_nested(kind):
        yield from _leaves(values.flatten())
    else:
        yield values.drop_null()


def _column_bytes(values: Any) -> Iterator[bytes]:
    """Yield an Arrow column's values as text or bytes with NUL between them, and as they stand in memory."""
    for leaf in _leaves(values):
        if not len(leaf):
            continue
        kind = leaf.type
        if pa.types.is_fixed_size_binary(kind):
            leaf = pc.cast(leaf, pa.binary())
        elif not any(
            is_type(kind)
            for is_type in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)
        ):
            yield b"".join(bytes(buffer) for buffer in leaf.buffers()[1:] if buffer is not None)
            try:
                leaf = pc.cast(leaf, pa.string())
            except pa.ArrowNotImplementedError:
                continue  # a type without text; its bytes were given above
        offsets = pa.array([0, len(leaf)], pa.int32())
        yield pc.binary_join(pa.ListArray.from_arrays(offsets, leaf.cast(pa.binary())), b"\0")[0].as_py()


# A whole number of so many digits is no identifier, and among its digits short canaries stand by chance: a column of
# 5,000 random 64-bit integers holds one of 1,000 numbers of eight digits in every other scan.
_ODD: Final = range(13, 22)
_INTEGERS: Final = frozenset({"BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT"})


def _can_be_one(number: str) -> bool:
    return len(number) not in _ODD


# Errors of containers; pyarrow gives DuckDB's as its own.
_UNREADABLE: Final = (duckdb.Error, pa.ArrowException, OSError)


# --- The scan ---------------------------------------------------------------------------------------------------------


def _tail(count: int, expected: float) -> float:
    """Return the probability that a Poisson variable of this expectation reaches `count`, 1 at most."""
    if count <= expected:
        return 1.0
    if expected == 0:
        return 0.0
    total, term = 0.0, math.exp(count * math.log(expected) - expected - math.lgamma(count + 1))
    while term > total * 1e-12:
        total += term
        count += 1
        term *= expected / count
    return total


class Scanner:
    """Finds canaries in files. Holds them, so its `repr` is blank."""

    def __init__(self, canaries: Iterable[str], *, octets: Iterable[bytes] = (), bound: int = _STREAM) -> None:
        """Prepare the search; one stream is decompressed to at most `bound` bytes, and reported where it holds more.

        `octets` are searched as they are, and numbered after the canaries.

        Raises:
            ValueError: There are no canaries, or one has fewer than 6 characters or, being a number, 8 digits.
        """
        texts = tuple(canaries)
        if not texts:
            raise ValueError("no canaries: the search would prove nothing")
        for place, text in enumerate(texts):
            if len(text) < _SHORTEST:
                raise ValueError(f"canary {place} has fewer than {_SHORTEST} characters")
            if 0 < len(_digits(text) or "") < _SHORTEST_NUMBER:
                raise ValueError(f"canary {place} has fewer than {_SHORTEST_NUMBER} digits")
        self._canaries = len(texts)
        self.bound = bound
        self._owners: dict[bytes, list[tuple[int, str]]] = {}
        for place, text in enumerate(texts):
            named: dict[bytes, str] = {}
            for name, pattern in encodings(text):
                named.setdefault(pattern, name)
            for pattern, name in named.items():
                self._owners.setdefault(pattern, []).append((place, name))
        for place, pattern in enumerate(octets, len(texts)):
            self._owners.setdefault(pattern, []).append((place, "octets"))
        for place, name, pattern in _duckdb_hashes(texts):
            self._owners.setdefault(pattern, []).append((place, name))
        self._swapped_owners = {
            pattern: [(place, f"{name}, words swapped") for place, name in owners if name.startswith("sort key")]
            for pattern, owners in self._owners.items()
            if any(name.startswith("sort key") for _, name in owners)
        }
        digests = {pattern for pattern, owners in self._owners.items() if owners[0][1] in _HASHES}
        self._digests = _Digests(digests)
        self._automaton = _Automaton(pattern for pattern in self._owners if pattern not in digests)
        self._swapped_automaton = _Automaton(self._swapped_owners)
        self.longest = max(map(len, self._owners))

    def __repr__(self) -> str:
        return f"Scanner({self._canaries} canaries)"

    def scan(self, paths: Iterable[str | os.PathLike[str]]) -> Findings:
        """Search files and everything under folders.

        Raises:
            FileNotFoundError: A path does not exist.
        """
        scan = _Scan(self)
        # All files are listed before the first is opened, so that the scan's own copies are not searched.
        for file in list(scan.listed([Path(path) for path in paths])):
            scan.file(*file)
        return scan.result()

    def find(self, data: bytes) -> Iterator[tuple[list[tuple[int, str]], int, bool]]:
        """Yield owners (canary and encoding) and offset of every match in `data`, and whether its pattern is short."""
        for search in (self._automaton, self._digests):
            for pattern, start in search.find(data):
                yield self._owners[pattern], start, len(pattern) <= _WEAK
        for pattern, start in self._swapped_automaton.find(_swapped(data)):
            yield self._swapped_owners[pattern], start, len(pattern) <= _WEAK

    def weak(self) -> dict[str, float]:
        """Return the matches to be expected in one random byte, by encoding, for patterns of `_WEAK` bytes or fewer."""
        expected: defaultdict[str, float] = defaultdict(float)
        for table in (self._owners, self._swapped_owners):
            for pattern, owners in table.items():
                if len(pattern) <= _WEAK:
                    for _, name in owners:
                        expected[name] += 256.0 ** -len(pattern)
        return dict(expected)


class _Scan:
    """One scan: where it is, and what it has found."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._weak = scanner.weak()
        # File, where, canary, encoding, whether the pattern is short: offset, count.
        self._matches: dict[tuple[str, str, int, str, bool], list[int]] = {}
        self._unreadable: dict[Unreadable, None] = {}
        self._scanned: Counter[str] = Counter()
        self._roots: list[Path] = []
        self._seen: set[tuple[int, int]] = set()
        self._file = ""
        self._files = 0

    # Files

    def listed(self, paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Yield every file once, with the name to print, which holds no canary."""
        self._roots = [path.resolve(strict=True) for path in paths]
        for path in paths:
            yield from self._under(path.resolve(), str(path))

    def _under(self, path: Path, shown: str) -> Iterator[tuple[Path, str]]:
        try:
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                self._name(os.fsencode(path.readlink()), shown + " > link")
                target = path.resolve(strict=True)
                # What a link points to is listed where it stands, unless it stands elsewhere.
                if not any(target.is_relative_to(root) for root in self._roots):
                    self._cannot(shown, "link out of the folders given")
                return
            if (status.st_dev, status.st_ino) in self._seen:
                return
            self._seen.add((status.st_dev, status.st_ino))
            if stat.S_ISDIR(status.st_mode):
                for child in sorted(path.iterdir()):
                    name = os.fsencode(child.name)
                    label = f"{shown}/{child.name}"
                    if any(self._scanner.find(name)):
                        label = f"{shown}/(inode {child.lstat().st_ino})"
                        self._name(name, label + " > name")
                    yield from self._under(child, label)
            elif stat.S_ISREG(status.st_mode):
                yield path, shown
            else:
                self._cannot(shown, "neither file nor folder")
        except OSError as error:
            self._cannot(shown, type(error).__name__)

    def _name(self, name: bytes, where: str) -> None:
        self._file = where
        self._search(_Memory(name), where)

    def file(self, path: Path, shown: str) -> None:
        """Search one file."""
        self._file = shown
        self._files += 1
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._cannot(shown, type(error).__name__)
            return
        try:
            self._content(_File(descriptor), shown, 0, path)
        except OSError as error:
            self._cannot(shown, type(error).__name__)
        finally:
            os.close(descriptor)

    def _cannot(self, where: str, reason: str) -> None:
        self._unreadable[Unreadable(where, reason)] = None

    # Content

    def _content(self, source: _Source, where: str, depth: int, path: Path | None = None) -> None:
        """Search a source and everything in it. `path` is its file, if it is one and not a part."""
        self._search(source, where, depth)
        head = source.read(0, 12)
        if head[8:12] == b"DUCK":
            self._duckdb(source, where, depth, path)
        elif head[:4] == b"PAR1":
            self._parquet(source, where, depth)
        elif head[:4] == b"PARE":
            self._cannot(where, "encrypted Parquet")

    def _search(self, source: _Source, where: str, depth: int | None = None) -> None:
        """Search bytes as they are and, if `depth` is given, the streams and DuckDB segments in them."""
        skip = 0
        # Windows start at multiples of 8, where sort keys have their words.
        for start, data, limit in self._windows(source):
            self._scanned[self._file] += limit
            for owners, offset, weak in self._scanner.find(data):
                if offset < limit:
                    for canary, encoding in owners:
                        key = (self._file, where, canary, encoding, weak)
                        self._matches.setdefault(key, [start + offset, 0])[1] += 1
            if depth is None:
                continue
            magics = ((match.start(), name) for name, magic in _MAGICS.items() for match in magic.finditer(data))
            for offset, name in sorted(magics):
                if offset < limit and start + offset >= skip:
                    skip = self._stream(source, start + offset, name, where, depth)
            for match in _FSST.finditer(data):
                if match.start() < limit:
                    for offset, text in _fsst_strings(source, start + match.start()):
                        self._search(_Memory(text), f"{where} > fsst@{offset}")
            for match in _PACKED.finditer(data):
                if match.start() < limit:
                    for offset, values in _packed_values(source, start + match.start()):
                        numbers = "\0".join(number for number in map(str, values) if _can_be_one(number))
                        self._search(_Memory(numbers.encode()), f"{where} > bitpacking@{offset}")

    def _windows(self, source: _Source) -> Iterator[tuple[int, bytes, int]]:
        """Yield start, bytes and the number of bytes in which a match may start; the rest is the next window's."""
        start = 0
        while data := source.read(start, _WINDOW + self._scanner.longest + 64):
            yield start, data, min(len(data), _WINDOW)
            if len(data) <= _WINDOW:
                return
            start += _WINDOW

    def _stream(self, source: _Source, start: int, name: str, where: str, depth: int) -> int:
        """Search what a stream holds and return the offset from which to look for the next."""
        part = f"{where} > {name}@{start}"
        stream = _STREAMS[name][1](source, start, self._scanner.bound)
        if depth >= _DEPTH:
            # Of what ends before its time, most only looked like a stream.
            if stream.end is None or not stream.data:
                return start + 1
            self._cannot(part, "streams nested too deep")
            return stream.end
        if stream.fault is not None:
            self._cannot(part, stream.fault)
        if len(stream.data) >= 4:
            self._content(_Memory(stream.data), part, depth + 1)
        return start + 1 if stream.end is None else stream.end

    # Containers

    def _parquet(self, source: _Source, where: str, depth: int) -> None:
        try:
            file = pq.ParquetFile(_Readable(source))
            names = file.schema_arrow.names
            for rows, batch in enumerate(file.iter_batches(batch_size=_ROWS)):
                for column in range(batch.num_columns):
                    part = f"{where} > column {self._shown(names[column])}, rows from {rows * _ROWS}"
                    for data in _column_bytes(batch.column(column)):
                        self._content(_Memory(data), part, depth + 1)
        except _UNREADABLE as error:
            self._cannot(where, f"Parquet: {type(error).__name__}")

    def _duckdb(self, source: _Source, where: str, depth: int, path: Path | None) -> None:
        with tempfile.TemporaryDirectory(prefix="canary-") as folder:
            copy = Path(folder, "copy.duckdb")
            # A copy, for a WAL is replayed when the file is opened.
            with copy.open("wb") as file:
                start = 0
                while data := source.read(start, _WINDOW):
                    file.write(data)
                    start += len(data)
            wal = None if path is None else path.with_name(path.name + ".wal")
            if wal is not None and wal.exists():
                try:
                    shutil.copyfile(wal, f"{copy}.wal")
                    self._tables(copy, where, depth)
                except _UNREADABLE as error:
                    self._cannot(where, f"DuckDB with its WAL: {type(error).__name__}")
                    Path(f"{copy}.wal").unlink(missing_ok=True)
                else:
                    return
            try:
                self._tables(copy, where, depth)
            except _UNREADABLE as error:
                self._cannot(where, f"DuckDB: {type(error).__name__}")

    def _tables(self, copy: Path, where: str, depth: int) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": f"{copy}.spill",
        }
        with duckdb.connect(str(copy), read_only=True, config=config) as connection:
            columns = connection.execute(
                "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
                "WHERE database_name = current_database() AND NOT internal "
                "AND (schema_name, table_name) IN (SELECT (schema_name, table_name) FROM duckdb_tables())"
            ).fetchall()
            for schema, table, column, data_type in columns:
                part = f"{where} > table {self._shown(table)}, column {self._shown(column)}"
                value = _quoted(column) if data_type == "BLOB" else f"CAST({_quoted(column)} AS VARCHAR)"
                if data_type in _INTEGERS:
                    value = f"CASE WHEN length({value}) NOT BETWEEN {_ODD[0]} AND {_ODD[-1]} THEN {value} END"
                query = f"SELECT {value} FROM {_quoted(schema)}.{_quoted(table)}"  # noqa: S608
                reader: Any = connection.sql(query).to_arrow_reader(_ROWS)
                for rows, batch in enumerate(reader):
                    for data in _column_bytes(batch.column(0)):
                        self._content(_Memory(data), f"{part}, rows from {rows * _ROWS}", depth + 1)

    def _shown(self, name: str) -> str:
        """Return the name of a table or column, unless it holds a canary."""
        return "(withheld)" if any(self._scanner.find(name.encode())) else name

    # Result

    def result(self) -> Findings:
        """Return what was found, the matches of short patterns parted from those that chance explains."""
        distinct: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for file, _, canary, encoding, weak in self._matches:
            if weak:
                distinct[file, encoding].add(canary)
        totals: Counter[str] = Counter()
        for (_, encoding), canaries in distinct.items():
            totals[encoding] += len(canaries)
        scanned = self._scanned.total()
        # Each encoding is judged twice: over all files, and in each file, where a leak is not drowned by the others.
        doubt = _DOUBT / 2 / max(1, len(self._weak))
        everywhere = {
            encoding for encoding, chance in self._weak.items() if _tail(totals[encoding], chance * scanned) < doubt
        }
        findings, by_chance = [], []
        for (file, where, canary, encoding, weak), (offset, count) in self._matches.items():
            finding = Finding(canary, encoding, where, offset, count)
            if weak and encoding not in everywhere:
                likelihood = _tail(len(distinct[file, encoding]), self._weak[encoding] * self._scanned[file])
                if likelihood >= doubt / len(self._scanned):
                    by_chance.append(finding)
                    continue
            findings.append(finding)
        return Findings(
            tuple(findings),
            tuple(self._unreadable),
            tuple(by_chance),
            sum(self._weak.values()) * scanned,
            self._files,
            scanned,
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Scan the paths of a command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Search files for canaries. Prints their positions, never a canary.")
    parser.add_argument("--canaries", required=True, type=Path, help="file with one canary a line, UTF-8")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    options = parser.parse_args(arguments)
    try:
        lines = options.canaries.read_text(encoding="utf-8-sig").splitlines()
        scanner = Scanner(line.strip() for line in lines if line.strip())
        findings = scanner.scan(options.paths)
    except (OSError, ValueError) as error:
        # A message of either may hold a name or a line; ours names a canary by its position.
        parser.error(str(error) if type(error) is ValueError else type(error).__name__)
    for finding in findings.findings:
        print(finding)
    for unreadable in findings.unreadable:
        print(f"canary: cannot read {unreadable}", file=sys.stderr)
    print(
        f"canary: {len(findings.findings)} findings in {findings.files} files, {findings.scanned} bytes; "
        f"{len(findings.chance)} matches of short patterns set aside, {findings.expected:.3g} expected by chance",
        file=sys.stderr,
    )
    return 1 if findings.findings else 3 if findings.unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
