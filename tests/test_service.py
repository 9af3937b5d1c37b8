"""The service: real processes over loopback for what they promise, the application itself for clock and counting."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from starlette.types import Message
from urllib3.util import parse_url

from breachcheck import keys
from breachcheck.config import Role, load
from breachcheck.errors import InputError, ReleaseError
from breachcheck.protocol import messages, oprf
from breachcheck.protocol.bucket import open_page
from breachcheck.protocol.manifest import Manifest, open_signed
from breachcheck.protocol.parameters import MAX_BATCH
from breachcheck.service import create_app, serve
from breachcheck.service.evaluator import EXAMPLE_REQUEST, EXAMPLE_RESPONSE
from breachcheck.service.limits import DAY, Counters, Ration, network
from breachcheck.service.problems import TABLE, RefusedError
from breachcheck.service.server import _Formatter
from breachcheck.store.reader import open_release
from tests.world import BREACHCHECK, World

JSON = {"content-type": "application/json"}
IDENTITY = "00" * 32
ELEMENT = EXAMPLE_REQUEST["elements"][0]


# --- Driving it -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Process:
    """A running service, and where its output goes."""

    url: str
    process: subprocess.Popen[bytes]
    output: Path

    def ask(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        return urllib3.request(method, self.url + path, retries=False, redirect=False, timeout=10, **more)

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def evaluate(self, *elements: str, **headers: str) -> urllib3.BaseHTTPResponse:
        body = json.dumps({"elements": elements})
        return self.ask("POST", "/v1/evaluate", body=body, headers={**JSON, **headers})

    def metric(self, line: str) -> float:
        lines = dict(one.rsplit(" ", 1) for one in self.get("/metrics").data.decode().splitlines())
        return float(lines.get(line, 0))

    def connect(self, receive_buffer: int = 0) -> socket.socket:
        parts = parse_url(self.url)
        connection = socket.socket()
        connection.settimeout(10)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect((parts.host, parts.port))
        return connection


@contextmanager
def running(
    folder: Path, *words: object, env: Mapping[str, str] | None = None, command: Sequence[str] = BREACHCHECK
) -> Iterator[Process]:
    """Serve in a process of its own, on a free port, from its one line on stderr to its clean end."""
    output = folder / f"output-{time.monotonic_ns()}"
    settings = {"BREACHCHECK_ALLOW_TESTING_PARAMETERS": "1", **(env or {})}
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*command, "serve", "--port", "0", *map(str, words)],
            stdout=file,
            stderr=file,
            env={**os.environ, **settings},
        )
    try:
        deadline = time.monotonic() + 30
        while not (line := re.search(r"breachcheck: serving .* at (http://\S+) \(role \w+\)\n", output.read_text())):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.02)
        yield Process(line[1], process, output)
        process.terminate()
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def full(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The role `all` over the shared world, with caps that no test reaches."""
    caps = {"BREACHCHECK_DAILY_CAP": "1000000", "BREACHCHECK_ADDRESS_CAP": "0"}
    with running(
        tmp_path_factory.mktemp("full"), "--releases", world.releases, "--keys", world.keys, env=caps
    ) as process:
        yield process


@pytest.fixture(scope="module")
def manifest(world: World, full: Process) -> Manifest:
    return open_signed(full.get("/v1/manifest").data, bytes.fromhex(world.publisher.read_text()))


@dataclass
class Heard:
    """What an application answered, and how many parts of the body it asked for."""

    status: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    parts_read: int = 0


Ask = Callable[..., Heard]


def asking(app: Any) -> Ask:
    """Return a function that puts a request to the application itself, without a server."""

    def ask(method: str, path: str, headers: Mapping[str, str] | None = None, parts: Sequence[bytes] = (b"",)) -> Heard:
        heard = Heard()
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
            "client": ("192.0.2.1", 1), "server": ("127.0.0.1", 1), "state": {},
        }  # fmt: skip

        async def receive() -> Message:
            if heard.parts_read == len(parts):
                await asyncio.Event().wait()  # the client stays and says nothing more
            part = parts[heard.parts_read]
            heard.parts_read += 1
            return {"type": "http.request", "body": part, "more_body": heard.parts_read < len(parts)}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                heard.status, heard.headers = message["status"], tuple(message["headers"])
            else:
                heard.body += message.get("body", b"")

        asyncio.run(app(scope, receive, send))
        return heard

    return ask


@pytest.fixture(scope="module")
def build(world: World) -> Iterator[Callable[..., Any]]:
    """Make an application over the shared world, in this process, with a clock of the test's choosing."""
    with open_release(world.releases) as release:
        evaluator = keys.read_evaluator(world.keys)

        def make(clock: Callable[[], float] = time.time, **options: Any) -> Any:
            return create_app(load(**options), release, evaluator, clock=clock)

        yield make


def word(response: urllib3.BaseHTTPResponse) -> str:
    """Return the problem's word, having checked that it is a whole problem that no cache keeps."""
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    problem = response.json()
    name: str = problem["type"].removeprefix("urn:breachcheck:problem:")
    assert problem == TABLE[name].document
    assert problem["status"] == response.status
    return name


def fresh_elements(count: int) -> list[bytes]:
    return [oprf.blind(os.urandom(8))[1] for _ in range(count)]


# --- Manifest and buckets ---------------------------------------------------------------------------------------------


