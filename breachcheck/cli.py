"""The command line: parse, call, print. Nothing is decided here."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn

import typer
from typer.main import get_command

from breachcheck.errors import BreachcheckError, InputError, ReleaseError

if TYPE_CHECKING:
    from breachcheck.ingest.engine import LocalEngine
    from breachcheck.ingest.spark import SparkEngine

NOT_FOUND: Final = 0
EXPOSED: Final = 1
USAGE: Final = 2
COULD_NOT: Final = 3
_UsageError: Any = typer.BadParameter.__mro__[2]  # ClickException, which typer keeps to itself
MAX_DAYS: Final = 3650  # that a release may be valid
_MAX_LINE: Final = 4096  # bytes of an identifier on standard input

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
keys_app = typer.Typer(help="The steward's keys.", no_args_is_help=True)
release_app = typer.Typer(help="Published releases.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(release_app, name="release")
mapping_app = typer.Typer(help="What each column of a leaked file is.", no_args_is_help=True)
app.add_typer(mapping_app, name="mapping")
maintenance_app = typer.Typer(help="Maintenance, announced ahead of time.", no_args_is_help=True)
app.add_typer(maintenance_app, name="maintenance")

Keys = Annotated[Path, typer.Option("--keys", envvar="BREACHCHECK_KEYS", help="Folder of the steward's keys.")]
Releases = Annotated[Path, typer.Option("--releases", envvar="BREACHCHECK_RELEASES", help="Folder of the releases.")]
PublisherKey = Annotated[
    Path,
    typer.Option("--publisher-key", envvar="BREACHCHECK_PUBLISHER_KEY", help="File of the publisher's public key."),
]

Plan = Annotated[Path, typer.Option("--plan", envvar="BREACHCHECK_MAINTENANCE", help="File of the maintenance plan.")]
ValidDays = Annotated[
    int,
    typer.Option(
        "--valid-days", envvar="BREACHCHECK_VALID_DAYS", min=1, max=MAX_DAYS, help="Days the release stays current."
    ),
]
KMembers = Annotated[
    int,
    typer.Option(
        "--k-members", envvar="BREACHCHECK_K_MEMBERS", min=1, max=2**53, help="Identifiers a bucket, at least."
    ),
]
KPopulation = Annotated[
    int, typer.Option("--k-population", envvar="BREACHCHECK_K_POPULATION", min=1, help="Numbers a bucket, at least.")
]
LedgerFile = Annotated[
    Path | None,
    typer.Option("--ledger", envvar="BREACHCHECK_LEDGER", help="The steward's ledger; by default in the key folder."),
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from breachcheck.terminal import RESULTS

        RESULTS.print(f"breachcheck {version('breachcheck')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Tell people which fields of theirs a breach exposed, without learning whom they asked about."""


@keys_app.command("init")
def keys_init(keys: Keys) -> None:
    """Make new keys. Clients pin DIR/publisher.pub; nothing that exists is overwritten."""
    from breachcheck import keys as room
    from breachcheck.terminal import RESULTS

    room.init(keys)
    RESULTS.print(f"{keys / room.PUBLISHER_PUB}", markup=False)


@keys_app.command("rotate")
def keys_rotate(
    keys: Keys,
    new: Annotated[Path, typer.Option("--new", help="Folder of the new keys.")],
) -> None:
    """Begin a new epoch: new evaluator key and salt, the same publisher. Ingest all files anew with them."""
    from breachcheck import keys as room
    from breachcheck.terminal import RESULTS

    room.rotate(keys, new)
    RESULTS.print(f"{new / room.EVALUATOR_KEY}", markup=False)


@app.command()
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


