"""A release holds what the one before it held: a ledger that lacks a part of that would make false "not found"s of it."""

from __future__ import annotations

from collections.abc import Iterator

from breachcheck.errors import ReleaseError
from breachcheck.protocol.manifest import Manifest
from breachcheck.store.ledger import Ledger


def refuse_behind(previous: Manifest, ledger: Ledger) -> None:
    """Refuse a ledger that is not, or is an older copy of, the one from which the release before was made.

    A dataset whose results were replaced since then, by a corrected mapping, may have shrunk.

    Raises:
        ReleaseError: `ledger_behind`.
    """
    lost = "; ".join(_lost(previous, ledger))
    if lost:
        raise ReleaseError(
            "ledger_behind",
            f"the ledger lacks what release {previous.release} was made of: {lost}. Bring back the right ledger, or "
            "publish less by --allow-shrinking",
        )


def _lost(previous: Manifest, ledger: Ledger) -> Iterator[str]:
    if ledger.public_key == previous.public_key and ledger.released < previous.release:
        yield f"its last release is {ledger.released}"
    held = {dataset.name: dataset for dataset in ledger.datasets()}
    replaced = ledger.replaced_since(previous.release)
    for before in previous.datasets:
        if before.name in replaced:
            continue
        now = held.get(before.name)
        if now is None:
            yield f"it has no {before.name}"
        elif now.rows_read < before.rows_read or now.rows_accepted < before.rows_accepted:
            yield f"{before.name} had {before.rows_read:,} rows, of which {before.rows_accepted:,} were accepted"
        elif kinds := sorted(set(before.kinds) - set(now.kinds)):
            yield f"{before.name} had {', '.join(kinds)}"
