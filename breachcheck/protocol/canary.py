"""Canaries: invented identifiers that every release must answer in a known way (PROTOCOL.md §8.4).

Their canonical forms hold spaces, which no canonical form of a person's identifier does: `identify` refuses them in
every kind, so that none can be typed and none can be anybody's.
"""

from __future__ import annotations

from breachcheck.protocol.identifier import Identifier


def member(kind: str, dataset: str, release: int) -> Identifier:
    """Return the canary that must be found in `dataset`, and nowhere else, when asked by `kind`."""
    return Identifier(kind, f"canary {dataset} {release}")


def absent(kind: str, release: int) -> Identifier:
    """Return the canary that must not be found in any dataset when asked by `kind`."""
    return Identifier(kind, f"absent {release}")
