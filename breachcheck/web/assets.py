"""Style, icon and scripts: read once, served for ever under names that hold their digest.

The package build leaves the scripts in `static/dist`, and in `assets.json` which file is which. A source tree in which
nothing was built has pages, and no check in them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

STYLE: Final = "style.css"
ICON: Final = "icon.svg"
SCRIPT: Final = "page.js"
WORKER: Final = "worker.js"

_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served. `encodings` holds shorter forms of it by their content coding, shortest first."""

    name: str
    integrity: str
    media_type: str
    content: bytes = field(repr=False)
    encodings: Mapping[str, bytes] = field(repr=False)

    @property
    def url(self) -> str:
        """The path under which it is served."""
        return f"/static/{self.name}"


def read_assets() -> dict[str, Asset]:
    """Return style and icon, and the scripts if they were built, by their logical names."""
    folder = resources.files(__package__).joinpath("static")
    assets = {}
    for name in (STYLE, ICON):
        content = folder.joinpath(name).read_bytes()
        stem, _, extension = name.rpartition(".")
        digest = hashlib.sha256(content).hexdigest()[:16]
        assets[name] = _asset(f"{stem}.{digest}.{extension}", content, {"gzip": gzip.compress(content, 9, mtime=0)})
    dist = folder.joinpath("dist")
    index = dist.joinpath("assets.json")
    if index.is_file():
        for name, built in json.loads(index.read_bytes()).items():
            content = dist.joinpath(built["file"]).read_bytes()
            assets[name] = _asset(built["file"], content, _encodings(dist, built["file"], content))
    return assets


def _encodings(dist: Traversable, file: str, content: bytes) -> dict[str, bytes]:
    brotli = dist.joinpath(f"{file}.br")
    encodings = {"br": brotli.read_bytes()} if brotli.is_file() else {}
    return encodings | {"gzip": gzip.compress(content, 9, mtime=0)}


def _asset(name: str, content: bytes, encodings: Mapping[str, bytes]) -> Asset:
    return Asset(
        name=name,
        integrity=f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}",
        media_type=_MEDIA_TYPES[name.rpartition(".")[2]],
        content=content,
        encodings={coding: shorter for coding, shorter in encodings.items() if len(shorter) < len(content)},
    )
