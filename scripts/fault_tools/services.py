"""Services as processes of their own, which may be killed, and what they say of themselves."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import urllib3

from tests.world import BREACHCHECK, World, free_port

_START: Final = 60.0  # seconds
_CAPS: Final = {"BREACHCHECK_DAILY_CAP": "100000000", "BREACHCHECK_ADDRESS_CAP": "0"}


@dataclass
class Service:
    """A running service."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def readiness(self) -> str:
        """Return "ready", or the reasons why it is not."""
        answer = urllib3.request("GET", f"{self.url}/readyz", retries=False, timeout=5)
        if answer.status == 200:
            return "ready"
        said = json.loads(answer.data)
        return ", ".join([*said["reasons"], *([said["self_check"]] if said["self_check"] else [])])


def held(pid: int) -> tuple[int, int]:
    """Return the resident memory of a process in bytes, and how many files and sockets it has open."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path(f"/proc/{pid}/fd").iterdir()))


def start(
    world: World, *words: object, port: int | None = None, env: Mapping[str, str] | None = None, log: Path | None = None
) -> Service:
    """Start a service and wait until it answers at all, ready or not. The caller ends it.

    Raises:
        RuntimeError: it does not start.
    """
    port = port or free_port()
    options = ("--keys", world.keys, "--port", port, "--allow-testing-parameters", *words)
    with (log or Path(os.devnull)).open("ab") as said:
        process = subprocess.Popen(
            [*BREACHCHECK, "serve", *map(str, options)],
            env={**os.environ, **_CAPS, **(env or {})},
            stdout=said,
            stderr=said,
        )
    service = Service(port, process)
    deadline = time.monotonic() + _START
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(urllib3.exceptions.HTTPError):
            if urllib3.request("GET", f"{service.url}/livez", retries=False, timeout=2).status == 200:
                return service
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise RuntimeError("a service did not start")


@contextmanager
def serving(world: World, env: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Serve a world's release, ready or not."""
    service = start(world, "--releases", world.releases, env=env)
    try:
        yield service
    finally:
        service.process.terminate()
        service.process.wait()
