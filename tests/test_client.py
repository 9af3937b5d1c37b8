"""The client against a service that lies: no fault of anyone's is ever read as "not found"."""

from __future__ import annotations

import base64
import email.utils
import fcntl
import hashlib
import json
import logging
import os
import random
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from breachcheck import (
    Client,
    DataClass,
    Exposed,
    Exposure,
    InputError,
    NotFound,
    Reason,
    ReleaseError,
    TransportError,
    Unchecked,
    Undetermined,
)
from breachcheck.client import Deadline, HttpTransport, ReleaseMemory
from breachcheck.exposure import mask_of
from breachcheck.protocol import manifest, messages, oprf
from breachcheck.protocol.encoding import encode
from breachcheck.protocol.entry import Payload
from breachcheck.protocol.identifier import identify
from breachcheck.protocol.parameters import ENTRY_LENGTH, STANDARD, TESTING_ONLY, SlowHash
from breachcheck.protocol.server import Evaluator
from breachcheck.protocol.slow_hash import slow_hash
from tests import faulty as f
from tests.faulty import CNSS, NOTARIES, WHATS, Answer, Fault, FaultyService, Pause, Question, Release, Steward, What

R = Reason

MEMBER = ("phone", "0612345678")
NON_MEMBER = ("phone", "0698765432")
NOTARIES_UNCHECKED = (Unchecked(NOTARIES, ("national_id",)),)
VERDICTS: dict[tuple[str, str], Exposed | NotFound] = {
    MEMBER: Exposed(2, (Exposure(CNSS, ("Names", "Earnings")),), (CNSS,), NOTARIES_UNCHECKED),
    NON_MEMBER: NotFound(2, (CNSS,), NOTARIES_UNCHECKED),
}


@pytest.fixture(scope="module")
def steward() -> Steward:
    return Steward()


@pytest.fixture(scope="module")
def release(steward: Steward) -> Release:
    return steward.publish(2)


@pytest.fixture(scope="module")
def loopback(steward: Steward, release: Release) -> Iterator[FaultyService]:
    with FaultyService(release, steward.evaluator) as service:
        yield service


@pytest.fixture
def service(loopback: FaultyService, steward: Steward, release: Release) -> FaultyService:
    loopback.behave(release, steward.evaluator)
    return loopback


@pytest.fixture
def client(service: FaultyService, steward: Steward) -> Iterator[Client]:
    with Client(service.url, publisher_key=steward.publisher_key, timeout=5) as client:
        yield client


def reason_of(verdict: object) -> Reason:
    assert isinstance(verdict, Undetermined), verdict
    return verdict.reason


# --- What an honest service's answers say -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "verdict"),
    [
        (*MEMBER, VERDICTS[MEMBER]),
        (*NON_MEMBER, VERDICTS[NON_MEMBER]),
        ("phone", "+212 6 12-34-56-78", VERDICTS[MEMBER]),
        ("phone", "٠٦١٢٣٤٥٦٧٨", VERDICTS[MEMBER]),
        (
            "phone",
            "0522000000",
            Exposed(2, (Exposure(CNSS, ("Phone numbers",), employer=True),), (CNSS,), NOTARIES_UNCHECKED),
        ),
        (
            "national_id",
            "ab 123456",
            Exposed(
                2,
                (Exposure(CNSS, ("Names", "Earnings")), Exposure(NOTARIES, ("Physical addresses",))),
                (CNSS, NOTARIES),
                (),
            ),
        ),
        ("national_id", "OD77", Exposed(2, (Exposure(NOTARIES, ("Names",)),), (CNSS, NOTARIES), ())),
        ("national_id", "AB123457", NotFound(2, (CNSS, NOTARIES), ())),
    ],
)
def test_members_are_told_their_fields_and_no_others(client: Client, kind: str, text: str, verdict: object) -> None:
    assert client.check(kind, text) == verdict


def test_a_kind_that_no_dataset_indexes_is_undetermined(client: Client, service: FaultyService) -> None:
    assert reason_of(client.check("email", "someone@example.com")) == R.KIND_NOT_INDEXED
    assert [exchange.what for exchange in service.exchanges] == ["manifest"]


@pytest.mark.parametrize(
    ("kind", "text"), [("phone", "06"), ("phone", ""), ("phone", "6.12E+08"), ("shoe_size", "43"), ("email", "x" * 600)]
)
def test_what_is_no_identifier_is_refused_before_any_traffic(
    client: Client, service: FaultyService, kind: str, text: str
) -> None:
    with pytest.raises(InputError):
        client.check(kind, text)
    assert service.connections == 0


def test_one_connection_carries_many_checks(client: Client, service: FaultyService) -> None:
    for _ in range(5):
        assert client.check(*MEMBER) == VERDICTS[MEMBER]
    assert service.connections == 1


