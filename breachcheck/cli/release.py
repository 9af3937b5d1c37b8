"""breachcheck release."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from breachcheck.cli.options import Keys, KMembers, KPopulation, LedgerFile, PublisherKey, Releases, ValidDays
from breachcheck.errors import ReleaseError

app = typer.Typer(help="Published releases.", no_args_is_help=True)


@app.command("show")
def release_show(releases: Releases) -> None:
    """Say what the current release is and promises."""
    from breachcheck.store.reader import open_release
    from breachcheck.terminal import print_manifest

    with open_release(releases) as release:
        print_manifest(release.manifest)


@app.command("verify")
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


@app.command("renew")
def release_renew(keys: Keys, releases: Releases, valid_days: ValidDays = 90) -> None:
    """Sign the current release anew, for a while longer. Its number and its buckets stay."""
    from breachcheck import keys as room
    from breachcheck.ingest import hardening
    from breachcheck.ingest.renewal import renew
    from breachcheck.terminal import RESULTS

    hardening.harden()
    manifest = renew(room.read_steward(keys, releases), releases, timedelta(days=valid_days), datetime.now(UTC))
    RESULTS.print(f"release {manifest.release}: valid until {manifest.valid_until:%Y-%m-%d %H:%M} UTC")


@app.command("withdraw")
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
    from breachcheck.ingest.engine import LocalEngine
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
    with (
        LocalEngine() as engine,
        Ledger(ledger or keys / FILE, steward, parameters) as book,
        terminal.watching() as watch,
    ):
        manifest = withdraw(dataset, said, book, steward, releases, engine, policy, datetime.now(UTC), watch)
    terminal.print_manifest(manifest)
