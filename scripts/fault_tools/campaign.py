"""What every campaign is given, what it hands back, and the table that is printed of it.

An outcome is a word: "refused: mismatch", "undetermined: timeout". A wrong one is an answer that is false, a release
that is half published, or an error that nobody foresaw: one of them fails the whole run.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

T = TypeVar("T")


class MissingError(RuntimeError):
    """A tool is not installed. The message names it and its Debian package."""


@dataclass(frozen=True)
class Plan:
    """Where a campaign may write, from which seed it draws, how many points at most, and whom it tells how far it is.

    Without `points` a campaign makes all it has, or as many as the module says.
    """

    folder: Path
    seed: int
    points: int | None
    say: Callable[[str], None]

    def random(self, name: str) -> random.Random:
        """Return the draws of one part of a campaign: the same for the same seed, whatever else runs."""
        return random.Random(f"{self.seed} {name}")

    def some(self, name: str, items: Sequence[T]) -> list[T]:
        """Return all items, or `points` of them as the seed draws, in their order."""
        if self.points is None or self.points >= len(items):
            return list(items)
        drawn = self.random(name).sample(range(len(items)), self.points)
        return [items[index] for index in sorted(drawn)]


@dataclass
class Tally:
    """The outcomes of one campaign by what was done, and each wrong one in words."""

    title: str
    counts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: list[str] = field(default_factory=list)

    def count(self, what: str, outcome: str, *, wrong: bool = False) -> None:
        """Add a point."""
        self.counts[what][outcome] += 1
        if wrong:
            self.wrong.append(f"{what}: {outcome}")

    @property
    def points(self) -> int:
        """How many points there were."""
        return sum(sum(outcomes.values()) for outcomes in self.counts.values())

    def print(self, console: Console, seconds: float) -> None:
        """Print the table, and what was wrong."""
        table = Table(title=self.title, title_justify="left", show_lines=False)
        for heading in ("what was done", "outcome"):
            table.add_column(heading)
        table.add_column("points", justify="right")
        for what, outcomes in sorted(self.counts.items()):
            for number, (outcome, points) in enumerate(sorted(outcomes.items(), key=lambda one: (-one[1], one[0]))):
                table.add_row("" if number else what, outcome, f"{points:,}")
        console.print(table)
        console.print(f"{self.title}: {self.points:,} points, {len(self.wrong)} wrong, {seconds:.0f} s")
        for line in self.wrong:
            console.print(f"WRONG {line}", markup=False)


Campaign = Callable[[Plan], Tally]
