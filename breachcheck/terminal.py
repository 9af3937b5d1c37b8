"""What a person at a terminal sees: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, assert_never

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table
from rich.text import Text

from breachcheck.errors import InputError, ReleaseError
from breachcheck.exposure import Coverage, Exposed, NotFound, Unchecked, Undetermined, Verdict
from breachcheck.notices.plan import Window
from breachcheck.protocol.manifest import Manifest

if TYPE_CHECKING:
    from breachcheck.ingest.dry_run import Estimate
    from breachcheck.ingest.progress import Pace, Watch
    from breachcheck.ingest.report import Summary
    from breachcheck.ingest.tally import Tally
    from breachcheck.store.ledger import Erasure


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Raise an error of our own. Rich and Click would end the process with exit code 1, which says "exposed".

        Raises:
            ReleaseError: `output`.
        """
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or what is left in the buffer would fail once more at the end
        raise ReleaseError("output", "nobody reads the answer any more")


RESULTS: Final = _Terminal(highlight=False, soft_wrap=True, emoji=False)  # ":id:" may stand in a header
NOTES: Final = _Terminal(highlight=False, soft_wrap=True, emoji=False, stderr=True)
_PLAIN_EVERY: Final = 2.0  # seconds between plain lines of progress
_UNITS: Final = {"read": "octets", "evaluate": "identifiers", "publish": "entries"}


class Progress(StrEnum):
    """How it is told how far an ingest is."""

    WORDS = "words"
    JSON = "json"
    NONE = "none"


@contextmanager
def watching(how: Progress = Progress.WORDS) -> Iterator[Watch]:
    """Show progress: bars on a terminal, elsewhere a plain line now and then; or lines of JSON; or none."""
    if how is Progress.NONE:
        yield _unheard
    elif how is Progress.JSON:
        yield _Lines(_json_line)
    elif NOTES.is_terminal:
        columns = (
            TextColumn("{task.description:<9}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Bars(*columns, console=NOTES) as bars:
            yield _Bars(bars)
    else:
        yield _Lines(_plain_line)


def _unheard(stage: str, done: int, total: int, rows: int = 0, /) -> None:
    pass


def _note(stage: str, pace: Pace, done: int, total: int, rows: int) -> str:
    from breachcheck.ingest.progress import duration

    words = []
    if rows:
        words.append(f"{rows:,} rows")
    if stage == "evaluate":
        words.append(f"{done:,} of {total:,} distinct identifiers, {pace.rate(done):,.0f} evaluations a second")
    left = pace.left(done, total)
    if left is not None and done < total:
        words.append(f"{duration(left)} left to {stage}")
    return ", ".join(words)


def _plain_line(stage: str, pace: Pace, done: int, total: int, rows: int) -> str:
    note = _note(stage, pace, done, total, rows)
    share = done * 100 // total if total else 100  # to publish what nobody is in any more takes nothing
    return f"{stage}: {share} %{f', {note}' if note else ''}"


def _json_line(stage: str, pace: Pace, done: int, total: int, rows: int) -> str:
    left = pace.left(done, total)
    content = {
        "stage": stage,
        "done": done,
        "total": total,
        "unit": _UNITS.get(stage),
        "rows": rows if stage == "read" else None,
        "rate": round(pace.rate(done), 1),
        "seconds_left": None if left is None else round(left, 1),
    }
    return json.dumps(content)


class _Bars:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, tuple[TaskID, Pace]] = {}

    def __call__(self, stage: str, done: int, total: int, rows: int = 0, /) -> None:
        from breachcheck.ingest.progress import Pace

        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, note=""), Pace(done)
        task, pace = self._tasks[stage]
        pace.at(done)
        self._bars.update(task, completed=done, total=total, note=_note(stage, pace, done, total, rows))


class _Lines:
    def __init__(self, line: Callable[[str, Pace, int, int, int], str]) -> None:
        self._line = line
        self._paces: dict[str, Pace] = {}
        self._said = 0.0

    def __call__(self, stage: str, done: int, total: int, rows: int = 0, /) -> None:
        from breachcheck.ingest.progress import Pace

        pace = self._paces.setdefault(stage, Pace(done))
        pace.at(done)
        if time.monotonic() - self._said < _PLAIN_EVERY and done < total:
            return
        self._said = time.monotonic()
        NOTES.print(self._line(stage, pace, done, total, rows), markup=False)