def test_one_client_serves_many_threads(client: Client) -> None:
    wrong: list[object] = []

    def ask(who: tuple[str, str]) -> None:
        wrong.extend(verdict for _ in range(10) if (verdict := client.check(*who)) != VERDICTS[who])

    threads = [threading.Thread(target=ask, args=(who,)) for who in (MEMBER, NON_MEMBER) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- What the service sees --------------------------------------------------------------------------------------------


def spellings(kind: str, text: str) -> dict[str, bytes]:
    """Return every form in which an identifier could stand on the wire."""
    canonical = identify(kind, text).canonical
    forms: dict[str, bytes] = {}
    for name, plain in (("typed", text), ("canonical", canonical), ("reversed", canonical[::-1])):
        for coding in ("utf-8", "utf-16-le", "utf-16-be"):
            forms[f"{name} in {coding}"] = plain.encode(coding)
        forms[f"{name} in a URL"] = urllib.parse.quote_plus(plain).encode()
        for digest in ("md5", "sha1", "sha256", "sha512"):
            forms[f"{digest} of {name}"] = hashlib.new(digest, plain.encode()).digest()
    if canonical.isdigit():
        forms["big-endian"], forms["little-endian"] = (
            int(canonical).to_bytes(4, "big"),
            int(canonical).to_bytes(4, "little"),
        )
    for name, octets in list(forms.items()):
        forms[f"{name}, in hex"] = octets.hex().encode()
        forms[f"{name}, in HEX"] = octets.hex().upper().encode()
        for shift in range(3):
            # The middle of base64 at each alignment, without the characters that neighbours have a part in.
            coded = base64.b64encode(b"?" * shift + octets)[4 if shift else 0 : -4]
            if len(coded) >= 8:
                forms[f"{name}, in base64 at {shift}"] = coded
                forms[f"{name}, in URL base64 at {shift}"] = coded.replace(b"+", b"-").replace(b"/", b"_")
    return forms


@pytest.mark.parametrize(
    ("kind", "text"), [MEMBER, NON_MEMBER, ("phone", "+212 6 12-34-56-78"), ("phone", "٠٦١٢٣٤٥٦٧٨")]
)
def test_no_form_of_the_identifier_is_sent_or_logged(
    client: Client,
    service: FaultyService,
    steward: Steward,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    text: str,
) -> None:
    with caplog.at_level(logging.DEBUG):
        verdict = client.check(kind, text)
    assert not isinstance(verdict, Undetermined)
    said = b"".join(exchange.request + exchange.response for exchange in service.exchanges)
    said += (caplog.text + repr(verdict) + repr(client)).encode()
    assert len(service.exchanges) == 3
    secrets = spellings(kind, text)
    secrets["slow hash"] = slow_hash(identify(kind, text), steward.salt, TESTING_ONLY)
    secrets["slow hash in hex"] = secrets["slow hash"].hex().encode()
    secrets["output in hex"] = oprf.evaluate(steward.evaluator.sk, secrets["slow hash"]).hex().encode()
    assert [name for name, secret in secrets.items() if secret in said] == []


def test_the_search_for_forms_finds_a_planted_one() -> None:
    for name, secret in spellings(*MEMBER).items():
        assert secret in b"<" + secret + b">", name
    assert base64.b64encode(b"ab" + b"612345678")[4:-4] in spellings(*MEMBER).values()


def test_members_and_non_members_look_the_same_from_outside(service: FaultyService, steward: Steward) -> None:
    shapes = []
    for who in (MEMBER, NON_MEMBER):
        service.exchanges = []
        with Client(service.url, publisher_key=steward.publisher_key) as client:
            assert client.check(*who) == VERDICTS[who]
        shapes.append([(one.what, len(one.request), len(one.response)) for one in service.exchanges])
    assert shapes[0] == shapes[1]
    assert [what for what, _, _ in shapes[0]] == ["manifest", "evaluate", "page"]


def test_the_same_question_never_looks_the_same_twice(client: Client, service: FaultyService) -> None:
    client.check(*MEMBER)
    client.check(*MEMBER)
    first, second = service.asked("evaluate")
    assert first.request != second.request


def test_requests_carry_a_fixed_set_of_headers(client: Client, service: FaultyService) -> None:
    client.check(*MEMBER)
    client.check(*MEMBER)
    names = {
        exchange.what: sorted(
            line.split(b":")[0].lower() for line in exchange.request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        )
        for exchange in service.exchanges
    }
    common = [b"accept", b"accept-encoding", b"host", b"user-agent"]
    assert names == {
        "manifest": sorted([*common, b"if-none-match"]),
        "evaluate": sorted([*common, b"content-length", b"content-type"]),
        "page": common,
    }
    for exchange in service.exchanges:
        assert b"\r\nAccept-Encoding: identity\r\n" in exchange.request
        assert b"\r\nUser-Agent: breachcheck/" in exchange.request


def test_no_mark_that_the_service_sets_comes_back(client: Client, service: FaultyService) -> None:
    marks = f.headers(Set_Cookie="who=you; Path=/", ETag='"visitor-17"', Last_Modified="Wed, 21 Oct 2015 07:28:17 GMT")
    service.faults = {"manifest": marks, "evaluate": marks, "page": marks}
    for _ in range(2):
        assert client.check(*MEMBER) == VERDICTS[MEMBER]
    sent = b"".join(exchange.request for exchange in service.exchanges)
    assert not any(mark in sent for mark in (b"who=you", b"visitor-17", b"07:28:17", b"Cookie"))


# --- Every fault, on every request, has its word ----------------------------------------------------------------------

MANIFEST, EVALUATE, PAGE = R.MANIFEST_SIGNATURE, R.EVALUATION_MALFORMED, R.BUCKET_PROOF  # "these octets prove nothing"
LONG = bytes(2 << 20)

# On whichever request it happens:
FAULTS: list[tuple[str, Fault, Reason]] = [
    # status
    ("says 404", f.status(404), R.MISSING),
    ("says 429", f.status(429), R.RATE_LIMITED),
    ("says 503", f.status(503), R.UNAVAILABLE),
    ("says 500", f.status(500), R.SERVER_ERROR),
    ("says 502", f.status(502), R.SERVER_ERROR),
    ("says 400", f.status(400), R.REFUSED),
    ("says 403", f.status(403), R.REFUSED),
    ("says 511", f.status(511), R.NOT_THE_SERVICE),
    ("says 201", f.status(201), R.NOT_THE_SERVICE),
    ("says 204", f.status(204), R.NOT_THE_SERVICE),
    ("says 206", f.status(206), R.NOT_THE_SERVICE),
    ("says 304 unasked", f.status(304), R.NOT_THE_SERVICE),
    ("says 999", f.status(999), R.NOT_THE_SERVICE),
    ("redirects, 301", f.redirect(301), R.NOT_THE_SERVICE),
    ("redirects, 302", f.redirect(302), R.NOT_THE_SERVICE),
    ("redirects, 307", f.redirect(307), R.NOT_THE_SERVICE),
    # content
    ("is a portal's page", f.html, R.NOT_THE_SERVICE),
    ("is of no type", f.headers(Content_Type=None), R.NOT_THE_SERVICE),
    ("is of text type", f.headers(Content_Type="text/plain"), R.NOT_THE_SERVICE),
    ("is compressed", f.gzipped, R.NOT_THE_SERVICE),
    ("says br", f.headers(Content_Encoding="br"), R.NOT_THE_SERVICE),
    # length
    ("breaks off after 20", f.break_off(20), R.ANSWER_TOO_SHORT),
    ("breaks off before the body", f.break_off(0), R.ANSWER_TOO_SHORT),
    ("breaks off between chunks", f.chunked_and(b""), R.ANSWER_TOO_SHORT),
    ("breaks off in a chunk", f.chunked_and(b"ff\r\nxx"), R.ANSWER_TOO_SHORT),
    ("sends a chunk of zz", f.chunked_and(b"zz\r\nxx"), R.ANSWER_TOO_SHORT),
    ("sends a chunk of -1", f.chunked_and(b"-1\r\nxx"), R.NOT_THE_SERVICE),
    ("sends a chunk of -5", f.chunked_and(b"-5\r\nxx"), R.NOT_THE_SERVICE),
    ("announces no length", f.headers(Content_Length=None), R.CONNECTION_CLOSED),
    ("announces 'x'", f.headers(Content_Length="x"), R.NOT_THE_SERVICE),
    ("announces -1", f.headers(Content_Length="-1"), R.NOT_THE_SERVICE),
    ("announces two lengths", f.headers(Content_Length="9, 99"), R.NOT_THE_SERVICE),
    ("announces both", f.headers(Transfer_Encoding="chunked"), R.NOT_THE_SERVICE),
    ("uses another coding", f.headers(Transfer_Encoding="gzip", Content_Length=None), R.NOT_THE_SERVICE),
    # connection
    ("closes at once", f.close, R.CONNECTION_CLOSED),
    ("resets at once", f.reset, R.CONNECTION_CLOSED),
    ("closes in its first line", f.break_off_head(11), R.CONNECTION_CLOSED),
    ("closes in its headers", f.break_off_head(-10), R.CONNECTION_CLOSED),
    ("closes before the empty line", f.break_off_head(-2), R.CONNECTION_CLOSED),
    ("resets in the body", f.reset_after(20), R.CONNECTION_CLOSED),
    ("is another protocol", f.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), R.NOT_THE_SERVICE),
    ("is another HTTP", f.raw(b"HTTP/9.9 200 OK\r\n\r\n"), R.NOT_THE_SERVICE),
    ("has no status", f.raw(b"HTTP/1.1 abc OK\r\n\r\n"), R.NOT_THE_SERVICE),
    ("has an endless line", f.endless(b"x" * 65536), R.NOT_THE_SERVICE),
    ("has endless headers", f.endless(b"X: y\r\n" * 100), R.NOT_THE_SERVICE),
]

