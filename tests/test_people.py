"""Who is one person: what DuckDB makes of rows is what the rules say, told here once more and slowly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breachcheck.exposure import Flag
from breachcheck.store import people, schema

MAX_SETS, MAX_CROWD = 3, 2  # few enough that small worlds have hubs and crowds

Identifier = tuple[str, bytes]
Shown = dict[tuple[Identifier, str], tuple[int, int]]


class Row(NamedTuple):
    """A row of one run: its strong and weak identifiers, those of the employer, and its field mask."""

    run: int
    strong: frozenset[Identifier]
    weak: frozenset[Identifier]
    employer: frozenset[Identifier]
    fields: int

    @property
    def dataset(self) -> str:
        return f"dataset {self.run % 2}"  # so that two runs may be of one


def _some(kind: str, most: int) -> st.SearchStrategy[frozenset[Identifier]]:
    one = st.integers(0, 7).map(lambda number: (kind, bytes([number])))
    return st.frozensets(one, max_size=most)


ROWS = st.lists(
    st.builds(
        Row,
        run=st.integers(0, 2),
        strong=st.builds(frozenset.union, _some("national_id", 2), _some("social_security", 1)),
        weak=_some("phone", 2),
        employer=st.builds(frozenset.union, _some("phone", 1), _some("national_id", 1)),
        fields=st.integers(0, 15),
    ),
    max_size=14,
)


def _gathered(rows: Sequence[Row]) -> tuple[people.People, Shown]:
    exposures = []
    marks: dict[tuple[int, frozenset[Identifier]], int] = {}
    for row in rows:
        # Rows of a run have one mark if their strong identifiers are the same, and 0 if they have none.
        mark = marks.setdefault((row.run, row.strong), len(marks) + 1) if row.strong else 0
        for flags, identifiers in ((0, row.strong | row.weak), (int(Flag.EMPLOYER), row.employer)):
            for kind, output in identifiers:
                linking = not flags and (kind, output) in row.strong
                exposures.append(
                    (str(row.run), row.dataset, kind, output, output[0], linking, 7, mark, row.fields, flags)
                )
    with duckdb.connect() as database:
        database.execute(schema.LEDGER)
        if exposures:
            columns = zip(*exposures, strict=True)
            database.register("rows", pa.table([*columns], names=[f"column{at}" for at in range(10)]))
            database.execute("INSERT INTO exposure FROM rows")
        found = people.gather(database)
        lines = database.execute("SELECT kind, output, dataset, fields, flags, locator FROM sealable").fetchall()
    shown = {((kind, output), dataset): (fields, flags) for kind, output, dataset, fields, flags, _ in lines}
    assert len(shown) == len(lines)
    assert all(locator == output[0] for _, output, *_, locator in lines)
    return found, shown


def _by_the_rules(rows: Sequence[Row]) -> tuple[people.People, Shown]:
    sets = defaultdict(set)
    for row in rows:
        for one in row.strong:
            sets[one].add(row.strong)
    hubs = {one for one, different in sets.items() if len(different) > MAX_SETS}
    components: list[set[Identifier]] = []
    for row in rows:
        if links := set(row.strong - hubs):
            touched = [component for component in components if component & links]
            components = [component for component in components if not component & links]
            components.append(links.union(*touched))
    of = {one: at for at, component in enumerate(components) for one in component}
    people_of = [next((of[one] for one in row.strong - hubs), None) for row in rows]
    held = defaultdict(set)
    for row, at in zip(rows, people_of, strict=True):
        held[at].add(row.strong - hubs)
    crowds = {at for at in range(len(components)) if len(held[at]) > MAX_CROWD}

    whole: dict[tuple[int, str], int] = defaultdict(int)
    own: Shown = {}
    stands: dict[Identifier, set[int]] = defaultdict(set)
    shared = set(hubs)
    for row, at in zip(rows, people_of, strict=True):
        if at is not None and at not in crowds:
            whole[at, row.dataset] |= row.fields
            for one in row.strong | row.weak:
                stands[one].add(at)
        for flag, identifiers in ((0, row.strong | row.weak), (int(Flag.EMPLOYER), row.employer)):
            for one in identifiers:
                fields, flags = own.get((one, row.dataset), (0, 0))
                own[one, row.dataset] = (fields | row.fields, flags | flag)
                if at in crowds:
                    shared.add(one)
    shared |= {one for one, several in stands.items() if len(several) > 1}
    shown: Shown = {}
    for (one, dataset), (fields, flags) in own.items():
        shown[one, dataset] = (fields, flags | (int(Flag.SHARED) if one in shared else 0))
    for one in stands.keys() - shared:
        for (at, dataset), fields in whole.items():
            if at in stands[one]:
                before, flags = shown.get((one, dataset), (0, 0))
                shown[one, dataset] = (before | fields, flags)
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for (_, dataset), fields in whole.items():
        counts[dataset][fields] += 1
    told = {dataset: dict(masks) for dataset, masks in counts.items()}
    return people.People(len({at for at, _ in whole}), len(hubs), len(crowds), len(shared), told), shown


@settings(max_examples=120, deadline=None)
@given(rows=ROWS)
def test_what_each_identifier_shows_is_what_the_rules_say(rows: list[Row]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "MAX_SETS", MAX_SETS)
        patch.setattr(people, "MAX_CROWD", MAX_CROWD)
        assert _gathered(rows) == _by_the_rules(rows)
