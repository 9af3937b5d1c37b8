"""How far an ingest is, and what one would take: estimates that hold where the truth is known."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from breachcheck.errors import InputError
from breachcheck.ingest import dry_run
from breachcheck.ingest.dry_run import Walk, distinct, estimate
from breachcheck.ingest.mapping import read_mapping
from breachcheck.ingest.progress import Pace, duration
from breachcheck.protocol.parameters import TESTING_ONLY
from tests.steward import Inline
from tests.world import World, run

_CHUNK = 170


def _chosen(months: list[list[int]], share: float, seed: int) -> tuple[list[np.ndarray], float]:
    """Cut a file into chunks, choose some, and return the marks of each, and the share that was chosen."""
    marks = np.random.default_rng(1).integers(0, 2**64, 1 + max(map(max, months)), dtype=np.uint64)
    rows = [one for month in months for one in month]
    cut = [rows[at : at + _CHUNK] for at in range(0, len(rows), _CHUNK)]
    rng = random.Random(seed)
    some = [chunk for chunk in cut if rng.random() < share]
    return [np.unique(marks[chunk]) for chunk in some], sum(map(len, some)) / len(rows)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
@pytest.mark.parametrize(
    "months",
    [
        [list(range(100_000))],
        [list(range(20_000))] * 12,
        [random.Random(month).sample(range(20_000), 20_000) for month in range(12)],
        [[one for one in range(20_000) for _ in range(12)]],
    ],
    ids=["everybody once", "the same month twelve times", "in another order each month", "sorted by person"],
)
def test_distinct_identifiers_are_estimated_from_a_sample(months: list[list[int]], share: float, seed: int) -> None:
    people = 1 + max(map(max, months))
    marks, chosen = _chosen(months, share, seed)
    assert distinct(marks, chosen) == pytest.approx(people, rel=0.25)


def test_a_whole_sample_is_counted() -> None:
    marks = [np.array([1, 2, 3], np.uint64), np.array([3, 4], np.uint64)]
    assert distinct(marks, 1.0) == 4


def test_a_dry_run_writes_nothing_and_counts_right(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.synth(300)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = run(*world.ingest_words(), "--dry-run", "--json")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    expected = json.loads(done.stdout)
    assert expected["identifiers"] == len(world.answers())
    run("keys", "init", "--keys", world.keys)
    told = json.loads(run(*world.ingest_words(), "--json", "--quiet").stdout)["rows"]["read"]
    low, high = (told["from"], told["to"]) if isinstance(told, dict) else (told, told)
    assert low <= expected["rows"] <= high
    assert expected["sampled"] == expected["walked"] == 1
    assert all(seconds > 0 for seconds in expected["seconds"].values())
    words = run(*world.ingest_words(), "--dry-run").stdout
    assert "Nothing was written" in words
    assert not world.releases.joinpath("2").exists()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Forty files of ten rows; every other one repeats the one before."""
    folder = tmp_path_factory.mktemp("files")
    header = "N_Num_Affilie;L_Periode;N_Num_Assure;L_Nom_Prenom;L_Num_CIN;N_Jours_Declares;N_Salaire_Reel;N_Tel"
    paths = [folder / f"{number}.csv" for number in range(40)]
    for number, path in enumerate(paths):
        rows = [f";202501;{100000001 + number // 2 * 10 + row};;;26;4000;" for row in range(10)]
        path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return paths


def test_all_rows_are_counted_though_some_are_worked_on(files: list[Path]) -> None:
    random.seed(4)
    walk = Walk(files, read_mapping("cnss"), Inline(), 0.5, 600)
    assert walk.ended
    assert walk.rows == 400
    assert walk.octets == sum(path.stat().st_size for path in files)
    assert walk.share == len(walk.seen) / 40
    assert 0.25 < walk.share < 0.75
    assert distinct([one.identifiers for one in walk.seen], walk.share) == pytest.approx(200, rel=0.25)


def test_what_is_not_walked_through_is_taken_to_be_alike(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "FIRST_LOOK", 0.0)
    monkeypatch.setattr(dry_run, "SAMPLE_FOR", 0.0)
    expected = estimate(files, read_mapping("cnss"), TESTING_ONLY, Inline(), 1)
    assert expected.walked < 0.2
    assert expected.rows == pytest.approx(400, rel=0.05)
    assert expected.identifiers == pytest.approx(400, rel=0.25), "repeats that nobody saw are not known"


def test_rows_spelled_anew_each_month_take_the_room_of_new_ones(files: list[Path], tmp_path: Path) -> None:
    header, *rows = files[0].read_text("utf-8").splitlines()
    disk = []
    for name, spaces in (("same", [0] * 12), ("spelled", range(12))):
        months = [tmp_path / f"{name}-{month}.csv" for month in range(12)]
        for path, count in zip(months, spaces, strict=True):
            lines = [row.replace("1000000", "1000" + " " * count + "000") for row in rows]
            path.write_text("\n".join([header, *lines]) + "\n", "utf-8")
        expected = estimate(months, read_mapping("cnss"), TESTING_ONLY, Inline(), 1)
        assert (expected.rows, expected.identifiers) == (120, 10)
        disk.append(expected.disk)
    assert disk[1] > 2 * disk[0]


def test_files_without_a_row_are_refused(files: list[Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text(files[0].read_text("utf-8").splitlines()[0] + "\n", "utf-8")
    with pytest.raises(InputError, match="no row"):
        estimate([empty], read_mapping("cnss"), TESTING_ONLY, Inline(), 1)


# --- time left --------------------------------------------------------------------------------------------------------


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _worst(course: list[tuple[float, int]]) -> float:
    """Return by which share of what was left the time left was wrong at most, after the first tenth."""
    clock = _Clock()
    end, total = course[-1]
    clock.now = course[0][0]
    pace = Pace(course[0][1], clock)
    worst = 0.0
    for now, done in course[1:-1]:
        clock.now = now
        pace.at(done)
        if done >= total / 10 and end - now > 5:
            left = pace.left(done, total)
            assert left is not None
            worst = max(worst, abs(left - (end - now)) / (end - now))
    return worst


def test_time_left_is_right_when_results_come_in_pairs_after_a_slow_start() -> None:
    course = [(5 + pair * 1.0 + both * 0.01, (2 * pair + both + 1) * 64) for pair in range(100) for both in range(2)]
    assert _worst(course) < 0.2


def test_time_left_is_right_on_a_machine_of_uneven_speed() -> None:
    rng = random.Random(3)
    now, course = 2.0, [(2.0, 0)]
    for batch in range(1, 2001):
        now += 0.05 * rng.uniform(0.5, 1.5)
        course.append((now, batch * 64))
    assert _worst(course) < 0.2


def test_time_left_follows_what_has_changed() -> None:
    # A dump of monthly files: the first of ten months takes ten times as long as each of the others.
    course = [(one * 10.0 if one <= 100 else 1000.0 + (one - 100), one) for one in range(1001)]
    clock = _Clock()
    pace = Pace(0, clock)
    for now, done in course[1:211]:
        clock.now = now
        pace.at(done)
    assert pace.left(210, 1000) == pytest.approx(790, rel=0.2)


def test_a_stage_that_has_not_moved_promises_nothing() -> None:
    assert Pace(5, _Clock()).left(5, 10) is None


@pytest.mark.parametrize(("seconds", "words"), [(5.2, "5 s"), (150, "2 min"), (7200, "2.0 h"), (400_000, "4.6 days")])
def test_durations_are_told_as_exactly_as_anybody_needs(seconds: float, words: str) -> None:
    assert duration(seconds) == words
