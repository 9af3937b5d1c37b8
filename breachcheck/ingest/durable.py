"""Files that are whole or not there, whenever the power fails."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Let `path` hold `content`; whoever opens it meanwhile finds the old octets or the new, never a part."""
    new = path.with_name(f".{path.name}")
    new.write_bytes(content)
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
