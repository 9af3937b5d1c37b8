"""The ledger: what it was made under, who may open it, and what its files look like when something is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from breachcheck import keys as key_room
from breachcheck.errors import ReleaseError
from breachcheck.ingest import completeness, pipeline, publish
from breachcheck.protocol.identifier import KINDS, Kind
from breachcheck.store.ledger import FILE
from tests.steward import DiedError, ingest_small, leak

ONE = "1;202501;123456789;Test;;26;4000;"
TWO = "1;202501;123456780;Test;AB123456;26;4000;"


def _other(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Let this be a later version of the program, with other rules for `kind`."""
    kinds: dict[str, Kind] = {**KINDS, kind: dataclasses.replace(KINDS[kind], digest=b"r" * 32)}
    for room in (completeness, pipeline, publish):
        monkeypatch.setattr(room, "KINDS", kinds)


def test_outputs_made_under_older_rules_are_not_published_as_of_todays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = leak(tmp_path / "a.csv", ONE)
    manifest = ingest_small(tmp_path, first).manifest
    assert manifest.kinds[0].rules == KINDS["social_security"].digest
    _other(monkeypatch, "social_security")
    with pytest.raises(ReleaseError, match="one was read under other rules for social_security") as refused:
        ingest_small(tmp_path, leak(tmp_path / "b.csv", TWO), dataset="two")
    assert refused.value.reason == "ledger_rules"
    assert (tmp_path / "keys" / key_room.RELEASE_NUMBER).read_text() == "1\n"


def test_files_that_are_given_again_are_read_under_the_rules_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = leak(tmp_path / "a.csv", ONE)
    ingest_small(tmp_path, file)
    _other(monkeypatch, "social_security")
    monkeypatch.setattr(publish, "_verify", lambda *_: None)  # its client has the rules of the program that runs
    report = ingest_small(tmp_path, file)
    assert (report.skipped, report.identifiers) == (0, {"social_security": 1})
    assert report.manifest.kinds[0].rules == b"r" * 32


def test_rules_of_a_kind_that_is_not_in_the_ledger_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE), mapping=str(_narrow(tmp_path)))
    _other(monkeypatch, "email")
    assert ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE), mapping=str(_narrow(tmp_path))).skipped == 1


def _narrow(root: Path) -> Path:
    cnss = (Path(publish.__file__).parent / "mappings" / "cnss.toml").read_text("utf-8")
    path = root / "narrow.toml"
    path.write_text(cnss.replace('kind = "email"', "ignore = true"), "utf-8")
    return path


def test_a_run_that_was_killed_does_not_go_on_under_other_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = leak(tmp_path / "a.csv", ONE)
    with pytest.raises(DiedError):
        ingest_small(tmp_path, file, dies=True)
    _other(monkeypatch, "social_security")
    with pytest.raises(ReleaseError, match="begun under other identifier rules") as refused:
        ingest_small(tmp_path, file)
    assert refused.value.reason == "run_rules"
    [left] = (tmp_path / "keys").glob(f"{FILE}.*")
    assert left.name in refused.value.detail
    monkeypatch.undo()
    assert ingest_small(tmp_path, file).resumed
