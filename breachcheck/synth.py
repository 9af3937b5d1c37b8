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
import math
import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Generic, Never, TextIO, TypeVar

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass, names_of

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
MAX_PEOPLE: Final = 50_000_000  # what the seven digits of an employer's number hold, seven employers to forty people

_MONTHS: Final = 12
_PERIODS: Final = tuple(f"2024{month:02d}" for month in range(1, _MONTHS + 1))
_BUFFER: Final = 1 << 18


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


# Spellings -----------------------------------------------------------------------------------------------------------

_T = TypeVar("_T")
_T_contra = TypeVar("_T_contra", contravariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Spelling(Generic[_T_contra]):
    """One way to write a clean value. `mask` is the field it exposes: none if it is blank, or no valid identifier."""

    name: str
    mask: int
    write: Callable[[_T_contra], str]
    blank: str | None = None  # what stands in the cell instead of any value


_Weighted = tuple[int, str, Callable[[_T], str]]
_SLOT_BITS: Final = 10
_SLOTS: Final = 1 << _SLOT_BITS
_PLACEHOLDERS: Final = (
    ("space", "  "),
    ("zero", "0"),
    ("zero_comma", "0,00"),
    ("zero_point", "0.00"),
    ("null", "NULL"),
    ("null_lower", "null"),
    ("dash", "-"),
    ("dash_padded", " - "),
    ("neant", "Neant"),
    ("neant_accent", "néant"),
    ("neant_capitals", "NÉANT"),
    ("not_available", "N/A"),
    ("nothing_arabic", "لا شيء"),
)


def _blank(name: str, text: str) -> _Spelling[object]:
    return _Spelling(name, mask=0, write=str, blank=text)


@dataclass(frozen=True, slots=True)
class _Column(Generic[_T]):
    """A column's spellings in 1024 slots, one of which is drawn for each cell; the first `gap` are blanks."""

    name: str
    kind: str | None
    gap: int
    slots: tuple[_Spelling[_T], ...]


def _column(
    name: str,
    kind: str | None,
    exposes: DataClass,
    plain: Callable[[_T], str],
    *,
    gap: int,
    good: tuple[_Weighted[_T], ...],
    bad: tuple[_Weighted[_T], ...] = (),
) -> _Column[_T]:
    """Return the column of these spellings. Weights are numbers of slots; `plain` has the rest, and is good."""
    slots: list[_Spelling[_T]] = []
    for placeholder, text in _PLACEHOLDERS:
        slots += [_blank(placeholder, text)] * max(1, gap * 3 // 100)
    slots += [_blank("empty", "")] * (gap - len(slots))
    for mask, choices in ((exposes.bit, good), (0, bad)):
        for weight, spelling, write in choices:
            slots += [_Spelling(spelling, mask, write)] * weight
    slots += [_Spelling("plain", exposes.bit, plain)] * (_SLOTS - len(slots))
    return _Column(name, kind, gap, tuple(slots))


_ARABIC_INDIC: Final = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
_PERSIAN: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


def _grouped(text: str, size: int, separator: str = " ") -> str:
    return separator.join(text[start : start + size] for start in range(0, len(text), size))


def _pairs(national: str, separator: str = " ") -> str:
    """Return the nine digits as `6 12 34 56 78`."""
    return national[0] + separator + _grouped(national[1:], 2, separator)


def _scientific(digits: str) -> str:
    """Return the number as a spreadsheet shows it when the column is too narrow: `6.12E+08`."""
    significant = digits.lstrip("0")
    return f"{significant[0]}.{significant[1:3]}E+{len(significant) - 1:02d}"


# Clean value: the nine digits after the trunk zero.
_PHONE: Final[_Column[str]] = _column(
    "N_Tel",
    "phone",
    DataClass.PHONE_NUMBERS,
    lambda n: f"0{n}",
    gap=55,
    good=(
        (120, "pairs", lambda n: f"0{_pairs(n)}"),
        (30, "pairs_dotted", lambda n: f"0{_pairs(n, '.')}"),
        (20, "pairs_dashed", lambda n: f"0{_pairs(n, '-')}"),
        (15, "pairs_no_break", lambda n: f"0{_pairs(n, chr(0xA0))}"),
        (70, "plus", lambda n: f"+212{n}"),
        (40, "plus_pairs", lambda n: f"+212 {_pairs(n)}"),
        (15, "plus_trunk_zero", lambda n: f"+212 (0) {_pairs(n)}"),
        (50, "double_zero", lambda n: f"00212{n}"),
        (25, "bare_country", lambda n: f"212{n}"),
        (80, "zero_lost", lambda n: n),
        (25, "zero_lost_pairs", _pairs),
        (25, "arabic_indic", lambda n: f"0{n}".translate(_ARABIC_INDIC)),
        (10, "arabic_indic_pairs", lambda n: f"0{_pairs(n)}".translate(_ARABIC_INDIC)),
        (15, "persian", lambda n: f"0{n}".translate(_PERSIAN)),
        (10, "bidi_embedded", lambda n: f"\u202a+212 {_pairs(n)}\u202c"),
        (10, "bidi_isolated", lambda n: f"\u20660{n}\u2069"),
        (10, "bidi_marks", lambda n: f"\u200f0{n}\u200e"),
    ),
    bad=(
        (15, "scientific", _scientific),
        (8, "float", lambda n: f"{n}.0"),
        (8, "foreign", lambda n: f"+33 6 39 98 {n[-4:-2]} {n[-2:]}"),
        (6, "foreign_double_zero", lambda n: f"003363998{n[-4:]}"),
        (8, "truncated", lambda n: f"0{n[:7]}"),
        (6, "two_numbers", lambda n: f"0{n} / 0{n}"),
    ),
)

# Clean value: letters and digits. A CIN cut inside its digits reads as somebody else's, so cuts leave one half only.
_CIN: Final[_Column[tuple[str, str]]] = _column(
    "L_Num_CIN",
    "national_id",
    DataClass.GOVERNMENT_ISSUED_IDS,
    "".join,
    gap=30,
    good=(
        (80, "lower", lambda c: "".join(c).lower()),
        (80, "spaced", " ".join),
        (30, "lower_spaced", lambda c: " ".join(c).lower()),
        (80, "zero_padded", lambda c: f"{c[0]}0{c[1]}"),
        (20, "dashed", "-".join),
        (30, "surrounded", lambda c: f" {''.join(c)}  "),
        (20, "arabic_indic", lambda c: "".join(c).translate(_ARABIC_INDIC)),
        (10, "persian", lambda c: "".join(c).translate(_PERSIAN)),
        (10, "bidi_marks", lambda c: f"\u200e{''.join(c)}\u200e"),
    ),
    bad=(
        (10, "letters_only", lambda c: c[0]),
        (10, "digits_only", lambda c: c[1]),
        (8, "masked", lambda c: f"{c[0]}{c[1][:2]}XXXX"),
    ),
)

# Clean value: nine digits.
_CNSS: Final[_Column[str]] = _column(
    "N_Num_Assure",
    "social_security",
    DataClass.SOCIAL_SECURITY_NUMBERS,
    str,
    gap=20,
    good=(
        (300, "zeros_lost", lambda n: n.lstrip("0")),
        (60, "spaced", lambda n: _grouped(n, 3)),
        (20, "text_marked", lambda n: f"'{n}"),
        (20, "arabic_indic", lambda n: n.translate(_ARABIC_INDIC)),
        (10, "persian", lambda n: n.translate(_PERSIAN)),
        (10, "bidi_marks", lambda n: f"\u200f{n}\u200f"),
    ),
    bad=(
        (10, "float", lambda n: f"{n.lstrip('0')}.0"),
        (8, "decimal_comma", lambda n: f"{n.lstrip('0')},5"),
        (8, "scientific", _scientific),
        (5, "all_zero", lambda _: "000000000"),
        (5, "too_long", lambda n: f"{n}{n}"),
        (5, "letter", lambda n: f"{n[:8]}X"),
    ),
)

# Clean value: the 24 digits, of which the key is 01 to 97: one more is a wrong key and still two digits.
_RIB: Final[_Column[str]] = _column(
    "N_RIB",
    "bank_account",
    DataClass.BANK_ACCOUNT_NUMBERS,
    str,
    gap=125,
    good=(
        (100, "fields", lambda r: f"{r[:3]} {r[3:6]} {r[6:22]} {r[22:]}"),
        (60, "fours", lambda r: _grouped(r, 4)),
        (20, "dashed", lambda r: f"{r[:3]}-{r[3:6]}-{r[6:22]}-{r[22:]}"),
        (100, "iban", lambda r: f"MA64{r}"),
        (40, "iban_fours", lambda r: _grouped(f"MA64{r}", 4)),
        (20, "iban_lower", lambda r: f"ma64{r}"),
        (20, "text_marked", lambda r: f"'{r}"),
        (15, "arabic_indic", lambda r: r.translate(_ARABIC_INDIC)),
        (10, "bidi_isolated", lambda r: f"\u2066{r}\u2069"),
    ),
    bad=(
        (20, "wrong_key", lambda r: f"{r[:22]}{int(r[22:]) + 1:02d}"),
        (8, "iban_wrong_key", lambda r: f"MA64{r[:22]}{int(r[22:]) + 1:02d}"),
        (8, "iban_wrong_check", lambda r: f"MA65{r}"),
        (12, "scientific", _scientific),
        (8, "float", lambda r: f"{r}.0"),
        (8, "truncated", lambda r: r[:23]),
    ),
)

# Clean value: the address in lower case.
_EMAIL: Final[_Column[str]] = _column(
    "L_Email",
    "email",
    DataClass.EMAIL_ADDRESSES,
    str,
    gap=200,
    good=(
        (120, "upper", str.upper),
        (50, "title", str.title),
        (60, "surrounded", lambda e: f"  {e} "),
        (20, "upper_surrounded", lambda e: f" {e.upper()}  "),
        (15, "no_break", lambda e: f"{e}\u00a0"),
        (15, "bidi_marks", lambda e: f"\u200e{e}\u200e"),
    ),
    bad=(
        (15, "no_at", lambda e: e.replace("@", ".")),
        (10, "spelled_at", lambda e: e.replace("@", "(at)")),
        (10, "no_domain", lambda e: e[: e.index("@") + 1]),
        (10, "no_top_level", lambda e: e[: e.rindex(".")].replace(".", "")),
        (10, "inner_space", lambda e: e.replace("@", " @")),
        (10, "two_addresses", lambda e: f"{e}; {e}"),
    ),
)


# Clean value: a first name and a family name, each in every spelling; the Arabic one stands last.
_Name = tuple[tuple[str, ...], tuple[str, ...]]
_NAME: Final[_Column[_Name]] = _column(
    "L_Nom_Prenom",
    None,
    DataClass.NAMES,
    lambda n: f"{n[1][0]} {n[0][0]}",
    gap=30,
    good=(
        (150, "first_name_first", lambda n: f"{n[0][0]} {n[1][0]}"),
        (150, "other_spelling", lambda n: f"{n[1][-2]} {n[0][-2]}"),
        (60, "title", lambda n: f"{n[1][0]} {n[0][0]}".title()),
        (200, "arabic", lambda n: f"{n[0][-1]} {n[1][-1]}"),
        (60, "arabic_family_first", lambda n: f"{n[1][-1]} {n[0][-1]}"),
        (40, "mixed", lambda n: f"{n[1][0]} {n[0][-1]}"),
    ),
)
_AFFILIATION: Final[_Column[str]] = _column(
    "N_Num_Affilie",
    None,
    DataClass.EMPLOYERS,
    str,
    gap=100,
    good=(
        (200, "zeros_lost", lambda n: n.lstrip("0")),
        (20, "float", lambda n: f"{n}.0"),
        (20, "arabic_indic", lambda n: n.translate(_ARABIC_INDIC)),
    ),
)
_EMPLOYER: Final[_Column[str]] = _column(
    "L_Raison_Sociale",
    None,
    DataClass.EMPLOYERS,
    str,
    gap=60,
    good=((60, "title", str.title), (40, "surrounded", "  {} ".format)),
)
# Clean value: dirhams and centimes as 4523.75.
_SALARY: Final[_Column[str]] = _column(
    "N_Salaire_Reel",
    None,
    DataClass.EARNINGS,
    str,
    gap=120,
    good=(
        (350, "comma", lambda s: s.replace(".", ",")),
        (100, "grouped", lambda s: f"{float(s):,.2f}".replace(",", " ").replace(".", ",")),
        (60, "whole", lambda s: s[:-3]),
        (30, "currency", lambda s: f"{s} DH"),
        (15, "arabic_indic", lambda s: s.replace(".", ",").translate(_ARABIC_INDIC)),
    ),
)

_COLUMNS: Final[tuple[_Column[Any], ...]] = (_AFFILIATION, _EMPLOYER, _CNSS, _NAME, _CIN, _PHONE, _EMAIL, _RIB, _SALARY)

# People --------------------------------------------------------------------------------------------------------------

_FIRST_NAMES: Final[tuple[tuple[str, ...], ...]] = (
    ("MOHAMED", "MOHAMMED", "محمد"),
    ("AHMED", "AHMAD", "أحمد"),
    ("YOUSSEF", "YOUSEF", "يوسف"),
    ("KHALID", "KHALED", "خالد"),
    ("ABDELLAH", "ABDALLAH", "عبد الله"),
    ("MUSTAPHA", "MOSTAFA", "مصطفى"),
    ("SAID", "SAÏD", "سعيد"),
    ("HAMZA", "حمزة"),
    ("MEHDI", "EL MEHDI", "المهدي"),
    ("KARIM", "كريم"),
    ("BRAHIM", "IBRAHIM", "إبراهيم"),
    ("M'HAMED", "MHAMED", "امحمد"),
    ("FATIMA", "FATMA", "فاطمة"),
    ("FATIMA ZAHRA", "FATIMA-ZAHRA", "فاطمة الزهراء"),
    ("KHADIJA", "KHADIDJA", "خديجة"),
    ("AICHA", "AÏCHA", "عائشة"),
    ("MERYEM", "MARIAM", "مريم"),
    ("NADIA", "نادية"),
    ("NAIMA", "NAÏMA", "نعيمة"),
    ("ZINEB", "ZAINAB", "زينب"),
)
_FAMILY_NAMES: Final[tuple[tuple[str, ...], ...]] = (
    ("ALAOUI", "EL ALAOUI", "العلوي"),
    ("AMRANI", "EL AMRANI", "العمراني"),
    ("IDRISSI", "EL IDRISSI", "الإدريسي"),
    ("TAZI", "التازي"),
    ("FASSI", "EL FASSI", "الفاسي"),
    ("BERRADA", "برادة"),
    ("BENJELLOUN", "BEN JELLOUN", "بنجلون"),
    ("EL MANSOURI", "MANSOURI", "المنصوري"),
    ("OUAZZANI", "WAZZANI", "الوزاني"),
    ("AIT LAHCEN", "AITLAHCEN", "آيت لحسن"),
    ("OUBELLA", "أوبلا"),
    ("HADDAD", "EL HADDAD", "الحداد"),
    ("SQALLI", "الصقلي"),
    ("BELKADI", "بلقاضي"),
    ("CHERKAOUI", "الشرقاوي"),
    ("FILALI", "EL FILALI", "الفيلالي"),
    ("SABRI", "صبري"),
    ("TAHIRI", "الطاهري"),
)
_LOCAL_PARTS: Final = {name: "".join(filter(str.isalpha, name[0])).lower() for name in (*_FIRST_NAMES, *_FAMILY_NAMES)}
_TRADES: Final = ("TRANSPORT", "TEXTILE", "CONSERVES", "BATIMENT", "CONSEIL", "NEGOCE", "HOTEL", "AGRICOLE", "SECURITE")
_SUFFIXES: Final = ("SARL", "SARL AU", "SA", "SNC")
_CIN_TEXT: Final = (
    "A AA AB AD AE B BB BE BH BJ BK BL BM BW C CB CC CD CN D DA DB DC DJ DN DO E EA EB EC EE F FA FB FC FH FL G GA GB "
    "GM GN H HA HH I IA IB IC ID IE J JA JB JC JE JF JH JK JM JT K KA KB L LA LB LC LE LG M MA MC MD N O OD P PA PB Q "
    "QA R RB RC S SA SH SJ SL T TA TK U UA UB UC V VA W WA WB X XA Y Z ZG ZT"
)
_CIN_LETTERS: Final = tuple(_CIN_TEXT.split())
_BANKS: Final = ("007", "011", "013", "021", "022", "050", "145", "157", "164", "190", "225", "230", "310", "350")
_TOWNS: Final = ("010", "090", "170", "270", "330", "450", "480", "570", "640", "660", "780", "810")
_DOMAINS: Final = ("example.com", "example.org", "example.net", "courrier.example", "boite.example")

# Employers come in blocks of forty people: two of one person, then two, three, five, eight and twenty.
_EMPLOYER_SIZES: Final = (1, 1, 2, 3, 5, 8, 20)
_PLACES: Final = tuple(number for number, size in enumerate(_EMPLOYER_SIZES) for _ in range(size))

# How many of a hundred people stand in 1, 2 ... 12 months: 4.25 rows on average.
_ROWS_OF_HUNDRED: Final = (18, 17, 15, 13, 10, 7, 5, 4, 3, 2, 2, 4)
_ROW_COUNTS: Final = tuple(count for count, weight in enumerate(_ROWS_OF_HUNDRED, 1) for _ in range(weight))

# A person's profile, 64 bits: a bit a month, these flags, then bits that choose name, bank, town and salary.
_NO_PHONE, _NO_EMAIL, _NO_RIB, _NO_CIN, _NO_SALARY, _SHARED_PHONE, _SHARED_EMAIL = (
    1 << _MONTHS + position for position in range(7)
)
_TRAITS: Final = _MONTHS + 7
# With the gaps of the tables: of all cells, phone is missing in 15 %, e-mail in 60, RIB in 30, CIN in 5, salary in 16.
_FLAGS: Final = (
    (_NO_PHONE, 0.10),
    (_NO_EMAIL, 0.50),
    (_NO_RIB, 0.20),
    (_NO_CIN, 0.02),
    (_NO_SALARY, 0.05),
    (_SHARED_PHONE, 0.20),
    (_SHARED_EMAIL, 0.35),
)

_BOTH_EMPLOYER_CELLS_MISSING: Final = 0.03
_CONTACT_INSTEAD: Final = 0.7  # of the rows of a person for whom the employer gave the manager's contact
_DUPLICATED: Final = 0.02

# The ranges that members are drawn from, and above or beside them those of `nonmember`.
_MOBILES: Final = (600_000_000, 200_000_000)  # first, size: 06 and 07
_FIXED_LINES: Final = (520_000_000, 20_000_000)  # 0520 to 0539
_CNSS_NUMBERS: Final = (1_000_000, 899_000_000)  # one in nine begins with a zero
_CIN_NUMBERS: Final = (10_000, 990_000)  # five and six digits: room for the zero of the eight-character format
_ACCOUNTS: Final = (0, 9 * 10**15)
_MAILBOXES: Final = (1, 10**8)
_AFFILIATIONS: Final = (1, 9_999_999)
_NO_CIN_LETTERS: Final = "ZZ"
_NO_DOMAIN: Final = "absent.example"


def _rib(bank: str, town: str, account: int) -> str:
    """Return the 24 digits: the key makes the whole number a multiple of 97."""
    body = f"{bank}{town}{account:016d}"
    return f"{body}{97 - int(body) * 100 % 97:02d}"


def _coprime(rng: random.Random, size: int) -> int:
    """Return a random number below `size`, or 0 for 1, that shares no factor with it."""
    while True:
        if math.gcd(number := rng.getrandbits(64) % size, size) == 1:
            return number


def _scatter(rng: random.Random, first: int, size: int) -> Callable[[int], int]:
    """Return a seeded one-to-one mapping of 0 ... size-1 onto first ... first+size-1."""
    factor, offset = _coprime(rng, size), rng.getrandbits(64) % size
    return lambda number: first + (number * factor + offset) % size


class _Population:
    """Everyone's clean values, computed from the number of the person or of the employer."""

    def __init__(self, people: int, rng: random.Random) -> None:
        self.people = people
        self.employers = self.employer(people - 1) + 1
        self._mobile = _scatter(rng, *_MOBILES)
        self._fixed_line = _scatter(rng, *_FIXED_LINES)
        self._cnss = _scatter(rng, *_CNSS_NUMBERS)
        self._cin = _scatter(rng, 0, len(_CIN_LETTERS) * _CIN_NUMBERS[1])
        self._account = _scatter(rng, *_ACCOUNTS)
        self._mailbox = _scatter(rng, *_MAILBOXES)
        self._affiliation = _scatter(rng, *_AFFILIATIONS)
        self.profiles = array("Q", (self._profile(rng) for _ in range(people)))

    @staticmethod
    def _profile(rng: random.Random) -> int:
        count = _ROW_COUNTS[int(rng.random() * 100)]
        start = int(rng.random() * (_MONTHS + 1 - count))
        profile = ((1 << count) - 1) << start
        for flag, share in _FLAGS:
            if rng.random() < share:
                profile |= flag
        return profile | rng.getrandbits(64 - _TRAITS) << _TRAITS

    def name(self, person: int) -> _Name:
        traits = self.profiles[person] >> _TRAITS
        first, family = traits & 255, traits >> 8 & 255
        return _FIRST_NAMES[first % len(_FIRST_NAMES)], _FAMILY_NAMES[family % len(_FAMILY_NAMES)]

    def salary(self, person: int) -> int:
        """Return the monthly base in dirhams: the cube makes small ones many and large ones few."""
        share = (self.profiles[person] >> _TRAITS + 16 & 1023) / 1024
        return 2_900 + int(40_000 * share**3)

    def phone(self, person: int, /) -> str:
        return str(self._mobile(person))

    def cnss(self, person: int) -> str:
        return f"{self._cnss(person):09d}"

    def cin(self, person: int) -> tuple[str, str]:
        letters, number = divmod(self._cin(person), _CIN_NUMBERS[1])
        return _CIN_LETTERS[letters], str(_CIN_NUMBERS[0] + number)

    def rib(self, person: int) -> str:
        traits = self.profiles[person] >> _TRAITS + 26
        bank, town = traits & 255, traits >> 8 & 255
        return _rib(_BANKS[bank % len(_BANKS)], _TOWNS[town % len(_TOWNS)], self._account(person))

    def email(self, person: int, /) -> str:
        first, family = self.name(person)
        # The number is what makes it unique: no name holds a digit.
        return f"{_LOCAL_PARTS[first]}.{_LOCAL_PARTS[family]}{self._mailbox(person)}@{_DOMAINS[person % len(_DOMAINS)]}"

    @staticmethod
    def employer(person: int) -> int:
        block, place = divmod(person, len(_PLACES))
        return block * len(_EMPLOYER_SIZES) + _PLACES[place]

    def affiliation(self, employer: int, /) -> str:
        return f"{self._affiliation(employer):07d}"

    def employer_name(self, employer: int, /) -> str:
        """Return a name: one in three needs quoting in CSV, one in eleven is Arabic."""
        trade, suffix = _TRADES[employer % len(_TRADES)], _SUFFIXES[employer % len(_SUFFIXES)]
        match employer % 11:
            case 2:
                return f"{trade} EXEMPLE {employer}; FILS ET CIE"
            case 4:
                return f"{trade} EXEMPLE {employer}\n{suffix}"
            case 6:
                return f'{trade} "EXEMPLE" {employer}'
            case 8:
                return f'"EXEMPLE {employer}";\r\n{suffix}'
            case 10:
                return f"شركة المثال {employer}"
            case _:
                return f"{trade} EXEMPLE {employer} {suffix}"

    def contact_phone(self, employer: int, /) -> str:
        # Behind everybody's own number: a manager's mobile is no employee's.
        return str(self._fixed_line(employer) if employer % 2 else self._mobile(self.people + employer))

    def contact_email(self, employer: int, /) -> str:
        return f"gerant@societe{self._affiliation(employer)}.example"


class _Truth:
    """The mask of data classes of each identifier, by the number of the person or employer; 0 if it stands nowhere."""

    __slots__ = ("cin", "cnss", "contact_email", "contact_phone", "email", "phone", "rib")

    def __init__(self, people: int, employers: int) -> None:
        self.cin, self.cnss, self.phone, self.rib, self.email = (array("H", bytes(2 * people)) for _ in range(5))
        self.contact_phone, self.contact_email = (array("H", bytes(2 * employers)) for _ in range(2))


# Files ---------------------------------------------------------------------------------------------------------------

_Tally = Counter[_Spelling[Never]]


class _Rows:
    """Draws rows, and enters what each exposes into the truth."""

    def __init__(self, population: _Population, truth: _Truth, rng: random.Random) -> None:
        self._population = population
        self._truth = truth
        self._random = rng.random
        self._bits = rng.getrandbits

    def _cell(
        self, column: _Column[_T], clean: Callable[[int], _T], holder: int, missing: int = False
    ) -> tuple[str, _Spelling[_T]]:
        """Return the holder's clean value in a spelling drawn from the column, and that spelling."""
        slot = self._bits(_SLOT_BITS)
        spelling = column.slots[slot % column.gap if missing else slot]
        if spelling.blank is not None:
            return spelling.blank, spelling
        return spelling.write(clean(holder)), spelling

    def row(self, person: int, month: int) -> tuple[tuple[str, ...], tuple[_Spelling[Never], ...]]:
        """Return the person's row of the month, and the spellings chosen."""
        population, truth, cell, roll = self._population, self._truth, self._cell, self._random
        profile = population.profiles[person]
        employer = population.employer(person)
        phone_of, phones, phone_holder = population.phone, truth.phone, person
        if profile & _SHARED_PHONE and roll() < _CONTACT_INSTEAD:
            phone_of, phones, phone_holder = population.contact_phone, truth.contact_phone, employer
        email_of, emails, email_holder = population.email, truth.email, person
        if profile & _SHARED_EMAIL and roll() < _CONTACT_INSTEAD:
            email_of, emails, email_holder = population.contact_email, truth.contact_email, employer
        nameless = roll() < _BOTH_EMPLOYER_CELLS_MISSING

        affiliation, as_affiliation = cell(_AFFILIATION, population.affiliation, employer, nameless)
        name_of_employer, as_employer = cell(_EMPLOYER, population.employer_name, employer, nameless)
        cnss, as_cnss = cell(_CNSS, population.cnss, person)
        name, as_name = cell(_NAME, population.name, person)
        cin, as_cin = cell(_CIN, population.cin, person, profile & _NO_CIN)
        phone, as_phone = cell(_PHONE, phone_of, phone_holder, profile & _NO_PHONE)
        email, as_email = cell(_EMAIL, email_of, email_holder, profile & _NO_EMAIL)
        rib, as_rib = cell(_RIB, population.rib, person, profile & _NO_RIB)
        salary, as_salary = cell(_SALARY, self._month_salary, person, profile & _NO_SALARY)
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
            (affiliation, name_of_employer, _PERIODS[month], cnss, name, cin, phone, email, rib, days, salary),
            (as_affiliation, as_employer, as_cnss, as_name, as_cin, as_phone, as_email, as_rib, as_salary),
        )

    def _month_salary(self, person: int) -> str:
        base = self._population.salary(person)
        return f"{base + int(self._random() * 900)}.{int(self._random() * 100):02d}"


def _write_rows(population: _Population, truth: _Truth, rng: random.Random, file: TextIO) -> tuple[int, _Tally]:
    """Write every person's rows month by month, in an order of the month's own; return duplicates and spellings."""
    writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
    writer.writerow(COLUMNS)
    rows = _Rows(population, truth, rng)
    profiles = population.profiles
    tally: _Tally = Counter()
    duplicates = 0
    held = None  # one row waits to be repeated, so that a duplicate rarely stands beside its original

    for month in range(_MONTHS):
        step = _coprime(rng, population.people)
        person = rng.getrandbits(64) % population.people
        for _ in range(population.people):
            person = (person + step) % population.people
            if not profiles[person] >> month & 1:
                continue
            drawn = rows.row(person, month)
            pending = [drawn]
            if rng.random() < _DUPLICATED:
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


def _write_answers(population: _Population, truth: _Truth, file: TextIO) -> dict[str, int]:
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


def _report(population: _Population, duplicates: int, tally: _Tally, identifiers: Mapping[str, int]) -> SynthReport:
    forms: dict[str, dict[str, int]] = {column.name: {} for column in _COLUMNS}
    rejected: dict[str, int] = dict.fromkeys(identifiers, 0)
    for column in _COLUMNS:
        spellings: Iterable[_Spelling[Never]] = dict.fromkeys(column.slots)
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
        InputError: `out_of_range` outside 1 to `MAX_PEOPLE` people, or for a negative seed.
    """
    if not 1 <= people <= MAX_PEOPLE:
        raise InputError("out_of_range", f"the number of people is from 1 to {MAX_PEOPLE}")
    if seed < 0:  # random.Random takes -1 for 1: two seeds would give one file
        raise InputError("out_of_range", "the seed is not below 0")
    rng = random.Random(seed)
    population = _Population(people, rng)
    truth = _Truth(people, population.employers)
    with out.open("w", encoding="utf-8-sig", newline="", buffering=_BUFFER) as file:
        duplicates, tally = _write_rows(population, truth, rng, file)
    with answers.open("w", encoding="utf-8", newline="\n", buffering=_BUFFER) as file:
        identifiers = _write_answers(population, truth, file)

    return _report(population, duplicates, tally, identifiers)


# Non-members ---------------------------------------------------------------------------------------------------------

_NON_MEMBERS: Final[Mapping[str, tuple[int, Callable[[int], str]]]] = {
    "national_id": (_CIN_NUMBERS[1], lambda index: f"{_NO_CIN_LETTERS}{_CIN_NUMBERS[0] + index}"),
    "social_security": (10**9 - sum(_CNSS_NUMBERS), lambda index: str(sum(_CNSS_NUMBERS) + index)),
    "phone": (10**8, lambda index: f"08{index:08d}"),
    "bank_account": (10**16 - sum(_ACCOUNTS), lambda index: _rib(_BANKS[0], _TOWNS[0], sum(_ACCOUNTS) + index)),
    "email": (10**9, lambda index: f"personne{index}@{_NO_DOMAIN}"),
}


def nonmember(kind: str, index: int) -> str:
    """Return the valid identifier number `index` of the kind, of which no synthetic leak ever holds one.

    Members are drawn from other ranges: CIN never has the letters ZZ, CNSS numbers are below 900000000, phones begin
    with 052, 053, 06 or 07 and never with 08, account numbers of a RIB never begin with 9, no e-mail stands under
    absent.example. Different indices give different identifiers.

    Raises:
        InputError: `unknown_kind`, or `out_of_range` for an index below 0 or past the kind's range: the smallest range
            is national_id's, 0 to 989999.
    """
    if kind not in _NON_MEMBERS:
        raise InputError("unknown_kind", f"known are {', '.join(_NON_MEMBERS)}")
    size, spell = _NON_MEMBERS[kind]
    if not 0 <= index < size:
        raise InputError("out_of_range", f"non-members of this kind are numbered from 0 to {size - 1}")
    return spell(index)
