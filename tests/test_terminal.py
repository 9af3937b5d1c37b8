"""What a person at a terminal reads of a verdict."""

from __future__ import annotations

import json

import pytest

from breachcheck.exposure import Coverage, Exposed, Exposure, NotFound, Reason, Unchecked, Undetermined, Verdict
from breachcheck.terminal import print_verdict, verdict_json

WHOLE = Coverage("whole", 1000, 1000, 0)
PARTLY = Coverage("partly", 2000, 1500, 1234)
NO_KINDS = Unchecked("names", ())


def said(verdict: Verdict, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_verdict(verdict)
    return capsys.readouterr().out.splitlines()


def test_not_found_says_what_could_not_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = NotFound(1, ("whole", "partly"), (NO_KINDS,), (WHOLE, PARTLY))
    assert said(verdict, capsys) == [
        "Not found in: whole, partly (release 1).",
        "  partly: 500 rows and 1,234 cells of this kind could not be read.",
        "It may still be in files that were not checked.",
        "Not checked: names. It cannot be asked by any kind.",
    ]


def test_the_exposed_are_told_where_else_was_searched(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Exposed(1, (Exposure("whole", ("Names",)),), ("whole", "partly"), (), (WHOLE, PARTLY))
    lines = said(verdict, capsys)
    assert lines[-2:] == [
        "Also searched, and not found there: partly.",
        "  partly: 500 rows and 1,234 cells of this kind could not be read.",
    ]


def test_waiting_for_no_time_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert not any("Try again" in line for line in said(Undetermined(Reason.UNAVAILABLE, "", 0), capsys))
    assert "  Try again in 5 seconds." in said(Undetermined(Reason.UNAVAILABLE, "", 5), capsys)


def test_json_has_the_coverage_of_each_checked_dataset() -> None:
    assert json.loads(verdict_json(NotFound(1, ("partly",), (), (PARTLY,))))["coverage"] == [
        {"dataset": "partly", "rows_read": 2000, "rows_accepted": 1500, "identifiers_rejected": 1234}
    ]
    assert json.loads(verdict_json(Undetermined()))["coverage"] == []
