"""A folder of small files of the payroll return with every fault that real files have, and the truth about them.

Nothing here reads or canonicalises: each fault is made on purpose, beside the truth about it. Who stands in a rejected
row stands in no other, so that a row read which should not be, or lost which should not be, changes the answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from breachcheck.errors import InputError
from breachcheck.synth.torture.corpus import Corpus
from breachcheck.synth.torture.faults import GROUPS

__all__ = ["TortureReport", "write_torture"]


@dataclass(frozen=True, slots=True)
class TortureReport:
    """How many files, rows accepted, and rows rejected there are; files that are refused count as files alone."""

    files: int
    accepted: int
    rejected: int


def write_torture(folder: Path, answers: Path, rejects: Path, seed: int) -> TortureReport:
    """Fill `folder` with the files, and write the truth about them, replacing `answers` and `rejects`.

    All files that are not refused are one dataset of the mapping cnss. `answers` is as of `synth.generate`, over all
    accepted rows. `rejects` is UTF-8 JSON lines, one a file. {"file": "quotes.csv", "rows": 40, "accepted": 38,
    "rejected": [[3, "quoting"], [9, "columns"]]} says how many records stand under the header and which of them are
    rejected why: the first is 1, and one with broken quotes is its one line of the file. Reasons are `columns`,
    `empty`, `quoting`, `too_long`, `no_identifier` and `repeated_header`. {"file": "bomb.zip", "refused": "too_large"}
    says that nothing of the file is read; reasons are `empty`, `columns` and `too_large`. A file in an archive is
    "archive.zip/name".

    The folder takes under 15 MB, and its longest cell 10 MB; archives that are refused unpack to 1 GiB, a thousand
    times their size.

    Raises:
        InputError: `not_empty`: the folder holds something; `out_of_range` for a negative seed.
    """
    if seed < 0:
        raise InputError("out_of_range", "the seed is not below 0")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError("not_empty", f"{folder} holds files already")
    corpus = Corpus(seed)
    for write in GROUPS:
        write(corpus, folder)
    for path, truth in ((answers, corpus.answers()), (rejects, iter(corpus.files))):
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in truth)
    rejected = sum(len(each.get("rejected", ())) for each in corpus.files)
    return TortureReport(len(corpus.files), len(corpus.accepted), rejected)
