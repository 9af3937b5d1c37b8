"""The transport over HTTP: what is asked, what counts as an answer, and the word for whatever else comes back.

Sent are a fixed user agent, the blinded element and a bucket's number. There are no cookies, and no validator of the
server's making is sent back: an ETag that a server chooses freely would tell it who comes again.
"""

from __future__ import annotations

import email.utils
import hashlib
import http.client
import io
import math
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Final

import urllib3
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Timeout, parse_url

from breachcheck.client.transport import Deadline
from breachcheck.errors import InputError, TransportError
from breachcheck.exposure import Reason
from breachcheck.protocol.messages import (
    MAX_EVALUATION_LENGTH,
    MAX_PROBLEM_LENGTH,
    PROBLEM,
    MaintenanceProblem,
    read_maintenance,
)
from breachcheck.protocol.parameters import MAX_MANIFEST_LENGTH

_OCTETS: Final = "application/octet-stream"
_JSON: Final = "application/json"
_MAX_RETRY_AFTER: Final = 24 * 60 * 60  # seconds
_CONNECTIONS: Final = 16  # kept open for the threads of one client


def _agent() -> str:
    try:
        return f"breachcheck/{metadata.version('breachcheck')}"
    except metadata.PackageNotFoundError:  # run from a source tree
        return "breachcheck/0"


# --- The one table from what goes wrong to the word for it ------------------------------------------------------------


class _ClosedWhileIdle(http.client.RemoteDisconnected):
    """A connection that had answered before was closed without a byte of this answer."""


# The first row that fits: a class stands before its bases.
_FAULTS: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    (exceptions.NewConnectionError, Reason.UNREACHABLE),  # refused, no route, unknown host
    (exceptions.LocationParseError, Reason.UNREACHABLE),  # a host name that no resolver takes
    (exceptions.ConnectTimeoutError, Reason.TIMEOUT),
    (exceptions.ReadTimeoutError, Reason.TIMEOUT),
    (TimeoutError, Reason.TIMEOUT),  # while sending
    (http.client.IncompleteRead, Reason.ANSWER_TOO_SHORT),
    (ssl.SSLEOFError, Reason.CONNECTION_CLOSED),
    (ssl.SSLZeroReturnError, Reason.CONNECTION_CLOSED),
    (ssl.SSLError, Reason.NOT_THE_SERVICE),  # another's certificate, or no TLS at all
    (OSError, Reason.CONNECTION_CLOSED),
    (http.client.HTTPException, Reason.NOT_THE_SERVICE),  # not HTTP, or not as anyone writes it
    (exceptions.SSLError, Reason.NOT_THE_SERVICE),
    (exceptions.InvalidHeader, Reason.NOT_THE_SERVICE),
    (exceptions.ProtocolError, Reason.NOT_THE_SERVICE),
    (exceptions.ClosedPoolError, Reason.CLIENT_FAULT),
)
_CAUGHT: Final[tuple[type[Exception], ...]] = tuple(
    fault for fault, _ in _FAULTS if issubclass(fault, exceptions.HTTPError)
)

_STATUSES: Final[Mapping[int, Reason]] = {
    404: Reason.MISSING,
    429: Reason.RATE_LIMITED,
    503: Reason.UNAVAILABLE,
    511: Reason.NOT_THE_SERVICE,  # RFC 6585 §6: a portal asks for a login
}


