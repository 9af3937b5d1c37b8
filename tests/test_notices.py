"""Maintenance and incidents: nobody is surprised, nothing is falsely said, and what happened stays listed."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from xml.etree import ElementTree

import pytest
import urllib3
from icalendar import Calendar
from playwright.sync_api import Browser, expect

from breachcheck import Client, NotFound, Undetermined, keys
from breachcheck.config import load
from breachcheck.errors import InputError
from breachcheck.exposure import Reason
from breachcheck.notices.board import KEPT, Board, board
from breachcheck.notices.incidents import MOST, SAME, Incident, Incidents
from breachcheck.notices.plan import NOTICE, Window, add_window, cancel_window, parse, read_plan
from breachcheck.protocol.manifest import Manifest
from breachcheck.service import create_app
from breachcheck.service.evaluator import EXAMPLE_REQUEST
from breachcheck.service.problems import TABLE
from breachcheck.service.watch import GRACE, Watch
from breachcheck.store.reader import open_release
from breachcheck.synth import nonmember
from breachcheck.web import feeds, texts, words
from breachcheck.web.languages import discover
from breachcheck.web.pages import PAGES
from tests import browser as tools
from tests.browser import PATIENCE, SMALL, chromium, visiting
from tests.test_service import Heard, asking
from tests.world import World, run, serving

LANGUAGES: Final = discover()
TAGS: Final = ("ar", "fr", "en")
IN_EVERY_LANGUAGE: Final = pytest.mark.parametrize("tag", TAGS)
MESSAGE: Final = {"ar": "نجدد الخوادم.", "fr": "Nous renouvelons les serveurs.", "en": "We renew the servers."}
HOUR: Final = timedelta(hours=1)
DAWN: Final = datetime(2026, 12, 1, 1, tzinfo=UTC)


def entry(
    name: str = "w", begins: str = "2026-12-01T01:00:00Z", ends: str = "2026-12-01T04:00:00Z", more: str = ""
) -> str:
    return f'[[window]]\nid = "{name}"\nfrom = {begins}\nuntil = {ends}\nmessage.en = "We renew."\n{more}\n'


def window(begins: datetime = DAWN, ends: datetime | None = None, name: str = "w", **more: Any) -> Window:
    return Window(name, begins, ends or begins + 3 * HOUR, MESSAGE, DAWN - timedelta(days=9), **more)


def translated(tag: str, message: str) -> str:
    return LANGUAGES[tag].translations.gettext(message)


# --- The plan ---------------------------------------------------------------------------------------------------------


def test_a_plan_is_read_in_utc_and_in_order() -> None:
    later = entry("later", "2026-12-05T01:00:00+01:00", "2026-12-05T05:00:00+01:00", "updated = 2026-11-30T08:00:00Z")
    cancelled = entry("gone", "2026-12-01T02:00:00Z", "2026-12-01T03:00:00Z", "cancelled = 2026-11-30T09:00:00Z")
    plan = parse(f"# a note of the steward's\n{later}{entry('first')}{cancelled}", DAWN)
    assert [one.name for one in plan] == ["first", "gone", "later"]
    assert plan[2].begins == datetime(2026, 12, 5, tzinfo=UTC) and plan[2].begins.tzinfo is UTC
    assert plan[0].updated == DAWN  # as no entry says it, the file's
    assert plan[2].updated == datetime(2026, 11, 30, 8, tzinfo=UTC)
    assert plan[1].updated == plan[1].cancelled == datetime(2026, 11, 30, 9, tzinfo=UTC)
    assert parse("", DAWN) == ()


BROKEN: Final = {
    "not TOML": "[[window",
    "a time without a zone": entry(begins="2026-12-01T01:00:00"),
    "a day": entry(begins="2026-12-01"),
    "a text for a time": entry(begins='"2026-12-01T01:00:00Z"'),
    "no length": entry(ends="2026-12-01T01:00:00Z"),
    "backwards": entry(ends="2026-12-01T00:00:00Z"),
    "too long": entry(ends="2027-12-01T00:00:00Z"),
    "no message": '[[window]]\nid = "w"\nfrom = 2026-12-01T01:00:00Z\nuntil = 2026-12-01T02:00:00Z\nmessage = {}\n',
    "an empty message": entry(more='message.fr = " "'),
    "an endless message": entry(more=f'message.fr = "{"x" * 601}"'),
    "no id": entry().replace("id", "name"),
    "an id with a slash": entry("a/b"),
    "a further member": entry(more="cancel = true"),
    "two of one id": entry() + entry("w", "2026-12-02T01:00:00Z", "2026-12-02T02:00:00Z"),
    "an overlap": entry() + entry("v", "2026-12-01T03:59:59Z", "2026-12-01T05:00:00Z"),
    "two that touch": entry() + entry("v", "2026-12-01T04:00:00Z", "2026-12-01T05:00:00Z"),
    "too far away": entry(begins="0001-01-01T00:00:00+23:59"),
    "another table": "[maintenance]\n",
    "a number without end": f"a = {'9' * 5000}",
    "a nest without end": f"a = {'[' * 5000}",
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_plan_is_refused(case: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(BROKEN[case], DAWN)
    assert refused.value.reason == "maintenance_plan"
    assert "We renew" not in str(refused.value)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("a time without a zone", "window.0.from: needs a zone: 2026-12-01T01:00:00+01:00, or Z for UTC"),
        ("a text for a time", "window.0.from: is no time: wanted 2026-12-01T01:00:00+01:00 without quotation marks"),
        ("no message", "window.0.message: is empty"),
        ("an empty message", "window.0.message.fr: is empty"),
        ("an endless message", "window.0.message.fr: is longer than 600 characters"),
        ("no id", "window.0.id: is missing"),
        ("an id with a slash", "window.0.id: wanted 1 to 64 letters"),
        ("a further member", "window.0.cancel: is no word of a plan: id, from, until, message, updated, cancelled"),
    ],
)
def test_what_is_wrong_in_a_plan_is_said_in_plain_words(case: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(BROKEN[case], DAWN)
    assert said in refused.value.detail


def test_a_cancelled_window_may_overlap() -> None:
    assert len(parse(entry(more="cancelled = 2026-11-30T09:00:00Z") + entry("v"), DAWN)) == 2


def test_windows_are_added_and_cancelled_beside_what_the_steward_wrote(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(f"# Ask the hosting company first.\n{entry()}", "utf-8")
    plan.chmod(0o640)
    now = DAWN - timedelta(days=3)
    added = add_window(plan, DAWN + timedelta(days=7), DAWN + timedelta(days=7, hours=1), MESSAGE | {"fr": ""}, now)
    assert (added.name, added.updated) == ("20261208T0100Z", now)
    assert added.message == {tag: MESSAGE[tag] for tag in ("ar", "en")}
    assert [one.name for one in read_plan(plan)] == ["w", "20261208T0100Z"]
    assert cancel_window(plan, "w", now).cancelled == now
    assert plan.read_text("utf-8").startswith("# Ask the hosting company first.\n")
    assert stat.S_IMODE(plan.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [plan]
    before = plan.read_bytes()
    wrongs: tuple[Callable[[], object], ...] = (
        lambda: cancel_window(plan, "w", now),
        lambda: cancel_window(plan, "nobody's", now),
        lambda: cancel_window(plan, "20261208T0100Z", now + timedelta(days=30)),
        lambda: add_window(plan, DAWN.replace(tzinfo=None), DAWN + HOUR, MESSAGE, now),
        lambda: add_window(plan, DAWN, DAWN + HOUR, {}, now),
        lambda: add_window(plan, DAWN, DAWN + HOUR, MESSAGE, DAWN + HOUR),
        lambda: add_window(plan, DAWN, DAWN + HOUR, MESSAGE, now, "w"),
        lambda: add_window(plan, DAWN + timedelta(days=7), DAWN + timedelta(days=8), MESSAGE, now),
    )
    for wrong in wrongs:
        with pytest.raises(InputError, match="maintenance_plan"):
            wrong()
        assert plan.read_bytes() == before
    assert add_window(tmp_path / "new.toml", DAWN, DAWN + HOUR, MESSAGE, now).begins == DAWN
    assert stat.S_IMODE((tmp_path / "new.toml").stat().st_mode) == 0o644


def test_whoever_reads_while_the_plan_is_written_finds_a_whole_one(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("")
    done = threading.Event()
    seen: set[int] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(len(read_plan(plan)))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        begins = DAWN + number * timedelta(days=1)
        add_window(plan, begins, begins + HOUR, MESSAGE, DAWN - HOUR)
    done.set()
    reader.join()
    assert len(read_plan(plan)) == 30
    assert seen <= set(range(31)) and len(seen) > 1


def test_the_commands(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    soon = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(days=2)
    words: list[object] = ["maintenance", "add", "--plan", plan, "--from", soon.isoformat(), "--id", "upgrade"]
    made = run(*words, "--until", (soon + HOUR).isoformat(), "--ar", MESSAGE["ar"])
    line = f"upgrade {soon:%Y-%m-%dT%H:%M:%SZ} {soon + HOUR:%Y-%m-%dT%H:%M:%SZ}"
    assert made.stdout == f"{line} planned\n"
    assert read_plan(plan)[0].message == {"ar": MESSAGE["ar"]}
    other = [*words[:-1], "other"]
    for wrong, said in (
        ((*other, "--until", "tomorrow", "--en", "x"), "--until: wanted: 2026-12-01T01:00+01:00"),
        ((*other, "--until", (soon + HOUR).replace(tzinfo=None).isoformat(), "--en", "x"), "need a zone"),
        ((*other, "--until", (soon + HOUR).isoformat()), "needs a message: --ar, --fr, --en"),
        ((*other, "--until", (soon + HOUR).isoformat(), "--en", " "), "needs a message: --ar, --fr, --en"),
        ((*other, "--until", (soon - HOUR).isoformat(), "--en", "x"), "until must be after from"),
        ((*other, "--until", (soon + HOUR).isoformat(), "--en", "x"), "overlaps or touches"),
        ((*words, "--until", (soon + HOUR).isoformat(), "--en", "x"), "is in the plan: give another name with --id"),
    ):
        refused = run(*wrong, check=False)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert run("maintenance", "cancel", "--plan", plan, "upgrade").stdout == f"{line} cancelled\n"
    assert run("maintenance", "cancel", "--plan", plan, "upgrade", check=False).returncode == 2
    again = [*words, "--until", (soon + HOUR).isoformat(), "--en", "x"]
    assert "upgrade was cancelled, and stays listed: give another name with --id" in run(*again, check=False).stderr
    assert run("maintenance", "list", env={"BREACHCHECK_MAINTENANCE": str(plan)}).stdout == f"{line} cancelled\n"
    assert run(*again[:-5], "upgrade-2", *again[-4:]).stdout.startswith("upgrade-2 ")
    assert run("maintenance", "list", "--plan", tmp_path / "none", check=False).returncode == 2


# --- Incidents --------------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    """Seconds since 1970, as a test sets them."""

    now: datetime = DAWN

    def __call__(self) -> float:
        return self.now.timestamp()


def test_an_incident_has_a_beginning_an_end_and_stays_listed(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "incidents.jsonl"
    incidents = Incidents(clock, path)
    incidents.trouble("self_check")
    incidents.trouble("self_check")
    incidents.clear("evaluator_key")
    clock.now += HOUR
    assert incidents.open == (Incident("self_check", DAWN),)
    assert Incidents(clock, path).open == incidents.open  # a process that ended did not end it
    incidents.clear("self_check")
    incidents.clear("self_check")
    clock.now += HOUR
    incidents.trouble("daily_cap")
    again = Incidents(clock, path)
    assert again.past == (Incident("self_check", DAWN, DAWN + HOUR),)
    assert again.open == (Incident("daily_cap", DAWN + 2 * HOUR),)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (incidents.begun, again.begun) == (2, 0)


def test_what_comes_and_goes_is_one_incident_and_the_record_is_bounded(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "incidents.jsonl"
    incidents = Incidents(clock, path)
    for _ in range(50):
        incidents.trouble("self_check")
        clock.now += SAME
        incidents.clear("self_check")
        clock.now += SAME
    assert incidents.past == (Incident("self_check", DAWN, DAWN + 99 * SAME, DAWN + 98 * SAME),)
    incidents.trouble("lasting")
    for _ in range(MOST + 20):
        incidents.trouble("self_check")
        incidents.clear("self_check")
        clock.now += 2 * SAME
    assert [one.name for one in incidents.open] == ["lasting"]
    assert len(incidents.past) == MOST - 1
    assert len(path.read_bytes().splitlines()) == MOST


def test_trouble_that_comes_back_is_news_in_the_feed(tmp_path: Path) -> None:
    """One entry, whose time never goes back: readers skip what is not newer."""
    clock, path = Clock(), tmp_path / "incidents.jsonl"
    incidents, told = Incidents(clock, path), []
    for step in (incidents.trouble, incidents.clear, incidents.trouble, incidents.clear):
        step("self_check")
        record = Incidents(clock, path)
        board = Board(troubles=record.open, past=record.past)
        entry = parsed_atom(feeds.atom(board, LANGUAGES["en"], None)).find(f"{ATOM}entry")
        assert entry is not None
        told.append((entry.findtext(f"{ATOM}id"), entry.findtext(f"{ATOM}updated")))
        clock.now += timedelta(minutes=1)
    assert len({name for name, _ in told}) == 1
    assert [moment for _, moment in told] == [f"{DAWN + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}" for n in range(4)]


def test_a_clock_that_goes_back_makes_no_incident_end_before_it_began() -> None:
    clock = Clock()
    incidents = Incidents(clock)
    incidents.trouble("self_check")
    clock.now -= HOUR
    incidents.clear("self_check")
    assert incidents.past == (Incident("self_check", DAWN, DAWN),)


def test_maintenance_makes_no_incident() -> None:
    under_way = True
    incidents = Incidents(Clock(), planned=lambda: under_way)
    incidents.trouble("self_check")
    assert incidents.open == ()
    under_way = False
    incidents.trouble("self_check")
    assert len(incidents.open) == 1


@pytest.mark.parametrize("name", ["", "Self", "a b", "192.0.2.1", "x" * 65, "a\n"])
def test_an_incident_has_the_name_of_a_program(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Incidents(Clock()).trouble(name)


def test_a_damaged_record_loses_what_is_damaged_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "incidents.jsonl"
    good = b'{"name":"self_check","began":"2026-11-30T00:00:00Z","ended":"2026-11-30T01:00:00Z"}\n'
    path.write_bytes(good + b'{"name":"Call 0612345678","began":"2026-11-30T00:00:00Z"}\n\xff\n{"na')
    with caplog.at_level(logging.ERROR):
        assert [one.name for one in Incidents(Clock(), path).past] == ["self_check"]
    assert caplog.text and "0612345678" not in caplog.text


def test_trouble_that_stands_twice_in_a_record_does_not_last_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "incidents.jsonl"
    path.write_bytes(b'{"name":"self_check","began":"2026-11-30T00:00:00Z"}\n' * 2)
    incidents = Incidents(Clock(), path)
    incidents.clear("self_check")
    assert incidents.open == Incidents(Clock(), path).open == ()


def test_a_record_on_a_full_disk_stays_as_it_was_and_is_written_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, full = tmp_path / "incidents.jsonl", True
    incidents = Incidents(Clock(), path)
    incidents.trouble("daily_cap")
    before = path.read_bytes()

    def fsync(_: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    incidents.trouble("self_check")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    assert len(incidents.open) == 2
    full = False
    incidents.clear("daily_cap")
    assert [one.name for one in Incidents(Clock(), path).open] == ["self_check"]


def test_a_record_that_cannot_be_written_is_kept_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in (tmp_path / "no" / "folder", tmp_path):
        incidents = Incidents(Clock(), path)
        incidents.trouble("self_check")
        assert len(incidents.open) == 1
    assert "cannot be written" in caplog.text and "cannot be read" in caplog.text


def test_threads_may_share_the_record(tmp_path: Path) -> None:
    incidents = Incidents(Clock(), tmp_path / "incidents.jsonl")
    names = [f"trouble_{'abcdefgh'[number]}" for number in range(8)]
    threads = [threading.Thread(target=incidents.trouble, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.name for one in incidents.open) == names
    assert len((tmp_path / "incidents.jsonl").read_bytes().splitlines()) == 8


# --- The board --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "where"),
    [
        (DAWN - NOTICE - timedelta(seconds=1), "planned"),
        (DAWN - NOTICE, "soon"),
        (DAWN - timedelta(seconds=1), "soon"),
        (DAWN, "current"),
        (DAWN + 3 * HOUR - timedelta(seconds=1), "current"),
        (DAWN + 3 * HOUR, "over"),
        (DAWN + 3 * HOUR + KEPT, "over"),
        (DAWN + 4 * HOUR + KEPT, "gone"),
    ],
)
def test_a_window_is_told_of_72_hours_ahead_and_90_days_after(now: datetime, where: str) -> None:
    seen = board([window()], [], [], now)
    assert bool(seen.planned) == (where in ("planned", "soon"))
    assert bool(seen.soon) == (where == "soon")
    assert bool(seen.current) == (where == "current")
    assert bool(seen.over) == (where == "over")
    assert bool(seen.windows) == (where != "gone")


def test_a_cancelled_window_closes_nothing_and_stays_listed() -> None:
    seen = board([window(cancelled=DAWN - HOUR)], [], [], DAWN + HOUR)
    assert (seen.current, seen.soon, len(seen.cancelled)) == (None, (), 1)


# --- Feeds ------------------------------------------------------------------------------------------------------------

ATOM: Final = "{http://www.w3.org/2005/Atom}"
HOSTILE: Final = {"en": '<b>& ]]>\u0000\u001b\u202e\ufffe"; BEGIN:VEVENT\r\nX:1\\n,;' + "\U0001f600" * 50}
FULL: Final = Board(
    planned=(window(), Window("evil", DAWN + timedelta(days=2), DAWN + timedelta(days=3), HOSTILE, DAWN)),
    cancelled=(window(DAWN - timedelta(days=2), name="gone", cancelled=DAWN - timedelta(days=3)),),
    troubles=(Incident("daily_cap", DAWN - HOUR),),
    past=(Incident("never_heard_of", DAWN - 5 * HOUR, DAWN - 4 * HOUR),),
)


def parsed_atom(octets: bytes) -> ElementTree.Element:
    """Parse a feed and hold it against what RFC 4287 demands of every feed and entry."""
    feed = ElementTree.fromstring(octets)  # noqa: S314 - our own
    assert feed.tag == f"{ATOM}feed"
    identifiers = []
    for one in (feed, *feed.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            assert len(one.findall(f"{ATOM}{name}")) == 1
            assert one.findtext(f"{ATOM}{name}")
        identifiers.append(one.findtext(f"{ATOM}id", ""))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one.findtext(f"{ATOM}updated", ""))
        assert all(link.get("href") for link in one.findall(f"{ATOM}link"))
    assert len(set(identifiers)) == len(identifiers)
    assert all(UUID(one.removeprefix("urn:uuid:")) for one in identifiers)
    assert feed.findtext(f"{ATOM}author/{ATOM}name")
    assert [link.get("rel") for link in feed.findall(f"{ATOM}link")] == ["self", "alternate"]
    assert not feed.findall(f"{ATOM}content")
    for one in feed.findall(f"{ATOM}entry"):
        content = one.find(f"{ATOM}content")
        assert content is not None and content.get("type") == "text" and content.text and not list(content)
    updated = [one.findtext(f"{ATOM}updated", "") for one in feed.findall(f"{ATOM}entry")]
    assert updated == sorted(updated, reverse=True)
    assert not updated or feed.findtext(f"{ATOM}updated") == updated[0]
    return feed


@IN_EVERY_LANGUAGE
def test_the_atom_feed_tells_everything_once_and_for_ever_under_one_id(tag: str) -> None:
    language = LANGUAGES[tag]
    feed = parsed_atom(feeds.atom(FULL, language, bytes(32)))
    assert feed.get("{http://www.w3.org/XML/1998/namespace}lang") == tag
    entries = {one.findtext(f"{ATOM}title"): one for one in feed.findall(f"{ATOM}entry")}
    texts = [one.findtext(f"{ATOM}content", "") for one in feed.findall(f"{ATOM}entry")]
    assert len(texts) == 5
    assert translated(tag, feeds.CANCELLED) in entries
    assert any(MESSAGE[tag] in text and translated(tag, feeds.NO_CHECKS) in text for text in texts)
    assert any("<b>& ]]>" in text and "\u202e" not in text for text in texts)
    # The same window, cancelled: the same entry, changed later.
    again = Board(cancelled=(window(cancelled=DAWN),))
    before, after = (parsed_atom(feeds.atom(of, language, bytes(32))) for of in (Board(planned=(window(),)), again))
    ids = [one.findtext(f"{ATOM}entry/{ATOM}id") for one in (before, after)]
    assert ids[0] == ids[1] in [one.findtext(f"{ATOM}id") for one in feed.findall(f"{ATOM}entry")]
    assert ids[0] != parsed_atom(feeds.atom(again, language, b"\x01" * 32)).findtext(f"{ATOM}entry/{ATOM}id")
    assert not parsed_atom(feeds.atom(Board(), language, None)).findall(f"{ATOM}entry")


@IN_EVERY_LANGUAGE
def test_the_calendar_holds_every_window_and_says_which_were_cancelled(tag: str) -> None:
    octets = feeds.calendar(FULL, LANGUAGES[tag], bytes(32))
    assert all(len(line) <= 75 for line in octets.split(b"\r\n"))
    calendar = Calendar.from_ical(octets)
    assert (calendar["version"], calendar["method"]) == ("2.0", "PUBLISH")
    events = {str(event["uid"]): event for event in calendar.walk("VEVENT")}
    assert len(events) == 3 and all(UUID(uid) for uid in events)
    assert not any(event.errors for event in events.values())
    cancelled, planned, evil = events.values()
    assert [str(event["status"]) for event in events.values()] == ["CANCELLED", "CONFIRMED", "CONFIRMED"]
    assert [event["sequence"] for event in events.values()] == [1, 0, 0]
    assert (planned.decoded("dtstart"), planned.decoded("dtend")) == (DAWN, DAWN + 3 * HOUR)
    assert planned.decoded("dtstamp") == DAWN - timedelta(days=9)
    assert str(planned["summary"]) == translated(tag, feeds.PLANNED)
    assert str(cancelled["summary"]) == translated(tag, feeds.CANCELLED)
    assert MESSAGE[tag] in str(planned["description"])
    assert "BEGIN:VEVENT X:1" in str(evil["description"])
    assert list(Calendar.from_ical(feeds.calendar(Board(), LANGUAGES[tag], None)).walk("VEVENT")) == []


def test_the_clocks_of_morocco_are_not_the_systems() -> None:
    """In September 2026 Morocco went back to UTC, which a system's zones of before do not know."""
    said = [texts.moment(datetime(2026, month, 1, 12, tzinfo=UTC), LANGUAGES["fr"]).text for month in (8, 12)]
    assert [text[-5:] for text in said] == ["13:00", "12:00"]


