"""What a running service holds: the release, the key, the ration, and what it has counted."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from breachcheck.config import Settings
from breachcheck.errors import ReleaseError
from breachcheck.protocol.client import CLOCK_SKEW
from breachcheck.protocol.manifest import Manifest
from breachcheck.protocol.server import Evaluator
from breachcheck.service.answers import IMMUTABLE, OCTETS, REVALIDATED, Headers, length
from breachcheck.service.limits import Ration
from breachcheck.service.notices import Notices
from breachcheck.store.reader import Release

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Table:
    """One kind as it is served: how many buckets, how long all pages are, and the headers that every page has."""

    buckets: int
    size: int
    root: str
    headers: Headers


def etag_of(signed: bytes) -> str:
    """Return the ETag of a signed manifest, which clients compute themselves."""
    return f'"{sha256(signed).hexdigest()}"'


class Shelf:
    """A release with all that is the same for every request made ready. Replaced as a whole, never changed.

    `damaged` says that a page was not what was published.
    """

    def __init__(self, release: Release) -> None:
        self.damaged = False
        self._readers = 0
        self.release = release
        self.manifest = release.manifest
        self.number = str(release.manifest.release)
        self.etag = etag_of(release.signed)
        self.manifest_headers: Headers = [
            OCTETS,
            length(len(release.signed)),
            REVALIDATED,
            (b"etag", self.etag.encode()),
        ]
        self.tables = {
            table.kind: Table(
                buckets=table.layout.buckets,
                size=table.layout.buckets * table.layout.page_length,
                root=table.root.hex(),
                headers=[OCTETS, length(table.layout.page_length), IMMUTABLE],
            )
            for table in release.manifest.kinds
        }

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the files open over an `await`."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    def close(self) -> bool:
        """Close the files unless somebody holds them; return whether they are closed."""
        if not self._readers:
            self.release.close()
        return not self._readers


@dataclass(slots=True)
class Counts:
    """What is counted. No address, no bucket and nothing that was submitted stands in a key."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # by route, method, status
    refusals: Counter[str] = field(default_factory=Counter)  # of evaluations, by the problem's word
    evaluations: int = 0
    elements: int = 0
    damaged_pages: int = 0
    self_checks: Counter[str] = field(default_factory=Counter)  # passed, failed
    releases: Counter[str] = field(default_factory=Counter)  # that came while serving: taken, refused


class State:
    """One per process. `clock` returns seconds since 1970.

    `own_elements` are the blinded elements that the self-check is about to send. Each is uniformly random, known to
    this process alone and good for one request: to be evaluated outside of the ration, one would have to guess it.
    `self_check` returns the word for why the last self-check failed, None if it passed; where it is None, none is made.
    """

    def __init__(
        self, settings: Settings, shelf: Shelf | None, evaluator: Evaluator | None, clock: Callable[[], float]
    ) -> None:
        self.settings = settings
        self.shelf = shelf
        self.evaluator = evaluator
        self.clock = clock
        self.ration = Ration(settings.daily_cap, settings.address_cap, clock)
        self.counts = Counts()
        self.notices = Notices(clock, settings.maintenance, settings.incidents)
        self.own_elements: set[bytes] = set()
        self.self_check: Callable[[], str | None] | None = None
        self._retired: list[tuple[float, Shelf]] = []

    def shelf_of(self, number: str) -> Shelf | None:
        """Return the current release or one of before, if it has this number and is still served."""
        return next((one for one in self._served() if one.number == number), None)

    def serves(self, signed: bytes) -> bool:
        """Return whether this signed manifest is that of the current release, or of one of before."""
        return any(one.release.signed == signed for one in self._served())

    def page(self, shelf: Shelf, kind: str, number: int) -> bytes | None:
        """Return a page, or None if it is not what was published: then its release must not be used any more."""
        try:
            return shelf.release.page(kind, number)
        except (ReleaseError, OSError):
            self.counts.damaged_pages += 1
            if not shelf.damaged:
                shelf.damaged = True
                _LOG.error("a page is damaged or cannot be read; not ready until the release verifies again")
            return None

    def swap(self, shelf: Shelf) -> None:
        """Serve another release from now on; the buckets of the one before are served for the grace."""
        if self.shelf:
            self._retired.insert(0, (time.monotonic() + self.settings.release_grace, self.shelf))
        self.shelf = shelf

    def untimely(self, manifest: Manifest) -> str | None:
        """Return the word for why clients refuse a manifest now, or None if it is current."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        if now > manifest.valid_until:
            return "release_expired"
        return "release_not_yet_valid" if now < manifest.created - CLOCK_SKEW else None

    def forget_retired(self) -> None:
        """Close the releases whose grace is over."""
        now = time.monotonic()
        self._retired = [one for one in self._retired if now < one[0] or not one[1].close()]

    def close(self) -> None:
        """Close all releases."""
        for shelf in self._served():
            shelf.release.close()

    def _served(self) -> list[Shelf]:
        return [*([self.shelf] if self.shelf else []), *(shelf for _, shelf in self._retired)]

    def checked(self) -> list[str]:
        """Return what `reasons` looked at, in words."""
        looked_at = ["release_validity", "pages"] if self.shelf else []
        looked_at += ["evaluator_key"] if self.evaluator else []
        return looked_at + (["self_check"] if self.self_check else [])

    def reasons(self) -> list[str]:
        """Return why the service must not be used now, in words; none if it may be."""
        reasons = []
        if self.shelf:
            manifest = self.shelf.manifest
            if untimely := self.untimely(manifest):
                reasons.append(untimely)
            # A damaged page stays damaged until the release was opened anew, and so every page verified.
            if self.shelf.damaged:
                reasons.append("page_damaged")
            if self.evaluator and self.evaluator.pk != manifest.public_key:
                reasons.append("evaluator_key")
        if self.self_check and self.self_check():
            reasons.append("self_check")
        return reasons
