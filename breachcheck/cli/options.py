"""Exit codes, and the options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

NOT_FOUND: Final = 0
EXPOSED: Final = 1
USAGE: Final = 2
COULD_NOT: Final = 3
STOPPED: Final = 130
MAX_DAYS: Final = 3650  # that a release may be valid

Keys = Annotated[Path, typer.Option("--keys", envvar="BREACHCHECK_KEYS", help="Folder of the steward's keys.")]
Releases = Annotated[Path, typer.Option("--releases", envvar="BREACHCHECK_RELEASES", help="Folder of the releases.")]
PublisherKey = Annotated[
    Path,
    typer.Option("--publisher-key", envvar="BREACHCHECK_PUBLISHER_KEY", help="File of the publisher's public key."),
]

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

Parameters = Annotated[
    Literal["standard", "testing-only"],
    typer.Option(
        "--parameters", envvar="BREACHCHECK_PARAMETERS", help="Of the slow hash; testing-only protects nobody."
    ),
]

Leaked = Annotated[
    list[Path], typer.Argument(help="The leaked files, folders of them, or patterns.", show_default=False)
]
MappingFile = Annotated[str, typer.Option("--mapping", envvar="BREACHCHECK_MAPPING", help="A TOML file, or cnss.")]
