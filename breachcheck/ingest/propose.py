"""A first mapping for a file that nobody has described: from the words of its header and a sample in memory.

What is written holds headers, shares and words of ours, never a cell. It is a proposal: the steward reads it, then lets
`breachcheck mapping check` count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass
from breachcheck.ingest.headers import Meaning, Named, read_header, telling, vocabulary
from breachcheck.ingest.plan import SEVERAL, column_names, folded
from breachcheck.protocol.identifier import KINDS

SAMPLE_ROWS: Final = 1000
_ENOUGH: Final = 10  # cells, under which a share says little
_LEAST: Final = 0.3  # confidence under which the steward has to say what a column is
_ALONE: Final = 0.9  # of the cells pass the rule of what the header does not name
_SECOND: Final = 0.1  # of the cells pass another kind's rule alone
_SEPARATORS: Final = ";/,|\n"
_MAX_HEADER: Final = 80  # characters
_LOOK: Final = "PLEASE LOOK: ignored until you say what it is"
_MOSTLY: Final = 0.5  # of the words of a header that we know
_KNOWN: Final = 4  # of so many headers at least one is made of words that we know


# --- Values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class _Sample:
    """The cells of one column, or of several joined, of which none is absent. Its `repr` is blank."""

    cells: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<{len(self.cells)} cells>"

    def share(self, kind: str, beside: str | None = None) -> float:
        """Return the part of the cells that pass the rule of a kind, and not that of the kind `beside`."""
        good = sum(_passes(kind, cell) and not (beside and _passes(beside, cell)) for cell in self.cells)
        return good / len(self.cells) if self.cells else 0.0

    def beginning(self, signs: str) -> _Sample:
        """Return the cells that begin with one of these, for a sample of which nearly all do; otherwise none."""
        if not signs:
            return self
        begun = tuple(cell for cell in self.cells if cell[0] in signs)
        return _Sample(begun if len(begun) >= _ALONE * len(self.cells) else ())

    def separators(self, kind: str) -> str:
        """Return the characters that part several identifiers in one cell, and never stand in a single one."""
        whole = [cell for cell in self.cells if _passes(kind, cell)]
        several = [cell for cell in self.cells if not _passes(kind, cell)]
        return "".join(
            sign
            for sign in _SEPARATORS
            if _refusal(kind, f"1{sign}5") != "spreadsheet_number"  # "12345,5" is one number, and ruined
            and not any(sign in cell for cell in whole)
            and any(
                all(_passes(kind, part) for part in cell.split(sign) if part.strip())
                for cell in several
                if sign in cell.strip(f"{sign} ")
            )
        )

    def parted(self, separators: str) -> _Sample:
        """Return the sample with each cell cut at the separators."""
        if not separators:
            return self
        cut = re.compile(f"[{re.escape(separators)}]")
        return _Sample(tuple(part for cell in self.cells for part in cut.split(cell) if part.strip()))


def _refusal(kind: str, text: str) -> str | None:
    """Return why a text is not of a kind, or None if it is."""
    try:
        KINDS[kind].canonical(text)
    except InputError as error:
        return error.reason
    return None


def _passes(kind: str, text: str) -> bool:
    return _refusal(kind, text) is None


def _sample(rows: Iterable[Sequence[str | None]], indexes: Sequence[int]) -> _Sample:
    absent = {folded(word) for word in vocabulary().absent}
    cells = []
    for row in rows:
        parts = [(row[index] or "").replace(SEVERAL, "\n").strip() for index in indexes]
        if not all(folded(part) in absent for part in parts):
            cells.append("".join(parts))
    return _Sample(tuple(cells))


# --- Header or data ---------------------------------------------------------------------------------------------------

_DIGITS: Final = re.compile(r"\d")


def _looks_like_data(text: str) -> bool:
    digits = len(_DIGITS.findall(text))
    return (
        digits >= 5
        or len(text) > _MAX_HEADER
        or any(0xDC80 <= ord(character) <= 0xDCFF for character in text)  # octets that are no text
        or (text.strip() != "" and folded(text) in {folded(word) for word in vocabulary().absent})
        or (digits > 0 and not any(character.isalpha() for character in text))
        or (digits > 2 and _passes("national_id", text))
        or _passes("email", text)
    )


def _without_common(texts: Sequence[str]) -> list[str]:
    """Return headers without the words that most of them have: "Billing Phone", "Billing Email"."""
    words = [telling(text) for text in texts]
    times = Counter(word for said in words for word in set(said))
    return [" ".join(word for word in said if 2 * times[word] <= len(texts) or said == (word,)) for said in words]


def _check_header(
    header: Sequence[str], meanings: Sequence[Meaning], rows: Sequence[Sequence[str | None]], trusted: bool
) -> None:
    """Refuse a first line that may be a person's: what it says would stand in the mapping.

    Raises:
        InputError: `header`. It names columns by their number alone.
    """
    advice = "give the file a header, say --above if it stands further down, or write the mapping by hand"
    for index, text in enumerate(header):
        if _looks_like_data(text):
            raise InputError("header", f"column {index + 1} of the first line looks like data: {advice}")
    named = [index for index, text in enumerate(header) if text.strip()]
    if not named:
        raise InputError("header", f"the first line names no column: {advice}")
    cells = {folded(cell) for row in rows if list(row) != list(header) for cell in row if cell}
    for index in named:
        if not trusted and not meanings[index].certainty and folded(header[index]) in cells:
            raise InputError("header", f"column {index + 1} of the first line stands among the cells too: {advice}")
    others = [index for index in named if meanings[index].certainty < 1]  # of JSON, a key may begin with a name
    once = sum(sum(row[index] is not None for row in rows) == 1 for index in others)
    if not trusted and len(rows) >= _KNOWN and 2 * once > len(named):
        raise InputError(
            "header",
            f"{once} of {len(named)} keys stand in one row alone, so they may be data: {advice}, or say --trust-header",
        )
    # An address has a word or two that may stand in a header, among others.
    shorter = map(read_header, _without_common([header[index] for index in named]))
    known = sum(
        any(one.certainty > 0 and one.share > _MOSTLY for one in (meanings[index], short))
        for index, short in zip(named, shorter, strict=True)
    )
    nameless = next(
        (index for index in range(len(header)) if index not in named and _sample(rows, (index,)).cells), None
    )
    if not trusted and nameless is not None and known < len(named):
        raise InputError(
            "header",
            f"column {nameless + 1} has cells and no name in the first line, so that may be data: {advice}, "
            "or say --trust-header",
        )
    if not trusted and known * _KNOWN < len(named):
        raise InputError(
            "header",
            f"{known} of {len(named)} words of the first line are known as headers, so it may be data: {advice}, "
            "or say --trust-header",
        )


# --- Proposals --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Proposal:
    """One column of the mapping: its headers, what it is, how sure that is and why."""

    headers: tuple[str, ...]
    confidence: float
    why: str
    kinds: tuple[str, ...] = ()
    data_class: DataClass | None = None
    employer: bool = False
    split: str = ""
    linking: bool = field(default=False)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the TOML table."""
        yield f"# confidence {self.confidence:.2f}: {self.why}"
        yield "[[column]]"
        yield f"header = {_toml(self.headers)}"
        if self.kinds:
            yield f"kind = {_toml(self.kinds)}"
        elif self.data_class:
            yield f"data_class = {_toml((self.data_class.value,))}"
        else:
            yield "ignore = true"
        if self.employer and self.kinds:
            yield "employer = true"
        if self.split:
            yield f"split = {_toml((self.split,))}"
        if self.data_class is DataClass.EARNINGS:
            yield "zero_is_absent = true"


