"""The pages over HTTP, the same for everybody, with nothing on them from elsewhere.

/  /files  /advice  /protection  /status     in the language that the browser asks for
/ar/  /ar/files  ...                         in this one
/status.atom  /status.ics  /ar/status.atom ...  the status as feeds
/static/NAME.DIGEST.EXTENSION                style, icon and scripts, for ever
anything else that a person may have typed   says so, in a language of theirs
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from breachcheck.notices.board import Board
from breachcheck.protocol.manifest import Manifest
from breachcheck.protocol.parameters import TESTING_ONLY
from breachcheck.web import feeds, notices, releases, words
from breachcheck.web.assets import ICON, SCRIPT, STYLE, WORKER, Asset, read_assets
from breachcheck.web.languages import Language, discover, negotiate
from breachcheck.web.words import N_

CHECK: Final = "check"
NOT_FOUND: Final = "not-found"
PAGES: Final[Mapping[str, str]] = {
    CHECK: N_("Check"),
    "files": N_("The leaked files"),
    "advice": N_("What you can do"),
    "protection": N_("How this protects you"),
    "status": N_("Is the service working?"),
}
FEEDS: Final[Mapping[str, str]] = {
    "status.atom": "application/atom+xml",
    "status.ics": "text/calendar",
}

# Only this service's own files; nothing inline; a text becomes code nowhere but as the address of the one worker.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "worker-src blob:",  # octets that the page has verified; no script of a URL's is run as a worker
        "child-src blob:",  # its name in Safari before 15.5
        "frame-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types breachcheck",
    )
)
_REFUSED_FEATURES: Final = ("camera", "geolocation", "microphone", "payment", "usb")
_COMMON: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_PAGE: Final[Mapping[str, str]] = {
    **_COMMON,
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": ", ".join(f"{feature}=()" for feature in _REFUSED_FEATURES),
    "x-frame-options": "DENY",
}
_REFUSED: Final = re.compile(r"\s*q\s*=\s*0(\.0{0,3})?\s*")
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_REVALIDATED: Final = "no-cache"
_NO_STORE: Final = "no-store"  # the page on which something is typed is kept nowhere, not even for the back button

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Shown:
    manifest: Manifest | None
    troubles: tuple[str, ...]
    board: Board


@dataclass(frozen=True, slots=True)
class _Rendered:
    shown: _Shown
    content: bytes
    gzipped: bytes
    etag: str


class _Site:
    """All pages and feeds in all languages, rendered when first asked for, and anew when what they show has changed."""

    def __init__(
        self,
        manifest: Callable[[], Manifest | None],
        publisher_key: bytes | None,
        troubles: Callable[[], Sequence[str]],
        board: Callable[[], Board],
    ) -> None:
        self.languages = discover()
        self.assets = read_assets()
        self._manifest = manifest
        self._publisher_key = publisher_key
        self._troubles = troubles
        self._board = board
        self._templates = {tag: _templates(language) for tag, language in self.languages.items()}
        self._rendered: dict[tuple[str, str], _Rendered] = {}

    def page(self, page: str, tag: str) -> _Rendered:
        """Return a page or feed in a language."""
        board = self._board()
        # In maintenance what is wrong is being worked on: until when is all that a person needs to know.
        shown = _Shown(self._manifest(), () if board.current else tuple(self._troubles()), board)
        known = self._rendered.get((page, tag))
        if known and known.shown.manifest is shown.manifest and known.shown == shown:
            return known
        content = self._content(page, self.languages[tag], shown)
        rendered = _Rendered(
            shown,
            content,
            gzip.compress(content, 9, mtime=0),
            hashlib.sha256(content).hexdigest()[:32],
        )
        self._rendered[page, tag] = rendered
        return rendered

    def _content(self, page: str, language: Language, shown: _Shown) -> bytes:
        match page:
            case "status.atom":
                return feeds.atom(shown.board, language, self._publisher_key)
            case "status.ics":
                return feeds.calendar(shown.board, language, self._publisher_key)
            case _:
                return self._render(page, language, shown).encode()

    def _render(self, page: str, language: Language, shown: _Shown) -> str:
        manifest = shown.manifest
        release = releases.view(manifest, language) if manifest else None
        # Without the publisher's key nothing that the service says could be verified: then there is no check.
        script, worker = (self.assets.get(name) if self._publisher_key else None for name in (SCRIPT, WORKER))
        present = {field for dataset in manifest.datasets for field in dataset.fields} if manifest else set()
        translate = language.translations.gettext
        return (
            self._templates[language.tag]
            .get_template(f"{page}.html")
            .render(
                page=page,
                language=language,
                languages=self.languages.values(),
                titles={slug: translate(title) for slug, title in PAGES.items()},
                url=lambda to, other=language: f"/{other.tag}/{'' if to in (CHECK, NOT_FOUND) else to}",
                anchor=releases.anchor,
                words=words,
                style=self.assets[STYLE],
                icon=self.assets[ICON],
                script=script if worker else None,
                worker=worker,
                publisher_key=self._publisher_key.hex() if self._publisher_key else None,
                release=release,
                datasets=release.datasets if release else (),
                kinds=release.kinds if release else words.HOME,
                advised=[field for field in words.FIELDS if field in present] or list(words.FIELDS),
                testing=manifest is not None and manifest.parameters == TESTING_ONLY,
                troubles=[notices.trouble(name, language) for name in shown.troubles],
                notices=notices.view(shown.board, language),
                closed=shown.board.current is not None or bool(shown.troubles),
            )
        )


def _templates(language: Language) -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    installer: Any = environment  # the extension adds its methods to the instance
    installer.install_gettext_translations(language.translations, newstyle=True)
    return environment


def _accepts(request: Request, coding: str) -> bool:
    for part in request.headers.get("accept-encoding", "").split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() == coding:
            return not _REFUSED.fullmatch(weight)
    return False


def _page_endpoint(site: _Site, page: str, tag: str | None) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        headers = dict(_COMMON if page in FEEDS else _PAGE)
        chosen = tag
        if chosen is None:
            chosen = negotiate(request.headers.get("accept-language", ""), tuple(site.languages))
            headers["vary"] = "Accept-Encoding, Accept-Language"
        else:
            headers["vary"] = "Accept-Encoding"
        headers["content-language"] = chosen
        rendered = site.page(page, chosen)
        # Compression tells nothing here: a page holds no secret, and nothing of who asks.
        gzipped = _accepts(request, "gzip")
        if page in (CHECK, NOT_FOUND):
            headers["cache-control"] = _NO_STORE
        else:
            etag = f'"{rendered.etag}{"-gzip" if gzipped else ""}"'
            headers |= {"cache-control": _REVALIDATED, "etag": etag}
            if request.headers.get("if-none-match") == etag:
                return Response(status_code=304, headers=headers)
        if gzipped:
            headers["content-encoding"] = "gzip"
        return Response(
            rendered.gzipped if gzipped else rendered.content, headers=headers, media_type=FEEDS.get(page, "text/html")
        )

    return endpoint


def _slash_endpoint(path: str) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        return Response(status_code=308, headers={**_COMMON, "location": path, "cache-control": _REVALIDATED})

    return endpoint


def _asset_endpoint(asset: Asset) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        headers = {**_COMMON, "cache-control": _IMMUTABLE, "vary": "Accept-Encoding"}
        content = asset.content
        for coding, shorter in asset.encodings.items():
            if _accepts(request, coding):
                content, headers["content-encoding"] = shorter, coding
                break
        return Response(content, headers=headers, media_type=asset.media_type)

    return endpoint


def _paths(languages: Mapping[str, Language]) -> Iterator[tuple[str, str, str | None]]:
    for page in (*PAGES, *FEEDS):
        name = "" if page == CHECK else page
        yield f"/{name}", page, None
        for tag in languages:
            yield f"/{tag}/{name}", page, tag
    for tag in languages:
        yield f"/{tag}", CHECK, tag


class Pages(APIRouter):
    """The routes of all pages and of what they load, and the page for addresses that do not exist."""

    def __init__(
        self,
        manifest: Callable[[], Manifest | None],
        publisher_key: bytes | None,
        troubles: Callable[[], Sequence[str]] = list,
        board: Callable[[], Board] = Board,
    ) -> None:
        """Make the routes.

        `manifest` returns the manifest of the release that is served, or None if none is; `publisher_key` is the
        32-byte key that the browser checks it with, and without which the pages offer no check; `troubles` returns the
        words for why the service must not be used now; `board` returns what is to be told of maintenance and incidents.
        """
        super().__init__()
        self._site = site = _Site(manifest, publisher_key, troubles, board)
        for path, page, tag in _paths(site.languages):
            self.add_route(path, _page_endpoint(site, page, tag), methods=["GET"], include_in_schema=False)
            if not path.endswith("/") and path.count("/") + (tag is None) > 1:
                self.add_route(f"{path}/", _slash_endpoint(path), methods=["GET"], include_in_schema=False)
        for asset in site.assets.values():
            self.add_route(asset.url, _asset_endpoint(asset), methods=["GET"], include_in_schema=False)

    async def stray(self, request: Request) -> Response | None:
        """Return the page for an address that does not exist; None where a program asks, or for the API."""
        first = request.url.path.split("/")[1]
        reads = first in self._site.languages or "text/html" in request.headers.get("accept", "")
        if request.method not in ("GET", "HEAD") or first == "v1" or not reads:
            return None
        tag = first if first in self._site.languages else None
        response = await _page_endpoint(self._site, NOT_FOUND, tag)(request)
        if response.status_code == 200:
            response.status_code = 404
        response.headers["cache-control"] = _NO_STORE
        return response