# What tells more, or less, on one request than on another:
#    fault                      on the manifest, the evaluation, the bucket
BODY_FAULTS: list[tuple[str, Fault, Reason, Reason, Reason]] = [
    # content
    ("is that, under our type", f.html_as_is, R.MANIFEST_MALFORMED, R.EVALUATION_MALFORMED, R.BUCKET_LENGTH),
    ("is empty", f.empty, R.MANIFEST_MALFORMED, R.EVALUATION_MALFORMED, R.BUCKET_LENGTH),
    ("flips the first octet", f.flip(0), MANIFEST, EVALUATE, PAGE),
    ("flips the last octet", f.flip(-1), MANIFEST, EVALUATE, PAGE),
    ("flips one in the middle", f.flip(100, 128), MANIFEST, EVALUATE, PAGE),
    ("leaves out the last octet", f.alter(lambda body: body[:-1]), MANIFEST, EVALUATE, R.BUCKET_LENGTH),
    ("leaves out the first octet", f.alter(lambda body: body[1:]), MANIFEST, EVALUATE, R.BUCKET_LENGTH),
    ("adds an octet", f.alter(lambda body: body + b"}"), MANIFEST, EVALUATE, R.BUCKET_LENGTH),
    ("sends it twice", f.alter(lambda body: body * 2), MANIFEST, EVALUATE, R.BUCKET_LENGTH),
    ("adds 2 MiB", f.alter(lambda body: body + LONG), R.ANSWER_TOO_LONG, R.ANSWER_TOO_LONG, R.BUCKET_LENGTH),
    ("adds 2 MiB in a chunk", f.chunked_and(f.chunk(LONG)), R.ANSWER_TOO_LONG, R.ANSWER_TOO_LONG, R.BUCKET_LENGTH),
    # length
    ("announces one octet fewer", f.announce(-1), MANIFEST, EVALUATE, R.BUCKET_LENGTH),
    ("announces 20 more, closes", f.announce_and_close(20), R.ANSWER_TOO_SHORT, R.ANSWER_TOO_SHORT, R.BUCKET_LENGTH),
    ("announces 12 digits", f.announce(10**11), R.ANSWER_TOO_LONG, R.ANSWER_TOO_LONG, R.BUCKET_LENGTH),
    ("ends with a half", f.chunked_and(b"0\r\n\r\n"), MANIFEST, EVALUATE, R.BUCKET_LENGTH),
]

SPECIFICATION = [*((name, fault, reason, reason, reason) for name, fault, reason in FAULTS), *BODY_FAULTS]

SLOW: list[tuple[str, Fault]] = [
    ("says nothing", f.hang),
    ("stops in the body", f.hang_after(20)),
    ("drips the whole answer", f.drip),
    ("drips the body", f.drip_body),
    ("says 'continue' for ever", f.endless_continue),
]


@pytest.mark.parametrize("who", [MEMBER, NON_MEMBER], ids=["member", "non-member"])
@pytest.mark.parametrize(
    ("what", "fault", "reason"),
    [
        pytest.param(what, fault, reason, id=f"{what} {name}")
        for name, fault, *reasons in SPECIFICATION
        for what, reason in zip(WHATS, reasons, strict=True)
    ],
)
def test_a_fault_is_undetermined_with_its_own_reason(
    client: Client, service: FaultyService, who: tuple[str, str], what: What, fault: Fault, reason: Reason
) -> None:
    service.faults = {what: fault}
    assert reason_of(client.check(*who)) == reason
    assert service.strays == [], "a redirect was followed"
    service.faults = {}
    assert client.check(*who) == VERDICTS[who], "the fault outlived itself"


@pytest.mark.parametrize(
    ("what", "fault"),
    [
        *[pytest.param(what, fault, id=f"{what} {name}") for name, fault in SLOW for what in WHATS],
        pytest.param("manifest", f.announce(+1), id="manifest announces one octet more"),
        pytest.param("evaluate", f.announce(+1), id="evaluate announces one octet more"),
    ],
)
def test_a_slow_service_does_not_hold_the_client(
    service: FaultyService, steward: Steward, what: What, fault: Fault
) -> None:
    service.faults = {what: fault}
    with Client(service.url, publisher_key=steward.publisher_key, timeout=0.3) as client:
        begun = time.monotonic()
        assert reason_of(client.check(*MEMBER)) == R.TIMEOUT
        assert 0.25 < time.monotonic() - begun < 3


def test_the_time_is_for_the_whole_check(service: FaultyService, steward: Steward) -> None:
    def late(question: Question) -> f.Script:
        return [Pause(0.2), question.honest.wire]

    service.faults = {"manifest": late, "evaluate": late, "page": late}
    with Client(service.url, publisher_key=steward.publisher_key, timeout=0.5) as client:
        begun = time.monotonic()
        assert reason_of(client.check(*MEMBER)) == R.TIMEOUT
        assert time.monotonic() - begun < 3
    with Client(service.url, publisher_key=steward.publisher_key, timeout=5) as client:
        assert client.check(*MEMBER) == VERDICTS[MEMBER]


def test_an_octet_in_time_buys_no_more_time(service: FaultyService, steward: Steward) -> None:
    service.faults = {"manifest": lambda question: [Pause(0.8), question.honest.head, Pause(60)]}
    with Client(service.url, publisher_key=steward.publisher_key, timeout=1) as client:
        begun = time.monotonic()
        assert reason_of(client.check(*MEMBER)) == R.TIMEOUT
        assert time.monotonic() - begun < 1.6


def test_one_answer_has_a_time_of_its_own(service: FaultyService, steward: Steward) -> None:
    service.faults = {"evaluate": f.drip}
    with Client(HttpTransport(service.url, answer=0.3), publisher_key=steward.publisher_key, timeout=30) as client:
        begun = time.monotonic()
        assert reason_of(client.check(*MEMBER)) == R.TIMEOUT
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("what", WHATS)
def test_chunks_that_are_whole_are_an_answer(client: Client, service: FaultyService, what: What) -> None:
    service.faults = {what: f.chunked}
    for who, verdict in VERDICTS.items():
        assert client.check(*who) == verdict


@pytest.mark.parametrize("media_type", ["APPLICATION/Octet-Stream", "application/octet-stream; q=1"])
def test_a_media_type_is_compared_without_case_and_parameters(
    client: Client, service: FaultyService, media_type: str
) -> None:
    service.faults = {"page": f.headers(Content_Type=media_type)}
    assert client.check(*MEMBER) == VERDICTS[MEMBER]


# --- Answers that are well formed and untrue --------------------------------------------------------------------------


def signed(steward: Steward, release: Release, **changed: object) -> Fault:
    """Serve the manifest with other content, rightly signed."""
    content = manifest.sign(release.manifest.model_copy(update=changed), steward.publisher)
    return f.alter(lambda _: content)


def resigned(steward: Steward, release: Release, change: Callable[[dict[str, object]], object]) -> Fault:
    """Serve the manifest with its JSON changed, rightly signed."""
    content = json.loads(release.signed[manifest.SIGNATURE_LENGTH :])
    change(content)
    body = json.dumps(content).encode()
    text = steward.publisher.sign(encode("manifest", body)) + body
    return f.alter(lambda _: text)


