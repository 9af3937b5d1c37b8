"""A browser, and a proxy between it and the service that sees every octet and can spoil an answer."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from breachcheck.protocol import manifest, messages, oprf
from breachcheck.protocol.server import Evaluator
from tests.world import BREACHCHECK, free_port

# Nothing of the browser's own may stand in the log of a visit.
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE: Final[Mapping[str, Any]] = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
SMALL: Final[Mapping[str, Any]] = {"viewport": {"width": 320, "height": 640}}
PATIENCE: Final = 20_000  # milliseconds until a check must have ended

_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "host", "date", "server"})


# --- The proxy --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What goes back to the browser. `sent` is how much of the body does, if not all, before the connection closes."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    sent: int | None = None


@dataclass(frozen=True)
class Exchange:
    """A request as it came, all of it, and the length of what went back for it."""

    method: str
    path: str
    request: bytes
    status: int
    length: int


Fault = Callable[[Answer, bytes], Answer]


@dataclass
class Proxy:
    """Stands before `upstream`, or `evaluator` for evaluations; `faults` are by the beginning of a path."""

    upstream: str
    evaluator: str
    faults: dict[str, Fault] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    url: str = ""

    def forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Ask the service, and say 502 for it if it does not answer, as proxies do."""
        target = urlsplit(self.evaluator if path.startswith("/v1/evaluate") else self.upstream)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
        try:
            connection.request(method, path, body or None, {n: v for n, v in headers.items() if n.lower() not in _HOP})
            response = connection.getresponse()
            kept = tuple((n, v) for n, v in response.getheaders() if n.lower() not in {*_HOP, "content-length"})
            answer = Answer(response.status, kept, response.read())
        except OSError:
            answer = Answer(502, (("Content-Type", "text/html"),), b"<h1>Bad gateway</h1>")
        finally:
            connection.close()
        fault = next((fault for start, fault in self.faults.items() if path.startswith(start)), None)
        return fault(answer, body) if fault else answer

    def __enter__(self) -> Self:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = proxy.forward(self.command, self.path, dict(self.headers), body)
                request = b"\n".join((self.requestline.encode(), self.headers.as_bytes(), body))
                proxy.exchanges.append(Exchange(self.command, self.path, request, answer.status, len(answer.body)))
                self.send_response_only(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                if answer.status != 304:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body[: answer.sent])
                self.wfile.flush()
                self.close_connection = answer.sent is not None

            do_HEAD = do_POST = do_GET  # noqa: N815 - the library's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def cut(answer: Answer, _: bytes) -> Answer:
    """Send one entry less, and the length of that."""
    return replace(answer, body=answer.body[:-24])


