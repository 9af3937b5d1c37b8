"""A small reverse proxy over HTTP/1.1: each request goes to the server that a function names."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Route = Callable[[str], int]  # from a request's path to the port of a server on loopback
_TIMEOUT = 10.0  # seconds
_KEPT = ("Content-Type", "ETag", "Retry-After", "Cache-Control")


def _handler(route: Route) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        disable_nagle_algorithm = True  # or small answers would wait for an acknowledgement
        wbufsize = -1

        def do_GET(self) -> None:
            self._pass(None)

        def do_POST(self) -> None:
            self._pass(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _pass(self, body: bytes | None) -> None:
            wanted = ("Content-Type", "Accept", "If-None-Match", "Accept-Encoding")
            headers = {name: self.headers[name] for name in wanted if name in self.headers}
            server = http.client.HTTPConnection("127.0.0.1", route(self.path), timeout=_TIMEOUT)
            try:
                server.request(self.command, self.path, body, headers)
                answer = server.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):  # as a proxy says that nobody is there
                self._send(502, {"Content-Type": "text/html"}, b"<html>Bad gateway</html>")
                return
            finally:
                server.close()
            self._send(answer.status, {name: answer.headers[name] for name in _KEPT if name in answer.headers}, content)

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
            """Say nothing of a request."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


@contextmanager
def proxying(route: Route) -> Iterator[str]:
    """Stand before servers, and yield the proxy's URL."""
    with _Server(("127.0.0.1", 0), _handler(route)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
