"""Twenty million rows of monthly files about two million people: how fast, how evenly, and in what memory."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from bench_tools.bench import Bench, Figures
from bench_tools.tools import Comparison
from bench_tools.worlds import IngestFigures, World
from breachcheck.protocol.parameters import TESTING_ONLY

PEOPLE: Final = 2_000_000
MONTHS: Final = 10
ROWS: Final = 250_000.0  # wanted a second
MEMORY: Final = 1500.0  # MB wanted at most, of all processes together
_PARTS: Final = 10
_STEPS: Final = {"keep": "into the ledger", "people": "who is one person", "publish": "seal, write, verify, publish"}


def _rows_by_part(seen: IngestFigures) -> list[Comparison]:
    marks = [next(mark for mark in seen.reading if mark[0] * _PARTS >= part * seen.rows) for part in range(1, _PARTS)]
    rows = []
    for (before, began), (after, ended) in pairwise([*marks, seen.reading[-1]]):
        what = f"  a row, from {before / 1e6:.1f} to {after / 1e6:.1f} million"
        rows.append(Comparison(what, "us", (ended - began) / (after - before) * 1e6))
    return rows


def measure(bench: Bench) -> Figures:
    """Ingest once, with parameters under which the evaluation does not hide the rest."""
    people = 2_000 if bench.quick else PEOPLE
    world = World(bench.folder / "steady", people)
    bench.say(f"synthesising {MONTHS} monthly files about {people:,} people")
    world.synth(MONTHS, steady=True)
    bench.say("ingesting them")
    seen = world.ingest(TESTING_ONLY)
    wanted = None if bench.quick else 1.0
    reading = seen.stages["start"] + seen.stages["read"]
    size = f"{seen.rows:,} rows, {seen.identifiers:,} distinct identifiers"
    rows = [
        Comparison(f"{size}: read, map, shroud, merge", "rows/s", seen.rows / reading, "at least", ROWS, wanted),
        *_rows_by_part(seen),
        Comparison("all steps but evaluation", "rows/s", seen.rows / seen.other_steps, "at least", ROWS, wanted),
        *(
            Comparison(f"  {what}", "us/identifier", seen.steps[step] / seen.identifiers * 1e6)
            for step, what in _STEPS.items()
        ),
        Comparison("  and what of evaluation is neither slow hash nor OPRF", "rows/s", seen.rows / seen.rest),
        Comparison(
            "peak memory, all processes together", "MB", seen.peak / 1e6, "at most", MEMORY, wanted, at_most=True
        ),
        Comparison("  the parent's own", "MB", seen.parent_peak / 1e6),
        Comparison("  the largest worker's own", "MB", seen.worker_peak / 1e6),
    ]
    return Figures("Ingest, at scale", rows)
