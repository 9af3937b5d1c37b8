"""Write a synthetic leak in the shape of the CNSS files, and beside it the truth: what each identifier of it exposes.

Nobody in it exists. Common first names and family names are combined at random, numbers are drawn from realistic ranges
(one may be assigned by chance), e-mail addresses stand under names reserved for examples (RFC 2606, RFC 6761), foreign
phones in the range France keeps for fiction.

The truth is known by construction: for each cell the generator knows the clean value, the spelling it chose, and
whether that spelling is valid. It never canonicalises, so its answers test whoever does.

A person's clean values are computed from the person's number by seeded one-to-one mappings. Two people, or a person and
an employer, never share an identifier by accident, and no set of those already used is kept.

Memory: at most 32 bytes a person (8 of profile, 16 of masks and ties, under 1 of masks of employers' contacts, and
spare room of the arrays), twice as many with a second file, nothing a row, and fixed buffers. Equal (people, seed) give
equal bytes, whatever the version of Python: only `random()` and `getrandbits()` of `random.Random` are used, whose
sequences are fixed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never

from breachcheck.errors import InputError
from breachcheck.synth.answers import DATASETS, KINDS, Counts, write_answers
from breachcheck.synth.bank import write_bank
from breachcheck.synth.payroll import BUFFER, COLUMNS, Tally, write_payroll
from breachcheck.synth.population import MAX_MONTHS, MAX_PEOPLE, Population, nonmember
from breachcheck.synth.spellings import TABLES, Spelling
from breachcheck.synth.truth import Truth

__all__ = ["COLUMNS", "DATASETS", "MAX_MONTHS", "MAX_PEOPLE", "SynthReport", "generate", "nonmember"]

_OTHERS: Final = 4  # of so many people of the first file, the second has one who is not in it


@dataclass(frozen=True, slots=True)
class SynthReport:
    """What was written.

    `rows` counts data rows of the first file, `duplicates` those among them that repeat an earlier row byte for byte,
    `second_rows` those of the second file. `identifiers` counts answers by kind, `shared` those of any kind that are
    shared. `rejected` counts by kind the cells of the first file that hold something which is no valid identifier;
    blanks and placeholders for nothing are not among them. `forms` counts every cell of it by column and by the name of
    its spelling.
    """

    people: int
    employers: int
    rows: int
    duplicates: int
    second_rows: int
    identifiers: Mapping[str, int]
    shared: int
    rejected: Mapping[str, int]
    forms: Mapping[str, Mapping[str, int]]


def _report(population: Population, duplicates: int, second_rows: int, tally: Tally, counts: Counts) -> SynthReport:
    forms: dict[str, dict[str, int]] = {column.name: {} for column in TABLES}
    rejected: dict[str, int] = dict.fromkeys(KINDS, 0)
    for column in TABLES:
        spellings: Iterable[Spelling[Never]] = dict.fromkeys(column.slots)
        for spelling in spellings:
            forms[column.name][spelling.name] = tally[spelling]
            if column.kind and not spelling.valid and spelling.blank is None:
                rejected[column.kind] += tally[spelling]
    return SynthReport(
        people=population.people,
        employers=population.employers,
        rows=sum(forms["N_Num_Assure"].values()),
        duplicates=duplicates,
        second_rows=second_rows,
        identifiers=counts.kinds,
        shared=counts.shared,
        rejected=rejected,
        forms=forms,
    )


def generate(
    people: int,
    seed: int,
    out: Path,
    answers: Path,
    *,
    months: int | None = None,
    steady: bool = False,
    second: Path | None = None,
) -> SynthReport:
    """Write the leak of `people` people to `out` and the truth about it to `answers`, replacing both.

    `out` is CSV after RFC 4180 with `;` between cells, in UTF-8 with a byte order mark. `answers` is UTF-8 JSON lines:
    {"kind": "phone", "identifier": "0612345678", "exposed": ["Phone numbers", "Earnings"]}, one for each identifier
    that stands validly in a row, with the fields that it exposes by the rule of people (`truth`), in the order of
    `DataClass`; and with "shared": true if it exposes those of its own rows alone.

    Everybody stands in one to twelve months, or with `months` in each of so many. With `steady`, everybody stands in
    each month (12, if `months` does not say otherwise), and each month repeats the first, as a database dump does.

    With `second`, another file of the leak is written there: CSV with `,` between cells, in Windows-1256. Each answer
    then says also what is exposed in which of `DATASETS`:
    "breaches": {"cnss": ["Phone numbers"], "bank": ["Physical addresses"]}.

    Raises:
        InputError: `out_of_range` outside 1 to `MAX_PEOPLE` people or 1 to `MAX_MONTHS` months, or for a negative seed;
            `same_file` when two are to be written to one file.
    """
    if not 1 <= people <= MAX_PEOPLE:
        raise InputError("out_of_range", f"the number of people is from 1 to {MAX_PEOPLE}")
    if months is not None and not 1 <= months <= MAX_MONTHS:
        raise InputError("out_of_range", f"the number of months is from 1 to {MAX_MONTHS}")
    if seed < 0:  # random.Random takes -1 for 1: two seeds would give one file
        raise InputError("out_of_range", "the seed is not below 0")
    files = [path.resolve() for path in (out, answers, *([second] if second else []))]
    if len(set(files)) < len(files):
        raise InputError("same_file", "the leak and its answers are written to different files")
    rng = random.Random(seed)
    population = Population(people, rng, others=1 + people // _OTHERS if second else 0)
    truth = Truth(population, second=second is not None)
    duplicates, tally = write_payroll(population, truth, rng, out, months, steady=steady)
    second_rows = write_bank(population, truth, rng, second) if second else 0
    with answers.open("w", encoding="utf-8", newline="\n", buffering=BUFFER) as file:
        counts = write_answers(population, truth, file, by_dataset=second is not None)
    return _report(population, duplicates, second_rows, tally, counts)
