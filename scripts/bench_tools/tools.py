"""Start, pin and read the measuring tools: the C limit, nginx, wrk.

    limit.c       what plain C over libsodium does in a tight loop
    nginx.conf.in a static file server as fast as it goes
    *.lua         what wrk asks, and how it reports

A machine drifts, so nothing is measured once: `interleaved` takes turns and keeps the best of several rounds.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
EVALUATE_SCRIPT = HERE / "evaluate.lua"
BUCKET_SCRIPT = HERE / "bucket.lua"

T = TypeVar("T")


class ToolError(RuntimeError):
    """A measuring tool does not start, or cannot be believed."""


class MissingError(ToolError):
    """A measuring tool is not installed. The message names it and its Debian package."""


# ---- processes ------------------------------------------------------------------------------------------------------


def find_tool(name: str, debian_package: str) -> str:
    """Return the path of a program. Raises MissingError if there is none."""
    # nginx lives where the PATH of an ordinary user does not look.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingError(f"{name} (Debian package {debian_package})")
    return found


@contextmanager
def pinned(cores: Set[int] | None) -> Iterator[None]:
    """Keep this thread, and every process it starts meanwhile, on `cores`. None changes nothing.

    Raises ToolError if a core is not ours to use.
    """
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    if not cores or not cores <= before:
        raise ToolError(f"cannot pin to cores {sorted(cores)}: this process may use {sorted(before)}")
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def split_cores() -> tuple[frozenset[int], frozenset[int]]:
    """Return one core for the server and another for the load generator; the same one twice if there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return frozenset(cores[:1]), frozenset(cores[-1:])


