"""The doors in scripts/ open to whoever calls them, whatever Python they find first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment whose `python3` is the machine's own, without the packages of this one."""
    (tmp_path / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONNOUSERSITE": "1"}


def test_vectors_are_made_right_after_prepare(bare: dict[str, str], tmp_path: Path) -> None:
    made = tmp_path / "vectors"
    done = subprocess.run([ROOT / "scripts" / "vectors", made], env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path in made.iterdir():
        assert path.read_bytes() == (ROOT / "tests" / "vectors" / path.name).read_bytes(), path.name


def test_the_benchmark_tells_its_options_right_after_prepare(bare: dict[str, str]) -> None:
    words = [str(ROOT / "scripts" / "bench"), "--help"]
    done = subprocess.run(words, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--only" in done.stdout
