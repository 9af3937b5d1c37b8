"""breachcheck keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breachcheck.cli.options import Keys

app = typer.Typer(help="The steward's keys.", no_args_is_help=True)


@app.command("init")
def keys_init(keys: Keys) -> None:
    """Make new keys. Clients pin DIR/publisher.pub; nothing that exists is overwritten."""
    from breachcheck import keys as room
    from breachcheck.terminal import RESULTS

    room.init(keys)
    RESULTS.print(f"{keys / room.PUBLISHER_PUB}", markup=False)


@app.command("rotate")
def keys_rotate(
    keys: Keys,
    new: Annotated[Path, typer.Option("--new", help="Folder of the new keys.")],
) -> None:
    """Begin a new epoch: new evaluator key and salt, the same publisher. Ingest all files anew with them."""
    from breachcheck import keys as room
    from breachcheck.terminal import RESULTS

    room.rotate(keys, new)
    RESULTS.print(f"{new / room.EVALUATOR_KEY}", markup=False)
