"""What is told of an ingest: right where it is exact, coarse where few people stand behind it, and nothing of a row."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breachcheck.exposure import DataClass
from breachcheck.ingest.report import Count, part, told, total
from tests.browser import chromium, visiting
from tests.people import true_answers
from tests.world import World, run

PEOPLE = 400
_small = st.integers(1, 9)
_counts = st.lists(st.integers(0, 100), min_size=1, max_size=12)


# --- small counts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (1, "<10"), (9, "<10"), (10, "10"), (12345, "12,345")])
def test_a_count_from_1_to_9_is_told_as_such_only(count: int, text: str) -> None:
    assert str(told(count)) == text


@given(_counts, st.data())
def test_a_total_says_nothing_of_its_parts_that_they_do_not_say(counts: list[int], data: st.DataObject) -> None:
    others = [data.draw(_small) if 0 < count < 10 else count for count in counts]
    shown = total(map(told, counts))
    assert shown == total(map(told, others))
    assert shown.low <= sum(others) <= shown.high


@given(st.integers(10, 10_000), _small, _small, st.booleans())
def test_a_part_says_nothing_of_a_small_rest(whole: int, rest: int, other: int, some: bool) -> None:
    # The whole itself may be a part that leaves a small rest, and is told as a range then.
    beside = part(whole, whole + rest, told(whole + rest)) if some else told(whole)
    shown = part(whole - rest, whole, beside)
    assert shown.low <= whole - rest <= shown.high
    if whole - 9 >= 10:
        assert shown == part(whole - other, whole, beside)


@given(st.integers(10, 10_000), st.integers(0, 10_000))
def test_a_part_that_leaves_a_large_rest_or_none_is_exact(count: int, rest: int) -> None:
    whole = count + rest
    shown = part(count, whole, told(whole))
    assert (shown == Count(count, count)) == (rest == 0 or rest >= 10)


# --- a whole run ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, Any], str, list[dict[str, Any]]]:
    """A world, the JSON of its ingest, the page, and the progress."""
    world = World(tmp_path_factory.mktemp("reported"))
    world.synth(PEOPLE)
    run("keys", "init", "--keys", world.keys)
    page = world.root / "report.html"
    done = run(*world.ingest_words(), "--json", "--report", page)
    return world, json.loads(done.stdout), page.read_text("utf-8"), list(map(json.loads, done.stderr.splitlines()))


def _within(count: int, shown: int | dict[str, int]) -> bool:
    return shown == count if isinstance(shown, int) else shown["from"] <= count <= shown["to"]


def test_the_counts_are_those_of_the_truth(
    reported: tuple[World, dict[str, Any], str, list[dict[str, Any]]],
) -> None:
    world, summary, _, _ = reported
    answers = true_answers({"cnss": world.leak})
    with world.leak.open(encoding="utf-8-sig", newline="") as lines:
        rows = sum(1 for _ in csv.reader(lines, delimiter=";")) - 1
    assert _within(rows, summary["rows"]["read"])
    kinds = Counter(kind for kind, _ in answers)
    assert {kind["name"]: kind["held"] for kind in summary["kinds"]} == kinds
    assert {kind["name"]: kind["evaluated"] for kind in summary["kinds"]} == kinds
    fields = Counter(name for answer in answers.values() for name in answer.exposed["cnss"])
    assert {field["name"] for field in summary["fields"]} == set(fields)
    assert all(_within(fields[field["name"]], field["identifiers"]) for field in summary["fields"])
    assert _within(sum(answer.shared for answer in answers.values()), summary["shared"])
    for kind in summary["kinds"]:
        assert sum(bar["buckets"] for bar in kind["bars"]) == kind["buckets"]


def test_people_are_counted_by_field(tmp_path: Path) -> None:
    header = "N_Num_Affilie;L_Periode;N_Num_Assure;L_Nom_Prenom;L_Num_CIN;N_Jours_Declares;N_Salaire_Reel;N_Tel"
    rows = [
        f";202501;{100000001 + one};{'Test' if one < 40 else ''};;26;{4000 if one < 20 else ''};"
        f"{f'06{one:08}' if one < 3 else ''}"
        for one in range(50)
    ]
    rows += [f";202502;{100000001 + one};;;26;4000;" for one in range(20)]  # the same people once more
    world = World(tmp_path)
    world.leak.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    run("keys", "init", "--keys", world.keys)
    done = run(*world.ingest_words(), "--json", "--quiet")
    summary = json.loads(done.stdout)
    assert done.stderr == ""
    assert summary["people"] == summary["with_people"] == 50
    assert {field["name"]: field["people"] for field in summary["fields"]} == {
        DataClass.SOCIAL_SECURITY_NUMBERS: 50,
        DataClass.NAMES: 40,
        DataClass.EARNINGS: 20,
        DataClass.PHONE_NUMBERS: {"from": 1, "to": 9},
    }


@pytest.mark.parametrize("few", [3, 7])
def test_a_few_identifiers_of_one_kind_are_counted_nowhere(few: int, tmp_path: Path) -> None:
    header = "N_Num_Affilie;L_Periode;N_Num_Assure;L_Nom_Prenom;L_Num_CIN;L_Email;N_Jours_Declares;N_Salaire_Reel"
    rows = [
        f";202501;{100000001 + one};Test;AB{10000 + one};{f'p{one}@example.ma' if one < few else ''};26;4000"
        for one in range(40)
    ]
    world = World(tmp_path)
    world.leak.write_text("\n".join([header, *rows, *["broken"] * few]) + "\n", "utf-8")
    run("keys", "init", "--keys", world.keys)
    summary = json.loads(run(*world.ingest_words(), "--json", "--quiet").stdout)
    # 40 and 40 are told of the other kinds
    assert summary["with_identifiers"] == {"from": 81, "to": 89}
    identifiers = {field["name"]: field["identifiers"] for field in summary["fields"]}
    assert identifiers["Names"] == {"from": 81, "to": 89}
    # Each of the few has three identifiers.
    assert identifiers["Email addresses"] == {"from": 1, "to": 89}
    assert {kind["name"]: kind["entries"] for kind in summary["kinds"]}["email"] == 11
    shown = run("release", "show", "--releases", world.releases).stdout.splitlines()
    assert [line.split()[2:4] for line in shown if line.startswith("email")] == [["11", "1"]]
    counted = run("mapping", "check", world.leak, "--mapping", "cnss").stdout
    assert "rows: 41 to 49\nrows rejected: columns: <10\n" in counted


def test_progress_is_told_to_machines_line_by_line(
    reported: tuple[World, dict[str, Any], str, list[dict[str, Any]]],
) -> None:
    _, summary, _, progress = reported
    last = {line["stage"]: line for line in progress}
    assert list(last) == ["read", "evaluate", "keep", "people", "publish"]
    assert all(line["done"] == line["total"] for line in last.values())
    assert _within(last["read"]["rows"], summary["rows"]["read"])
    assert _within(last["evaluate"]["total"], summary["evaluated"])


# --- the page ---------------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.style = ""
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "rect", "line"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text.append(data)


def test_the_page_is_whole_and_asks_for_nothing(
    reported: tuple[World, dict[str, Any], str, list[dict[str, Any]]],
) -> None:
    page = _Page(reported[2])
    assert page.open == []
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image"})
    for _, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on")}
        assert attributes.keys().isdisjoint({"src", "href", "style", "xlink:href", "action"})
    assert not re.search(r"//|url\(|@import", reported[2].replace("</", ""))
    [policy] = [one["content"] for _, one in page.elements if one.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_the_page_tells_what_the_summary_tells(
    reported: tuple[World, dict[str, Any], str, list[dict[str, Any]]],
) -> None:
    _, summary, text, _ = reported
    said = "".join(_Page(text).text)

    def words(count: int | dict[str, int]) -> str:
        if isinstance(count, int):
            return f"{count:,}"
        return "<10" if count == {"from": 1, "to": 9} else f"{count['from']:,} to {count['to']:,}"

    rows = re.findall(r"\S[^\n]*", said)
    joined = "\n".join(rows)
    for field in summary["fields"]:
        assert f"{field['name']}{words(field['people'])}{words(field['identifiers'])}" in joined
    for kind, reasons in summary["refused"].items():
        for reason, count in reasons.items():
            assert f"{kind}{reason}{words(count)}" in joined
    for reason, count in summary["rows"]["rejected"].items():
        assert f"rejected: {reason}{words(count)}" in joined


def test_nothing_of_a_row_is_told(reported: tuple[World, dict[str, Any], str, list[dict[str, Any]]]) -> None:
    world, summary, page, progress = reported
    with world.leak.open(encoding="utf-8-sig", newline="") as lines:
        cells = {cell.strip() for row in csv.DictReader(lines, delimiter=";") for cell in row.values() if cell}
    canaries = {cell for cell in cells if len(cell) >= 6} | {answer["identifier"] for answer in world.answers()}
    assert len(canaries) > PEOPLE
    everything = page + json.dumps(summary) + json.dumps(progress)
    assert not [canary for canary in canaries if canary in everything]
    assert world.leak.name not in everything


def test_a_page_that_could_not_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.synth(10)
    done = run(*world.ingest_words(), "--report", tmp_path / "nowhere" / "report.html", check=False)
    assert done.returncode == 2
    assert "report: " in done.stderr


def test_a_page_is_no_folder_and_one_that_cannot_be_written_costs_no_summary(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.synth(10)
    run("keys", "init", "--keys", world.keys)
    done = run(*world.ingest_words(), "--report", tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    done = run(*world.ingest_words(), "--json", "--report", "/dev/full", check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["release"] == 1


@pytest.mark.parametrize("size", [{"width": 1100, "height": 800}, {"width": 320, "height": 640}])
def test_the_page_is_shown_without_barriers(
    reported: tuple[World, dict[str, Any], str, list[dict[str, Any]]], size: dict[str, int]
) -> None:
    with chromium() as browser, visiting(browser, (reported[0].root / "report.html").as_uri(), viewport=size) as visit:
        visit.open("")
        assert visit.overflow() == 0
        told = reported[1]  # how many bars a histogram has depends on the keys
        assert visit.page.locator("rect.bar").count() >= len(told["fields"]) + len(told["kinds"]) > 10
        assert visit.page.evaluate("getComputedStyle(document.querySelector('.axis')).stroke") != "none"
        assert len(visit.requests) == 1
        assert visit.complaints == []
        assert visit.barriers() == []