def test_the_manifest_is_the_signed_file_and_revalidated(world: World, full: Process) -> None:
    answer = full.get("/v1/manifest")
    assert answer.data == (world.releases / "1" / "manifest.signed").read_bytes()
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "no-cache"
    again = full.get("/v1/manifest", if_none_match=answer.headers["etag"])
    assert (again.status, again.data, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert full.get("/v1/manifest", if_none_match='"another", "yet another"').status == 200


def test_every_bucket_is_proved_equally_long_and_immutable(full: Process, manifest: Manifest) -> None:
    for table in manifest.kinds:
        for number in range(table.layout.buckets):
            answer = full.get(f"/v1/releases/1/buckets/{table.kind}/{number:06x}", accept_encoding="gzip, br, zstd")
            assert open_page(answer.data, table.layout, number, table.root)
            assert answer.headers["content-length"] == str(table.layout.page_length)
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert re.fullmatch('"[0-9a-f-]+"', answer.headers["etag"])
            assert "content-encoding" not in answer.headers


def test_a_bucket_that_the_client_has_is_not_sent_again(full: Process) -> None:
    path = "/v1/releases/1/buckets/phone/000001"
    etag = full.get(path).headers["etag"]
    for tag in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        again = full.get(path, if_none_match=tag)
        assert (again.status, again.data, again.headers["etag"]) == (304, b"", etag)
        assert again.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert full.get("/v1/releases/1/buckets/phone/000000", if_none_match=etag).status == 200


@pytest.mark.parametrize("path", ["/", "/v1/manifest", "/v1/releases/1/buckets/phone/000000", "/v1/status",
                                  "/v1/releases/1/phone.bin", "/v1/breaches", "/nothing", "/openapi.json"])  # fmt: skip
def test_head_is_get_without_the_body(full: Process, path: str) -> None:
    head, get = full.ask("HEAD", path), full.get(path)
    assert (head.status, head.data) == (get.status, b"")
    without_date = [{**answer.headers, "date": ""} for answer in (head, get)]
    assert without_date[0] == without_date[1]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/releases/2/buckets/phone/000000", "release"),
        ("/v1/releases/0/buckets/phone/000000", "release"),
        ("/v1/releases/01/buckets/phone/000000", "release"),
        ("/v1/releases/+1/buckets/phone/000000", "release"),
        ("/v1/releases/1/buckets/passport/0", "kind"),
        ("/v1/releases/1/buckets/Phone/0", "kind"),
        ("/v1/releases/1/buckets/phone/0", "bucket"),
        ("/v1/releases/1/buckets/phone/00000", "bucket"),
        ("/v1/releases/1/buckets/phone/0000000", "bucket"),
        ("/v1/releases/1/buckets/national_id/00000A", "bucket"),
        ("/v1/releases/1/buckets/national_id/000010", "bucket"),
        ("/v1/releases/1/buckets/phone/-00001", "bucket"),
        ("/v1/releases/1/buckets/phone/0x0001", "bucket"),
        ("/v1/releases/1/buckets/phone/0000_0", "bucket"),
        ("/v1/releases/1/buckets/phone/000001%0a", "bucket"),
        ("/v1/releases/1/buckets/phone/00000%D9%A1", "bucket"),
        ("/v1/releases/1/buckets/phone/ffffffffffffffffffffffff", "bucket"),
        ("/v1/releases/1/buckets/phone/", "not_found"),
        ("/v1/releases/1/buckets/phone/000000/", "not_found"),
        ("/v1/manifest/", "not_found"),
        ("/v1/releases/1/passport.bin", "kind"),
        ("/v1/releases/1/..%2f..%2f1%2fpages%2fphone.bin", "not_found"),
        ("/v1/releases/2/phone.bin", "release"),
        ("/v1/breaches/nowhere", "breach"),
        ("/docs", "not_found"),
        ("/redoc", "not_found"),
        ("//v1/manifest", "not_found"),
    ],
)
def test_what_is_not_there_is_a_problem_that_no_cache_keeps(full: Process, path: str, expected: str) -> None:
    answer = full.get(path)
    assert (answer.status, word(answer)) == (404, expected)
    assert "location" not in answer.headers


# --- Mirror -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def phones(world: World) -> bytes:
    return (world.releases / "1" / "pages" / "phone.bin").read_bytes()


def test_all_buckets_of_a_kind_come_in_order(full: Process, manifest: Manifest, phones: bytes) -> None:
    answer = full.get("/v1/releases/1/phone.bin")
    assert answer.data == phones
    table = manifest.table("phone")
    assert table
    third = phones[2 * table.layout.page_length : 3 * table.layout.page_length]
    assert full.get("/v1/releases/1/buckets/phone/000002").data == third
    assert full.get("/v1/releases/1/phone.bin", if_none_match=answer.headers["etag"]).status == 304


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0", 0, 1), ("0-99", 0, 100), ("100-199", 100, 200), ("6120-", 6120, None), ("-10", -10, None),
     ("0-99999999", 0, None), ("-99999999", 0, None)],
)  # fmt: skip
def test_one_range_of_bytes(full: Process, phones: bytes, asked: str, first: int, last: int | None) -> None:
    answer = full.get("/v1/releases/1/phone.bin", range=f"bytes={asked}")
    assert (answer.status, answer.data) == (206, phones[first:last])
    begin, end, size = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers["content-range"]).groups()  # type: ignore[union-attr]
    assert phones[int(begin) : int(end) + 1] == answer.data
    assert int(size) == len(phones)


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,3-4", "bytes=9-1", "bytes=-", "bytes=x-y", "lines=0-1", "bytes", "bytes=1"]
)
def test_a_range_that_is_several_or_none_is_ignored(full: Process, phones: bytes, asked: str) -> None:
    answer = full.get("/v1/releases/1/phone.bin", range=asked)
    assert (answer.status, answer.data) == (200, phones)


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=-0"])
def test_a_range_past_the_end_is_a_problem(full: Process, phones: bytes, asked: str) -> None:
    answer = full.get("/v1/releases/1/phone.bin", range=asked)
    assert (answer.status, word(answer)) == (416, "range")
    assert answer.headers["content-range"] == f"bytes */{len(phones)}"


