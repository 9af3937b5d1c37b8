"""Which files there are, and what is in them: the one entrance of this package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from breachcheck.errors import InputError
from breachcheck.ingest.mapping import Mapping
from breachcheck.ingest.sources.chunk import Chunk
from breachcheck.ingest.sources.delimited import read_delimited


def digest(path: Path) -> bytes:
    """Return the SHA-256 of a file as it is on disk.

    Raises:
        InputError: `source`.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InputError("source", f"{path.name}: {error.strerror}") from None


def chunks(path: Path, mapping: Mapping, skip: int = 0) -> Iterator[Chunk]:
    """Yield what is in a file, cut in the same places each time, without the first `skip` chunks.

    Raises:
        InputError: `columns`; `source`: it cannot be read.
    """
    try:
        with path.open("rb") as disk:
            yield from islice(read_delimited(disk, disk, mapping), skip, None)
    except OSError as error:
        raise InputError("source", f"{path.name}: {error.strerror}") from None
    except InputError as error:
        raise InputError(error.reason, f"{path.name}: {error.detail}") from None