def break_off(answer: Answer, _: bytes) -> Answer:
    """Announce the whole, send half, and close."""
    return replace(answer, sent=len(answer.body) // 2)


def flip(answer: Answer, _: bytes) -> Answer:
    """Change the first bit."""
    return replace(answer, body=bytes((answer.body[0] ^ 1,)) + answer.body[1:])


def failing(_: Answer, __: bytes) -> Answer:
    """Say 500."""
    return Answer(500, (("Content-Type", "application/problem+json"),), b"{}")


def limiting(_: Answer, __: bytes) -> Answer:
    """Say 429, and to come back in 40 minutes."""
    return Answer(429, (("Content-Type", "application/problem+json"), ("Retry-After", "2400")), b"{}")


def limiting_for(retry_after: str) -> Fault:
    """Say 429 with this Retry-After."""
    headers = (("Content-Type", "application/problem+json"), ("Retry-After", retry_after))
    return lambda _, __: Answer(429, headers, b"{}")


def missing(_: Answer, __: bytes) -> Answer:
    """Say 404."""
    return Answer(404, (("Content-Type", "application/problem+json"),), b"{}")


@contextmanager
def stalling() -> Iterator[Fault]:
    """Yield a fault that says nothing until the end of the block."""
    over = threading.Event()

    def fault(answer: Answer, _: bytes) -> Answer:
        over.wait()
        return answer

    yield fault
    over.set()


def portal(_: Answer, __: bytes) -> Answer:
    """Answer as the welcome page of a network does."""
    return Answer(200, (("Content-Type", "text/html"),), b"<h1>Welcome. 0 results. Please log in</h1>")


def another_key(answer: Answer, body: bytes) -> Answer:
    """Evaluate with a key that is not the published one, and prove that honestly."""
    return replace(answer, body=Evaluator(oprf.random_scalar()).answer(messages.decode_request(body)))


def resigned(publisher: Ed25519PrivateKey, age: timedelta | None = None) -> Fault:
    """Sign the manifest with this key, as if it had been made `age` ago."""

    def fault(answer: Answer, _: bytes) -> Answer:
        honest = manifest.parse(answer.body[manifest.SIGNATURE_LENGTH :])
        dates = {"created": honest.created - age, "valid_until": honest.valid_until - age} if age else {}
        return replace(answer, body=manifest.sign(honest.model_copy(update=dates), publisher))

    return fault


def rejecting(publisher: Ed25519PrivateKey, dataset: str, cells: Mapping[str, Mapping[str, int]]) -> Fault:
    """Sign the manifest as if these cells of a dataset had been no identifiers."""

    def fault(answer: Answer, _: bytes) -> Answer:
        honest = manifest.parse(answer.body[manifest.SIGNATURE_LENGTH :])
        datasets = tuple(
            one.model_copy(update={"identifiers_rejected": cells} if one.name == dataset else {})
            for one in honest.datasets
        )
        return replace(answer, body=manifest.sign(honest.model_copy(update={"datasets": datasets}), publisher))

    return fault


def replaying(signed: Path) -> Fault:
    """Give the manifest of before."""
    return lambda answer, _: replace(answer, body=signed.read_bytes())


# --- The browser ------------------------------------------------------------------------------------------------------


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless Chromium of the machine; each context of it is a new, empty profile."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "these tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """One person's visit with an empty profile, and all that was heard of it."""

    context: BrowserContext
    page: Page
    base: str
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)

    def open_form(self, tag: str) -> None:
        self.open(f"/{tag}/")
        self.page.wait_for_selector("#fields:enabled")

    def ask(self, kind: str, text: str) -> None:
        """Fill in the form and send it."""
        self.page.check(f"input[value={kind}]")
        self.page.fill(f"#text-{kind}", text)
        self.page.click("#submit")

    def check(self, kind: str, text: str) -> str:
        """Check, and return all that the result says."""
        self.ask(kind, text)
        return self.result()

    def result(self) -> str:
        self.page.wait_for_selector("#result h2", timeout=PATIENCE)
        return self.page.inner_text("#result")

    def headline(self) -> str:
        return self.page.inner_text("#result h2")

    def shown(self) -> str:
        return self.page.inner_text("main")

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the screen."""
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(wider))

    def barriers(self) -> list[str]:
        """Return what axe finds, in words."""
        self.page.evaluate(_axe())
        found = self.page.evaluate("axe.run().then(({ violations }) => violations)")
        return [f"{one['id']}: {json.dumps([node['html'][:120] for node in one['nodes'][:3]])}" for one in found]


@cache
def _axe() -> str:
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


@contextmanager
def visiting(browser: Browser, base: str, **options: Any) -> Iterator[Visit]:
    """Visit with an empty profile; nothing of the page may fail or be blocked unheard."""
    context = browser.new_context(**{**PHONE, **options})
    visit = Visit(context, context.new_page(), base)
    context.on("request", lambda request: visit.requests.append(request))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("console", lambda said: visit.complaints.append(said.text) if said.type == "error" else None)
    try:
        yield visit
    finally:
        context.close()


# --- A service that knows it must not be used -------------------------------------------------------------------------


@contextmanager
def serving_unready(releases: Path, keys: Path) -> Iterator[str]:
    """Serve in a process of its own, and yield its URL once it lives, ready or not."""
    port = free_port()
    command = [*BREACHCHECK, "serve", "--releases", str(releases), "--keys", str(keys), "--port", str(port)]
    with subprocess.Popen([*command, "--allow-testing-parameters"]) as service:
        url = f"http://127.0.0.1:{port}"
        try:
            asking = urllib3.Retry(600, backoff_factor=0.05, backoff_max=0.05)
            assert urllib3.request("GET", f"{url}/livez", retries=asking).status == 200
            yield url
        finally:
            service.terminate()
