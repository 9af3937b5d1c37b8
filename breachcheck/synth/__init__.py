"""Write a synthetic leak in the shape of the CNSS files, and beside it the truth: what each identifier of it exposes.

Nobody in it exists. Common first names and family names are combined at random, numbers are drawn from realistic ranges
(one may be assigned by chance), e-mail addresses stand under names reserved for examples (RFC 2606, RFC 6761), foreign
phones in the range France keeps for fiction.

The truth is known by construction: for each cell the generator knows the clean value, the spelling it chose, and
whether that spelling is valid. It never canonicalises, so its answers test whoever does.

A person's clean values are computed from the person's number by seeded one-to-one mappings. Two people, or a person and
an employer, never share an identifier by accident, and no set of those already used is kept.

Memory: at most 24 bytes a person (8 of profile, 10 of masks, under 1 of masks of employers' contacts, and spare room of
the arrays), nothing a row, and fixed buffers. Equal (people, seed) give equal bytes, whatever the version of Python:
only `random()` and `getrandbits()` of `random.Random` are used, whose sequences are fixed.
"""

from __future__ import annotations

import csv
import json
import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Never, TextIO, TypeVar

from breachcheck.errors import InputError
from breachcheck.exposure import names_of
from breachcheck.synth.population import (
    BOTH_EMPLOYER_CELLS_MISSING,
    CONTACT_INSTEAD,
    DUPLICATED,
    MAX_PEOPLE,
    MONTHS,
    NO_CIN,
    NO_EMAIL,
    NO_PHONE,
    NO_RIB,
    NO_SALARY,
    PERIODS,
    SHARED_EMAIL,
    SHARED_PHONE,
    Population,
    Truth,
    coprime,
    nonmember,
)
from breachcheck.synth.spellings import (
    AFFILIATION,
    CIN,
    CNSS,
    EMAIL,
    EMPLOYER,
    NAME,
    PHONE,
    RIB,
    SALARY,
    SLOT_BITS,
    TABLES,
    Column,
    Spelling,
)

__all__ = ["COLUMNS", "MAX_PEOPLE", "SynthReport", "generate", "nonmember"]

COLUMNS: Final = (
    "N_Num_Affilie",
    "L_Raison_Sociale",
    "L_Periode",
    "N_Num_Assure",
    "L_Nom_Prenom",
    "L_Num_CIN",
    "N_Tel",
    "L_Email",
    "N_RIB",
    "N_Jours_Declares",
    "N_Salaire_Reel",
)
_BUFFER: Final = 1 << 18
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SynthReport:
    """What was written.

    `rows` counts data rows, `duplicates` those among them that repeat an earlier row byte for byte. `identifiers`
    counts answers by kind. `rejected` counts by kind the cells that hold something which is no valid identifier; blanks
    and placeholders are not among them. `forms` counts every cell by column and by the name of its spelling.
    """

    people: int
    employers: int
    rows: int
    duplicates: int
    identifiers: Mapping[str, int]
    rejected: Mapping[str, int]
    forms: Mapping[str, Mapping[str, int]]


_Tally = Counter[Spelling[Never]]


class _Rows:
    """Draws rows, and enters what each exposes into the truth."""

    def __init__(self, population: Population, truth: Truth, rng: random.Random) -> None:
        self._population = population
        self._truth = truth
        self._random = rng.random
        self._bits = rng.getrandbits

    def _cell(
        self, column: Column[_T], clean: Callable[[int], _T], holder: int, missing: int = False
    ) -> tuple[str, Spelling[_T]]:
        """Return the holder's clean value in a spelling drawn from the column, and that spelling."""
        slot = self._bits(SLOT_BITS)
        spelling = column.slots[slot % column.gap if missing else slot]
        if spelling.blank is not None:
            return spelling.blank, spelling
        return spelling.write(clean(holder)), spelling

    def row(self, person: int, month: int) -> tuple[tuple[str, ...], tuple[Spelling[Never], ...]]:
        """Return the person's row of the month, and the spellings chosen."""
        population, truth, cell, roll = self._population, self._truth, self._cell, self._random
        profile = population.profiles[person]
        employer = population.employer(person)
        phone_of, phones, phone_holder = population.phone, truth.phone, person
        if profile & SHARED_PHONE and roll() < CONTACT_INSTEAD:
            phone_of, phones, phone_holder = population.contact_phone, truth.contact_phone, employer
        email_of, emails, email_holder = population.email, truth.email, person
        if profile & SHARED_EMAIL and roll() < CONTACT_INSTEAD:
            email_of, emails, email_holder = population.contact_email, truth.contact_email, employer
        nameless = roll() < BOTH_EMPLOYER_CELLS_MISSING

        affiliation, as_affiliation = cell(AFFILIATION, population.affiliation, employer, nameless)
        name_of_employer, as_employer = cell(EMPLOYER, population.employer_name, employer, nameless)
        cnss, as_cnss = cell(CNSS, population.cnss, person)
        name, as_name = cell(NAME, population.name, person)
        cin, as_cin = cell(CIN, population.cin, person, profile & NO_CIN)
        phone, as_phone = cell(PHONE, phone_of, phone_holder, profile & NO_PHONE)
        email, as_email = cell(EMAIL, email_of, email_holder, profile & NO_EMAIL)
        rib, as_rib = cell(RIB, population.rib, person, profile & NO_RIB)
        salary, as_salary = cell(SALARY, self._month_salary, person, profile & NO_SALARY)
        days = "26" if roll() < 0.7 else str(int(roll() * 27))

        mask = as_affiliation.mask | as_employer.mask | as_cnss.mask | as_name.mask | as_cin.mask
        mask |= as_phone.mask | as_email.mask | as_rib.mask | as_salary.mask
        if as_cnss.mask:
            truth.cnss[person] |= mask
        if as_cin.mask:
            truth.cin[person] |= mask
        if as_phone.mask:
            phones[phone_holder] |= mask
        if as_email.mask:
            emails[email_holder] |= mask
        if as_rib.mask:
            truth.rib[person] |= mask
        return (
            (affiliation, name_of_employer, PERIODS[month], cnss, name, cin, phone, email, rib, days, salary),
            (as_affiliation, as_employer, as_cnss, as_name, as_cin, as_phone, as_email, as_rib, as_salary),
        )

    def _month_salary(self, person: int) -> str:
        base = self._population.salary(person)
        return f"{base + int(self._random() * 900)}.{int(self._random() * 100):02d}"