@mapping_app.command("propose")
def mapping_propose(
    file: Annotated[Path, typer.Argument(help="A leaked file with a header.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="The TOML file to write, which must not exist.")] = None,
    trust_header: Annotated[
        bool, typer.Option("--trust-header", help="I looked: the first line is a header, though its words are unknown.")
    ] = False,
) -> None:
    """Write a first mapping for a file, with the confidence of each column. No value of the file stands in it."""
    from breachcheck.ingest import hardening, preview
    from breachcheck.ingest.propose import propose
    from breachcheck.terminal import RESULTS

    hardening.harden()
    text = propose(*preview.head(file), trust_header)
    if out is None:
        RESULTS.print(text, markup=False, end="")
        return
    try:
        with out.open("x", encoding="utf-8", newline="\n") as toml:
            toml.write(text)
    except FileExistsError:
        raise InputError("mapping", f"{out} exists: nothing is overwritten") from None


Leaked = Annotated[
    list[Path], typer.Argument(help="The leaked files, folders of them, or patterns.", show_default=False)
]


@mapping_app.command("check")
def mapping_check(
    files: Annotated[
        list[Path], typer.Argument(help="The leaked files, folders of them, or patterns.", show_default=False)
    ],
    mapping: Annotated[str, typer.Option("--mapping", envvar="BREACHCHECK_MAPPING", help="A TOML file, or cnss.")],
) -> None:
    """Count how much of each column passes the rule of its kind, and why the rest does not. No value is shown."""
    from breachcheck.ingest import hardening
    from breachcheck.ingest.mapping import read_mapping
    from breachcheck.ingest.sources.open import chunks, expand
    from breachcheck.ingest.tally import tally
    from breachcheck.terminal import print_tally

    hardening.harden()
    settled = read_mapping(mapping)
    print_tally(tally((chunk.plan, chunk.rows()) for file in expand(files) for chunk in chunks(file, settled)))


@app.command()
def ingest(
    files: Annotated[
        list[Path], typer.Argument(help="The leaked files, folders of them, or patterns.", show_default=False)
    ],
    mapping: Annotated[str, typer.Option("--mapping", envvar="BREACHCHECK_MAPPING", help="A TOML file, or cnss.")],
    dataset: Annotated[str, typer.Option("--dataset", envvar="BREACHCHECK_DATASET", help="The breach's short name.")],
    keys: Keys,
    releases: Releases,
    parameters: Annotated[
        Literal["standard", "testing-only"], typer.Option("--parameters", envvar="BREACHCHECK_PARAMETERS")
    ] = "standard",
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
        bool, typer.Option("--allow-shrinking", help="Publish although the ledger lacks what the last release had.")
    ] = False,
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
    from breachcheck.ingest.publish import Policy, read_previous, refuse_withdrawn
    from breachcheck.ingest.report import summarize, write
    from breachcheck.ingest.sources.open import expand
    from breachcheck.protocol.parameters import SLOW_HASHES
    from breachcheck.store.ledger import FILE, Ledger

    hardening.harden()
    if page and not page.parent.is_dir():
        raise InputError("report", f"{page.parent} is no folder")
    slow_hash = SLOW_HASHES[parameters]
    settled, described = read_mapping(mapping), read_about(about) if about else About()
    if dry_run:
        with LocalEngine(workers) as here:
            expected = estimate(expand(files), settled, slow_hash, here, here.workers)
        terminal.print_json(expected.json()) if as_json else terminal.print_estimate(expected)
        return
    steward = room.read_steward(keys, releases)
    refuse_withdrawn(read_previous(releases, steward), dataset)
    job = Job(tuple(expand(files)), settled, dataset, described, rejects, accept_rejects)
    policy = Policy(k_members, k_population, timedelta(days=valid_days), grow, allow_shrinking)
    how = terminal.Progress.NONE if quiet else terminal.Progress.JSON if as_json else terminal.Progress.WORDS
    with (
        _engine(engine, workers, spark_master, spark_secret_file) as crew,  # first: its processes take a while to start
        Ledger(ledger or keys / FILE, steward, slow_hash) as book,
        terminal.watching(how) as watch,
    ):
        report = run(job, steward, slow_hash, book, releases, crew, policy, datetime.now(UTC), watch)
    summary = summarize(report)
    if page:
        write(page, summary)
    terminal.print_json(summary.json()) if as_json else terminal.print_report(summary)
    for name in report.unfinished:
        terminal.NOTES.print(f"{name} is of a run that did not end: give its command again, or remove it", markup=False)


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


@release_app.command("show")
def release_show(releases: Releases) -> None:
    """Say what the current release is and promises."""
    from breachcheck.store.reader import open_release
    from breachcheck.terminal import print_manifest

    with open_release(releases) as release:
        print_manifest(release.manifest)


@release_app.command("verify")
def release_verify(
    releases: Releases,
    publisher_key: PublisherKey,
    number: Annotated[
        int | None, typer.Option("--number", min=1, help="Number of the release.  [default: the current one]")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Folder with evaluator.key: every canary is asked for, too.")
    ] = None,
    k_members: KMembers = 100,
    k_population: KPopulation = 1000,
) -> None:
    """Check signature, digest, count, minimum and every bucket of a release; with the key, every canary."""
    from breachcheck.keys import read_evaluator, read_publisher_key
    from breachcheck.store.reader import current, open_folder
    from breachcheck.store.verify import verify, verify_canaries
    from breachcheck.terminal import RESULTS

    publisher = read_publisher_key(publisher_key)
    folder = current(releases) if number is None else releases / str(number)
    with open_folder(folder, publisher) as release:
        buckets = verify(release, k_members, k_population)
        asked = ""
        if keys:
            canaries = verify_canaries(release, publisher, read_evaluator(keys, releases), datetime.now(UTC))
            asked = f", {canaries:,} canaries answered"
        RESULTS.print(f"release {release.manifest.release}: signature and {buckets:,} buckets verified{asked}")
        valid_until = release.manifest.valid_until
    if datetime.now(UTC) > valid_until:
        raise ReleaseError("release_expired", f"it was valid until {valid_until:%Y-%m-%d %H:%M} UTC: clients refuse it")


@release_app.command("renew")
def release_renew(keys: Keys, releases: Releases, valid_days: ValidDays = 90) -> None:
    """Sign the current release anew, for a while longer. Its number and its buckets stay."""
    from breachcheck import keys as room
    from breachcheck.ingest import hardening
    from breachcheck.ingest.renewal import renew
    from breachcheck.terminal import RESULTS

    hardening.harden()
    manifest = renew(room.read_steward(keys, releases), releases, timedelta(days=valid_days), datetime.now(UTC))
    RESULTS.print(f"release {manifest.release}: valid until {manifest.valid_until:%Y-%m-%d %H:%M} UTC")


@release_app.command("withdraw")
def release_withdraw(
    dataset: Annotated[str, typer.Option("--dataset", help="The breach's short name. It cannot be used again.")],
    reason: Annotated[
        list[str], typer.Option("--reason", metavar="LANGUAGE=TEXT", help="Why, in public; once a language.")
    ],
    keys: Keys,
    releases: Releases,
    ledger: LedgerFile = None,
    valid_days: ValidDays = 90,
    k_members: KMembers = 100,
    k_population: KPopulation = 1000,
) -> None:
    """Publish the next release without a dataset, and say so in public. The ledger forgets it."""
    from breachcheck import keys as room
    from breachcheck import terminal
    from breachcheck.ingest import hardening
    from breachcheck.ingest.publish import Policy
    from breachcheck.ingest.withdrawal import withdraw
    from breachcheck.store.ledger import FILE, Ledger
    from breachcheck.store.reader import open_release

    hardening.harden()
    steward = room.read_steward(keys, releases)
    with open_release(releases, steward.publisher_key) as release:
        parameters = release.manifest.parameters
    said = dict(one.partition("=")[::2] for one in reason)
    policy = Policy(k_members, k_population, timedelta(days=valid_days))
    with Ledger(ledger or keys / FILE, steward, parameters) as book, terminal.watching() as watch:
        manifest = withdraw(dataset, said, book, steward, releases, policy, datetime.now(UTC), watch)
    terminal.print_manifest(manifest)


@app.command()
def forget(
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
    no_publish: Annotated[
        bool, typer.Option("--no-publish", help="Leave them in the current release until the next is published.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")] = False,
) -> None:
    """Erase identifiers, at their owners' word, and publish the next release without them. They do not come back.

    They are read from a prompt, or one a line from standard input, never from the command line.
    """
    from breachcheck import keys as room
    from breachcheck import terminal
    from breachcheck.ingest import erasure, hardening
    from breachcheck.ingest.publish import Policy, publish, read_previous
    from breachcheck.protocol.parameters import STANDARD
    from breachcheck.store.ledger import FILE, Ledger

    hardening.harden()
    steward = room.read_steward(keys, releases)
    previous = read_previous(releases, steward)
    if previous is None and not no_publish:
        raise ReleaseError("no_release", "there is no release to follow: give --no-publish, and ingest")
    parameters = previous.parameters if previous else STANDARD
    policy = Policy(k_members, k_population, timedelta(days=valid_days))
    identifiers = erasure.read(kind, _identifiers(kind))
    now = datetime.now(UTC)
    manifest = None
    with Ledger(ledger or keys / FILE, steward, parameters) as book:
        done = erasure.forget(identifiers, reference, book, steward, parameters, now)
        total = book.erasures()
        if not no_publish:
            with terminal.watching(terminal.Progress.NONE if as_json else terminal.Progress.WORDS) as watch:
                book.gather()
                manifest = publish(book, steward, parameters, releases, policy, now, [], watch)
    if as_json:
        release = manifest.release if manifest else None
        terminal.print_json({**asdict(done), "erasures": total, "release": release})
        return
    terminal.print_erasure(done, total)
    if manifest:
        terminal.print_manifest(manifest)


@app.command()
def forgotten(keys: Keys, releases: Releases, ledger: LedgerFile = None) -> None:
    """List the erasures in the ledger: date, kind, and the reference of the proof. Nobody's identifier is there."""
    from breachcheck import keys as room
    from breachcheck import terminal
    from breachcheck.store.ledger import FILE, Ledger
    from breachcheck.store.reader import open_release

    steward = room.read_steward(keys, releases)
    with open_release(releases, steward.publisher_key) as release:
        parameters = release.manifest.parameters
    with Ledger(ledger or keys / FILE, steward, parameters) as book:
        for words in book.tombstones():
            terminal.RESULTS.print("  ".join(words), markup=False)


@maintenance_app.command("add")
def maintenance_add(
    plan: Plan,
    begins: Annotated[str, typer.Option("--from", help="When it begins, with a zone: 2026-12-01T01:00+01:00.")],
    ends: Annotated[str, typer.Option("--until", help="When it ends: the first moment after it.")],
    ar: Annotated[str, typer.Option("--ar", help="The message in Arabic.")] = "",
    fr: Annotated[str, typer.Option("--fr", help="The message in French.")] = "",
    en: Annotated[str, typer.Option("--en", help="The message in English.")] = "",
    name: Annotated[str | None, typer.Option("--id", help="Its name in the plan.  [default: its beginning]")] = None,
) -> None:
    """Announce a window of maintenance. A running service learns of it within seconds."""
    from breachcheck.notices.plan import add_window
    from breachcheck.terminal import print_windows

    message = {"ar": ar, "fr": fr, "en": en}
    window = add_window(plan, _time("--from", begins), _time("--until", ends), message, datetime.now(UTC), name)
    print_windows([window], datetime.now(UTC))


@maintenance_app.command("list")
def maintenance_list(plan: Plan) -> None:
    """List the windows of the plan, earliest first."""
    from breachcheck.notices.plan import read_plan
    from breachcheck.terminal import print_windows

    print_windows(read_plan(plan), datetime.now(UTC))


@maintenance_app.command("cancel")
def maintenance_cancel(plan: Plan, name: Annotated[str, typer.Argument(metavar="ID", help="Its name.")]) -> None:
    """Cancel a window, and tell everybody who learned of it. One that has begun ends at once."""
    from breachcheck.notices.plan import cancel_window
    from breachcheck.terminal import print_windows

    print_windows([cancel_window(plan, name, datetime.now(UTC))], datetime.now(UTC))


def _time(option: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InputError("time", f"{option}: wanted: 2026-12-01T01:00+01:00, or Z for UTC") from None


@app.command()
def serve(
    releases: Annotated[Path | None, typer.Option("--releases", help="Folder of the releases.")] = None,
    keys: Annotated[Path | None, typer.Option("--keys", help="Folder with evaluator.key, 0600.")] = None,
    publisher_key: Annotated[
        Path | None, typer.Option("--publisher-key", help="What the pages check with.  [default: KEYS/publisher.pub]")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port to listen on.  [default: 8000]")] = None,
    role: Annotated[
        Literal["all", "buckets", "evaluator"] | None, typer.Option("--role", help="[default: all]")
    ] = None,
    allow_testing_parameters: Annotated[
        bool | None,
        typer.Option("--allow-testing-parameters", help="Serve a release made for tests.", show_default=False),
    ] = None,
    maintenance: Annotated[Path | None, typer.Option("--maintenance", help="File of the maintenance plan.")] = None,
) -> None:
    """Serve the current release. Every other setting is an environment variable (see the README)."""
    from breachcheck.config import load
    from breachcheck.service import serve as run

    run(
        load(
            releases=releases,
            keys=keys,
            publisher_key=publisher_key,
            host=host,
            port=port,
            role=role,
            allow_testing_parameters=allow_testing_parameters,
            maintenance=maintenance,
        )
    )


@app.command()
def check(
    kind: Annotated[
        str,
        typer.Argument(
            help="A kind that the release indexes: national_id, social_security, phone, bank_account, email."
        ),
    ],
    url: Annotated[str, typer.Option("--url", envvar="BREACHCHECK_URL", help="Where the service is.")],
    publisher_key: PublisherKey,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
    memory: Annotated[
        Path | None,
        typer.Option(
            "--memory",
            envvar="BREACHCHECK_MEMORY",
            help="File that remembers the last release seen.  "
            "[default: breachcheck/releases.json in the user's state folder]",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", envvar="BREACHCHECK_TIMEOUT", min=0.1, max=3600, help="Seconds for the whole check."),
    ] = 30.0,
) -> None:
    """Check one identifier, read from a prompt or from standard input, never from the command line.

    Exit codes: 0 not found, 1 exposed, 2 not a valid identifier or wrong use, 3 could not check.
    """
    from breachcheck import terminal
    from breachcheck.client import Client
    from breachcheck.exposure import Exposed, NotFound
    from breachcheck.keys import read_publisher_key

    text = _identifier(kind)
    try:
        with Client(
            url, publisher_key=read_publisher_key(publisher_key), memory=memory or _memory(), timeout=timeout
        ) as client:
            verdict = client.check(kind, text)
    except InputError as error:
        if as_json:
            terminal.RESULTS.print(terminal.verdict_json(error), markup=False)
        raise
    if as_json:
        terminal.RESULTS.print(terminal.verdict_json(verdict), markup=False)
    else:
        terminal.print_verdict(verdict)
    match verdict:
        case NotFound():
            raise typer.Exit(NOT_FOUND)
        case Exposed():
            raise typer.Exit(EXPOSED)
        case _:
            raise typer.Exit(COULD_NOT)


def _identifier(kind: str) -> str:
    if (typed := _typed(kind)) is not None:
        return typed
    octets = b""
    while b"\n" not in octets and len(octets) < _MAX_LINE and (more := os.read(sys.stdin.fileno(), _MAX_LINE)):
        octets += more
    line, _, rest = octets.partition(b"\n")
    if rest.strip():  # whoever pipes a list would take one answer for all
        raise InputError("several_lines", "one identifier is checked at a time")
    return line.decode("utf-8", "surrogateescape")


def _identifiers(kind: str) -> list[str]:
    if (typed := _typed(kind)) is not None:
        return [typed]
    return [line.decode("utf-8", "surrogateescape") for line in sys.stdin.buffer]


def _typed(kind: str) -> str | None:
    """Return what somebody types at the prompt; None where nobody can.

    Octets that are no text become lone surrogates there, which stand in no identifier.
    """
    if sys.stdin is None:
        raise InputError("no_input", "the identifier is read from standard input, which is closed")
    if not sys.stdin.isatty():
        return None
    text: str = typer.prompt(kind, err=True)
    return text


def _memory() -> Path:
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        folder = state if state.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        raise ReleaseError("release_memory", "there is no home folder: name a file with --memory") from None
    return folder / "breachcheck" / "releases.json"


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the demo keeps its files.")] = Path(".demo"),
    people: Annotated[int, typer.Option("--people", min=10, help="How many people stand in the leak.")] = 800,
    port: Annotated[int, typer.Option("--port", help="Port to serve on.")] = 8000,
    once: Annotated[bool, typer.Option("--once", help="Stop after the check.")] = False,
) -> None:
    """Show the whole of it: a synthetic leak, keys, ingest, publish, serve, and one check. Ctrl-C stops it."""
    from breachcheck.demo import run

    run(folder, people, port, stay=not once)


def main() -> None:
    """Run the command line, and turn every error that is foreseen into one line and an exit code.

    Exit code 1 says "exposed", so nothing else may end with it: `breachcheck.__main__` sees to what is not foreseen.
    """
    try:
        # Not `app()`: that would put a hook of its own in the place of ours, with a traceback and exit code 1.
        code = get_command(app).main(standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        _end("stopped before there was a result", COULD_NOT)
    except _UsageError as error:
        with contextlib.suppress(OSError):
            error.show()
        sys.exit(USAGE)
    except BreachcheckError as error:
        _end(str(error), USAGE if isinstance(error, InputError) else COULD_NOT)
    except OSError as error:
        _end(f"{error.filename or 'a file or pipe'}: {error.strerror}", COULD_NOT)
    except KeyboardInterrupt:
        _end("stopped", 130)
    except SystemExit:  # how the parser of commands ends, with 1, when nobody reads what it prints
        _end("stopped before there was a result", COULD_NOT)
    sys.exit(code)


def _end(why: str, code: int) -> NoReturn:
    # What is left to write to a closed or full stream would end in another code.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
            continue
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    with contextlib.suppress(OSError):
        os.write(2, f"breachcheck: {why}\n".encode("utf-8", "backslashreplace"))
    sys.exit(code)
