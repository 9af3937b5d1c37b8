"""What faces the public: the service, a check, the demo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from breachcheck.cli import prompt
from breachcheck.cli.options import COULD_NOT, EXPOSED, NOT_FOUND, PublisherKey
from breachcheck.errors import InputError, ReleaseError


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


def check(
    context: typer.Context,
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

    prompt.refuse_words(context)
    text = prompt.identifier(kind)
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


def _memory() -> Path:
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        folder = state if state.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        raise ReleaseError("release_memory", "there is no home folder: name a file with --memory") from None
    return folder / "breachcheck" / "releases.json"


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the demo keeps its files.")] = Path(".demo"),
    people: Annotated[int, typer.Option("--people", min=10, help="How many people stand in the leak.")] = 800,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to serve on.")] = 8000,
    once: Annotated[bool, typer.Option("--once", help="Stop after the check.")] = False,
) -> None:
    """Show the whole of it: a synthetic leak, keys, ingest, publish, serve, and one check. Ctrl-C stops it."""
    from breachcheck.demo import run

    run(folder, people, port, stay=not once)
