"""The release as it is served: opened read-only, verified whole, and every page verified again as it is sent."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import duckdb

from breachcheck.errors import ProtocolError, ReleaseError
from breachcheck.protocol import merkle
from breachcheck.protocol.manifest import SIGNATURE_LENGTH, KindTable, Manifest, open_signed, parse
from breachcheck.store import schema

CURRENT: Final = "current"
MANIFEST: Final = "manifest.signed"
DATABASE: Final = "release.duckdb"
PAGES: Final = "pages"
_NUMBER: Final = re.compile("[1-9][0-9]{0,14}")  # all of them are below 2^53


@dataclass(frozen=True, slots=True)
class _Pages:
    table: KindTable
    file: int
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable release. `signed` is the manifest as it travels."""

    folder: Path
    signed: bytes = field(repr=False)
    manifest: Manifest = field(repr=False)
    _pages: dict[str, _Pages] = field(repr=False)

    def page(self, kind: str, bucket: int) -> bytes:
        """Return the page of a bucket, `page_length` bytes.

        Raises:
            KeyError: the release does not index `kind`.
            IndexError: there is no such bucket.
            ReleaseError: `page_damaged`: the file changed since it was opened.
        """
        pages = self._pages[kind]
        if not 0 <= bucket < len(pages.digests):
            raise IndexError(bucket)
        length = pages.table.layout.page_length
        content = os.pread(pages.file, length, bucket * length)
        if hashlib.sha256(content).digest() != pages.digests[bucket]:
            raise ReleaseError("page_damaged", f"{kind} bucket {bucket:x}")
        return content

    def pages_path(self, kind: str) -> Path:
        """Return the path of all pages of `kind`, in bucket order."""
        return _pages_path(self.folder, kind)

    def close(self) -> None:
        """Close the files."""
        for pages in self._pages.values():
            os.close(pages.file)
        self._pages.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def numbers(releases: Path) -> list[int]:
    """Return the numbers of the releases in a folder, in order. A name that no release can have is none."""
    return sorted(int(entry.name) for entry in releases.iterdir() if _NUMBER.fullmatch(entry.name))


def current(releases: Path) -> Path:
    """Return the folder of the release that is to be served.

    Raises:
        ReleaseError: `no_release`.
    """
    try:
        name = (releases / CURRENT).read_text("ascii").strip()
    except OSError as error:
        raise ReleaseError("no_release", f"{releases / CURRENT}: {error.strerror}") from None
    except UnicodeDecodeError:
        name = ""
    if not name.isdecimal():
        raise ReleaseError("no_release", f"{releases / CURRENT} does not name a release")
    return releases / name


def open_release(releases: Path, publisher_key: bytes | None = None) -> Release:
    """Open the current release of a folder (`open_folder`)."""
    return open_folder(current(releases), publisher_key)


def open_folder(folder: Path, publisher_key: bytes | None = None) -> Release:
    """Open the release in `folder` after every page, digest and number in it was checked against its manifest.

    The manifest's signature is checked where the 32-byte `publisher_key` is given; a service may run without it: its
    clients check it in any case.

    Raises:
        ReleaseError: `unreadable`, `manifest`, `schema`, `mismatch`.
    """
    pages: dict[str, _Pages] = {}
    release: Release | None = None
    try:
        with schema.connect(folder / DATABASE, read_only=True) as database:
            number = _check_version(database)
            # After the version: what another version of this program wrote is no damage, and its manifest may differ.
            release = Release(folder, *_read_manifest(folder, publisher_key), pages)
            manifest = release.manifest
            _check_head(database, number, manifest)
            for position, table in enumerate(manifest.kinds):
                file = os.open(_pages_path(folder, table.kind), os.O_RDONLY | os.O_CLOEXEC)
                pages[table.kind] = _Pages(table, file, ())
                digests = _check_pages(database, position, table, file)
                pages[table.kind] = _Pages(table, file, digests)
        return release
    except duckdb.Error as error:
        _close(release)
        raise schema.failed(folder / DATABASE, error) from None
    except OSError as error:
        _close(release)
        raise ReleaseError("unreadable", f"{PAGES}: {error.strerror}") from None
    except ReleaseError:
        _close(release)
        raise


