"""The self-check: a client inside the service that walks the path which people walk, over HTTP, with known answers.

role `all`         manifest, and every canary and one stranger a kind: evaluation, proof, bucket, path, entry
role `buckets`     manifest, and one bucket of each kind with its path
role `evaluator`   one evaluation with its proof
any, with a URL    manifest, and one canary or stranger, another each time, through whatever stands there

The first walk over a release asks for every canary that it can in 20 seconds. Where they are too many for it, or for a
later one, they take turns.

Where there is a release, its pages are read as well: a damaged one is found before somebody asks for it.

Until the first has passed, and when one does not end, the service is not ready. How long trouble stays unseen, `watch`
reckons.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from argon2.exceptions import HashingError

from breachcheck.client.http import HttpTransport
from breachcheck.client.transport import Deadline, Transport
from breachcheck.config import Role
from breachcheck.errors import ProtocolError, TransportError
from breachcheck.exposure import Exposed, Exposure, NotFound, Reason
from breachcheck.protocol import bucket, canary, client, messages, oprf
from breachcheck.protocol.identifier import Identifier
from breachcheck.protocol.manifest import SIGNATURE_LENGTH, Manifest, parse
from breachcheck.service.state import Shelf, State

_LOG = logging.getLogger(__name__)

CANARY_MISSING: Final = "canary_missing"
CANARY_FOUND: Final = "canary_found"
_CONNECT: Final = 2.0  # seconds
_ANSWER: Final = 5.0
_FIRST: Final = 30.0  # for the first walk over a release
WALK: Final = 7.0  # for every other
_ASKING: Final = 3.0  # after which a walk leaves the other canaries to the next
_ASKING_FIRST: Final = 20.0  # the first over a release
LATE: Final = 1.0  # after which a walk that should have ended counts as failed
_PAUSE: Final = 1.0  # between two walks, at least
_RETRY: Final = 2.0  # after a failure, at most; then twice as long each time, up to the interval
_READ: Final = 2_000  # pages read a time: a hundredth of a second
_REST: Final = 9  # times as long as reading took, before more is read: requests go first
ROUND: Final = 30.0  # seconds in which all pages are read once; beyond 500,000 they take longer


class _FalseAnswerError(Exception):
    """A canary was proved to be what it is not; the argument is the word."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A canary and what must come of it; `exposure` is None for one that must not be found."""

    identifier: Identifier
    exposure: Exposure | None


