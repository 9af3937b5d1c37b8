"""Campaign 6: one long ingest, killed again and again and each time gone on with, makes what an undisturbed one makes.

The ingest is killed (SIGKILL), or one of its workers is, in each stage, at points drawn from the seed: how far reading
and evaluation are, or a part of the time that the other stages took the undisturbed run. Then the same command is given
again. A minute stands for hours here: progress is kept every quarter of a second, not every five.

At the end the two must be equal: ledger line by line, list of rejected rows, and what a client is told, which must also
be what the synthetic leak's answers say; and the manifest, but for number, times and what follows from the number: the
roots, and the fullest bucket, which a canary may lie in (canaries are derived from the number).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb

from breachcheck import keys as key_room
from breachcheck.errors import BreachcheckError
from breachcheck.exposure import Exposed
from breachcheck.protocol.identifier import identify
from breachcheck.store import reader
from breachcheck.store.ledger import FILE
from breachcheck.store.verify import ask, verify, verify_canaries
from breachcheck.synth import nonmember
from fault_tools.campaign import Plan, Tally
from fault_tools.forks import in_child
from tests.world import World
from tests.world import run as command

_KILLS: Final = 50
_PEOPLE_A_KILL: Final = 800
_FILES: Final = 6
_ASKED: Final = 1000
_STAGES: Final = ("start", "read", "merge", "evaluate", "keep", "people", "publish")
_SHARED: Final = ("read", "evaluate")  # among workers; they tell how far they are
# Of ten kills. The long stages are not the delicate ones.
_DRAWN: Final = (
    ("worker", "evaluate"),
    ("ingest", "read"),
    ("ingest", "keep"),
    ("ingest", "publish"),
    ("worker", "read"),
    ("ingest", "evaluate"),
    ("ingest", "merge"),
    ("ingest", "people"),
    ("ingest", "start"),
    ("ingest", "evaluate"),
)
_LATE: Final = "finished first"
_PROGRAM: Final = """
import json, sys
from breachcheck import terminal
from breachcheck.cli import main
from breachcheck.ingest import stages
from breachcheck.store.run import Run

merge = Run.merge

def telling(*words):
    print(json.dumps({"stage": "merge"}), file=sys.stderr, flush=True)
    merge(*words)

