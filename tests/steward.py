"""A steward's work on a few rows, in this process: for tests that are about one step of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from breachcheck import keys as key_room
from breachcheck.ingest import pipeline
from breachcheck.ingest.engine import Engine
from breachcheck.ingest.mapping import About, read_mapping
from breachcheck.ingest.pipeline import Job, Report, ingest
from breachcheck.ingest.publish import Policy
from breachcheck.ingest.reduce import Evaluate
from breachcheck.protocol.parameters import TESTING_ONLY
from breachcheck.store.ledger import FILE, Ledger

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_STILL = SimpleNamespace(monotonic=lambda: 0.0)


class DiedError(Exception):
    """The process that worked was killed, as far as a test is concerned."""


class Inline:
    """An engine in this process, which may die instead of evaluating."""

    def __init__(self, *, dies: bool = False) -> None:
        self.dies = dies

    def map(self, task: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            if self.dies and isinstance(task, Evaluate):
                raise DiedError
            yield task(batch)

    def here(self) -> AbstractContextManager[Engine]:
        return nullcontext(self)


def silent(stage: str, done: int, total: int, rows: int = 0, /) -> None:
    assert 0 <= done <= total, (stage, rows)


def leak(path: Path, *rows: str) -> Path:
    """Write a payroll return of these rows: affiliate;period;social security;name;national ID;days;salary;phone."""
    header = "N_Num_Affilie;L_Periode;N_Num_Assure;L_Nom_Prenom;L_Num_CIN;N_Jours_Declares;N_Salaire_Reel;N_Tel"
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


def ingest_small(
    root: Path,
    *files: Path,
    dataset: str = "one",
    policy: Policy | None = None,
    dies: bool = False,
    mapping: str = "cnss",
    about: About | None = None,
    **options: Any,
) -> Report:
    """Ingest into `root`/keys and `root`/releases, in no time: the release is of NOW. `options` go to the job."""
    folder = root / "keys"
    steward = key_room.read_steward(folder) if folder.exists() else key_room.init(folder)
    job = Job(files, read_mapping(mapping), dataset, about or About(), **options)
    with Ledger(folder / FILE, steward, TESTING_ONLY) as ledger, patch.object(pipeline, "time", _STILL):
        return ingest(
            job, steward, TESTING_ONLY, ledger, root / "releases", Inline(dies=dies), policy or Policy(), NOW, silent
        )
