"""What of the container can be told without an engine: what reaches its build, and what its health check says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def reaches_the_build(path: str) -> bool:
    """By the rule of `.dockerignore`: the last pattern that fits the path, or a folder above it, decides."""
    reaches = True
    parts = PurePosixPath(path).parts
    above = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip().removeprefix("!").strip("/")
        if not pattern or pattern.startswith("#"):
            continue
        anywhere = pattern.startswith("**/")
        for name in above:
            wanted, tried = (pattern[3:], PurePosixPath(name).name) if anywhere else (pattern, name)
            if wanted.count("/") == tried.count("/") and fnmatchcase(tried, wanted):
                reaches = line.startswith("!")
    return reaches


@pytest.mark.parametrize(
    "path",
    [
        "keys/evaluator.key",
        "keys-2/evaluator.key",
        "releases-2/current",
        "leak.jsonl",
        "exports/leak.csv",
        "about.toml",
        ".env",
        ".git/config",
        ".venv/stamp",
        "scripts/requirements.lock.orig",
        "breachcheck/web/js/node_modules/x/index.js",
        "breachcheck/cli/__pycache__/x.pyc",
    ],
)
def test_what_a_steward_keeps_in_the_clone_does_not_reach_the_build(path: str) -> None:
    assert not reaches_the_build(path)


def test_what_the_package_is_built_from_reaches_the_build() -> None:
    copied = {
        word for line in re.findall(r"^COPY (?!--)(.+)", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    } - {"."}
    assert copied
    sources = [
        path for path in (ROOT / "breachcheck").rglob("*") if not {"__pycache__", "node_modules"} & {*path.parts}
    ]
    needed = {path.relative_to(ROOT).as_posix() for path in sources if path.is_file()}
    for path in copied | needed | {"pyproject.toml", "README.md", "scripts/build_web.py"}:
        assert reaches_the_build(path), path


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_asks_the_service_where_it_listens_and_no_proxy(status: int, code: int) -> None:
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Be silent."""

    words = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    assert words
    _, *arguments = json.loads(words[1])
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = str(server.server_port)
        environment = {**os.environ, "BREACHCHECK_PORT": port, "http_proxy": "http://127.0.0.1:1", "no_proxy": ""}
        done = subprocess.run([sys.executable, *arguments], env=environment, check=False)
        server.shutdown()
    assert (done.returncode, asked) == (code, ["/livez"])
