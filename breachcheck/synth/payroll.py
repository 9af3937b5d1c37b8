"""The first file: payroll returns, month by month."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Never, TextIO, TypeVar

from breachcheck.synth import truth as tied
from breachcheck.synth.population import (
    BOTH_EMPLOYER_CELLS_MISSING,
    CONFUSED,
    CONTACT_INSTEAD,
    DUPLICATED,
    MONTHS,
    NEW_NUMBER,
    NEXT_CARD,
    NO_CIN,
    NO_EMAIL,
    NO_PHONE,
    NO_RIB,
    NO_SALARY,
    PERIODS,
    PLACEHOLDER_CIN,
    PLACEHOLDER_CNSS,
    RENUMBERED,
    SHARED_EMAIL,
    SHARED_PHONE,
    Population,
    coprime,
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
    Column,
    Spelling,
)
from breachcheck.synth.truth import CIN_TO_CNSS, CIN_TO_NEW_CNSS, NEXT_CIN_TO_CNSS, NEXT_CIN_TO_NEW_CNSS, Truth

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
BUFFER: Final = 1 << 18
_COPIED: Final = 1 << 22  # octets at a time
_T = TypeVar("_T")

Tally = Counter[Spelling[Never]]


class Cells:
    """Draws how a clean value is spelled."""

    def __init__(self, rng: random.Random) -> None:
        self._bits = rng.getrandbits

    def draw(
        self, column: Column[_T], clean: Callable[[int], _T], holder: int, missing: int = False
    ) -> tuple[str, Spelling[_T]]:
        """Return the holder's clean value in a spelling drawn from the column, and that spelling."""
        slot = self._bits(SLOT_BITS)
        spelling = column.slots[slot % column.gap if missing else slot]
        if spelling.blank is not None:
            return spelling.blank, spelling
        return spelling.write(clean(holder)), spelling


class _Rows:
    """Draws rows, and enters what each exposes and ties together into the truth."""

    def __init__(self, population: Population, truth: Truth, rng: random.Random) -> None:
        self._population = population
        self._truth = truth
        self._random = rng.random
        self._cell = Cells(rng).draw

    def row(self, person: int, month: int) -> tuple[tuple[str, ...], tuple[Spelling[Never], ...]]:
        """Return the person's row of the month, and the spellings chosen."""
        population, truth, cell, roll = self._population, self._truth, self._cell, self._random
        profile = population.profiles[person]
        employer = population.employer(person)
        phone_of, phones, phone_holder, phone_shift = population.phone, truth.phone, person, tied.PHONE
        if profile & SHARED_PHONE and roll() < CONTACT_INSTEAD:
            phone_of, phones, phone_holder = population.contact_phone, truth.contact_phone, employer
            phone_shift = tied.CONTACT_PHONE
        email_of, emails, email_holder, email_shift = population.email, truth.email, person, tied.EMAIL
        if profile & SHARED_EMAIL and roll() < CONTACT_INSTEAD:
            email_of, emails, email_holder = population.contact_email, truth.contact_email, employer
            email_shift = tied.CONTACT_EMAIL
        cnss_of, cnss_masks, cnss_node = population.cnss, truth.cnss, tied.CNSS
        if profile & RENUMBERED and roll() < NEW_NUMBER:
            cnss_of, cnss_masks, cnss_node = population.new_cnss, truth.new_cnss, tied.NEW_CNSS
        cin_of, cin_holder = population.cin, person
        if profile & PLACEHOLDER_CNSS:
            cnss_of = population.no_cnss
        if profile & PLACEHOLDER_CIN:
            cin_of = population.no_cin
        nameless = roll() < BOTH_EMPLOYER_CELLS_MISSING

        affiliation, as_affiliation = cell(AFFILIATION, population.affiliation, employer, nameless)
        name_of_employer, as_employer = cell(EMPLOYER, population.employer_name, employer, nameless)
        cnss, as_cnss = cell(CNSS, cnss_of, person)
        name, as_name = cell(NAME, population.name, person)
        # Beside a valid number only: a row about the next person alone would give that one this one's contacts.
        if profile & CONFUSED and as_cnss.valid and person + 1 < population.people and roll() < NEXT_CARD:
            cin_holder = person + 1
        cin, as_cin = cell(CIN, cin_of, cin_holder, profile & NO_CIN)
        phone, as_phone = cell(PHONE, phone_of, phone_holder, profile & NO_PHONE)
        email, as_email = cell(EMAIL, email_of, email_holder, profile & NO_EMAIL)
        rib, as_rib = cell(RIB, population.rib, person, profile & NO_RIB)
        salary, as_salary = cell(SALARY, self._month_salary, person, profile & NO_SALARY)
        days = "26" if roll() < 0.7 else str(int(roll() * 27))

        mask = as_affiliation.mask | as_employer.mask | as_cnss.mask | as_name.mask | as_cin.mask
        mask |= as_phone.mask | as_email.mask | as_rib.mask | as_salary.mask
        ties = node = 0
        if as_cin.valid:
            if profile & PLACEHOLDER_CIN:
                truth.placeholder_cin |= mask
            else:
                truth.cin[cin_holder] |= mask
                node = 1 << tied.CIN
        if as_cnss.valid:
            if profile & PLACEHOLDER_CNSS:
                truth.placeholder_cnss |= mask
            else:
                cnss_masks[person] |= mask
                if node:
                    ties = CIN_TO_CNSS if cnss_node == tied.CNSS else CIN_TO_NEW_CNSS
                    if cin_holder != person:
                        ties = NEXT_CIN_TO_CNSS if cnss_node == tied.CNSS else NEXT_CIN_TO_NEW_CNSS
                node = 1 << cnss_node
        if as_phone.valid:
            phones[phone_holder] |= mask
            ties |= node << phone_shift
        if as_email.valid:
            emails[email_holder] |= mask
            ties |= node << email_shift
        if as_rib.valid:
            truth.rib[person] |= mask
            ties |= node << tied.RIB
        truth.ties[person] |= ties
        return (
            (affiliation, name_of_employer, PERIODS[month], cnss, name, cin, phone, email, rib, days, salary),
            (as_affiliation, as_employer, as_cnss, as_name, as_cin, as_phone, as_email, as_rib, as_salary),
        )

    def _month_salary(self, person: int) -> str:
        base = self._population.salary(person)
        return f"{base + int(self._random() * 900)}.{int(self._random() * 100):02d}"


