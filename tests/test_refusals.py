"""What is refused before it can do harm, and what is told of what was left."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from breachcheck import keys as key_room
from breachcheck.cli import public
from breachcheck.errors import InputError
from breachcheck.ingest.mapping import About
from breachcheck.ingest.publish import Policy
from breachcheck.store.ledger import FILE
from breachcheck.store.run import Run
from breachcheck.synth import generate
from tests.steward import NOW, DiedError, ingest_small, leak
from tests.world import run

ONE = "1;202501;123456789;Test;;26;4000;"
BAD = "1;202501;1234567890;Test;;26;4000;6.12E+08"


def _nothing_is_kept(root: Path) -> None:
    assert not (root / "releases").exists()
    assert not list((root / "keys").glob(f"{FILE}.*"))


def test_files_without_any_identifier_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        ingest_small(tmp_path, leak(tmp_path / "a.csv", BAD, BAD, "1;2"), accept_rejects=True)
    assert refused.value.reason == "no_identifier"
    for count in ("of 3 rows 3 were rejected", "no_identifier 2", "columns 1"):
        assert count in refused.value.detail
    _nothing_is_kept(tmp_path)


def test_a_file_of_a_header_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of 0 rows 0 were rejected"):
        ingest_small(tmp_path, leak(tmp_path / "a.csv"))


def test_more_rejects_than_rows_are_refused_unless_the_steward_takes_them(tmp_path: Path) -> None:
    file = leak(tmp_path / "a.csv", ONE, BAD, BAD)
    with pytest.raises(InputError) as refused:
        ingest_small(tmp_path, file)
    assert refused.value.reason == "rejects"
    assert "of 3 rows 2 were rejected: no_identifier 2" in refused.value.detail
    _nothing_is_kept(tmp_path)
    assert ingest_small(tmp_path, file, accept_rejects=True).dataset.rows_accepted == 1


def test_empty_rows_are_nobodys(tmp_path: Path) -> None:
    report = ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE, *[";" * 7] * 50))
    assert (report.dataset.rows_accepted, report.dataset.rows_rejected) == (1, {"empty": 50})


def test_half_of_the_rows_may_be_rejected(tmp_path: Path) -> None:
    assert ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE, BAD)).dataset.rows_accepted == 1


@pytest.mark.parametrize("option", ["--rejects", "--report"])
def test_no_file_that_is_to_be_read_is_written_over(tmp_path: Path, option: str) -> None:
    file = leak(tmp_path / "a.csv", ONE)
    before = file.read_bytes()
    run("keys", "init", "--keys", tmp_path / "keys")
    folders = ("--keys", tmp_path / "keys", "--releases", tmp_path / "releases")
    done = run("ingest", file, "--mapping", "cnss", "--dataset", "a", *folders, option, file, check=False)
    assert done.returncode == 2
    assert "would be written over" in done.stderr
    assert file.read_bytes() == before


def test_what_no_manifest_has_room_for_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    file = leak(tmp_path / "a.csv", ONE)
    with pytest.raises(InputError) as refused:
        ingest_small(tmp_path, file, about=About(source_note={"en": "x" * 600_000}))
    assert refused.value.reason == "about"
    _nothing_is_kept(tmp_path)
    assert not (tmp_path / "keys" / key_room.RELEASE_NUMBER).exists()
    ingest_small(tmp_path, file, about=About(source_note={"en": "x" * 300_000}))
    with pytest.raises(InputError, match="all datasets"):
        ingest_small(
            tmp_path,
            leak(tmp_path / "b.csv", ONE.replace("9;", "8;", 1)),
            dataset="two",
            about=About(source_note={"en": "\u0645" * 150_000}),  # two octets each
        )


def test_pipes_and_devices_are_no_sources(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InputError, match="is not a file"):
            ingest_small(tmp_path, source)


def test_what_a_killed_run_left_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiedError):
        ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE), dies=True)
    [left] = (tmp_path / "keys").glob(f"{FILE}.*")
    shutil.copy(left, tmp_path / "keys" / "ledger.duckdb.bak")
    other = leak(tmp_path / "b.csv", "1;202501;123456780;Test;;26;4000;")
    assert ingest_small(tmp_path, other).unfinished == [left.name]
    assert ingest_small(tmp_path, tmp_path / "a.csv").unfinished == []


def test_a_run_that_was_killed_when_its_results_were_in_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Run) -> None:
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(Run, "discard", killed)
        with pytest.raises(DiedError):
            ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE))
    assert list((tmp_path / "keys").glob(f"{FILE}.*"))
    assert ingest_small(tmp_path, tmp_path / "a.csv").unfinished == []


def test_the_command_names_it_too(tmp_path: Path) -> None:
    run("keys", "init", "--keys", tmp_path / "keys")
    (tmp_path / "keys" / f"{FILE}.0123456789abcdef").touch()
    words = ["--mapping", "cnss", "--dataset", "one", "--keys", tmp_path / "keys"]
    words += ["--releases", tmp_path / "releases", "--parameters", "testing-only"]
    done = run("ingest", leak(tmp_path / "a.csv", ONE, BAD, BAD), *words, "--accept-rejects")
    assert f"{FILE}.0123456789abcdef is of a run that did not end" in done.stderr


def test_verify_does_not_call_an_expired_release_good(tmp_path: Path) -> None:
    age = datetime.now(UTC) - NOW
    ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE), policy=Policy(valid_for=age - timedelta(minutes=1)))
    words = ["--releases", tmp_path / "releases", "--publisher-key", tmp_path / "keys" / "publisher.pub"]
    done = run("release", "verify", *words, check=False)
    assert done.returncode == 3
    assert "release_expired: it was valid until" in done.stderr


@pytest.mark.parametrize("answers", ["leak.csv", "sub/../leak.csv", "link"])
def test_a_leak_and_its_answers_are_two_files(tmp_path: Path, answers: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "leak.csv")
    with pytest.raises(InputError) as refused:
        generate(10, 1, tmp_path / "leak.csv", tmp_path / answers)
    assert refused.value.reason == "same_file"
    assert not (tmp_path / "leak.csv").exists()


@pytest.mark.parametrize("state", ["state", "./state", "", "~/state"])
def test_a_state_folder_that_is_not_absolute_is_ignored(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", state)
    assert public._memory() == Path.home() / ".local" / "state" / "breachcheck" / "releases.json"
