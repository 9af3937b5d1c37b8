"""Identifiers: one text form for everything that means the same number (PROTOCOL.md §3).

The rules are data, one file of `rules/` a country beside the tables that all share, read by this module and by the
browser's. Both walk the text code point by code point through fixed tables, so that no library's idea of Unicode takes
part, and then match plain ASCII with the few regular expressions on which both languages agree.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from typing import Any, Final

from breachcheck.errors import InputError

TABLES: Final = "tables.json"
# In the order in which kinds are told and tried. `world` has the kinds that belong to no country.
RULE_FILES: Final = ("ma.json", "world.json", "fr.json", "au.json")


@dataclass(frozen=True, slots=True, repr=False)
class Identifier:
    """A kind and a canonical form in ASCII. Its `repr` is blank: it must not reach a log."""

    kind: str
    canonical: str

    def __repr__(self) -> str:
        return f"<{self.kind}>"


@dataclass(frozen=True, slots=True)
class Kind:
    """The rules of one kind of identifier.

    `digest` is the SHA-256 of all that decides its canonical form: a client whose rules differ from the release's would
    look in the wrong place. `population` is a conservative count of the numbers ever assigned. The rest is what
    PROTOCOL.md §3.1 has, `translation` being `map`, `marks` and `letters` in one, for `str.translate` as are what is
    `dropped`, and `unquoted` before a spreadsheet's number is looked for.
    """

    name: str
    digest: bytes
    data_class: str
    population: int
    max_text: int
    translation: Mapping[int, str | None]
    spaces: str
    unquoted: Mapping[int, None]
    spreadsheet_number: re.Pattern[str] | None
    dropped: Mapping[int, None]
    alphabet: re.Pattern[str]
    max_length: int
    pattern: re.Pattern[str]
    zero_fill: int
    check: Callable[[str], str | None] | None

    def canonical(self, text: str) -> str:
        """Return the canonical form of `text`, which is ASCII.

        Raises:
            InputError: `too_long`, `empty`, `spreadsheet_number`, `unexpected_character`, `format` or `check_digits`.
        """
        if len(text) > self.max_text:
            raise InputError("too_long")
        # No table changes a character of the alphabet, so a text that needs no folding needs no table either.
        plain = self.alphabet.fullmatch(text)
        if plain:
            unquoted = compact = text
        else:
            visible = text.translate(self.translation).strip(self.spaces)
            unquoted = visible.translate(self.unquoted)
            compact = visible.translate(self.dropped)
        if self.spreadsheet_number and self.spreadsheet_number.fullmatch(unquoted):
            raise InputError("spreadsheet_number")
        if not compact:
            raise InputError("empty")
        if not (plain or self.alphabet.fullmatch(compact)):
            raise InputError("unexpected_character")
        match = self.pattern.fullmatch(compact)
        if not match or len(compact) > self.max_length:
            raise InputError("format")
        form = "".join(match.groups()).rjust(self.zero_fill, "0")
        if self.check is None:
            return form
        checked = self.check(form)
        if checked is None:
            raise InputError("check_digits")
        return checked


def identify(kind: str, text: str) -> Identifier:
    """Return the identifier that `text` writes.

    Raises:
        InputError: `unknown_kind`, or why `text` is not of this kind (`Kind.canonical`).
    """
    if kind not in KINDS:
        raise InputError("unknown_kind", f"known are {', '.join(KINDS)}")
    return Identifier(kind, KINDS[kind].canonical(text))


# --- Check digits: each returns the canonical form of what passes, or None --------------------------------------------


def _mod97(form: str) -> str | None:
    return None if int(form) % 97 else form


def _nir97(form: str) -> str | None:
    """Of a French social security number: 13 characters, or 15 with the key, which is cut."""
    number, key = form[:13], form[13:]
    # The two departments of Corsica count as 19 and 18.
    value = int(number[:5] + {"2A": "19", "2B": "18"}.get(number[5:7], number[5:7]) + number[7:])
    return None if key and int(key) != 97 - value % 97 else number


# What a letter of a French account number counts: A and J are 1, S is 2.
_RIB_DIGITS: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "12345678912345678923456789")


def _rib97(form: str) -> str | None:
    """Of a French account: 23 characters, key included, or the IBAN of 27, of which the first 4 are cut."""
    account = form[-23:]
    iban = "".join(str(int(character, 36)) for character in account + form[:-23])
    if len(form) > len(account) and int(iban) % 97 != 1:
        return None
    return None if int(account.translate(_RIB_DIGITS)) % 97 else account


_CHECKS: Final[Mapping[str, Callable[[str], str | None]]] = {"mod97": _mod97, "nir97": _nir97, "rib97": _rib97}


# --- Rule files -------------------------------------------------------------------------------------------------------


def _code_points(ranges: list[list[str]]) -> Iterator[int]:
    for first, last in ranges:
        yield from range(int(first[2:], 16), int(last[2:], 16) + 1)


def _read_rules(rules: Mapping[str, Any], countries: Iterable[Mapping[str, Any]]) -> dict[str, Kind]:
    marks: dict[int, str | None] = dict.fromkeys(_code_points(rules["marks"]))
    groups = {name: dict.fromkeys(_code_points(ranges)) for name, ranges in rules["groups"].items()}
    ascii_of = {code: code for code in range(128)}
    for first, last, target in rules["map"]:
        for offset, code in enumerate(_code_points([[first, last]])):
            ascii_of[code] = int(target[2:], 16) + offset
    common = [rules[part] for part in ("version", "max_text", "map", "marks", "groups", "spreadsheet_number")]
    kinds = {}
    for name, rule in chain.from_iterable(country.items() for country in countries):
        form = rule["form"]
        fold = str.upper if form["letters"] == "upper" else str.lower  # of ASCII alone, where every library agrees
        folded = {code: fold(chr(target)) for code, target in ascii_of.items() if fold(chr(target)) != chr(code)}
        kinds[name] = Kind(
            name=name,
            digest=hashlib.sha256(json.dumps([common, form], separators=(",", ":")).encode()).digest(),
            data_class=rule["data_class"],
            population=rule["population"],
            max_text=rules["max_text"],
            translation=marks | folded,
            spaces="".join(map(chr, groups["spaces"])),
            unquoted=groups["spaces"] | groups["quotes"],
            spreadsheet_number=re.compile(rules["spreadsheet_number"]) if form["numeric"] else None,
            dropped={code: None for group in form["drop"] for code in groups[group]},
            alphabet=re.compile(form["alphabet"]),
            max_length=form["max_length"],
            pattern=re.compile(form["pattern"]),
            zero_fill=form["zero_fill"],
            check=_CHECKS[form["check"]] if form["check"] else None,
        )
    return kinds


def _read(name: str) -> Any:
    return json.loads(resources.files(__package__).joinpath("rules", name).read_text("utf-8"))


KINDS: Final[Mapping[str, Kind]] = _read_rules(_read(TABLES), map(_read, RULE_FILES))
