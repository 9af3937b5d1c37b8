"""What the steward does, offline: a leak for practice, ingest, erasure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from breachcheck.cli import prompt
from breachcheck.cli.options import (
    Keys,
    KMembers,
    KPopulation,
    Leaked,
    LedgerFile,
    MappingFile,
    Parameters,
    Releases,
    ValidDays,
)
from breachcheck.errors import InputError, ReleaseError

if TYPE_CHECKING:
    from breachcheck.ingest.engine import LocalEngine
    from breachcheck.ingest.spark import SparkEngine


def synth(
    out: Annotated[Path, typer.Option("--out", help="The leak to write, CSV; with --torture an empty folder.")],
    answers: Annotated[Path, typer.Option("--answers", help="The truth to write, JSON lines.")],
    people: Annotated[
        int | None, typer.Option("--people", min=1, help="How many people stand in the leak.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed writes the same files.")] = 1,
    months: Annotated[
        int | None,
        typer.Option("--months", min=1, help="Everybody stands in so many months.  [default: one to twelve]"),
    ] = None,
    steady: Annotated[
        bool, typer.Option("--steady", help="Every month repeats the first, as a database dump does.")
    ] = False,
    second: Annotated[
        Path | None, typer.Option("--second", help="Another file of the leak to write, of the mapping bank.")
    ] = None,
    torture: Annotated[
        bool, typer.Option("--torture", help="Fill a folder with small files that have every fault there is.")
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option("--rejects", help="With --torture: which rows are rejected why.  [default: beside the answers]"),
    ] = None,
) -> None:
    """Write a synthetic leak of the real shape, dirt included, and the truth about it."""
    from breachcheck.synth import generate
    from breachcheck.synth.torture import write_torture
    from breachcheck.terminal import NOTES

    if torture:
        done = write_torture(out, answers, rejects or answers.with_suffix(".rejects.jsonl"), seed)
        NOTES.print(f"{done.files} files: {done.accepted:,} rows to read, {done.rejected:,} to reject")
        return
    if people is None:
        raise typer.BadParameter("is needed", param_hint="--people")
    report = generate(people, seed, out, answers, months=months, steady=steady, second=second)
    NOTES.print(f"{report.rows:,} rows about {report.people:,} people")


def ingest(
    files: Leaked,
    mapping: MappingFile,
    dataset: Annotated[str, typer.Option("--dataset", envvar="BREACHCHECK_DATASET", help="The breach's short name.")],
    keys: Keys,
    releases: Releases,
    parameters: Parameters = "standard",
    about: Annotated[
        Path | None,
        typer.Option("--about", envvar="BREACHCHECK_ABOUT", help="TOML: title, date and notes, by language."),
    ] = None,
    ledger: LedgerFile = None,
    valid_days: ValidDays = 90,
    k_members: KMembers = 100,
    k_population: KPopulation = 1000,
    grow: Annotated[bool, typer.Option("--grow", help="Let prefixes be longer than in the last release.")] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            "--rejects", envvar="BREACHCHECK_REJECTS", help="Write which rows were rejected, and why, to this CSV file."
        ),
    ] = None,
    allow_shrinking: Annotated[
        bool, typer.Option("--allow-shrinking", help="Publish less than the last release had, or one dated before it.")
    ] = False,
    follows: Annotated[
        Path | None,
        typer.Option(
            "--follows", envvar="BREACHCHECK_FOLLOWS", help="Folder of the releases of the epoch before this one."
        ),
    ] = None,
    accept_rejects: Annotated[
        bool, typer.Option("--accept-rejects", help="Go on although more than half of the rows cannot be used.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", envvar="BREACHCHECK_WORKERS", min=1, max=1024, help="Processes; by default one a core."
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--report", envvar="BREACHCHECK_REPORT", help="Write what was counted to this file too, as HTML."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one line of JSON, and progress as lines of it.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Write nothing: measure, and say how long it would take, and how much room."),
    ] = False,
    engine: Annotated[
        Literal["local", "spark"],
        typer.Option("--engine", envvar="BREACHCHECK_ENGINE", help="This machine, or a Spark standalone cluster."),
    ] = "local",
    spark_master: Annotated[
        str | None,
        typer.Option("--spark-master", envvar="BREACHCHECK_SPARK_MASTER", help="spark://HOST:PORT of the cluster."),
    ] = None,
    spark_secret_file: Annotated[
        Path | None,
        typer.Option(
            "--spark-secret-file", envvar="BREACHCHECK_SPARK_SECRET_FILE", help="The cluster's secret, mode 0600."
        ),
    ] = None,
) -> None:
    """Bring leaked files into the ledger and publish the next release. Killed, it goes on where it was."""
    from breachcheck import keys as room
    from breachcheck import terminal
    from breachcheck.ingest import hardening
    from breachcheck.ingest.dry_run import estimate
    from breachcheck.ingest.engine import LocalEngine
    from breachcheck.ingest.mapping import About, read_about, read_mapping
    from breachcheck.ingest.pipeline import Job
    from breachcheck.ingest.pipeline import ingest as run
    from breachcheck.ingest.publish import Policy, read_followed, read_previous, refuse_withdrawn, withdrawals
    from breachcheck.ingest.report import summarize, write
    from breachcheck.ingest.sources.open import expand
    from breachcheck.protocol.parameters import SLOW_HASHES
    from breachcheck.store.ledger import FILE, Ledger

    hardening.harden()
    if page and not page.parent.is_dir():
        raise InputError("report", f"{page.parent} is no folder")
    if page and page.is_dir():
        raise InputError("report", f"{page} is a folder")
    slow_hash = SLOW_HASHES[parameters]
    settled, described = read_mapping(mapping), read_about(about) if about else About()
    if dry_run:
        with LocalEngine(workers) as here:
            expected = estimate(expand(files), settled, slow_hash, here, here.workers)
        terminal.print_json(expected.json()) if as_json else terminal.print_estimate(expected)
        return
    steward = room.read_steward(keys, releases)
    policy = Policy(
        k_members,
        k_population,
        timedelta(days=valid_days),
        grow,
        allow_shrinking,
        read_followed(follows, steward) if follows else None,
    )
    refuse_withdrawn(withdrawals(read_previous(releases, steward), policy), dataset)
    sources = tuple(expand(files))
    if any(out.samefile(source) for out in (rejects, page) if out and out.exists() for source in sources):
        raise InputError("source", "a file to read would be written over")
    job = Job(sources, settled, dataset, described, rejects, accept_rejects)
    how = terminal.Progress.NONE if quiet else terminal.Progress.JSON if as_json else terminal.Progress.WORDS
    with (
        _engine(engine, workers, spark_master, spark_secret_file) as crew,  # first: its processes take a while to start
        Ledger(ledger or keys / FILE, steward, slow_hash) as book,
        terminal.watching(how) as watch,
    ):
        report = run(job, steward, slow_hash, book, releases, crew, policy, datetime.now(UTC), watch)
    summary = summarize(report)
    try:
        if page:
            write(page, summary)
    finally:  # the release is published, whatever becomes of the page
        terminal.print_json(summary.json()) if as_json else terminal.print_report(summary)
    for name in report.unfinished:
        terminal.note(f"{name} is of a run that did not end: give its command again, or remove it", as_json)


def _engine(
    engine: Literal["local", "spark"], workers: int | None, master: str | None, secret_file: Path | None
) -> LocalEngine | SparkEngine:
    if engine == "local":
        from breachcheck.ingest.engine import LocalEngine

        return LocalEngine(workers)
    from breachcheck.ingest.spark import SparkEngine

    if master is None or secret_file is None:
        raise typer.BadParameter("needs --spark-master and --spark-secret-file", param_hint="--engine spark")
    return SparkEngine(master, secret_file)


def forget(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="The kind of the identifiers, as for `check`.")],
    reference: Annotated[
        str,
        typer.Option("--reference", metavar="TEXT", help="Where the proof of ownership is kept. Stays in the ledger."),
    ],
    keys: Keys,
    releases: Releases,
    ledger: LedgerFile = None,
    valid_days: ValidDays = 90,
    k_members: KMembers = 100,
    k_population: KPopulation = 1000,
    parameters: Parameters = "standard",
    no_publish: Annotated[
        bool, typer.Option("--no-publish", help="Leave them in the current release until the next is published.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")] = False,
) -> None:
    """Erase identifiers, at their owners' word, and publish the next release without them. They do not come back.

    They are read from a prompt, or one a line from standard input, never from the command line. `--parameters` counts
    where nothing is published yet: otherwise they are those of the current release.
    """
    from breachcheck import keys as room
    from breachcheck import terminal
    from breachcheck.ingest import erasure, hardening
    from breachcheck.ingest.engine import LocalEngine
    from breachcheck.ingest.publish import Policy, publish, read_previous
    from breachcheck.protocol.parameters import SLOW_HASHES
    from breachcheck.store.ledger import FILE, Ledger

    prompt.refuse_words(context)
    hardening.harden()
    steward = room.read_steward(keys, releases)
    previous = read_previous(releases, steward)
    if previous is None and not no_publish:
        raise ReleaseError("no_release", "there is no release to follow: give --no-publish, and ingest")
    slow_hash = previous.parameters if previous else SLOW_HASHES[parameters]
    path = ledger or keys / FILE
    if previous and not path.exists():  # a new one would keep nobody out of what is made from the right one
        raise ReleaseError("no_ledger", f"{path} is not there; nothing was erased")
    policy = Policy(k_members, k_population, timedelta(days=valid_days))
    identifiers = erasure.read(kind, prompt.identifiers(kind))
    now = datetime.now(UTC)
    manifest = None
    with Ledger(path, steward, slow_hash) as book:
        done = erasure.forget(identifiers, reference, book, steward, slow_hash, now)
        total = book.erasures()
        if not no_publish:
            how = terminal.Progress.NONE if as_json else terminal.Progress.WORDS
            with LocalEngine() as engine, terminal.watching(how) as watch:
                book.gather()
                manifest = publish(book, steward, slow_hash, releases, engine, policy, now, [], watch)
    if as_json:
        release = manifest.release if manifest else None
        terminal.print_json({**asdict(done), "erasures": total, "release": release})
        return
    terminal.print_erasure(done, total)
    if manifest:
        terminal.print_manifest(manifest)


def forgotten(keys: Keys, releases: Releases, ledger: LedgerFile = None) -> None:
    """List the erasures in the ledger: date, kind, and the reference of the proof. Nobody's identifier is there."""
    from breachcheck import keys as room
    from breachcheck import terminal
    from breachcheck.store.ledger import FILE, Ledger

    with Ledger(ledger or keys / FILE, room.read_steward(keys, releases)) as book:
        for words in book.tombstones():
            terminal.RESULTS.print("  ".join(words), markup=False)
