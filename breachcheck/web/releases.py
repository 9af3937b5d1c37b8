"""What the pages say of a release and of the files in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from babel.numbers import format_decimal

from breachcheck.protocol.manifest import Dataset, Manifest
from breachcheck.web import words
from breachcheck.web.languages import Language
from breachcheck.web.texts import Moment, Said, day, said

_MAX_TITLE: Final = 120  # characters; whatever is longer was not meant to be read
_MAX_NOTE: Final = 600
_KNOWN: Final = tuple(words.KINDS)


@dataclass(frozen=True, slots=True)
class DatasetView:
    """A dataset as the pages tell of it."""

    anchor: str
    title: Said
    date: Moment | None
    source_note: Said
    authenticity_note: Said
    fields: tuple[str, ...]
    kinds: tuple[str, ...]
    rows_read: str
    rows_unread: str | None
    cells_unread: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WithdrawalView:
    """A dataset that was taken back, as the pages tell of it."""

    anchor: str
    name: str
    date: Moment
    reason: Said


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release as the pages tell of it; `crowds` says of how many numbers a bucket of each kind may hold one."""

    number: str
    created: Moment
    valid_until: Moment
    datasets: tuple[DatasetView, ...]
    withdrawn: tuple[WithdrawalView, ...]
    erasures: str | None
    kinds: tuple[str, ...]
    crowds: Mapping[str, str]


def view(manifest: Manifest, language: Language) -> ReleaseView:
    """Return what the pages tell of a release."""

    def moment(of: datetime) -> Moment:
        return day(of.date().isoformat(), language)

    asked = [kind for kind in words.KINDS if any(kind in dataset.kinds for dataset in manifest.datasets)]
    tables = [table for kind in words.KINDS if (table := manifest.table(kind))]
    return ReleaseView(
        number=str(manifest.release),
        created=moment(manifest.created),
        valid_until=moment(manifest.valid_until),
        datasets=tuple(_dataset(dataset, language) for dataset in manifest.datasets),
        withdrawn=tuple(
            WithdrawalView(
                anchor=f"file-{one.name}",
                name=one.name,
                date=day(one.date, language),
                reason=said(one.reason, language, _MAX_NOTE),
            )
            for one in manifest.withdrawn
        ),
        erasures=format_decimal(manifest.erasures, locale=language.locale) if manifest.erasures else None,
        kinds=tuple(asked),
        crowds={table.kind: format_decimal(table.population_min, locale=language.locale) for table in tables},
    )


def _dataset(dataset: Dataset, language: Language) -> DatasetView:
    unread = dataset.rows_read - dataset.rows_accepted
    return DatasetView(
        anchor=f"file-{dataset.name}",
        title=said(dataset.title, language, _MAX_TITLE, dataset.name),
        date=day(dataset.date, language) if dataset.date else None,
        source_note=said(dataset.source_note, language, _MAX_NOTE),
        authenticity_note=said(dataset.authenticity_note, language, _MAX_NOTE),
        fields=dataset.fields,
        kinds=tuple(sorted(dataset.kinds, key=_order)),
        rows_read=format_decimal(dataset.rows_read, locale=language.locale),
        rows_unread=format_decimal(unread, locale=language.locale) if unread > 0 else None,
        cells_unread={
            kind: format_decimal(count, locale=language.locale)
            for kind in words.KINDS
            if (count := sum(dataset.identifiers_rejected.get(kind, {}).values()))
        },
    )


def _order(kind: str) -> tuple[int, str]:
    return (_KNOWN.index(kind) if kind in _KNOWN else len(_KNOWN), kind)


def anchor(name: str) -> str:
    """Return the name as the address of a place in a page: `Phone numbers` is `phone-numbers`."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