def _reason_of(status: int) -> Reason:
    if status in _STATUSES:
        return _STATUSES[status]
    # A redirect leads to whom this client was not told to trust; any other success is not what was asked for.
    return {4: Reason.REFUSED, 5: Reason.SERVER_ERROR}.get(status // 100, Reason.NOT_THE_SERVICE)


def _root(error: Exception) -> Exception:
    inner = error.args[-1] if error.args else None
    return inner if isinstance(inner, (OSError, http.client.HTTPException)) else error


def _fault(error: Exception) -> TransportError:
    root = _root(error)
    reason = next(reason for fault, reason in _FAULTS if isinstance(root, fault))
    cause = root if isinstance(root, OSError) else error.__cause__
    if isinstance(cause, ssl.SSLError):
        detail = cause.reason or ""
    else:
        # The system's own text; the library's would name its objects and their addresses.
        detail = (cause.strerror or "") if isinstance(cause, OSError) else ""
    return TransportError(reason, detail)


# --- urllib3, held to a time for the whole answer ---------------------------------------------------------------------


class _TimedSocket(io.RawIOBase):
    """A socket's octets, as long as they come within its timeout counted from here, not anew for each read."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._end = time.monotonic() + (sock.gettimeout() or 0.0)
        self._received = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        try:
            count = self._raw.readinto(buffer)
        except ConnectionResetError:
            if self._received:
                raise
            raise http.client.RemoteDisconnected("reset before the answer began") from None
        self._received = self._received or bool(count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Octets(io.BufferedReader):
    """What http.client parses, with the two things that it lets pass: a line that was cut, and a negative length."""

    cut = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self.cut = not line.endswith(b"\n") and len(line) != size
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:  # a chunk of size -1 would be read to the end of the connection
            raise http.client.HTTPException("no length to read")
        return super().read(size)


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._octets = _Octets(_TimedSocket(self.fp.detach(), sock))
        self.fp = self._octets

    def begin(self) -> None:
        try:
            super().begin()
        except http.client.RemoteDisconnected:
            raise
        except http.client.HTTPException:
            if not self._octets.cut:
                raise
        if self._octets.cut:
            raise ConnectionAbortedError("closed amid the headers")


class _Connection(HTTPConnection):
    response_class = _Answer
    _has_answered = False

    def connect(self) -> None:
        self._has_answered = False
        super().connect()

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3's own does
        try:
            response = super().getresponse()
        except http.client.RemoteDisconnected as error:
            if self._has_answered:
                raise _ClosedWhileIdle(*error.args) from error
            raise
        self._has_answered = True
        return response


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


# --- The transport ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked, and how long an answer may be, in bytes."""

    path: str
    accept: str
    limit: int
    exactly: bool = False
    body: bytes | None = None
    known: bytes | None = None

    def headers(self, agent: str) -> dict[str, str]:
        headers = {"Accept": self.accept, "Accept-Encoding": "identity", "User-Agent": agent}
        if self.body is not None:
            headers["Content-Type"] = _JSON
        if self.known is not None:
            headers["If-None-Match"] = f'"{hashlib.sha256(self.known).hexdigest()}"'
        return headers


class HttpTransport:
    """Carries messages over HTTP/1.1, with kept connections, without redirects.

    `connect` is the number of seconds for a connection to each address of the host, `answer` those for one whole
    answer; the deadline of the check cuts both short.

    Raises:
        InputError: `url`: not an http or https address, or one with a user, a query or a fragment.
    """

    def __init__(self, url: str, *, connect: float = 5.0, answer: float = 20.0) -> None:
        try:
            parts = parse_url(url)
        except exceptions.LocationParseError:
            raise InputError("url", "cannot be read") from None
        if parts.scheme not in ("http", "https") or not parts.host:
            raise InputError("url", "wanted: http:// or https:// and a host")
        if parts.auth or parts.query or parts.fragment:
            raise InputError("url", "must not have a user, a query or a fragment")
        self._connect = connect
        self._answer = answer
        self._prefix = (parts.path or "").rstrip("/")
        self._agent = _agent()
        pool = _TlsPool if parts.scheme == "https" else _Pool
        self._pool = pool(parts.host, parts.port, maxsize=_CONNECTIONS)

    def manifest(self, deadline: Deadline, known: bytes | None = None) -> bytes:
        """Return the signed manifest, at most 1 MiB; `known` again if the service says that it still stands.

        Raises:
            TransportError: with a word of the table above.
        """
        return self._carry(_Request("/v1/manifest", _OCTETS, MAX_MANIFEST_LENGTH, known=known), deadline)

    def evaluate(self, request: bytes, deadline: Deadline) -> bytes:
        """Return the evaluator's answer, at most 2048 bytes.

        Raises:
            TransportError: with a word of the table above.
        """
        return self._carry(_Request("/v1/evaluate", _JSON, MAX_EVALUATION_LENGTH, body=request), deadline)

    def page(self, release: int, kind: str, bucket: int, length: int, deadline: Deadline) -> bytes:
        """Return the page of a bucket, exactly `length` bytes.

        Raises:
            TransportError: `bucket_length`, or with a word of the table above.
        """
        path = f"/v1/releases/{release}/buckets/{kind}/{bucket:06x}"
        return self._carry(_Request(path, _OCTETS, length, exactly=True), deadline)

    def close(self) -> None:
        """Close the idle connections; those in use close when their answer ends."""
        self._pool.close()

    def _carry(self, request: _Request, deadline: Deadline) -> bytes:
        try:
            return self._exchange(request, deadline)
        except _CAUGHT as error:
            # A server may close a kept connection in the very moment in which it is used again (RFC 9112 §9.3.1). No
            # byte of an answer came, and the same question once more tells nothing new, so this is made good, once.
            # On a fresh connection a close is a fault like any other.
            if not isinstance(_root(error), _ClosedWhileIdle):
                raise _fault(error) from error
        try:
            return self._exchange(request, deadline)
        except _CAUGHT as error:
            raise _fault(error) from error

    def _exchange(self, request: _Request, deadline: Deadline) -> bytes:
        response = self._pool.urlopen(
            "GET" if request.body is None else "POST",
            self._prefix + request.path,
            body=request.body,
            headers=request.headers(self._agent),
            retries=False,
            redirect=False,
            timeout=Timeout(total=deadline.left(), connect=self._connect, read=self._answer),
            preload_content=False,
            decode_content=False,
        )
        try:
            return _receive(response, request)
        finally:
            # Closes the connection unless the answer was read to its end: what is left of it must not be taken for the
            # beginning of the next one.
            response.close()
            response.release_conn()


def _receive(response: urllib3.BaseHTTPResponse, request: _Request) -> bytes:
    if response.status == 304 and request.known is not None:
        response.read()
        return request.known
    if response.status != 200:
        retry_after = _retry_after(response) if response.status in (429, 503) else None
        if response.status == 503 and (notice := _maintenance(response)):
            raise TransportError(Reason.MAINTENANCE, "HTTP 503", retry_after, notice.until)
        raise TransportError(_reason_of(response.status), f"HTTP {response.status}", retry_after)
    if _header(response, "Content-Type").partition(";")[0].strip().lower() != request.accept:
        raise TransportError(Reason.NOT_THE_SERVICE, "another content type")
    if _header(response, "Content-Encoding").lower() not in ("", "identity"):
        raise TransportError(Reason.NOT_THE_SERVICE, "encoded content, which was not asked for")
    too_long = Reason.BUCKET_LENGTH if request.exactly else Reason.ANSWER_TOO_LONG
    announced = _announced(response)
    if announced is not None and announced > request.limit:
        raise TransportError(too_long, f"{announced} bytes, not {request.limit}")
    body = response.read(request.limit + 1)
    if len(body) > request.limit:
        raise TransportError(too_long, f"more than {request.limit} bytes")
    if announced is not None and len(body) < announced:
        raise TransportError(Reason.ANSWER_TOO_SHORT, f"{len(body)} bytes, not {announced}")
    if request.exactly and len(body) != request.limit:
        raise TransportError(Reason.BUCKET_LENGTH, f"{len(body)} bytes, not {request.limit}")
    return body


def _maintenance(response: urllib3.BaseHTTPResponse) -> MaintenanceProblem | None:
    # The one answer beside a 200 whose body is read: it makes no verdict, and only tells until when there is none.
    if _header(response, "Content-Type").partition(";")[0].strip().lower() != PROBLEM:
        return None
    try:
        body = response.read(MAX_PROBLEM_LENGTH + 1)
    except (exceptions.HTTPError, OSError, http.client.HTTPException):
        return None
    return read_maintenance(body)


def _header(response: urllib3.BaseHTTPResponse, name: str) -> str:
    return response.headers.get(name, "").strip()


def _announced(response: urllib3.BaseHTTPResponse) -> int | None:
    # RFC 9112 §6.3: in chunks, or of a length. What only the close ends looks whole when it was cut off.
    coding, length = response.headers.get("Transfer-Encoding"), response.headers.get("Content-Length")
    if coding is None and length is None:
        raise TransportError(Reason.CONNECTION_CLOSED, "no length was announced")
    if length is None and coding is not None and coding.lower() == "chunked":
        return None
    if length is None or coding is not None or not re.fullmatch("[0-9]{1,12}", length):
        raise TransportError(Reason.NOT_THE_SERVICE, "a length that is not HTTP's")
    return int(length)


def _retry_after(response: urllib3.BaseHTTPResponse) -> int | None:
    # RFC 9110 §10.2.3: seconds, or a date
    text = _header(response, "Retry-After")
    if re.fullmatch("[0-9]{1,10}", text):
        seconds = int(text)
    else:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = math.ceil((moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return seconds if 0 <= seconds <= _MAX_RETRY_AFTER else None
