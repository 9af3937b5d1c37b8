"""Withdrawal: the next release without a dataset, and a word in public that it was taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from breachcheck.errors import InputError
from breachcheck.ingest.engine import Engine
from breachcheck.ingest.publish import Policy, publish, read_previous, refuse_less
from breachcheck.keys import StewardKeys
from breachcheck.protocol.manifest import Manifest, Withdrawal
from breachcheck.store.ledger import Ledger

_WANTED: Final = "wanted: LANGUAGE=TEXT, the language as in `en` or `ar-MA`"


def withdraw(
    dataset: str,
    reason: Mapping[str, str],
    ledger: Ledger,
    keys: StewardKeys,
    releases: Path,
    engine: Engine,
    policy: Policy,
    now: datetime,
    watch: Callable[[str, int, int], None],
) -> Manifest:
    """Take `dataset` out of the ledger, publish the next release, and return its manifest.

    Given again after it was killed, it goes on: until the new release stands, none can be published that lacks the
    dataset and does not say so.

    Raises:
        InputError: `dataset`: nothing of that name is published; `reason`: none is given, or its tag is no language.
        ReleaseError: what `publish` refuses.
    """
    previous = read_previous(releases, keys)
    if previous is None or all(one.name != dataset for one in previous.datasets):
        raise InputError("dataset", "the current release has no dataset of that name")
    if not reason or not all(reason.values()):
        raise InputError("reason", _WANTED)
    try:
        withdrawal = Withdrawal(name=dataset, date=f"{now.astimezone(UTC):%Y-%m-%d}", reason=dict(reason))
    except ValidationError:
        raise InputError("reason", _WANTED) from None
    refuse_less(previous, ledger, keys, policy, now)  # before the ledger forgets
    ledger.withdraw(dataset)
    ledger.gather()
    return publish(ledger, keys, previous.parameters, releases, engine, policy, now, [], watch, withdrawal)