def test_a_range_of_another_version_is_answered_with_the_whole(full: Process, phones: bytes) -> None:
    assert full.get("/v1/releases/1/phone.bin", range="bytes=0-9", if_range='"another"').data == phones
    etag = full.get("/v1/releases/1/phone.bin").headers["etag"]
    assert full.get("/v1/releases/1/phone.bin", range="bytes=0-9", if_range=etag).data == phones[:10]


# --- Evaluation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, MAX_BATCH])
def test_an_evaluation_is_proved_with_the_published_key(full: Process, manifest: Manifest, count: int) -> None:
    elements = fresh_elements(count)
    answer = full.ask("POST", "/v1/evaluate", body=messages.encode_request(elements), headers=JSON)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    evaluated, proof = messages.decode_response(answer.data)
    assert oprf.verify_proof(manifest.public_key, elements, evaluated, proof)


def test_the_media_type_may_carry_parameters(full: Process) -> None:
    assert full.evaluate(ELEMENT, **{"content-type": "Application/JSON; charset=utf-8"}).status == 200


NOT_REQUESTS = {
    "empty": b"",
    "not JSON": b"elements",
    "not UTF-8": b'{"elements": ["\xff"]}',
    "a list": b"[]",
    "no elements": b'{"elements": []}',
    "nine": json.dumps({"elements": [ELEMENT] * 9}).encode(),
    "not strings": b'{"elements": [1]}',
    "one string": json.dumps({"elements": ELEMENT}).encode(),
    "upper case": json.dumps({"elements": [ELEMENT.upper()]}).encode(),
    "short": json.dumps({"elements": [ELEMENT[2:]]}).encode(),
    "long": json.dumps({"elements": [ELEMENT + "00"]}).encode(),
    "line end": json.dumps({"elements": [ELEMENT + "\n"]}).encode(),
    "more fields": json.dumps({"elements": [ELEMENT], "identifier": "x"}).encode(),
    "deep": b'{"elements":' + b"[" * 1000,
    "two documents": json.dumps({"elements": [ELEMENT]}).encode() * 2,
}
NOT_ELEMENTS = {
    "identity": IDENTITY,
    "one": "01" + "00" * 31,
    "field order": "ed" + "ff" * 30 + "7f",
    "above the field": "ff" * 32,
    "negative": (int.from_bytes(bytes.fromhex(ELEMENT), "little") | 1).to_bytes(32, "little").hex(),
    "high bit": (bytes.fromhex(ELEMENT)[:31] + bytes([bytes.fromhex(ELEMENT)[31] | 0x80])).hex(),
}


@pytest.mark.parametrize("body", NOT_REQUESTS.values(), ids=NOT_REQUESTS)
def test_what_is_not_a_request_is_refused(full: Process, body: bytes) -> None:
    answer = full.ask("POST", "/v1/evaluate", body=body, headers=JSON)
    assert (answer.status, word(answer)) == (400, "evaluate_request")


@pytest.mark.parametrize("element", NOT_ELEMENTS.values(), ids=NOT_ELEMENTS)
@pytest.mark.parametrize("place", [0, 7])
def test_what_is_no_element_is_refused(full: Process, element: str, place: int) -> None:
    elements = [one.hex() for one in fresh_elements(7)]
    answer = full.evaluate(*elements[:place], element, *elements[place:])
    assert (answer.status, word(answer)) == (400, "element")


