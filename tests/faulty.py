"""A service that can lie: a small honest release behind raw sockets, and ways to spoil each of its answers.

A fault takes the question, with the honest answer in it, and returns what is sent instead: another `Answer`, or a
script of octets and pauses after which the connection is closed.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from breachcheck.exposure import DataClass, Flag, mask_of
from breachcheck.protocol import bucket, entry, manifest, merkle, messages, oprf
from breachcheck.protocol.entry import Payload
from breachcheck.protocol.identifier import KINDS, identify
from breachcheck.protocol.parameters import PROTOCOL, SUITE, TESTING_ONLY, SlowHash
from breachcheck.protocol.server import Evaluator
from breachcheck.protocol.slow_hash import slow_hash

What = Literal["manifest", "evaluate", "page"]
WHATS: Final[tuple[What, ...]] = ("manifest", "evaluate", "page")

OCTETS: Final = "application/octet-stream"
JSON: Final = "application/json"

# --- An honest release ------------------------------------------------------------------------------------------------

CNSS: Final = "cnss-2025"
NOTARIES: Final = "notaries-2025"
FIELDS: Final[Mapping[str, tuple[DataClass, ...]]] = {
    CNSS: (DataClass.NAMES, DataClass.EARNINGS, DataClass.PHONE_NUMBERS, DataClass.GOVERNMENT_ISSUED_IDS),
    NOTARIES: (DataClass.NAMES, DataClass.PHYSICAL_ADDRESSES),
}
DATASET_KINDS: Final = {CNSS: ("national_id", "phone"), NOTARIES: ("national_id",)}

Members = Mapping[tuple[str, str], Mapping[str, Payload]]
MEMBERS: Final[Members] = {
    ("national_id", "AB123456"): {
        CNSS: Payload(mask_of([DataClass.NAMES, DataClass.EARNINGS])),
        NOTARIES: Payload(mask_of([DataClass.PHYSICAL_ADDRESSES])),
    },
    ("national_id", "OD77"): {NOTARIES: Payload(mask_of([DataClass.NAMES]))},
    ("phone", "0612345678"): {CNSS: Payload(mask_of([DataClass.NAMES, DataClass.EARNINGS]))},
    ("phone", "0522000000"): {CNSS: Payload(mask_of([DataClass.PHONE_NUMBERS]), Flag.EMPLOYER)},
}


@dataclass(frozen=True, repr=False)
class Release:
    """A signed manifest, and the pages of every kind in bucket order."""

    manifest: manifest.Manifest
    signed: bytes
    pages: Mapping[str, Sequence[bytes]]


@dataclass(frozen=True, repr=False)
class Steward:
    """Who holds the keys of a release, and publishes."""

    publisher: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    evaluator: Evaluator = field(default_factory=lambda: Evaluator(oprf.random_scalar()))
    salt: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def publisher_key(self) -> bytes:
        return self.publisher.public_key().public_bytes_raw()

    def publish(
        self,
        release: int,
        *,
        members: Members = MEMBERS,
        age: timedelta = timedelta(hours=1),
        life: timedelta = timedelta(days=30),
        parameters: SlowHash = TESTING_ONLY,
        prefix_bits: int = 2,
        entries_per_bucket: int = 8,
    ) -> Release:
        """Return a release created `age` ago that is valid for `life` from then on."""
        layout = bucket.Layout(prefix_bits, entries_per_bucket)
        entries: dict[str, list[list[bytes]]] = {
            kind: [[] for _ in range(layout.buckets)] for kind in ("national_id", "phone")
        }
        for (kind, text), exposures in members.items():
            y = oprf.evaluate(self.evaluator.sk, slow_hash(identify(kind, text), self.salt, parameters))
            place = entries[kind][layout.bucket_of(entry.locate(y, kind))]
            place.extend(entry.seal(y, dataset, release, payload) for dataset, payload in exposures.items())
        tables, pages = [], {}
        for kind, buckets in entries.items():
            contents = [bucket.fill(content, layout, os.urandom) for content in buckets]
            tree = merkle.Tree(merkle.leaf_hash(content) for content in contents)
            pages[kind] = [bucket.page(content, tree.path(i)) for i, content in enumerate(contents)]
            tables.append(
                manifest.KindTable(
                    kind=kind,
                    rules=KINDS[kind].digest,
                    prefix_bits=prefix_bits,
                    entries_per_bucket=entries_per_bucket,
                    root=tree.root,
                    members_min=0,
                    population_min=0,
                )
            )
        created = (datetime.now(UTC) - age).replace(microsecond=0)
        content = manifest.Manifest(
            protocol=PROTOCOL,
            suite=SUITE,
            release=release,
            created=created,
            valid_until=created + life,
            service_salt=self.salt,
            slow_hash=manifest.SlowHashParameters.of(parameters),
            public_key=self.evaluator.pk,
            data_classes=tuple(DataClass),
            kinds=tuple(tables),
            datasets=tuple(
                manifest.Dataset(
                    name=name,
                    title={"en": name},
                    date="2025-04-08",
                    source_note={},
                    authenticity_note={},
                    fields=fields,
                    kinds=DATASET_KINDS[name],
                    rows_read=1,
                    rows_accepted=1,
                    rows_rejected={},
                    identifiers_rejected={},
                )
                for name, fields in FIELDS.items()
            ),
            canaries=(),
            withdrawn=(),
            erasures=0,
        )
        return Release(content, manifest.sign(content, self.publisher), pages)


# --- Questions, answers, faults ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; a header given here replaces the one of the same name that would be written."""

    body: bytes = b""
    media_type: str = OCTETS
    status: int = 200
    headers: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def head(self) -> bytes:
        headers = {"Content-Type": self.media_type, "Content-Length": str(len(self.body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{n}: {v}" for n, v in headers.items() if v is not None)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @property
    def wire(self) -> bytes:
        return self.head + self.body


@dataclass(frozen=True)
class Question:
    """One request as it was received, and the answer that an honest service gives."""

    service: FaultyService
    what: What
    body: bytes
    honest: Answer


@dataclass(frozen=True)
class Pause:
    """Seconds without an octet, in a script."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """The end of a script that ends the connection with RST instead of FIN."""


Script = Iterable[bytes | Pause | Reset]
Fault = Callable[[Question], Answer | Script]


def flip(at: int, bits: int = 1) -> Fault:
    """Flip bits of the octet at this place of the body."""

    def fault(question: Question) -> Answer:
        body = bytearray(question.honest.body)
        body[at] ^= bits
        return replace(question.honest, body=bytes(body))

    return fault


def alter(change: Callable[[bytes], bytes]) -> Fault:
    """Send another body, with the length that it has."""
    return lambda question: replace(question.honest, body=change(question.honest.body))


def truncate(length: int) -> Fault:
    """Send the beginning of the body, with the length of the beginning."""
    return alter(lambda body: body[:length])


def break_off(length: int) -> Fault:
    """Announce the whole body, send the beginning of it, and close."""
    return lambda question: [question.honest.head + question.honest.body[:length]]


def break_off_head(length: int) -> Fault:
    """Send the beginning of the header section, and close."""
    return lambda question: [question.honest.head[:length]]


def headers(**changed: str | None) -> Fault:
    """Change, add or (None) leave out headers."""
    named = {name.replace("_", "-"): value for name, value in changed.items()}
    return lambda question: replace(question.honest, headers=named)


def status(code: int, retry_after: str | None = None) -> Fault:
    """Say this status, with a problem document that quotes what nobody should see."""
    return lambda _: Answer(
        b'{"type": "about:blank", "title": "call 0600000000"}',
        "application/problem+json",
        code,
        {"Retry-After": retry_after},
    )


def redirect(code: int) -> Fault:
    """Send to another address of this service, where the honest answer would be."""
    return lambda question: Answer(status=code, headers={"Location": f"{question.service.url}/elsewhere"})


def html(_: Question) -> Answer:
    """Answer as a captive portal does."""
    return Answer(b"<html><body>Welcome, please log in</body></html>", "text/html; charset=utf-8")


def html_as_is(question: Question) -> Answer:
    """Answer as a captive portal that copies the content type does."""
    return replace(html(question), media_type=question.honest.media_type)


def empty(question: Question) -> Answer:
    """Answer 200 with nothing."""
    return replace(question.honest, body=b"")


def raw(octets: bytes) -> Fault:
    """Send these octets, and close."""
    return lambda _: [octets]


def close(_: Question) -> Script:
    """Close without an octet."""
    return []


def reset(_: Question) -> Script:
    """Reset the connection without an octet."""
    return [Reset()]


def reset_after(length: int) -> Fault:
    """Send the beginning of the body, let it arrive, and reset."""
    return lambda question: [question.honest.head + question.honest.body[:length], Pause(0.1), Reset()]


def hang(_: Question) -> Script:
    """Say nothing for longer than anyone waits."""
    return [Pause(60)]


def hang_after(length: int) -> Fault:
    """Send the beginning of the body, and then nothing."""
    return lambda question: [question.honest.head + question.honest.body[:length], Pause(60)]


def _drip(octets: bytes) -> Iterator[bytes | Pause | Reset]:
    for i in range(len(octets)):
        yield octets[i : i + 1]
        yield Pause(0.02)


def drip(question: Question) -> Script:
    """Send the honest answer octet by octet, each well before any timeout between two."""
    return _drip(question.honest.wire)


def drip_body(question: Question) -> Script:
    """Send the header section at once, and a body of which each octet comes in time."""
    return (octets for part in ([question.honest.head], _drip(question.honest.body)) for octets in part)


def endless(octets: bytes) -> Fault:
    """Begin as asked and go on with the same octets for ever."""

    def script(beginning: bytes) -> Iterator[bytes | Pause | Reset]:
        yield beginning
        while True:
            yield octets

    return lambda question: script(question.honest.head.split(b"\r\n", 1)[0] + b"\r\n")


def endless_continue(_: Question) -> Script:
    """Send interim answers for ever."""
    return iter(lambda: b"HTTP/1.1 100 Continue\r\n\r\n", b"")


def gzipped(question: Question) -> Answer:
    """Compress the body, and say so."""
    return replace(question.honest, body=gzip.compress(question.honest.body), headers={"Content-Encoding": "gzip"})


def announce(difference: int) -> Fault:
    """Announce so many octets more, or fewer, than are sent."""

    def fault(question: Question) -> Answer:
        length = len(question.honest.body) + difference
        return replace(question.honest, headers={"Content-Length": str(length)})

    return fault


def announce_and_close(difference: int) -> Fault:
    """Announce so many octets more than are sent, and close."""
    return lambda question: [
        replace(question.honest, headers={"Content-Length": str(len(question.honest.body) + difference)}).wire
    ]


def chunk(octets: bytes) -> bytes:
    """Return octets as one chunk."""
    return b"%x\r\n%b\r\n" % (len(octets), octets)


def chunked(question: Question) -> Script:
    """Send the honest body in chunks, as a proxy may; a 304 has none."""
    if question.honest.status == 304:
        return [question.honest.wire]
    head = replace(question.honest, headers={"Content-Length": None, "Transfer-Encoding": "chunked"}).head
    half = len(question.honest.body) // 2
    return [head + chunk(question.honest.body[:half]), chunk(question.honest.body[half:]) + b"0\r\n\r\n"]


def chunked_and(octets: bytes) -> Fault:
    """Send the first half of the body as a chunk, go on with these octets, and close."""

    def fault(question: Question) -> Script:
        head = replace(question.honest, headers={"Content-Length": None, "Transfer-Encoding": "chunked"}).head
        return [head + chunk(question.honest.body[: len(question.honest.body) // 2]) + octets]

    return fault


def another_key(question: Question) -> Answer:
    """Evaluate with a key that is not the published one, and prove that honestly."""
    other = Evaluator(oprf.random_scalar())
    return replace(question.honest, body=other.answer(messages.decode_request(question.body)))


def replay(answer: Answer) -> Fault:
    """Give an answer of before."""
    return lambda _: answer


# --- The service ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exchange:
    """What stood on the wire: a request, and what was sent for it so far."""

    what: What
    request: bytes
    response: bytearray = field(default_factory=bytearray)


class FaultyService:
    """Serves `release` on loopback under the prefix `/here`, spoiled as `faults` says."""

    def __init__(self, release: Release, evaluator: Evaluator, tls: ssl.SSLContext | None = None) -> None:
        self.faults: dict[What, Fault]
        self.before: Callable[[What], None]
        self.exchanges: list[Exchange]
        self.strays: list[bytes]
        self.behave(release, evaluator)
        self._tls = tls
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/here"

    def behave(self, release: Release, evaluator: Evaluator) -> None:
        """Serve this release honestly from now on, and forget what was asked before."""
        self.release = release
        self.evaluator = evaluator
        self.faults = {}
        self.before = lambda _: None
        self.answers_per_connection = 1 << 30
        self.exchanges = []
        self.strays = []
        self.connections = 0

    def asked(self, what: What) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.what == what]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(0.1)
        try:
            if self._tls:
                connection.settimeout(2)
                connection = self._tls.wrap_socket(connection, server_side=True)
                connection.settimeout(0.1)
            for _ in range(self.answers_per_connection):
                request = self._receive(connection)
                if not request or not self._answer(connection, request):
                    return
            self._receive(connection)
        except OSError:
            return
        finally:
            connection.close()

    def _receive(self, connection: socket.socket) -> bytes:
        request = b""
        while not self._stop.is_set():
            head, end, body = request.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if end and len(body) >= (int(length[1]) if length else 0):
                return request
            try:
                octets = connection.recv(65536)
            except TimeoutError:
                continue
            if not octets:
                break
            request += octets
        return b""

    def _answer(self, connection: socket.socket, request: bytes) -> bool:
        question = self._understand(request)
        if question is None:
            self.strays.append(request)
            connection.sendall(Answer(status=404).wire)
            return True
        fault = self.faults.get(question.what)
        answer = fault(question) if fault else question.honest
        exchange = Exchange(question.what, request)
        self.exchanges.append(exchange)
        for part in [answer.wire] if isinstance(answer, Answer) else answer:
            if isinstance(part, Reset):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif isinstance(part, Pause):
                self._stop.wait(part.seconds)
            else:
                exchange.response.extend(part)
                connection.sendall(part)
            if self._stop.is_set():
                return False
        return isinstance(answer, Answer)

    def _understand(self, request: bytes) -> Question | None:
        head, _, body = request.partition(b"\r\n\r\n")
        line = head.split(b"\r\n")[0].decode("latin-1")
        if line == "GET /here/v1/manifest HTTP/1.1":
            self.before("manifest")
            etag = f'"{hashlib.sha256(self.release.signed).hexdigest()}"'
            if f"If-None-Match: {etag}".encode() in head:
                honest = Answer(status=304, headers={"ETag": etag, "Content-Length": None, "Content-Type": None})
            else:
                honest = Answer(self.release.signed, headers={"ETag": etag})
            return Question(self, "manifest", body, honest)
        if line == "POST /here/v1/evaluate HTTP/1.1":
            self.before("evaluate")
            answer = self.evaluator.answer(messages.decode_request(body))
            return Question(self, "evaluate", body, Answer(answer, JSON))
        match = re.fullmatch(r"GET /here/v1/releases/(\d+)/buckets/([a-z_]+)/([0-9a-f]{6}) HTTP/1.1", line)
        if match:
            self.before("page")
            if int(match[1]) != self.release.manifest.release:
                return Question(self, "page", body, Answer(status=404))
            return Question(self, "page", body, Answer(self.release.pages[match[2]][int(match[3], 16)]))
        return None
