"""The pages over HTTP, the same for everybody, with nothing on them from elsewhere.

/  /files  /advice  /protection  /status     in the language that the browser asks for
/ar/  /ar/files  ...                         in this one
/static/NAME.DIGEST.EXTENSION                style, icon and scripts, for ever
anything else that a person may have typed   says so, in a language of theirs
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from babel.dates import format_date, format_skeleton
from babel.numbers import format_decimal
from fastapi import APIRouter
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from breachcheck.protocol.manifest import Dataset, Manifest
from breachcheck.protocol.parameters import TESTING_ONLY
from breachcheck.web import words
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
TROUBLES: Final[Mapping[str, str]] = {
    "release_expired": N_("The list of files is out of date. Those who publish it have to renew it."),
    "release_not_yet_valid": N_("The list of files is dated in the future: a clock is wrong."),
    "page_damaged": N_("A part of the files is damaged. It has to be replaced."),
    "self_check": N_("The service checked itself with invented numbers, and did not get the right answers."),
    "evaluator_key": N_("The service does not have the key that belongs to the list of files."),
}
_OTHER_TROUBLE: Final = N_("The service has found a fault of its own.")

# Only this service's own files; nothing inline; a text becomes code nowhere but as the address of the one worker.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "worker-src blob:",  # octets that the page has verified; no script of a URL's is run as a worker
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

_MAX_TITLE: Final = 120  # characters; whatever is longer was not meant to be read
_MAX_NOTE: Final = 600
# Controls, and what turns the direction of a text or hides in it.
_UNPRINTABLE: Final = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+"
)

Endpoint = Callable[[Request], Awaitable[Response]]


# --- What templates are given -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """A text of the manifest and the language it is in, or None where nobody said."""

    text: str
    tag: str | None


@dataclass(frozen=True, slots=True)
class Moment:
    """A date in words and, if it is one, for machines."""

    text: str
    iso: str


@dataclass(frozen=True, slots=True)
class DatasetView:
    """A dataset as the pages tell of it."""

    anchor: str
    title: Said
    date: Moment | None
    source_note: Said
    authenticity_note: Said
    fields: tuple[str, ...]
    kinds: tuple[str, ...]
    rows_read: str
    rows_unread: str | None
    cells_unread: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WithdrawalView:
    """A dataset that was taken back, as the pages tell of it."""

    anchor: str
    name: str
    date: Moment
    reason: Said


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release as the pages tell of it; `crowds` says of how many numbers a bucket of each kind may hold one."""

    number: str
    created: Moment
    valid_until: Moment
    datasets: tuple[DatasetView, ...]
    withdrawn: tuple[WithdrawalView, ...]
    kinds: tuple[str, ...]
    crowds: Mapping[str, str]


_KNOWN: Final = tuple(words.KINDS)


def _order(kind: str) -> tuple[int, str]:
    return (_KNOWN.index(kind) if kind in _KNOWN else len(_KNOWN), kind)