# --- The application, with a clock of the test's ----------------------------------------------------------------------


class Told:
    """An answer of the application."""

    def __init__(self, heard: Heard) -> None:
        self.status = heard.status
        self.headers = {name.decode(): value.decode() for name, value in heard.headers}
        self.content = heard.body

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Town:
    """An application with a plan, and a clock to walk through it."""

    clock: Clock
    plan: Path
    app: Any
    watch: Watch

    def get(self, path: str, **headers: str) -> Told:
        return Told(asking(self.app)("GET", path, headers))

    def post(self) -> Told:
        body = json.dumps(EXAMPLE_REQUEST).encode()
        return Told(asking(self.app)("POST", "/v1/evaluate", {"content-type": "application/json"}, [body]))

    def at(self, moment: datetime) -> Town:
        self.clock.now = moment
        self.watch.look()
        return self

    def incidents(self) -> list[tuple[str, bool]]:
        return [(one["name"], one["ended"] is not None) for one in self.get("/v1/status").json()["incidents"]]

    def metric(self, name: str) -> int:
        return int(re.findall(rf"^breachcheck_{name} (\d+)$", self.get("/metrics").text, re.MULTILINE)[0])


@pytest.fixture
def opening(world: World, tmp_path: Path) -> Iterator[Callable[..., Town]]:
    """Make towns over the shared world; `begins` is one day after its release was made."""
    with open_release(world.releases) as release:
        evaluator = keys.read_evaluator(world.keys)
        key = keys.read_publisher_key(world.publisher)

        def make(plan: str | None = None, **options: Any) -> Town:
            clock, path = Clock(begins(release.manifest) - 10 * HOUR), tmp_path / "plan.toml"
            if plan is not None:
                path.write_text(plan, "utf-8")
            app = create_app(load(maintenance=path, **options), release, evaluator, key, clock)
            return Town(clock, path, app, Watch(app.edge_state))

        make.manifest = release.manifest  # type: ignore[attr-defined]
        yield make


