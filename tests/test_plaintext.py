"""No plaintext: nothing of a row reaches a disk or a log, whether the ingest finished or was killed."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from breachcheck import keys as key_room
from breachcheck.protocol.identifier import KINDS
from breachcheck.store import reader
from breachcheck.store.ledger import FILE
from breachcheck.synth import nonmember
from tests import sorts
from tests.canary import Scanner
from tests.world import BREACHCHECK, World, run, serving

PEOPLE = 1200
CANARIES = 1500


@pytest.fixture
def bare(tmp_path: Path) -> World:
    """A leak and keys in a folder of their own: `source`; all that the ingest writes goes elsewhere."""
    world = World(tmp_path / "source")
    world.root.mkdir()
    world.synth(PEOPLE, seed=9)
    return world


def _canaries(world: World) -> list[str]:
    """Cells of the leak as they stand there, and the identifiers as they are spelled and as they are canonical."""
    rng = random.Random(1)
    with world.leak.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    columns = ("N_Num_Assure", "L_Nom_Prenom", "L_Num_CIN", "N_Tel", "L_Email", "N_RIB")
    cells = {row[column].strip() for row in rng.sample(rows, 600) for column in columns}
    answers = rng.sample(world.answers(), 400)
    spelled = {answer["identifier"] for answer in answers}
    canonical = {KINDS[answer["kind"]].canonical(answer["identifier"]) for answer in answers}
    # Shorter ones, and placeholders such as 000000000, stand in any file by chance.
    found = sorted(cell for cell in cells | spelled | canonical if len(cell) >= 8 and len(set(cell)) >= 4)
    return rng.sample(found, min(len(found), CANARIES))


def _ingest(
    world: World, out: Path, kill_after: float | None = None, log_to: str = "log"
) -> tuple[int, float, Sequence[Path]]:
    """Run an ingest whose every output lies under `out`; return its exit code, duration and what to search."""
    folders = {name: out / name for name in ("keys", "releases", "tmp", "logs", "home")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    if not (folders["keys"] / "publisher.pub").exists():
        run("keys", "init", "--keys", folders["keys"])
    words = ["ingest", world.leak, "--mapping", "cnss", "--dataset", "d", "--parameters", "testing-only"]
    words += ["--keys", folders["keys"], "--releases", folders["releases"]]
    environment = {**os.environ, "TMPDIR": str(folders["tmp"]), "HOME": str(folders["home"])}
    began = time.monotonic()
    with (folders["logs"] / log_to).open("wb") as log:
        process = subprocess.Popen(
            [*BREACHCHECK, *map(str, words)], stdout=log, stderr=log, env=environment, cwd=out, start_new_session=True
        )
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, time.monotonic() - began, [out]


def test_after_an_ingest_that_finished_and_checks_of_what_it_made(bare: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, _, places = _ingest(bare, out)
    assert code == 0
    asked = [answer["identifier"] for answer in bare.answers()[:20]] + [nonmember("phone", 5), nonmember("email", 6)]
    kinds = [answer["kind"] for answer in bare.answers()[:20]] + ["phone", "email"]
    world = World(out)
    with (
        (out / "logs" / "service").open("wb") as log,
        serving(world, env={"BREACHCHECK_LOG_LEVEL": "debug"}, log=log) as url,
    ):
        for kind, identifier in zip(kinds, asked, strict=True):
            with (out / "logs" / "check").open("ab") as checks:
                words = ("check", kind, "--url", url, "--publisher-key", world.publisher, "--json")
                done = subprocess.run(
                    [*BREACHCHECK, *map(str, words)],
                    input=identifier.encode() + b"\n",
                    stdout=checks,
                    stderr=checks,
                    check=False,
                    env={**os.environ, "XDG_STATE_HOME": str(out / "state"), "TMPDIR": str(out / "tmp")},
                )
                assert done.returncode in (0, 1)
    findings = Scanner(_canaries(bare) + [one for one in asked if len(one) >= 8]).scan(places)
    assert findings.files >= 10
    assert not findings.unreadable, findings.unreadable
    assert findings.clean, findings.findings
    assert not list((out / "tmp").iterdir()), "a temporary file was written"


def test_after_ingests_killed_at_random_moments(bare: World, tmp_path: Path) -> None:
    scanner = Scanner(_canaries(bare))
    rng = random.Random()
    _, shortest, _ = _ingest(bare, tmp_path / "whole")
    killed = 0
    for attempt in range(12):
        code, duration, places = _ingest(bare, tmp_path / f"{attempt}", kill_after=rng.uniform(0.2, 0.95) * shortest)
        if code == -signal.SIGKILL:
            killed += 1
        else:  # it finished first: the machine is quicker now than it was
            shortest = min(shortest, duration)
        findings = scanner.scan(places)
        assert findings.clean, findings.findings
        if killed == 3:
            return
    pytest.fail(f"only {killed} of 12 ingests were killed before they finished")


_LITTLE_MEMORY = """
import duckdb

