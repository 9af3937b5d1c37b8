"""`serve`: opens release and key, refuses what must not be served, and runs uvicorn until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import resource
import signal
import socket
import sys
import traceback
from asyncio.events import TimerHandle
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from types import TracebackType
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from breachcheck.config import Role, Settings
from breachcheck.errors import InputError
from breachcheck.keys import PUBLISHER_PUB, read_evaluator, read_publisher_key
from breachcheck.protocol.server import Evaluator
from breachcheck.service.app import SECURITY, create_app
from breachcheck.service.problems import HTTP_REQUEST, MEDIA_TYPE
from breachcheck.service.releases import Follower, open_served
from breachcheck.service.selfcheck import SelfCheck
from breachcheck.service.watch import Watch
from breachcheck.store.reader import Release

_LOG: Final = logging.getLogger(__name__)
_MAX_HEAD: Final = 64 << 10  # bytes of a request that are not its body
_MAX_PIPELINED: Final = 32  # requests sent before the first was answered
_STALL: Final = 30  # seconds in which a reader must have taken something of its answer
_SPARE_FILES: Final = 64  # descriptors kept for everything that is no connection
_PR_SET_DUMPABLE: Final = 4  # prctl(2)

_BODY: Final = json.dumps(HTTP_REQUEST.document).encode()
_NOT_HTTP: Final = b"".join(
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        *(b"%s: %s\r\n" % header for header in SECURITY),
        b"content-type: %s\r\ncontent-length: %d\r\n" % (MEDIA_TYPE.encode(), len(_BODY)),
        b"cache-control: no-store\r\nconnection: close\r\n\r\n",
        _BODY,
    ]
)

# Called once the service answers: what runs beside it, and what to do when one of that ends.
Upkeep = Callable[[], Awaitable[tuple[list[Coroutine[Any, Any, None]], Callable[[], None]]]]


# --- Connections ------------------------------------------------------------------------------------------------------


class Connections(ServerState):
    """All connections of the server, and in `waiting` those without a whole request, longest first."""

    def __init__(self, settings: Settings, most: int) -> None:
        super().__init__()
        self.request_timeout = settings.request_timeout
        self.most = most
        self.waiting: dict[Connection, None] = {}


class _Writer(asyncio.Transport):
    """A transport's writing side that drops what is written after its end.

    Uvicorn learns of a broken connection one turn of the loop late, and uvloop makes each write until then a fault with
    a traceback: whoever breaks connections would fill the log.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()


