"""What the steward is told of an ingest, in a terminal, to a machine and as a page: counts, small ones only as such.

Few people may stand behind a small count, so one from 1 to 9 is told as "<10". It cannot be computed from others
either: a total over such counts is told as what it is at least and at most, from what is told of its parts; a part of a
whole that leaves a small rest is told as a range too; and what is drawn is drawn from what is told. Numbers of buckets,
files and seconds are no counts of people and are told as they are.

The signed manifest keeps exact counts of rows and refused values: they are numbers, of which those of several runs are
added up, and which have to add up to the rows read for whoever checks it. It has no small count of people.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from breachcheck.exposure import DataClass
from breachcheck.ingest.completeness import of_people
from breachcheck.ingest.plan import OTHER_RECORD
from breachcheck.ingest.tally import SMALL

if TYPE_CHECKING:
    from breachcheck.ingest.pipeline import Report

_MAX_BARS: Final = 40  # of a histogram


@dataclass(frozen=True, slots=True)
class Count:
    """A count as it is told: from `low` to `high`, exact where they are equal."""

    low: int
    high: int

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:,}"
        return f"<{SMALL}" if (self.low, self.high) == (1, SMALL - 1) else f"{self.low:,} to {self.high:,}"

    def json(self) -> int | dict[str, int]:
        """Return the number, or {"from": ..., "to": ...}."""
        return self.low if self.low == self.high else {"from": self.low, "to": self.high}


def told(count: int) -> Count:
    """Return a count as it is told: one from 1 to 9 as just that."""
    return Count(1, SMALL - 1) if 0 < count < SMALL else Count(count, count)


def total(parts: Iterable[Count]) -> Count:
    """Return a total as it is told beside its parts."""
    counts = list(parts)
    return Count(sum(one.low for one in counts), sum(one.high for one in counts))


def part(count: int, whole: int, beside: Count) -> Count:
    """Return a count as it is told beside that of the whole, told as `beside`, without telling a small rest."""
    if count == whole:
        return beside
    if count >= SMALL and count > beside.low - SMALL:
        return Count(max(1, beside.low - SMALL + 1), beside.high)
    return told(count)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the dataset, of this and earlier runs; the rejected ones by reason.

    `others` are lines beside those read: the mapping says that they are of another sort, about no person.
    """

    read: Count
    accepted: Count
    rejected: Mapping[str, Count]
    others: Count


@dataclass(frozen=True, slots=True)
class Field:
    """How many people, and how many identifiers, a field of the dataset was exposed for."""

    name: str
    people: Count
    identifiers: Count


