"""POST /v1/evaluate: the one answer that needs the key, and the one that is rationed."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import APIRouter, Response
from starlette.requests import Request

from breachcheck.errors import BreachcheckError
from breachcheck.protocol import messages
from breachcheck.protocol.messages import MAX_EVALUATION_LENGTH, EvaluateResponse
from breachcheck.service.answers import NO_STORE, Answer, Express, length
from breachcheck.service.problems import RefusedError, documented
from breachcheck.service.state import State

_JSON: Final = (b"content-type", b"application/json")
_DIGITS: Final = re.compile("[0-9]{1,18}")

# RFC 9497 Appendix A.1.2, test vector 1
EXAMPLE_REQUEST: Final = {"elements": ["863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945"]}
EXAMPLE_RESPONSE: Final = {
    "elements": ["aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e"],
    "proof": (
        "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06"
        "6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d"
    ),
}
_OPENAPI: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/EvaluateRequest"},
                "examples": {"one": {"summary": "RFC 9497 A.1.2, test vector 1", "value": EXAMPLE_REQUEST}},
            }
        },
    }
}


def evaluation(state: State) -> APIRouter:
    """Return the route of the evaluation, for the express lane."""
    router = APIRouter(route_class=Express, tags=["check"])

    @router.post(
        "/v1/evaluate",
        summary="Evaluate blinded elements",
        response_class=Response,
        responses={
            200: {
                "description": "Evaluated elements in the order of the request, and one proof for them all",
                "model": EvaluateResponse,
                "content": {"application/json": {"example": EXAMPLE_RESPONSE}},
            },
            **documented(
                "evaluate_request", "element", "no_evaluator", "too_long", "media_type", "address_cap", "daily_cap"
            ),
        },
        openapi_extra=_OPENAPI,
    )
    async def evaluate(request: Request) -> Response:
        """Step 2 of a check: RFC 9497, ristretto255-SHA512, verifiable mode (BlindEvaluate).

        The service sees points that say nothing about the identifier. Verify the proof with the public key in the
        manifest before you use the answer. Elements are rationed by address and for the whole service, by UTC day; a
        request that is refused consumes nothing.
        """
        if state.evaluator is None:
            raise RefusedError("no_evaluator")
        counts = state.counts
        try:
            elements = messages.decode_request(await _body(request))
            own = len(elements) == 1 and elements[0] in state.own_elements
            if own:
                state.own_elements.remove(elements[0])
            else:
                client = request.scope["client"]
                state.ration.take(client[0] if client else "", len(elements))
        except BreachcheckError as error:
            counts.refusals[error.reason] += 1
            raise
        if not own:
            counts.evaluations += 1
            counts.elements += len(elements)
        # On the event loop: in threads the same work takes 1.4 times the processor time, as the interpreter's lock is
        # handed over a dozen times in 0.2 ms. More processes, not threads, make use of more cores.
        answer = state.evaluator.answer(elements)
        return Answer(answer, [_JSON, length(len(answer)), NO_STORE])

    return router


async def _body(request: Request) -> bytes:
    """Return the body, of which no more than MAX_EVALUATION_LENGTH bytes are ever held.

    Raises:
        RefusedError: `media_type`, `too_long`, or `evaluate_request` where the client went away before its end.
    """
    headers = request.headers
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError("media_type")
    announced = headers.get("content-length")
    if announced and _DIGITS.fullmatch(announced) and int(announced) > MAX_EVALUATION_LENGTH:
        raise RefusedError("too_long")
    body = b""
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise RefusedError("evaluate_request")
        body += message.get("body", b"")
        if len(body) > MAX_EVALUATION_LENGTH:
            raise RefusedError("too_long")
        more = message.get("more_body", False)
    return body