def begins(manifest: Manifest) -> datetime:
    return manifest.created + timedelta(days=4)


@pytest.fixture
def start(opening: Any) -> datetime:
    return begins(opening.manifest)


def a_window(start: datetime, name: str = "w", more: str = "") -> str:
    message = ", ".join(f"{tag} = {json.dumps(text, ensure_ascii=False)}" for tag, text in MESSAGE.items())
    times = f"from = {start:%Y-%m-%dT%H:%M:%SZ}\nuntil = {start + 3 * HOUR:%Y-%m-%dT%H:%M:%SZ}\n"
    return f'[[window]]\nid = "{name}"\n{times}message = {{ {message} }}\n{more}\n'


API: Final = ("/v1/manifest", "/v1/releases/1/buckets/phone/000000", "/v1/releases/1/phone.bin", "/v1/breaches",
              "/v1/breaches/demo", "/v1/dataclasses", "/v1/nothing")  # fmt: skip


def test_before_and_after_a_window_the_service_answers(opening: Callable[..., Town], start: datetime) -> None:
    town = opening(a_window(start))
    for moment in (start - timedelta(seconds=1), start + 3 * HOUR):
        town.at(moment)
        assert [town.get(path).status for path in API] == [200] * 6 + [404]
        assert town.post().status == 200
        assert town.get("/readyz").json()["reasons"] == []
        assert town.metric("maintenance") == 0 and town.metric("ready") == 1
    assert town.get("/v1/status").json()["planned"] == []


