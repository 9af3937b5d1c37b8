"""What is measured: a synthetic leak, the release made from it by a real ingest, and what that ingest took."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench_tools.tools import Server, ToolError, free_port, serving
from breachcheck.protocol.parameters import SlowHash
from breachcheck.synth import SynthReport, generate


def import_path() -> dict[str, str]:
    """Return what in its environment makes another Python import from where this process does."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@dataclass(frozen=True)
class IngestFigures:
    """One ingest, measured in a process of its own. Times are in seconds, memory is in bytes."""

    rows: int
    identifiers: int
    workers: int
    wall: float
    stages: dict[str, float]  # wall
    steps: dict[str, float]  # wall, as the ingest reports them
    reading: list[tuple[int, float]]  # how many rows were read, and when (seconds of one clock)
    evaluation: float  # processor time of slow hash and OPRF, all workers together
    around_evaluation: float  # processor time of all else in that stage, workers and parent together
    cpu: float  # processor time of everything, parent and workers
    parent_peak: int
    worker_peak: int  # of the largest
    peak: int  # of all processes together

    @property
    def rest(self) -> float:
        """The wall time without slow hash and OPRF.

        While they run, all cores are busy: what else is done then makes that stage longer by its share of the cores.
        """
        return self.wall - self.stages["evaluate"] + self.around_evaluation / self.workers

    @property
    def other_steps(self) -> float:
        """The wall time without the step in which identifiers are evaluated."""
        return self.wall - self.steps["evaluate"]

    @property
    def rest_cpu(self) -> float:
        """The processor time of everything but slow hash and OPRF."""
        return self.cpu - self.evaluation


@dataclass(frozen=True)
class World:
    """A leak about `people` and what was made of it."""

    folder: Path
    people: int

    @property
    def leak(self) -> Path:
        return self.folder / "leak.csv"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    @property
    def publisher(self) -> Path:
        return self.keys / "publisher.pub"

    def synth(self, months: int | None = None, *, steady: bool = False) -> SynthReport:
        """Write the leak, of so many monthly files in one; in a steady one, months say nothing new of most people."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return generate(self.people, 1, self.leak, self.folder / "answers.jsonl", months=months, steady=steady)

    def ingest(self, parameters: SlowHash) -> IngestFigures:
        """Make keys, ledger and release anew. Raises ToolError if that fails."""
        for folder in (self.keys, self.releases):
            shutil.rmtree(folder, ignore_errors=True)
        # Not with -m: each worker would import the main module anew, with much that no worker of the program has.
        code = "from bench_tools.ingest_run import main; main()"
        command = [sys.executable, "-c", code, str(self.folder), parameters.name]
        env = {**os.environ, **import_path()}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolError(f"the ingest failed: {done.stderr.strip()[-300:]}")
        return IngestFigures(**json.loads(done.stdout))

    @contextmanager
    def service(self, cores: frozenset[int]) -> Iterator[Server]:
        """Serve the release while the block runs, without rationing that would matter."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "breachcheck", "serve", "--port", str(port), "--allow-testing-parameters"]
        command += ["--releases", str(self.releases), "--keys", str(self.keys)]
        env = {**import_path(), "BREACHCHECK_DAILY_CAP": "1000000000", "BREACHCHECK_ADDRESS_CAP": "0"}
        with serving(command, f"{url}/readyz", env=env, cores=cores) as process:
            yield Server(url, process.pid)
