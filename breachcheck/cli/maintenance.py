"""breachcheck maintenance."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from breachcheck.errors import InputError

app = typer.Typer(help="Maintenance, announced ahead of time.", no_args_is_help=True)

Plan = Annotated[Path, typer.Option("--plan", envvar="BREACHCHECK_MAINTENANCE", help="File of the maintenance plan.")]


@app.command("add")
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


@app.command("list")
def maintenance_list(plan: Plan) -> None:
    """List the windows of the plan, earliest first."""
    from breachcheck.notices.plan import read_plan
    from breachcheck.terminal import print_windows

    print_windows(read_plan(plan), datetime.now(UTC))


@app.command("cancel")
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
