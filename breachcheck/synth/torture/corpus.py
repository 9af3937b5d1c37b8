"""Rows of the payroll return, files of them, and what is to become of each row."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from breachcheck.exposure import names_of
from breachcheck.synth.payroll import COLUMNS
from breachcheck.synth.population import NO_CIN, NO_EMAIL, NO_PHONE, NO_RIB, PERIODS, SHARED_PHONE, Population
from breachcheck.synth.spellings import TABLES, Spelling

LINK_BOUND: Final = 16  # a number that stands with more sets of linking numbers is nobody's
_PEOPLE: Final = 900  # below the number from which placeholders stand in a population
_AGAIN: Final = 0.3  # of the rows are about somebody who stood in one before
_LINKING: Final = ("national_id", "social_security")
_SPELLINGS: Final[Mapping[str, Mapping[str, Spelling[Any]]]] = {
    column.name: {spelling.name: spelling for spelling in column.slots} for column in TABLES
}
_KINDS: Final = {column.name: column.kind for column in TABLES}

Key = tuple[str, str]  # kind and identifier, as people spell it


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """A row's cells in the order of `COLUMNS`, the identifiers in it, and the fields. Its `repr` is blank."""

    cells: tuple[str, ...]
    held: tuple[Key, ...]
    mask: int

    def __repr__(self) -> str:
        return "<row>"


class Corpus:
    """Who stands where, and what was written."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.population = Population(_PEOPLE, self.rng)
        self.accepted: list[Row] = []
        self.files: list[dict[str, Any]] = []
        self._next = 0
        self._usual: list[int] = []

    def fresh(self) -> int:
        """Return somebody who stood nowhere before."""
        self._next += 1
        return self._next - 1

    def somebody(self) -> int:
        """Return somebody of the accepted rows, or somebody fresh."""
        if self._usual and self.rng.random() < _AGAIN:
            return self._usual[int(self.rng.random() * len(self._usual))]
        person = self.fresh()
        self._usual.append(person)
        return person

    def row(
        self,
        person: int | None = None,
        *,
        spelled: Mapping[str, str] | None = None,
        good: Mapping[str, str] | None = None,
        bad: Mapping[str, str] | None = None,
        held: Mapping[str, str] | None = None,
    ) -> Row:
        """Return a row of the person's, or of somebody's.

        By column, `spelled` names a spelling of the tables, `good` is a text that says what the clean value does, and
        `bad` one that is nothing of its kind. `held` tells of a `good` text that it says another identifier than the
        person's.
        """
        if person is None:
            while not (row := self.row(self.somebody(), spelled=spelled, good=good, bad=bad)).held:
                continue
            return row
        population = self.population
        employer, profile = population.employer(person), population.profiles[person]
        contact = bool(profile & SHARED_PHONE)
        phone = population.contact_phone(employer) if contact else population.phone(person)
        cin = population.cin(person)
        clean: dict[str, Any] = {
            "N_Num_Affilie": population.affiliation(employer),
            "L_Raison_Sociale": f"SOCIETE EXEMPLE {employer}",
            "N_Num_Assure": population.cnss(person),
            "L_Nom_Prenom": population.name(person),
            "L_Num_CIN": cin,
            "N_Tel": phone,
            "L_Email": population.email(person),
            "N_RIB": population.rib(person),
            "N_Salaire_Reel": f"{population.salary(person)}.{person % 100:02d}",
        }
        natural = {**clean, "L_Num_CIN": "".join(cin), "N_Tel": f"0{phone}"}
        missing = {"L_Num_CIN": NO_CIN, "N_Tel": NO_PHONE, "L_Email": NO_EMAIL, "N_RIB": NO_RIB}
        forms = {column: "empty" for column, flag in missing.items() if profile & flag} | dict(spelled or {})
        texts = {"L_Periode": PERIODS[person % 12], "N_Jours_Declares": "26"}
        natural |= held or {}
        mask, keys = 0, []
        for column, value in clean.items():
            spelling = _SPELLINGS[column][forms.get(column, "plain")]
            texts[column] = spelling.write(value) if spelling.blank is None else spelling.blank
            valid, exposed = spelling.valid, spelling.mask
            if good and column in good:
                texts[column], valid, exposed = good[column], True, _SPELLINGS[column]["plain"].mask
            if bad and column in bad:
                texts[column], valid, exposed = bad[column], False, _SPELLINGS[column]["plain"].mask
            mask |= exposed
            kind = _KINDS[column]
            if kind and valid:
                keys.append((kind, natural[column]))
        return Row(tuple(texts[column] for column in COLUMNS), tuple(keys), mask)

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield what each identifier exposes by the rule of people (`truth`)."""
        leader: dict[Key, Key] = {}

        def find(key: Key) -> Key:
            while leader.setdefault(key, key) != key:
                key = leader[key]
            return key

        linking = [[key for key in row.held if key[0] in _LINKING] for row in self.accepted]
        sets: defaultdict[Key, set[frozenset[Key]]] = defaultdict(set)
        for keys in linking:
            for key in keys:
                sets[key].add(frozenset(keys))
        cut = {key for key, several in sets.items() if len(several) > LINK_BOUND}
        linking = [[key for key in keys if key not in cut] for keys in linking]
        for keys in linking:
            for key in keys[1:]:
                leader[find(key)] = find(keys[0])
        by_person: defaultdict[Key, int] = defaultdict(int)
        by_key: defaultdict[Key, int] = defaultdict(int)
        people: defaultdict[Key, set[Key]] = defaultdict(set)
        for row, keys in zip(self.accepted, linking, strict=True):
            for key in row.held:
                by_key[key] |= row.mask
            if keys:
                person = find(keys[0])
                by_person[person] |= row.mask
                for key in row.held:
                    people[key].add(person)
        for key, own in by_key.items():
            shared = key in cut or len(people[key]) > 1
            mask = own if shared else own | sum(by_person[each] for each in people[key])
            answer = {"kind": key[0], "identifier": key[1], "exposed": names_of(mask)}
            yield {**answer, "shared": True} if shared else answer