def _write_rows(population: Population, truth: Truth, rng: random.Random, file: TextIO) -> tuple[int, _Tally]:
    """Write every person's rows month by month, in an order of the month's own; return duplicates and spellings."""
    writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
    writer.writerow(COLUMNS)
    rows = _Rows(population, truth, rng)
    profiles = population.profiles
    tally: _Tally = Counter()
    duplicates = 0
    held = None  # one row waits to be repeated, so that a duplicate rarely stands beside its original

    for month in range(MONTHS):
        step = coprime(rng, population.people)
        person = rng.getrandbits(64) % population.people
        for _ in range(population.people):
            person = (person + step) % population.people
            if not profiles[person] >> month & 1:
                continue
            drawn = rows.row(person, month)
            pending = [drawn]
            if rng.random() < DUPLICATED:
                if held is not None:
                    pending.append(held)
                    duplicates += 1
                held = drawn
            for cells, forms in pending:
                writer.writerow(cells)
                tally.update(forms)
    return duplicates, tally


@cache
def _exposed(mask: int) -> str:
    """Return the names of the mask's fields as JSON."""
    return json.dumps(names_of(mask), ensure_ascii=False)


def _write_answers(population: Population, truth: Truth, file: TextIO) -> dict[str, int]:
    """Write one line for each identifier that stands validly in a row, people first, and return their count by kind."""
    personal: tuple[tuple[str, array[int], Callable[[int], str]], ...] = (
        ("national_id", truth.cin, lambda person: "".join(population.cin(person))),
        ("social_security", truth.cnss, population.cnss),
        ("phone", truth.phone, lambda person: f"0{population.phone(person)}"),
        ("bank_account", truth.rib, population.rib),
        ("email", truth.email, population.email),
    )
    shared: tuple[tuple[str, array[int], Callable[[int], str]], ...] = (
        ("phone", truth.contact_phone, lambda employer: f"0{population.contact_phone(employer)}"),
        ("email", truth.contact_email, population.contact_email),
    )
    counts = {kind: 0 for kind, _, _ in personal}
    for holders, sources in ((population.people, personal), (population.employers, shared)):
        for holder in range(holders):
            for kind, masks, spell in sources:
                if mask := masks[holder]:
                    # Every identifier's spelling is plain ASCII in which JSON escapes nothing.
                    file.write(f'{{"kind": "{kind}", "identifier": "{spell(holder)}", "exposed": {_exposed(mask)}}}\n')
                    counts[kind] += 1
    return counts


def _report(population: Population, duplicates: int, tally: _Tally, identifiers: Mapping[str, int]) -> SynthReport:
    forms: dict[str, dict[str, int]] = {column.name: {} for column in TABLES}
    rejected: dict[str, int] = dict.fromkeys(identifiers, 0)
    for column in TABLES:
        spellings: Iterable[Spelling[Never]] = dict.fromkeys(column.slots)
        for spelling in spellings:
            forms[column.name][spelling.name] = tally[spelling]
            if column.kind and not spelling.mask and spelling.blank is None:
                rejected[column.kind] += tally[spelling]
    rows = sum(forms["N_Num_Assure"].values())
    return SynthReport(population.people, population.employers, rows, duplicates, identifiers, rejected, forms)


def generate(people: int, seed: int, out: Path, answers: Path) -> SynthReport:
    """Write the leak of `people` people to `out` and the truth about it to `answers`, replacing both.

    `out` is CSV after RFC 4180 with `;` between cells, in UTF-8 with a byte order mark. `answers` is UTF-8 JSON lines:
    {"kind": "phone", "identifier": "0612345678", "exposed": ["Phone numbers", "Earnings"]}, one for each identifier
    that stands validly in a row, with the fields of all rows in which it does, in the order of `DataClass`.

    Raises:
        InputError: `out_of_range` outside 1 to `MAX_PEOPLE` people, or for a negative seed; `same_file` when both are
            to be written to one file.
    """
    if not 1 <= people <= MAX_PEOPLE:
        raise InputError("out_of_range", f"the number of people is from 1 to {MAX_PEOPLE}")
    if seed < 0:  # random.Random takes -1 for 1: two seeds would give one file
        raise InputError("out_of_range", "the seed is not below 0")
    if out.resolve() == answers.resolve():
        raise InputError("same_file", "the leak and its answers are written to two files")
    rng = random.Random(seed)
    population = Population(people, rng)
    truth = Truth(people, population.employers)
    with out.open("w", encoding="utf-8-sig", newline="", buffering=_BUFFER) as file:
        duplicates, tally = _write_rows(population, truth, rng, file)
    with answers.open("w", encoding="utf-8", newline="\n", buffering=_BUFFER) as file:
        identifiers = _write_answers(population, truth, file)

    return _report(population, duplicates, tally, identifiers)