class Connection(HttpToolsProtocol):
    """Uvicorn's HTTP/1.1 connection, and what that lacks against slow and endless clients.

    A request must be whole `request_timeout` seconds after its connection opened or its first byte came. Its head is
    bounded. An answer of which nothing was read for 30 seconds is given up. Where there are too many connections, the
    one that has waited longest for a request is closed, so that idle sockets never keep a person out.
    """

    server_state: Connections
    _writer: _Writer
    _deadline: TimerHandle | None = None
    _stall: TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._writer = _Writer(transport)
        # Uvicorn warns of each malformed request; whoever sends them must not fill the disk.
        self.logger = logging.getLogger("breachcheck.connection")
        self.server_state.waiting[self] = None
        self._expect()
        if len(self.connections) > self.server_state.most:
            next(iter(self.server_state.waiting)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self.server_state.waiting.pop(self, None)
        self._expect_no_more()
        self._watch_no_more()

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if self in self.server_state.waiting:
            self._expect()
        self._head += len(data)
        super().data_received(data)
        if self._head > _MAX_HEAD:
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin to count the time of a request."""
        super().on_message_begin()
        self._expect()

    def on_headers_complete(self) -> None:
        """Begin to answer, or queue the request behind the one that is being answered."""
        super().on_headers_complete()
        self.cycle.transport = self._writer
        # Uvicorn's queue has no bound: an application that waits for more of its request makes it read on.
        if len(self.pipeline) > _MAX_PIPELINED:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, which the application bounds."""
        super().on_body(body)
        self._head -= len(body)

    def on_message_complete(self) -> None:
        """Stop the time: the request is whole."""
        super().on_message_complete()
        self._head = 0
        self._expect_no_more()
        if self.cycle.response_complete:
            # It was answered before its end, and what came since has stopped uvicorn's timer for idle connections.
            self.server_state.waiting[self] = None
            self._expect()
        else:
            self.server_state.waiting.pop(self, None)

    def on_response_complete(self) -> None:
        """Wait for the next request, and watch that this answer is read."""
        if not self.pipeline:
            self.server_state.waiting[self] = None
        super().on_response_complete()
        self._watch_no_more()
        self._watch()

    def pause_writing(self) -> None:
        """Watch that the answer is read, while the application waits for it."""
        super().pause_writing()
        self._watch_no_more()
        self._watch()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._watch_no_more()

    def shutdown(self) -> None:
        """Close at once where no whole request has come; otherwise after its answer."""
        if self in self.server_state.waiting:
            self.transport.close()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text is not a problem document
        """Say that this is not HTTP, unless in the middle of another answer, and close."""
        if self.pipeline or (self.cycle and self.cycle.response_started and not self.cycle.response_complete):
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(_NOT_HTTP)
            self.transport.close()

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.server_state.request_timeout, self.transport.abort)

    def _expect_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _watch(self, before: int | None = None) -> None:
        unread = self.transport.get_write_buffer_size()
        if before is not None and unread >= before:
            self.transport.abort()
        elif unread:
            self._stall = self.loop.call_later(_STALL, self._watch, unread)

    def _watch_no_more(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


# --- The server -------------------------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    """Uvicorn's server; it announces itself in one line, and a signal to stop is not a failure."""

    def __init__(self, config: uvicorn.Config, connections: Connections, announcement: str, upkeep: Upkeep) -> None:
        super().__init__(config)
        self.server_state = connections
        self._announcement = announcement
        self._upkeep = upkeep
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, check that the answers are right, and say so."""
        await super().startup(sockets)
        beside, ended = await self._upkeep()
        self._tasks = [asyncio.create_task(task) for task in beside]
        for task in self._tasks:
            task.add_done_callback(partial(_tell_end, ended))
        sys.stderr.write(f"breachcheck: {self._announcement}\n")
        sys.stderr.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop what runs beside the answers, and finish those."""
        for task in self._tasks:
            task.cancel()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop at SIGTERM and SIGINT; uvicorn's own would raise the signal anew after a clean stop."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _tell_end(ended: Callable[[], None], task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        ended()
        logging.getLogger(__name__).error("what runs beside the answers has stopped", exc_info=error)


class _Formatter(logging.Formatter):
    """Tells of a fault its kind and where it came from, never its text: that may hold what was submitted."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        kind: type[BaseException]
        at: TracebackType | None
        kind, _, at = ei
        return "".join(traceback.format_tb(at)) + kind.__name__


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("breachcheck: %(levelname)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("breachcheck.connection").setLevel(max(logging.ERROR, logging.root.level))
    # The self-check's client tells of each request, and so of buckets.
    logging.getLogger("urllib3").setLevel(max(logging.WARNING, logging.root.level))


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InputError("listen", f"{host} port {port}: {error.strerror}") from None
    return listener


def _publisher_key(settings: Settings) -> bytes | None:
    path = settings.publisher_key or (settings.keys and settings.keys / PUBLISHER_PUB)
    if path is None or (settings.publisher_key is None and not path.exists()):
        return None  # the release is served as it is, and the pages say that they cannot check
    return read_publisher_key(path)


def _open(settings: Settings, publisher_key: bytes | None) -> tuple[Release | None, Evaluator | None]:
    evaluator = None
    if settings.role is not Role.BUCKETS:
        if settings.keys is None:
            raise InputError("settings", f"keys: the role {settings.role} needs the folder of the keys")
        evaluator = read_evaluator(settings.keys, settings.releases)
    if settings.role is Role.EVALUATOR:
        return None, evaluator
    return open_served(settings, publisher_key, evaluator), evaluator


def _reached(host: str, port: int) -> str:
    """Return the URL under which this process reaches itself."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _harden(most: int) -> int:
    """Forbid core dumps, which would hold the key, and return how many connections the open-file limit allows."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":  # the limit does not bind a dump that is piped to a program: core(5)
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft - _SPARE_FILES))


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; answers under way are finished.

    Raises:
        InputError: `settings` or `listen`: the port is taken, or the address not ours.
        ReleaseError: the release or the key cannot be used, or must not be.
    """
    most = _harden(settings.max_connections)
    with contextlib.closing(_listen(settings.host, settings.port)) as listener:
        publisher_key = _publisher_key(settings)
        release, evaluator = _open(settings, publisher_key)
        _log_to_stderr(settings.log_level)
        if release and publisher_key is None:
            _LOG.warning(
                "no publisher's key, so the pages offer no check: put %s into the key folder, or name it with %s",
                PUBLISHER_PUB,
                "--publisher-key",
            )
        host, port = listener.getsockname()[:2]
        app = create_app(settings, release, evaluator, publisher_key)
        state = app.edge_state
        what = f"release {release.manifest.release}" if release else "evaluations"
        where = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

        async def upkeep() -> tuple[list[Coroutine[Any, Any, None]], Callable[[], None]]:
            check = SelfCheck(state, _reached(host, port), publisher_key)
            await check.once()
            of_release = [Follower(state, publisher_key, check.soon).run(), check.read()] if release else []
            return [check.run(), Watch(state).stand(), *of_release], check.stop

        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            server_header=False,
            timeout_keep_alive=settings.keep_alive,
            timeout_graceful_shutdown=settings.stop_timeout,
        )
        announcement = f"serving {what} at {where} (role {settings.role})"
        _Server(config, Connections(settings, most), announcement, upkeep).run([listener])
        state.close()
