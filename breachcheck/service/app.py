"""The assembly: one application of all routes, and what every answer has in common."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from importlib import metadata
from typing import Any, Final

from fastapi import FastAPI, Response
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from breachcheck import web
from breachcheck.config import Settings
from breachcheck.protocol.messages import EvaluateRequest
from breachcheck.protocol.server import Evaluator
from breachcheck.service import api, evaluator, problems, status
from breachcheck.service.answers import NO_STORE, Answer, Headers, Lane
from breachcheck.service.notices import Gate, closes
from breachcheck.service.state import Shelf, State
from breachcheck.store.reader import Release

SECURITY: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
# Any page may call the API. Answers say nothing about who asks, no cookie or password is ever used, and what a page
# could do with it, its author's own program can do as well: closing it would keep out only honest developers.
_CORS: Final[Headers] = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Content-Range, ETag, Retry-After"),
]
_PREFLIGHT: Final[Headers] = [
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", b"Content-Type, If-None-Match, Range"),
    (b"access-control-max-age", b"86400"),
    NO_STORE,
]
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})

_DESCRIPTION: Final = """
Tells people which fields of theirs a data breach exposed, without learning whom they asked about.

A check is three requests, and what the client does between them is what protects the person:

1. `GET /v1/manifest`; verify its signature with the publisher key you pinned.
2. Canonicalise the identifier, run the slow hash, blind it; `POST /v1/evaluate`; verify the proof, unblind.
3. `GET /v1/releases/{release}/buckets/{kind}/{bucket}`; verify the Merkle path, look for the entry of each dataset.

Whatever cannot be proved is "could not check", never "not found". Octets in JSON are lower-case hexadecimal. The
specification, PROTOCOL.md, has every byte. Errors are problem documents (RFC 9457) with fixed texts: nothing that was
submitted ever comes back.
"""
_TAGS: Final = [
    {"name": "check", "description": "The three requests of a check."},
    {"name": "breaches", "description": "What a check looks into."},
    {"name": "operations", "description": "How the service is."},
]


class Edge:
    """The outermost layer: headers that every answer has, cross-origin preflight, and the count of requests."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._requests = state.counts.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = dict(scope)  # the server goes on reading its own
        method: str = scope["method"]
        common = SECURITY + _CORS if scope["path"].startswith("/v1/") else SECURITY

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}  # a page has a policy of its own
                headers = [*message["headers"], *(one for one in common if one[0] not in present)]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(NO_STORE)
                message["headers"] = headers
                route = getattr(scope.get("route"), "path", "other")
                self._requests[route, method if method in _METHODS else "other", message["status"]] += 1
            await send(message)

        if method == "OPTIONS" and common is not SECURITY:
            await Answer(b"", _PREFLIGHT, 204)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


class Service(FastAPI):
    """FastAPI with `Edge` around all of it, and an OpenAPI document without what never happens here."""

    edge_state: State

    def build_middleware_stack(self) -> ASGIApp:
        """Return the stack, `Edge` outermost, so that the answer to a fault of ours has its headers too."""
        return Edge(super().build_middleware_stack(), self.edge_state)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        document = super().openapi()
        schemas = document["components"]["schemas"]
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["responses"].pop("422", None)  # FastAPI's own; here such a path is a 404
                if closes(path):
                    operation["responses"]["503"] = problems.documented("maintenance")[503]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas["Problem"] = problems.SCHEMA
        schemas["EvaluateRequest"] = EvaluateRequest.model_json_schema()
        return document


def create_app(
    settings: Settings,
    release: Release | None,
    key: Evaluator | None,
    publisher_key: bytes | None = None,
    clock: Callable[[], float] = time.time,
) -> Service:
    """Return the application that serves `release`, and evaluates with `key`, whichever is given.

    The 32-byte `publisher_key` is what the pages check the release with; without it they offer no check.
    """
    state = State(settings, Shelf(release) if release else None, key, clock)
    app = Service(
        title="breachcheck",
        summary="Was my data in that breach?",
        description=_DESCRIPTION,
        version=_version(),
        openapi_tags=_TAGS,
        openapi_url=None,  # FastAPI's own route renders the document anew for each request
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a redirect repeats the path
        exception_handlers=dict(problems.HANDLERS),
        # Traces would hold paths, and so bucket numbers, wherever somebody sets a collector's variables
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.edge_state = state
    express = [api.releases(state), evaluator.evaluation(state)]
    for router in (*express, api.breaches(state), status.operations(state)):
        app.include_router(router)
    if state.shelf:
        pages = web.Pages(
            lambda: state.shelf.manifest if state.shelf else None, publisher_key, state.reasons, state.notices.board
        )
        app.include_router(pages)
        app.add_exception_handler(404, _stray(pages))
    app.add_api_route("/openapi.json", _description(app), include_in_schema=False)
    app.add_middleware(Lane, routes=[route for router in express for route in router.routes])
    app.add_middleware(Gate, notices=state.notices)  # outside of the lane
    return app


def _stray(pages: web.Pages) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handler(request: Request, error: Exception) -> Response:
        return await pages.stray(request) or await problems.of_http(request, error)

    return handler


def _description(app: FastAPI) -> Callable[[], Awaitable[Response]]:
    document = json.dumps(app.openapi(), ensure_ascii=False).encode()

    async def description() -> Response:
        return Response(document, headers={"cache-control": "public, max-age=300"}, media_type="application/json")

    return description


def _version() -> str:
    try:
        return metadata.version("breachcheck")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "0"