def anchor(name: str) -> str:
    """Return the name as the address of a place in a page: `Phone numbers` is `phone-numbers`."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def _said(texts: Mapping[str, str], language: Language, most: int, otherwise: str = "") -> Said:
    # A manifest may be well signed, and yet hold anything.
    for tag in (*language.preferred, *sorted(texts)):
        text = _UNPRINTABLE.sub(" ", texts.get(tag, "")).strip()
        if text:
            return Said(text if len(text) <= most else f"{text[: most - 1]}…", tag)
    return Said(otherwise, None)


def _moment(iso: str, language: Language) -> Moment:
    try:
        match [int(part) for part in iso.split("-")]:
            case [year, month]:
                text = format_skeleton("yMMMM", date(year, month, 1), locale=language.locale)
            case [year, month, day]:
                text = format_date(date(year, month, day), "long", language.locale)
            case _:
                text = iso
    except ValueError:  # the manifest's pattern lets the 31st of February pass
        return Moment(iso, "")
    return Moment(text, iso)


def _dataset(dataset: Dataset, language: Language) -> DatasetView:
    unread = dataset.rows_read - dataset.rows_accepted
    return DatasetView(
        anchor=f"file-{dataset.name}",
        title=_said(dataset.title, language, _MAX_TITLE, dataset.name),
        date=_moment(dataset.date, language) if dataset.date else None,
        source_note=_said(dataset.source_note, language, _MAX_NOTE),
        authenticity_note=_said(dataset.authenticity_note, language, _MAX_NOTE),
        fields=dataset.fields,
        kinds=tuple(sorted(dataset.kinds, key=_order)),
        rows_read=format_decimal(dataset.rows_read, locale=language.locale),
        rows_unread=format_decimal(unread, locale=language.locale) if unread > 0 else None,
        cells_unread={
            kind: format_decimal(count, locale=language.locale)
            for kind in words.KINDS
            if (count := sum(dataset.identifiers_rejected.get(kind, {}).values()))
        },
    )


def _release(manifest: Manifest, language: Language) -> ReleaseView:
    def moment(of: datetime) -> Moment:
        return _moment(of.date().isoformat(), language)

    asked = [kind for kind in words.KINDS if any(kind in dataset.kinds for dataset in manifest.datasets)]
    tables = [table for kind in words.KINDS if (table := manifest.table(kind))]
    return ReleaseView(
        number=str(manifest.release),
        created=moment(manifest.created),
        valid_until=moment(manifest.valid_until),
        datasets=tuple(_dataset(dataset, language) for dataset in manifest.datasets),
        withdrawn=tuple(
            WithdrawalView(
                anchor=f"file-{one.name}",
                name=one.name,
                date=_moment(one.date, language),
                reason=_said(one.reason, language, _MAX_NOTE),
            )
            for one in manifest.withdrawn
        ),
        kinds=tuple(asked),
        crowds={table.kind: format_decimal(table.population_min, locale=language.locale) for table in tables},
    )


# --- Pages ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rendered:
    manifest: Manifest | None
    troubles: tuple[str, ...]
    content: bytes
    gzipped: bytes
    etag: str


class _Site:
    """All pages in all languages. Each is rendered when it is first asked for, and anew for a new release or fault."""

    def __init__(
        self,
        manifest: Callable[[], Manifest | None],
        publisher_key: bytes | None,
        troubles: Callable[[], Sequence[str]],
    ) -> None:
        self.languages = discover()
        self.assets = read_assets()
        self._manifest = manifest
        self._publisher_key = publisher_key
        self._troubles = troubles
        self._templates = {tag: _templates(language) for tag, language in self.languages.items()}
        self._rendered: dict[tuple[str, str], _Rendered] = {}

    def page(self, page: str, tag: str) -> _Rendered:
        """Return a page in a language."""
        manifest, troubles = self._manifest(), tuple(self._troubles())
        known = self._rendered.get((page, tag))
        if known and known.manifest is manifest and known.troubles == troubles:
            return known
        content = self._render(page, self.languages[tag], manifest, troubles).encode()
        rendered = _Rendered(
            manifest,
            troubles,
            content,
            gzip.compress(content, 9, mtime=0),
            hashlib.sha256(content).hexdigest()[:32],
        )
        self._rendered[page, tag] = rendered
        return rendered

    def _render(self, page: str, language: Language, manifest: Manifest | None, troubles: Sequence[str]) -> str:
        release = _release(manifest, language) if manifest else None
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
                anchor=anchor,
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
                troubles=[translate(TROUBLES.get(trouble, _OTHER_TROUBLE)) for trouble in troubles],
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
        headers = dict(_PAGE)
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
        return Response(rendered.gzipped if gzipped else rendered.content, headers=headers, media_type="text/html")

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
    for page in PAGES:
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
    ) -> None:
        """Make the routes.

        `manifest` returns the manifest of the release that is served, or None if none is; `publisher_key` is the
        32-byte key that the browser checks it with, and without which the pages offer no check; `troubles` returns the
        words for why the service must not be used now.
        """
        super().__init__()
        self._site = site = _Site(manifest, publisher_key, troubles)
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
