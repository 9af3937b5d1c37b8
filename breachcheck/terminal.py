"""What a person at a terminal sees: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, assert_never

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from breachcheck.errors import InputError, ReleaseError
from breachcheck.exposure import Coverage, Exposed, NotFound, Unchecked, Undetermined, Verdict
from breachcheck.notices.plan import Window
from breachcheck.protocol.manifest import Manifest

if TYPE_CHECKING:
    from breachcheck.ingest.pipeline import Report, Watch
    from breachcheck.ingest.tally import Tally


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Raise an error of our own. Rich and Click would end the process with exit code 1, which says "exposed".

        Raises:
            ReleaseError: `output`.
        """
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or what is left in the buffer would fail once more at the end
        raise ReleaseError("output", "nobody reads the answer any more")


RESULTS: Final = _Terminal(highlight=False, soft_wrap=True)
NOTES: Final = _Terminal(highlight=False, soft_wrap=True, stderr=True)
_PLAIN_EVERY: Final = 2.0  # seconds between plain lines of progress


@contextmanager
def watching() -> Iterator[Watch]:
    """Show progress: bars on a terminal, a plain line now and then elsewhere."""
    if NOTES.is_terminal:
        columns = (
            TextColumn("{task.description:<9}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        with Progress(*columns, console=NOTES) as progress:
            yield _Bars(progress)
    else:
        yield _Lines()


class _Pace:
    """How many units a second of a stage, since it began in this process."""

    def __init__(self, done: int) -> None:
        self._first, self._began = done, time.monotonic()

    def rate(self, done: int) -> float:
        return (done - self._first) / max(time.monotonic() - self._began, 1e-3)


def _note(stage: str, done: int, note: str, pace: _Pace) -> str:
    return f"{done:,} identifiers, {pace.rate(done):,.0f}/s" if stage == "evaluate" else note


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, tuple[TaskID, _Pace]] = {}

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, note=""), _Pace(done)
        task, pace = self._tasks[stage]
        self._progress.update(task, completed=done, total=total, note=_note(stage, done, note, pace))


class _Lines:
    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}
        self._said = 0.0

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        pace = self._paces.setdefault(stage, _Pace(done))
        if time.monotonic() - self._said < _PLAIN_EVERY and done < total:
            return
        self._said = time.monotonic()
        rate = pace.rate(done)
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        words = _note(stage, done, note, pace)
        NOTES.print(f"{stage}: {done * 100 // max(total, 1)} %{f', {words}' if words else ''}{left}")


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


def print_report(report: Report) -> None:
    """Print what an ingest counted."""
    dataset = report.dataset
    if report.skipped:
        RESULTS.print(f"{report.skipped} of the files were in the ledger already, read with this mapping")
    table = Table("rows", "", box=None, pad_edge=False)
    table.add_row("read", f"{dataset.rows_read:,}")
    table.add_row("accepted", f"{dataset.rows_accepted:,}")
    _add_reasons(table, "rejected", dataset.rows_rejected)
    for kind, reasons in dataset.identifiers_rejected.items():
        _add_reasons(table, f"{kind} rejected", reasons)
    RESULTS.print(table)
    if report.identifiers:
        RESULTS.print()
        kinds = Table("kind", "identifiers, evaluated once each", box=None, pad_edge=False)
        for kind, count in report.identifiers.items():
            kinds.add_row(kind, f"{count:,}")
        RESULTS.print(kinds)
    for name in report.unfinished:
        NOTES.print(f"{name} is of a run that did not end: give its command again, or remove it", markup=False)
    RESULTS.print()
    print_manifest(report.manifest)


def _add_reasons(table: Table, what: str, reasons: Mapping[str, int]) -> None:
    for reason, count in reasons.items():
        table.add_row(f"{what}: {reason}", f"{count:,}")


def print_tally(counted: Tally) -> None:
    """Print what stands in the columns of some files: small counts as such only, and never a value."""
    from breachcheck.ingest.tally import coarse

    table = Table("column", "is", "cells", "absent", "passed", "refused", box=None, pad_edge=False)
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
    RESULTS.print(f"rows: {coarse(counted.rows)}")
    for reason, count in sorted(counted.rejected.items()):
        RESULTS.print(f"rows rejected: {reason}: {coarse(count)}")


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
