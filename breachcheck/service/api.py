"""What is published of a release: manifest, buckets, breaches, data classes."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse

from breachcheck.protocol.manifest import Dataset, Withdrawal
from breachcheck.service.answers import IMMUTABLE, OCTETS, REVALIDATED, Answer, Express, unchanged
from breachcheck.service.problems import RefusedError, documented
from breachcheck.service.state import Shelf, State, Table

_BUCKET: Final = re.compile("[0-9a-f]{6}")
_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
_FRESH: Final = "public, max-age=60"

_Release = Annotated[
    str,
    Path(
        description="Number of the release, as the manifest says",
        json_schema_extra={"pattern": "^[1-9][0-9]*$"},
        examples=["1"],
    ),
]
_Kind = Annotated[
    str,
    Path(
        description="Kind of identifier, as the manifest lists them",
        json_schema_extra={"pattern": "^[a-z][a-z0-9_+]{0,63}$"},
        examples=["phone"],
    ),
]
_Bucket = Annotated[
    str,
    Path(
        description="Number of the bucket, as six hexadecimal digits in lower case",
        json_schema_extra={"pattern": f"^({_BUCKET.pattern})$"},
        examples=["00001f"],
    ),
]
_Name = Annotated[str, Path(description="Name of the breach", examples=["cnss-2025"])]

_ETAG: Final = {"description": "Strong validator", "schema": {"type": "string"}}
_NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "Not modified: what you have is right"}}


def _octets(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {"ETag": _ETAG},
    }


def _shelf(state: State) -> Shelf:
    if state.shelf is None:
        raise RefusedError("no_release")
    return state.shelf


def _table(state: State, release: str, kind: str) -> tuple[Shelf, Table]:
    _shelf(state)
    shelf = state.shelf_of(release)
    if shelf is None:
        raise RefusedError("release")
    table = shelf.tables.get(kind)
    if table is None:
        raise RefusedError("kind")
    return shelf, table


def releases(state: State) -> APIRouter:
    """Return the routes of the release's files, for the express lane."""
    router = APIRouter(route_class=Express, tags=["check"])

    @router.get(
        "/v1/manifest",
        summary="The signed manifest",
        response_class=Response,
        responses={
            200: _octets("64 bytes of Ed25519 signature, then the JSON text that it signs. ETag: its SHA-256"),
            **_NOT_MODIFIED,
            **documented("no_release"),
        },
    )
    async def manifest(request: Request) -> Response:
        """Step 1 of a check: all that a client needs to know of the release.

        Believe nothing of it before the signature was verified with the publisher key you pinned. Revalidate it with
        `If-None-Match` before each check: a client refuses a release number lower than the one it last saw.
        """
        shelf = _shelf(state)
        if unchanged(request, shelf.etag):
            return Answer(b"", [REVALIDATED, (b"etag", shelf.etag.encode())], 304)
        return Answer(shelf.release.signed, shelf.manifest_headers)

    @router.get(
        "/v1/releases/{release}/buckets/{kind}/{bucket}",
        summary="One bucket with its proof",
        response_class=Response,
        responses={
            200: _octets("Entries of 24 bytes, then the Merkle path of 32-byte hashes from the leaf up"),
            **_NOT_MODIFIED,
            **documented("no_release", "release", "kind", "bucket", "page_damaged"),
        },
    )
    async def bucket(request: Request, release: _Release, kind: _Kind, bucket: _Bucket) -> Response:
        """Step 3 of a check: the bucket that the output of the evaluation points to.

        Every bucket of a kind is equally long, whoever is in it; it never changes, and any cache may keep it. Verify
        its Merkle path against the root in the manifest. A bucket that is missing, shorter or not proved is never "not
        found".
        """
        shelf, table = _table(state, release, kind)
        if not _BUCKET.fullmatch(bucket) or (number := int(bucket, 16)) >= table.buckets:
            raise RefusedError("bucket")
        etag = f'"{table.root}-{bucket}"'  # the root commits to the octets
        if unchanged(request, etag):
            return Answer(b"", [IMMUTABLE, (b"etag", etag.encode())], 304)
        page = _checked(state, shelf, kind, number)
        return Answer(page, [*table.headers, (b"etag", etag.encode())])

    @router.get(
        "/v1/releases/{release}/{kind}.bin",
        summary="All buckets of a kind",
        response_class=Response,
        responses={
            200: _octets("The pages of all buckets, in order; bucket i stands at i times the page length"),
            206: _octets("The one range that was asked for"),
            **_NOT_MODIFIED,
            **documented("no_release", "release", "kind", "range", "page_damaged"),
        },
        openapi_extra={
            "parameters": [
                {
                    "name": "Range",
                    "in": "header",
                    "description": "One range of bytes; several at once are answered with the whole",
                    "schema": {"type": "string"},
                    "example": "bytes=0-1048575",
                }
            ]
        },
    )
    async def pages(request: Request, release: _Release, kind: _Kind) -> Response:
        """Mirror a kind, whole or by byte ranges: who looks up a bucket in a mirror tells nobody which.

        Verify each bucket's Merkle path as that of a single one.
        """
        shelf, table = _table(state, release, kind)
        etag = f'"{table.root}"'
        headers = {"cache-control": IMMUTABLE[1].decode(), "etag": etag}
        if unchanged(request, etag):
            return Response(status_code=304, headers=headers)
        _keep_one_range(request, table.size)
        # No page is sent unchecked, here neither; a kind's file is read once more for it, off the event loop.
        with shelf.held():
            await run_in_threadpool(_check_all, state, shelf, kind, table.buckets)
        return FileResponse(shelf.release.pages_path(kind), headers=headers, media_type=OCTETS[1].decode())

    return router


