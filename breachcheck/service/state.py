"""What a running service holds: the release, the key, the ration, and what it has counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from breachcheck.config import Settings
from breachcheck.protocol.client import CLOCK_SKEW
from breachcheck.protocol.server import Evaluator
from breachcheck.service.answers import IMMUTABLE, OCTETS, REVALIDATED, Headers, length
from breachcheck.service.limits import Ration
from breachcheck.service.notices import Notices
from breachcheck.store.reader import Release


@dataclass(frozen=True, slots=True)
class Table:
    """One kind as it is served: how many buckets, how long all pages are, and the headers that every page has."""

    buckets: int
    size: int
    root: str
    headers: Headers


class Shelf:
    """A release with all that is the same for every request made ready. Replaced as a whole, never changed."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.manifest = release.manifest
        self.number = str(release.manifest.release)
        self.etag = f'"{sha256(release.signed).hexdigest()}"'
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


@dataclass(slots=True)
class Counts:
    """What is counted. No address, no bucket and nothing that was submitted stands in a key."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # by route, method, status
    refusals: Counter[str] = field(default_factory=Counter)  # of evaluations, by the problem's word
    evaluations: int = 0
    elements: int = 0
    damaged_pages: int = 0


class State:
    """One per process. `clock` returns seconds since 1970."""

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

    def checked(self) -> list[str]:
        """Return what `reasons` looked at, in words."""
        return (["release_validity", "pages"] if self.shelf else []) + (["evaluator_key"] if self.evaluator else [])

    def reasons(self) -> list[str]:
        """Return why the service must not be used now, in words; none if it may be."""
        reasons = []
        if self.shelf:
            manifest, now = self.shelf.manifest, datetime.fromtimestamp(self.clock(), UTC)
            if now > manifest.valid_until:
                reasons.append("release_expired")
            if now < manifest.created - CLOCK_SKEW:
                reasons.append("release_not_yet_valid")
            # A damaged page stays damaged: only a service begun anew, whose pages were all verified, is ready again.
            if self.counts.damaged_pages:
                reasons.append("page_damaged")
            if self.evaluator and self.evaluator.pk != manifest.public_key:
                reasons.append("evaluator_key")
        return reasons
