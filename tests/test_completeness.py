"""No release lacks, without the steward's word, what the release before it had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from breachcheck import keys as key_room
from breachcheck.errors import ReleaseError
from breachcheck.ingest import publish
from breachcheck.ingest.publish import Policy
from breachcheck.store import reader
from breachcheck.store.ledger import FILE
from tests.steward import ingest_small, leak
from tests.world import run

ONE = "1;202501;123456789;Test;;26;4000;"
TWO = "1;202501;123456780;Test;AB123456;26;4000;"
CNSS = (Path(publish.__file__).parent / "mappings" / "cnss.toml").read_text("utf-8")


def _number(root: Path) -> str:
    return (root / "keys" / key_room.RELEASE_NUMBER).read_text()


def _refused(root: Path, *files: Path, dataset: str = "one") -> str:
    before = _number(root)
    with pytest.raises(ReleaseError) as refused:
        ingest_small(root, *files, dataset=dataset)
    assert refused.value.reason == "ledger_behind"
    assert _number(root) == before
    assert (root / "releases" / reader.CURRENT).read_text() == "1\n"
    return refused.value.detail


def test_a_ledger_that_was_lost_publishes_nothing(tmp_path: Path) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE))
    (tmp_path / "keys" / FILE).unlink()
    assert "release 1" in _refused(tmp_path, leak(tmp_path / "b.csv", TWO))
    assert "no one" in _refused(tmp_path, leak(tmp_path / "b.csv", TWO), dataset="two")


def test_an_older_copy_of_the_ledger_publishes_nothing(tmp_path: Path) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE))
    shutil.copy(tmp_path / "keys" / FILE, tmp_path / "older")
    ingest_small(tmp_path, leak(tmp_path / "b.csv", TWO))
    shutil.copy(tmp_path / "older", tmp_path / "keys" / FILE)
    with pytest.raises(ReleaseError, match="its last release is 1") as refused:
        ingest_small(tmp_path, leak(tmp_path / "c.csv", "1;202501;123456799;Test;;26;4000;"))
    assert refused.value.reason == "ledger_behind"
    assert "2 rows" in refused.value.detail


def test_the_same_number_of_rows_under_fewer_kinds_is_refused(tmp_path: Path) -> None:
    both = leak(tmp_path / "a.csv", TWO)
    ingest_small(tmp_path, both)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copytree(tmp_path / "keys", other / "keys", ignore=shutil.ignore_patterns(f"{FILE}*", "release.number"))
    ingest_small(other, leak(tmp_path / "b.csv", ONE))
    shutil.copy(other / "keys" / FILE, tmp_path / "keys" / FILE)
    assert "national_id" in _refused(tmp_path, leak(tmp_path / "c.csv", ONE), dataset="two")


def test_the_steward_may_say_that_it_shrinks(tmp_path: Path) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE, TWO))
    (tmp_path / "keys" / FILE).unlink()
    second = leak(tmp_path / "b.csv", TWO)
    report = ingest_small(tmp_path, second, policy=Policy(shrink=True))
    assert [dataset.rows_read for dataset in report.manifest.datasets] == [1]
    assert ingest_small(tmp_path, second).manifest.release == 3


def test_a_whole_dataset_does_not_go_without_a_word_in_public(tmp_path: Path) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE))
    (tmp_path / "keys" / FILE).unlink()
    with pytest.raises(ReleaseError, match="dataset_missing"):
        ingest_small(tmp_path, leak(tmp_path / "b.csv", TWO), dataset="two", policy=Policy(shrink=True))


def test_a_corrected_mapping_may_find_less_even_if_it_was_killed_before_it_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = leak(tmp_path / "a.csv", TWO, "1;202501;;Test;CD12345;26;4000;")
    ingest_small(tmp_path, file)
    narrow = tmp_path / "narrow.toml"
    narrow.write_text(
        CNSS.replace('linking = ["national_id", "social_security"]', 'linking = ["social_security"]').replace(
            'header = "L_Num_CIN"\nkind = "national_id"', 'header = "L_Num_CIN"\nignore = true'
        ),
        "utf-8",
    )
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", _killed)
        with pytest.raises(KeyboardInterrupt):
            ingest_small(tmp_path, file, mapping=str(narrow))
    manifest = ingest_small(tmp_path, file, mapping=str(narrow)).manifest
    assert manifest.datasets[0].kinds == ("social_security",)
    assert manifest.datasets[0].rows_accepted == 1


def _killed(path: Path, target: Path) -> Path:
    if path.name.startswith(".staging"):
        raise KeyboardInterrupt
    path.replace(target)
    return target


def test_a_publication_that_was_killed_before_its_last_rename_does_not_count_as_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = leak(tmp_path / "a.csv", ONE)
    ingest_small(tmp_path, file)

    def killed(path: Path, target: Path) -> Path:
        if path.name == f".{reader.CURRENT}":
            raise KeyboardInterrupt
        path.replace(target)
        return target

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest_small(tmp_path, file)
    assert ingest_small(tmp_path, file).manifest.release == 3


def test_the_command_says_it_in_one_line_and_takes_the_word_of_the_steward(tmp_path: Path) -> None:
    first, second = leak(tmp_path / "a.csv", ONE, TWO), leak(tmp_path / "b.csv", TWO)
    run("keys", "init", "--keys", tmp_path / "keys")
    words = ["--mapping", "cnss", "--keys", tmp_path / "keys", "--releases", tmp_path / "releases"]
    words += ["--parameters", "testing-only"]
    run("ingest", first, "--dataset", "one", *words)
    (tmp_path / "keys" / FILE).unlink()
    done = run("ingest", second, "--dataset", "one", *words, check=False)
    assert done.returncode == 3
    assert "breachcheck: ledger_behind: " in done.stderr
    run("ingest", second, "--dataset", "one", *words, "--allow-shrinking")