def test_inside_a_window_the_api_says_until_when(opening: Callable[..., Town], start: datetime) -> None:
    town = opening(a_window(start))
    for moment, left in ((start, 3 * 3600), (start + 3 * HOUR - timedelta(seconds=1.5), 2)):
        town.at(moment)
        for answer in (*map(town.get, API), town.post()):
            assert answer.status == 503
            assert answer.headers["retry-after"] == str(left)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.json() == {
                **TABLE["maintenance"].document, "until": f"{start + 3 * HOUR:%Y-%m-%dT%H:%M:%SZ}",
            }  # fmt: skip
        assert town.get("/v1/manifest", **{"if-none-match": "*"}).status == 503
        assert town.get("/livez").json() == {"alive": True}
        ready = town.get("/readyz")
        assert (ready.status, ready.json()["reasons"]) == (503, ["maintenance"])
        status = town.get("/v1/status")
        assert (status.status, status.json()["healthy"]) == (200, False)
        assert status.json()["maintenance"]["message"] == MESSAGE
        assert status.json()["incidents"] == []
        assert town.metric("maintenance") == 1 and town.metric("ready") == 0
        assert town.get("/openapi.json").status == town.get("/fr/").status == 200


def test_the_time_to_wait_is_one_that_clients_believe(opening: Callable[..., Town], start: datetime) -> None:
    ends = start + timedelta(days=20)
    town = opening(a_window(start).replace(f"{start + 3 * HOUR:%Y-%m-%dT%H:%M:%SZ}", f"{ends:%Y-%m-%dT%H:%M:%SZ}"))
    answer = town.at(start).get("/v1/manifest")
    assert answer.headers["retry-after"] == "86400"
    assert answer.json()["until"] == f"{ends:%Y-%m-%dT%H:%M:%SZ}"


