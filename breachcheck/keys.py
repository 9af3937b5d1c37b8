"""The steward's key folder: what is in it, and what must be true of it before anything in it is used.

    publisher.key    Ed25519 private key, 0600: signs manifests; stays offline
    publisher.pub    its public key: what clients pin
    evaluator.key    OPRF private key, 0600: the one secret of a running service
    service.salt     the public salt of every release made with these keys
    release.number   the highest release number that was ever sealed with them
    epoch.before     the OPRF public key of the epoch that these follow, if they follow one

Each is one line, of lower-case hexadecimal but for the number.
"""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from breachcheck.errors import InputError, ProtocolError, ReleaseError
from breachcheck.protocol import oprf
from breachcheck.protocol.encoding import encode
from breachcheck.protocol.manifest import PUBLISHER_KEY_LENGTH
from breachcheck.protocol.parameters import SALT_LENGTH
from breachcheck.protocol.server import Evaluator

PUBLISHER_KEY: Final = "publisher.key"
PUBLISHER_PUB: Final = "publisher.pub"
EVALUATOR_KEY: Final = "evaluator.key"
SERVICE_SALT: Final = "service.salt"
RELEASE_NUMBER: Final = "release.number"
EPOCH_BEFORE: Final = "epoch.before"
ROTATION_ROOM: Final = 1000  # release numbers left to an epoch that another has begun to follow
MAX_RELEASE: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class StewardKeys:
    """All that an offline ingest needs; its `repr` shows no secret.

    `before` is the public evaluator key of the epoch that these follow; None where they are the first.
    """

    folder: Path
    publisher: Ed25519PrivateKey = field(repr=False)
    evaluator: Evaluator
    service_salt: bytes
    before: bytes | None = None

    @property
    def publisher_key(self) -> bytes:
        """The 32-byte public key that clients pin."""
        return self.publisher.public_key().public_bytes_raw()

    def keyed(self, purpose: str, *parts: bytes) -> bytes:
        """Return 32 bytes that stand for `parts` and tell nothing of them to who has not the evaluator key."""
        return hmac.digest(self.evaluator.sk, encode(purpose, *parts), "sha256")

    def last_release_number(self) -> int:
        """Return the highest number that was spent with these keys, or 0.

        Raises:
            ReleaseError: `keys`: the file is damaged.
        """
        path = self.folder / RELEASE_NUMBER
        try:
            text = path.read_text("ascii").strip() if path.exists() else "0"
        except UnicodeDecodeError:
            text = ""
        if not (text.isdecimal() and len(text) < 20 and int(text) < MAX_RELEASE):
            raise ReleaseError("keys", f"{RELEASE_NUMBER} does not hold a number from 0 to {MAX_RELEASE - 1}")
        return int(text)

    def spend_release_number(self, present: int) -> int:
        """Return a number above `present` and above all that were ever spent with these keys, and keep it.

        A number that is used twice would use its pads twice. So it stands with the keys, whatever becomes of ledgers
        and releases, and it is on the disk before anything is sealed under it.

        Raises:
            ReleaseError: `keys`: the file is damaged, or there is no number left below 2^53.
        """
        with _locked(self.folder):  # two processes would spend one number
            number = max(self.last_release_number(), present) + 1
            if number > MAX_RELEASE:
                raise ReleaseError("keys", f"a release number is at most {MAX_RELEASE}")
            path = self.folder / RELEASE_NUMBER
            new = path.with_name(f".{RELEASE_NUMBER}")
            with new.open("w", encoding="ascii") as file:
                file.write(f"{number}\n")
                file.flush()
                os.fsync(file.fileno())
            new.rename(path)
        return number