def _close(release: Release | None) -> None:
    if release:
        release.close()


def _read_manifest(folder: Path, publisher_key: bytes | None) -> tuple[bytes, Manifest]:
    try:
        signed = (folder / MANIFEST).read_bytes()
        return signed, open_signed(signed, publisher_key) if publisher_key else parse(signed[SIGNATURE_LENGTH:])
    except OSError as error:
        raise ReleaseError("unreadable", f"{MANIFEST}: {error.strerror}") from None
    except ProtocolError as error:
        raise ReleaseError("manifest", str(error)) from None


def _pages_path(folder: Path, kind: str) -> Path:
    return folder / PAGES / f"{kind}.bin"


def _check_version(database: duckdb.DuckDBPyConnection) -> int:
    heads = database.execute(
        "SELECT coalesce(schema_version::BIGINT, 0), coalesce(number::BIGINT, 0) FROM release"
    ).fetchall()
    if len(heads) != 1:
        raise ReleaseError("mismatch", "the database is not of one release")
    version, number = heads[0]
    if version != schema.RELEASE_VERSION:
        whose = "a newer" if version > schema.RELEASE_VERSION else "an older"
        raise ReleaseError(
            "schema",
            f"the release is of schema {version}, which {whose} breachcheck writes; "
            f"this version reads {schema.RELEASE_VERSION}",
        )
    return int(number)


def _check_head(database: duckdb.DuckDBPyConnection, number: int, manifest: Manifest) -> None:
    if number != manifest.release:
        raise ReleaseError("mismatch", "the database and the manifest are of different releases")
    datasets = database.execute("SELECT name, description FROM dataset ORDER BY position").fetchall()
    if datasets != [(dataset.name, dataset.model_dump_json()) for dataset in manifest.datasets]:
        raise ReleaseError("mismatch", "datasets of the database and the manifest differ")
    kinds = database.execute(
        "SELECT name, prefix_bits, entries_per_bucket, root FROM kind ORDER BY position"
    ).fetchall()
    if kinds != [(one.kind, one.prefix_bits, one.entries_per_bucket, one.root) for one in manifest.kinds]:
        raise ReleaseError("mismatch", "kinds of the database and the manifest differ")


def _check_pages(database: duckdb.DuckDBPyConnection, position: int, table: KindTable, file: int) -> tuple[bytes, ...]:
    layout = table.layout
    if os.fstat(file).st_size != layout.buckets * layout.page_length:
        raise ReleaseError("mismatch", f"{table.kind}: the pages are not as long as the manifest says")
    # Whatever somebody made of the columns, these are numbers and octets.
    rows = database.execute(
        "SELECT coalesce(number::BIGINT, -1), coalesce(digest::BLOB, ''), coalesce(entries::BLOB, '') FROM bucket "
        "WHERE kind = ? ORDER BY bucket.number",
        [position],
    )
    leaves: list[bytes] = []
    digests: list[bytes] = []
    paths: list[bytes] = []
    while batch := rows.fetchmany(256):
        for number, digest, entries in batch:
            content = os.pread(file, layout.page_length, len(digests) * layout.page_length)
            leaf = merkle.leaf_hash(entries)
            if number != len(digests) or digest != leaf or content[: layout.entries_length] != entries:
                raise ReleaseError("mismatch", f"{table.kind} bucket {number:x}: database and pages differ")
            leaves.append(leaf)
            digests.append(hashlib.sha256(content).digest())
            paths.append(content[layout.entries_length :])
    tree = merkle.Tree(leaves)
    if len(leaves) != layout.buckets or tree.root != table.root:
        raise ReleaseError("mismatch", f"{table.kind}: the buckets are not those the manifest commits to")
    if any(b"".join(tree.path(number)) != path for number, path in enumerate(paths)):
        raise ReleaseError("mismatch", f"{table.kind}: a page carries a wrong path")
    return tuple(digests)
