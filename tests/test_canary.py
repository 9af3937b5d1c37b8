"""The scanner finds a canary in every encoding and every container, names no canary, and finds nothing in noise."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests import canary as program
from tests.canary import Finding, Findings, Scanner, encodings, main

CIN = "AB123456"
PHONE = "0612345678"
RIB = "001810007800020110620318"
SSN = "098765432"
EMAIL = "amina.elalaoui@example.com"
ODD = "who~?>is~?>it~?>@example.com"  # in base64, + and / wherever it begins
LATIN = "Hélène Benjelloun-Ÿþ"
ARABIC = "فاطمة الزهراء العلوي"
CANARIES = (CIN, PHONE, RIB, SSN, EMAIL, ODD, LATIN, ARABIC)


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def scan(path: Path, *canaries: str) -> Findings:
    return Scanner(canaries).scan([path])


def planted(folder: Path, content: bytes, name: str = "file.bin") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def places(findings: Findings, canary: int = 0) -> list[str]:
    return [finding.where for finding in findings.findings if finding.canary == canary]


def sql(query: str, *values: object) -> Any:
    with duckdb.connect() as connection:
        row = connection.execute(query, list(values)).fetchone()
    assert row is not None
    return row[0]


def assert_silent(text: str, canaries: tuple[str, ...] = CANARIES) -> None:
    for canary in canaries:
        for pattern in (canary, canary.lower(), canary.upper(), canary.lstrip("0")):
            assert pattern not in text


# --- Encodings --------------------------------------------------------------------------------------------------------


def in_base64(lead: int, encode: Callable[[bytes], bytes] = base64.b64encode) -> bytes:
    return encode(b"\xa5" * lead + ODD.encode() + b"\x5a" * 4)


def sort_key(value: str, order: str = "ASC NULLS LAST") -> bytes:
    """Return what DuckDB sorts by; a key of 8 bytes or fewer comes as the integer that its bytes make."""
    key = sql(f"SELECT create_sort_key({value}, '{order}')")
    return key.to_bytes(8, "big") if isinstance(key, int) else bytes(key)


def in_words(data: bytes) -> bytes:
    """Return sort keys as DuckDB keeps those of fixed length: native 8-byte integers."""
    words = array("Q", data + bytes(-len(data) % 8))
    words.byteswap()
    return words.tobytes()


def digest(name: str, text: str) -> bytes:
    if name == "blake2b-256":
        return hashlib.blake2b(text.encode(), digest_size=32).digest()
    return hashlib.new(name.replace("-", ""), text.encode(), usedforsecurity=False).digest()


def hash_cases() -> Iterator[tuple[str, str, bytes]]:
    for name in ("md5", "sha-1", "sha-256", "sha-512", "blake2b-256"):
        # The hash of another spelling than the one given: the number is the same.
        raw = digest(name, "+212612345678")
        yield name, PHONE, raw
        yield f"{name}, hex", PHONE, raw.hex().encode()
        yield f"{name}, hex, upper case", PHONE, raw.hex().upper().encode()
        yield f"{name}, base64", PHONE, base64.b64encode(raw)
        # Of an address whose digest differs between the two alphabets.
        other = next(
            text for text in (EMAIL, LATIN, ARABIC, CIN) if re.search(rb"[+/]", base64.b64encode(digest(name, text)))
        )
        yield f"{name}, base64url", other, base64.urlsafe_b64encode(digest(name, other))


DESCENDING = "DESC NULLS LAST"
ENCODED: tuple[tuple[str, str, bytes], ...] = (
    ("utf-8", CIN, b"AB123456"),
    ("utf-8", ARABIC, ARABIC.encode()),
    ("utf-16-le", ARABIC, ARABIC.encode("utf-16-le")),
    ("utf-16-be", CIN, b"\0A\0B\x001\x002\x003\x004\x005\x006"),
    ("utf-32-le", PHONE, PHONE.encode("utf-32-le")),
    ("utf-32-be", PHONE, PHONE.encode("utf-32-be")),
    ("cp1256", ARABIC, ARABIC.encode("cp1256")),
    ("cp1252", LATIN, LATIN.encode("cp1252")),
    ("iso8859-6", ARABIC, ARABIC.encode("iso8859-6")),
    ("hex", EMAIL, EMAIL.encode().hex().encode()),
    ("hex, upper case", EMAIL, EMAIL.encode().hex().upper().encode()),
    *((f"base64 +{lead}", ODD, in_base64(lead)) for lead in range(3)),
    *((f"base64url +{lead}", ODD, in_base64(lead, base64.urlsafe_b64encode)) for lead in range(3)),
    ("percent", EMAIL, b"amina.elalaoui%40example.com"),
    ("percent", LATIN, b"H%C3%A9l%C3%A8ne+Benjelloun-%C5%B8%C3%BE"),
    ("percent, lower case", LATIN, b"H%c3%a9l%c3%a8ne%20Benjelloun-%c5%b8%c3%be"),
    ("json", ARABIC, ascii(ARABIC).encode()),
    ("json, upper case", ARABIC, "".join(f"\\u{ord(c):04X}" if c != " " else c for c in ARABIC).encode()),
    ("json in json", ARABIC, ascii(ARABIC).replace("\\", "\\\\").encode()),
    ("bytes literal", ARABIC, str(ARABIC.encode()).encode()),
    ("bytes literal, upper case", ARABIC, sql("SELECT ?::BLOB::VARCHAR", ARABIC.encode()).encode()),
    ("xml references", ARABIC, "".join(f"&#{ord(c)};" if c != " " else c for c in ARABIC).encode()),
    ("xml references, hex", ARABIC, "".join(f"&#x{ord(c):x};" if c != " " else c for c in ARABIC).encode()),
    *hash_cases(),
    ("duckdb hash", CIN, struct.pack("<Q", sql("SELECT hash(?)", CIN))),
    ("duckdb hash", PHONE, struct.pack("<Q", sql("SELECT hash(612345678::BIGINT)"))),
    ("duckdb hash, digits", RIB, str(sql(f"SELECT hash({RIB}::HUGEINT)")).encode()),
    ("u32-le", PHONE, struct.pack("<I", 612345678)),
    ("u32-be", PHONE, struct.pack(">I", 612345678)),
    ("u64-le", PHONE, struct.pack("<Q", 212612345678)),
    ("u64-be", SSN, struct.pack(">Q", 98765432)),
    ("u128-le", RIB, int(RIB).to_bytes(16, "little")),
    ("u128-be", RIB, int(RIB).to_bytes(16, "big")),
    ("double-le", PHONE, struct.pack("<d", 612345678.0)),
    ("double-be", RIB, struct.pack(">d", float(RIB))),
    ("varint", PHONE, bytes.fromhex("ce ce fe a3 02")),
    ("varint, zigzag", PHONE, bytes.fromhex("9c 9d fd c7 04")),
    ("bcd", PHONE, bytes.fromhex("06 12 34 56 78")),
    ("bcd", SSN, bytes.fromhex("98 76 54 32")),
    ("bcd", RIB, bytes.fromhex(RIB)),
    ("bcd", PHONE, bytes.fromhex("61 23 45 67 8c")),
    ("bcd, swapped", PHONE, bytes.fromhex("16 32 54 76 f8")),
    ("sort key of text", CIN, sort_key("'AB123456'")),
    ("sort key of text", ARABIC, sort_key(f"'{ARABIC}'")),
    ("sort key of text, descending", CIN, sort_key("'AB123456'", DESCENDING)),
    ("sort key of i32", PHONE, sort_key("612345678::INTEGER")),
    ("sort key of i32, descending", PHONE, sort_key("612345678::INTEGER", DESCENDING)),
    ("sort key of i64", PHONE, sort_key("612345678::BIGINT")),
    ("sort key of i64, descending", PHONE, sort_key("612345678::BIGINT", DESCENDING)),
    ("sort key of i128", RIB, sort_key(f"{RIB}::HUGEINT")),
    ("sort key of i128, descending", RIB, sort_key(f"{RIB}::HUGEINT", DESCENDING)),
    ("sort key of double", PHONE, sort_key("612345678::DOUBLE")),
    ("sort key of double, descending", PHONE, sort_key("612345678::DOUBLE", DESCENDING)),
)  # fmt: skip
IN_WORDS = tuple((name, canary, data) for name, canary, data in ENCODED if name.startswith("sort key"))


def named(cases: tuple[tuple[str, str, bytes], ...]) -> list[Any]:
    kinds = dict(zip(CANARIES, ("cin", "phone", "rib", "ssn", "email", "odd", "latin", "arabic"), strict=True))
    return [pytest.param(*case, id=f"{case[0]} of {kinds[case[1]]}") for case in cases]


@pytest.mark.parametrize(("encoding", "canary", "data"), named(ENCODED))
def test_each_encoding_is_found_in_noise(encoding: str, canary: str, data: bytes, tmp_path: Path) -> None:
    path = planted(tmp_path, noise(5_001) + data + noise(5_000, 2))
    findings = scan(path, canary)
    assert encoding in {
        finding.encoding for finding in findings.findings if 5_001 <= finding.offset < 5_001 + len(data)
    }
    assert not findings.unreadable


@pytest.mark.parametrize(("encoding", "canary", "data"), named(IN_WORDS))
def test_each_sort_key_is_found_in_words(encoding: str, canary: str, data: bytes, tmp_path: Path) -> None:
    path = planted(tmp_path, noise(4_096) + in_words(data) + noise(4_000, 2))
    assert f"{encoding}, words swapped" in {finding.encoding for finding in scan(path, canary).findings}


def test_no_encoding_is_without_its_test() -> None:
    offered = {name for canary in CANARIES for name, _ in encodings(canary)} | {"duckdb hash", "duckdb hash, digits"}
    assert {name for name, _, _ in ENCODED} == offered


@pytest.mark.parametrize(
    "given", ["06 12 34 56 78", "06.12-34/56 78", "+212 6 12 34 56 78", "00212612345678", "٠٦١٢٣٤٥٦٧٨", "612345678"]
)
def test_a_phone_is_found_however_it_was_given(given: str, tmp_path: Path) -> None:
    for written in (b"0612345678", b"+212612345678", b"612345678", struct.pack("<q", 612345678), given.encode()):
        assert scan(planted(tmp_path, noise(1_000) + written), given).findings


def test_an_account_is_found_as_iban_and_without_its_zeros(tmp_path: Path) -> None:
    for given in (RIB, "MA64" + RIB, "MA64 0018 1000 7800 0201 1062 0318"):
        for written in (RIB, "MA64" + RIB, RIB.lstrip("0")):
            assert scan(planted(tmp_path, noise(1_000) + written.encode()), given).findings


@pytest.mark.parametrize(
    "written", ["hélène benjelloun-ÿþ", "HÉLÈNE BENJELLOUN-ŸÞ", unicodedata.normalize("NFD", LATIN)]
)
def test_a_name_is_found_in_other_case_and_decomposed(written: str, tmp_path: Path) -> None:
    assert scan(planted(tmp_path, written.encode()), LATIN).findings


def test_a_finding_names_one_of_a_thousand_canaries(tmp_path: Path) -> None:
    source = random.Random(7)
    others = [f"{source.choice('ABCDEFGH')}{source.randrange(10**6, 10**7)}" for _ in range(1_000)]
    found = Scanner([*others, EMAIL]).scan([planted(tmp_path, noise(70_000) + EMAIL.encode() + noise(70_000, 2))])
    assert found.findings == (Finding(1_000, "utf-8", str(tmp_path / "file.bin"), 70_000, 1),)


@pytest.mark.parametrize("cut", [1, 4, 25])
def test_a_canary_on_the_border_of_two_windows_is_found_once(cut: int, tmp_path: Path) -> None:
    found = scan(planted(tmp_path, noise((1 << 20) - cut) + EMAIL.encode() + noise(5_000, 2)), EMAIL)
    assert [(finding.offset, finding.count) for finding in found.findings] == [((1 << 20) - cut, 1)]


# --- Noise and chance -------------------------------------------------------------------------------------------------


def numbers(count: int, seed: int = 3) -> list[str]:
    source = random.Random(seed)
    return [f"06{source.randrange(10**8):08}" for _ in range(count)]


def test_noise_gives_no_finding(tmp_path: Path) -> None:
    planted(tmp_path, noise(20_000_000))
    with duckdb.connect(str(tmp_path / "blobs.duckdb")) as connection:
        blobs = pa.table({"id": range(2_000), "blob": [noise(1_000, seed) for seed in range(2_000)]})
        connection.register("blobs", blobs)
        connection.execute("CREATE TABLE entries AS FROM blobs")
    found = Scanner([*CANARIES, *numbers(20)]).scan([tmp_path])
    assert found.clean
    assert found.files == 2
    assert found.scanned > 24_000_000


def test_chance_matches_are_as_many_as_expected_and_set_aside(tmp_path: Path) -> None:
    found = Scanner(numbers(400)).scan([planted(tmp_path, noise(20_000_000))])
    assert found.clean
    assert found.expected > 10
    assert abs(sum(finding.count for finding in found.chance) - found.expected) < 4 * found.expected**0.5


def test_a_column_of_integers_is_more_than_chance(tmp_path: Path) -> None:
    canaries = numbers(400)
    column = b"".join(struct.pack("<I", int(number)) for number in canaries)
    found = Scanner(canaries).scan([planted(tmp_path, noise(5_000_000) + column + noise(5_000_000, 2))])
    assert {finding.canary for finding in found.findings if finding.encoding == "u32-le"} == set(range(400))


def test_a_long_pattern_is_found_where_short_ones_of_its_encoding_match_by_chance(tmp_path: Path) -> None:
    found = Scanner([*numbers(400), RIB]).scan([planted(tmp_path, noise(5_000_000) + bytes.fromhex(RIB))])
    assert [(finding.canary, finding.encoding) for finding in found.findings] == [(400, "bcd")]


def test_integers_in_a_small_file_are_not_drowned_by_a_large_one(tmp_path: Path) -> None:
    canaries = numbers(100)
    planted(tmp_path, noise(5_000_000), "large")
    planted(tmp_path, b"".join(struct.pack("<I", int(number)) for number in canaries[:5]), "small")
    found = Scanner(canaries).scan([tmp_path])
    assert {finding.canary for finding in found.findings} == set(range(5))


# --- Streams ----------------------------------------------------------------------------------------------------------

# A stream that compresses, so that the canary does not stand in it byte for byte.
TEXT = b"".join(b"row %d of a log that says little\n" % row for row in range(500))
LEAK = TEXT + EMAIL.encode() + b"\n" + TEXT


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("sheet.xml", content)
    return buffer.getvalue()


def zstd_stream(content: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compressobj()
    return compressor.compress(content) + compressor.flush()


def lz4(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


def snappy(content: bytes) -> bytes:
    """Return snappy's framing format, with zeros for the checksums."""
    frame = b"\xff\x06\x00\x00sNaPpY"
    for start in range(0, len(content), 1 << 16):
        chunk = bytes(4) + pa.compress(content[start : start + (1 << 16)], codec="snappy", asbytes=True)
        frame += b"\x00" + len(chunk).to_bytes(3, "little") + chunk
    return frame