def _toml(texts: Sequence[str]) -> str:
    """Return one text as a TOML string, several as a list; what cannot be seen is written as an escape."""
    if len(texts) > 1:
        return f"[{', '.join(_toml((text,)) for text in texts)}]"
    quoted = texts[0].replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c == " " or c.isprintable() else f"\\U{ord(c):08X}" for c in quoted) + '"'


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _weight(sample: _Sample) -> float:
    return 1.0 if len(sample.cells) >= _ENOUGH else 0.7


def _kind_of(identifier: Named, country: str) -> str | None:
    return identifier.kinds.get("any") or identifier.kinds.get(country)


def _countries() -> list[str]:
    return list(dict.fromkeys(one for of in vocabulary().identifier for one in of.kinds if one != "any"))


def _country(meanings: Sequence[Meaning], samples: Sequence[_Sample]) -> str:
    """Return the country whose rules the values pass best; of equal ones the first of the table."""

    def fit(country: str) -> float:
        return sum(
            samples[index].share(kind)
            for index, meaning in enumerate(meanings)
            if meaning.identifier and (kind := meaning.identifier.kinds.get(country))
        ) + sum(
            max((sample.beginning(one.begins).share(one.kinds[country]) for one in strong), default=0.0)
            for meaning, sample in zip(meanings, samples, strict=True)
            if not meaning.certainty
            and (strong := [one for one in vocabulary().identifier if one.alone and country in one.kinds])
        )

    return max(_countries(), key=fit)