def init(folder: Path) -> StewardKeys:
    """Make a new set of keys in `folder`, which is created 0700.

    Raises:
        ReleaseError: `keys_exist`: a key is there already; none is ever overwritten.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make(folder, Ed25519PrivateKey.generate(), None)
    return read_steward(folder)


def rotate(old: Path, new: Path) -> StewardKeys:
    """Begin a new epoch in `new`: another evaluator key and salt, the publisher of `old`.

    Clients keep the publisher key that they pinned, and refuse a release number below one they saw. So the numbers of
    the new epoch begin ROTATION_ROOM above those of the old, which may still publish until it is left.

    Raises:
        ReleaseError: `keys_exist`: a key is in `new` already; `keys`: what is in `old` cannot be used.
    """
    steward = read_steward(old)
    new.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make(new, steward.publisher, steward.evaluator.pk)
    rotated = read_steward(new)
    rotated.spend_release_number(steward.last_release_number() + ROTATION_ROOM - 1)
    return rotated


def _make(folder: Path, publisher: Ed25519PrivateKey, before: bytes | None) -> None:
    names = (PUBLISHER_KEY, PUBLISHER_PUB, EVALUATOR_KEY, SERVICE_SALT, RELEASE_NUMBER, EPOCH_BEFORE)
    present = [name for name in names if (folder / name).exists()]
    if present:
        raise ReleaseError("keys_exist", f"{folder} already holds {', '.join(present)}")
    for name, content, mode in (
        (PUBLISHER_KEY, publisher.private_bytes_raw(), 0o600),
        (PUBLISHER_PUB, publisher.public_key().public_bytes_raw(), 0o644),
        (EVALUATOR_KEY, oprf.random_scalar(), 0o600),
        (SERVICE_SALT, os.urandom(SALT_LENGTH), 0o644),
        *([(EPOCH_BEFORE, before, 0o644)] if before else []),
    ):
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "w") as file:
            file.write(content.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())


def read_steward(folder: Path, releases: Path | None = None) -> StewardKeys:
    """Return the whole set, which must not lie inside `releases`.

    Raises:
        ReleaseError: `keys`: a file is missing, malformed, readable by others, or inside the release folder.
    """
    publisher = Ed25519PrivateKey.from_private_bytes(_read_secret(folder / PUBLISHER_KEY, PUBLISHER_KEY_LENGTH))
    salt = _read_hex(folder / SERVICE_SALT, SALT_LENGTH)
    if read_publisher_key(folder / PUBLISHER_PUB) != publisher.public_key().public_bytes_raw():
        raise ReleaseError("keys", f"{PUBLISHER_PUB} and {PUBLISHER_KEY} are not a pair")
    path = folder / EPOCH_BEFORE
    before = _read_hex(path, oprf.ELEMENT_LENGTH) if path.exists() else None
    return StewardKeys(folder, publisher, read_evaluator(folder, releases), salt, before)


def read_evaluator(folder: Path, releases: Path | None = None) -> Evaluator:
    """Return the evaluator with the key in `folder`, which must not lie inside `releases`.

    Raises:
        ReleaseError: `keys`: the file is missing, malformed, readable by others, or inside the release folder.
    """
    path = folder / EVALUATOR_KEY
    if releases is not None and path.resolve().is_relative_to(releases.resolve()):
        raise ReleaseError("keys", "the key must not lie inside the release folder: whoever copies one would have both")
    try:
        return Evaluator(_read_secret(path, oprf.SCALAR_LENGTH))
    except ProtocolError:
        raise ReleaseError("keys", f"{path.name} is not a key of this suite") from None


def read_publisher_key(key: bytes | str | os.PathLike[str]) -> bytes:
    """Return the 32-byte publisher key, given itself or the path of its file.

    Raises:
        InputError: `publisher_key`: it is not one.
    """
    if isinstance(key, bytes):
        if len(key) != PUBLISHER_KEY_LENGTH:
            raise InputError("publisher_key", f"wanted {PUBLISHER_KEY_LENGTH} bytes")
        return key
    try:
        return _read_hex(Path(key), PUBLISHER_KEY_LENGTH)
    except ReleaseError as error:
        raise InputError("publisher_key", error.detail) from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    import fcntl  # not on Windows, where only clients read this module

    # Of the folder itself: a lock on a file would stay with the file that a rename replaces.
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_secret(path: Path, length: int) -> bytes:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ReleaseError("keys", f"{path.name}: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise ReleaseError("keys", f"{path.name} must be 0600: others can read it")
    return _read_hex(path, length)


def _read_hex(path: Path, length: int) -> bytes:
    try:
        content = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise ReleaseError("keys", f"{path.name}: {error.strerror}") from None
    except ValueError:
        raise ReleaseError("keys", f"{path.name} is not one line of hexadecimal") from None
    if len(content) != length:
        raise ReleaseError("keys", f"{path.name} holds {len(content)} bytes where {length} belong")
    return content