def test_what_is_refused_never_reaches_a_multiplication(
    build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplied: list[str] = []

    def counting(name: str, original: Callable[..., bytes]) -> Callable[..., bytes]:
        def counted(*given: bytes) -> bytes:
            multiplied.append(name)
            return original(*given)

        return counted

    for name in ("_multiply", "_multiply_base"):
        monkeypatch.setattr(oprf, name, counting(name, getattr(oprf, name)))
    ask = asking(build(address_cap=1))
    elements = [json.dumps({"elements": [ELEMENT, element]}).encode() for element in NOT_ELEMENTS.values()]
    for body in [*NOT_REQUESTS.values(), *elements]:
        assert ask("POST", "/v1/evaluate", JSON, [body]).status == 400
    two = json.dumps({"elements": [ELEMENT, ELEMENT]}).encode()
    assert ask("POST", "/v1/evaluate", JSON, [two]).status == 429
    assert multiplied == []
    one = json.dumps({"elements": [ELEMENT]}).encode()
    assert ask("POST", "/v1/evaluate", JSON, [one]).status == 200
    assert multiplied


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_only_json_is_taken(full: Process, media_type: str) -> None:
    answer = full.evaluate(ELEMENT, **{"content-type": media_type})
    assert (answer.status, word(answer)) == (415, "media_type")


def test_a_body_that_is_too_long_is_refused(full: Process) -> None:
    longest = json.dumps({"elements": [ELEMENT]}).encode().ljust(messages.MAX_EVALUATION_LENGTH)
    assert full.ask("POST", "/v1/evaluate", body=longest, headers=JSON).status == 200
    answer = full.ask("POST", "/v1/evaluate", body=longest + b" ", headers=JSON)
    assert (answer.status, word(answer)) == (413, "too_long")
    chunked = full.ask("POST", "/v1/evaluate", body=iter([longest, b" "]), headers=JSON)
    assert (chunked.status, word(chunked)) == (413, "too_long")
    in_chunks = full.ask("POST", "/v1/evaluate", body=iter([longest[:9], longest[9:]]), headers=JSON)
    assert in_chunks.status == 200


def test_a_body_that_is_too_long_is_not_read_to_its_end(build: Callable[..., Any]) -> None:
    ask = asking(build())
    announced = {**JSON, "content-length": str(1 << 40)}
    assert ask("POST", "/v1/evaluate", announced, [b"x"] * 1000).parts_read == 0
    endless = ask("POST", "/v1/evaluate", JSON, [b" " * 1000] * 1000)
    assert (endless.status, endless.parts_read) == (413, 3)
    assert ask("POST", "/v1/evaluate", {"content-type": "text/plain"}, [b"x"] * 1000).parts_read == 0


# --- Rationing --------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def refusal(ration: Ration, host: str, cost: int) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        ration.take(host, cost)
    return refused.value


def test_elements_are_counted_by_address_and_a_refusal_consumes_nothing() -> None:
    ration = Ration(daily_cap=100, address_cap=10, clock=Clock(0))
    ration.take("192.0.2.1", 8)
    assert refusal(ration, "192.0.2.1", 3).reason == "address_cap"
    ration.take("192.0.2.1", 2)
    assert refusal(ration, "192.0.2.1", 1).reason == "address_cap"
    ration.take("192.0.2.2", 8)


def test_elements_are_counted_for_everybody_together_and_a_refusal_consumes_nothing() -> None:
    ration = Ration(daily_cap=20, address_cap=10, clock=Clock(0))
    ration.take("192.0.2.1", 8)
    ration.take("192.0.2.2", 8)
    assert refusal(ration, "192.0.2.3", 8).reason == "daily_cap"
    ration.take("192.0.2.3", 4)
    assert refusal(ration, "192.0.2.4", 1).reason == "daily_cap"
    assert refusal(ration, "192.0.2.1", 3).reason == "address_cap"


def test_without_a_cap_on_addresses_only_the_daily_cap_holds() -> None:
    ration = Ration(daily_cap=16, address_cap=0, clock=Clock(0))
    ration.take("192.0.2.1", 8)
    ration.take("192.0.2.1", 8)
    assert refusal(ration, "192.0.2.1", 1).reason == "daily_cap"


@pytest.mark.parametrize(
    ("now", "seconds"), [(0, DAY), (1.5, DAY - 1), (DAY - 1, 1), (DAY - 0.001, 1), (20_000 * DAY + 3600.0, DAY - 3600)]
)
def test_retry_after_is_the_time_until_midnight_and_never_zero(now: float, seconds: int) -> None:
    clock = Clock(now)
    ration = Ration(daily_cap=100, address_cap=1, clock=clock)
    assert refusal(ration, "192.0.2.1", 2).headers == {"retry-after": str(seconds)}
    ration.take("192.0.2.1", 1)
    clock.now += seconds
    ration.take("192.0.2.1", 1)


def test_a_new_day_begins_anew_also_when_the_clock_was_wrong() -> None:
    clock = Clock(30_000 * DAY)
    ration = Ration(daily_cap=1, address_cap=1, clock=clock)
    for day in (30_000, 20_000, 20_001):
        clock.now = day * DAY
        ration.take("192.0.2.1", 1)
        assert refusal(ration, "192.0.2.1", 1).reason == "address_cap"
        assert refusal(ration, "192.0.2.2", 1).reason == "daily_cap"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "::ffff:c000:201", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:0DB8:0000:0001::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "not an address", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (network(one) == network(other)) is same


def test_the_address_longest_silent_gives_way() -> None:
    counters = Counters(capacity=3)
    for key in ("a", "b", "c", "a", "d"):
        counters.incr(key, DAY)
    assert {key: counters.get(key) for key in "abcd"} == {"a": 2, "b": 0, "c": 1, "d": 1}
    assert len(counters) == 3


def test_a_rationed_client_is_told_when_to_come_back(world: World, tmp_path: Path) -> None:
    caps = {"BREACHCHECK_ADDRESS_CAP": "9", "BREACHCHECK_DAILY_CAP": "12"}
    elements = [one.hex() for one in fresh_elements(8)]
    with running(tmp_path, "--releases", world.releases, "--keys", world.keys, env=caps) as process:
        assert process.evaluate(*elements).status == 200
        assert word(process.evaluate(IDENTITY)) == "element"
        for claimed in ("198.51.100.7", "203.0.113.9, 198.51.100.7"):
            # Forwarded headers are not believed, not even from loopback.
            answer = process.evaluate(*elements[:2], **{"x-forwarded-for": claimed, "forwarded": f"for={claimed}"})
            assert (answer.status, word(answer)) == (429, "address_cap")
            assert 1 <= int(answer.headers["retry-after"]) <= DAY
        assert process.evaluate(elements[0]).status == 200
        assert process.evaluate(elements[0]).status == 429
        assert process.metric("breachcheck_elements_total") == 9
        assert process.metric('breachcheck_refusals_total{reason="address_cap"}') == 3
        assert process.metric('breachcheck_refusals_total{reason="element"}') == 1


def test_a_trusted_proxy_says_who_asks_and_the_daily_cap_holds_all(world: World, tmp_path: Path) -> None:
    settings = {
        "BREACHCHECK_ADDRESS_CAP": "1",
        "BREACHCHECK_DAILY_CAP": "3",
        "BREACHCHECK_TRUSTED_PROXIES": "127.0.0.1",
    }
    with running(tmp_path, "--releases", world.releases, "--keys", world.keys, env=settings) as process:
        expected = {"2001:db8::1": 200, "2001:db8::2": 429, "192.0.2.1": 200, "::ffff:192.0.2.1": 429, "192.0.2.2": 200}
        for client, status in expected.items():
            assert process.evaluate(ELEMENT, **{"x-forwarded-for": f"10.9.9.9, {client}"}).status == status
        assert word(process.evaluate(ELEMENT, **{"x-forwarded-for": "192.0.2.3"})) == "daily_cap"


# --- Roles and health -------------------------------------------------------------------------------------------------


def test_a_bucket_server_has_no_key_and_an_evaluator_no_release(world: World, tmp_path: Path) -> None:
    with running(tmp_path, "--releases", world.releases, "--role", "buckets") as process:
        assert process.get("/v1/releases/1/buckets/phone/000000").status == 200
        answer = process.evaluate(ELEMENT)
        assert (answer.status, word(answer)) == (404, "no_evaluator")
        assert process.get("/readyz").json() == {
            "ready": True, "role": "buckets", "checked": ["release_validity", "pages", "self_check"], "reasons": [],
            "self_check": None,
        }  # fmt: skip
    with running(tmp_path, "--keys", world.keys, "--role", "evaluator") as process:
        assert process.evaluate(ELEMENT).status == 200
        for path in ("/v1/manifest", "/v1/releases/1/buckets/phone/000000", "/v1/releases/1/phone.bin", "/v1/breaches",
                     "/v1/breaches/demo", "/v1/dataclasses"):  # fmt: skip
            assert (process.get(path).status, word(process.get(path))) == (404, "no_release")
        assert process.get("/readyz").json()["checked"] == ["evaluator_key", "self_check"]
        assert process.get("/v1/status").json()["release"] is None


def test_status_says_what_is_served(full: Process, manifest: Manifest) -> None:
    assert full.get("/livez").json() == {"alive": True}
    assert full.get("/readyz").json() == {
        "ready": True, "role": "all", "reasons": [], "self_check": None,
        "checked": ["release_validity", "pages", "evaluator_key", "self_check"],
    }  # fmt: skip
    status = full.get("/v1/status").json()
    assert (status["role"], status["healthy"], status["reasons"]) == ("all", True, [])
    assert (status["release"], status["parameters"]) == (1, "testing-only")
    assert status["valid_until"] == manifest.valid_until.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("days", "reasons"), [(0, []), (89, []), (91, ["release_expired"]), (-0.9, []), (-2, ["release_not_yet_valid"])]
)
def test_a_release_out_of_its_time_is_not_ready(
    build: Callable[..., Any], manifest: Manifest, days: float, reasons: list[str]
) -> None:
    ask = asking(build(clock=lambda: manifest.created.timestamp() + days * DAY))
    answer = ask("GET", "/readyz")
    assert answer.status == (503 if reasons else 200)
    assert json.loads(answer.body)["reasons"] == reasons
    assert json.loads(ask("GET", "/v1/status").body)["healthy"] is not bool(reasons)
    assert ask("GET", "/livez").status == 200


