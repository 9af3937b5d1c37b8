"""Which files there are, and what is in them: the one entrance of this package.

Formats are told by content: gzip, zstd and zip (with what they hold), XLSX, Parquet, PDF. What is left is text: of
fixed width if the mapping says so, JSON lines if it begins with `{`, and delimited otherwise.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from breachcheck.errors import InputError
from breachcheck.ingest.mapping import Mapping
from breachcheck.ingest.sources.archive import members, open_zip, opened, packing, unpacked
from breachcheck.ingest.sources.chunk import Chunk
from breachcheck.ingest.sources.delimited import read_delimited
from breachcheck.ingest.sources.lines import read_fixed, read_json
from breachcheck.ingest.sources.parquet import read_parquet
from breachcheck.ingest.sources.stream import Allowance, Stream
from breachcheck.ingest.sources.workbook import is_workbook, read_workbook

_NOT_TEXT = (
    b" \t\r\n\0\xef\xbb\xbf\xff\xfe"  # before the first character: white space, byte order marks, half of UTF-16
)


def expand(names: Iterable[str | Path]) -> list[Path]:
    """Return the files that are meant: each file, those in and below each folder, and what a pattern matches; each
    once.

    Files of a folder and of a pattern are sorted by path. Hidden ones are left out, unless they are named themselves.
    What is no file, a pipe or a link that leads nowhere, is not: it is refused when it is opened.

    Raises:
        InputError: `source`: there is nothing of that name, or no file in it; a folder cannot be looked into.
    """
    found: dict[Path, None] = {}
    for name in names:
        matches = [Path(name)]
        if not matches[0].exists():
            # Not Path.glob, which refuses an absolute pattern.
            for parent in Path(name).parents:
                for folder in glob.glob(f"{parent}/", recursive=True):  # noqa: PTH207
                    if not os.access(folder, os.R_OK | os.X_OK):  # `glob` passes over it in silence
                        raise InputError("source", f"{folder}: {os.strerror(errno.EACCES)}")
            matches = sorted(map(Path, glob.glob(str(name), recursive=True)))  # noqa: PTH207
        files = [file for match in matches for file in (_below(match) if match.is_dir() else [match])]
        if not files:
            raise InputError("source", f"{name}: there is no file of that name, or none in that folder")
        found |= dict.fromkeys(files)
    return list(found)


def _below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise InputError("source", f"{error.filename}: {error.strerror}") from None

    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    # Not Path.rglob, which passes over folders that are links, or that cannot be looked into.
    for here, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        state = Path(here).stat()
        place = state.st_dev, state.st_ino
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += (Path(here, name) for name in files if not name.startswith("."))
    return sorted(found)


def digest(path: Path) -> bytes:
    """Return the SHA-256 of a file as it is on disk.

    Raises:
        InputError: `source`.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InputError("source", f"{path}: {error.strerror}") from None


def refuse_pipe(path: Path) -> None:
    """Refuse what could be read once, for it is read twice; and what a process would wait for, for ever.

    Raises:
        InputError: `source`.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError("source", f"{path}: {error.strerror}") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError("source", f"{path} is not a file: pipes and devices are not read")


def chunks(path: Path, mapping: Mapping) -> Iterator[Chunk]:
    """Yield what is in a file, cut in the same places each time.

    Raises:
        InputError: `columns`: a header does not fit the mapping; `source`: it cannot be read; `format`: it is of a
        format
            that is not read; `encrypted`; `nested`: an archive in an archive; `unpacks_too_far`.
    """
    refuse_pipe(path)
    try:
        with path.open("rb") as disk:
            yield from _read(disk, path.stat().st_size, mapping)
    except OSError as error:
        raise InputError("source", f"{path}: {error.strerror or 'it is damaged'}") from None
    except InputError as error:
        raise InputError(error.reason, f"{path}: {error.detail}") from None


def _read(disk: BinaryIO, size: int, mapping: Mapping) -> Iterator[Chunk]:
    allowance = Allowance(size)
    stream = Stream(disk)
    how = packing(stream.head)
    if how == "zip":
        yield from _read_zip(disk, allowance, mapping)
    elif how:
        disk.seek(0)
        yield from _read_packed(unpacked(disk, how, allowance), disk, "", allowance, mapping)
    elif _is_random(stream.head):
        disk.seek(0)
        yield from _read_random(disk, stream.head, disk, "", mapping)
    else:
        yield from _read_text(stream, disk, "", mapping)


def _read_zip(disk: BinaryIO, allowance: Allowance, mapping: Mapping) -> Iterator[Chunk]:
    with open_zip(disk) as archive:
        if is_workbook(archive):
            yield from read_workbook(disk, archive, disk, "", allowance, mapping)
            return
        found = members(archive)
        for place, member in enumerate(found, 1):
            with opened(archive, member, allowance) as stream:
                try:
                    yield from _read_packed(stream, disk, str(place), allowance, mapping)
                except InputError as error:
                    raise InputError(error.reason, f"file {place} in it: {error.detail}") from None


def _read_packed(stream: Stream, disk: BinaryIO, part: str, allowance: Allowance, mapping: Mapping) -> Iterator[Chunk]:
    how = packing(stream.head)
    if how == "zip":
        held = stream.hold()
        with open_zip(held) as archive:
            if is_workbook(archive):
                yield from read_workbook(held, archive, disk, part, allowance, mapping)
                return
    if how:
        raise InputError("nested", "there is an archive in it: unpack it on a disk in memory")
    if _is_random(stream.head):
        yield from _read_random(stream.hold(), stream.head, disk, part, mapping)
    else:
        yield from _read_text(stream, disk, part, mapping)


def _is_random(head: bytes) -> bool:
    return head.startswith(b"PAR1") or b"%PDF-" in head[:1024]


def _read_random(file: BinaryIO, head: bytes, disk: BinaryIO, part: str, mapping: Mapping) -> Iterator[Chunk]:
    if head.startswith(b"PAR1"):
        return read_parquet(file, disk, part, mapping)
    from breachcheck.ingest.sources.attestation import read_pdf  # a tenth of a second, for PDF alone

    return read_pdf(file.read(), disk, part, mapping)


def _read_text(stream: Stream, disk: BinaryIO, part: str, mapping: Mapping) -> Iterator[Chunk]:
    if mapping.line is not None:
        return read_fixed(stream, disk, part, mapping, mapping.line)
    if stream.head.lstrip(_NOT_TEXT).startswith(b"{"):
        return read_json(stream, disk, part, mapping)
    return read_delimited(stream, disk, part, mapping)
