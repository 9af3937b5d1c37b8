"""Renewal: the current release, signed anew for a while longer. Its number and every page stay what they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from breachcheck.errors import ReleaseError
from breachcheck.keys import StewardKeys
from breachcheck.protocol.manifest import Manifest, sign
from breachcheck.store import reader
from breachcheck.store.durable import replace


def renew(keys: StewardKeys, releases: Path, valid_for: timedelta, now: datetime) -> Manifest:
    """Sign the current release anew, valid from `now` for `valid_for`, and return its manifest.

    Every page is verified first: what is damaged is not signed again. Whoever reads meanwhile finds the old manifest or
    the new one.

    Raises:
        ReleaseError: `keys`: the release was made with others; `clock`: it was signed later than `now`; or what
            `store.reader` finds wrong.
    """
    folder = reader.current(releases)
    with reader.open_folder(folder, keys.publisher_key) as release:
        manifest = release.manifest
    if manifest.public_key != keys.evaluator.pk:
        raise ReleaseError("keys", "the release was made with another evaluator key")
    created = now.astimezone(UTC).replace(microsecond=0)
    if created < manifest.created:
        raise ReleaseError("clock", "the release was signed later than now: the clock is behind, or was ahead")
    renewed = manifest.model_copy(update={"created": created, "valid_until": created + valid_for})
    replace(folder / reader.MANIFEST, sign(renewed, keys.publisher))
    return renewed