@IN_EVERY_LANGUAGE
def test_every_page_tells_of_a_window_from_72_hours_ahead(
    tag: str, opening: Callable[..., Town], start: datetime
) -> None:
    town = opening(a_window(start))
    paths = [f"/{tag}/{'' if page == 'check' else page}" for page in PAGES]
    ahead, now = (translated(tag, message) for message in (
        "Maintenance is planned. Checks cannot be made during it.",
        "Maintenance is under way, as announced. Checks cannot be made now.",
    ))  # fmt: skip
    for moment, banner in (
        (start - NOTICE - timedelta(seconds=1), None),
        (start - NOTICE, ahead),
        (start - timedelta(seconds=1), ahead),
        (start, now),
        (start + 3 * HOUR, None),
    ):
        town.at(moment)
        for path in paths:
            text = town.get(path).text
            assert [one in text for one in (ahead, now)] == [banner == ahead, banner == now], (moment, path)
            assert (MESSAGE[tag] in text) == (banner is not None or path.endswith("status"))
            if banner == now:
                assert 'id="form"' not in text and "<script" not in text
    status = town.get(f"/{tag}/status").text
    direction = "rtl" if tag == "ar" else "ltr"
    assert f'{translated(tag, "Maintenance:")}</strong> <bdi lang="{tag}" dir="{direction}">{MESSAGE[tag]}' in status


