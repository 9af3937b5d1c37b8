"""Ways to spoil an answer on the wire, drawn from a seed: field, byte, length, status, order, delay, replay."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from breachcheck.protocol import messages
from breachcheck.protocol.oprf import random_scalar
from breachcheck.protocol.parameters import ENTRY_LENGTH
from breachcheck.protocol.server import Evaluator
from tests import faulty
from tests.faulty import Answer, Fault, Pause, Question, Release, What

_STATUSES: Final = (201, 204, 206, 304, 400, 401, 403, 404, 408, 410, 413, 418, 429, 500, 502, 503, 504, 511, 599)
_SIGNATURE: Final = 64


@dataclass
class Past:
    """What an attacker kept: the release before, and answers to earlier checks."""

    release: Release
    answers: dict[What, list[Answer]] = field(default_factory=lambda: {what: [] for what in faulty.WHATS})

    def keep(self, question: Question) -> None:
        """Keep an honest answer, the last twenty of its sort."""
        self.answers[question.what] = [*self.answers[question.what][-19:], question.honest]


def draw(rng: random.Random, past: Past) -> tuple[str, dict[What, Fault]]:
    """Return the name of a sort of fault, and the faults of one check."""
    name = rng.choice(tuple(_SORTS))
    what = rng.choice(faulty.WHATS)
    if name == "replay" and rng.random() < 0.3:
        return name, {"manifest": _old(rng, past), "page": _old(rng, past)}
    return name, {what: _SORTS[name](rng, past)}


def _body(change: Callable[[Question], bytes]) -> Fault:
    return lambda question: replace(question.honest, body=change(question))


def _field(rng: random.Random, _: Past) -> Fault:
    seed = rng.random()

    def change(question: Question) -> bytes:
        own = random.Random(seed)
        body = question.honest.body
        if question.what == "page":
            at = own.randrange(len(body) // ENTRY_LENGTH) * ENTRY_LENGTH
            other = own.choice([bytes(ENTRY_LENGTH), own.randbytes(ENTRY_LENGTH), body[:ENTRY_LENGTH]])
            return body[:at] + other + body[at + ENTRY_LENGTH :]
        head = _SIGNATURE if question.what == "manifest" and body else 0
        if not body[head:]:
            return b"{}"
        return body[:head] + json.dumps(_altered(json.loads(body[head:]), own)).encode()

    return _body(change)


def _altered(document: Any, rng: random.Random) -> Any:
    """Return a JSON document with one of its values changed, left out or added to."""
    if isinstance(document, dict) and document and rng.random() < 0.9:
        name = rng.choice(sorted(document))
        way = rng.random()
        if way < 0.15:
            return {key: value for key, value in document.items() if key != name}
        if way < 0.25:
            return {**document, "another": 1}
        return {**document, name: _altered(document[name], rng)}
    if isinstance(document, list) and document and rng.random() < 0.9:
        at = rng.randrange(len(document))
        way = rng.random()
        if way < 0.15:
            return document[:at] + document[at + 1 :]
        if way < 0.3:
            return [*document, document[at]]
        return [*document[:at], _altered(document[at], rng), *document[at + 1 :]]
    if isinstance(document, str) and document and rng.random() < 0.7:
        at = rng.randrange(len(document))
        return document[:at] + rng.choice("0123456789abcdefZ\u0661\ud7ff\x00") + document[at + 1 :]
    values: list[Any] = [None, True, 0, -1, 1, 2**53, 1e308, "", "x", "00" * 32, [], {}, [[]]]
    if isinstance(document, int):
        values += [document + 1, document - 1]
    return rng.choice(values)


def _byte(rng: random.Random, _: Past) -> Fault:
    seed, count = rng.random(), rng.choice((1, 1, 1, 2, 8))

    def change(question: Question) -> bytes:
        own = random.Random(seed)
        body = bytearray(question.honest.body)
        for _ in range(count if body else 0):
            body[own.randrange(len(body))] ^= 1 << own.randrange(8)
        return bytes(body)

    return _body(change)


def _length(rng: random.Random, _: Past) -> Fault:
    part, more = rng.random(), rng.choice((1, 2, 16, 24, 32, 4096, 300_000))

    def cut(question: Question) -> int:
        return int(len(question.honest.body) * part)

    ways: list[Fault] = [
        _body(lambda question: question.honest.body[: cut(question)]),
        _body(lambda question: question.honest.body + bytes(more)),
        _body(lambda question: question.honest.body * 2),
        lambda question: faulty.break_off(cut(question))(question),
        lambda question: faulty.break_off_head(int(len(question.honest.head) * part))(question),
        faulty.announce_and_close(more),
        faulty.announce_and_close(-min(more, 32)),
        faulty.empty,
        faulty.close,
        faulty.reset,
        faulty.chunked,
        faulty.chunked_and(rng.choice((b"", b"0\r\n", b"5\r\n", b"-1\r\n", b"zz\r\n", b"ffffffffffffffff\r\n"))),
    ]
    return rng.choice(ways)


def _status(rng: random.Random, _: Past) -> Fault:
    code = rng.choice(_STATUSES)
    ways: list[Fault] = [
        faulty.status(code, rng.choice((None, "3", "-1", "x", "99999999"))),
        lambda question: replace(question.honest, status=code),
        faulty.redirect(rng.choice((301, 302, 303, 307, 308))),
        faulty.html,
        faulty.html_as_is,
        faulty.gzipped,
        faulty.headers(Content_Type=rng.choice((None, "text/plain", "application/json", "application/octet-stream"))),
        faulty.headers(Content_Length=rng.choice((None, "-1", "x", "1, 2"))),
        faulty.raw(rng.choice((b"\x00", b"HTTP/9.9 200\r\n\r\n", b"HTTP/1.1 200 OK\r\nX\r\n\r\n", rng.randbytes(40)))),
    ]
    return rng.choice(ways)


def _order(rng: random.Random, past: Past) -> Fault:
    what, place = rng.choice(faulty.WHATS), rng.random()

    def other(question: Question) -> Answer:
        if question.what == "page" and place < 0.5:  # another bucket of this release
            pages = [page for kind in question.service.release.pages.values() for page in kind]
            return replace(question.honest, body=pages[int(place * 2 * len(pages))])
        kept = past.answers[what]
        return kept[int(place * len(kept))] if kept else question.honest

    def both(question: Question) -> list[bytes]:
        return [other(question).wire + question.honest.wire]

    def backwards(question: Question) -> list[bytes]:
        return [question.honest.body + question.honest.head]

    return rng.choice((other, other, other, both, backwards))


def _delay(rng: random.Random, _: Past) -> Fault:
    seconds, part = rng.choice((0.001, 0.005, 0.02)), rng.random()

    def late(question: Question) -> list[bytes | Pause]:
        wire = question.honest.wire
        at = int(len(wire) * part)
        return [wire[:at], Pause(seconds), wire[at:]]

    def never(question: Question) -> list[bytes | Pause]:
        return [question.honest.wire[: int(len(question.honest.wire) * part)], Pause(5)]

    return never if rng.random() < 0.05 else late


def _old(rng: random.Random, past: Past) -> Fault:
    place = rng.random()

    def fault(question: Question) -> Answer:
        if question.what == "manifest":
            return Answer(past.release.signed)
        if question.what == "page":
            number = question.honest.body
            for kind, pages in question.service.release.pages.items():
                if number in pages:
                    return replace(question.honest, body=past.release.pages[kind][pages.index(number)])
        kept = past.answers[question.what]
        return kept[int(place * len(kept))] if kept else question.honest

    return fault


def _replay(rng: random.Random, past: Past) -> Fault:
    place = rng.random()

    def fault(question: Question) -> Answer:
        kept = past.answers[question.what]
        return kept[int(place * len(kept))] if kept else question.honest

    def another_key(question: Question) -> Answer:
        other = Evaluator(random_scalar())
        return replace(question.honest, body=other.answer(messages.decode_request(question.body)))

    ways: dict[str, Fault] = {"before": fault, "old": _old(rng, past), "key": another_key}
    way = rng.choice(tuple(ways))
    return lambda question: ways[way if way != "key" or question.what == "evaluate" else "old"](question)


_SORTS: Final[Mapping[str, Callable[[random.Random, Past], Fault]]] = {
    "field": _field,
    "byte": _byte,
    "length": _length,
    "status": _status,
    "order": _order,
    "delay": _delay,
    "replay": _replay,
}
