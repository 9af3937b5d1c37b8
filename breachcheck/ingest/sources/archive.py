"""What is packed: gzip and zstd of one file, zip of many; read forwards, in memory, as far as an allowance goes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, Final

import pyarrow as pa

from breachcheck.errors import InputError
from breachcheck.ingest.sources.stream import Allowance, Stream

MAX_MEMBERS: Final = 1_000_000
_STREAMS: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((bytes([0x50 + frame]) + b"\x2a\x4d\x18", "zstd") for frame in range(16)),  # RFC 8878 §3.1.2, pzstd begins so
)
_MARKER: Final = 4  # octets before the first file of a zip that was made to be split
_END: Final = 22  # octets of a zip's end record, without its comment
_REFUSED: Final = (
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old or an encrypted Office file"),
    (b"SQLite format 3\0", "SQLite"),
)
_TAR: Final = 257, b"ustar"
# What the zip library raises on octets that are no zip; it checks little before it uses it.
ZIP_FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    UnicodeDecodeError,
)


def packing(head: bytes) -> str | None:
    """Return "gzip", "zstd" or "zip" if a file that begins with `head` is packed so.

    Raises:
        InputError: `format`: it is packed, or made, in a way that is not read.
    """
    for magic, name in _REFUSED:
        if head.startswith(magic):
            raise InputError("format", f"it is {name}, which is not read")
    if head.startswith(_TAR[1], _TAR[0]):
        raise InputError("format", "it is a tar archive, which is not read")
    for magic, name in _STREAMS:
        if head.startswith(magic):
            return name
    return "zip" if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")) else None


def unpacked(disk: BinaryIO, how: str, allowance: Allowance) -> Stream:
    """Return what a gzip or zstd file holds; an end that is missing is an `OSError`."""
    return Stream(pa.CompressedInputStream(pa.PythonFile(disk, mode="r"), how), allowance)


@contextmanager
def zip_faults() -> Iterator[None]:
    """Make one error of whatever the zip library raises.

    Raises:
        InputError: `source`.
    """
    try:
        yield
    except ZIP_FAULTS:
        raise InputError("source", "it is damaged, or packed in a way that is not read") from None


def open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """Open a zip.

    Raises:
        InputError: `source`: it is damaged, or something stands before or after what it lists: another zip, say, of
            which the library would say nothing.
    """
    with zip_faults():
        archive = zipfile.ZipFile(file)
        file.seek(-_END - len(archive.comment), io.SEEK_END)
        ends = file.read(4) == b"PK\5\6"
    if not ends or min((one.header_offset for one in archive.infolist()), default=0) > _MARKER:
        archive.close()
        raise InputError("source", "there is more in it than its list of files tells of")
    return archive


def members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files of a zip that are read: not folders, nor hidden ones. Their names are never used as paths.

    Raises:
        InputError: `encrypted`; `unpacks_too_far`: over `MAX_MEMBERS`; `source`: there is none.
    """
    with zip_faults():
        found = [one for one in archive.infolist() if not (_is_folder(one) or _hidden(one.filename))]
    if len(found) > MAX_MEMBERS:
        raise InputError("unpacks_too_far", f"it has over {MAX_MEMBERS:,} files")
    if any(one.flag_bits & 1 for one in found):
        raise InputError("encrypted", "it needs a password: unpack it on a disk in memory")
    if not found:
        raise InputError("source", "there is no file in it")
    return found


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.is_dir() and not member.file_size


def _hidden(name: str) -> bool:
    return any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in name.split("/"))


@contextmanager
def opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo, allowance: Allowance) -> Iterator[Stream]:
    """Open a file of a zip; it is found out while it is read that it is damaged.

    Raises:
        InputError: `source`.
    """
    with zip_faults():
        file = archive.open(member)
    with file:
        yield Stream(_Member(file), allowance)


class _Member:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int, /) -> bytes:
        with zip_faults():
            return self._file.read(size)