@dataclass(frozen=True, slots=True)
class Bar:
    """How many buckets have from `start` to `end` - 1 members."""

    start: int
    end: int
    buckets: int


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the release: identifiers evaluated by this run and held by the ledger, and its buckets.

    `least`, `median` and `most` are members of a bucket, `bars` their distribution.
    """

    name: str
    evaluated: Count
    held: Count
    buckets: int
    entries: int
    least: Count
    median: Count
    most: Count
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """All that is told. `people` and what follows it are of the whole ledger, `fields` of the dataset.

    `with_people` and `with_identifiers` are those who stand in the dataset. `refused` are identifiers by kind and
    reason.
    """

    dataset: str
    release: int
    resumed: bool
    skipped: int
    rows: Rows
    refused: Mapping[str, Mapping[str, Count]]
    evaluated: Count
    people: Count
    hubs: Count
    crowds: Count
    shared: Count
    with_people: Count
    with_identifiers: Count
    fields: tuple[Field, ...]
    kinds: tuple[Kind, ...]
    seconds: Mapping[str, float]
    parameters: Mapping[str, str]
    k_members: int

    def json(self) -> dict[str, Any]:
        """Return it in the types of JSON."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def summarize(report: Report) -> Summary:
    """Return what is told of an ingest."""
    dataset, manifest, people = report.dataset, report.manifest, report.people
    accepted = told(dataset.rows_accepted)
    rejected = _all_told(of_people(dataset).rows_rejected)
    others = told(dataset.rows_rejected.get(OTHER_RECORD, 0))
    masks = people.fields.get(dataset.name, {})
    whole, identifiers = sum(masks.values()), sum(report.fields.values())
    held = {kind: told(sum(members)) for kind, members in report.members.items()}
    everything, all_held = sum(map(sum, report.members.values())), total(held.values())
    with_people = part(whole, people.people, told(people.people))
    with_identifiers = _of_people(part(identifiers, everything, all_held), with_people, all_held)
    fields = []
    for one in DataClass:
        if one.value in dataset.fields:
            who = part(_with(masks, one.bit), whole, with_people)
            shown = part(_with(report.fields, one.bit), identifiers, with_identifiers)
            fields.append(Field(one.value, who, _of_people(shown, who, with_identifiers)))
    kinds = []
    for table in manifest.kinds:
        members = sorted(report.members[table.kind])
        kinds.append(
            Kind(
                name=table.kind,
                evaluated=part(report.identifiers.get(table.kind, 0), sum(members), held[table.kind]),
                held=held[table.kind],
                buckets=len(members),
                entries=table.entries_per_bucket,
                least=told(members[0]),
                median=told(members[len(members) // 2]),
                most=told(members[-1]),
                bars=_bars(members, report.policy.k_members),
            )
        )
    slow_hash, policy = manifest.slow_hash, report.policy
    return Summary(
        dataset=dataset.name,
        release=manifest.release,
        resumed=report.resumed,
        skipped=report.skipped,
        rows=Rows(total([accepted, *rejected.values()]), accepted, rejected, others),
        refused={kind: _all_told(reasons) for kind, reasons in dataset.identifiers_rejected.items()},
        evaluated=total(kind.evaluated for kind in kinds),
        people=told(people.people),
        hubs=told(people.hubs),
        crowds=told(people.crowds),
        shared=part(people.shared, everything, all_held),
        with_people=with_people,
        with_identifiers=with_identifiers,
        fields=tuple(fields),
        kinds=tuple(kinds),
        seconds={stage: round(seconds, 1) for stage, seconds in report.seconds.items()},
        parameters={
            "slow hash": f"{slow_hash.name}: Argon2id, {slow_hash.memory_kib:,} KiB, passes: {slow_hash.passes}",
            "identifiers a bucket, at least": f"{policy.k_members:,}",
            "assigned numbers a bucket, at least": f"{policy.k_population:,}",
            "prefixes": "may grow" if policy.grow else "may not be longer than in the release before",
            "created": f"{manifest.created:%Y-%m-%d %H:%M} UTC",
            "valid until": f"{manifest.valid_until:%Y-%m-%d}",
        },
        k_members=policy.k_members,
    )


def page(summary: Summary) -> str:
    """Return the summary as one HTML page that asks for nothing else: no script, and only its own style."""
    style = resources.files(__package__).joinpath("templates", "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        loader=PackageLoader("breachcheck.ingest"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        report=summary,
        people=[(one.name, one.people.high, str(one.people)) for one in summary.fields],
        seconds=[(stage, seconds, f"{seconds:,.1f} s") for stage, seconds in summary.seconds.items()],
        style=Markup(style),  # noqa: S704  this package's own, without a < in it
        digest=digest,
    )


def write(path: Path, summary: Summary) -> None:
    """Write the page to a file, in place of one that is there."""
    path.write_text(page(summary), encoding="utf-8", newline="\n")


def _all_told(counts: Mapping[str, int]) -> dict[str, Count]:
    return {reason: told(count) for reason, count in sorted(counts.items()) if count}


def _of_people(identifiers: Count, people: Count, whole: Count) -> Count:
    """Return a count of identifiers beside that of their people: of people who have as many each, it tells that too."""
    if people.low == people.high or identifiers == whole:
        return identifiers
    return Count(people.low, whole.high)


def _with(masks: Mapping[int, int], bit: int) -> int:
    return sum(count for mask, count in masks.items() if mask & bit)


def _bars(members: Sequence[int], k_members: int) -> tuple[Bar, ...]:
    """Return a histogram from 0 to beyond `k_members` and the fullest; no bar is narrower than what is small."""
    step = SMALL * -(-(max(members[-1], k_members) + 1) // (SMALL * _MAX_BARS))
    counts = [0] * (max(members[-1], k_members) // step + 1)
    for count in members:
        counts[count // step] += 1
    return tuple(Bar(place * step, (place + 1) * step, buckets) for place, buckets in enumerate(counts))


def _plain(value: Any) -> Any:
    if isinstance(value, Count):
        return value.json()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Rows | Field | Kind | Bar):
        return {name: _plain(getattr(value, name)) for name in value.__slots__}
    return value
