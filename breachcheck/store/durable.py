"""Files that are whole or not there, whenever the power fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_FOLDER: Final = 0o755  # what is made to last is a release, which holds no secret: everybody may read it
_FILE: Final = 0o644


def replace(path: Path, content: bytes) -> None:
    """Let `path` hold `content`; whoever opens it meanwhile finds the old octets or the new, never a part."""
    new = path.with_name(f".{path.name}")
    new.write_bytes(content)
    new.chmod(_FILE)
    sync(new)
    new.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until everything in a folder is on the disk."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def open_tree(folder: Path) -> None:
    """Let everybody read a folder and what is in it, whatever the umask."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(_FOLDER if path.is_dir() else _FILE)