UNTRUE_MANIFESTS: dict[str, tuple[Callable[[Steward, Release], Fault], Reason]] = {
    "of another publisher": (
        lambda _, r: f.alter(lambda _: manifest.sign(r.manifest, Ed25519PrivateKey.generate())),
        R.MANIFEST_SIGNATURE,
    ),
    "that has expired": (
        lambda s, _: f.alter(lambda _: s.publish(2, age=timedelta(days=31)).signed),
        R.MANIFEST_EXPIRED,
    ),
    "from the future": (
        lambda s, _: f.alter(lambda _: s.publish(2, age=-timedelta(hours=25)).signed),
        R.MANIFEST_NOT_YET_VALID,
    ),
    "of another protocol": (
        lambda s, r: resigned(s, r, lambda content: content.update(protocol="breachcheck-v2")),
        R.MANIFEST_VERSION,
    ),
    "of another suite": (
        lambda s, r: resigned(s, r, lambda content: content.update(suite="P256-SHA256")),
        R.MANIFEST_VERSION,
    ),
    "with a further member": (
        lambda s, r: resigned(s, r, lambda content: content.update(extra=1)),
        R.MANIFEST_MALFORMED,
    ),
    "without its salt": (
        lambda s, r: resigned(s, r, lambda content: content.pop("service_salt")),
        R.MANIFEST_MALFORMED,
    ),
    "with a weak slow hash": (
        lambda s, r: signed(
            s, r, slow_hash=manifest.SlowHashParameters.of(SlowHash("standard", memory_kib=8, passes=1))
        ),
        R.MANIFEST_PARAMETERS,
    ),
    "with other rules": (
        lambda s, r: signed(
            s, r, kinds=tuple(table.model_copy(update={"rules": bytes(32)}) for table in r.manifest.kinds)
        ),
        R.IDENTIFIER_RULES,
    ),
    "without the kind": (
        lambda s, r: signed(
            s,
            r,
            datasets=tuple(one.model_copy(update={"kinds": ("national_id",)}) for one in r.manifest.datasets),
        ),
        R.KIND_NOT_INDEXED,
    ),
    "without datasets": (lambda s, r: signed(s, r, datasets=()), R.KIND_NOT_INDEXED),
    "with another public key": (
        lambda s, r: signed(s, r, public_key=Evaluator(oprf.random_scalar()).pk),
        R.EVALUATION_PROOF,
    ),
    "with another root": (
        lambda s, r: signed(
            s, r, kinds=tuple(table.model_copy(update={"root": bytes(32)}) for table in r.manifest.kinds)
        ),
        R.BUCKET_PROOF,
    ),
    "with shorter pages": (
        lambda s, r: signed(
            s, r, kinds=tuple(table.model_copy(update={"entries_per_bucket": 7}) for table in r.manifest.kinds)
        ),
        R.BUCKET_LENGTH,
    ),
}


@pytest.mark.parametrize("who", [MEMBER, NON_MEMBER], ids=["member", "non-member"])
@pytest.mark.parametrize("case", UNTRUE_MANIFESTS)
def test_a_manifest_is_undetermined_if_it_is(
    client: Client, service: FaultyService, steward: Steward, release: Release, who: tuple[str, str], case: str
) -> None:
    make, reason = UNTRUE_MANIFESTS[case]
    service.faults = {"manifest": make(steward, release)}
    assert reason_of(client.check(*who)) == reason


def _response(change: Callable[[list[bytes], bytes], tuple[list[bytes], bytes]]) -> Fault:
    return f.alter(lambda body: messages.encode_response(*change(*messages.decode_response(body))))


def _swap_answer_and_question(question: Question) -> Answer:
    (element,) = messages.decode_request(question.body)
    _, proof = messages.decode_response(question.honest.body)
    return replace(question.honest, body=messages.encode_response([element], proof))


UNTRUE_EVALUATIONS: dict[str, tuple[Fault, Reason]] = {
    "of another key, with its proof": (f.another_key, R.EVALUATION_PROOF),
    "of another element": (_response(lambda _, p: ([oprf._blind(b"x", bytes([1, *[0] * 31]))], p)), R.EVALUATION_PROOF),
    "that gives the question back": (_swap_answer_and_question, R.EVALUATION_PROOF),
    "that is the identity": (_response(lambda _, p: ([bytes(32)], p)), R.EVALUATION_MALFORMED),
    "that is no element": (_response(lambda _, p: ([b"\xff" * 32], p)), R.EVALUATION_MALFORMED),
    "with a flipped proof": (_response(lambda e, p: (e, bytes([p[0] ^ 1]) + p[1:])), R.EVALUATION_PROOF),
    "with a proof of zeros": (_response(lambda e, _: (e, bytes(64))), R.EVALUATION_PROOF),
    "with scalars above the order": (_response(lambda e, _: (e, b"\xff" * 64)), R.EVALUATION_MALFORMED),
    "of two elements": (_response(lambda e, p: (e * 2, p)), R.EVALUATION_PROOF),
    "of no element": (f.alter(lambda _: b'{"elements":[],"proof":"%b"}' % (b"0" * 128)), R.EVALUATION_MALFORMED),
    "with a further member": (f.alter(lambda body: body[:-1] + b',"found":false}'), R.EVALUATION_MALFORMED),
    "in capitals": (f.alter(lambda body: body.replace(b"a", b"A")), R.EVALUATION_MALFORMED),
    "that is null": (f.alter(lambda _: b"null"), R.EVALUATION_MALFORMED),
    "nested without end": (f.alter(lambda _: b"[" * 2000), R.EVALUATION_MALFORMED),
}


@pytest.mark.parametrize("who", [MEMBER, NON_MEMBER], ids=["member", "non-member"])
@pytest.mark.parametrize("case", UNTRUE_EVALUATIONS)
def test_an_evaluation_is_undetermined_if_it_is(
    client: Client, service: FaultyService, who: tuple[str, str], case: str
) -> None:
    fault, reason = UNTRUE_EVALUATIONS[case]
    service.faults = {"evaluate": fault}
    assert reason_of(client.check(*who)) == reason


def test_an_older_evaluation_is_no_proof(client: Client, service: FaultyService) -> None:
    kept: list[Answer] = []

    def keep(question: Question) -> Answer:
        kept.append(question.honest)
        return question.honest

    service.faults = {"evaluate": keep}
    assert client.check(*MEMBER) == VERDICTS[MEMBER]
    service.faults = {"evaluate": f.replay(kept[0])}
    assert reason_of(client.check(*MEMBER)) == R.EVALUATION_PROOF


UNTRUE_PAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty of entries": lambda page: os.urandom(8 * ENTRY_LENGTH) + page[8 * ENTRY_LENGTH :],
    "with two entries swapped": lambda page: page[ENTRY_LENGTH : 2 * ENTRY_LENGTH] + page[:ENTRY_LENGTH] + page[48:],
    "with one entry twice": lambda page: page[:ENTRY_LENGTH] * 2 + page[2 * ENTRY_LENGTH :],
    "without its path": lambda page: page[: 8 * ENTRY_LENGTH] + bytes(64),
    "with its path reversed": lambda page: page[: 8 * ENTRY_LENGTH] + page[-32:] + page[-64:-32],
    "of zeros": lambda page: bytes(len(page)),
}


@pytest.mark.parametrize("who", [MEMBER, NON_MEMBER], ids=["member", "non-member"])
@pytest.mark.parametrize("case", UNTRUE_PAGES)
def test_a_bucket_proves_nothing_if_it_is(
    client: Client, service: FaultyService, who: tuple[str, str], case: str
) -> None:
    service.faults = {"page": f.alter(UNTRUE_PAGES[case])}
    assert reason_of(client.check(*who)) == R.BUCKET_PROOF


