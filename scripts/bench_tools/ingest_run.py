"""Run one ingest and print what it took.

A process of its own, so that its peak of memory is that of an ingest. The stopwatch stands around two functions in the
workers, slow hash and OPRF; everything else runs as `breachcheck ingest` runs it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench_tools.stopwatch import TimedEngine, peak_memory
from bench_tools.worlds import IngestFigures, World
from breachcheck import keys
from breachcheck.ingest.engine import LocalEngine
from breachcheck.ingest.mapping import read_mapping
from breachcheck.ingest.pipeline import Job, ingest
from breachcheck.ingest.publish import Policy
from breachcheck.protocol.parameters import SLOW_HASHES
from breachcheck.store.ledger import FILE, Ledger


class _Stages:
    """How long each stage took, and this process in it, from the first word of it to the first word of the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.reading: list[tuple[int, float]] = []  # how many rows were read, and when, about a hundred times
        self._stage, self._began, self._cpu = "start", time.perf_counter(), time.process_time()

    def __call__(self, stage: str, done: int, total: int, rows: int = 0) -> None:
        if stage == "read" and done >= len(self.reading) * total / 100:
            self.reading.append((rows, time.perf_counter()))
        if stage != self._stage:
            now, cpu = time.perf_counter(), time.process_time()
            self.seconds[self._stage], self.cpu[self._stage] = now - self._began, cpu - self._cpu
            self._stage, self._began, self._cpu = stage, now, cpu


class _Together(threading.Thread):
    """The most memory of this process and its workers at one time, in bytes; what they share is divided among them."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.25):
            own = [os.getpid(), *(worker.pid for worker in multiprocessing.active_children())]
            self.peak = max(self.peak, sum(map(self._share, own)))

    def end(self) -> int:
        self._end.set()
        self.join()
        return self.peak

    @staticmethod
    def _share(process: int | None) -> int:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(world: World, parameters: str) -> IngestFigures:
    """Make keys, then measure from the opening of the ledger to the end of the pool."""
    steward = keys.init(world.keys)
    slow_hash = SLOW_HASHES[parameters]
    job = Job((world.leak,), read_mapping("cnss"), "bench")
    workers = len(os.sched_getaffinity(0))
    together = _Together()
    together.start()
    cpu_before, began, stages = _cpu(), time.perf_counter(), _Stages()
    with LocalEngine(workers) as local, Ledger(world.keys / FILE, steward, slow_hash) as ledger:
        engine = TimedEngine(local)
        report = ingest(job, steward, slow_hash, ledger, world.releases, engine, Policy(), datetime.now(UTC), stages)
        stages("end", 0, 0)
    wall = time.perf_counter() - began
    if not engine.evaluation:
        raise RuntimeError("the stopwatch saw no evaluation: is it still where the ingest calls it?")
    return IngestFigures(
        rows=report.dataset.rows_read,
        identifiers=sum(report.identifiers.values()),
        workers=workers,
        wall=wall,
        stages=stages.seconds,
        steps=report.seconds,
        reading=stages.reading,
        evaluation=engine.evaluation,
        around_evaluation=engine.around_evaluation + stages.cpu["evaluate"],
        cpu=_cpu() - cpu_before,
        parent_peak=peak_memory(),
        worker_peak=engine.worker_peak,
        peak=together.end(),
    )


def main() -> None:
    """Ingest the leak in the folder that is the first word of the command line, with the parameters in the second."""
    folder, parameters = sys.argv[1:]
    print(json.dumps(asdict(measure(World(Path(folder), people=0), parameters))))
