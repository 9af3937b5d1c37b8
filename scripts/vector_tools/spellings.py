"""identifiers.json: spellings of identifiers, and what becomes of every code point (PROTOCOL.md §3)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import resources
from typing import Any, Final

from breachcheck.errors import InputError
from breachcheck.protocol.identifier import KINDS, TABLES, identify
from vector_tools.common import Vector, agree, refusal

# One valid spelling of each kind that has its canonical form's own letter case, and that form.
NUMBERS: Final = {
    "national_id": ("AB123456", "AB123456"),
    "social_security": ("123456789", "123456789"),
    "phone": ("0612345678", "612345678"),
    "bank_account": ("001810007800020110620318", "001810007800020110620318"),
    "email": ("name@example.ma", "name@example.ma"),
    "fr_social_security": ("2550814168025", "2550814168025"),
    "fr_phone": ("0612345678", "612345678"),
    "fr_bank_account": ("20041010050500013M02606", "20041010050500013M02606"),
    "au_phone": ("0491570156", "491570156"),
    "au_passport": ("PA1234567", "PA1234567"),
}

# Kinds of which every code point is walked through: those whose alphabets or checks no other one has.
WALKED: Final = ("national_id", "social_security", "phone", "bank_account", "email", "fr_social_security")

GOOD: Final[Sequence[tuple[str, str, str, str]]] = [
    ("plain", "national_id", "AB123456", "AB123456"),
    ("lower case", "national_id", "ab123456", "AB123456"),
    ("one letter", "national_id", "A123456", "A123456"),
    ("seven digits", "national_id", "AB1234567", "AB1234567"),
    ("one digit", "national_id", "Z1", "Z1"),
    ("zero after the letters", "national_id", "A012345", "A12345"),
    ("the same without it", "national_id", "A12345", "A12345"),
    ("zeros to the full length", "national_id", "AB0000001", "AB1"),
    ("zeros inside and at the end stay", "national_id", "A100200", "A100200"),
    ("O is a letter", "national_id", "O1234", "O1234"),
    ("OD", "national_id", "OD1234", "OD1234"),
    ("DO", "national_id", "do 1234", "DO1234"),
    ("E before digits is no exponent", "national_id", "E12345", "E12345"),
    ("spaces and dashes", "national_id", " AB - 123 456 ", "AB123456"),
    ("full-width letters and digits", "national_id", "ＡＢ１２３４５６", "AB123456"),
    ("full-width lower case", "national_id", "ａｂ１２３４５６", "AB123456"),
    ("Arabic-Indic digits", "national_id", "AB١٢٣٤٥٦", "AB123456"),
    ("Persian digits", "national_id", "AB۱۲۳۴۵۶", "AB123456"),
    ("tatweel", "national_id", "ABـ123456", "AB123456"),
    ("plain", "social_security", "123456789", "123456789"),
    ("eight digits are filled", "social_security", "12345678", "012345678"),
    ("one digit is filled", "social_security", "7", "000000007"),
    ("already filled", "social_security", "000000007", "000000007"),
    ("Arabic-Indic digits", "social_security", "١٢٣٤٥٦٧٨٩", "123456789"),
    ("apostrophe of a spreadsheet's text cell", "social_security", "'012345678", "012345678"),
    ("thousands of a Swiss spreadsheet", "social_security", "1'234'567", "001234567"),
    ("text formula of a spreadsheet", "social_security", '="012345678"', "012345678"),
    ("quoted", "social_security", '"123456789"', "123456789"),
    ("national", "phone", "0612345678", "612345678"),
    ("without the 0", "phone", "612345678", "612345678"),
    ("spaces", "phone", "06 12 34 56 78", "612345678"),
    ("dots", "phone", "06.12.34.56.78", "612345678"),
    ("slashes", "phone", "06/12/34/56/78", "612345678"),
    ("+212", "phone", "+212612345678", "612345678"),
    ("+212 and dashes", "phone", "+212 6 12-34-56-78", "612345678"),
    ("+212 and the 0", "phone", "+212 (0) 6 12 34 56 78", "612345678"),
    ("00212", "phone", "00212612345678", "612345678"),
    ("00212 and the 0", "phone", "002120612345678", "612345678"),
    ("212", "phone", "212612345678", "612345678"),
    ("212 and the 0", "phone", "2120612345678", "612345678"),
    ("starts with 5", "phone", "0522345678", "522345678"),
    ("starts with 7", "phone", "0712345678", "712345678"),
    ("starts with 8", "phone", "0801234567", "801234567"),
    ("Arabic-Indic digits", "phone", "٠٦١٢٣٤٥٦٧٨", "612345678"),
    ("Persian digits", "phone", "۰۶۱۲۳۴۵۶۷۸", "612345678"),
    ("two kinds of digits", "phone", "06١٢۳۴5678", "612345678"),
    ("full-width, plus included", "phone", "＋２１２６１２３４５６７８", "612345678"),
    ("bidirectional marks around", "phone", "\u200e06 12 34 56 78\u202c", "612345678"),
    ("marks outside of spaces", "phone", "\ufeff \u200f0612345678\u200f \u2069", "612345678"),
    ("no-break spaces", "phone", "06\u00a012\u202f34\u200956\u300078", "612345678"),
    ("line ends", "phone", "\r\n0612345678\r\n", "612345678"),
    ("RIB", "bank_account", "001810007800020110620318", "001810007800020110620318"),
    ("RIB in groups", "bank_account", "001 810 0078000201106203 18", "001810007800020110620318"),
    ("IBAN", "bank_account", "MA64001810007800020110620318", "001810007800020110620318"),
    ("IBAN in groups", "bank_account", "MA64 0018 1000 7800 0201 1062 0318", "001810007800020110620318"),
    ("IBAN in lower case", "bank_account", "ma64001810007800020110620318", "001810007800020110620318"),
    ("RIB above 2^64", "bank_account", "999999999999999999999925", "999999999999999999999925"),
    ("plain", "email", "name@example.ma", "name@example.ma"),
    ("upper case", "email", "Name.Surname@Example.MA", "name.surname@example.ma"),
    ("spaces at the ends", "email", "\u00a0 name@example.ma\n", "name@example.ma"),
    ("marks are dropped inside too", "email", "na\u00adme@exam\u200bple.ma", "name@example.ma"),
    ("full-width", "email", "ｎａｍｅ＠ｅｘａｍｐｌｅ．ｍａ", "name@example.ma"),
    ("full-width upper case", "email", "ＮＡＭＥ@example.ma", "name@example.ma"),
    ("Arabic-Indic digits", "email", "name١@example.ma", "name1@example.ma"),
    ("plus stays", "email", "name+leak@example.ma", "name+leak@example.ma"),
    ("dashes and slashes stay", "email", "a-b/c_d@ex-ample.ma", "a-b/c_d@ex-ample.ma"),
    ("every character of a local part", "email", "!#$%&'*+/=?^_`{|}~-@example.ma", "!#$%&'*+/=?^_`{|}~-@example.ma"),
    ("sub-domains", "email", "a@b.c.d.example", "a@b.c.d.example"),
    ("label of 63", "email", f"a@{'b' * 63}.ma", f"a@{'b' * 63}.ma"),
    ("254 characters", "email", f"{'a' * 242}@example.com", f"{'a' * 242}@example.com"),
    ("A-label", "email", "a@xn--4gbrim.example", "a@xn--4gbrim.example"),
    ("512 code points", "phone", " " * 502 + "0612345678", "612345678"),
    ("512 code points, marks counted", "phone", "\u200b" * 502 + "0612345678", "612345678"),
    ("with its key", "fr_social_security", "255081416802538", "2550814168025"),
    ("in groups, as on the card", "fr_social_security", "2 55 08 14 168 025 38", "2550814168025"),
    ("key behind a slash", "fr_social_security", "2550814168025/38", "2550814168025"),
    ("Corsica, 2A, counts as 19", "fr_social_security", "1 84 12 2A 004 128 18", "184122A004128"),
    ("Corsica, 2B, counts as 18", "fr_social_security", "1 84 12 2b 033 128 48", "184122B033128"),
    ("Corsica without the key", "fr_social_security", "184122a004128", "184122A004128"),
    ("key 97", "fr_social_security", "100010100003697", "1000101000036"),
    ("key 01", "fr_social_security", "100010100003501", "1000101000035"),
    ("born abroad", "fr_social_security", "1 85 05 99 350 042", "1850599350042"),
    ("month not known", "fr_social_security", "1 85 20 78 006 042", "1852078006042"),
    ("temporary number", "fr_social_security", "7 85 05 78 006 042", "7850578006042"),
    ("Arabic-Indic digits", "fr_social_security", "٢٥٥٠٨١٤١٦٨٠٢٥٣٨", "2550814168025"),
    ("national, in groups", "fr_phone", "06 12 34 56 78", "612345678"),
    ("without the 0", "fr_phone", "612345678", "612345678"),
    ("+33", "fr_phone", "+33612345678", "612345678"),
    ("+33 and the 0", "fr_phone", "+33 (0)6 12 34 56 78", "612345678"),
    ("0033", "fr_phone", "0033 1 23 45 67 89", "123456789"),
    ("33", "fr_phone", "33912345678", "912345678"),
    ("IBAN with a letter", "fr_bank_account", "FR1420041010050500013M02606", "20041010050500013M02606"),
    ("IBAN in groups", "fr_bank_account", "FR14 2004 1010 0505 0001 3M02 606", "20041010050500013M02606"),
    ("IBAN in lower case", "fr_bank_account", "fr1420041010050500013m02606", "20041010050500013M02606"),
    ("IBAN of digits", "fr_bank_account", "FR7630006000011234567890189", "30006000011234567890189"),
    ("RIB of digits, in groups", "fr_bank_account", "30006 00001 12345678901 89", "30006000011234567890189"),
    ("E among digits is no exponent", "fr_bank_account", "20041010050500013E02613", "20041010050500013E02613"),
    ("+61", "au_phone", "+61 491 570 156", "491570156"),
    ("+61 and the 0", "au_phone", "+61 (0)491 570 156", "491570156"),
    ("0061", "au_phone", "0061491570156", "491570156"),
    ("fixed", "au_phone", "(02) 5550 1234", "255501234"),
    ("one letter", "au_passport", "n1234567", "N1234567"),
    ("spaces and dashes", "au_passport", " PA 123-4567 ", "PA1234567"),
]

BAD: Final[Sequence[tuple[str, str, str, str]]] = [
    ("nothing", "national_id", "", "empty"),
    ("white space", "phone", " \t\r\n\u00a0\u3000", "empty"),
    ("separators", "phone", "-- / .", "empty"),
    ("marks", "bank_account", "\u200b\ufeff\u2066\u2069", "empty"),
    ("white space", "email", "   ", "empty"),
    ("513 code points", "phone", " " * 503 + "0612345678", "too_long"),
    ("513 spaces", "email", " " * 513, "too_long"),
    ("512 astral code points are not too long", "phone", "\U0001f600" * 512, "unexpected_character"),
    ("513 astral code points", "phone", "\U0001f600" * 513, "too_long"),
    ("another kind of number", "passport", "AB123456", "unknown_kind"),
    ("no kind", "", "AB123456", "unknown_kind"),
    ("composite kind", "national_id+phone", "AB123456", "unknown_kind"),
    ("kind in upper case", "PHONE", "0612345678", "unknown_kind"),
    ("member of every object", "constructor", "0612345678", "unknown_kind"),
    ("digits alone", "national_id", "123456", "format"),
    ("letters alone", "national_id", "AB", "format"),
    ("number zero", "national_id", "AB000000", "format"),
    ("three letters", "national_id", "ABC123456", "format"),
    ("letter at the end", "national_id", "AB123456C", "format"),
    ("eight digits", "national_id", "A12345678", "format"),
    ("zeros beyond the full length", "national_id", "AB00000001", "format"),
    ("letter with an accent", "national_id", "ÀB123456", "unexpected_character"),
    ("Cyrillic letter", "national_id", "\u0410B123456", "unexpected_character"),
    ("Greek letter", "national_id", "\u0391B123456", "unexpected_character"),
    ("dotless i", "national_id", "\u0131123456", "unexpected_character"),
    ("long s", "national_id", "\u017f123456", "unexpected_character"),
    ("Kelvin sign", "national_id", "\u212a123456", "unexpected_character"),
    ("sharp s", "national_id", "\u00df123456", "unexpected_character"),
    ("ligature", "national_id", "\ufb01123456", "unexpected_character"),
    ("superscript digit", "national_id", "AB12345\u00b2", "unexpected_character"),
    ("circled digit", "national_id", "AB12345\u2460", "unexpected_character"),
    ("mathematical digit", "national_id", "AB12345\U0001d7ce", "unexpected_character"),
    ("combining mark", "national_id", "A\u0301B123456", "unexpected_character"),
    ("lone surrogate", "national_id", "AB\ud800123456", "unexpected_character"),
    ("null character", "national_id", "AB123456\x00", "unexpected_character"),
    ("plus sign", "national_id", "AB+123456", "unexpected_character"),
    ("zero", "social_security", "0", "format"),
    ("all zeros", "social_security", "000000000", "format"),
    ("ten digits", "social_security", "1234567890", "format"),
    ("zeros beyond nine", "social_security", "0123456789", "format"),
    ("letter", "social_security", "12345678A", "format"),
    ("decimal point", "social_security", "12345678.0", "spreadsheet_number"),
    ("decimal comma", "social_security", "12345,5", "spreadsheet_number"),
    ("exponent", "social_security", "1.23E+08", "spreadsheet_number"),
    ("exponent in lower case", "social_security", "1,23e+08", "spreadsheet_number"),
    ("exponent without a sign", "social_security", "123E6", "spreadsheet_number"),
    ("spaces around", "social_security", " 12345678.0 ", "spreadsheet_number"),
    ("Arabic-Indic digits and a point", "social_security", "١٢٣٤٥.٠", "spreadsheet_number"),
    ("Arabic decimal separator", "social_security", "12345678٫0", "spreadsheet_number"),
    ("Arabic digits and decimal separator", "phone", "٦١٢٣٤٥٦٧٫٨", "spreadsheet_number"),
    ("thousands and decimals", "social_security", "1,234,567.00", "spreadsheet_number"),
    ("thousands and decimals, dots first", "social_security", "1.234.567,00", "spreadsheet_number"),
    ("thousands by spaces, decimals", "social_security", "1 234 567,00", "spreadsheet_number"),
    ("thousands by no-break spaces, decimals", "phone", "61 234 567,8", "spreadsheet_number"),
    ("thousands by apostrophes, decimals", "social_security", "1'234'567.0", "spreadsheet_number"),
    ("decimals behind a middle dot", "social_security", "12345678·0", "unexpected_character"),
    ("grouped with dots", "social_security", "123.456.789", "unexpected_character"),
    ("negative", "social_security", "-1234567", "unexpected_character"),
    ("negative in brackets", "social_security", "(123456)", "unexpected_character"),
    ("date with slashes", "social_security", "12/03/1990", "unexpected_character"),
    ("date with dashes", "social_security", "2024-05-01", "unexpected_character"),
    ("letter and date", "national_id", "A 12/03/90", "unexpected_character"),
    ("letter and dotted date", "national_id", "A 12.03.90", "unexpected_character"),
    ("Devanagari digits", "social_security", "१२३४५६७८९", "unexpected_character"),
    ("exponent", "phone", "6.12E+08", "spreadsheet_number"),
    ("exponent with a comma", "phone", "6,12E+08", "spreadsheet_number"),
    ("sign and decimal point", "phone", "+612345678.0", "spreadsheet_number"),
    ("one dot", "phone", "06.12345678", "spreadsheet_number"),
    ("another country", "phone", "+33612345678", "format"),
    ("another country with 00", "phone", "0033612345678", "format"),
    ("another country without a plus", "phone", "33612345678", "format"),
    ("plus without a country", "phone", "+612345678", "format"),
    ("plus inside", "phone", "06+12345678", "format"),
    ("two plus signs", "phone", "++212612345678", "format"),
    ("starts with 4", "phone", "0412345678", "format"),
    ("starts with 9", "phone", "0912345678", "format"),
    ("two zeros", "phone", "00612345678", "format"),
    ("a digit too few", "phone", "061234567", "format"),
    ("a digit too many", "phone", "06123456789", "format"),
    ("O for 0", "phone", "O612345678", "format"),
    ("Devanagari digits", "phone", "०६१२३४५६७८", "unexpected_character"),
    ("superscript plus", "phone", "\u207a212612345678", "unexpected_character"),
    ("asterisk", "phone", "06123456*8", "unexpected_character"),
    ("two numbers", "phone", "0612345678;0712345678", "format"),
    ("one digit changed", "bank_account", "001810007800020110620319", "check_digits"),
    ("two digits swapped", "bank_account", "001810007800020110620381", "check_digits"),
    ("IBAN with a wrong RIB", "bank_account", "MA64001810007800020110620319", "check_digits"),
    ("IBAN with other check digits", "bank_account", "MA65001810007800020110620318", "format"),
    ("IBAN of another country", "bank_account", "FR64001810007800020110620318", "format"),
    ("23 digits", "bank_account", "00181000780002011062031", "format"),
    ("25 digits", "bank_account", "0018100078000201106203180", "format"),
    ("exponent", "bank_account", "1.81E+21", "spreadsheet_number"),
    ("exponent of a rounded RIB", "bank_account", "1,8100078000201E+21", "spreadsheet_number"),
    ("no at sign", "email", "name.example.ma", "format"),
    ("two at signs", "email", "a@b@example.ma", "format"),
    ("no domain", "email", "name@", "format"),
    ("no local part", "email", "@example.ma", "format"),
    ("domain without a dot", "email", "name@localhost", "format"),
    ("dot first", "email", ".name@example.ma", "format"),
    ("dot last in the local part", "email", "name.@example.ma", "format"),
    ("two dots", "email", "na..me@example.ma", "format"),
    ("two dots in the domain", "email", "name@example..ma", "format"),
    ("dash first in a label", "email", "name@-example.ma", "format"),
    ("dash last in a label", "email", "name@example-.ma", "format"),
    ("label of 64", "email", f"a@{'b' * 64}.ma", "format"),
    ("digits as the last label", "email", "name@example.123", "format"),
    ("one letter as the last label", "email", "name@example.m", "format"),
    ("address literal", "email", "name@[192.0.2.1]", "unexpected_character"),
    ("255 characters", "email", f"{'a' * 243}@example.com", "format"),
    ("space inside", "email", "na me@example.ma", "unexpected_character"),
    ("no-break space inside", "email", "na\u00a0me@example.ma", "unexpected_character"),
    ("accent", "email", "n\u00e9@example.ma", "unexpected_character"),
    ("Arabic letters", "email", "اسم@example.ma", "unexpected_character"),
    ("Kelvin sign", "email", "\u212aelvin@example.ma", "unexpected_character"),
    ("quoted local part", "email", '"name"@example.ma', "format"),
    ("two addresses", "email", "a@example.ma,b@example.ma", "format"),
    ("angle brackets", "email", "<name@example.ma>", "format"),
    ("one digit changed", "fr_social_security", "255081416802638", "check_digits"),
    ("key changed", "fr_social_security", "255081416802539", "check_digits"),
    ("key 00", "fr_social_security", "100010100003600", "check_digits"),
    ("two digits swapped", "fr_social_security", "255081416820538", "check_digits"),
    ("2A for 2B", "fr_social_security", "184122A03312848", "check_digits"),
    ("a digit too few", "fr_social_security", "255081416802", "format"),
    ("half a key", "fr_social_security", "25508141680253", "format"),
    ("a digit too many", "fr_social_security", "2550814168025380", "format"),
    ("neither man nor woman", "fr_social_security", "555081416802538", "format"),
    ("zeros", "fr_social_security", "0000000000000", "format"),
    ("month 13", "fr_social_security", "2551314168025", "format"),
    ("month 00", "fr_social_security", "2550014168025", "format"),
    ("department 00", "fr_social_security", "2550800168025", "format"),
    ("department 2C", "fr_social_security", "184122C004128", "format"),
    ("letter in another place", "fr_social_security", "18412A2004128", "format"),
    ("exponent", "fr_social_security", "2.55081E+14", "spreadsheet_number"),
    ("plus sign", "fr_social_security", "+2550814168025", "unexpected_character"),
    ("another country", "fr_phone", "+212612345678", "format"),
    ("another country without a plus", "fr_phone", "212612345678", "format"),
    ("starts with 8", "fr_phone", "0812345678", "format"),
    ("starts with 0", "fr_phone", "0012345678", "format"),
    ("a digit too few", "fr_phone", "061234567", "format"),
    ("exponent", "fr_phone", "6.12E+08", "spreadsheet_number"),
    ("one digit of the account changed", "fr_bank_account", "20041010050500013M02506", "check_digits"),
    ("letter changed", "fr_bank_account", "20041010050500013N02606", "check_digits"),
    ("letter that counts alike, with its IBAN", "fr_bank_account", "FR1420041010050500013D02606", "check_digits"),
    ("IBAN with other check digits", "fr_bank_account", "FR1520041010050500013M02606", "check_digits"),
    ("right IBAN of a wrong RIB", "fr_bank_account", "FR8420041010050500013M02607", "check_digits"),
    ("letter in the bank's number", "fr_bank_account", "2004A010050500013M02606", "format"),
    ("22 characters", "fr_bank_account", "20041010050500013M0260", "format"),
    ("IBAN of another country", "fr_bank_account", "MC7630006000011234567890189", "format"),
    ("exponent", "fr_bank_account", "3.0006E+22", "unexpected_character"),
    ("another country", "au_phone", "+33612345678", "format"),
    ("starts with 6", "au_phone", "0612345678", "format"),
    ("short number", "au_phone", "131234", "format"),
    ("exponent", "au_phone", "4.91E+08", "spreadsheet_number"),
    ("digits alone", "au_passport", "1234567", "format"),
    ("three letters", "au_passport", "PAB123456", "format"),
    ("six digits", "au_passport", "PA123456", "format"),
    ("eight digits", "au_passport", "P12345678", "format"),
    ("letter with an accent", "au_passport", "É1234567", "unexpected_character"),
]


RULES: Final[Mapping[str, Any]] = json.loads(
    resources.files("breachcheck.protocol").joinpath("rules", TABLES).read_text("utf-8")
)


def _range(first: str, last: str) -> range:
    return range(int(first[2:], 16), int(last[2:], 16) + 1)


def _listed() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, kind, text and canonical form for both ends of every range, and for every mapped character."""
    for name, ranges in {"marks": RULES["marks"], **RULES["groups"]}.items():
        for point in (point for pair in ranges for point in dict.fromkeys(pair)):
            c = chr(int(point[2:], 16))
            yield f"{name} {point}", "phone", f"{c}0612{c}345678{c}", "612345678"
    for first, last, target in RULES["map"]:
        for offset, c in enumerate(map(chr, _range(first, last))):
            ascii_character = chr(int(target[2:], 16) + offset)
            if ascii_character.isdigit():
                yield f"map U+{ord(c):04X}", "national_id", f"AB1{c}", f"AB1{ascii_character}"
            elif ascii_character.isalpha():
                yield f"map U+{ord(c):04X}", "national_id", f"{c}B1", f"{ascii_character.upper()}B1"