def verdict_json(verdict: Verdict | InputError) -> str:
    """Return the verdict as one line of JSON."""
    content: dict[str, Any] = {"verdict": "", "reason": None, "release": None, "breaches": [], "checked": []}
    match verdict:
        case Exposed():
            content |= {"verdict": "exposed", "release": verdict.release, "checked": verdict.checked}
            content["breaches"] = [
                {"dataset": one.dataset, "fields": one.fields, "employer": one.employer, "shared": one.shared}
                for one in verdict.exposures
            ]
        case NotFound():
            content |= {"verdict": "not_found", "release": verdict.release, "checked": verdict.checked}
        case Undetermined():
            content |= {"verdict": "undetermined", "reason": verdict.reason, "retry_after": verdict.retry_after}
            content["until"] = f"{verdict.until:%Y-%m-%dT%H:%M:%SZ}" if verdict.until else None
        case InputError():
            content |= {"verdict": "invalid", "reason": verdict.reason}
        case _:
            assert_never(verdict)
    content["unchecked"] = content["coverage"] = []
    if isinstance(verdict, Exposed | NotFound):
        content["coverage"] = [asdict(one) for one in verdict.coverage]
        content["unchecked"] = [{"dataset": one.dataset, "kinds": one.kinds} for one in verdict.unchecked]
    return json.dumps(content)


def print_verdict(verdict: Verdict) -> None:
    """Print the verdict in words."""
    match verdict:
        case Exposed():
            RESULTS.print("Exposed.")
            for one in verdict.exposures:
                RESULTS.print(f"  {one.dataset}: {', '.join(one.fields)}", markup=False)
                if one.employer:
                    RESULTS.print("    It stands there as an employer's contact.")
                if one.shared:
                    RESULTS.print("    Several people have it: these are the fields of its own rows alone.")
            RESULTS.print("These fields appear in the file beside this identifier. That does not say they were true.")
            _print_searched_in_vain(verdict)
            _print_unchecked(verdict.unchecked)
        case NotFound():
            RESULTS.print(f"Not found in: {', '.join(verdict.checked)} (release {verdict.release}).", markup=False)
            _print_unread(verdict.coverage)
            RESULTS.print("It may still be in files that were not checked.")
            _print_unchecked(verdict.unchecked)
        case Undetermined():
            RESULTS.print("We could not check. This is not a result.")
            RESULTS.print(f"  {verdict.reason.meaning} ({verdict.reason.value})", markup=False)
            if verdict.until is not None:
                RESULTS.print(f"  It lasts until {verdict.until:%Y-%m-%d %H:%M} UTC.")
            elif verdict.retry_after:
                RESULTS.print(f"  Try again in {verdict.retry_after} seconds.")
        case _:
            assert_never(verdict)


def _print_searched_in_vain(verdict: Exposed) -> None:
    found = {one.dataset for one in verdict.exposures}
    if others := [name for name in verdict.checked if name not in found]:
        RESULTS.print(f"Also searched, and not found there: {', '.join(others)}.", markup=False)
        _print_unread(tuple(one for one in verdict.coverage if one.dataset in others))


def _print_unread(coverage: tuple[Coverage, ...]) -> None:
    for one in coverage:
        unread = [(one.rows_unread, "rows"), (one.identifiers_rejected, "cells of this kind")]
        if parts := [f"{count:,} {what}" for count, what in unread if count]:
            RESULTS.print(f"  {one.dataset}: {' and '.join(parts)} could not be read.", markup=False)


def _print_unchecked(unchecked: tuple[Unchecked, ...]) -> None:
    for one in unchecked:
        how = f"It can be asked by {', '.join(one.kinds)}." if one.kinds else "It cannot be asked by any kind."
        RESULTS.print(f"Not checked: {one.dataset}. {how}", markup=False)


def print_windows(windows: Iterable[Window], now: datetime) -> None:
    """Print windows of maintenance, one a line: id, from, until, and what it is now."""
    for window in windows:
        if window.cancelled:
            what = "cancelled"
        elif window.holds(now):
            what = "under way"
        else:
            what = "over" if window.ends <= now else "planned"
        times = f"{window.begins:%Y-%m-%dT%H:%M:%SZ} {window.ends:%Y-%m-%dT%H:%M:%SZ}"
        RESULTS.print(f"{window.name} {times} {what}", markup=False)


def print_report(report: Summary) -> None:
    """Print what an ingest counted: small counts as such only."""
    from breachcheck.ingest.progress import duration

    if report.skipped:
        RESULTS.print(f"{report.skipped} of the files were in the ledger already, read with this mapping")
    rows = _table("rows", "")
    rows.add_row("read", str(report.rows.read))
    rows.add_row("accepted", str(report.rows.accepted))
    for reason, count in report.rows.rejected.items():
        rows.add_row(f"rejected: {reason}", str(count))
    if report.rows.others.high:
        rows.add_row("beside them: lines of another sort", str(report.rows.others))
    for kind, reasons in report.refused.items():
        for reason, count in reasons.items():
            rows.add_row(f"{kind} rejected: {reason}", str(count))
    fields = _table("field", "people", "identifiers")
    for field in report.fields:
        fields.add_row(field.name, str(field.people), str(field.identifiers))
    fields.add_row("any", str(report.with_people), str(report.with_identifiers))
    people = _table("in the ledger", "")
    people.add_row("people told apart", str(report.people))
    people.add_row("identifiers that several people share", str(report.shared))
    people.add_row("placeholders that were cut", str(report.hubs))
    people.add_row("groups too large to be one person", str(report.crowds))
    kinds = _table("kind", "evaluated", "in ledger", "buckets", "entries", "members: least", "median", "most")
    for one in report.kinds:
        kinds.add_row(
            one.name,
            *map(str, (one.evaluated, one.held, f"{one.buckets:,}", f"{one.entries:,}")),
            *map(str, (one.least, one.median, one.most)),
        )
    for table in (rows, fields, people, kinds):
        RESULTS.print(table)
        RESULTS.print()
    for name, value in report.parameters.items():
        RESULTS.print(f"{name}: {value}", markup=False)
    stages = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in report.seconds.items())
    RESULTS.print(f"duration{' since it went on' if report.resumed else ''}: {stages}")
    RESULTS.print(f"{report.evaluated} distinct identifiers evaluated; release {report.release} is published")


