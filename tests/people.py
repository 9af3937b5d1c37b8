"""A second opinion about what a leak exposes: slow, simple, from the rows as they were written.

It shares nothing with the generator but the statement of the rules; it reads with the mapping and the rule file.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass
from breachcheck.ingest.mapping import Mapping as Rules
from breachcheck.ingest.mapping import read_mapping
from breachcheck.protocol.identifier import KINDS

Key = tuple[str, str]  # kind and canonical form


@dataclass(frozen=True)
class Answer:
    exposed: dict[str, list[str]]  # by dataset
    shared: bool = False


Answers = dict[Key, Answer]


@dataclass(frozen=True)
class ReadRow:
    dataset: str
    keys: frozenset[Key]
    classes: frozenset[str]


def read_row(row: Mapping[str, str], mapping: Rules, dataset: str) -> ReadRow:
    """The row as the dataset's mapping has it read, with the canonical forms of the rule file."""
    keys, classes = set(), set()
    for column in mapping.column:
        cell = row.get(column.header[0], "")
        zero = column.zero_is_absent and not cell.strip().strip("0.,")
        words = {word.lower() for word in (*mapping.absent, *column.absent)}
        if column.ignore or zero or cell.strip().lower() in words:
            continue
        if column.data_class:
            classes.add(str(column.data_class))
        for kind in column.kind:
            with suppress(InputError):
                keys.add((kind, KINDS[kind].canonical(cell)))
            classes.add(KINDS[kind].data_class)  # a value that is no valid key is exposed all the same
    return ReadRow(dataset, frozenset(keys), frozenset(classes))


def read_rows(file: Path, dataset: str) -> Iterator[ReadRow]:
    """The rows of a file that any reader of CSV can read."""
    mapping = read_mapping(dataset)
    with file.open(encoding=mapping.encoding or "utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines, delimiter=mapping.delimiter or ";", strict=True):
            yield read_row(row, mapping, dataset)


def true_answers(files: dict[str, Path]) -> Answers:
    """What each identifier of the files of one leak exposes, by dataset."""
    return by_people([row for dataset, file in files.items() for row in read_rows(file, dataset)])


def by_people(rows: Sequence[ReadRow]) -> Answers:
    """What each identifier exposes by the rule of people, from all rows of one leak."""
    linking = {"national_id", "social_security"}
    sets: defaultdict[Key, set[frozenset[Key]]] = defaultdict(set)
    for row in rows:
        own = frozenset(key for key in row.keys if key[0] in linking)
        for key in own:
            sets[key].add(own)
    cut = {key for key, several in sets.items() if len(several) > 16}

    leader: dict[Key, Key] = {}

    def find(key: Key) -> Key:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    def links(row: ReadRow) -> list[Key]:
        return [key for key in row.keys if key[0] in linking and key not in cut]

    for row in rows:
        for one, other in pairwise(links(row)):
            leader[find(other)] = find(one)

    by_person: defaultdict[Key, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    by_key: defaultdict[Key, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    people_of: defaultdict[Key, set[Key]] = defaultdict(set)
    for row in rows:
        person = {find(key) for key in links(row)}
        for each in person:
            by_person[each][row.dataset] |= row.classes
        for key in row.keys:
            by_key[key][row.dataset] |= row.classes
            people_of[key] |= person
    datasets = dict.fromkeys(row.dataset for row in rows)
    answers = {}
    for key, held in by_key.items():
        shared = key in cut or len(people_of[key]) > 1
        persons = [] if shared else [by_person[each] for each in people_of[key]]
        exposed = {
            dataset: [
                str(each) for each in DataClass if any(str(each) in one.get(dataset, ()) for one in (held, *persons))
            ]
            for dataset in datasets
        }
        answers[key] = Answer({dataset: names for dataset, names in exposed.items() if names}, shared)
    return answers


def written_answers(file: Path) -> Answers:
    answers = {}
    for answer in map(json.loads, file.read_text("utf-8").splitlines()):
        key = answer["kind"], KINDS[answer["kind"]].canonical(answer["identifier"])
        assert key not in answers
        by_dataset = answer.get("breaches", {"cnss": answer["exposed"]})
        assert set(answer["exposed"]) == set(chain.from_iterable(by_dataset.values()))
        answers[key] = Answer(by_dataset, answer.get("shared", False))
    return answers