def _beside() -> Iterator[tuple[str, str]]:
    """Yield a name and a text for the neighbours of every range that are in no range and no ASCII."""
    tables = [RULES["map"], RULES["marks"], *RULES["groups"].values()]
    listed = {c for table in tables for first, last, *_ in table for c in _range(first, last)}
    for beside in sorted({near for c in listed for near in (c - 1, c + 1)} - listed):
        if beside >= 128:
            yield f"just outside U+{beside:04X}", f"AB12{chr(beside)}3456"


def _outcomes(kind: str, texts: Iterable[str]) -> Iterator[bytes]:
    canonical = KINDS[kind].canonical
    for text in texts:
        try:
            yield f"={canonical(text)}\n".encode()
        except InputError as error:
            yield f"!{error.reason}\n".encode()


def _digest(kind: str, texts: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(_outcomes(kind, texts))).hexdigest()


def _code_points(kind: str) -> Vector:
    number = NUMBERS[kind][0]
    front, back = number[: len(number) // 2], number[len(number) // 2 :]
    basic = (text for c in map(chr, range(0x10000)) for text in (c + number, front + c + back, number + c))
    supplementary = (c + front + c + back + c for c in map(chr, range(0x10000, 0x110000)))
    return {
        "kind": kind,
        "number": number,
        "basic": _digest(kind, basic),
        "supplementary": _digest(kind, supplementary),
    }


CODE_POINTS: Final = (
    "outcome(text) is '=' and the canonical form, or '!' and the reason, and then U+000A. front is the first "
    "floor(length / 2) characters of number, back the rest. basic: SHA-256 over outcome(c + number), outcome(front + c "
    "+ back), outcome(number + c) for each code point c from 0 to 0xFFFF, surrogates included. supplementary: SHA-256 "
    "over outcome(c + front + c + back + c) for each code point c from 0x10000 to 0x10FFFF."
)


def identifiers() -> Vector:
    good = [*GOOD]
    good += [("plain number", kind, text, form) for kind, (text, form) in NUMBERS.items()]
    good += _listed()
    bad = [*BAD, *((name, "national_id", text, "unexpected_character") for name, text in _beside())]
    for name, kind, text, form in good:
        agree(f"{kind}: {name}", form, identify(kind, text).canonical)
    for name, kind, text, reason in bad:
        agree(f"{kind}: {name}", reason, refusal(identify, kind, text))
    with ProcessPoolExecutor(max_workers=2) as pool:
        code_points = list(pool.map(_code_points, WALKED))
    return {
        "rules": {kind: rules.digest.hex() for kind, rules in KINDS.items()},
        "good": [{"name": n, "kind": k, "text": t, "canonical": c} for n, k, t, c in good],
        "bad": [{"name": n, "kind": k, "text": t, "reason": r} for n, k, t, r in bad],
        "code_points": {"definition": CODE_POINTS, "kinds": code_points},
    }