def print_estimate(expected: Estimate) -> None:
    """Print what an ingest would take."""
    from breachcheck.ingest.progress import duration

    seen = f"{expected.sampled:.0%} of the rows worked on" + (
        ""
        if expected.walked >= 1
        else f", {expected.walked:.0%} of the files walked through, the rest taken to be alike"
    )
    RESULTS.print(f"{expected.rows:,} rows, about {expected.identifiers:,} distinct identifiers ({seen})")
    RESULTS.print(
        f"this machine: {expected.rows_a_second:,.0f} rows a second, "
        f"{expected.evaluations_a_second_a_core:,.1f} evaluations a second a core, {expected.workers} workers"
    )
    stages = _table("stage", "about")
    for stage, seconds in expected.seconds.items():
        stages.add_row(stage, duration(seconds))
    stages.add_row("all", duration(sum(expected.seconds.values())))
    RESULTS.print(stages)
    RESULTS.print(f"memory: about {expected.memory / 2**20:,.0f} MiB; disk: about {expected.disk / 2**20:,.0f} MiB")
    RESULTS.print("That is of a machine that has nothing else to do; files that the ledger holds already count as new.")
    RESULTS.print("Nothing was written.")


def note(words: str, as_json: bool) -> None:
    """Say something beside the result: in words, or as a line of JSON."""
    NOTES.print(json.dumps({"note": words}, ensure_ascii=False) if as_json else words, markup=False)


def print_json(content: object) -> None:
    """Print one line of JSON."""
    RESULTS.print(json.dumps(content, ensure_ascii=False), markup=False)


def _table(first: str, *counts: str) -> Table:
    # Names are folded, never cut: "fr_social…" could be several.
    columns = (Column(count, justify="right") for count in counts)
    return Table(Column(first, overflow="fold"), *columns, box=None, pad_edge=False)


def print_tally(counted: Tally) -> None:
    """Print what stands in the columns of some files: small counts as such only, and never a value."""
    from breachcheck.ingest.report import told, total

    names = (Column(name, overflow="fold") for name in ("column", "is"))
    table = Table(*names, "cells", "absent", "passed", "refused", box=None, pad_edge=False)
    for column in counted.columns.values():
        cells, absent, passed, refused = column.told()
        table.add_row(
            Text(" + ".join(column.headers)),
            ", ".join(column.means),
            cells,
            absent,
            ", ".join(passed.values()),
            ", ".join(f"{count} {reason}" for reason, count in refused.items()),
        )
    RESULTS.print(table)
    RESULTS.print()
    rejected = {reason: told(count) for reason, count in sorted(counted.rejected.items())}
    accepted = told(counted.rows - counted.rejected.total())  # the cells of a column
    RESULTS.print(f"rows: {total([accepted, *rejected.values()])}")
    for reason, shown in rejected.items():
        RESULTS.print(f"rows rejected: {reason}: {shown}")


def print_erasure(done: Erasure, total: int) -> None:
    """Print what became of identifiers that were to be erased."""
    RESULTS.print(f"erased: {done.erased:,}; not in the ledger: {done.absent:,}; erased before: {done.before:,}")
    RESULTS.print(f"kept out from now on: {total:,}")


def print_manifest(manifest: Manifest) -> None:
    """Print what a release is and promises."""
    RESULTS.print(
        f"release {manifest.release}, created {manifest.created:%Y-%m-%d %H:%M} UTC, "
        f"valid until {manifest.valid_until:%Y-%m-%d}, parameters {manifest.slow_hash.name}"
    )
    kinds = Table(
        "kind", "buckets", "entries a bucket", "members at least", "numbers at least", box=None, pad_edge=False
    )
    for one in manifest.kinds:
        kinds.add_row(
            one.kind,
            f"{one.layout.buckets:,}",
            f"{one.entries_per_bucket:,}",
            f"{one.members_min:,}",
            f"{one.population_min:,}",
        )
    RESULTS.print(kinds)
    for dataset in manifest.datasets:
        RESULTS.print(f"dataset {dataset.name}: {', '.join(dataset.fields)}", markup=False)
    for gone in manifest.withdrawn:
        RESULTS.print(f"withdrawn on {gone.date}: {gone.name}", markup=False)
    RESULTS.print(f"erasures: {manifest.erasures:,}")