class File:
    """One CSV file while it is made: its text, and what is to become of each row."""

    def __init__(
        self,
        corpus: Corpus,
        name: str,
        *,
        delimiter: str = ";",
        end: str = "\r\n",
        columns: Sequence[str] = COLUMNS,
    ) -> None:
        self.corpus = corpus
        self._name = name
        self._delimiter = delimiter
        self._end = end
        self._columns = columns
        self._order = [COLUMNS.index(column) for column in columns]
        self.header = self.line(COLUMNS)
        self._parts = [self.header, end]
        self._accepted: list[Row] = []
        self._rejected: list[tuple[int, str]] = []

    def line(self, cells: Sequence[str]) -> str:
        """Return the record of cells in the order of `COLUMNS`, quoted where it must be, without a line end."""
        return self._delimiter.join(self._quoted(cells[place]) for place in self._order)

    def _quoted(self, text: str) -> str:
        if any(each in text for each in (self._delimiter, '"', "\r", "\n")):
            return '"' + text.replace('"', '""') + '"'
        return text

    def accept(self, row: Row, line: str | None = None, end: str | None = None) -> None:
        """Write the row, which is to be read; `line` is how it stands there, if not as usual."""
        self._accepted.append(row)
        self._parts += [self.line(row.cells) if line is None else line, self._end if end is None else end]

    def reject(self, reason: str, line: str, end: str | None = None) -> None:
        """Write a record that is to be rejected for the reason."""
        self._rejected.append((len(self._accepted) + len(self._rejected) + 1, reason))
        self._parts += [line, self._end if end is None else end]

    def rows(
        self,
        count: int,
        *,
        spelled: Mapping[str, str] | None = None,
        good: Mapping[str, str] | None = None,
        bad: Mapping[str, str] | None = None,
    ) -> None:
        """Write so many rows that are to be read."""
        for _ in range(count):
            self.accept(self.corpus.row(spelled=spelled, good=good, bad=bad))

    def text(self) -> str:
        """Return all of it."""
        return "".join(self._parts)

    def finish(self) -> str:
        """Return all of it, and enter what is to become of it into the truth. To be called once."""
        self.corpus.accepted += self._accepted
        self.corpus.files.append(
            {
                "file": self._name,
                "rows": len(self._accepted) + len(self._rejected),
                "accepted": len(self._accepted),
                "rejected": self._rejected,
            }
        )
        return self.text()
