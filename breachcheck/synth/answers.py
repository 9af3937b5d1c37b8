"""The answers file: one line for each identifier that stands validly in a row."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TextIO

from breachcheck.exposure import names_of
from breachcheck.synth import truth as tied
from breachcheck.synth.population import Population
from breachcheck.synth.truth import SECOND_SHIFT, Truth

KINDS: Final = ("national_id", "social_security", "phone", "bank_account", "email")
DATASETS: Final = ("cnss", "bank")
_ONE: Final = (1 << SECOND_SHIFT) - 1


@dataclass(slots=True)
class Counts:
    """How many identifiers there are of each kind, and how many of all are shared."""

    kinds: dict[str, int]
    shared: int = 0


@lru_cache(4096)
def _listed(mask: int) -> str:
    return json.dumps(names_of(mask), ensure_ascii=False)


@lru_cache(4096)
def _end(mask: int, shared: bool, by_dataset: bool) -> str:
    """Return the rest of a line after the identifier."""
    masks = (mask & _ONE, mask >> SECOND_SHIFT)
    text = f'", "exposed": {_listed(masks[0] | masks[1])}'
    if by_dataset:
        breaches = (f'"{name}": {_listed(one)}' for name, one in zip(DATASETS, masks, strict=True) if one)
        text += f', "breaches": {{{", ".join(breaches)}}}'
    return text + (', "shared": true}\n' if shared else "}\n")


_Answer = tuple[str, str, int, bool]  # kind, identifier, mask, shared


def _linking(population: Population, truth: Truth, person: int) -> Iterator[_Answer]:
    cin, cnss, new_cnss = truth.groups(person)
    if truth.cin[person]:
        yield "national_id", "".join(population.cin(person)), cin[1], False
    if truth.cnss[person]:
        yield "social_security", population.cnss(person), cnss[1], False
    if truth.new_cnss[person]:
        yield "social_security", population.new_cnss(person), new_cnss[1], False


def _answers(population: Population, truth: Truth) -> Iterator[_Answer]:
    weak: tuple[tuple[str, int, array[int], Callable[[int], str]], ...] = (
        ("phone", tied.PHONE, truth.phone, lambda person: f"0{population.phone(person)}"),
        ("bank_account", tied.RIB, truth.rib, population.rib),
        ("bank_account", tied.SECOND_RIB, truth.second_rib, population.second_rib),
        ("email", tied.EMAIL, truth.email, population.email),
    )
    held = [each for each in weak if each[2]]
    for person in range(population.everybody):
        yield from _linking(population, truth, person)
        for kind, shift, masks, spell in held:
            if own := masks[person]:
                yield kind, spell(person), *truth.with_person(own, person, shift)
    contacts: tuple[tuple[str, int, array[int], Callable[[int], str]], ...] = (
        ("phone", tied.CONTACT_PHONE, truth.contact_phone, lambda employer: f"0{population.contact_phone(employer)}"),
        ("email", tied.CONTACT_EMAIL, truth.contact_email, population.contact_email),
    )
    for employer in range(population.employers):
        for kind, shift, masks, spell in contacts:
            if own := masks[employer]:
                yield kind, spell(employer), *truth.with_people(own, employer, shift)
    if truth.placeholder_cin:
        yield "national_id", "".join(population.no_cin()), truth.placeholder_cin, True
    if truth.placeholder_cnss:
        yield "social_security", population.no_cnss(), truth.placeholder_cnss, True


def write_answers(population: Population, truth: Truth, file: TextIO, *, by_dataset: bool) -> Counts:
    """Write the lines: people's, then employers', then placeholders'. Return their counts."""
    counts = Counts(dict.fromkeys(KINDS, 0))
    for kind, identifier, mask, shared in _answers(population, truth):
        # Every identifier's spelling is plain ASCII in which JSON escapes nothing.
        file.write(f'{{"kind": "{kind}", "identifier": "{identifier}{_end(mask, shared, by_dataset)}')
        counts.kinds[kind] += 1
        counts.shared += shared
    return counts
