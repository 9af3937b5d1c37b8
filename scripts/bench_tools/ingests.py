"""Everything in an ingest but slow hash and OPRF, at two sizes: time an identifier, and memory."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from bench_tools.bench import Bench, Figures
from bench_tools.tools import Comparison, interleaved_by
from bench_tools.worlds import IngestFigures, World
from breachcheck.ingest.memory import MAX_SLOTS, SLOT
from breachcheck.protocol.parameters import TESTING_ONLY

WANTED: Final = 40.0  # microseconds an identifier
# What an ingest may hold, in bytes, whatever the number of rows. The parent: two DuckDB files at their memory limit,
# the ledger and the release that is being written, and what Python and Arrow have under way. A worker: its libraries, a
# few chunks of rows, that of one slow hash, and the rows that it knows again, while their table is being doubled.
PARENT_BOUND: Final = (512 + 192 + 256) * 10**6
WORKER_BOUND: Final = 160 * 10**6 + SLOT * MAX_SLOTS * 3 // 2
_STAGES: Final = {
    "start": "digests, keys, processes",
    "read": "read, map, shroud, merge",
    "evaluate": "the evaluation's way there and back",
    "publish": "ledger, seal, sort, write, verify",
}


def _better(one: IngestFigures, other: IngestFigures) -> IngestFigures:
    quickest = min(one, other, key=lambda figures: figures.rest)
    return replace(
        quickest,
        parent_peak=max(one.parent_peak, other.parent_peak),
        worker_peak=max(one.worker_peak, other.worker_peak),
        peak=max(one.peak, other.peak),
    )


def _times(people: int, seen: IngestFigures, wanted: float | None) -> list[Comparison]:
    def each(seconds: float) -> float:
        return seconds / seen.identifiers * 1e6

    size = f"{people:,} people, {seen.rows:,} rows, {seen.identifiers:,} identifiers"
    stages = seen.stages | {"evaluate": seen.around_evaluation / seen.workers}
    return [
        Comparison(size, "us/identifier", each(seen.rest), "at most", WANTED, wanted, at_most=True),
        *(Comparison(f"  {_STAGES[stage]}", "us/identifier", each(seconds)) for stage, seconds in stages.items()),
        Comparison("  processor time, all cores together", "us/identifier", each(seen.rest_cpu)),
        Comparison("  rows", "/s", seen.rows / seen.rest),
    ]


def _memory(smaller: IngestFigures, larger: IngestFigures) -> list[Comparison]:
    rows = []
    for who, peaks, bound in (
        ("parent", (smaller.parent_peak, larger.parent_peak), PARENT_BOUND),
        ("largest worker", (smaller.worker_peak, larger.worker_peak), WORKER_BOUND),
    ):
        for rows_read, peak in zip((smaller.rows, larger.rows), peaks, strict=True):
            what = f"peak memory, {who}, {rows_read:,} rows"
            rows.append(Comparison(what, "MB", peak / 1e6, "bound", bound / 1e6, wanted=1.0, at_most=True))
    return rows


def measure(bench: Bench) -> Figures:
    """Ingest two leaks by turns, each time anew, with parameters under which the evaluation does not hide the rest."""
    sizes = (500, 2_000) if bench.quick else (20_000, 100_000)
    worlds = [bench.leak(people, TESTING_ONLY) for people in sizes]

    def ingest(world: World) -> IngestFigures:
        bench.say(f"ingesting a leak about {world.people:,} people")
        return world.ingest(TESTING_ONLY)

    measures = {str(world.people): partial(ingest, world) for world in worlds}
    best = interleaved_by(measures, 1 if bench.quick else 2, _better)
    smaller, larger = (best[str(people)] for people in sizes)
    wanted = None if bench.quick else 1.0  # so few rows do not pay for the start of the processes
    rows = [*_times(sizes[0], smaller, wanted), *_times(sizes[1], larger, wanted), *_memory(smaller, larger)]
    return Figures("Ingest, without slow hash and OPRF", rows)
