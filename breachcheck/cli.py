"""The command line: parse, call, print. Nothing is decided here."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn

import typer

from breachcheck.errors import BreachcheckError, InputError, ReleaseError

if TYPE_CHECKING:
    from breachcheck.ingest.engine import LocalEngine
    from breachcheck.ingest.spark import SparkEngine

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
mapping_app = typer.Typer(help="What each column of a leaked file is.", no_args_is_help=True)
app.add_typer(mapping_app, name="mapping")

Keys = Annotated[Path, typer.Option("--keys", envvar="BREACHCHECK_KEYS", help="Folder of the steward's keys.")]
Releases = Annotated[Path, typer.Option("--releases", envvar="BREACHCHECK_RELEASES", help="Folder of the releases.")]
PublisherKey = Annotated[
    Path,
    typer.Option("--publisher-key", envvar="BREACHCHECK_PUBLISHER_KEY", help="File of the publisher's public key."),
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
    ledger: Annotated[
        Path | None,
        typer.Option(
            "--ledger", envvar="BREACHCHECK_LEDGER", help="The steward's ledger; by default in the key folder."
        ),
    ] = None,
    valid_days: Annotated[
        int,
        typer.Option("--valid-days", envvar="BREACHCHECK_VALID_DAYS", min=1, help="Days the release stays current."),
    ] = 90,
    k_members: Annotated[
        int, typer.Option("--k-members", envvar="BREACHCHECK_K_MEMBERS", min=1, help="Identifiers a bucket, at least.")
    ] = 100,
    k_population: Annotated[
        int,
        typer.Option("--k-population", envvar="BREACHCHECK_K_POPULATION", min=1, help="Numbers a bucket, at least."),
    ] = 1000,
    grow: Annotated[bool, typer.Option("--grow", help="Let prefixes be longer than in the last release.")] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            "--rejects", envvar="BREACHCHECK_REJECTS", help="Write which rows were rejected, and why, to this CSV file."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", envvar="BREACHCHECK_WORKERS", min=1, help="Processes; by default one a core."),
    ] = None,
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
    from breachcheck.ingest.mapping import About, read_about, read_mapping
    from breachcheck.ingest.pipeline import Job
    from breachcheck.ingest.pipeline import ingest as run
    from breachcheck.ingest.publish import Policy
    from breachcheck.ingest.sources.open import expand
    from breachcheck.protocol.parameters import SLOW_HASHES
    from breachcheck.store.ledger import FILE, Ledger

    hardening.harden()
    job = Job(tuple(expand(files)), read_mapping(mapping), dataset, read_about(about) if about else About(), rejects)
    steward = room.read_steward(keys, releases)
    policy = Policy(k_members, k_population, timedelta(days=valid_days), grow)
    slow_hash = SLOW_HASHES[parameters]
    with (
        Ledger(ledger or keys / FILE, steward, slow_hash) as book,
        _engine(engine, workers, spark_master, spark_secret_file) as crew,
        terminal.watching() as watch,
    ):
        report = run(job, steward, slow_hash, book, releases, crew, policy, datetime.now(UTC), watch)
    terminal.print_report(report)


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
def release_verify(releases: Releases, publisher_key: PublisherKey) -> None:
    """Check signature, counts and every bucket of the current release."""
    from breachcheck.keys import read_publisher_key
    from breachcheck.store.reader import open_release
    from breachcheck.terminal import RESULTS

    with open_release(releases, read_publisher_key(publisher_key)) as release:
        buckets = sum(table.layout.buckets for table in release.manifest.kinds)
        RESULTS.print(f"release {release.manifest.release}: signature and {buckets:,} buckets verified")


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