def _run(
    command: Sequence[str], timeout: float, env: Mapping[str, str] | None = None, cores: Set[int] | None = None
) -> str:
    """Return the standard output of a command. Raises ToolError with its standard error if it fails."""
    name = Path(command[0]).name
    try:
        with pinned(cores):
            done = subprocess.run(
                command, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=timeout, check=False
            )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{name} did not end within {timeout:.0f} s") from error
    if done.returncode != 0:
        raise ToolError(f"{name} failed with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


@dataclass(frozen=True)
class _Answer:
    status: int
    length: int  # bytes on the wire, head and body


def _get(url: str) -> _Answer | None:
    """GET a URL once. None if there is no answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        # The same request as wrk's, so that the answers have the same length.
        connection.putrequest("GET", parts.path or "/", skip_accept_encoding=True)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    head = len(f"HTTP/1.1 {response.status} {response.reason}\r\n\r\n")
    head += sum(len(f"{name}: {value}\r\n") for name, value in response.getheaders())
    return _Answer(response.status, head + len(body))


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    pid: int

    def cpu(self) -> float:
        """Return the processor time that it has taken, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a TCP port that is free on loopback now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace").strip()[-2000:]


@contextmanager
def serving(
    command: Sequence[str],
    ready_url: str,
    *,
    env: Mapping[str, str] | None = None,
    cores: Set[int] | None = None,
    patience: float = 30.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block runs, from its first answer below 500 on `ready_url`. `patience` is in seconds.

    Raises ToolError with the end of what it printed if it ends, or does not answer in time.
    """
    name = Path(command[0]).name
    with tempfile.TemporaryFile() as log:
        with pinned(cores):
            process = subprocess.Popen(
                command, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            deadline = time.monotonic() + patience
            while (answer := _get(ready_url)) is None or answer.status >= 500:
                if process.poll() is not None:
                    raise ToolError(f"{name} ended with {process.returncode}: {_tail(log)}")
                if time.monotonic() > deadline:
                    raise ToolError(f"{name} did not answer within {patience:.0f} s: {_tail(log)}")
                time.sleep(0.02)
            yield process
            if process.poll() is not None:
                raise ToolError(f"{name} ended while it was measured, with {process.returncode}: {_tail(log)}")
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# ---- the limit ------------------------------------------------------------------------------------------------------


def compile_limit(build_dir: Path) -> Path:
    """Compile limit.c into `build_dir` and return the program. Raises MissingError."""
    cc = find_tool("cc", "gcc, with libc6-dev")
    headers = subprocess.run(
        [cc, "-E", "-include", "sodium.h", "-x", "c", os.devnull], capture_output=True, check=False
    )
    if headers.returncode != 0:
        raise MissingError("the headers of libsodium (Debian package libsodium-dev)")
    build_dir.mkdir(parents=True, exist_ok=True)
    binary = build_dir / "limit"
    _run([cc, "-O2", "-pthread", str(HERE / "limit.c"), "-lsodium", "-ldl", "-o", str(binary)], timeout=120)
    return binary


def limit_rate(
    binary: Path, measure: str, seconds: float, *, page: int = 24_000, cores: Set[int] | None = None
) -> float:
    """Measure one of the limit's measures for `seconds`, on one thread, in calls a second of processor time.

    Raises ToolError if the limit does not meet the vectors of RFC 9497.
    """
    command = [str(binary), "--page", str(page), "--only", measure, str(seconds)]
    return float(json.loads(_run(command, 20 * seconds + 60, cores=cores))[measure])


# ---- nginx and wrk --------------------------------------------------------------------------------------------------


@contextmanager
def nginx_serving(folder: Path, *, cores: Set[int] | None = None) -> Iterator[Server]:
    """Serve a folder as static files with one nginx process on loopback while the block runs."""
    nginx = find_tool("nginx", "nginx-light")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="nginx-") as state:
        config = (HERE / "nginx.conf.in").read_text(encoding="utf-8")
        for name, value in {"PORT": str(port), "ROOT": str(folder.resolve()), "STATE": state}.items():
            config = config.replace(f"@{name}@", value)
        path = Path(state, "nginx.conf")
        path.write_text(config, encoding="utf-8")
        url = f"http://127.0.0.1:{port}"
        command = [nginx, "-e", "stderr", "-p", state, "-c", str(path)]
        with serving(command, f"{url}/", cores=cores, patience=10) as process:
            yield Server(url, process.pid)


@dataclass(frozen=True)
class LoadFigures:
    """What wrk saw. Only good answers count as requests; the latencies are those of all answers."""

    requests_per_second: float
    requests_per_cpu_second: float  # of the server's processor time
    p50_ms: float
    p99_ms: float
    errors: int  # answers other than 2xx, short answers, failed connections, reads and writes, timeouts
    answers: int


def wrk(
    server: Server,
    path: str,
    script: Path,
    connections: int,
    seconds: int,
    threads: int = 1,
    env: Mapping[str, str] | None = None,
    *,
    cores: Set[int] | None = None,
) -> LoadFigures:
    """Put load on `path` with EVALUATE_SCRIPT, whose body is in `env`, or BUCKET_SCRIPT.

    Raises ToolError if wrk fails, or if there is not one good answer.
    """
    program = find_tool("wrk", "wrk")
    command = [program, "-t", str(threads), "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s"]
    url, cpu_before = server.url + path, server.cpu()
    output = _run([*command, "-s", str(script), url], seconds + 60, env, cores)
    cpu = server.cpu() - cpu_before
    # wrk says most of what goes wrong in a script on standard output, and ends with 0 all the same.
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise ToolError(f"wrk reported nothing: {output.strip()[-2000:]}")
    seen = json.loads(lines[-1])
    answers, bad = int(seen["answers"]), int(seen["not_2xx"])
    short = 0 if seen["every_status"] else _short_answers(url, answers - bad, int(seen["bytes"]))
    good = answers - bad - short
    if good <= 0:
        raise ToolError(f"no good answer from {url}: {lines[-1]}")
    return LoadFigures(
        requests_per_second=float(seen["requests_per_second"]) * good / (answers - bad),
        requests_per_cpu_second=good / max(cpu, 0.01),
        p50_ms=float(seen["p50_ms"]),
        p99_ms=float(seen["p99_ms"]),
        errors=bad + short + sum(int(seen[kind]) for kind in ("connect", "read", "write", "timeout")),
        answers=answers,
    )


def _short_answers(url: str, answers: int, received: int) -> int:
    """Estimate how many of the answers were shorter than a good one: redirects, say, which wrk does not count."""
    sample = _get(url)
    if sample is None or not 200 <= sample.status <= 299:
        raise ToolError(f"{url} does not answer a single GET: {'nothing' if sample is None else sample.status}")
    # A server may write its head a few bytes shorter than http.client shows it.
    missing = answers * (sample.length - 64) - received
    return max(0, min(answers, -(-missing // sample.length)))


# ---- comparing ------------------------------------------------------------------------------------------------------


def interleaved_by(measures: Mapping[str, Callable[[], T]], rounds: int, better: Callable[[T, T], T]) -> dict[str, T]:
    """Take turns through the measures `rounds` times and keep of each what `better` chooses."""
    if rounds < 1:
        raise ValueError("at least one round")
    best: dict[str, T] = {}
    for _ in range(rounds):
        for name, measure in measures.items():
            seen = measure()
            best[name] = better(best[name], seen) if name in best else seen
    return best


def interleaved(
    measures: Mapping[str, Callable[[], float]], rounds: int, better: Callable[[float, float], float] = max
) -> dict[str, float]:
    """Take turns through the measures and return the best of each: the highest, or with `better=min` the lowest."""
    return interleaved_by(measures, rounds, better)


def interleaved_loads(measures: Mapping[str, Callable[[], LoadFigures]], rounds: int) -> dict[str, LoadFigures]:
    """Take turns through loads and return each one's fastest round, with the errors of all its rounds."""

    def better(one: LoadFigures, other: LoadFigures) -> LoadFigures:
        fastest = max(one, other, key=lambda figures: figures.requests_per_second)
        return replace(fastest, errors=one.errors + other.errors)

    return interleaved_by(measures, rounds, better)


@dataclass(frozen=True)
class Comparison:
    """One row: ours against a limit or a peer, in the same unit. Without `wanted`, or without `theirs`, it informs."""

    what: str
    unit: str
    ours: float
    against: str = ""
    theirs: float | None = None
    wanted: float | None = None  # bounds ours / theirs
    at_most: bool = False  # for times and sizes, where less is better

    @property
    def ratio(self) -> float | None:
        """Ours / theirs."""
        return self.ours / self.theirs if self.theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the ratio is within what is wanted; None where nothing is."""
        if self.wanted is None or self.ratio is None:
            return None
        return self.ratio <= self.wanted if self.at_most else self.ratio >= self.wanted


def figure(value: float) -> str:
    """Write a number with as many digits as a noisy machine is worth."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def print_comparisons(title: str, rows: Sequence[Comparison], console: Console) -> None:
    """Print one table."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("what")
    for heading in ("ours", "limit or peer", "ratio", "wanted"):
        table.add_column(heading, justify="right")
    for row in rows:
        wanted = "" if row.wanted is None else f"{'≤' if row.at_most else '≥'} {row.wanted:.2f}"
        table.add_row(
            f"{row.what} ({row.unit})",
            figure(row.ours),
            "" if row.theirs is None else f"{row.against} {figure(row.theirs)}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            wanted + {None: "", True: " [green]met[/green]", False: " [bold red]missed[/bold red]"}[row.met],
        )
    console.print(table)
