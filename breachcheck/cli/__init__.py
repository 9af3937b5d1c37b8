"""The command line: parse, call, print. Nothing is decided here."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.main import get_command

from breachcheck.cli import keys, maintenance, mapping, prompt, public, release, steward
from breachcheck.cli.options import COULD_NOT, EXPOSED, NOT_FOUND, STOPPED, USAGE
from breachcheck.errors import BreachcheckError, InputError

__all__ = ["COULD_NOT", "EXPOSED", "NOT_FOUND", "USAGE", "app", "main"]

_JSON: Final = "--json"
_UsageError: Any = typer.BadParameter.__mro__[2]  # ClickException, which typer keeps to itself

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, group in (
    ("keys", keys.app),
    ("release", release.app),
    ("mapping", mapping.app),
    ("maintenance", maintenance.app),
):
    app.add_typer(group, name=name)
for command in (
    steward.synth,
    steward.ingest,
    steward.forgotten,
    public.serve,
    public.demo,
):
    app.command()(command)
for asking in (steward.forget, public.check):
    app.command(context_settings=prompt.ASKED)(asking)


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
        if _JSON in sys.argv:
            _end(error.format_message(), USAGE)
        with contextlib.suppress(OSError):
            error.show()
        sys.exit(USAGE)
    except BreachcheckError as error:
        _end(str(error), USAGE if isinstance(error, InputError) else COULD_NOT)
    except OSError as error:
        _end(f"{error.filename or 'a file or pipe'}: {error.strerror}", COULD_NOT)
    except KeyboardInterrupt:
        _end("stopped", STOPPED)
    except RuntimeError as error:
        if str(error) != "Query interrupted":  # what DuckDB makes of Ctrl-C
            raise
        _end("stopped", STOPPED)
    except SystemExit:  # how the parser of commands ends, with 1, when nobody reads what it prints
        _end("stopped before there was a result", COULD_NOT)
    if code == STOPPED:  # what the parser of commands makes of Ctrl-C, without a word
        _end("stopped", STOPPED)
    sys.exit(code)


def _end(why: str, code: int) -> NoReturn:
    # What is left to write to a closed or full stream would end in another code.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
            continue
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    # A file's name may hold what a terminal would obey.
    plain = "".join(one if one.isprintable() else repr(one)[1:-1] for one in why)
    line = json.dumps({"error": plain}, ensure_ascii=False) if _JSON in sys.argv else f"breachcheck: {plain}"
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode("utf-8", "backslashreplace"))
    sys.exit(code)
