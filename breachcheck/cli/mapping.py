"""breachcheck mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breachcheck.cli.options import Leaked, MappingFile
from breachcheck.errors import InputError

app = typer.Typer(help="What each column of a leaked file is.", no_args_is_help=True)


@app.command("propose")
def mapping_propose(
    file: Annotated[Path, typer.Argument(help="A leaked file with a header.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="The TOML file to write, which must not exist.")] = None,
    above: Annotated[int, typer.Option("--above", min=0, help="Lines over the header, a title say.")] = 0,
    trust_header: Annotated[
        bool, typer.Option("--trust-header", help="I looked: the first line is a header, though its words are unknown.")
    ] = False,
) -> None:
    """Write a first mapping for a file, with the confidence of each column. No value of the file stands in it."""
    from breachcheck.ingest import hardening, preview
    from breachcheck.ingest.propose import propose
    from breachcheck.terminal import RESULTS

    hardening.harden()
    text = propose(*preview.head(file, above), trust_header, above)
    if out is None:
        RESULTS.print(text, markup=False, end="")
        return
    try:
        with out.open("x", encoding="utf-8", newline="\n") as toml:
            toml.write(text)
    except FileExistsError:
        raise InputError("mapping", f"{out} exists: nothing is overwritten") from None


@app.command("check")
def mapping_check(
    files: Leaked,
    mapping: MappingFile,
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