def test_a_page_that_is_not_what_was_published_is_never_sent(world: World, tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    shutil.copytree(world.releases, releases)
    with running(tmp_path, "--releases", releases, "--role", "buckets") as process:
        pages = releases / "1" / "pages" / "phone.bin"
        with pages.open("r+b") as file:
            first = file.read(1)
            file.seek(0)
            file.write(bytes([first[0] ^ 1]))
        for _ in range(2):
            answer = process.get("/v1/releases/1/buckets/phone/000000")
            assert (answer.status, word(answer)) == (500, "page_damaged")
        assert process.get("/v1/releases/1/buckets/phone/000001").status == 200
        os.truncate(pages, 0)
        assert word(process.get("/v1/releases/1/buckets/phone/000001")) == "page_damaged"
        ready = process.get("/readyz")
        assert (ready.status, ready.json()["reasons"]) == (503, ["page_damaged"])
        assert process.metric("breachcheck_damaged_pages_total") in (3, 4)  # its own reading may have met one at once
        assert process.metric("breachcheck_ready") == 0
        answer = process.get("/v1/releases/1/phone.bin")
        assert (answer.status, word(answer)) == (500, "page_damaged")
        pages.unlink()
        answer = process.get("/v1/releases/1/phone.bin")
        assert (answer.status, word(answer)) == (500, "page_damaged")
        assert answer.headers["x-content-type-options"] == "nosniff"
        output = process.output.read_text()
        assert output.count("damaged") == 1
        assert str(releases) not in output  # of a fault of ours, only kind and place are logged


def test_metrics_hold_no_address_and_no_bucket(full: Process) -> None:
    full.get("/v1/releases/1/buckets/phone/000003")
    full.ask("PROPFIND", "/v1/releases/1/buckets/phone/000003")
    text = full.get("/metrics").data.decode()
    assert 'route="/v1/releases/{release}/buckets/{kind}/{bucket}",method="GET",status="200"' in text
    assert full.metric("breachcheck_release") == 1
    assert 89 * DAY < full.metric("breachcheck_release_expiry_seconds") <= 90 * DAY
    assert "127.0.0.1" not in text
    assert "phone" not in text
    assert "PROPFIND" not in text
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"\\]*",?)+\})? -?\d+', line)