def _by_header(header: str, meaning: Meaning, sample: _Sample, country: str) -> _Proposal | None:
    """Return what the header says, if the values do not belie it."""
    identifier = meaning.identifier
    kind = _kind_of(identifier, country) if identifier else None
    if identifier and meaning.relative:
        why = f"the header says {identifier.name}, but of somebody else, who is not the person of the row"
        return _Proposal((header,), 0.0, f"{why}. {_LOOK}")
    if identifier is None or kind is None:
        if meaning.ignored:
            return _Proposal((header,), 0.9 * meaning.certainty, "the header says something that is not exposed")
        data_class = meaning.data_class
        if identifier:  # no rule of this country: its presence still counts
            data_class = DataClass(KINDS[next(iter(identifier.kinds.values()))].data_class)
        if data_class is None:
            return None
        why = f"the header says {data_class.value}; values have no rule"
        return _Proposal((header,), 0.9 * meaning.certainty, why, data_class=data_class)
    if not sample.cells:
        why = f"the header says {identifier.name}; the sample has no value"
        return _Proposal(
            (header,), 0.4 * meaning.certainty, why, (kind,), employer=meaning.employer, linking=identifier.linking
        )
    split = sample.separators(kind)
    parted = sample.parted(split)
    share = parted.share(kind)
    others = [other for other in identifier.kinds.values() if other != kind]
    seconds = [other for other in others if parted.share(other, beside=kind) >= _SECOND]
    own, share = share, share + sum(parted.share(other, beside=kind) for other in seconds)
    if meaning.certainty * min(share, 1.0) * _weight(sample) < _LEAST:
        return None
    confidence = meaning.certainty * own * _weight(sample)  # any nine digits are a phone's of some country
    why = f"the header says {identifier.name}, {_percent(min(share, 1.0))} of the sampled cells pass the rule"
    return _Proposal(
        (header,), confidence, why, (kind, *seconds),
        employer=meaning.employer, split=split, linking=identifier.linking and not meaning.employer,
    )  # fmt: skip


def _by_values(header: str, sample: _Sample, country: str, certainty: float) -> _Proposal | None:
    """Return what the values say where the header does not."""
    candidates = [
        (one.alone * share, share, one, kind)
        for one in vocabulary().identifier
        if one.alone
        and (kind := _kind_of(one, country))
        and (share := sample.beginning(one.begins).share(kind)) >= _ALONE
    ]
    if not candidates:
        return None
    confidence, share, identifier, kind = max(candidates, key=lambda one: one[0])
    said = "the header says something else" if certainty else "no word of the header is known"
    why = f"{said}, but {_percent(share)} of the sampled cells pass the rule of {identifier.name}: please look"
    return _Proposal((header,), confidence * _weight(sample) * (0.8 if certainty else 1.0), why, (kind,))