class SelfCheck:
    """Checks at the start, every interval, and when it is told to; `reason` is what readiness depends on.

    The manifest's signature is checked with `publisher_key`, the key that the pages give to browsers. Without it, what
    is served must be, octet for octet, what this process has opened and verified.
    """

    def __init__(self, state: State, url: str, publisher_key: bytes | None) -> None:
        self._state = state
        self._own = state.settings.self_check_url is None
        self._url = state.settings.self_check_url or url
        self._publisher_key = publisher_key
        self._interval = float(state.settings.self_check_interval)
        self._reason: str | None = Reason.NOT_CHECKED
        self._begun = self._next = time.monotonic()
        self._due = self._begun + _FIRST  # when the walk under way, or the next, must have ended
        self._last_seen = 0
        self._turn = 0
        self._asked: Shelf | None = None  # over which the first walk has passed
        self._wait = self._interval
        self._soon = asyncio.Event()
        state.self_check = self.reason

    def reason(self) -> str | None:
        """Return the word for why the last self-check failed, or None if it passed and the next is not late."""
        if time.monotonic() > self._due + LATE:
            return Reason.NOT_CHECKED
        return self._reason

    def stop(self) -> None:
        """Fail from now on: something that keeps this process right has ended, and nothing here begins it again."""
        self._state.self_check = lambda: Reason.NOT_CHECKED

    def soon(self) -> None:
        """Let the next self-check begin now."""
        self._soon.set()

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), self._next - time.monotonic())
            self._soon.clear()
            await self.once()

    async def read(self) -> None:
        """Read all pages, again and again, until cancelled."""
        while True:
            began = time.monotonic()
            await self.read_all()
            await asyncio.sleep(max(_PAUSE, began + ROUND - time.monotonic()))

    async def read_all(self) -> None:
        """Read every page of the release once, unless one is damaged or another release is taken up."""
        shelf = self._state.shelf
        if shelf is None:
            return
        pages = ((kind, number) for kind, table in shelf.tables.items() for number in range(table.buckets))
        with shelf.held():
            while shelf is self._state.shelf and (some := list(islice(pages, _READ))):
                began = time.monotonic()
                await asyncio.to_thread(self._read, shelf, some)
                await asyncio.sleep(_REST * (time.monotonic() - began))

    async def once(self) -> None:
        """Check now, off the event loop, which has to answer."""
        shelf = self._state.shelf
        patience = _FIRST if self._is_first(shelf) else WALK
        self._begun = time.monotonic()
        self._due = self._begun + patience
        self._hear(await asyncio.to_thread(self._outcome, shelf, patience))

    def _hear(self, reason: str | None) -> None:
        # The one place where the service learns that it fails, and that it has recovered.
        window = self._state.notices.current() if reason == Reason.MAINTENANCE else None
        if window:
            reason = self._reason  # closed, as announced: what was found before still stands
        before, self._reason = self._reason, reason
        retry = 2 * self._wait if before and before != Reason.NOT_CHECKED else _RETRY
        self._wait = min(retry, self._interval) if reason else self._interval
        wait = min(self._wait, self._state.notices.seconds_left(window)) if window else self._wait
        self._next = max(self._begun + wait, time.monotonic() + _PAUSE)
        self._due = self._next + WALK
        self._state.counts.self_checks["failed" if reason else "passed"] += 1
        if reason and reason != before:
            _LOG.error("the self-check fails: %s", reason)
        elif before and not reason and before != Reason.NOT_CHECKED:
            _LOG.warning("the self-check passes again")

    def _outcome(self, shelf: Shelf | None, patience: float) -> str | None:
        try:
            with contextlib.closing(HttpTransport(self._url, connect=_CONNECT, answer=_ANSWER)) as transport:
                self._walk(shelf, transport, Deadline.after(patience))
        except (ProtocolError, TransportError) as error:
            return str(error.reason)
        except _FalseAnswerError as error:
            return str(error)
        except HashingError:
            return Reason.CLIENT_FAULT
        return None

    def _is_first(self, shelf: Shelf | None) -> bool:
        return self._own and self._state.settings.role is Role.ALL and shelf is not self._asked

    def _walk(self, shelf: Shelf | None, transport: Transport, deadline: Deadline) -> None:
        if self._own and self._state.settings.role is Role.EVALUATOR:
            self._walk_evaluator(transport, deadline)
            return
        manifest = self._accept(transport.manifest(deadline))
        if self._own and self._state.settings.role is Role.BUCKETS:
            _walk_buckets(manifest, transport, deadline)
            return
        asked = list(_canaries(manifest))
        enough = time.monotonic() + (_ASKING_FIRST if self._is_first(shelf) else _ASKING)
        first = self._turn % max(1, len(asked))
        for one in (*asked[first:], *asked[:first]):
            self._ask(manifest, one, transport, deadline)
            self._turn += 1  # what failed is asked again
            # Elsewhere each is an element of the ration of whoever lives at this address.
            if not self._own or time.monotonic() > enough:
                break
        self._asked = shelf

    def _read(self, shelf: Shelf, pages: list[tuple[str, int]]) -> None:
        for page in pages:
            if shelf.damaged or self._state.page(shelf, *page) is None:
                return

    def _accept(self, signed: bytes) -> Manifest:
        if self._publisher_key:
            now = datetime.fromtimestamp(self._state.clock(), UTC)
            manifest = client.accept_manifest(signed, self._publisher_key, now, self._last_seen)
        else:
            manifest = parse(signed[SIGNATURE_LENGTH:])
            if not self._state.serves(signed):
                raise ProtocolError(Reason.MANIFEST_SIGNATURE)
        self._last_seen = manifest.release
        if not manifest.has_every_canary:
            raise _FalseAnswerError(CANARY_MISSING)
        return manifest

    def _ask(self, manifest: Manifest, asked: _Asked, transport: Transport, deadline: Deadline) -> None:
        blinded, request = client.start(manifest, asked.identifier)
        located = client.locate(blinded, self._evaluate(blinded.element, request, transport, deadline))
        table = located.table
        length = table.layout.page_length
        page = transport.page(manifest.release, table.kind, located.bucket, length, deadline)
        verdict = client.conclude(located, page)
        if asked.exposure is None:
            if not isinstance(verdict, NotFound):
                raise _FalseAnswerError(CANARY_FOUND)
        elif not isinstance(verdict, Exposed) or verdict.exposures != (asked.exposure,):
            raise _FalseAnswerError(CANARY_MISSING)

    def _evaluate(self, element: bytes, request: bytes, transport: Transport, deadline: Deadline) -> bytes:
        if not self._own:  # what goes elsewhere is rationed there, and is no ticket here
            return transport.evaluate(request, deadline)
        self._state.own_elements.add(element)
        try:
            return transport.evaluate(request, deadline)
        finally:
            self._state.own_elements.discard(element)

    def _walk_evaluator(self, transport: Transport, deadline: Deadline) -> None:
        evaluator = self._state.evaluator
        if evaluator is None:
            raise ProtocolError(Reason.NOT_CHECKED)
        _, element = oprf.blind(os.urandom(32))
        answer = self._evaluate(element, messages.encode_request([element]), transport, deadline)
        elements, proof = messages.decode_response(answer)
        if not oprf.verify_proof(evaluator.pk, [element], elements, proof):
            raise ProtocolError(Reason.EVALUATION_PROOF)


def _walk_buckets(manifest: Manifest, transport: Transport, deadline: Deadline) -> None:
    for table in manifest.kinds:
        number = random.SystemRandom().randrange(table.layout.buckets)
        page = transport.page(manifest.release, table.kind, number, table.layout.page_length, deadline)
        try:
            bucket.open_page(page, table.layout, number, table.root)
        except ProtocolError:
            raise ProtocolError(Reason.BUCKET_PROOF) from None


def _canaries(manifest: Manifest) -> Iterator[_Asked]:
    for one in manifest.canaries:
        yield _Asked(canary.member(one.kind, one.dataset, manifest.release), Exposure(one.dataset, one.fields))
    for table in manifest.kinds:
        if any(table.kind in dataset.kinds for dataset in manifest.datasets):
            yield _Asked(canary.absent(table.kind, manifest.release), None)