# --- What every answer has in common ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/livez", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/v1/manifest", 200),
        ("GET", "/v1/releases/1/buckets/phone/000000", 200),
        ("GET", "/v1/releases/1/phone.bin", 200),
        ("GET", "/v1/breaches", 200),
        ("POST", "/v1/evaluate", 415),
        ("GET", "/nothing", 404),
        ("DELETE", "/v1/manifest", 405),
        ("OPTIONS", "/livez", 405),
        ("OPTIONS", "/v1/evaluate", 204),
    ],
)
def test_headers_of_every_answer(full: Process, method: str, path: str, status: int) -> None:
    answer = full.ask(method, path)
    assert answer.status == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"]
    assert not {"server", "set-cookie", "x-powered-by", "content-encoding"} & {name.lower() for name in answer.headers}
    assert answer.headers.get("access-control-allow-origin") == ("*" if path.startswith("/v1/") else None)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/v1/evaluate", "POST"), ("GET", "/v1/evaluate", "POST"), ("POST", "/v1/manifest", "GET, HEAD"),
     ("POST", "/v1/breaches", "GET, HEAD"), ("DELETE", "/", "GET, HEAD")],
)  # fmt: skip
def test_another_method_is_told_which_are_allowed(full: Process, method: str, path: str, allowed: str) -> None:
    answer = full.ask(method, path)
    assert (answer.status, word(answer), answer.headers["allow"]) == (405, "method", allowed)


def test_a_page_of_another_origin_may_call_the_api(full: Process) -> None:
    answer = full.ask("OPTIONS", "/v1/evaluate", headers={"origin": "https://a.example"})
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "Content-Type" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_the_express_lane_answers_as_the_framework_would(build: Callable[..., Any]) -> None:
    express, framework = build(), build()
    framework.user_middleware.clear()
    body = [json.dumps({"elements": [ELEMENT]}).encode()]
    for method, path, headers, parts in (
        ("GET", "/v1/manifest", {}, [b""]),
        ("GET", "/v1/releases/1/buckets/phone/000000", {}, [b""]),
        ("GET", "/v1/releases/1/buckets/phone/000000", {"if-none-match": "*"}, [b""]),
        ("GET", "/v1/releases/1/buckets/phone/00", {}, [b""]),
        ("GET", "/v1/releases/1/phone.bin", {"range": "bytes=3-5"}, [b""]),
        ("GET", "/v1/releases/1/phone.bin", {"range": "bytes=999999999-"}, [b""]),
        ("POST", "/v1/evaluate", {}, body),
        ("POST", "/v1/evaluate", JSON, [b"{}"]),
    ):
        one, other = (asking(app)(method, path, headers, parts) for app in (express, framework))
        assert (one.status, one.headers, one.body) == (other.status, other.headers, other.body)


# --- What is described ------------------------------------------------------------------------------------------------


def test_breaches_are_those_of_the_manifest(full: Process, manifest: Manifest) -> None:
    [dataset], [breach] = manifest.datasets, full.get("/v1/breaches").json()
    assert breach["Name"] == "demo"
    assert breach["DataClasses"] == list(dataset.fields)
    assert (breach["RowsRead"], breach["RowsAccepted"]) == (dataset.rows_read, dataset.rows_accepted)
    assert full.get("/v1/breaches/demo").json() == breach
    assert full.get("/v1/dataclasses").json() == list(manifest.data_classes)


def test_openapi_describes_every_route_with_its_refusals(full: Process) -> None:
    document = full.get("/openapi.json").json()
    assert "servers" not in document
    assert sorted(document["paths"]) == [
        "/livez", "/metrics", "/readyz", "/v1/breaches", "/v1/breaches/{name}", "/v1/dataclasses", "/v1/evaluate",
        "/v1/manifest", "/v1/releases/{release}/buckets/{kind}/{bucket}", "/v1/releases/{release}/{kind}.bin",
        "/v1/status", "/v1/withdrawn",
    ]  # fmt: skip
    for reference in re.findall(r'"\$ref": ?"#/components/schemas/(\w+)"', json.dumps(document)):
        assert reference in document["components"]["schemas"]
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
        assert "422" not in operation["responses"]
        for status, response in operation["responses"].items():
            examples = response.get("content", {}).get("application/problem+json", {}).get("examples", {})
            assert all(str(example["value"]["status"]) == status for example in examples.values())
    described = document["paths"]["/v1/evaluate"]["post"]["responses"]
    assert set(described) == {"200", "400", "404", "413", "415", "429", "500", "503"}
    assert "Retry-After" in described["429"]["headers"] and "Retry-After" in described["503"]["headers"]


