"""The demo: every step by the command that a steward or a person would type, on synthetic data."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import urllib3

from breachcheck.errors import ReleaseError
from breachcheck.terminal import RESULTS

_PATIENCE: Final = 60.0  # seconds until the service must be ready


def run(folder: Path, people: int, port: int, *, stay: bool) -> None:
    """Make what is not there yet, serve it on 127.0.0.1, check one identifier, and serve on if `stay`.

    Raises:
        ReleaseError: `demo`: the port is taken, or a step failed; it has said why.
    """
    _refuse_taken(port)
    folder.mkdir(parents=True, exist_ok=True)
    leak, answers, keys, releases = (folder / name for name in ("leak.csv", "answers.jsonl", "keys", "releases"))
    publisher = keys / "publisher.pub"
    if not (releases / "current").exists():
        shutil.rmtree(keys, ignore_errors=True)
        _step("synth", "--people", people, "--seed", 1, "--out", leak, "--answers", answers)
        _step("keys", "init", "--keys", keys)
        _step("ingest", leak, "--mapping", "cnss", "--dataset", "demo", "--keys", keys, "--releases", releases)
    _step("release", "verify", "--releases", releases, "--publisher-key", publisher)
    url = f"http://127.0.0.1:{port}"
    serving = _show("serve", "--releases", releases, "--keys", keys, "--port", port)
    with subprocess.Popen(serving) as service:
        try:
            _wait(url, service)
            kind, identifier = _somebody(answers)
            checking = _show(
                "check", kind, "--url", url, "--publisher-key", publisher, "--memory", folder / "seen.json"
            )
            RESULTS.print(f"{kind}: {identifier}", markup=False)
            code = subprocess.run(checking, input=identifier + "\n", text=True, check=False).returncode
            RESULTS.print(f"(exit code {code})")
            if code != 1:
                raise ReleaseError("demo", "the check did not find somebody who is in the leak")
            RESULTS.print(f"\nServing on {url}. To try: {kind} {identifier}. Ctrl-C stops it.", markup=False)
            if stay:
                service.wait()
        except KeyboardInterrupt:
            RESULTS.print("stopping")
        finally:
            service.terminate()


def _refuse_taken(port: int) -> None:
    # Now, not minutes later; and whoever listens there would answer in place of the service.
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise ReleaseError("demo", f"127.0.0.1 port {port}: {error.strerror}") from None


def _show(*words: object) -> list[str]:
    arguments = [str(word) for word in words]
    RESULTS.print(f"\n$ breachcheck {shlex.join(arguments)}", markup=False)
    return [sys.executable, "-m", "breachcheck", *arguments]


def _step(*words: object) -> None:
    if subprocess.run(_show(*words), check=False).returncode:
        raise ReleaseError("demo", f"breachcheck {words[0]} failed")


def _wait(url: str, service: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if service.poll() is not None:
            raise ReleaseError("demo", "the service did not start")
        try:
            if urllib3.request("GET", f"{url}/readyz", retries=False, timeout=1).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.1)
    raise ReleaseError("demo", "the service is not ready")


def _somebody(answers: Path) -> tuple[str, str]:
    with answers.open(encoding="utf-8") as lines:
        phones = (answer for answer in map(json.loads, lines) if answer["kind"] == "phone")
        answer = max(phones, key=lambda one: len(one["exposed"]))
    return answer["kind"], answer["identifier"]
