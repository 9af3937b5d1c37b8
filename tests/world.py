"""A whole small world for tests, made by the commands a steward types: leak, keys, release, a running service."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import urllib3

BREACHCHECK = (sys.executable, "-m", "breachcheck")
LEAKED_KINDS = ("national_id", "social_security", "phone", "bank_account", "email")  # of the synthetic leak


def run(
    *words: object, check: bool = True, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line; with `check`, a failure fails the test with what it said."""
    command = [*BREACHCHECK, *map(str, words)]
    done = subprocess.run(
        command, input=stdin, text=True, capture_output=True, check=False, env={**os.environ, **(env or {})}
    )
    assert not check or done.returncode == 0, (words[0], done.returncode, done.stderr)
    return done


@dataclass(frozen=True)
class World:
    """Folders of a leak and what was made of it."""

    root: Path

    @property
    def leak(self) -> Path:
        return self.root / "leak.csv"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def publisher(self) -> Path:
        return self.keys / "publisher.pub"

    def answers(self) -> list[dict[str, Any]]:
        with (self.root / "answers.jsonl").open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def synth(self, people: int, seed: int = 1) -> None:
        run("synth", "--people", people, "--seed", seed, "--out", self.leak, "--answers", self.root / "answers.jsonl")

    def ingest_words(self, *files: Path, dataset: str = "demo", mapping: str = "cnss") -> list[object]:
        words: list[object] = ["ingest", *(files or [self.leak]), "--mapping", mapping, "--dataset", dataset]
        return [*words, "--keys", self.keys, "--releases", self.releases, "--parameters", "testing-only"]

    def ingest(self, *files: Path, dataset: str = "demo") -> str:
        return run(*self.ingest_words(*files, dataset=dataset)).stdout


def make_world(root: Path, people: int, seed: int = 1) -> World:
    """Return a world with a leak, keys and a first release."""
    root.mkdir(exist_ok=True)
    world = World(root)
    world.synth(people, seed)
    run("keys", "init", "--keys", world.keys)
    world.ingest()
    return world


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(
    world: World, *words: object, env: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> Iterator[str]:
    """Serve a world's release in a process of its own, and yield its URL once it is ready."""
    port = free_port()
    command: Sequence[str] = [
        *BREACHCHECK,
        *map(str, ("serve", "--releases", world.releases, "--keys", world.keys, "--port", port)),
        "--allow-testing-parameters",
        *map(str, words),
    ]
    caps = {"BREACHCHECK_DAILY_CAP": "1000000", "BREACHCHECK_ADDRESS_CAP": "0"}
    with subprocess.Popen(command, env={**os.environ, **caps, **(env or {})}, stdout=log, stderr=log) as service:
        url = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + 60
            while True:
                assert service.poll() is None, "the service did not start"
                assert time.monotonic() < deadline, "the service is not ready"
                try:
                    if urllib3.request("GET", f"{url}/readyz", retries=False, timeout=2).status == 200:
                        break
                except urllib3.exceptions.HTTPError:
                    pass
                time.sleep(0.05)
            yield url
        finally:
            service.terminate()
