"""Campaign 3: 10,000 checks of each client, each with an answer that was spoilt on the wire.

The service lies, and once served the release before: somebody is in the newer one only. The client has seen the newer.
Wrong is: "not found" for a member, an exposure that is not the truth, an older release, an error in place of a verdict,
a verdict without a reason, and `client_fault`, by which a client owns up to an error that it did not foresee.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import build_web

from breachcheck.client import Client
from breachcheck.exposure import Exposed, NotFound, Reason, Undetermined
from fault_tools.campaign import MissingError, Plan, Tally
from fault_tools.spoiling import Past, draw
from tests import faulty
from tests.faulty import FaultyService, Question, Steward

POINTS: Final = 10_000
_TIME_LIMIT: Final = 0.8  # seconds, for an answer that never comes: the others are there at once
_NEWCOMERS: Final = frozenset({("national_id", "OD77"), ("phone", "0522000000")})
_STRANGERS: Final = (("national_id", "ZZ990001"), ("phone", "0698765432"))
_FORESEEN: Final = frozenset(map(str, Reason)) - {str(Reason.NOT_CHECKED), str(Reason.CLIENT_FAULT)}


@dataclass(frozen=True)
class Said:
    """A verdict, whichever client it came from."""

    type: str
    reason: str = ""
    release: int = 0
    exposures: frozenset[tuple[str, tuple[str, ...]]] = frozenset()


Ask = Callable[[str, str], Said]


def run(plan: Plan) -> Tally:
    """Spoil exchanges of the Python client, then of the page's scripts in Node.js."""
    tally = Tally("exchanges")
    with _service() as (steward, service, past):
        _spoil(
            plan,
            tally,
            "Python",
            service,
            past,
            steward,
            _python(service.url, steward.publisher_key, plan.folder / "memory.json"),
        )
    with _service() as (steward, service, past), node(service.url, steward.publisher_key) as ask:
        _spoil(plan, tally, "JavaScript", service, past, steward, ask)
    return tally


@contextmanager
def _service() -> Iterator[tuple[Steward, FaultyService, Past]]:
    steward = Steward()
    old = steward.publish(1, members={who: what for who, what in faulty.MEMBERS.items() if who not in _NEWCOMERS})
    new = steward.publish(2)
    with FaultyService(new, steward.evaluator) as service:
        yield steward, service, Past(old)


def _spoil(
    plan: Plan, tally: Tally, language: str, service: FaultyService, past: Past, steward: Steward, ask: Ask
) -> None:
    rng = plan.random(f"exchanges {language}")
    people = [*faulty.MEMBERS, *_STRANGERS]
    truth = {}
    for who in people:
        service.faults = {what: _kept(past) for what in faulty.WHATS}
        truth[who] = ask(*who)
    _refuse_wrong_truth(truth)
    points = POINTS if plan.points is None else plan.points
    for number in range(1, points + 1):
        who = rng.choice(people)
        service.behave(service.release, steward.evaluator)
        sort, service.faults = draw(rng, past)
        what = f"{language}: {sort}"
        said = ask(*who)
        outcome = f"undetermined: {said.reason}" if said.type == "undetermined" else f"{said.type}, rightly"
        wrong = said.reason not in _FORESEEN if said.type == "undetermined" else said != truth[who]
        if wrong:
            outcome = f"{said.type} {said.reason} (point {number})"
        tally.count(what, outcome, wrong=wrong)
        if number % 1000 == 0:
            plan.say(f"exchanges: {language}, {number} points, {len(tally.wrong)} wrong")


def _kept(past: Past) -> faulty.Fault:
    def fault(question: Question) -> faulty.Answer:
        past.keep(question)
        return question.honest

    return fault


def _refuse_wrong_truth(truth: dict[tuple[str, str], Said]) -> None:
    for who, said in truth.items():
        wanted = "not_found" if who in _STRANGERS else "exposed"
        if said.type != wanted or said.release != 2:
            raise RuntimeError(f"without a fault the answer is {said.type} {said.reason}")


def _python(url: str, publisher_key: bytes, memory: Path) -> Ask:
    """Ask with one client that lives on, and by turns with one that just started and only remembers the release."""
    kept = Client(url, publisher_key, memory=memory, timeout=_TIME_LIMIT)
    turn = 0

    def ask(kind: str, text: str) -> Said:
        nonlocal turn
        turn += 1
        if turn % 2:
            return ask_python(kept, kind, text)
        with Client(url, publisher_key, memory=memory, timeout=_TIME_LIMIT) as client:
            return ask_python(client, kind, text)

    return ask


def ask_python(client: Client, kind: str, text: str) -> Said:
    """Return what the Python client says, be it an error that it never should raise."""
    try:
        verdict = client.check(kind, text)
    except Exception as error:  # noqa: BLE001  # that there is none is what is shown here
        return Said("error", type(error).__name__)
    match verdict:
        case Undetermined(reason=reason):
            return Said("undetermined", str(reason))
        case NotFound(release=release):
            return Said("not_found", "", release)
        case Exposed(release=release, exposures=exposures):
            return Said("exposed", "", release, frozenset((one.dataset, one.fields) for one in exposures))


@contextmanager
def node(url: str, publisher_key: bytes, **environment: str) -> Iterator[Ask]:
    """Start the page's client in Node.js, and yield what asks it."""
    found = build_web.find_node()
    if found is None:
        raise MissingError("Node.js (Debian package nodejs)")
    command = build_web.install(development=True).node
    words = [*command, "test/check_lines.js", url, publisher_key.hex(), str(int(_TIME_LIMIT * 1000))]
    with subprocess.Popen(
        words,
        cwd=build_web.SCRIPTS,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        questions, answers = process.stdin, process.stdout
        if questions is None or answers is None:
            raise RuntimeError("a process without its pipes")

        def ask(kind: str, text: str) -> Said:
            if process.poll() is not None:
                return Said("error", "the process ended")
            questions.write(json.dumps([kind, text]) + "\n")
            line = answers.readline()
            return _read(json.loads(line)["verdict"]) if line else Said("error", "the process ended")

        yield ask
        questions.close()


def _read(verdict: dict[str, Any]) -> Said:
    exposures = frozenset((one["dataset"], tuple(one["fields"])) for one in verdict.get("exposures", ()))
    return Said(verdict["type"], verdict.get("reason", ""), verdict.get("release", 0), exposures)