@pytest.mark.parametrize("who", [MEMBER, NON_MEMBER], ids=["member", "non-member"])
def test_a_bucket_of_an_older_release_or_another_place_proves_nothing(
    client: Client, service: FaultyService, steward: Steward, release: Release, who: tuple[str, str]
) -> None:
    older = steward.publish(1)
    for other in (*older.pages["phone"], *release.pages["national_id"]):
        service.faults = {"page": f.alter(lambda _, other=other: other)}  # type: ignore[misc]  # a default binds early
        assert reason_of(client.check(*who)) == R.BUCKET_PROOF
    right = 0
    for other in release.pages["phone"]:
        service.faults = {"page": f.alter(lambda _, other=other: other)}  # type: ignore[misc]  # a default binds early
        verdict = client.check(*who)
        right += verdict == VERDICTS[who]
        assert verdict == VERDICTS[who] or reason_of(verdict) == R.BUCKET_PROOF
    assert right == 1


@pytest.mark.parametrize(
    "payload", [Payload(mask_of([DataClass.PASSPORT_NUMBERS])), Payload(1 << 31)], ids=["not its field", "no field"]
)
def test_a_field_that_the_dataset_does_not_have_is_not_reported(
    client: Client, service: FaultyService, steward: Steward, payload: Payload
) -> None:
    service.release = steward.publish(2, members={MEMBER: {CNSS: payload}})
    assert reason_of(client.check(*MEMBER)) == R.ENTRY_MALFORMED
    assert client.check(*NON_MEMBER) == VERDICTS[NON_MEMBER]


# --- Waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("86400", 86400),
        ("86401", None),
        ("9" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("1 Jan 99999999999999999999 00:00:00 GMT", None),
        (None, None),
    ],
)
def test_retry_after_goes_with_the_verdict_if_it_can_be_believed(
    client: Client, service: FaultyService, code: int, what: What, said: str | None, seconds: int | None
) -> None:
    header = None if said is None else said.encode().decode("latin-1")
    service.faults = {what: f.status(code, header)}
    verdict = client.check(*MEMBER)
    assert reason_of(verdict) == (R.RATE_LIMITED if code == 429 else R.UNAVAILABLE)
    assert isinstance(verdict, Undetermined) and verdict.retry_after == seconds


def test_retry_after_may_be_a_date(client: Client, service: FaultyService) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=10)
    service.faults = {"evaluate": f.status(429, email.utils.format_datetime(moment, usegmt=True))}
    verdict = client.check(*MEMBER)
    assert isinstance(verdict, Undetermined) and verdict.retry_after is not None
    assert 590 < verdict.retry_after <= 601


NOTICE = {"type": "urn:breachcheck:problem:maintenance", "status": 503, "until": "2026-12-01T04:00:00Z"}


def closing(body: object, media_type: str = "application/problem+json", code: int = 503) -> Fault:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: Answer(octets, media_type, code, {"Retry-After": "60"})


@pytest.mark.parametrize("what", WHATS)
def test_maintenance_is_told_with_its_end(client: Client, service: FaultyService, what: What) -> None:
    until = datetime(2026, 12, 1, 4, tzinfo=UTC)
    for fault in (closing(NOTICE), closing({**NOTICE, "detail": "x"}, "Application/problem+JSON; charset=utf-8")):
        service.faults = {what: fault}
        assert client.check(*MEMBER) == Undetermined(R.MAINTENANCE, "HTTP 503", 60, until)
    service.faults = {}
    assert client.check(*MEMBER) == VERDICTS[MEMBER]


NO_NOTICES: dict[str, Fault] = {
    "empty": closing(b""),
    "not JSON": closing(b"{"),
    "a list": closing([NOTICE]),
    "null": closing(None),
    "without an end": closing({"type": NOTICE["type"]}),
    "with an end that is null": closing({**NOTICE, "until": None}),
    "with an end that is a day": closing({**NOTICE, "until": "2026-12-01"}),
    "with an end that is not": closing({**NOTICE, "until": "2026-02-30T04:00:00Z"}),
    "of another type": closing({**NOTICE, "type": "about:blank"}),
    "with a number that is none": closing(b'{"x":NaN,' + json.dumps(NOTICE).encode()[1:]),
    "too long": closing({**NOTICE, "detail": "x" * 2048}),
    "of another media type": closing(NOTICE, "application/json"),
}


@pytest.mark.parametrize("case", NO_NOTICES)
def test_a_503_is_maintenance_only_if_it_says_so_until_when(client: Client, service: FaultyService, case: str) -> None:
    for what in WHATS:
        service.faults = {what: NO_NOTICES[case]}
        assert client.check(*MEMBER) == Undetermined(R.UNAVAILABLE, "HTTP 503", 60)


@pytest.mark.parametrize("what", WHATS)
def test_a_notice_that_breaks_off_or_stalls_is_no_notice(service: FaultyService, steward: Steward, what: What) -> None:
    notice = Answer(json.dumps(NOTICE).encode(), "application/problem+json", 503, {"Retry-After": "60"})
    for script in ([notice.wire[:-9]], [notice.wire[:-9], Pause(60)], [notice.wire[:-9], f.Reset()]):
        service.faults = {what: lambda _, script=script: script}  # type: ignore[misc]  # a default binds early
        with Client(service.url, publisher_key=steward.publisher_key, timeout=2) as client:
            assert client.check(*MEMBER) == Undetermined(R.UNAVAILABLE, "HTTP 503", 60)
    for code, reason in ((500, R.SERVER_ERROR), (200, R.NOT_THE_SERVICE), (429, R.RATE_LIMITED)):
        service.faults = {what: closing(NOTICE, code=code)}
        with Client(service.url, publisher_key=steward.publisher_key, timeout=5) as client:
            assert reason_of(client.check(*MEMBER)) == reason


def test_a_strangers_words_are_not_shown(client: Client, service: FaultyService) -> None:
    for what in WHATS:
        service.faults = {what: f.status(503)}
        assert "0600000000" not in str(client.check(*MEMBER))


# --- No connection, or another one ------------------------------------------------------------------------------------


def check_at(url: str, key: bytes, seconds: float = 5) -> Reason:
    with Client(url, publisher_key=key, timeout=seconds) as client:
        return reason_of(client.check(*MEMBER))


def test_a_port_where_nobody_listens_is_unreachable(steward: Steward) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert check_at(f"http://127.0.0.1:{port}", steward.publisher_key) == R.UNREACHABLE
    assert check_at(f"https://127.0.0.1:{port}", steward.publisher_key) == R.UNREACHABLE


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64 + ".invalid"])
def test_a_host_without_an_address_is_unreachable(steward: Steward, host: str) -> None:
    assert check_at(f"http://{host}/", steward.publisher_key) == R.UNREACHABLE