def write_payroll(
    population: Population, truth: Truth, rng: random.Random, out: Path, months: int | None, *, steady: bool
) -> tuple[int, Tally]:
    """Write every person's rows to `out`; return how many are duplicates, and how often each spelling stands there.

    With `months`, everybody stands in each of so many; otherwise in one to twelve. With `steady`, all months are the
    first one but for their name.
    """
    with out.open("w", encoding="utf-8-sig", newline="", buffering=BUFFER) as file:
        csv.writer(file, delimiter=";", lineterminator="\r\n").writerow(COLUMNS)
        file.flush()
        start = out.stat().st_size
        drawn = 1 if steady else months or MONTHS
        duplicates, tally = _write_months(population, truth, rng, file, drawn, whole=steady or months is not None)
    if steady:
        copies, end = months or MONTHS, out.stat().st_size
        for month in range(1, copies):
            _copy_month(out, start, end, month)
        duplicates *= copies
        for spelling in tally:
            tally[spelling] *= copies
    return duplicates, tally


def _write_months(
    population: Population, truth: Truth, rng: random.Random, file: TextIO, months: int, *, whole: bool
) -> tuple[int, Tally]:
    """Write the months one after the other, each in an order of its own; `whole` if everybody stands in each."""
    writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
    rows = _Rows(population, truth, rng)
    profiles = population.profiles
    tally: Tally = Counter()
    duplicates = 0
    held = None  # one row waits to be repeated, so that a duplicate rarely stands beside its original

    for month in range(months):
        step = coprime(rng, population.people)
        person = rng.getrandbits(64) % population.people
        for _ in range(population.people):
            person = (person + step) % population.people
            if not whole and not profiles[person] >> month & 1:
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


def _copy_month(out: Path, start: int, end: int, month: int) -> None:
    """Append the first month, which stands in octets `start` to `end`, under another month's name."""
    # Nothing else reads like a month, but a CIN that lost its letters: that is no valid one under any name.
    first, name = (f";{PERIODS[each]};".encode() for each in (0, month))
    with out.open("rb") as source, out.open("ab") as target:
        source.seek(start)
        rest = b""
        while source.tell() < end:
            piece = rest + source.read(min(_COPIED, end - source.tell()))
            cut = piece.rindex(b"\n") + 1
            target.write(piece[:cut].replace(first, name))
            rest = piece[cut:]
