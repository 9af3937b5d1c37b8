"""What the pages and feeds say of maintenance and incidents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from breachcheck.notices.board import Board
from breachcheck.notices.incidents import Incident
from breachcheck.notices.plan import MAX_MESSAGE, Window
from breachcheck.web.languages import Language
from breachcheck.web.texts import Moment, Said, moment, said
from breachcheck.web.words import N_

TROUBLES: Final[Mapping[str, str]] = {
    "release_expired": N_("The list of files is out of date. Those who publish it have to renew it."),
    "release_not_yet_valid": N_("The list of files is dated in the future: a clock is wrong."),
    "page_damaged": N_("A part of the files is damaged. It has to be replaced."),
    "self_check": N_("The service could not confirm that its own answers are right."),
    "evaluator_key": N_("The service does not have the key that belongs to the list of files."),
    "daily_cap": N_("The service has made as many checks as it may in one day. It goes on tomorrow."),
    "maintenance_plan": N_("The announcements of maintenance cannot be read. Some may be missing here."),
}
OTHER_TROUBLE: Final = N_("The service has found a fault of its own.")
_PLAN: Final = "maintenance_plan"  # checks can be made all the same


@dataclass(frozen=True, slots=True)
class WindowView:
    """A window of maintenance as the pages tell of it."""

    anchor: str
    begins: Moment
    ends: Moment
    message: Said
    cancelled: bool


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident as the pages tell of it; `ended` is None while it lasts."""

    text: str
    began: Moment
    ended: Moment | None


@dataclass(frozen=True, slots=True)
class BoardView:
    """A board in one language. `before` is what is over or was cancelled.

    `complete` is False while the plan cannot be read: that nothing was announced must not be said then.
    """

    current: WindowView | None
    soon: tuple[WindowView, ...]
    planned: tuple[WindowView, ...]
    before: tuple[WindowView, ...]
    troubles: tuple[IncidentView, ...]
    past: tuple[IncidentView, ...]
    working: bool
    complete: bool


def trouble(name: str, language: Language) -> str:
    """Return what a trouble's name means."""
    return language.translations.gettext(TROUBLES.get(name, OTHER_TROUBLE))


def anchor_of(window: Window) -> str:
    """Return the address of a window in the status page."""
    return f"maintenance-{window.name}"


def view(board: Board, language: Language) -> BoardView:
    """Return a board in the words of a language."""

    def window(of: Window) -> WindowView:
        return WindowView(
            anchor_of(of),
            moment(of.begins, language),
            moment(of.ends, language),
            said(of.message, language, MAX_MESSAGE),
            of.cancelled is not None,
        )

    def incident(of: Incident) -> IncidentView:
        ended = moment(of.ended, language) if of.ended else None
        return IncidentView(trouble(of.name, language), moment(of.began, language), ended)

    before = sorted((*board.cancelled, *board.over), key=lambda one: one.begins, reverse=True)
    return BoardView(
        current=window(board.current) if board.current else None,
        soon=tuple(map(window, board.soon)),
        planned=tuple(map(window, board.planned)),
        before=tuple(map(window, before)),
        troubles=tuple(map(incident, board.troubles)),
        past=tuple(map(incident, board.past)),
        working=not board.current and all(one.name == _PLAN for one in board.troubles),
        complete=all(one.name != _PLAN for one in board.troubles),
    )
