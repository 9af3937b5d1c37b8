"""evaluation.json: honest, malformed and false evaluations (PROTOCOL.md §5)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from breachcheck.errors import ProtocolError
from breachcheck.protocol import messages, oprf
from vector_tools.common import (
    BLIND,
    OTHER_PK,
    OTHER_SK,
    PK,
    PROOF_SCALAR,
    SK,
    Vector,
    agree,
    flip,
    refusal,
    scalar,
    stream,
)

IDENTITY: Final = bytes(32)
NOT_CANONICAL: Final = bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")  # RFC 9496 A.2
NEGATIVE: Final = bytes.fromhex("ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20")  # RFC 9496 A.2
NON_SQUARE: Final = bytes.fromhex("26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371")  # RFC 9496 A.2


def response(elements: Sequence[bytes], proof: bytes) -> bytes:
    body = {"elements": [element.hex() for element in elements], "proof": proof.hex()}
    return json.dumps(body, separators=(",", ":")).encode()


def request(elements: Sequence[bytes]) -> bytes:
    return json.dumps({"elements": [element.hex() for element in elements]}, separators=(",", ":")).encode()


def above_order(octets: bytes) -> bytes:
    """Return another spelling of the same scalar, which must be refused."""
    return (int.from_bytes(octets, "little") + oprf.ORDER).to_bytes(32, "little")


def negated(octets: bytes) -> bytes:
    return (-int.from_bytes(octets, "little") % oprf.ORDER).to_bytes(32, "little")


def bad_responses(blinded: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, response and reason for every false answer to the one element `blinded`."""
    malformed, unproved = "evaluation_malformed", "evaluation_proof"
    (element,), proof = oprf._blind_evaluate(SK, PK, [blinded], PROOF_SCALAR)
    c, s = proof[:32], proof[32:]
    honest = response([element], proof)
    (other_element,), other_proof = oprf._blind_evaluate(OTHER_SK, OTHER_PK, [blinded], PROOF_SCALAR)
    (_, _), mixed_proof = oprf._blind_evaluate(SK, OTHER_PK, [blinded, blinded], PROOF_SCALAR)
    second = oprf._blind(stream("second input", 32), scalar("second blind"))
    (second_element,), second_proof = oprf._blind_evaluate(SK, PK, [second], PROOF_SCALAR)
    pair, pair_proof = oprf._blind_evaluate(SK, PK, [blinded, second], PROOF_SCALAR)
    yield "empty body", b"", malformed
    yield "HTML body", b"<!DOCTYPE html><title>Log in</title>", malformed
    yield "null", b"null", malformed
    yield "list", b"[]", malformed
    yield "no members", b"{}", malformed
    yield "no proof", json.dumps({"elements": [element.hex()]}).encode(), malformed
    yield "no elements", json.dumps({"proof": proof.hex()}).encode(), malformed
    yield "a member more", honest[:-1] + b',"more":1}', malformed
    yield "elements is a string", json.dumps({"elements": element.hex(), "proof": proof.hex()}).encode(), malformed
    yield "an element is null", json.dumps({"elements": [None], "proof": proof.hex()}).encode(), malformed
    yield "proof is null", json.dumps({"elements": [element.hex()], "proof": None}).encode(), malformed
    yield "empty list of elements", response([], proof), malformed
    yield "nine elements", response([element] * 9, proof), malformed
    yield "element of 31 octets", response([element[:31]], proof), malformed
    yield "element of 33 octets", response([element + b"\x00"], proof), malformed
    yield "proof of 63 octets", response([element], proof[:63]), malformed
    yield "proof of 65 octets", response([element], proof + b"\x00"), malformed
    yield "upper-case element", honest.replace(element.hex().encode(), element.hex().upper().encode()), malformed
    yield "upper-case proof", honest.replace(proof.hex().encode(), proof.hex().upper().encode()), malformed
    yield "space in the element", honest.replace(element.hex().encode(), b" " + element.hex()[1:].encode()), malformed
    yield (
        "line end after the element",
        honest.replace(element.hex().encode(), element.hex().encode() + b"\\n"),
        malformed,
    )
    yield "truncated", honest[:-1], malformed
    yield "octets behind", honest + b"x", malformed
    yield "byte order mark", b"\xef\xbb\xbf" + honest, malformed
    yield "invalid UTF-8", honest.replace(b'"proof"', b'"pro\xff"'), malformed
    yield "identity element", response([IDENTITY], proof), malformed
    yield "non-canonical element", response([NOT_CANONICAL], proof), malformed
    yield "negative element", response([NEGATIVE], proof), malformed
    yield "element that is no square", response([NON_SQUARE], proof), malformed
    yield "element with bit 255 set", response([flip(element, 255)], proof), malformed
    yield "longer than 2048 octets", honest.ljust(2049), malformed
    yield "c not below the order", response([element], above_order(c) + s), malformed
    yield "s not below the order", response([element], c + above_order(s)), malformed
    yield "c with bit 255 set", response([element], flip(c, 255) + s), malformed
    yield "s with bit 255 set", response([element], c + flip(s, 255)), malformed
    yield "s is the order", response([element], c + oprf.ORDER.to_bytes(32, "little")), malformed
    yield "proof of all ones", response([element], b"\xff" * 64), malformed
    yield "second of two elements is the identity", response([element, IDENTITY], proof), malformed
    yield "proof of zeros", response([element], bytes(64)), unproved
    yield "c is zero", response([element], bytes(32) + s), unproved
    yield "s is zero", response([element], c + bytes(32)), unproved
    yield "c negated", response([element], negated(c) + s), unproved
    yield "s negated", response([element], c + negated(s)), unproved
    yield "c and s swapped", response([element], s + c), unproved
    for bit in (0, 128, 250, 256, 384, 506):
        yield f"bit {bit} of the proof flipped", response([element], flip(proof, bit)), unproved
    yield "another key, proved under that key", response([other_element], other_proof), unproved
    yield "another key, proof of ours", response([other_element], proof), unproved
    yield "our element, proof of another key", response([element], other_proof), unproved
    yield "our key, challenge over another public key", response([element], mixed_proof), unproved
    yield "element not evaluated", response([blinded], proof), unproved
    yield "generator for the element", response([oprf._GENERATOR], proof), unproved
    yield "element twice the right one", response([oprf._add(element, element)], proof), unproved
    yield "answer to another element", response([second_element], second_proof), unproved
    yield "answer to another element with our proof", response([second_element], proof), unproved
    yield "element with the proof of another answer", response([element], second_proof), unproved
    yield "two elements for one", response(pair, pair_proof), unproved
    yield "first of two with the proof of both", response(pair[:1], pair_proof), unproved
    yield "our element twice", response([element, element], proof), unproved