def _joined(
    header: Sequence[str], rows: Sequence[Sequence[str | None]], country: str
) -> Iterator[tuple[tuple[int, ...], _Proposal]]:
    """Yield the columns that hold one identifier together, and what they are."""
    words = [telling(text) for text in header]
    for parts in vocabulary().parts:
        [identifier] = [one for one in vocabulary().identifier if one.name == parts.name]
        kind = _kind_of(identifier, country)
        found = [
            next((index for index, said in enumerate(words) if said in {telling(word) for word in part}), None)
            for part in parts.words
        ]
        indexes = tuple(index for index in found if index is not None)
        if kind is None or len(set(indexes)) < len(parts.words):
            continue
        sample = _sample(rows, indexes)
        share = sample.share(kind)
        if share * _weight(sample) >= _LEAST:
            why = f"together they make a {identifier.name}: {_percent(share)} of the sampled rows pass the rule"
            names = column_names(header)
            together = tuple(names[index] for index in indexes)
            yield indexes, _Proposal(together, share * _weight(sample), why, (kind,), linking=identifier.linking)


def propose(
    header: Sequence[str], sample: Iterable[Sequence[str | None]], trust_header: bool = False, above: int = 0
) -> str:
    """Return a mapping as TOML, with the confidence of each column in a comment.

    `sample` are some rows under the header; those of another width are passed over. So many lines stand `above` it.
    `trust_header` says that a person has looked at a first line whose words are not known here: it is taken for a
    header if it does not look like data.

    Raises:
        InputError: `header`: the first line looks like data; `columns`: two columns have one header; `mapping`: no
            column is a kind of identifier.
    """
    rows = [row for row in sample if len(row) == len(header)]
    meanings = [read_header(text) for text in header]
    _check_header(header, meanings, rows, trust_header)
    names = column_names(header)
    keys = [folded(name) for name in names]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            raise InputError("columns", f"column {index + 1} has the header of another one")
    samples = [_sample(rows, (index,)) for index in range(len(header))]
    country = _country(meanings, samples)
    joined: Mapping[tuple[int, ...], _Proposal] = dict(_joined(header, rows, country))
    taken = {index: indexes for indexes in joined for index in indexes}
    proposals = []
    for index, name in enumerate(names):
        if index in taken:
            if index == min(taken[index]):
                proposals.append(joined[taken[index]])
            continue
        meaning = meanings[index]
        proposal = _by_header(name, meaning, samples[index], country)
        proposal = proposal or _by_values(name, samples[index], country, meaning.certainty)
        proposals.append(proposal or _unknown(name, meaning, samples[index]))
    if not any(proposal.kinds for proposal in proposals):
        raise InputError("mapping", "no column is a kind of identifier: write the mapping by hand")
    return _document(proposals, above)


def _unknown(name: str, meaning: Meaning, sample: _Sample) -> _Proposal:
    if meaning.identifier and sample.cells:
        why = f"the header says {meaning.identifier.name}, but few of the sampled cells pass its rule"
    elif sample.cells:
        why = "neither header nor values say what this is"
    else:
        why = "no word of the header is known, and the sample has no value"
    return _Proposal((name,), 0.0, f"{why}. {_LOOK}")


def _document(proposals: Sequence[_Proposal], above: int) -> str:
    linking = tuple(dict.fromkeys(kind for one in proposals if one.linking and not one.employer for kind in one.kinds))
    lines = [
        "# Proposed by `breachcheck mapping propose` from the header and a sample. Read it, correct it, then let",
        "# `breachcheck mapping check` count.",
        "version = 1",
        *([f"above = {above}    # lines over the header"] if above else []),
        "",
        "# Rows that have one of these in common are about one person.",
        f"linking = [{', '.join(_toml((kind,)) for kind in linking)}]",
        "",
        '# Cells that say "nothing": no identifier, and no presence of a field.',
        f"absent = [{', '.join(_toml((word,)) for word in vocabulary().absent)}]",
    ]
    for proposal in proposals:
        lines += ["", *proposal.lines()]
    return "\n".join(lines) + "\n"
