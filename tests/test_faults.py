"""Short runs of the fault campaigns, each in a process of its own, and of the soak. The long ones are for a steward."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
POINTS = {"publish": 10, "flips": 40, "exchanges": 100, "clock": 1, "rollout": 16, "resume": 4}


def run(script: str, *words: object) -> str:
    command = [sys.executable, str(SCRIPTS / script), *map(str, words)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    for line in done.stdout.splitlines():
        if " was not run: it needs " in line:
            pytest.skip(line)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("campaign", POINTS)
def test_no_fault_gives_a_false_answer(campaign: str) -> None:
    said = run("faults", "--only", campaign, "--points", POINTS[campaign])
    closing = re.fullmatch(r"([\d,]+) points, 0 wrong", said.splitlines()[-1])
    assert closing
    assert int(closing[1].replace(",", "")) >= POINTS[campaign]


def test_the_soak_runs_and_prints_its_tables() -> None:
    said = run("soak", "--minutes", 0.05)
    assert "exposed, rightly" in said
    assert re.search(r"^soak: [\d,]+ points, 0 wrong", said, re.MULTILINE)
    assert all(re.search(rf"│ +{when} │ +\d+, \d+ │", said) for when in ("start", "middle", "end"))