def test_a_host_that_does_not_answer_the_call_is_a_timeout(steward: Steward) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # fills the queue of connections that nobody accepts
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        begun = time.monotonic()
        assert check_at(f"http://127.0.0.1:{port}", steward.publisher_key, 0.3) == R.TIMEOUT
        assert time.monotonic() - begun < 3
        for one in waiting:
            one.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", R.NOT_THE_SERVICE),
        (b"", R.CONNECTION_CLOSED),
        (None, R.TIMEOUT),
    ],
    ids=["speaks plain HTTP", "hangs up", "is silent"],
)
def test_tls_to_a_port_that_speaks_none_says_why(steward: Steward, answer: bytes | None, reason: Reason) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                if answer is None:
                    over.wait(10)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        begun = time.monotonic()
        assert check_at(f"https://127.0.0.1:{server.getsockname()[1]}", steward.publisher_key, 0.5) == reason
        assert time.monotonic() - begun < 3
        over.set()
        thread.join()


@dataclass(frozen=True)
class Tls:
    service: FaultyService
    certificate: Path


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, steward: Steward, release: Release) -> Iterator[Tls]:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, folder / "key.pem")
    with FaultyService(release, steward.evaluator, context) as service:
        yield Tls(service, pem)


def test_a_certificate_of_nobody_we_know_is_not_the_service(tls: Tls, steward: Steward) -> None:
    assert check_at(tls.service.url, steward.publisher_key) == R.NOT_THE_SERVICE
    assert tls.service.exchanges == []


def test_tls_carries_checks_and_faults_alike(
    tls: Tls, steward: Steward, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))
    tls.service.behave(release, steward.evaluator)
    with Client(tls.service.url, publisher_key=steward.publisher_key, timeout=5) as client:
        for who, verdict in VERDICTS.items():
            assert client.check(*who) == verdict
        assert tls.service.connections == 1
        for fault, reason in (
            (f.break_off(20), R.ANSWER_TOO_SHORT),
            (f.close, R.CONNECTION_CLOSED),
            (f.flip(100), R.BUCKET_PROOF),
        ):
            tls.service.faults = {"page": fault}
            assert reason_of(client.check(*MEMBER)) == reason
        tls.service.faults = {"page": f.drip}
    with Client(tls.service.url, publisher_key=steward.publisher_key, timeout=0.5) as client:
        begun = time.monotonic()
        assert reason_of(client.check(*MEMBER)) == R.TIMEOUT
        assert time.monotonic() - begun < 3


def test_a_kept_connection_that_closes_is_opened_again_once(client: Client, service: FaultyService) -> None:
    service.answers_per_connection = 1  # the next question is read, and answered by closing
    assert client.check(*MEMBER) == VERDICTS[MEMBER]
    assert service.connections == 3


def test_a_fresh_connection_that_closes_is_not_tried_again(client: Client, service: FaultyService) -> None:
    service.faults = {"manifest": f.close}
    assert reason_of(client.check(*MEMBER)) == R.CONNECTION_CLOSED
    assert service.connections == 1


def test_a_connection_opened_anew_is_a_fresh_one(client: Client, service: FaultyService) -> None:
    service.faults = {"evaluate": lambda question: [question.honest.wire], "page": f.close}
    assert reason_of(client.check(*MEMBER)) == R.CONNECTION_CLOSED
    assert len(service.asked("page")) == 1


def test_an_answer_that_has_begun_is_not_asked_for_again(client: Client, service: FaultyService) -> None:
    service.faults = {"evaluate": lambda question: [question.honest.head[:20], Pause(0.1), f.Reset()]}
    assert reason_of(client.check(*MEMBER)) == R.CONNECTION_CLOSED
    assert len(service.asked("evaluate")) == 1


def test_a_page_is_exactly_as_long_as_was_asked(service: FaultyService, release: Release) -> None:
    transport = HttpTransport(service.url)
    length = len(release.pages["phone"][0])
    assert transport.page(2, "phone", 0, length, Deadline.after(5)) == release.pages["phone"][0]
    for other in (length - 1, length + 1):
        with pytest.raises(TransportError) as caught:
            transport.page(2, "phone", 0, other, Deadline.after(5))
        assert caught.value.reason == R.BUCKET_LENGTH


def test_a_client_that_was_closed_cannot_check(client: Client) -> None:
    client.check(*MEMBER)
    client.close()
    assert reason_of(client.check(*MEMBER)) == R.CLIENT_FAULT


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "127.0.0.1:8000",
        "//127.0.0.1",
        "http://",
        "http:///v1",
        "http://127.0.0.1:99999",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1/?a=b",
        "http://127.0.0.1/#a",
        "http://[::1",
        "",
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Client(url, publisher_key=bytes(32))
    assert caught.value.reason == "url"


def test_the_publisher_key_is_bytes_or_a_file(service: FaultyService, steward: Steward, tmp_path: Path) -> None:
    file = tmp_path / "publisher.pub"
    file.write_text(steward.publisher_key.hex() + "\n")
    for key in (steward.publisher_key, file, str(file)):
        with Client(service.url, publisher_key=key) as client:
            assert client.check(*MEMBER) == VERDICTS[MEMBER]
    (tmp_path / "short.pub").write_text("00" * 31)
    for wrong in (bytes(31), b"", tmp_path / "none.pub", tmp_path, tmp_path / "short.pub"):
        with pytest.raises(InputError) as caught:
            Client(service.url, publisher_key=wrong)
        assert caught.value.reason == "publisher_key"


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_time_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(InputError):
        Client("http://127.0.0.1", publisher_key=bytes(32), timeout=timeout)


# --- The manifest is revalidated, never just believed -----------------------------------------------------------------


def test_a_manifest_that_still_stands_is_not_sent_again(client: Client, service: FaultyService) -> None:
    for _ in range(3):
        assert client.check(*MEMBER) == VERDICTS[MEMBER]
    first, *later = service.asked("manifest")
    assert first.response.startswith(b"HTTP/1.1 200")
    assert len(later) == 2 and all(one.response.startswith(b"HTTP/1.1 304") for one in later)


def test_a_new_manifest_is_taken_at_once(client: Client, service: FaultyService, steward: Steward) -> None:
    assert client.check(*MEMBER) == VERDICTS[MEMBER]
    service.release = steward.publish(3, members={})
    assert client.check(*MEMBER) == NotFound(3, (CNSS,), NOTARIES_UNCHECKED)


def test_a_manifest_that_was_not_believed_is_not_kept(client: Client, service: FaultyService) -> None:
    service.faults = {"manifest": f.flip(10)}
    client.check(*MEMBER)
    service.faults = {}
    assert client.check(*MEMBER) == VERDICTS[MEMBER]
    assert b"If-None-Match" not in service.exchanges[1].request


def test_a_kept_manifest_expires_all_the_same(client: Client, service: FaultyService, steward: Steward) -> None:
    service.release = steward.publish(2, age=timedelta(days=1), life=timedelta(days=1, seconds=1))
    assert client.check(*MEMBER) == VERDICTS[MEMBER]
    time.sleep(2.1)  # the last second counts whole
    assert reason_of(client.check(*MEMBER)) == R.MANIFEST_EXPIRED
    assert service.asked("manifest")[1].response.startswith(b"HTTP/1.1 304")


# --- A release that changes during a check ----------------------------------------------------------------------------


def test_a_release_published_before_the_bucket_starts_the_check_once_more(
    client: Client, service: FaultyService, steward: Steward
) -> None:
    newer = steward.publish(3)

    def publish(what: What) -> None:
        if what == "page":
            service.release = newer

    service.before = publish
    assert client.check(*MEMBER) == replace(VERDICTS[MEMBER], release=3)
    assert [one.what for one in service.exchanges] == ["manifest", "evaluate", "page"] * 2


