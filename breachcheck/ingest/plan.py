"""A mapping, settled for one file: what a worker needs of it to read rows."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

_CURRENCY: Final = "(?:mad|dhs?|dirhams?|د[.]?م[.]?|درهما?|eur(?:os?)?|usd|[€$£%])?[.]?"
_DIGITS: Final = "[.,٫]?[0٠۰]+(?:['’,.٬٫][0٠۰]+)*[.,٫]?(?:e[+-]?[0-9]+)?"
# Of what is folded and without white space: the number 0, maybe of a currency; a spreadsheet's accounts have a dash.
ZERO: Final = rf"[(+−-]?{_CURRENCY}(?:[(]?[+−-]?{_DIGITS}|[-–—])[)]?-?{_CURRENCY}[)]?"
_ZERO: Final = re.compile(ZERO)
UNSEEN: Final = "[\\x00\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
LETTERS: Final = (("i\u0307", "i"), ("ς", "σ"))  # of which Unicode has two rules to make them of a capital
# Between values that stand at one place: of a list, say. No kind of identifier has it, nor drops it: two that are run
# together may be a third one's.
SEVERAL: Final = "\x1e"
OTHER_RECORD: Final = "other_record"  # a line which the mapping itself says is about no person


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands at one place of every row: identifiers of `kinds`, or something of which presence alone counts."""

    indexes: tuple[int, ...]
    kinds: tuple[str, ...]
    mask: int
    employer: bool
    split: str
    absent: frozenset[str]
    zero_is_absent: bool

    def values(self, text: str) -> Iterator[str]:
        """Yield what stands in a cell: `text` cut where it is split, without what is absent."""
        signs = self.split + SEVERAL if "\n" in self.split else self.split
        for value in re.split(f"[{re.escape(signs)}]", text) if signs else (text,):
            if said := [one for one in value.split(SEVERAL) if not self._is_absent(one)]:
                yield SEVERAL.join(said)

    def _is_absent(self, text: str) -> bool:
        word = folded(text)
        return word in self.absent or (self.zero_is_absent and bool(_ZERO.fullmatch("".join(word.split()))))


@dataclass(frozen=True, slots=True)
class Plan:
    """A mapping, settled for one file: its header as it stands there, and what is at which of its columns."""

    header: tuple[str, ...]
    cells: tuple[Cell, ...]
    linking: frozenset[str]

    @property
    def digest(self) -> bytes:
        """The SHA-256 of all of it, the same in each process."""
        said = json.dumps(asdict(self), default=sorted, sort_keys=True)  # sets have another order in each
        return hashlib.sha256(said.encode()).digest()


def column_names(header: Sequence[str]) -> list[str]:
    """Return what a mapping calls each column by: its header; `#` and its number from 1, if that is empty or another's
    before it.
    """
    names: list[str] = []
    known: set[str] = set()
    for number, text in enumerate(header, 1):
        name = text if text.strip() and folded(text) not in known else f"#{number}"
        known.add(folded(name))
        names.append(name)
    return names


def folded(text: str) -> str:
    """Return `text` as headers and words for nothing are compared.

    It is trimmed and in lower case, without what is not seen (NUL, marks of direction and of width), in Unicode's
    compatible form (NFKC), with one space for each white space.
    """
    if text.isascii() and "\0" not in text:
        return text.strip().lower()
    words = " ".join(unicodedata.normalize("NFKC", re.sub(UNSEEN, "", text)).split()).lower()
    for letter, plain in LETTERS:
        words = words.replace(letter, plain)
    return words
