"""What a client remembers: the highest release it has seen of each publisher, and nothing else.

No identifier, no address and no time stands in it. Whoever replays an older release to this client is found out by it,
so a memory that cannot be read stops the check: it is never taken for an empty one.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from breachcheck.errors import ReleaseError
from breachcheck.exposure import Reason
from breachcheck.protocol.manifest import PUBLISHER_KEY_LENGTH

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCK_PATIENCE: Final = 5.0  # seconds: the holder reads and writes a few hundred bytes

_Key = Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{2 * PUBLISHER_KEY_LENGTH}}}$")]


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1]
    releases: dict[_Key, Annotated[int, Field(ge=1, lt=2**53)]]


class ReleaseMemory:
    """Remembers releases for as long as the process lives, and beyond it if given the path of a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}

    def last_seen(self, publisher_key: bytes) -> int:
        """Return the highest release seen of this publisher; 0 if none was.

        Raises:
            ReleaseError: `release_memory`: the file is there and cannot be read.
        """
        key = publisher_key.hex()
        with self._lock:
            return max(self._seen.get(key, 0), self._read().get(key, 0))

    def remember(self, publisher_key: bytes, release: int) -> None:
        """Remember this release, unless a higher one is remembered already.

        Raises:
            ReleaseError: `release_memory`: the file cannot be read or written.
        """
        key = publisher_key.hex()
        with self._lock:
            release = max(release, self._seen.get(key, 0))
            if self._path is not None and self._read().get(key, 0) < release:
                self._raise_to(self._path, key, release)
            self._seen[key] = release

    def _read(self) -> dict[str, int]:
        if self._path is None:
            return {}
        try:
            return _Content.model_validate_json(self._path.read_bytes()).releases
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ReleaseError(Reason.RELEASE_MEMORY, error.strerror or "cannot be read") from None
        except ValidationError:
            raise ReleaseError(Reason.RELEASE_MEMORY, "the file is damaged") from None

    def _raise_to(self, path: Path, key: str, release: int) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _exclusive(path.with_name(f"{path.name}.lock")):
                # Read again: between the first look and the lock another client may have written a higher one.
                releases = self._read()
                releases[key] = max(release, releases.get(key, 0))
                _replace(path, _Content(version=1, releases=releases).model_dump_json().encode())
        except OSError as error:
            raise ReleaseError(Reason.RELEASE_MEMORY, error.strerror or "cannot be written") from None


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from its first moment
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    # A file of its own: a lock on the memory itself would stay with the file that the rename replaces.
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        give_up = time.monotonic() + _LOCK_PATIENCE
        while not _try_lock(handle):
            if time.monotonic() > give_up:
                raise ReleaseError(Reason.RELEASE_MEMORY, "another client holds it")
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the latter is how Windows says it
        return False
    return True
