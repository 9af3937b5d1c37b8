"""The status as feeds: Atom (RFC 4287) for whoever reads news, iCalendar (RFC 5545) for whoever keeps a calendar.

Identifiers are UUIDs made from the publisher's key and the window's id, so that they are the same at each start, in
every language and on every server of one publisher, and of no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5
from xml.etree import ElementTree

from icalendar import Calendar, Event

from breachcheck.notices.board import Board
from breachcheck.notices.incidents import Incident
from breachcheck.notices.plan import MAX_MESSAGE, Window
from breachcheck.web.languages import Language
from breachcheck.web.notices import anchor_of, trouble
from breachcheck.web.texts import moment, said
from breachcheck.web.words import N_

_ATOM: Final = "http://www.w3.org/2005/Atom"
_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_NAME: Final = "breachcheck"
_EMPTY_SINCE: Final = datetime(2025, 1, 1, tzinfo=UTC)  # the time of a feed to which nothing ever happened

TITLE: Final = N_("Was my information leaked? Status of the service")
PLANNED: Final = N_("Planned maintenance")
CANCELLED: Final = N_("Cancelled: planned maintenance")
TROUBLE: Final = N_("Trouble")
OVER: Final = N_("Trouble, which is over")
FROM: Final = N_("From:")
UNTIL: Final = N_("Until:")
SINCE: Final = N_("Since:")
MOROCCO_TIME: Final = N_("Morocco time")
NO_CHECKS: Final = N_("Checks cannot be made during it.")


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str  # unique in the feed, for ever
    title: str
    updated: datetime
    text: str
    place: str


def _space(publisher_key: bytes | None) -> UUID:
    return uuid5(NAMESPACE_URL, f"urn:breachcheck:status:{(publisher_key or b'').hex()}")


def _about(window: Window, language: Language) -> str:
    say = language.translations.gettext
    begins, ends = moment(window.begins, language), moment(window.ends, language)
    lines = [f"{say(FROM)} {begins.text}", f"{say(UNTIL)} {ends.text} ({say(MOROCCO_TIME)})"]
    if window.cancelled is None:
        lines.append(say(NO_CHECKS))
    return "\n".join([*lines, said(window.message, language, MAX_MESSAGE).text])


def _title(window: Window, language: Language) -> str:
    return language.translations.gettext(CANCELLED if window.cancelled else PLANNED)


def _incident(incident: Incident, language: Language) -> _Entry:
    say = language.translations.gettext
    text = f"{trouble(incident.name, language)}\n{say(SINCE)} {moment(incident.began, language).text}"
    if incident.ended:
        text += f"\n{say(UNTIL)} {moment(incident.ended, language).text}"
    return _Entry(
        name=f"incident {incident.name} {incident.began:%Y-%m-%dT%H:%M:%SZ}",
        title=say(OVER if incident.ended else TROUBLE),
        updated=incident.updated,
        text=f"{text} ({say(MOROCCO_TIME)})",
        place="incidents",
    )


def _entries(board: Board, language: Language) -> Iterator[_Entry]:
    for window in board.windows:
        yield _Entry(
            name=f"maintenance {window.name}",
            title=_title(window, language),
            updated=window.updated,
            text=_about(window, language),
            place=anchor_of(window),
        )
    for incident in (*board.troubles, *board.past):
        yield _incident(incident, language)


def atom(board: Board, language: Language, publisher_key: bytes | None) -> bytes:
    """Return the Atom feed of a board in a language, latest change first."""
    space = _space(publisher_key)
    ElementTree.register_namespace("", _ATOM)

    def add(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> ElementTree.Element:
        element = ElementTree.SubElement(parent, f"{{{_ATOM}}}{name}", attributes)
        element.text = text or None
        return element

    entries = sorted(_entries(board, language), key=lambda entry: entry.updated, reverse=True)
    feed = ElementTree.Element(f"{{{_ATOM}}}feed", {_LANG: language.tag})
    add(feed, "id", uuid5(space, f"feed {language.tag}").urn)
    add(feed, "title", language.translations.gettext(TITLE))
    add(feed, "updated", _time(entries[0].updated if entries else _EMPTY_SINCE))
    add(add(feed, "author"), "name", _NAME)
    add(feed, "link", rel="self", type="application/atom+xml", href=f"/{language.tag}/status.atom")
    add(feed, "link", rel="alternate", type="text/html", hreflang=language.tag, href=f"/{language.tag}/status")
    for entry in entries:
        element = add(feed, "entry")
        add(element, "id", uuid5(space, entry.name).urn)
        add(element, "title", entry.title)
        add(element, "updated", _time(entry.updated))
        add(element, "link", rel="alternate", type="text/html", href=f"/{language.tag}/status#{entry.place}")
        add(element, "content", entry.text, type="text")
    octets: bytes = ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True)
    return octets


def calendar(board: Board, language: Language, publisher_key: bytes | None) -> bytes:
    """Return the calendar of a board's windows in a language; incidents are no appointments."""
    space = _space(publisher_key)
    content = Calendar()
    content.add("prodid", f"-//{_NAME}//status//{language.tag.upper()}")
    content.add("version", "2.0")
    content.add("calscale", "GREGORIAN")
    content.add("method", "PUBLISH")
    content.add("x-wr-calname", language.translations.gettext(TITLE))
    for window in sorted(board.windows, key=lambda window: window.begins):
        event = Event()
        event.add("uid", str(uuid5(space, f"maintenance {window.name}")))
        event.add("dtstamp", window.updated)
        event.add("last-modified", window.updated)
        event.add("dtstart", window.begins)
        event.add("dtend", window.ends)
        event.add("summary", _title(window, language))
        event.add("description", _about(window, language))
        event.add("status", "CANCELLED" if window.cancelled else "CONFIRMED")
        event.add("sequence", int(window.cancelled is not None))  # a window that moves is another one
        event.add("transp", "TRANSPARENT")  # nobody is busy then
        content.add_component(event)
    octets: bytes = content.to_ical()
    return octets


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