def test_the_feeds_are_served_and_revalidated(opening: Callable[..., Town], start: datetime) -> None:
    town = opening(a_window(start, more=f"updated = {start - timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}"))
    for tag in TAGS:
        for path, media_type in (
            (f"/{tag}/status.atom", "application/atom+xml"),
            (f"/{tag}/status.ics", "text/calendar"),
        ):
            answer = town.get(path)
            assert answer.headers["content-type"] == f"{media_type}; charset=utf-8" or path.endswith("atom")
            assert answer.headers["content-type"].startswith(media_type)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert town.get(path, **{"if-none-match": answer.headers["etag"]}).status == 304
            assert MESSAGE[tag] in answer.text.replace("\r\n ", "")
    french = town.get("/status.atom", **{"accept-language": "fr"})
    assert french.content == town.get("/fr/status.atom").content
    assert "Accept-Language" in french.headers["vary"]
    before = town.get("/en/status.ics").content
    town.plan.write_text(town.plan.read_text("utf-8") + f"cancelled = {start - HOUR:%Y-%m-%dT%H:%M:%SZ}\n", "utf-8")
    town.at(start + HOUR)
    after = town.get("/en/status.ics").content
    events: list[Any] = [next(iter(Calendar.from_ical(one).walk("VEVENT"))) for one in (before, after)]
    old, new = events
    assert old["uid"] == new["uid"] and new["sequence"] > old["sequence"]
    assert new.decoded("dtstamp") == start - HOUR > old.decoded("dtstamp")
    assert str(new["status"]) == "CANCELLED"
    assert town.get("/v1/manifest").status == 200
    assert translated("en", feeds.CANCELLED) in town.get("/en/status.atom").text


