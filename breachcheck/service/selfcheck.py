"""The self-check: a client inside the service that walks the path which people walk, over HTTP, with known answers.

role `all`         manifest, and every canary and one stranger a kind: evaluation, proof, bucket, path, entry
role `buckets`     manifest, and one bucket of each kind with its path
role `evaluator`   one evaluation with its proof
any, with a URL    manifest, and one canary or stranger, another each time, through whatever stands there

Where there is a release, its pages are read as well: a damaged one is found before somebody asks for it.

Until the first has passed, and when none has ended for a while, the service is not ready.
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
_CONNECT: Final = 3.0  # seconds
_ANSWER: Final = 8.0
_WHOLE: Final = 30.0
_RETRY: Final = 5.0  # seconds after a failure, at most; then twice as long each time, up to the interval
_READ: Final = 100_000  # pages read a time: half a second; the next time goes on with the next ones


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
        self._ended = time.monotonic()
        self._last_seen = 0
        self._turn = 0
        self._wait = self._interval
        self._reading: tuple[Shelf | None, Iterator[tuple[str, int]]] = (None, iter(()))
        self._soon = asyncio.Event()
        state.self_check = self.reason

    def reason(self) -> str | None:
        """Return the word for why the last self-check failed, or None if it passed and is recent."""
        if time.monotonic() - self._ended > 2 * self._interval + _WHOLE:
            return Reason.NOT_CHECKED
        return self._reason

    def soon(self) -> None:
        """Let the next self-check begin now."""
        self._soon.set()

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), self._wait)
            self._soon.clear()
            await self.once()

    async def once(self) -> None:
        """Check now, off the event loop, which has to answer."""
        self._hear(await asyncio.to_thread(self._outcome))
        if shelf := self._state.shelf:
            with shelf.held():
                await asyncio.to_thread(self._read, shelf)

    def _hear(self, reason: str | None) -> None:
        # The one place where the service learns that it fails, and that it has recovered.
        if reason == Reason.MAINTENANCE and self._state.notices.current():
            reason = self._reason  # closed, as announced: what was found before still stands
        before, self._reason, self._ended = self._reason, reason, time.monotonic()
        retry = 2 * self._wait if before and before != Reason.NOT_CHECKED else _RETRY
        self._wait = min(retry, self._interval) if reason else self._interval
        self._state.counts.self_checks["failed" if reason else "passed"] += 1
        if reason and reason != before:
            _LOG.error("the self-check fails: %s", reason)
        elif before and not reason and before != Reason.NOT_CHECKED:
            _LOG.warning("the self-check passes again")

    def _outcome(self) -> str | None:
        try:
            with contextlib.closing(HttpTransport(self._url, connect=_CONNECT, answer=_ANSWER)) as transport:
                self._walk(transport, Deadline.after(_WHOLE))
        except (ProtocolError, TransportError) as error:
            return str(error.reason)
        except _FalseAnswerError as error:
            return str(error)
        except HashingError:
            return Reason.CLIENT_FAULT
        return None

    def _walk(self, transport: Transport, deadline: Deadline) -> None:
        if self._own and self._state.settings.role is Role.EVALUATOR:
            self._walk_evaluator(transport, deadline)
            return
        manifest = self._accept(transport.manifest(deadline))
        if self._own and self._state.settings.role is Role.BUCKETS:
            _walk_buckets(manifest, transport, deadline)
            return
        asked = list(_canaries(manifest))
        if not self._own and asked:  # an element of the ration of whoever lives at this address
            asked = [asked[self._turn % len(asked)]]
        for one in asked:
            self._ask(manifest, one, transport, deadline)
        self._turn += 1  # what failed is asked again

    def _read(self, shelf: Shelf) -> None:
        if self._reading[0] is not shelf:
            self._reading = shelf, iter(())
        for _ in range(_READ):
            page = next(self._reading[1], None)
            if page is None:
                self._reading = shelf, ((kind, n) for kind, table in shelf.tables.items() for n in range(table.buckets))
                return
            if shelf.damaged or self._state.page(shelf, *page) is None:
                return

    def _accept(self, signed: bytes) -> Manifest:
        if self._publisher_key:
            now = datetime.fromtimestamp(self._state.clock(), UTC)
            manifest = client.accept_manifest(signed, self._publisher_key, now, self._last_seen)
        else:
            manifest = parse(signed[SIGNATURE_LENGTH:])
            shelf = self._state.shelf_of(str(manifest.release))
            if shelf is None or shelf.release.signed != signed:
                raise ProtocolError(Reason.MANIFEST_SIGNATURE)
        self._last_seen = manifest.release
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
