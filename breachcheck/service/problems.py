"""What the service refuses and how it says so: one table of problem types (RFC 9457), rendered in one place.

Every text is fixed. No answer repeats anything of the request, so none can carry it into a log or a cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from breachcheck.errors import BreachcheckError
from breachcheck.protocol.messages import MAX_EVALUATION_LENGTH
from breachcheck.protocol.parameters import MAX_BATCH

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "urn:breachcheck:problem:"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem type: its word, which is also the `reason` of the error it answers, status and texts."""

    word: str
    status: int
    title: str
    detail: str

    @property
    def document(self) -> dict[str, Any]:
        """The problem as it is sent."""
        return {"type": PREFIX + self.word, "title": self.title, "status": self.status, "detail": self.detail}


INTERNAL: Final = Problem(
    "internal", 500, "The service failed", "The fault is the service's. This is not a result: try again later."
)
HTTP_REQUEST: Final = Problem("http_request", 400, "Not a request", "The request is not HTTP, or its head is too long.")
TABLE: Final[Mapping[str, Problem]] = {
    problem.word: problem
    for problem in (
        HTTP_REQUEST,
        Problem(
            "evaluate_request",
            400,
            "Not an evaluation request",
            f'Wanted: {{"elements": [...]}} with 1 to {MAX_BATCH} strings of 64 lower-case hexadecimal digits.',
        ),
        Problem(
            "element",
            400,
            "Not a group element",
            "Each element must be the canonical encoding of a ristretto255 element other than the identity.",
        ),
        Problem("not_found", 404, "Nothing here", "The API is described in /openapi.json."),
        Problem("no_release", 404, "No release here", "This server only evaluates: ask the one that serves buckets."),
        Problem("no_evaluator", 404, "No evaluator here", "This server has no key: ask the one that evaluates."),
        Problem(
            "release", 404, "Not the release that is served", "Fetch the manifest again: it names the current release."
        ),
        Problem("kind", 404, "No such kind", "The manifest lists the kinds of identifier that this release indexes."),
        Problem(
            "bucket",
            404,
            "No such bucket",
            "A bucket is named by its number as six hexadecimal digits in lower case.",
        ),
        Problem("breach", 404, "No such breach", "The breaches of this release are listed at /v1/breaches."),
        Problem("withdrawn", 410, "The breach was taken back", "The reason is listed at /v1/withdrawn."),
        Problem("method", 405, "Not with this method", "The methods allowed here stand in the Allow header."),
        Problem("too_long", 413, "Too long", f"The body may be {MAX_EVALUATION_LENGTH} bytes long."),
        Problem("media_type", 415, "Not JSON", "The Content-Type must be application/json."),
        Problem("range", 416, "No such range", "The range starts after the last byte."),
        Problem(
            "address_cap",
            429,
            "Too many checks from this address today",
            "Wait as long as Retry-After says. Others may share this address: this is not a result.",
        ),
        Problem(
            "daily_cap",
            429,
            "Too many checks today",
            "The whole service has reached its daily limit. Wait as long as Retry-After says: this is not a result.",
        ),
        Problem(
            "maintenance",
            503,
            "Planned maintenance",
            "Nothing can be checked before the time in `until`. See /v1/status and /status. This is not a result.",
        ),
        Problem(
            "page_damaged", 500, "The bucket is damaged", "The bucket is not what was published. This is not a result."
        ),
        INTERNAL,
    )
}
_BY_STATUS: Final = {404: TABLE["not_found"], 405: TABLE["method"]}


class RefusedError(BreachcheckError):
    """The service's own refusal: `reason` is a word of the table."""

    def __init__(self, word: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(word)
        self.headers = headers


def render(
    problem: Problem, headers: Mapping[str, str] | None = None, members: Mapping[str, str] | None = None
) -> Response:
    """Return the answer for a problem, with further members where it has any; no cache may keep it."""
    return Response(
        json.dumps({**problem.document, **(members or {})}).encode(),
        problem.status,
        {"cache-control": "no-store", **(headers or {})},
        MEDIA_TYPE,
    )


def of(error: BreachcheckError) -> Response:
    """Return the answer for an error; one that is not in the table is the service's fault."""
    return render(TABLE.get(error.reason, INTERNAL), error.headers if isinstance(error, RefusedError) else None)


async def _refused(_: Request, error: Exception) -> Response:
    return of(error) if isinstance(error, BreachcheckError) else render(INTERNAL)


async def of_http(_: Request, error: Exception) -> Response:
    """Return the problem document for an error of routing: no such path, or another method."""
    if not isinstance(error, HTTPException):
        return render(INTERNAL)
    allowed = {method.strip() for method in (error.headers or {}).get("Allow", "").split(",")} - {""}
    if "GET" in allowed:
        allowed.add("HEAD")  # FastAPI leaves it out
    headers = {"allow": ", ".join(sorted(allowed))} if allowed else None
    return render(_BY_STATUS.get(error.status_code, INTERNAL), headers)


async def _invalid(_: Request, __: Exception) -> Response:
    return render(TABLE["not_found"])


HANDLERS: Final[Mapping[Any, Any]] = {
    BreachcheckError: _refused,
    HTTPException: of_http,
    RequestValidationError: _invalid,  # FastAPI's own handler repeats what was submitted
    Exception: _refused,
}


# --- OpenAPI ----------------------------------------------------------------------------------------------------------

SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "Why the service refused (RFC 9457). The texts are fixed: nothing of the request stands in them.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": [PREFIX + word for word in TABLE]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "until": {
            "type": "string",
            "format": "date-time",
            "description": "When maintenance ends; of `maintenance` alone",
        },
    },
    "required": ["type", "title", "status", "detail"],
}
_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait; at least 1", "schema": {"type": "integer", "minimum": 1}}
}


def documented(*words: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses for these problems, by status, each with its example."""
    responses: dict[int | str, dict[str, Any]] = {}
    for word in (*words, "internal"):
        problem = TABLE[word]
        response = responses.setdefault(
            problem.status,
            {
                "description": problem.title,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
                **({"headers": _RETRY_AFTER} if problem.status in (429, 503) else {}),
            },
        )
        response["content"][MEDIA_TYPE]["examples"][word] = {"summary": problem.title, "value": problem.document}
    return responses