def evaluation() -> Vector:
    good = []
    for size in (1, 2, 8):
        inputs = [stream(f"input {i}", 32) for i in range(size)]
        blinds = [BLIND] if size == 1 else [scalar(f"blind {i}") for i in range(size)]
        blinded = [oprf._blind(s, r) for s, r in zip(inputs, blinds, strict=True)]
        evaluated, proof = oprf._blind_evaluate(SK, PK, blinded, PROOF_SCALAR)
        outputs = [oprf.finalize(s, r, e) for s, r, e in zip(inputs, blinds, evaluated, strict=True)]
        agree("request", request(blinded), messages.encode_request(blinded))
        agree("response", response(evaluated, proof), messages.encode_response(evaluated, proof))
        agree("output", outputs, [oprf.evaluate(SK, s) for s in inputs])
        good.append(
            {
                "name": f"batch of {size}",
                "inputs": [octets.hex() for octets in inputs],
                "blinds": [octets.hex() for octets in blinds],
                "request": request(blinded).hex(),
                "response": response(evaluated, proof).hex(),
                "outputs": [octets.hex() for octets in outputs],
            }
        )
    secret = stream("input 0", 32)
    element = oprf._blind(secret, BLIND)
    (evaluated_element,), proof = oprf._blind_evaluate(SK, PK, [element], PROOF_SCALAR)
    spaced = (
        f' {{ "proof" : "{proof.hex()}" ,\r\n\t"elements" : [ "\\u{ord(evaluated_element.hex()[0]):04x}'
        f'{evaluated_element.hex()[1:]}" ] }} '
    ).encode()
    good.append(
        {
            "name": "white space, another order of members, an escape",
            "inputs": [secret.hex()],
            "blinds": [BLIND.hex()],
            "request": request([element]).hex(),
            "response": spaced.hex(),
            "outputs": [oprf.evaluate(SK, secret).hex()],
        }
    )
    bad = []
    for name, body, reason in bad_responses(element):
        agree(name, reason, _locate_reason(element, body))
        bad.append(
            {"name": name, "input": secret.hex(), "blind": BLIND.hex(), "response": body.hex(), "reason": reason}
        )
    requests: list[Vector] = []
    e = element.hex()
    for name, text, reason in [
        ("empty body", "", "evaluate_request"),
        ("not JSON", "elements", "evaluate_request"),
        ("list", f'["{e}"]', "evaluate_request"),
        ("no members", "{}", "evaluate_request"),
        ("no elements", '{"elements":[]}', "evaluate_request"),
        ("a member more", f'{{"elements":["{e}"],"kind":"phone"}}', "evaluate_request"),
        ("another member", f'{{"element":"{e}"}}', "evaluate_request"),
        ("elements is a string", f'{{"elements":"{e}"}}', "evaluate_request"),
        ("an element is a number", '{"elements":[1]}', "evaluate_request"),
        ("nine elements", json.dumps({"elements": [e] * 9}), "evaluate_request"),
        ("short element", f'{{"elements":["{e[:-2]}"]}}', "evaluate_request"),
        ("odd number of digits", f'{{"elements":["{e[:-1]}"]}}', "evaluate_request"),
        ("long element", f'{{"elements":["{e}00"]}}', "evaluate_request"),
        ("upper case", f'{{"elements":["{e.upper()}"]}}', "evaluate_request"),
        ("prefix 0x", f'{{"elements":["0x{e[2:]}"]}}', "evaluate_request"),
        ("full-width digits", f'{{"elements":["{e[:-1]}１"]}}', "evaluate_request"),
        ("identity", f'{{"elements":["{IDENTITY.hex()}"]}}', "element"),
        ("non-canonical", f'{{"elements":["{NOT_CANONICAL.hex()}"]}}', "element"),
        ("negative", f'{{"elements":["{NEGATIVE.hex()}"]}}', "element"),
        ("no square", f'{{"elements":["{NON_SQUARE.hex()}"]}}', "element"),
        ("bit 255 set", f'{{"elements":["{flip(element, 255).hex()}"]}}', "element"),
        ("longer than 2048 octets", f'{{"elements":["{e}"]}}'.ljust(2049), "evaluate_request"),
        ("identity behind a good one", f'{{"elements":["{e}","{IDENTITY.hex()}"]}}', "element"),
    ]:
        agree(name, reason, refusal(messages.decode_request, text.encode()))
        requests.append({"name": name, "request": text.encode().hex(), "reason": reason})
    return {
        "secret_key": SK.hex(),
        "public_key": PK.hex(),
        "proof_random_scalar": PROOF_SCALAR.hex(),
        "good": good,
        "bad_responses": bad,
        "bad_requests": requests,
    }


def _locate_reason(blinded: bytes, body: bytes) -> str:
    try:
        elements, proof = messages.decode_response(body)
        return "accepted" if oprf.verify_proof(PK, [blinded], elements, proof) else "evaluation_proof"
    except ProtocolError:
        return "evaluation_malformed"