stages.KEEP_EVERY, terminal._PLAIN_EVERY, Run.merge = 0.25, 0.0, telling
main()
"""


@dataclass(frozen=True)
class Kill:
    """Whom to kill, in which stage, and how far into it (0 to 1)."""

    victim: str
    stage: str
    part: float


def run(plan: Plan) -> Tally:
    """Kill an ingest `points` times, or 50."""
    kills = plan.points or _KILLS
    whole, killed = World(plan.folder / "whole"), World(plan.folder / "killed")
    whole.root.mkdir()
    whole.synth(_PEOPLE_A_KILL * kills, plan.seed)
    files = _split(whole.leak, plan.folder)
    command("keys", "init", "--keys", whole.keys)
    shutil.copytree(whole.keys, killed.keys)
    began = time.monotonic()
    seconds = _undisturbed(whole, files)
    plan.say(f"resume: {time.monotonic() - began:.0f} s undisturbed, {kills} kills")
    tally = Tally("resume")
    for number, kill in enumerate(_kills(plan.random("resume"), kills), 1):
        for part in (kill.part, kill.part / 4, 0.0):  # again and earlier, if it was too late
            stage, outcome, wrong = _interrupt(killed, files, replace(kill, part=part), seconds)
            tally.count(f"{kill.victim} killed: {stage}", outcome, wrong=wrong)
            if not outcome.startswith(_LATE):
                break
        if number % 10 == 0:
            plan.say(f"resume: {number} kills, {len(tally.wrong)} wrong")
    ended = _start(killed, files)
    ended.communicate()
    differences = _differences(plan, whole, killed) if ended.returncode == 0 else [f"exit code {ended.returncode}"]
    for difference in differences or ["the same"]:
        tally.count("gone on to the end", difference, wrong=bool(differences))
    return tally


def _split(leak: Path, folder: Path) -> list[Path]:
    with leak.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file, delimiter=";")
    paths = []
    for number in range(_FILES):
        paths.append(folder / f"leak{number}.csv{'.gz' if number % 2 else ''}")
        with gzip.open(paths[-1], "wb", 1) if number % 2 else paths[-1].open("wb") as octets:
            part = io.TextIOWrapper(octets, "utf-8", newline="")
            csv.writer(part, delimiter=";").writerows([header, *rows[number::_FILES]])
            part.flush()
    return paths


def _kills(rng: random.Random, count: int) -> list[Kill]:
    """Return the kills in the order of the stages, so that each finds work to do; those at the start among them."""
    drawn = [Kill(*_DRAWN[index % len(_DRAWN)], rng.uniform(0.0, 0.9)) for index in range(count)]
    starts = [kill for kill in drawn if kill.stage == "start"]
    others = sorted(
        (kill for kill in drawn if kill.stage != "start"), key=lambda one: (_STAGES.index(one.stage), one.part)
    )
    for kill in starts:
        others.insert(rng.randrange(len(others) + 1), kill)
    return others


def _start(world: World, files: list[Path]) -> subprocess.Popen[str]:
    words = [*world.ingest_words(*files), "--rejects", world.root / "rejects.csv", "--json"]
    program = [sys.executable, "-c", _PROGRAM, *map(str, words)]
    return subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    for line in process.stderr or ():
        yield json.loads(line) if line.startswith("{") else {"error": line.strip()}


def _undisturbed(world: World, files: list[Path]) -> Mapping[str, float]:
    """Return the seconds that each stage took."""
    at = {"start": time.monotonic()}
    with _start(world, files) as process:
        for line in _lines(process):
            at.setdefault(line["stage"], time.monotonic())
    if process.returncode:
        raise RuntimeError(f"the undisturbed run failed: exit code {process.returncode}")
    ends = [*(at[stage] for stage in _STAGES[1:]), time.monotonic()]
    return {stage: end - at[stage] for stage, end in zip(_STAGES, ends, strict=True)}


def _interrupt(world: World, files: list[Path], kill: Kill, seconds: Mapping[str, float]) -> tuple[str, str, bool]:
    """Return the stage in which it was killed, the outcome, and whether that is wrong."""
    with _start(world, files) as process:
        stage, lines = "start", _lines(process)
        if kill.stage == "start":
            time.sleep(kill.part * seconds["start"])
        else:
            wanted = _STAGES.index(kill.stage)
            for line in lines:
                stage = line.get("stage", stage)
                reached = _STAGES.index(stage)
                if reached == wanted and kill.stage not in _SHARED:
                    time.sleep(kill.part * seconds[stage])
                    break
                if reached > wanted or (reached == wanted and line["done"] >= kill.part * line["total"]):
                    break
        victims = _workers(process.pid) if kill.victim == "worker" else [process.pid]
        if victims:
            os.kill(victims[0], signal.SIGKILL)
        said = " ".join(line["error"] for line in lines if "error" in line)
    outcome = _LATE
    if process.returncode == -signal.SIGKILL:
        outcome = "died"
    elif process.returncode:
        outcome = "ended: worker_lost" if "worker_lost" in said else f"exit code {process.returncode}: {said}"
    wrong = outcome not in ("died", "ended: worker_lost", _LATE)
    state = in_child(lambda: _state(world))
    return stage, f"{outcome}; {state}", wrong or state not in ("no release", "release whole")


def _workers(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _state(world: World) -> str:
    if not (world.releases / reader.CURRENT).exists():
        return "no release"
    steward = key_room.read_steward(world.keys)
    try:
        with reader.open_release(world.releases, steward.publisher_key) as release:
            verify(release)
            verify_canaries(release, steward.publisher_key, steward.evaluator, datetime.now(UTC))
    except BreachcheckError as error:
        return f"half published: {error.reason}"
    return "release whole"


def _differences(plan: Plan, whole: World, killed: World) -> list[str]:
    found: list[str] = in_child(lambda: _unequal_tables(whole.keys / FILE, killed.keys / FILE))
    if (whole.root / "rejects.csv").read_bytes() != (killed.root / "rejects.csv").read_bytes():
        found.append("rejected rows differ")
    for folder in (killed.keys, killed.releases):
        found += [f"{path.name} was left" for path in folder.iterdir() if path.name.startswith((".", f"{FILE}."))]
    with (whole.root / "answers.jsonl").open(encoding="utf-8") as lines:
        answers = plan.random("asked").sample([json.loads(line) for line in lines], _ASKED)
    asked = [(one["kind"], one["identifier"]) for one in answers]
    asked += [(kind, nonmember(kind, number)) for kind in ("phone", "national_id") for number in range(50)]
    told, again = (in_child(partial(_told, world, asked)) for world in (whole, killed))
    if told["manifest"] != again["manifest"]:
        found.append("manifests differ")
    truth = [[sorted(one["exposed"])] for one in answers] + [[]] * (len(asked) - len(answers))
    for name, verdicts in (("undisturbed", told["verdicts"]), ("killed", again["verdicts"])):
        false = sum(verdict != true for verdict, true in zip(verdicts, truth, strict=True))
        if false:
            found.append(f"{name}: {false} of {len(asked)} answers are not the leak's")
    return found


def _unequal_tables(one: Path, other: Path) -> list[str]:
    """Return the tables of two ledgers whose lines differ, but for how often a release was made and a run begun."""
    found = []
    with duckdb.connect() as database:
        for name, path in (("one", one), ("other", other)):
            database.execute(f"ATTACH '{path}' AS {name} (READ_ONLY)")
        tables = database.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'one'").fetchall()
        for (table,) in tables:
            columns = {"run": "* EXCLUDE (number)", "ledger": "* EXCLUDE (released)"}.get(table, "*")
            lines = [f"SELECT {columns} FROM {name}.{table}" for name in ("one", "other")]  # noqa: S608
            for first, second in (lines, reversed(lines)):
                [(count,)] = database.execute(
                    f"SELECT count(*) FROM ({first} EXCEPT ALL {second})"  # noqa: S608
                ).fetchall()
                if count:
                    found.append(f"{count:,} lines of the ledger's {table} differ")
    return found


def _told(world: World, asked: list[tuple[str, str]]) -> dict[str, Any]:
    steward, now = key_room.read_steward(world.keys), datetime.now(UTC)
    with reader.open_release(world.releases, steward.publisher_key) as release:
        manifest = json.loads(release.manifest.model_dump_json(exclude={"release", "created", "valid_until"}))
        for table in manifest["kinds"]:
            del table["root"], table["entries_per_bucket"]
        verdicts = []
        for kind, text in asked:
            verdict = ask(release, steward.publisher_key, steward.evaluator, now, identify(kind, text))
            exposures = verdict.exposures if isinstance(verdict, Exposed) else ()
            verdicts.append([sorted(one.fields) for one in exposures])
    return {"manifest": manifest, "verdicts": verdicts}
