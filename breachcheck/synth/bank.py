"""The second file of the leak: accounts at banks, in another shape, about some of the same people and about others."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

from breachcheck.synth import truth as tied
from breachcheck.synth.payroll import BUFFER, Cells
from breachcheck.synth.population import NO_CIN, PLACEHOLDER_CIN, Population, coprime
from breachcheck.synth.spellings import ACCOUNT, ADDRESS, BIRTH_DATE, CARD
from breachcheck.synth.truth import NEXT_HOLDS_RIB, SECOND_SHIFT, Truth

COLUMNS: Final = ("CIN", "RIB", "BANQUE", "ADRESSE", "DATE_NAISSANCE")
ENCODING: Final = "cp1256"
_CUSTOMER: Final = 0.6  # of the people of the first file
_SECOND_ACCOUNT: Final = 0.3  # of the rows
_SECOND_ROW: Final = 0.1  # of the customers
_JOINT_ACCOUNT: Final = 0.04  # of the rows: the account of the person before


def write_bank(population: Population, truth: Truth, rng: random.Random, out: Path) -> int:
    """Write the file to `out`, in an order of its own; return how many rows it has."""
    rows = 0
    cells, roll = Cells(rng), rng.random
    with out.open("w", encoding=ENCODING, newline="", buffering=BUFFER) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        step = coprime(rng, population.everybody)
        person = rng.getrandbits(64) % population.everybody
        for _ in range(population.everybody):
            person = (person + step) % population.everybody
            if person < population.people and roll() >= _CUSTOMER:
                continue
            for _ in range(1 + (roll() < _SECOND_ROW)):
                writer.writerow(_row(population, truth, cells, roll, person))
                rows += 1
    return rows


def _row(population: Population, truth: Truth, cells: Cells, roll: Callable[[], float], person: int) -> tuple[str, ...]:
    profile = population.profiles[person]
    rib_of, ribs, holder, tie = population.rib, truth.rib, person, 1 << tied.CIN << tied.RIB
    choice = roll()
    if choice < _SECOND_ACCOUNT:
        rib_of, ribs, tie = population.second_rib, truth.second_rib, 1 << tied.CIN << tied.SECOND_RIB
    elif choice < _SECOND_ACCOUNT + _JOINT_ACCOUNT and person:
        holder, tie = person - 1, NEXT_HOLDS_RIB
    unknown = profile & PLACEHOLDER_CIN
    cin, as_cin = cells.draw(CARD, population.no_cin if unknown else population.cin, person, profile & NO_CIN)
    rib, as_rib = cells.draw(ACCOUNT, rib_of, holder)
    address, as_address = cells.draw(ADDRESS, population.address, person)
    born, as_born = cells.draw(BIRTH_DATE, population.birth_date, person)

    mask = (as_cin.mask | as_rib.mask | as_address.mask | as_born.mask) << SECOND_SHIFT
    if as_cin.valid:
        if unknown:
            truth.placeholder_cin |= mask
        else:
            truth.cin[person] |= mask
    if as_rib.valid:
        ribs[holder] |= mask
        if as_cin.valid and not unknown:
            truth.ties[holder] |= tie
    return cin, rib, population.bank(person), address, born
