"""What a ledger must be before a release is made of it: else what was found before would not be found any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from breachcheck.errors import ReleaseError
from breachcheck.ingest.plan import OTHER_RECORD
from breachcheck.protocol.identifier import KINDS
from breachcheck.protocol.manifest import Dataset, Manifest
from breachcheck.store.ledger import Ledger
from breachcheck.store.run import Past


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
            "publish less by `ingest --allow-shrinking`",
        )


def refuse_unfinished(before: Manifest, ledger: Ledger, withdrawn: Collection[str]) -> None:
    """Refuse the ledger of a new epoch that lacks what the epoch before has and nobody withdrew.

    Raises:
        ReleaseError: `ledger_behind`.
    """
    standing = tuple(one for one in before.datasets if one.name not in withdrawn)
    lost = "; ".join(_lost(before.model_copy(update={"datasets": standing}), ledger))
    if lost:
        raise ReleaseError(
            "ledger_behind",
            f"the ledger lacks what the epoch before has: {lost}. What was read is kept: `ingest` the rest with "
            "--follows as well, and all is published together; or publish less by `ingest --allow-shrinking`",
        )


def refuse_forgetful(previous: Manifest, ledger: Ledger) -> None:
    """Refuse a ledger with fewer tombstones than the release before counted: who was erased would come back.

    Raises:
        ReleaseError: `erasures_missing`.
    """
    if ledger.erasures() < previous.erasures:
        raise ReleaseError(
            "erasures_missing",
            f"release {previous.release} left out {previous.erasures:,} erased identifiers, and the ledger has "
            f"{ledger.erasures():,} tombstones: `forget` them in it again, with --no-publish",
        )


def of_people(dataset: Dataset) -> Dataset:
    """Return a dataset as the public is told of it: a line about no person is none that could not be read."""
    rejected = dict(dataset.rows_rejected)
    others = rejected.pop(OTHER_RECORD, 0)
    return dataset.model_copy(update={"rows_read": dataset.rows_read - others, "rows_rejected": rejected})


def other_rules(past: Past) -> list[str]:
    """Return the kinds of which the identifiers of a run were made under other rules than this program's."""
    return sorted(kind for kind, digest in past.rules.items() if kind not in KINDS or KINDS[kind].digest != digest)


def refuse_other_rules(runs: Iterable[Past]) -> None:
    """Refuse results whose canonical forms may be others than this program's: no client of today would find them.

    Raises:
        ReleaseError: `ledger_rules`.
    """
    for past in runs:
        if kinds := other_rules(past):
            raise ReleaseError(
                "ledger_rules",
                f"{past.dataset.name} was read under other rules for {', '.join(kinds)}: give all its files again, or "
                "publish with the version that read them",
            )


def _lost(previous: Manifest, ledger: Ledger) -> Iterator[str]:
    if ledger.public_key == previous.public_key and ledger.released < previous.release:
        yield f"its last release is {ledger.released}"
    held = {dataset.name: dataset for dataset in map(of_people, ledger.datasets())}
    replaced = ledger.replaced_since(previous.release)
    for before in map(of_people, previous.datasets):  # an earlier version counted all lines
        if before.name in replaced:
            continue
        now = held.get(before.name)
        if now is None:
            yield f"it has no {before.name}"
        elif now.rows_read < before.rows_read or now.rows_accepted < before.rows_accepted:
            yield f"{before.name} had {before.rows_read:,} rows, of which {before.rows_accepted:,} were accepted"
        elif kinds := sorted(set(before.kinds) - set(now.kinds)):
            yield f"{before.name} had {', '.join(kinds)}"