def test_the_example_of_openapi_is_the_vector_of_the_rfc(full: Process) -> None:
    document = full.get("/openapi.json").json()["paths"]["/v1/evaluate"]["post"]
    request = document["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
    response = document["responses"]["200"]["content"]["application/json"]["example"]
    assert (request, response) == (EXAMPLE_REQUEST, EXAMPLE_RESPONSE)
    vectors = json.loads((Path(__file__).parent / "vectors" / "rfc9497.json").read_text())
    evaluated, proof = messages.decode_response(json.dumps(response).encode())
    blinded = messages.decode_request(json.dumps(request).encode())
    assert oprf.verify_proof(bytes.fromhex(vectors["pk"]), blinded, evaluated, proof)


# --- Nothing comes back -----------------------------------------------------------------------------------------------


MARKER = "K918273645"
PATHS = ("/", "/fr/", *["/v1/evaluate"] * 3, "/v1/manifest", "/v1/releases/1/buckets/phone/000000",
         "/v1/releases/1/phone.bin", "/readyz", "/v1/breaches", "/metrics", "/openapi.json")  # fmt: skip
HEADERS = ("accept", "accept-language", "accept-encoding", "host", "content-type", "range", "if-none-match", "if-range",
           "origin", "cookie", "x-forwarded-for", "access-control-request-headers", MARKER)  # fmt: skip
BODIES = (MARKER, MARKER * 300, json.dumps({"elements": [MARKER]}), json.dumps({MARKER: [ELEMENT]}))
WIRE = (
    "M\r\n\r\n",
    "GET /M\r\n\r\n",
    "GET /M HTTP/9.9\r\n\r\n",
    "M /M HTTP/1.1\r\nhost: M\r\n\r\n",
    "GET /Mé HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /%ffM HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET http://M/M HTTP/1.1\r\nhost: x\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: M\r\n\r\n",
    "CONNECT M:80 HTTP/1.1\r\nhost: M\r\n\r\n",
    "GET / HTTP/1.1\r\nM\r\n\r\n",
    "GET / HTTP/1.1\r\nupgrade: M\r\nconnection: upgrade\r\n\r\n",
    "GET /M HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: M\r\n\r\n",
    "POST /v1/evaluate HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: M\r\n\r\n",
    "POST /v1/evaluate HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: M\r\n\r\n",
    "POST /v1/evaluate HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nM\r\n",
    f"GET /{'M' * 6_000} HTTP/1.1\r\nhost: x\r\n\r\n",
)


def submissions(seeded: random.Random) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """Yield method, path, body and headers, with the marker in one or more of them."""
    for _ in range(400):
        parts = seeded.choice(PATHS).split("/")
        if seeded.random() < 0.4:
            parts[seeded.randrange(1, len(parts))] = seeded.choice(
                [MARKER, f"%00{MARKER}", f"{MARKER}%0d%0a", f"{MARKER}/"]
            )
        query = seeded.choice(["", f"?{MARKER}={MARKER}"])
        headers = {seeded.choice(HEADERS): MARKER, **seeded.choice([{}, JSON])}
        method = seeded.choice(["GET", "HEAD", "POST", "POST", "PUT", "OPTIONS", MARKER])
        yield method, "/".join(parts) + query, seeded.choice(BODIES), headers


def test_nothing_that_was_submitted_comes_back_or_is_logged(world: World, tmp_path: Path) -> None:
    loud = {"BREACHCHECK_LOG_LEVEL": "debug"}
    answers: list[tuple[int, bytes]] = []
    with running(tmp_path, "--releases", world.releases, "--keys", world.keys, env=loud) as process:
        for method, path, body, headers in submissions(random.Random(1)):
            answer = process.ask(method, path, body=body, headers=headers)
            answers.append((answer.status, repr(answer.headers).encode() + answer.data))
        for sent in WIRE:
            with process.connect() as connection:
                connection.sendall(sent.replace("M", MARKER).encode())
                received = http.client.HTTPResponse(connection)
                received.begin()
                answers.append((received.status, repr(received.getheaders()).encode() + received.read()))
        assert process.get("/readyz").status == 200
    assert {200, 204, 400, 404, 405, 413, 415} <= {status for status, _ in answers}
    assert not [content for _, content in answers if MARKER.encode() in content]
    logged = process.output.read_text()
    assert MARKER not in logged
    assert "/v1/" not in logged  # nor a request of its own: the self-check's name buckets


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_a_crash_leaves_no_core_file_and_pipes_none_to_a_program() -> None:
    look = (
        "import ctypes, resource\nfrom breachcheck.service.server import _harden\n_harden(100)\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, check=True).stdout == b"0 0\n"


def test_of_a_fault_the_log_tells_kind_and_place_and_never_the_text() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter("%(message)s"))
    try:
        int("K918273645")
    except ValueError as error:
        handler.handle(
            logging.LogRecord("x", logging.ERROR, "x", 1, "failed", (), (ValueError, error, error.__traceback__))
        )
    assert "ValueError" in stream.getvalue()
    assert "test_service.py" in stream.getvalue()
    assert ": 'K918273645'" not in stream.getvalue()


# --- Slow and many ----------------------------------------------------------------------------------------------------

HALF_REQUESTS = (
    b"",
    b"GET /v1/manifest HTTP/1.1\r\nhost: x\r\n",
    b"POST /v1/evaluate HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 80\r\n\r\n{",
    b"POST /v1/evaluate HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
    b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n\r\n",
    b"POST /livez HTTP/1.1\r\ncontent-length: 9\r\n\r\n",
)


@pytest.mark.parametrize("most", [4096, 32])
def test_two_hundred_idle_connections_keep_nobody_out(world: World, tmp_path: Path, most: int) -> None:
    settings = {
        "BREACHCHECK_MAX_CONNECTIONS": str(most),
        "BREACHCHECK_REQUEST_TIMEOUT": "2",
        "BREACHCHECK_KEEP_ALIVE": "2",
    }
    with (
        running(tmp_path, "--releases", world.releases, "--keys", world.keys, env=settings) as process,
        ExitStack() as stack,
    ):
        idle = [stack.enter_context(process.connect()) for _ in range(200)]
        for number, connection in enumerate(idle):
            try:
                connection.sendall(HALF_REQUESTS[number % len(HALF_REQUESTS)])
            except (BrokenPipeError, ConnectionResetError):
                assert most == 32
        for _ in range(20):
            started = time.monotonic()
            assert process.get("/v1/releases/1/buckets/phone/000000").status == 200
            assert process.evaluate(ELEMENT).status == 200
            assert time.monotonic() - started < 1
        deadline = time.monotonic() + 8
        for connection in idle:
            connection.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass  # closed all the same


@pytest.mark.parametrize(
    ("start", "filler"),
    [
        (b"GET / HTTP/1.1\r\n", b"x-filler: " + b"x" * 1000 + b"\r\n"),
        (b"GET / HTTP/1.1\r\nx-filler: ", b"x" * 1000),
        (b"GET /", b"x" * 1000),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x-filler: x\r\n" * 100),
        (b"", b"GET /v1/releases/1/phone.bin HTTP/1.1\r\nhost: x\r\n\r\n" * 50),
        (b"", b"GET /v1/releases/1/buckets/phone/000000 HTTP/1.1\r\nhost: x\r\n\r\n" * 50),
        (b"", b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n" * 50),
    ],
    ids=["headers", "header", "path", "trailers", "files", "buckets", "status"],
)
def test_a_head_or_a_queue_without_end_is_given_up(full: Process, start: bytes, filler: bytes) -> None:
    with full.connect() as connection, pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.sendall(start)
        for _ in range(100_000):
            connection.sendall(filler)


IMPATIENT = """
import socket
from breachcheck.cli import main
from breachcheck.service import server

listen = server._listen

def listen_with_small_buffers(host, port):
    listener = listen(host, port)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return listener

server._listen = listen_with_small_buffers
server._STALL = 1
main()
"""


@pytest.mark.parametrize("asked", [1, 3])
def test_an_answer_that_nobody_reads_is_given_up(world: World, tmp_path: Path, phones: bytes, asked: int) -> None:
    # As the command line serves, but with less patience, and with little room in the kernel.
    command = (sys.executable, "-c", IMPATIENT)
    with running(tmp_path, "--releases", world.releases, "--role", "buckets", command=command) as process:
        with process.connect(4096) as reader, process.connect(4096) as sleeper:
            for connection in (sleeper, reader):
                connection.sendall(b"GET /v1/releases/1/phone.bin HTTP/1.1\r\nhost: x\r\n\r\n" * asked)
            slowly = at_last = 0
            while slowly < asked * len(phones):
                part = reader.recv(3000)
                assert part
                slowly += len(part)
                time.sleep(0.05)
            while part := sleeper.recv(65536):
                at_last += len(part)
            assert at_last < len(phones)
        assert process.get("/livez").status == 200


def test_connections_broken_in_the_middle_leave_no_trace(full: Process) -> None:
    seeded = random.Random(1)
    body = json.dumps({"elements": [ELEMENT]}).encode()
    post = b"POST /v1/evaluate HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    paths = (b"/v1/releases/1/phone.bin", b"/v1/releases/1/buckets/phone/000000", b"/v1/status")
    requests = [post + body, *(b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % path for path in paths)]
    for _ in range(500):
        with full.connect() as connection:
            connection.sendall(seeded.choice(requests) * seeded.choice([1, 2, 10]))
            time.sleep(seeded.choice([0, 0.001]))
            linger = struct.pack("ii", seeded.choice([0, 1]), 0)  # an end, or a reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert full.get("/livez").status == 200
    assert full.output.read_text().count("\n") == 1


# --- Start and stop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_whoever_is_connected(
    world: World, tmp_path: Path, phones: bytes, number: signal.Signals
) -> None:
    served = ("--releases", world.releases, "--role", "buckets", "--publisher-key", world.publisher)
    with running(tmp_path, *served) as process, ExitStack() as stack:
        for half in HALF_REQUESTS:
            stack.enter_context(process.connect()).sendall(half)
        reader = stack.enter_context(process.connect())
        reader.sendall(b"GET /v1/releases/1/phone.bin HTTP/1.1\r\nhost: x\r\n\r\n" * 20)
        received = reader.recv(1024)
        process.process.send_signal(number)
        time.sleep(0.3)
        while part := reader.recv(1 << 20):
            received += part
        assert process.process.wait(7) == 0
        assert received.endswith(phones)  # the answer under way was finished
        assert process.output.read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"role": "all", "releases": "RELEASES"}, "settings: keys: "),
        ({"role": "all", "keys": "KEYS"}, "settings: releases: "),
        ({"role": "buckets"}, "settings: releases: "),
        ({"role": "evaluator"}, "settings: keys: "),
        ({"role": "buckets", "releases": "RELEASES", "allow_testing_parameters": False}, "testing_parameters: "),
        ({"releases": "RELEASES", "keys": "OTHER"}, "manifest: manifest_signature"),
        (
            {"releases": "RELEASES", "keys": "OTHER", "publisher_key": "PUBLISHER"},
            "keys: the evaluator's key is not the one",
        ),
        ({"releases": "RELEASES", "keys": "OPEN"}, "keys: evaluator.key must be 0600"),
        ({"releases": "EMPTY", "keys": "KEYS"}, "no_release: "),
        ({"role": "buckets", "releases": "RELEASES", "host": "192.0.2.1"}, "listen: 192.0.2.1 port 0: "),
        ({"role": "buckets", "releases": "RELEASES", "host": "no-such-host.invalid"}, "listen: no-such-host.invalid "),
    ],
)
def test_what_must_not_be_served_is_not(world: World, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    places = {"RELEASES": world.releases, "KEYS": world.keys, "PUBLISHER": world.publisher, "EMPTY": tmp_path / "empty"}
    for name in ("OTHER", "OPEN"):
        places[name] = tmp_path / name
        keys.init(places[name])
    (tmp_path / "OPEN" / "evaluator.key").chmod(0o640)
    given = {name: places.get(str(value), value) for name, value in options.items()}
    with pytest.raises((InputError, ReleaseError)) as refused:
        serve(load(**{"port": 0, "allow_testing_parameters": True, **given}))
    assert str(refused.value).startswith(message)


def test_when_it_cannot_start_it_says_why_in_one_line(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*BREACHCHECK, "serve", "--role", "buckets", "--releases", str(world.releases), "--port", str(port)]
        done = subprocess.run(command, text=True, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"breachcheck: listen: 127.0.0.1 port {port}: Address already in use\n"


def test_roles_are_those_of_the_command_line() -> None:
    assert [str(role) for role in Role] == ["all", "buckets", "evaluator"]