def _checked(state: State, shelf: Shelf, kind: str, number: int) -> bytes:
    page = state.page(shelf, kind, number)
    if page is None:
        raise RefusedError("page_damaged")
    return page


def _check_all(state: State, shelf: Shelf, kind: str, buckets: int) -> None:
    if not shelf.release.pages_path(kind).is_file():  # what is open can still be read, but not sent as a file
        raise RefusedError("page_damaged")
    for number in range(buckets):
        _checked(state, shelf, kind, number)


def _keep_one_range(request: Request, size: int) -> None:
    # RFC 9110 §14.2: a server may ignore Range. Ignored are several ranges, other units and what is malformed.
    asked = request.headers.get("range")
    if asked is None:
        return
    match = _RANGE.fullmatch(asked)
    if match is None or (match[2] and int(match[2]) < int(match[1])):
        request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
    elif (match[1] and int(match[1]) >= size) or (match[3] and int(match[3]) == 0):
        raise RefusedError("range", {"content-range": f"bytes */{size}"})


# --- Breaches, in the words that the field's clients expect -----------------------------------------------------------


class _Published(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal, populate_by_name=True, frozen=True)


class Breach(_Published):
    """A dataset of this release. It says what stands in a file, never that it is true."""

    name: str = Field(description="Name, unique in the release", examples=["cnss-2025"])
    title: str = Field(description="Title in English, or in the first language there is")
    titles: dict[str, str] = Field(description="Title by language")
    breach_date: str | None = Field(description="Year, month or day of the breach", examples=["2025-04-08"])
    data_classes: list[str] = Field(description="Fields that stand in the file", examples=[["Names", "Earnings"]])
    kinds: list[str] = Field(description="Kinds of identifier by which the file can be checked", examples=[["phone"]])
    source_notes: dict[str, str] = Field(description="Where the file comes from, by language")
    authenticity_notes: dict[str, str] = Field(description="What is known of its authenticity, by language")
    rows_read: int = Field(description="Rows in the file: not persons, each of whom may stand in many")
    rows_accepted: int = Field(description="Rows from which an identifier could be taken")
    rows_rejected: dict[str, int] = Field(description="Rows that could not be read, by reason")
    identifiers_rejected: dict[str, dict[str, int]] = Field(
        description="Identifiers that could not be read, by kind and reason"
    )

    @classmethod
    def of(cls, dataset: Dataset) -> Breach:
        """Return the published form of a manifest's dataset."""
        return cls(
            name=dataset.name,
            title=dataset.title.get("en") or next(iter(dataset.title.values()), dataset.name),
            titles=dataset.title,
            breach_date=dataset.date,
            data_classes=list(dataset.fields),
            kinds=list(dataset.kinds),
            source_notes=dataset.source_note,
            authenticity_notes=dataset.authenticity_note,
            rows_read=dataset.rows_read,
            rows_accepted=dataset.rows_accepted,
            rows_rejected=dataset.rows_rejected,
            identifiers_rejected=dataset.identifiers_rejected,
        )


class Withdrawn(_Published):
    """A dataset that an earlier release had and that was taken back. Nothing is checked in it any more."""

    name: str = Field(description="Name; no other dataset gets it", examples=["fund-2024"])
    withdrawn_date: str = Field(description="Day on which it was taken back", examples=["2026-11-21"])
    reasons: dict[str, str] = Field(description="Why, by language")

    @classmethod
    def of(cls, withdrawal: Withdrawal) -> Withdrawn:
        """Return the published form of a manifest's withdrawal."""
        return cls(name=withdrawal.name, withdrawn_date=withdrawal.date, reasons=withdrawal.reason)


def breaches(state: State) -> APIRouter:
    """Return the routes that describe what a release holds."""
    router = APIRouter(tags=["breaches"])

    @router.get("/v1/breaches", summary="All breaches of the release", responses=documented("no_release"))
    async def listed(response: Response) -> list[Breach]:
        """The files that a check looks into. "Not found" speaks of these alone."""
        response.headers["cache-control"] = _FRESH
        return [Breach.of(dataset) for dataset in _shelf(state).manifest.datasets]

    @router.get("/v1/withdrawn", summary="Breaches that were taken back", responses=documented("no_release"))
    async def withdrawn(response: Response) -> list[Withdrawn]:
        """The files that earlier releases had and this one has not, each with the reason."""
        response.headers["cache-control"] = _FRESH
        return [Withdrawn.of(one) for one in _shelf(state).manifest.withdrawn]

    @router.get("/v1/breaches/{name}", summary="One breach", responses=documented("no_release", "breach", "withdrawn"))
    async def one(response: Response, name: _Name) -> Breach:
        """One of the files that a check looks into."""
        if any(one.name == name for one in _shelf(state).manifest.withdrawn):
            raise RefusedError("withdrawn")
        dataset = next((dataset for dataset in _shelf(state).manifest.datasets if dataset.name == name), None)
        if dataset is None:
            raise RefusedError("breach")
        response.headers["cache-control"] = _FRESH
        return Breach.of(dataset)

    @router.get("/v1/dataclasses", summary="All data classes", responses=documented("no_release"))
    async def data_classes(response: Response) -> list[str]:
        """The vocabulary of exposed fields; the place of each is its bit in an entry's field mask."""
        response.headers["cache-control"] = _FRESH
        return list(_shelf(state).manifest.data_classes)

    return router
