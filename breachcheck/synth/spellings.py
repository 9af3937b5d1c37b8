"""How a clean value may stand in a cell: every good spelling, every kind of dirt, every way to say nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from breachcheck.exposure import DataClass

_T = TypeVar("_T")
_T_contra = TypeVar("_T_contra", contravariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Spelling(Generic[_T_contra]):
    """One way to write a clean value. `mask` is the field it exposes; it may do so without being a valid identifier."""

    name: str
    mask: int
    valid: bool
    write: Callable[[_T_contra], str]
    blank: str | None = None  # what stands in the cell instead of any value


_Weighted = tuple[int, str, Callable[[_T], str]]
SLOT_BITS: Final = 10
_SLOTS: Final = 1 << SLOT_BITS
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


def _blank(name: str, text: str) -> Spelling[object]:
    return Spelling(name, mask=0, valid=False, write=str, blank=text)


@dataclass(frozen=True, slots=True)
class Column(Generic[_T]):
    """A column's spellings in 1024 slots, one of which is drawn for each cell; the first `gap` are blanks."""

    name: str
    kind: str | None
    gap: int
    slots: tuple[Spelling[_T], ...]


def _column(
    name: str,
    kind: str | None,
    exposes: DataClass,
    plain: Callable[[_T], str],
    *,
    gap: int,
    good: tuple[_Weighted[_T], ...],
    bad: tuple[_Weighted[_T], ...] = (),
    placeholders: tuple[tuple[int, str, str], ...] = (),
) -> Column[_T]:
    """Return the column of these spellings. Weights are numbers of slots; `plain` has the rest, and is good."""
    slots: list[Spelling[_T]] = []
    for placeholder, text in _PLACEHOLDERS:
        slots += [_blank(placeholder, text)] * max(1, gap * 3 // 100)
    slots += [_blank("empty", "")] * (gap - len(slots))
    for valid, choices in ((True, good), (False, bad)):
        for weight, spelling, write in choices:
            slots += [Spelling(spelling, exposes.bit, valid, write)] * weight
    for weight, placeholder, text in placeholders:
        slots += [_blank(placeholder, text)] * weight
    slots += [Spelling("plain", exposes.bit, True, plain)] * (_SLOTS - len(slots))
    return Column(name, kind, gap, tuple(slots))


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
PHONE: Final[Column[str]] = _column(
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
CIN: Final[Column[tuple[str, str]]] = _column(
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
CNSS: Final[Column[str]] = _column(
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
        (5, "too_long", lambda n: f"{n}{n}"),
        (5, "letter", lambda n: f"{n[:8]}X"),
    ),
    placeholders=((5, "all_zero", "000000000"),),
)

# Clean value: the 24 digits, of which the key is 01 to 97: one more is a wrong key and still two digits.
RIB: Final[Column[str]] = _column(
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
EMAIL: Final[Column[str]] = _column(
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
Name = tuple[tuple[str, ...], tuple[str, ...]]
NAME: Final[Column[Name]] = _column(
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
AFFILIATION: Final[Column[str]] = _column(
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
EMPLOYER: Final[Column[str]] = _column(
    "L_Raison_Sociale",
    None,
    DataClass.EMPLOYERS,
    str,
    gap=60,
    good=((60, "title", str.title), (40, "surrounded", "  {} ".format)),
)
# Clean value: dirhams and centimes as 4523.75.
SALARY: Final[Column[str]] = _column(
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

# The columns of the second file stand in Windows-1256, which lacks these.
_LACKING: Final = frozenset({"arabic_indic", "persian", "bidi_isolated", "neant_capitals"})


def _in_windows_1256(column: Column[_T], name: str) -> Column[_T]:
    """Return the column under another name; for what cannot be written stands a blank, or the plain spelling."""
    empty, plain = column.slots[column.gap - 1], column.slots[-1]
    slots = (
        (plain if spelling.blank is None else empty) if spelling.name in _LACKING else spelling
        for spelling in column.slots
    )
    return Column(name, column.kind, column.gap, tuple(slots))


CARD: Final = _in_windows_1256(CIN, "CIN")
ACCOUNT: Final = _in_windows_1256(RIB, "RIB")
# Clean value: the address in French and in Arabic.
Address = tuple[str, str]
ADDRESS: Final[Column[Address]] = _in_windows_1256(
    _column(
        "ADRESSE",
        None,
        DataClass.PHYSICAL_ADDRESSES,
        lambda a: a[0],
        gap=80,
        good=((300, "arabic", lambda a: a[1]), (60, "lines", lambda a: a[0].replace(", ", "\r\n"))),
    ),
    "ADRESSE",
)
# Clean value: year, month, day.
BirthDate = tuple[int, int, int]
BIRTH_DATE: Final[Column[BirthDate]] = _in_windows_1256(
    _column(
        "DATE_NAISSANCE",
        None,
        DataClass.DATES_OF_BIRTH,
        lambda d: f"{d[2]:02d}/{d[1]:02d}/{d[0]}",
        gap=60,
        good=(
            (150, "iso", lambda d: f"{d[0]}-{d[1]:02d}-{d[2]:02d}"),
            (80, "short", lambda d: f"{d[2]:02d}-{d[1]:02d}-{d[0] % 100:02d}"),
        ),
        placeholders=((60, "nobodys", "01/01/1900"),),
    ),
    "DATE_NAISSANCE",
)

TABLES: Final[tuple[Column[Any], ...]] = (AFFILIATION, EMPLOYER, CNSS, NAME, CIN, PHONE, EMAIL, RIB, SALARY)
