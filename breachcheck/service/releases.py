"""Which release is served: the first, and every one that is published or renewed while the service runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from breachcheck.config import Settings
from breachcheck.errors import InputError, ReleaseError
from breachcheck.protocol.parameters import TESTING_ONLY
from breachcheck.protocol.server import Evaluator
from breachcheck.service.state import Shelf, State, etag_of
from breachcheck.store import reader
from breachcheck.store.reader import Release, current, open_release

_LOG = logging.getLogger(__name__)
_PATIENCE: Final = 12  # looks after which a release that was refused is verified again: it may be still arriving


def open_served(settings: Settings, publisher_key: bytes | None, evaluator: Evaluator | None) -> Release:
    """Open the current release, every page verified, if it may be served with these settings and this key.

    Raises:
        InputError: `settings`: no folder is set.
        ReleaseError: `testing_parameters`, `keys`, or what `store.reader` finds wrong.
    """
    if settings.releases is None:
        raise InputError("settings", f"releases: the role {settings.role} needs the folder of the releases")
    release = open_release(settings.releases, publisher_key)
    try:
        if release.manifest.parameters == TESTING_ONLY and not settings.allow_testing_parameters:
            raise ReleaseError(
                "testing_parameters",
                "its parameters are for tests and protect nobody; --allow-testing-parameters serves it all the same",
            )
        if evaluator and evaluator.pk != release.manifest.public_key:
            raise ReleaseError("keys", "the evaluator's key is not the one that the release was made with")
    except ReleaseError:
        release.close()
        raise
    return release


class Follower:
    """Looks for a release that was published or renewed, verifies it off the event loop, and swaps.

    A request is answered from one release; a check names its release in the bucket's path. What cannot be served is
    told once and leaves everything as it is.
    """

    def __init__(self, state: State, publisher_key: bytes | None, swapped: Callable[[], None]) -> None:
        self._state = state
        self._publisher_key = publisher_key
        self._swapped = swapped
        self._refused: tuple[str, str] | None = None  # ETag and reason
        self._again = 0.0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await asyncio.sleep(self._state.settings.release_interval)
            self._state.forget_retired()
            etag = await asyncio.to_thread(self._look)
            if etag and self._is_due(etag):
                await self._follow(etag)

    def _is_due(self, etag: str) -> bool:
        if self._refused and self._refused[0] == etag:
            return time.monotonic() >= self._again
        shelf = self._state.shelf
        return shelf is None or shelf.etag != etag or shelf.damaged

    async def _follow(self, etag: str) -> None:
        state = self._state
        try:
            release = await asyncio.to_thread(open_served, state.settings, self._publisher_key, state.evaluator)
            try:
                self._compare(release)
            except ReleaseError:
                release.close()
                raise
        except ReleaseError as error:
            state.counts.releases["refused"] += 1
            if self._refused != (etag, error.reason):
                _LOG.error("the release in the folder is not served: %s", error)
            self._refused, self._again = (
                (etag, error.reason),
                time.monotonic() + _PATIENCE * state.settings.release_interval,
            )
            return
        self._refused = None
        state.swap(Shelf(release))
        state.counts.releases["taken"] += 1
        _LOG.info("serving release %d", release.manifest.release)
        self._swapped()

    def _compare(self, release: Release) -> None:
        if self._state.shelf is None:
            return
        new, old = release.manifest, self._state.shelf.manifest
        if new.public_key != old.public_key:
            raise ReleaseError("epoch", "it was made with another key: serve it in a process of its own")
        if (new.release, new.created) < (old.release, old.created):
            raise ReleaseError("rolled_back", "it is older than the one that is served: clients would refuse it")
        if new.release == old.release and new.kinds != old.kinds:
            raise ReleaseError("mismatch", "it has the number of the one that is served, and other buckets")
        if (untimely := self._state.untimely(new)) and not self._state.untimely(old):
            raise ReleaseError(untimely, "clients would refuse it, and the one that is served is current")

    def _look(self) -> str | None:
        """Return the ETag of the manifest in the folder, or None if there is none that can be read."""
        try:
            return etag_of((current(self._state.settings.releases or Path()) / reader.MANIFEST).read_bytes())
        except (OSError, ReleaseError):
            return None