connect = duckdb.connect

def with_little(path, *, read_only, config):
    return connect(path, read_only=read_only, config={**config, "memory_limit": "32MB", "threads": "1"})

duckdb.connect = with_little
from breachcheck.cli import main
main()
"""


@contextmanager
def _keeping(folder: Path, kept: Path) -> Iterator[None]:
    """Copy each file of a folder as it is when it is longest: DuckDB empties its files before it removes them."""
    over = threading.Event()

    def watch() -> None:
        longest: Counter[str] = Counter()
        while not over.wait(0.002):
            for path in folder.glob("*"):
                with suppress(FileNotFoundError):
                    if path.stat().st_size > longest[path.name]:
                        content = path.read_bytes()
                        longest[path.name] = len(content)
                        (kept / path.name).write_bytes(content)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_after_ingests_of_every_sort_of_source_that_spilled(tmp_path: Path) -> None:
    source, out = World(tmp_path / "source"), World(tmp_path / "out")
    for folder in (source.root, out.root, *(out.root / name for name in ("tmp", "home", "kept"))):
        folder.mkdir()
    source.synth(3000, seed=9)
    tables, rows = sorts.write_tables(source.root, source.leak)
    sorts.write_return(source.root / "return.txt", source.leak, 400)
    sorts.write_attestation(source.root / "attestation.pdf", source.leak, 40)
    (source.root / "attestation.toml").write_text(sorts.ATTESTATION)
    run("keys", "init", "--keys", out.keys)
    jobs: dict[str, tuple[list[Path], object]] = {
        "tables": (tables, "cnss"),
        "return": ([source.root / "return.txt"], "cnss_return"),
        "attestations": ([source.root / "attestation.pdf"], source.root / "attestation.toml"),
    }
    environment = {**os.environ, "TMPDIR": str(out.root / "tmp"), "HOME": str(out.root / "home")}
    for dataset, (files, mapping) in jobs.items():
        words = out.ingest_words(*files, dataset=dataset, mapping=str(mapping))
        words += ["--rejects", out.root / f"{dataset}.rejects", "--report", out.root / f"{dataset}.html"]
        command = [sys.executable, "-c", _LITTLE_MEMORY, *map(str, words)]
        spill = out.keys / f".{FILE}.spill"
        with (out.root / f"{dataset}.log").open("wb") as log, _keeping(spill, out.root / "kept"):
            subprocess.run(command, stdout=log, stderr=log, env=environment, cwd=out.root, check=True)
    with reader.open_release(out.releases, key_room.read_publisher_key(out.publisher)) as release:
        read = {dataset.name: dataset.rows_read for dataset in release.manifest.datasets}
    assert read == {"tables": rows, "return": 400, "attestations": 40}
    assert sum(path.stat().st_size for path in (out.root / "kept").iterdir()) > 1_000_000, "nothing was spilled"
    findings = Scanner(_canaries(source)).scan([out.root])
    assert not findings.unreadable, findings.unreadable
    assert findings.clean, findings.findings
    assert not list((out.root / "tmp").iterdir()), "a temporary file was written"


def test_the_scanner_would_have_found_the_source_itself(bare: World) -> None:
    findings = Scanner(_canaries(bare)).scan([bare.leak])
    assert len({finding.canary for finding in findings.findings}) > CANARIES // 2