def test_a_key_changed_before_the_evaluation_starts_the_check_once_more(
    client: Client, service: FaultyService, steward: Steward
) -> None:
    rotated = replace(steward, evaluator=Evaluator(oprf.random_scalar()))
    newer = rotated.publish(3)

    def publish(what: What) -> None:
        if what == "evaluate":
            service.release, service.evaluator = newer, rotated.evaluator

    service.before = publish
    assert client.check(*MEMBER) == replace(VERDICTS[MEMBER], release=3)
    assert [one.what for one in service.exchanges] == ["manifest", "evaluate", "manifest", "evaluate", "page"]


@pytest.mark.parametrize(
    ("what", "fault", "reason"),
    [
        ("page", f.status(404), R.MISSING),
        ("evaluate", f.status(404), R.MISSING),
        ("evaluate", f.another_key, R.EVALUATION_PROOF),
    ],
)
def test_the_reason_stands_if_the_release_is_still_the_same(
    client: Client, service: FaultyService, what: What, fault: Fault, reason: Reason
) -> None:
    service.faults = {what: fault}
    assert reason_of(client.check(*MEMBER)) == reason
    assert len(service.asked("manifest")) == 2
    assert len(service.asked(what)) == 1


def test_a_release_that_keeps_changing_ends_after_one_more_attempt(
    client: Client, service: FaultyService, steward: Steward
) -> None:
    releases = [steward.publish(number) for number in range(3, 9)]

    def publish(what: What) -> None:
        if what == "page":
            service.release = releases.pop(0)

    service.before = publish
    verdict = client.check(*MEMBER)
    assert reason_of(verdict) == R.RELEASE_CHANGED
    assert [one.what for one in service.exchanges] == ["manifest", "evaluate", "page"] * 2


def test_a_second_attempt_that_fails_otherwise_says_how(
    client: Client, service: FaultyService, steward: Steward
) -> None:
    newer = steward.publish(3)

    def publish(what: What) -> None:
        if what == "page" and service.release is not newer:
            service.release = newer
            service.faults = {}
        elif what == "page":
            service.faults = {"page": f.status(503, "30")}

    service.before = publish
    assert client.check(*MEMBER) == Undetermined(R.UNAVAILABLE, "HTTP 503", 30)


def test_a_manifest_that_cannot_be_had_again_says_why(client: Client, service: FaultyService) -> None:
    def stop(what: What) -> None:
        if what == "page":
            service.faults = {"page": f.status(404), "manifest": f.status(503, "30")}

    service.before = stop
    assert client.check(*MEMBER) == Undetermined(R.UNAVAILABLE, "HTTP 503", 30)


def test_two_servers_with_different_releases_are_never_mixed(
    service: FaultyService, steward: Steward, release: Release
) -> None:
    newer = steward.publish(3, members={})
    honest = {2: VERDICTS[MEMBER], 3: NotFound(3, (CNSS,), NOTARIES_UNCHECKED)}
    dice = random.Random(1)

    def roll(_: What) -> None:
        service.release = dice.choice([release, newer])

    service.before = roll
    seen: set[object] = set()
    for _ in range(60):
        with Client(service.url, publisher_key=steward.publisher_key) as client:
            for verdict in (client.check(*MEMBER), client.check(*MEMBER)):
                if isinstance(verdict, Undetermined):
                    seen.add(verdict.reason)
                else:
                    assert verdict == honest[verdict.release]
                    seen.add(verdict.release)
    assert seen == {2, 3, R.MISSING, R.RELEASE_ROLLED_BACK, R.RELEASE_CHANGED}


# --- What the client remembers ----------------------------------------------------------------------------------------


def test_an_older_release_than_the_last_one_is_refused(
    client: Client, service: FaultyService, steward: Steward
) -> None:
    assert client.check(*MEMBER) == VERDICTS[MEMBER]
    service.release = steward.publish(1, members={})
    assert reason_of(client.check(*MEMBER)) == R.RELEASE_ROLLED_BACK
    assert [one.what for one in service.exchanges][3:] == ["manifest"]


def test_a_release_is_remembered_beyond_the_process(
    service: FaultyService, steward: Steward, release: Release, tmp_path: Path
) -> None:
    memory = tmp_path / "state" / "memory.json"
    with Client(service.url, publisher_key=steward.publisher_key, memory=memory) as client:
        assert client.check(*MEMBER) == VERDICTS[MEMBER]
    service.release = steward.publish(1)
    with Client(service.url, publisher_key=steward.publisher_key, memory=memory) as client:
        assert reason_of(client.check(*MEMBER)) == R.RELEASE_ROLLED_BACK
    service.release = release
    with Client(service.url, publisher_key=steward.publisher_key, memory=memory) as client:
        assert client.check(*MEMBER) == VERDICTS[MEMBER]


def test_the_memory_holds_a_key_and_a_number_and_nothing_else(
    service: FaultyService, steward: Steward, tmp_path: Path
) -> None:
    memory = tmp_path / "memory.json"
    with Client(service.url, publisher_key=steward.publisher_key, memory=memory) as client:
        client.check(*MEMBER)
        client.check(*NON_MEMBER)
    assert json.loads(memory.read_text()) == {"version": 1, "releases": {steward.publisher_key.hex(): 2}}
    assert stat.S_IMODE(memory.stat().st_mode) == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["memory.json", "memory.json.lock"]


def test_publishers_are_remembered_apart(tmp_path: Path) -> None:
    memory = ReleaseMemory(tmp_path / "memory.json")
    one, other = bytes(32), bytes([1]) * 32
    memory.remember(one, 5)
    memory.remember(other, 3)
    again = ReleaseMemory(tmp_path / "memory.json")
    assert (again.last_seen(one), again.last_seen(other), again.last_seen(bytes([2]) * 32)) == (5, 3, 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"version":1}',
        b'{"version":2,"releases":{}}',
        b'{"version":1,"releases":{"00":1}}',
        b'{"version":1,"releases":{"%b":"2"}}' % (b"00" * 32),
        b'{"version":1,"releases":{"%b":0}}' % (b"00" * 32),
        b'{"version":1,"releases":{"%b":true}}' % (b"00" * 32),
        b'{"version":1,"releases":{"%b":2}' % (b"00" * 32),
        b"[" * 100_000,
    ],
)
def test_a_damaged_memory_is_not_an_empty_one(
    service: FaultyService, steward: Steward, tmp_path: Path, content: bytes
) -> None:
    memory = tmp_path / "memory.json"
    memory.write_bytes(content)
    with Client(service.url, publisher_key=steward.publisher_key, memory=memory) as client:
        assert reason_of(client.check(*MEMBER)) == R.RELEASE_MEMORY
    assert memory.read_bytes() == content
    assert service.asked("evaluate") == []


