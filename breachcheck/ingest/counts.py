"""What became of the rows that were read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Counts:
    """What became of the rows. Each row read is accepted, or rejected for one reason."""

    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: Counter[str] = field(default_factory=Counter)
    identifiers_rejected: dict[str, Counter[str]] = field(default_factory=dict)
    fields: int = 0
    kinds: set[str] = field(default_factory=set)

    def reject(self, kind: str, reason: str, times: int = 1) -> None:
        """Count identifiers of `kind` that were rejected."""
        self.identifiers_rejected.setdefault(kind, Counter())[reason] += times

    def add(self, other: Counts) -> None:
        """Add another's counts to these."""
        self.rows_read += other.rows_read
        self.rows_accepted += other.rows_accepted
        self.rows_rejected += other.rows_rejected
        for kind, reasons in other.identifiers_rejected.items():
            self.identifiers_rejected.setdefault(kind, Counter()).update(reasons)
        self.fields |= other.fields
        self.kinds |= other.kinds

    def state(self) -> list[Any]:
        """Return what `restored` makes these counts of, in the types of JSON."""
        rows = [self.rows_read, self.rows_accepted, self.rows_rejected]
        return [*rows, self.identifiers_rejected, self.fields, sorted(self.kinds)]

    @classmethod
    def restored(cls, state: list[Any]) -> Counts:
        """Return the counts whose `state` this is."""
        read, accepted, rejected, refused, fields, kinds = state
        refused = {kind: Counter(reasons) for kind, reasons in refused.items()}
        return cls(read, accepted, Counter(rejected), refused, fields, set(kinds))