def test_a_plan_is_read_again_and_a_broken_one_changes_nothing_but_is_told(
    opening: Callable[..., Town], start: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    town = opening("")
    assert town.get("/v1/status").json()["planned"] == []
    add_window(town.plan, start, start + 3 * HOUR, MESSAGE, town.clock.now, "w")
    town.at(town.clock.now + timedelta(seconds=4))
    assert [one["id"] for one in town.get("/v1/status").json()["planned"]] == ["w"]
    good = town.plan.read_bytes()
    breaks: tuple[Callable[[], object], ...] = (
        lambda: town.plan.write_text("[[window"),
        lambda: town.plan.write_bytes(b"\xff"),
        town.plan.unlink,
        lambda: town.plan.mkdir(),
    )
    for spoil in breaks:
        spoil()
        for _ in range(3):
            town.at(town.clock.now + timedelta(minutes=4))
        assert [one["id"] for one in town.get("/v1/status").json()["planned"]] == ["w"]
        assert town.incidents()[0] == ("maintenance_plan", False)
        assert town.metric("maintenance_plan_readable") == 0 and town.metric("incidents_open") == 1
        assert town.get("/readyz").status == 200
        assert translated("fr", "The announcements of maintenance cannot be read. Some may be missing here.") in (
            town.get("/fr/status").text
        )
        assert town.post().status == 200
    assert caplog.text.count("cannot be used") == 1
    town.plan.rmdir()
    town.plan.write_bytes(good)
    town.at(town.clock.now + timedelta(seconds=4))
    assert town.incidents() == [("maintenance_plan", True)]
    assert town.metric("maintenance_plan_readable") == 1 and town.metric("incidents_total") == 1
    assert town.at(start).get("/v1/manifest").status == 503


def test_a_plan_that_is_broken_from_the_start_does_not_stop_the_service(opening: Callable[..., Town]) -> None:
    town = opening("[[window")
    town.watch.look()
    assert town.get("/v1/manifest").status == 200
    assert town.incidents() == [("maintenance_plan", False)]
    for tag in TAGS:  # what cannot be read is not "none"
        page = town.get(f"/{tag}/status").text
        for none in ("No maintenance is planned.", "What was before", "Nothing else in the last 90 days."):
            assert translated(tag, none) not in page


def test_a_clock_that_goes_back_opens_and_closes_the_service_again(
    opening: Callable[..., Town], start: datetime
) -> None:
    town = opening(a_window(start))
    statuses = [town.at(start + hours * HOUR).get("/v1/manifest").status for hours in (-1, 1, -1, 4, 1)]
    assert statuses == [200, 503, 200, 200, 503]


def test_trouble_is_told_without_anybodys_asking_and_stays_listed(opening: Callable[..., Town], tmp_path: Path) -> None:
    town = opening("", daily_cap=1, incidents=tmp_path / "incidents.jsonl")
    assert town.post().status == 200
    began = town.clock.now
    town.watch.look()
    town.at(began + timedelta(seconds=GRACE - 1))
    assert town.incidents() == []  # a start, or a hiccup, is no incident
    town.at(began + timedelta(seconds=GRACE))
    assert town.incidents() == [("daily_cap", False)]
    assert town.get("/v1/status").json()["incidents"][0]["began"] == f"{began:%Y-%m-%dT%H:%M:%SZ}"
    text = "The service has made as many checks as it may in one day. It goes on tomorrow."
    for tag in TAGS:
        page = town.get(f"/{tag}/status").text
        assert translated(tag, text) in page and translated(tag, "Trouble now") in page
        assert translated(tag, "The service is working: checks can be made.") not in page
    town.at(began + timedelta(days=1))
    assert town.incidents() == [("daily_cap", True)]
    page = town.get("/fr/status").text
    assert translated("fr", text) in page and translated("fr", "Trouble now") not in page
    assert translated("fr", "The service is working: checks can be made.") in page
    town.at(town.clock.now + timedelta(days=100))
    town.at(town.clock.now + timedelta(seconds=GRACE))
    assert town.incidents() == [("release_expired", False)]  # what is 90 days over is not told any more
    again = opening("", incidents=tmp_path / "incidents.jsonl")
    assert again.at(town.clock.now).incidents() == [("release_expired", False)]  # no second one
    again.at(began + 2 * HOUR)
    assert again.incidents()[0] == ("release_expired", True)
    assert town.metric("incidents_total") == 2
    assert set((tmp_path / "incidents.jsonl").read_text()) <= set(
        '{}":,._- \n0123456789TZ' + "abcdefghijklmnopqrstuvwxyz"
    )


def test_trouble_during_maintenance_is_no_incident_and_lasting_trouble_is_one(opening: Any) -> None:
    start = opening.manifest.valid_until - HOUR
    ends = start + 3 * HOUR
    town = opening(a_window(start))
    for moment in (start, start + 2 * HOUR, ends, ends + timedelta(seconds=GRACE - 1)):
        assert town.at(moment).incidents() == [], moment
    assert town.at(ends + timedelta(seconds=GRACE)).incidents() == [("release_expired", False)]
    assert town.get("/v1/status").json()["incidents"][0]["began"] == f"{ends:%Y-%m-%dT%H:%M:%SZ}"
    assert town.get("/readyz").json()["reasons"] == ["release_expired"]


# --- Real processes: the service, the clients, the command line -------------------------------------------------------


def plan_around(now: datetime, path: Path) -> datetime:
    """Write a plan whose window began a minute ago, and return its end."""
    ends = (now + 2 * HOUR).replace(microsecond=0)
    path.unlink(missing_ok=True)
    add_window(path, now - timedelta(minutes=1), ends, MESSAGE, now, "now")
    return ends


def eventually(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def status_of(url: str) -> dict[str, Any]:
    answered: dict[str, Any] = urllib3.request("GET", f"{url}/v1/status", retries=False).json()
    return answered


def test_clients_say_until_when_and_go_on_when_it_is_cancelled(world: World, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.touch()
    who = ("phone", nonmember("phone", 4))
    words: list[object] = ["check", who[0], "--publisher-key", world.publisher, "--memory", tmp_path / "memory"]
    with serving(world, "--maintenance", plan) as url, Client(url, publisher_key=world.publisher) as client:
        assert isinstance(client.check(*who), NotFound)
        ends = plan_around(datetime.now(UTC), plan)
        eventually(lambda: status_of(url)["maintenance"] is not None)
        verdict = client.check(*who)
        assert isinstance(verdict, Undetermined)
        assert (verdict.reason, verdict.until) == (Reason.MAINTENANCE, ends)
        assert verdict.retry_after is not None and 7_000 < verdict.retry_after <= 7_200
        said = run(*words, "--url", url, stdin=f"{who[1]}\n", check=False)
        assert said.returncode == 3
        assert said.stdout.splitlines()[0] == "We could not check. This is not a result."
        assert f"until {ends:%Y-%m-%d %H:%M} UTC" in said.stdout and "(maintenance)" in said.stdout
        said = run(*words, "--url", url, "--json", stdin=f"{who[1]}\n", check=False)
        assert said.returncode == 3
        content = json.loads(said.stdout)
        assert content.pop("retry_after") <= 7_200
        assert content == {
            "verdict": "undetermined", "reason": "maintenance", "until": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
            "release": None, "breaches": [], "checked": [], "unchecked": [], "coverage": [],
        }  # fmt: skip
        run("maintenance", "cancel", "--plan", plan, "now")
        eventually(lambda: status_of(url)["maintenance"] is None)
        assert isinstance(client.check(*who), NotFound)


def test_a_service_that_must_not_be_used_says_so_by_itself_and_remembers_it(world: World, tmp_path: Path) -> None:
    releases, record = tmp_path / "releases", tmp_path / "incidents.jsonl"
    shutil.copytree(world.releases, releases)
    other = World(tmp_path)
    (tmp_path / "keys").symlink_to(world.keys)
    env = {"BREACHCHECK_INCIDENTS": str(record), "BREACHCHECK_DAILY_CAP": "1"}
    with serving(other, env=env) as url:
        assert urllib3.request("POST", f"{url}/v1/evaluate", json=EXAMPLE_REQUEST).status == 200
        eventually(record.exists, 60)  # nobody asked
        assert [one["name"] for one in status_of(url)["incidents"]] == ["daily_cap"]
    with serving(other, env=env) as url:
        eventually(lambda: status_of(url)["incidents"][0]["ended"] is not None)


# --- In a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def announcing(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of a service, and the plan that it reads."""
    plan = tmp_path_factory.mktemp("plan") / "plan.toml"
    plan.touch()
    with serving(world, "--maintenance", plan) as url:
        yield url, plan


def settled(url: str, current: datetime | None = None, planned: datetime | None = None) -> None:
    """Wait until the service has read a plan: the end of the window under way, and of the one to come."""
    expected = [f"{one:%Y-%m-%dT%H:%M:%SZ}" if one else None for one in (current, planned)]

    def read() -> bool:
        status = status_of(url)
        ends = [window["ends"] if window else None for window in (status["maintenance"], *status["planned"])]
        return [*ends, None][:2] == expected

    eventually(read)


LOOKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "phone": tools.PHONE,
    "small": SMALL,
    "desktop, dark": {"viewport": {"width": 1280, "height": 800}, "is_mobile": False, "color_scheme": "dark"},
    "without JavaScript": {"java_script_enabled": False},
}


@pytest.mark.parametrize("look", LOOKS)
def test_the_banner_is_on_every_page_in_every_language(
    look: str, announcing: tuple[str, Path], browser: Browser
) -> None:
    url, plan = announcing
    soon = datetime.now(UTC).replace(microsecond=0) + 30 * HOUR
    plan.write_text(a_window(soon), "utf-8")
    settled(url, planned=soon + 3 * HOUR)
    for tag in TAGS:
        with visiting(browser, url, **LOOKS[look]) as visit:
            for page in PAGES:
                visit.open(f"/{tag}/{'' if page == 'check' else page}")
                banner = visit.page.locator(f'section[aria-label="{translated(tag, feeds.PLANNED)}"]')
                assert MESSAGE[tag] in banner.inner_text()
                times = [time.get_attribute("datetime") for time in banner.locator("time").all()]
                assert times == [f"{one:%Y-%m-%dT%H:%M:%SZ}" for one in (soon, soon + 3 * HOUR)]
                assert translated(tag, "Morocco time") in banner.inner_text()
                assert not re.search("[٠-٩]", banner.inner_text())
                assert visit.overflow() <= 0
                if look != "without JavaScript":
                    assert visit.barriers() == visit.complaints == []
            if look == "phone":
                visit.open_form(tag)
                visit.check("phone", nonmember("phone", 9))  # a plan changes nothing yet


def test_a_message_in_another_language_than_the_pages_reads_from_its_own_side(
    announcing: tuple[str, Path], browser: Browser
) -> None:
    url, plan = announcing
    soon = datetime.now(UTC).replace(microsecond=0) + 30 * HOUR
    only_french = a_window(soon).replace(json.dumps(MESSAGE["ar"], ensure_ascii=False), '" "')
    plan.write_text(only_french.replace('ar = " ", ', ""), "utf-8")
    settled(url, planned=soon + 3 * HOUR)
    with visiting(browser, url) as visit:
        for page in ("", "status"):
            visit.open(f"/ar/{page}")
            for told in visit.page.locator("p", has_text=MESSAGE["fr"]).all():
                assert (told.get_attribute("lang"), told.get_attribute("dir")) == ("fr", "ltr")
            expect(visit.page.locator("p", has_text=MESSAGE["fr"])).to_have_count(2 if page else 1)


@pytest.mark.parametrize("look", LOOKS)
def test_in_a_window_nobody_can_type_and_everybody_reads_until_when(
    look: str, announcing: tuple[str, Path], browser: Browser
) -> None:
    url, plan = announcing
    ends = plan_around(datetime.now(UTC), plan)
    settled(url, ends)
    for tag in TAGS:
        with visiting(browser, url, **LOOKS[look]) as visit:
            for page in PAGES:
                visit.open(f"/{tag}/{'' if page == 'check' else page}")
                banner = visit.page.locator(f'section[aria-label="{translated(tag, feeds.PLANNED)}"]')
                said = banner.inner_text()
                assert translated(tag, "Maintenance is under way, as announced. Checks cannot be made now.") in said
                assert banner.locator("time").get_attribute("datetime") == f"{ends:%Y-%m-%dT%H:%M:%SZ}"
                assert visit.page.locator("input, button, #form").count() == 0
                assert visit.page.locator("#maintenance-now").count() == 1  # where feeds lead to
                assert visit.overflow() <= 0
                if look != "without JavaScript":
                    assert visit.barriers() == visit.complaints == []
            visit.open(f"/{tag}/status")
            for said in ("The service is working: checks can be made.", "No maintenance is planned."):
                assert translated(tag, said) not in visit.shown()


@IN_EVERY_LANGUAGE
def test_windows_that_follow_each_other_are_told_together(
    tag: str, announcing: tuple[str, Path], browser: Browser
) -> None:
    url, plan = announcing
    now = datetime.now(UTC).replace(microsecond=0)
    plan.write_text("".join(a_window(now + hours * HOUR, f"w{hours}") for hours in (-1, 20, 40)), "utf-8")
    settled(url, now + 2 * HOUR, now + 23 * HOUR)
    with visiting(browser, url) as visit:
        for page in PAGES:
            visit.open(f"/{tag}/{'' if page == 'check' else page}")
            banner = visit.page.locator(f'section[aria-label="{translated(tag, feeds.PLANNED)}"]')
            assert banner.locator(".notice").count() == 3
            assert visit.barriers() == visit.complaints == [] and visit.overflow() <= 0
    plan.write_text("")
    settled(url)


@IN_EVERY_LANGUAGE
def test_a_window_that_begins_while_the_form_is_open_is_no_result(
    tag: str, announcing: tuple[str, Path], browser: Browser
) -> None:
    url, plan = announcing
    plan.write_text("")
    settled(url)
    with visiting(browser, url, timezone_id="Asia/Tokyo") as visit:
        visit.open_form(tag)
        ends = plan_around(datetime.now(UTC), plan)
        settled(url, ends)
        text = visit.check("phone", nonmember("phone", 9))
        assert visit.headline() == translated(tag, "We could not check. This is not a result.")
        assert visit.page.inner_text("[data-slot=word]") == "maintenance"
        for said in (
            words.REASONS[Reason.MAINTENANCE].text,
            words.REMEDIES["maintenance"],
            "by the clock of your device",
        ):
            assert translated(tag, said) in text
        until = visit.page.locator("#result time")
        assert until.get_attribute("datetime") == f"{ends:%Y-%m-%dT%H:%M:%SZ}"
        assert visit.page.locator("[data-slot=wait]").count() == 0
        shown = until.inner_text()
        hour, minute = (ends + 9 * HOUR).strftime("%I:%M").split(":")
        assert str(ends.year) in shown and f"{minute}" in shown and not re.search("[٠-٩]", shown)
        assert f"{int(hour)}:" in shown or f"{(int(hour) + 12) % 24:02}:" in shown
        assert visit.barriers() == [] and visit.overflow() <= 0
        plan.write_text("")
        settled(url)
        visit.page.click("[data-action=again]")
        expect(visit.page.locator("#result h2")).to_have_text(
            translated(tag, "Not found in the files we have checked"), timeout=PATIENCE
        )


@IN_EVERY_LANGUAGE
def test_afterwards_the_status_page_still_tells_of_it(tag: str, announcing: tuple[str, Path], browser: Browser) -> None:
    url, plan = announcing
    yesterday = datetime.now(UTC).replace(microsecond=0) - 20 * HOUR
    cancelled = f"cancelled = {yesterday:%Y-%m-%dT%H:%M:%SZ}"
    plan.write_text(a_window(yesterday) + a_window(yesterday + 40 * HOUR, "v", cancelled), "utf-8")
    eventually(lambda: MESSAGE["en"] in urllib3.request("GET", f"{url}/en/status").data.decode())
    with visiting(browser, url) as visit:
        visit.open_form(tag)
        assert MESSAGE[tag] not in visit.shown()
        visit.open(f"/{tag}/status")
        listed = visit.page.locator("ul.when li").all_inner_texts()
        assert [MESSAGE[tag] in one for one in listed] == [True, True]
        assert translated(tag, "Maintenance that was cancelled:") in listed[0]
        assert translated(tag, "The service is working: checks can be made.") in visit.shown()
        assert visit.barriers() == visit.complaints == []