def test_a_memory_that_cannot_be_read_or_written_stops_the_check(
    service: FaultyService, steward: Steward, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (tmp_path, file / "below" / "a-file"):
        with Client(service.url, publisher_key=steward.publisher_key, memory=path) as client:
            assert reason_of(client.check(*MEMBER)) == R.RELEASE_MEMORY


def test_a_memory_that_is_held_by_another_for_too_long_stops_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breachcheck.client.memory._LOCK_PATIENCE", 0.1)
    with (tmp_path / "memory.json.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ReleaseError) as caught:
            ReleaseMemory(tmp_path / "memory.json").remember(bytes(32), 1)
    assert caught.value.reason == R.RELEASE_MEMORY


def test_a_lower_number_never_replaces_a_higher_one(tmp_path: Path) -> None:
    one, other = (ReleaseMemory(tmp_path / "memory.json") for _ in range(2))
    one.remember(bytes(32), 7)
    other.remember(bytes(32), 5)
    assert one.last_seen(bytes(32)) == other.last_seen(bytes(32)) == 7


def test_a_memory_that_is_deleted_under_a_client_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    memory = ReleaseMemory(path)
    memory.remember(bytes(32), 7)
    path.unlink()
    assert memory.last_seen(bytes(32)) == 7
    memory.remember(bytes(32), 6)
    assert ReleaseMemory(path).last_seen(bytes(32)) == 7


def test_many_clients_at_once_never_lower_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    program = (
        "import sys; from pathlib import Path; from breachcheck.client.memory import ReleaseMemory\n"
        "for n in range(int(sys.argv[2]), 60, 2): ReleaseMemory(Path(sys.argv[1])).remember(bytes(32), n)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, path, str(first)]) for first in (1, 2)]
    seen = [0]
    while any(process.poll() is None for process in processes):
        seen.append(ReleaseMemory(path).last_seen(bytes(32)))
    assert [process.returncode for process in processes] == [0, 0]
    assert seen == sorted(seen)
    assert ReleaseMemory(path).last_seen(bytes(32)) == 59


# --- Corruption at random ---------------------------------------------------------------------------------------------


@dataclass
class Witness:
    """A transport that carries messages over another, and keeps what was handed to the client."""

    inner: HttpTransport
    received: dict[What, bytes] = field(default_factory=dict)

    def manifest(self, deadline: Deadline, known: bytes | None = None) -> bytes:
        self.received["manifest"] = self.inner.manifest(deadline, known)
        return self.received["manifest"]

    def evaluate(self, request: bytes, deadline: Deadline) -> bytes:
        self.received["evaluate"] = self.inner.evaluate(request, deadline)
        return self.received["evaluate"]

    def page(self, release: int, kind: str, bucket: int, length: int, deadline: Deadline) -> bytes:
        self.received["page"] = self.inner.page(release, kind, bucket, length, deadline)
        return self.received["page"]

    def close(self) -> None:
        self.inner.close()


@dataclass(frozen=True)
class Damage:
    """One change of an octet string, at a place given as a part of its length."""

    how: str
    place: float
    octets: bytes

    def __call__(self, body: bytes) -> bytes:
        at = int(self.place * len(body))
        end = at + len(self.octets)
        match self.how:
            case "flip":
                part = body[at:end]
                flipped = bytes(a ^ b for a, b in zip(part, self.octets, strict=False))
                return body[:at] + flipped + body[end:]
            case "overwrite":
                return body[:at] + self.octets[: len(body) - at] + body[end:]
            case "insert":
                return body[:at] + self.octets + body[at:]
            case "delete":
                return body[:at] + body[end:]
            case "repeat":
                return body[:end] + body[at:]
            case _:
                return body[:at]


damages = st.lists(
    st.builds(
        Damage,
        st.sampled_from(["flip", "overwrite", "insert", "delete", "repeat", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.one_of(
            st.binary(min_size=1, max_size=4),
            st.binary(min_size=20, max_size=40),
            st.sampled_from(
                [b"\r\n", b"\r\n\r\n", b"0", b"1", b" ", b"HTTP/1.1 200 OK\r\n", b"\x00" * 24, b'"}', b","]
            ),
        ),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("whole", [True, False], ids=["anywhere on the wire", "in a body of right length"])
@given(what=st.sampled_from(WHATS), who=st.sampled_from([MEMBER, NON_MEMBER]), changes=damages)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_corruption_is_ever_read_as_a_verdict(
    service: FaultyService,
    steward: Steward,
    release: Release,
    whole: bool,
    what: What,
    who: tuple[str, str],
    changes: list[Damage],
) -> None:
    honest: dict[What, bytes] = {}

    def keep(question: Question) -> Answer:
        honest[question.what] = question.honest.body
        return question.honest

    def damage(question: Question) -> Answer | f.Script:
        answer = keep(question)
        octets = answer.wire if whole else answer.body
        for change in changes:
            octets = change(octets)
        return [octets] if whole else replace(answer, body=octets)

    service.behave(release, steward.evaluator)
    service.faults = dict.fromkeys(WHATS, keep) | {what: damage}
    witness = Witness(HttpTransport(service.url))
    with Client(witness, publisher_key=steward.publisher_key, timeout=5) as client:
        verdict = client.check(*who)
    if isinstance(verdict, Undetermined):
        assert isinstance(verdict.reason, Reason) and verdict.reason not in {R.NOT_CHECKED, R.CLIENT_FAULT}
    else:
        assert verdict == VERDICTS[who]
        assert witness.received["manifest"] == release.signed
        assert witness.received["page"] == honest["page"]
        # White space in JSON is the one freedom that an honest answer has.
        assert messages.decode_response(witness.received["evaluate"]) == messages.decode_response(honest["evaluate"])


# --- The client itself ------------------------------------------------------------------------------------------------


def test_a_transport_of_another_kind_can_be_given(service: FaultyService, steward: Steward) -> None:
    witness = Witness(HttpTransport(service.url))
    with Client(witness, publisher_key=steward.publisher_key) as client:
        assert client.check(*MEMBER) == VERDICTS[MEMBER]
    assert set(witness.received) == set(WHATS)


def test_a_transport_with_words_of_its_own_is_a_fault_of_the_client(steward: Steward) -> None:
    class Broken(Witness):
        def manifest(self, deadline: Deadline, known: bytes | None = None) -> bytes:
            del deadline, known
            raise TransportError("no_such_word")

    with Client(Broken(HttpTransport("http://127.0.0.1")), publisher_key=steward.publisher_key) as client:
        assert reason_of(client.check(*MEMBER)) == R.CLIENT_FAULT


def test_a_device_without_memory_for_the_slow_hash_says_so(service: FaultyService, steward: Steward) -> None:
    service.release = steward.publish(2, parameters=STANDARD)
    program = (
        "import resource, sys; from breachcheck import Client\n"
        "client = Client(sys.argv[1], publisher_key=bytes.fromhex(sys.argv[2]))\n"
        "first = client.check('phone', '0612345678')\n"
        "held = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (held + (8 << 20), held + (8 << 20)))\n"
        "print(type(first).__name__, client.check('phone', '0612345678').reason)"
    )
    command = [sys.executable, "-c", program, service.url, steward.publisher_key.hex()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Exposed client_fault", done.stderr


def test_importing_the_package_is_cheap() -> None:
    heavy = "{'duckdb', 'pyarrow', 'fastapi', 'uvicorn', 'typer', 'rich'}"
    program = (
        "import sys, breachcheck\n"
        f"assert not ({heavy} | {{'urllib3', 'pydantic', 'cryptography'}}) & set(sys.modules)\n"
        "from breachcheck import Client, Exposed, NotFound, Undetermined\n"
        f"assert not {heavy} & set(sys.modules)\n"
        "assert Client is breachcheck.Client\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_package_offers_what_it_lists() -> None:
    import breachcheck

    assert all(hasattr(breachcheck, name) for name in breachcheck.__all__)
    with pytest.raises(AttributeError):
        _ = breachcheck.Server  # type: ignore[attr-defined]
