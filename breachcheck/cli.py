"""The command line: parse, call, print. Nothing is decided here."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Final, Literal, NoReturn

import typer

from breachcheck.errors import BreachcheckError, InputError, ReleaseError

NOT_FOUND: Final = 0
EXPOSED: Final = 1
USAGE: Final = 2
COULD_NOT: Final = 3
_UsageError: Any = typer.BadParameter.__mro__[2]  # ClickException, which typer keeps to itself
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
    int, typer.Option("--valid-days", envvar="BREACHCHECK_VALID_DAYS", min=1, help="Days the release stays current.")
]
KMembers = Annotated[
    int, typer.Option("--k-members", envvar="BREACHCHECK_K_MEMBERS", min=1, help="Identifiers a bucket, at least.")
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
    people: Annotated[int, typer.Option("--people", min=1, help="How many people stand in the leak.")],
    out: Annotated[Path, typer.Option("--out", help="The leak to write, CSV.")],
    answers: Annotated[Path, typer.Option("--answers", help="The truth to write, JSON lines.")],
    seed: Annotated[int, typer.Option("--seed", help="The same seed writes the same files.")] = 1,
) -> None:
    """Write a synthetic leak of the real shape, dirt included, and the truth about it."""
    from breachcheck.synth import generate
    from breachcheck.terminal import NOTES

    report = generate(people, seed, out, answers)
    NOTES.print(f"{report.rows:,} rows about {report.people:,} people")


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(help="The leaked files.", show_default=False)],
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
    workers: Annotated[
        int | None,
        typer.Option("--workers", envvar="BREACHCHECK_WORKERS", min=1, help="Processes; by default one a core."),
    ] = None,
) -> None:
    """Bring leaked files into the ledger and publish the next release. Killed, it goes on where it was."""
    from breachcheck import keys as room
    from breachcheck import terminal
    from breachcheck.ingest import hardening
    from breachcheck.ingest.engine import LocalEngine
    from breachcheck.ingest.mapping import About, read_about, read_mapping
    from breachcheck.ingest.pipeline import Job
    from breachcheck.ingest.pipeline import ingest as run
    from breachcheck.ingest.publish import Policy, read_previous, refuse_withdrawn
    from breachcheck.protocol.parameters import SLOW_HASHES
    from breachcheck.store.ledger import FILE, Ledger

    hardening.harden()
    job = Job(tuple(files), read_mapping(mapping), dataset, read_about(about) if about else About())
    steward = room.read_steward(keys, releases)
    refuse_withdrawn(read_previous(releases, steward.publisher_key), dataset)
    policy = Policy(k_members, k_population, timedelta(days=valid_days), grow)
    slow_hash = SLOW_HASHES[parameters]
    with (
        Ledger(ledger or keys / FILE, steward, slow_hash) as book,
        LocalEngine(workers) as engine,
        terminal.watching() as watch,
    ):
        report = run(job, steward, slow_hash, book, releases, engine, policy, datetime.now(UTC), watch)
    terminal.print_report(report)


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


@release_app.command("renew")
def release_renew(keys: Keys, releases: Releases, valid_days: ValidDays = 90) -> None:
    """Sign the current release anew, for a while longer. Its number and its buckets stay."""
    from breachcheck import keys as room
    from breachcheck.ingest.renewal import renew
    from breachcheck.terminal import RESULTS

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
    from breachcheck.ingest.publish import Policy
    from breachcheck.ingest.withdrawal import withdraw
    from breachcheck.store.ledger import FILE, Ledger
    from breachcheck.store.reader import open_release

    steward = room.read_steward(keys, releases)
    with open_release(releases, steward.publisher_key) as release:
        parameters = release.manifest.parameters
    said = dict(one.partition("=")[::2] for one in reason)
    policy = Policy(k_members, k_population, timedelta(days=valid_days))
    with Ledger(ledger or keys / FILE, steward, parameters) as book, terminal.watching() as watch:
        manifest = withdraw(dataset, said, book, steward, releases, policy, datetime.now(UTC), watch)
    terminal.print_manifest(manifest)


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
    kind: Annotated[str, typer.Argument(help="national_id, social_security, phone, bank_account or email.")],
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
        float, typer.Option("--timeout", envvar="BREACHCHECK_TIMEOUT", min=0.1, help="Seconds for the whole check.")
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
    if sys.stdin is None:
        raise InputError("no_input", "the identifier is read from standard input, which is closed")
    if sys.stdin.isatty():
        text: str = typer.prompt(kind, err=True)
        return text
    # Octets that are no text become lone surrogates, which stand in no identifier.
    return sys.stdin.buffer.readline(_MAX_LINE).decode("utf-8", "surrogateescape")


def _memory() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    try:
        folder = Path(state) if state else Path.home() / ".local" / "state"
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
    """Run the command line, and turn every error into one line and an exit code.

    Exit code 1 says "exposed", so nothing else may end with it: neither Python's own end by an exception, nor a closed
    pipe.
    """
    sys.excepthook = _last_resort
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        _end("stopped before there was a result", COULD_NOT)
    except _UsageError as error:
        error.show()
        sys.exit(USAGE)
    except BreachcheckError as error:
        _end(str(error), USAGE if isinstance(error, InputError) else COULD_NOT)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left to write to a closed pipe would end in another code
        _end(f"{error.filename or 'a file or pipe'}: {error.strerror}", COULD_NOT)
    except KeyboardInterrupt:
        _end("stopped", 130)
    sys.exit(code)


def _end(why: str, code: int) -> NoReturn:
    sys.stderr.write(f"breachcheck: {why}\n")
    sys.exit(code)


def _last_resort(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:  # noqa: ARG001
    # A fault of ours. Its words and its traceback may hold what was worked on: only its name and place are told.
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = f" in {Path(at.tb_frame.f_code.co_filename).name}, line {at.tb_lineno}" if at else ""
    sys.stderr.write(f"breachcheck: {kind.__name__}{place}: a fault of this program\n")
    sys.stderr.flush()
    os._exit(COULD_NOT)