STREAMS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib level 0": lambda content: zlib.compress(content, 0),
    "zlib level 1": lambda content: zlib.compress(content, 1),
    "zlib level 2": lambda content: zlib.compress(content, 2),
    "zlib level 6": lambda content: zlib.compress(content, 6),
    "zlib level 9": lambda content: zlib.compress(content, 9),
    "zip": zipped,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd stream": zstd_stream,
    "lz4": lz4,
    "snappy": snappy,
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_opened_wherever_it_stands(name: str, tmp_path: Path) -> None:
    path = planted(tmp_path, noise(3_001) + STREAMS[name](LEAK) + noise(3_000, 2))
    found = scan(path, EMAIL)
    assert f"{path} > {name.split()[0]}@3001" in places(found)
    assert not found.unreadable


@pytest.mark.parametrize("name", ["gzip", "zlib level 6", "zip", "bzip2", "xz", "zstd", "zstd stream", "lz4", "snappy"])
def test_a_stream_without_its_end_is_read_as_far_as_it_goes(name: str, tmp_path: Path) -> None:
    # Blocks of bzip2 and zstd are decoded whole: the canary stands blocks before the cut.
    whole = STREAMS[name](LEAK + random.Random(5).randbytes(2_000_000))
    assert places(scan(planted(tmp_path, whole[: len(whole) * 3 // 4]), EMAIL))


@pytest.mark.parametrize("inner", STREAMS)
@pytest.mark.parametrize("outer", ["gzip", "zip", "zstd"])
def test_a_stream_in_a_stream_is_opened(outer: str, inner: str, tmp_path: Path) -> None:
    path = planted(tmp_path, STREAMS[outer](noise(100) + STREAMS[inner](LEAK) + noise(100, 2)))
    assert any(f"{outer.split()[0]}@0 > {inner.split()[0]}@100" in where for where in places(scan(path, EMAIL)))


def test_streams_nested_deeper_than_is_opened_are_reported(tmp_path: Path) -> None:
    content = LEAK
    for _ in range(5):
        content = gzip.compress(content)
    assert "streams nested too deep" in {item.reason for item in scan(planted(tmp_path, content), EMAIL).unreadable}


@pytest.mark.parametrize("name", ["gzip", "zip", "bzip2", "xz", "zstd", "lz4", "snappy"])
def test_a_stream_longer_than_the_bound_is_reported(name: str, tmp_path: Path) -> None:
    path = planted(tmp_path, STREAMS[name](LEAK + noise(3_000_000)))
    found = Scanner([EMAIL], bound=1_000_000).scan([path])
    assert places(found)
    assert "stream of more than 1000000 bytes" in {item.reason for item in found.unreadable}


def test_an_encrypted_zip_member_is_reported(tmp_path: Path) -> None:
    archive = bytearray(zipped(LEAK))
    archive[6] |= 1  # APPNOTE 4.4.4, bit 0
    assert [item.reason for item in scan(planted(tmp_path, bytes(archive)), EMAIL).unreadable] == [
        "zip member of method 8"
    ]


# --- Arrow and Parquet ------------------------------------------------------------------------------------------------

ROWS = 5_000


def leak_table() -> Any:
    """Return rows of which the middle one holds the canaries."""
    source = random.Random(11)
    middle = ROWS // 2
    emails: list[str | None] = [f"person{source.randrange(10**9)}@example.org" for _ in range(ROWS)]
    phones = [600_000_000 + source.randrange(10**6) for _ in range(ROWS)]
    emails[middle], emails[middle + 1], phones[middle] = EMAIL, None, 612345678
    return pa.table(
        {
            "email": emails,
            "phone": phones,
            "reading": pa.array([float(phone) for phone in phones]),
            "account": pa.array([int(RIB) + phone - 612345678 for phone in phones], pa.decimal128(38)),
            "nested": pa.array(
                [{"emails": [email], "by": [("phone", phone)]} for email, phone in zip(emails, phones, strict=True)],
                pa.struct({"emails": pa.list_(pa.string()), "by": pa.map_(pa.string(), pa.int64())}),
            ),
            "code": pa.array(emails).dictionary_encode(),
            "raw": pa.array([f"{phone:012}".encode() for phone in phones], pa.binary(12)),
        }
    )


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_every_column_of_a_parquet_file_is_read(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "leak.parquet"
    pq.write_table(leak_table(), path, compression=compression, write_statistics=False)
    found = Scanner([EMAIL, PHONE, RIB]).scan([path])
    columns = {
        (finding.canary, match[1])
        for finding in found.findings
        if (match := re.search(r"column (\w+),", finding.where))
    }
    assert columns >= {
        (0, "email"),
        (0, "nested"),
        (0, "code"),
        (1, "phone"),
        (1, "reading"),
        (1, "nested"),
        (1, "raw"),
    }
    assert (2, "account") in columns
    assert not found.unreadable


@pytest.mark.parametrize(
    ("column", "encoding"),
    [("email", "DELTA_BYTE_ARRAY"), ("email", "DELTA_LENGTH_BYTE_ARRAY"), ("phone", "DELTA_BINARY_PACKED")],
)
def test_columns_that_hold_differences_are_read(column: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "leak.parquet"
    table = leak_table().select([column])
    pq.write_table(table, path, use_dictionary=False, column_encoding={column: encoding}, write_statistics=False)
    assert any(f"column {column}," in where for where in places(scan(path, {"email": EMAIL, "phone": PHONE}[column])))


def test_a_parquet_file_without_its_footer_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "leak.parquet"
    pq.write_table(leak_table(), path)
    path.write_bytes(path.read_bytes()[:-1_000])
    assert [item.reason for item in scan(path, EMAIL).unreadable] == ["Parquet: ArrowInvalid"]


def test_a_parquet_file_in_a_zip_is_read(tmp_path: Path) -> None:
    pq.write_table(leak_table(), tmp_path / "leak.parquet", compression="snappy")
    path = planted(tmp_path, zipped((tmp_path / "leak.parquet").read_bytes()), "leak.zip")
    assert any("zip@0 > column phone" in where for where in places(scan(path, PHONE)))


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_an_arrow_file_is_read(compression: str | None, tmp_path: Path) -> None:
    path = tmp_path / "leak.arrow"
    table = leak_table().select(["email", "phone"])
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    found = Scanner([EMAIL, PHONE]).scan([path])
    assert {(finding.canary, finding.encoding) for finding in found.findings} >= {(0, "utf-8"), (1, "u64-le")}


# --- DuckDB -----------------------------------------------------------------------------------------------------------

# Storage version, forced compression, expected compression of the column, column type, value of row i, canary, and
# whether a search of the file's bytes alone misses it.
SEQUENCE = "600000000 + (i * 7919000) % 99999999"
SCATTERED = "600000000 + (i * 48271 * 7919) % 99999989"
ACCOUNTS = f"{int(RIB) - 612345678}::HUGEINT + {SCATTERED}"
MAIL = "'person' || (i * 7919) % 99991 || '@example.org'"
COLUMNS = {
    "text uncompressed": ("latest", "uncompressed", "Uncompressed", "VARCHAR", MAIL, EMAIL, False),
    "text dictionary": ("v1.0.0", "dictionary", "Dictionary", "VARCHAR", "'person' || i % 100", EMAIL, False),
    "text fsst": ("v1.0.0", "fsst", "FSST", "VARCHAR", MAIL, EMAIL, True),
    "text dict_fsst": ("latest", "dict_fsst", "DICT_FSST", "VARCHAR", MAIL, EMAIL, True),
    "text zstd": ("latest", "zstd", "ZSTD", "VARCHAR", MAIL, EMAIL, True),
    "text as it comes": ("latest", "auto", "DICT_FSST", "VARCHAR", MAIL, EMAIL, True),
    "blob uncompressed": ("latest", "uncompressed", "Uncompressed", "BLOB", f"({MAIL})::BLOB", EMAIL, False),
    "bigint uncompressed": ("latest", "uncompressed", "Uncompressed", "BIGINT", SCATTERED, PHONE, False),
    "bigint rle": ("latest", "rle", "RLE", "BIGINT", "600000000 + i // 100", PHONE, False),
    "bigint bitpacked": ("latest", "bitpacking", "BitPacking", "BIGINT", SCATTERED, PHONE, True),
    "bigint bitpacked differences": ("latest", "bitpacking", "BitPacking", "BIGINT", SEQUENCE, PHONE, True),
    "integer bitpacked": ("latest", "bitpacking", "BitPacking", "INTEGER", SCATTERED, PHONE, True),
    "integer bitpacked, old version": ("v1.0.0", "bitpacking", "BitPacking", "UINTEGER", SCATTERED, PHONE, True),
    "hugeint bitpacked": ("latest", "bitpacking", "BitPacking", "HUGEINT", ACCOUNTS, RIB, True),
    "double alp": ("latest", "alp", "ALP", "DOUBLE", SCATTERED, PHONE, True),
    "double alprd": ("latest", "alprd", "ALPRD", "DOUBLE", SCATTERED, PHONE, True),
    "text enum": ("latest", "auto", "", "ENUM", "'person' || i % 100", EMAIL, False),
    "list of text": ("latest", "auto", "", "VARCHAR[]", f"[{MAIL}]", EMAIL, True),
}  # fmt: skip
RAW = {
    "BIGINT": struct.pack("<q", 612345678),
    "INTEGER": struct.pack("<i", 612345678),
    "UINTEGER": struct.pack("<I", 612345678),
    "HUGEINT": int(RIB).to_bytes(16, "little"),
    "DOUBLE": struct.pack("<d", 612345678.0),
}


def fill(path: Path, column: str, after: str = "") -> str:
    """Write a checkpointed table of 30,000 rows whose row 20,000 is the canary, and return the canary."""
    version, forced, expected, kind, value, canary, _ = COLUMNS[column]
    literal = {"BIGINT": "612345678", "INTEGER": "612345678", "UINTEGER": "612345678", "DOUBLE": "612345678"}.get(kind)
    literal = literal or (f"{int(RIB)}::HUGEINT" if kind == "HUGEINT" else f"'{EMAIL}'")
    literal = {"BLOB": f"{literal}::BLOB", "VARCHAR[]": f"[{literal}]"}.get(kind, literal)
    rows = f"SELECT CASE i WHEN 20000 THEN {literal} ELSE {value} END AS secret FROM range(30000) AS r(i)"  # noqa: S608
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS db (STORAGE_VERSION '{version}'); USE db")
        if forced != "auto":
            connection.execute(f"PRAGMA force_compression = '{forced}'")
        if kind == "ENUM":
            connection.execute(f"CREATE TYPE secrets AS ENUM (SELECT DISTINCT secret FROM ({rows}))")  # noqa: S608
            kind = "secrets"
        connection.execute(f"CREATE TABLE people (secret {kind}); INSERT INTO people {rows}; CHECKPOINT")
        if expected:
            used = connection.execute(
                "SELECT DISTINCT compression FROM pragma_storage_info('people') WHERE segment_type <> 'VALIDITY'"
            ).fetchall()
            assert used == [(expected,)]
        if after:
            # Blocks that become free at the end of the file are cut off: something has to stand behind them.
            connection.execute("CREATE TABLE behind AS SELECT hash(i) AS h FROM range(100000) AS r(i); CHECKPOINT")
            connection.execute(f"{after}; CHECKPOINT")
    return canary


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_is_found_in_each_compression_of_duckdb(column: str, tmp_path: Path) -> None:
    path = tmp_path / "leak.duckdb"
    canary = fill(path, column)
    found = scan(path, canary)
    assert any("table people, column secret" in where for where in places(found))
    assert not found.unreadable
    hidden = RAW.get(COLUMNS[column][3], EMAIL.encode()) not in path.read_bytes()
    assert hidden == COLUMNS[column][-1]


@pytest.mark.parametrize("after", ["DROP TABLE people", "DELETE FROM people WHERE rowid > 100"])
@pytest.mark.parametrize("column", [name for name in COLUMNS if "alp" not in name and "old" not in name])
def test_dropped_tables_and_deleted_rows_are_found(column: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "leak.duckdb"
    canary = fill(path, column, after)
    found = scan(path, canary)
    assert places(found)
    assert not any("table people" in where for where in places(found))


KILLED_WRITER = """
import duckdb, os, signal, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE people (email VARCHAR, phone BIGINT); CHECKPOINT")
connection.execute("INSERT INTO people SELECT 'person' || i, 600000000 + i FROM range(5000) AS r(i)")
connection.execute("INSERT INTO people VALUES (?, 612345678)", [sys.argv[2]])
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_writer(path: Path) -> None:
    """Leave a database with committed rows in its WAL alone."""
    writer = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path), EMAIL], check=False)
    assert writer.returncode == -signal.SIGKILL


def test_a_wal_is_read_and_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, own = tmp_path / "files", tmp_path / "tmp"
    files.mkdir()
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    path, wal = files / "leak.duckdb", files / "leak.duckdb.wal"
    killed_writer(path)
    before = {file.name: file.read_bytes() for file in files.iterdir()}
    assert EMAIL.encode() not in before[path.name]
    found = Scanner([EMAIL, PHONE]).scan([path])
    assert {
        match[1] for where in places(found) + places(found, 1) if (match := re.search(r"column (\w+),", where))
    } == {"email", "phone"}
    assert str(wal) in places(scan(files, EMAIL))
    assert str(wal) in places(scan(files, PHONE))
    assert {file.name: file.read_bytes() for file in files.iterdir()} == before
    assert not list(own.iterdir())


def test_a_wal_that_cannot_be_replayed_is_reported_and_all_files_read(tmp_path: Path) -> None:
    killed_writer(tmp_path / "other.duckdb")
    path = tmp_path / "files" / "leak.duckdb"
    path.parent.mkdir()
    fill(path, "text fsst")
    (tmp_path / "other.duckdb.wal").rename(f"{path}.wal")
    found = Scanner([EMAIL, PHONE]).scan([path.parent])
    assert any("table people" in where for where in places(found))
    assert f"{path}.wal" in places(found, 1)
    assert [(item.where, item.reason.split(":")[0]) for item in found.unreadable] == [
        (str(path), "DuckDB with its WAL")
    ]


def test_a_database_with_a_damaged_block_of_rows_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "leak.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT md5(i::VARCHAR) AS h FROM range(100000) AS r(i)")
    content = bytearray(path.read_bytes())
    content[-300_000:-299_000] = noise(1_000)
    path.write_bytes(content)
    assert [item.where for item in scan(path, EMAIL).unreadable] == [str(path)]


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_database_is_reported(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "leak.duckdb"
    fill(path, "text fsst")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[20_000:]
    else:
        content[0x4000:0x40000] = noise(0x3C000)
    path.write_bytes(content)
    assert [item.reason.split(":")[0] for item in scan(path, EMAIL).unreadable] == ["DuckDB"]


def test_an_encrypted_database_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "leak.duckdb"
    with duckdb.connect() as connection:
        connection.execute("SET force_mbedtls_unsafe = 'true'")
        connection.execute(
            f"ATTACH '{path}' AS db (ENCRYPTION_KEY 'synthetic'); CREATE TABLE db.t AS SELECT '{EMAIL}' AS e"
        )
    assert [item.where for item in scan(path, EMAIL).unreadable] == [str(path)]


def test_a_database_in_a_stream_is_read(tmp_path: Path) -> None:
    fill(tmp_path / "leak.duckdb", "text zstd")
    path = planted(tmp_path, gzip.compress((tmp_path / "leak.duckdb").read_bytes()), "backup.gz")
    assert any("gzip@0 > table people" in where for where in places(scan(path, EMAIL)))


# --- DuckDB's spill files ---------------------------------------------------------------------------------------------

SPILLS = {
    "sort by text": ("SELECT cin, mail FROM people ORDER BY cin, mail", ["sort key of text"]),
    "sort by text, fixed length": ("SELECT cin FROM people ORDER BY cin", ["sort key of text, words swapped"]),
    "sort by text, descending": (
        "SELECT cin FROM people ORDER BY cin DESC",
        ["sort key of text, descending, words swapped"],
    ),
    "rows of a sort": ("SELECT phone, cin FROM people ORDER BY phone", ["utf-8"]),
    "groups": ("SELECT cin, any_value(mail) FROM people GROUP BY cin", ["utf-8", "duckdb hash"]),
    "join": ("SELECT a.cin, b.mail FROM people a JOIN people b ON a.cin = b.cin", ["utf-8", "duckdb hash"]),
}
SPILL_ROWS = 4_000_000
SPILLED = """
import duckdb, sys
folder, query, rows = sys.argv[1:]
settings = {"memory_limit": "60MB", "threads": 2, "temp_directory": folder, "preserve_insertion_order": False}
connection = duckdb.connect(config=settings)
connection.execute("SET enable_progress_bar = false")
connection.execute('''CREATE VIEW people AS SELECT 'AB' || (1000000 + (i * 7919) % getvariable('rows')) AS cin,
    600000000 + (i * 7919) % 99999999 AS phone, 'person' || (i * 7919) % 99991 || '@example.org' AS mail
    FROM range(getvariable('rows')) AS r(i)''')
connection.execute("SET VARIABLE rows = " + rows)
for batch in connection.sql(query).to_arrow_reader(100_000):
    pass
"""


def spilling(folder: Path, query: str, enough: Callable[[], bool]) -> list[str]:
    """Kill a query once it has spilled enough, and return 500 of its values."""
    with subprocess.Popen([sys.executable, "-c", SPILLED, str(folder), query, str(SPILL_ROWS)]) as process:
        while process.poll() is None and not enough():
            time.sleep(0.01)
        assert process.returncode is None, "the query ended before it had spilled enough"
        process.kill()
    return [f"AB{1_000_000 + number}" for number in range(0, SPILL_ROWS, SPILL_ROWS // 500)]


def size(files: Iterable[Path]) -> int:
    total = 0
    for file in files:
        with suppress(FileNotFoundError):  # the query removes files as it goes
            total += file.stat().st_size
    return total


@pytest.mark.parametrize("case", SPILLS)
def test_a_spill_file_of_a_killed_query_is_read(case: str, tmp_path: Path) -> None:
    query, expected = SPILLS[case]
    canaries = spilling(tmp_path, query, lambda: size(tmp_path.iterdir()) > 24_000_000)
    found = Scanner(canaries).scan([tmp_path])
    for encoding in expected:
        assert len({finding.canary for finding in found.findings if finding.encoding == encoding}) > 25
    assert not found.unreadable


def test_a_compressed_spill_file_is_read(tmp_path: Path) -> None:
    # DuckDB writes blocks that compress well as one zstd frame each, to files named after the frames' size.
    def compressed() -> list[Path]:
        return list(tmp_path.glob("*_S*.tmp"))

    canaries = spilling(tmp_path, SPILLS["groups"][0], lambda: size(compressed()) > 4_000_000)
    found = Scanner(canaries).scan(compressed())
    assert any(" > zstd@" in finding.where for finding in found.findings)


# --- Files and names --------------------------------------------------------------------------------------------------


def test_names_of_files_folders_and_links_are_searched_and_withheld(tmp_path: Path) -> None:
    folder = tmp_path / f"of {PHONE}"
    folder.mkdir()
    planted(folder, EMAIL.encode(), f"{CIN}.txt")
    (tmp_path / "link").symlink_to(Path("nowhere", RIB))
    found = Scanner(CANARIES).scan([tmp_path])
    assert {finding.canary for finding in found.findings} == {0, 1, 2, 4}
    assert [item.where for item in found.unreadable] == [str(tmp_path / "link")]
    assert_silent(repr(found) + "".join(map(str, found.findings + found.unreadable)))


def test_names_of_tables_and_columns_are_withheld(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "leak.duckdb")) as connection:
        connection.execute(f'CREATE TABLE "{EMAIL}" AS SELECT \'{PHONE}\' AS "{CIN}"')
    pq.write_table(pa.table({EMAIL: [PHONE]}), tmp_path / "leak.parquet")
    found = Scanner(CANARIES).scan([tmp_path])
    assert any("table (withheld), column (withheld)" in where for where in places(found, 1))
    assert_silent(repr(found))


def test_a_scanner_does_not_show_its_canaries() -> None:
    assert repr(Scanner(CANARIES)) == "Scanner(8 canaries)"


def test_links_are_followed_within_the_folders_and_reported_beyond(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    planted(inside, EMAIL.encode())
    planted(outside, EMAIL.encode())
    (inside / "current").symlink_to("file.bin")
    (inside / "elsewhere").symlink_to(outside)
    (tmp_path / "entrance").symlink_to(inside)
    found = scan(tmp_path / "entrance", EMAIL)
    assert found.files == 1
    assert len(found.findings) == 1
    assert [(item.where, item.reason) for item in found.unreadable] == [
        (str(tmp_path / "entrance" / "elsewhere"), "link out of the folders given")
    ]


def test_a_pipe_is_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [item.reason for item in scan(tmp_path, EMAIL).unreadable] == ["neither file nor folder"]


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "missing", EMAIL)


def test_a_scanner_without_canaries_is_refused() -> None:
    with pytest.raises(ValueError, match="prove nothing"):
        Scanner([])


def test_a_short_canary_is_refused_by_its_position() -> None:
    with pytest.raises(ValueError, match=r"^canary 1 has fewer than 6 characters$"):
        Scanner([EMAIL, "Amina"])
    with pytest.raises(ValueError, match=r"^canary 1 has fewer than 8 digits$"):
        Scanner([EMAIL, "12 345.67"])


# --- Command line -----------------------------------------------------------------------------------------------------


def run(folder: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    listed = folder / "canaries.txt"
    listed.write_text("\n".join(["", *CANARIES, ""]), encoding="utf-8")
    command = [sys.executable, program.__file__, "--canaries", str(listed), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_program_prints_positions_and_no_canary(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    path = planted(tmp_path / "files", noise(100) + PHONE.encode())
    result = run(tmp_path, tmp_path / "files")
    assert result.returncode == 1
    assert result.stdout == f"canary 1 as utf-8 at {path}:101 (1 times)\n"
    assert_silent(result.stdout + result.stderr)


def test_the_program_says_when_all_is_clean(tmp_path: Path) -> None:
    result = run(tmp_path, planted(tmp_path, noise(1_000)))
    assert (result.returncode, result.stdout) == (0, "")
    assert "0 findings in 1 files, 1000 bytes" in result.stderr


def test_the_program_says_what_it_could_not_read(tmp_path: Path) -> None:
    result = run(tmp_path, planted(tmp_path, b"PAR1" + noise(1_000)))
    assert (result.returncode, result.stdout) == (3, "")
    assert "cannot read" in result.stderr


def test_the_program_refuses_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = planted(tmp_path, b"short\n", CIN)
    for arguments in (["--canaries", str(listed), str(tmp_path)], ["--canaries", str(tmp_path / PHONE), str(tmp_path)]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
    assert_silent(capsys.readouterr().err)
