"""The messages in JSON: the two of an evaluation (PROTOCOL.md §5) and the notice of maintenance (§10.1).

Octets are written as lower-case hexadecimal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json

from breachcheck.errors import ProtocolError
from breachcheck.protocol import oprf
from breachcheck.protocol.manifest import Time
from breachcheck.protocol.parameters import MAX_BATCH

_Element = Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{2 * oprf.ELEMENT_LENGTH}}}$")]
_Proof = Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{2 * oprf.PROOF_LENGTH}}}$")]
_Elements = Annotated[tuple[_Element, ...], Field(min_length=1, max_length=MAX_BATCH)]

MAX_EVALUATION_LENGTH = 2048  # bytes: either message with eight elements, and room for white space


PROBLEM: Final = "application/problem+json"
MAX_PROBLEM_LENGTH: Final = 2048  # bytes; a longer one is not read


class EvaluateRequest(BaseModel):
    """Blinded elements: 1 to 8, each 32 bytes, canonical and not the identity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, json_schema_extra={"title": "Blinded elements"})

    elements: _Elements


class EvaluateResponse(BaseModel):
    """The evaluated elements, in the order of the request, and one 64-byte proof for them all."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, json_schema_extra={"title": "Evaluation"})

    elements: _Elements
    proof: _Proof


def encode_request(elements: Sequence[bytes]) -> bytes:
    """Return the request for these blinded elements."""
    return EvaluateRequest(elements=tuple(element.hex() for element in elements)).model_dump_json().encode()


def decode_request(body: bytes) -> list[bytes]:
    """Return the blinded elements of a request, each checked to be a group element.

    Raises:
        ProtocolError: `evaluate_request` or `element`.
    """
    if len(body) > MAX_EVALUATION_LENGTH:
        raise ProtocolError("evaluate_request", f"more than {MAX_EVALUATION_LENGTH} bytes")
    try:
        request = EvaluateRequest.model_validate_json(body)
    except ValidationError:
        raise ProtocolError("evaluate_request", f"wanted: 1 to {MAX_BATCH} elements in hexadecimal") from None
    return [oprf.check_element(bytes.fromhex(element)) for element in request.elements]


def encode_response(elements: Sequence[bytes], proof: bytes) -> bytes:
    """Return the response that carries these evaluated elements and their proof."""
    return (
        EvaluateResponse(elements=tuple(element.hex() for element in elements), proof=proof.hex())
        .model_dump_json()
        .encode()
    )


def decode_response(body: bytes) -> tuple[list[bytes], bytes]:
    """Return the evaluated elements and the proof of a response; the proof is still to be verified.

    Raises:
        ProtocolError: `evaluate_response`.
    """
    if len(body) > MAX_EVALUATION_LENGTH:
        raise ProtocolError("evaluate_response", f"more than {MAX_EVALUATION_LENGTH} bytes")
    try:
        response = EvaluateResponse.model_validate_json(body)
    except ValidationError:
        raise ProtocolError("evaluate_response") from None
    return [bytes.fromhex(element) for element in response.elements], bytes.fromhex(response.proof)


class MaintenanceProblem(BaseModel):
    """The members that a client reads of the problem with which a service says that it is under maintenance."""

    model_config = ConfigDict(frozen=True, strict=True)  # a problem may have members that nobody knows (RFC 9457 §3.2)

    type: Literal["urn:breachcheck:problem:maintenance"]
    until: Time


def read_maintenance(body: bytes) -> MaintenanceProblem | None:
    """Return the notice of maintenance in the body of a 503; None if it is none."""
    if len(body) > MAX_PROBLEM_LENGTH:
        return None
    try:
        return MaintenanceProblem.model_validate(from_json(body, allow_inf_nan=False))
    except ValueError:  # not JSON, or, as a ValidationError, another problem
        return None
