"""The files, and the faults in them."""

from __future__ import annotations

import codecs
import gzip
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa

from breachcheck.synth.payroll import COLUMNS
from breachcheck.synth.torture.bomb import Bomb
from breachcheck.synth.torture.corpus import LINK_BOUND, Corpus, File, Row

BIG_CELL: Final = 10 << 20  # characters
_OPTIONAL: Final = ("L_Raison_Sociale", "N_Tel", "L_Email", "N_RIB")

_ENCODINGS: Final = (
    # name, codec, mark, delimiter
    ("utf-8", "utf-8", b"", ";"),
    ("utf-8-bom", "utf-8", codecs.BOM_UTF8, ","),
    ("utf-16-le", "utf-16-le", codecs.BOM_UTF16_LE, "\t"),
    ("utf-16-be", "utf-16-be", codecs.BOM_UTF16_BE, "|"),
    ("windows-1252", "cp1252", b"", ";"),
    ("windows-1256", "cp1256", b"", ";"),
    ("latin-1", "latin-1", b"", ","),
)


# Half of each is an octet that ends a line, a cell or a quote where characters have one octet.
_HALVES: Final = "\u010a\u010d\u0122\u013b\u012c\u0109\u017c\u0a0d\u0d0a\u223b"
_LATE: Final = 1_000  # rows


def _encodings(corpus: Corpus, folder: Path) -> None:
    for name, codec, mark, delimiter in _ENCODINGS:
        file = File(corpus, f"encoding-{name}.csv", delimiter=delimiter)
        arabic, wide = codec.startswith("utf") or codec == "cp1256", codec.startswith("utf")
        for place in range(24):
            spelled = {"L_Nom_Prenom": "arabic"} if arabic else {}
            company = f"SOCIÉTÉ GÉNÉRALE D'ÉTÉ Nº {place}" if codec != "cp1256" else f"Société {place} – شركة المثال"
            if codec == "cp1252":
                company += " – cœur à 5 €"
            if wide and place % 4 == 0:
                company = _HALVES
            if place % 5 == 0:
                company += f"{delimiter}\r\nÉTÉ" if codec != "cp1256" else f"{delimiter}\r\nété"
            if place % 3 == 1:  # what is misread in another encoding, and then no number at all
                spelled["N_Tel"] = "pairs_no_break"
                spelled["L_Num_CIN"] = "bidi_marks" if arabic else "plain"
                spelled["N_Num_Assure"] = "bidi_marks" if arabic else "spaced"
            if place % 3 == 2 and wide:
                spelled |= {"N_Tel": "arabic_indic", "N_Num_Assure": "persian", "N_RIB": "bidi_isolated"}
            file.accept(corpus.row(spelled=spelled, good={"L_Raison_Sociale": company}))
        (folder / f"encoding-{name}.csv").write_bytes(mark + file.finish().encode(codec))


def _late(corpus: Corpus, folder: Path) -> None:
    """Write files whose first 100 kB are ASCII."""
    for name, codec in (("utf-8", "utf-8"), ("windows-1256", "cp1256")):
        file = File(corpus, f"encoding-late-{name}.csv")
        people = [corpus.fresh() for _ in range(20)]
        ascii_only = {"N_Num_Assure": "plain"}
        for place in range(_LATE):
            file.accept(corpus.row(people[place % len(people)], spelled=ascii_only))
        for _ in range(20):
            spelled = {"L_Nom_Prenom": "arabic", "L_Num_CIN": "bidi_marks", "N_Num_Assure": "bidi_marks"}
            file.accept(corpus.row(corpus.fresh(), spelled=spelled))
        (folder / f"encoding-late-{name}.csv").write_bytes(file.finish().encode(codec))


def _delimiters(corpus: Corpus, folder: Path) -> None:
    for name, delimiter in (("semicolon.csv", ";"), ("comma.csv", ","), ("tab.tsv", "\t"), ("pipe.txt", "|")):
        file = File(corpus, f"delimiter-{name}", delimiter=delimiter, end="\n")
        for others in (";,|", ",,,;;;", "|;|;|;|;|;|;|;|;|;|;|", "\t,;"):
            file.rows(4, good={"L_Raison_Sociale": f"SOCIETE {others} EXEMPLE"})
            file.reject("columns", "SOCIETE" + others.replace(delimiter, "") + "EXEMPLE")
        _write(folder, f"delimiter-{name}", file)


def _write(folder: Path, name: str, file: File) -> None:
    (folder / name).write_bytes(file.finish().encode())


def _quotes(corpus: Corpus, folder: Path) -> None:
    file = File(corpus, "quotes.csv")
    plain = corpus.row

    def line(row: Row, place: int, cell: str) -> str:
        return ";".join((*row.cells[:place], cell, *row.cells[place + 1 :]))

    company, name, salary = (COLUMNS.index(column) for column in ("L_Raison_Sociale", "L_Nom_Prenom", "N_Salaire_Reel"))
    for _ in range(3):
        file.rows(2)
        for cell in ('SOCIETE "EXEMPLE" SARL', 'ECRANS 12"', "L'EXEMPLE", '5" 6""'):  # a quote within is a character
            row = plain()
            file.accept(row, line(row, company, cell))
        for cell in ('"SOCIETE; ""EXEMPLE"""', '""""', '"SOCIETE"', '"SOCIETE \\"', "SOCIETE \\", ' "SOCIETE"'):
            row = plain()
            file.accept(row, line(row, company, cell))
        for place, cell in (
            (name, '"'),  # the first one: behind another, it would close that one
            (company, '"SOCIETE EXEMPLE'),
            (salary, '"4500.00'),
            (0, '"1234567'),
            (company, '"SOCIETE" EXEMPLE'),
            (company, '"SOCIETE"EXEMPLE"'),
            (name, '"NOM"x'),
        ):
            file.reject("quoting", line(plain(corpus.fresh()), place, cell))
            file.rows(1)
        # Behind an unclosed quote, a good one of another row: the quote is not closed by what opens that one.
        file.reject("quoting", line(plain(corpus.fresh()), company, '"SOCIETE'))
        file.rows(1, good={"L_Raison_Sociale": "SOCIETE; EXEMPLE"})
        file.reject("quoting", line(plain(corpus.fresh()), company, '"SOCIETE'))
        file.reject("quoting", line(plain(corpus.fresh()), company, '"SOCIETE'))
        file.reject("empty", "")
        file.rows(2, good={"L_Raison_Sociale": "SOCIETE\r\nEXEMPLE"})
        row = plain()
        file.accept(row, ";".join(f'"{cell}"' for cell in row.cells))
    file.reject("quoting", line(plain(corpus.fresh()), salary, '"4500'), end="")
    _write(folder, "quotes.csv", file)


def _widths(corpus: Corpus, folder: Path) -> None:
    file = File(corpus, "truncated.csv")
    for cells in range(1, 11):
        file.rows(2)
        file.reject("columns", ";".join(corpus.row(corpus.fresh()).cells[:cells]))
        file.reject("columns", ";".join((*corpus.row(corpus.fresh()).cells, *["x"] * cells)))
    file.reject("columns", ";".join(corpus.row(corpus.fresh()).cells[:9]), end="")
    _write(folder, "truncated.csv", file)

    file = File(corpus, "empty-lines.csv", end="\n")
    for _ in range(5):
        file.reject("empty", "")
        file.rows(2)
        file.reject("empty", ";" * 10)
    file.reject("empty", "")
    file.reject("empty", "")
    _write(folder, "empty-lines.csv", file)

    file = File(corpus, "no-line-end.csv", end="\n")
    file.rows(3)
    file.accept(corpus.row(), end="")
    _write(folder, "no-line-end.csv", file)


def _characters(corpus: Corpus, folder: Path) -> None:
    def parted(person: int, column: str, by: str) -> dict[str, str]:
        text = corpus.row(person, spelled={column: "plain"}).cells[COLUMNS.index(column)]
        return {column: text[:2] + by + text[2:]}

    file = File(corpus, "newlines.csv")
    for by in ("\n", "\r\n", "\r", "\n\n\n"):
        for _ in range(3):
            file.rows(1, good={"L_Raison_Sociale": f"SOCIETE{by}EXEMPLE{by}"})
            file.rows(1, good={"L_Nom_Prenom": f"{by}NOM;{by}"})
            for column in ("N_Tel", "L_Num_CIN", "N_Num_Assure"):  # a line end is a space, and dropped like one
                person = corpus.somebody()
                file.accept(corpus.row(person, good=parted(person, column, by)))
    _write(folder, "newlines.csv", file)

    file = File(corpus, "separators.csv")
    for character in "\v\f\x1a\x1c\x1d\x1e\x1f\x85\u2028\u2029":  # which end a line in some programs, but not in CSV
        file.rows(2, good={"L_Raison_Sociale": f"SOCIETE{character}EXEMPLE"})
    _write(folder, "separators.csv", file)

    file = File(corpus, "nul.csv")
    for _ in range(5):
        file.rows(1, good={"L_Nom_Prenom": "NOM\0PRENOM"})
        person = corpus.somebody()
        file.accept(corpus.row(person, bad=parted(person, "N_Tel", "\0")))
        cells = [f"{cell}\0" for cell in corpus.row(corpus.fresh()).cells]
        file.reject("no_identifier", file.line(cells))
        file.rows(1)
    _write(folder, "nul.csv", file)

    file = File(corpus, "line-ends-mixed.csv")
    for end in ("\n", "\r\n", "\r") * 5:
        file.accept(corpus.row(), end=end)
        file.accept(corpus.row(good={"L_Raison_Sociale": "SOCIETE\nEXEMPLE\r\n"}), end=end)
        file.reject("columns", "SOCIETE;EXEMPLE", end=end)
    _write(folder, "line-ends-mixed.csv", file)

    file = File(corpus, "line-ends-cr.csv", end="\r")
    file.rows(12)
    file.reject("empty", "")
    file.rows(1)
    _write(folder, "line-ends-cr.csv", file)


def _headers(corpus: Corpus, folder: Path) -> None:
    file = File(corpus, "headers-repeated.csv")
    file.reject("repeated_header", file.header)
    for _ in range(4):
        file.rows(3)
        file.reject("repeated_header", file.header)
    _write(folder, "headers-repeated.csv", file)

    file = File(corpus, "columns-reversed.csv", columns=COLUMNS[::-1])
    file.rows(12)
    file.reject("repeated_header", file.header)
    file.reject("columns", ";".join(COLUMNS[:4]))
    file.rows(1)
    _write(folder, "columns-reversed.csv", file)

    file = File(corpus, "columns-fewer.csv", columns=[column for column in COLUMNS if column not in _OPTIONAL])
    file.rows(12, spelled=dict.fromkeys(_OPTIONAL, "empty"))
    _write(folder, "columns-fewer.csv", file)

    _write(folder, "header-only.csv", File(corpus, "header-only.csv"))
    file = File(corpus, "header-only-no-line-end.csv", end="")
    _write(folder, "header-only-no-line-end.csv", file)


_RUINED: Final = (
    {"N_Tel": "scientific"},
    {"N_Tel": "float", "N_Num_Assure": "zeros_lost"},
    {"N_Tel": "zero_lost", "N_Num_Assure": "scientific"},
    {"N_Num_Assure": "float", "N_RIB": "scientific"},
    {"N_RIB": "float", "N_Salaire_Reel": "comma"},
    {"N_Num_Assure": "text_marked", "N_RIB": "text_marked"},
    {"L_Num_CIN": "digits_only", "N_Num_Assure": "decimal_comma"},
    {"N_Salaire_Reel": "zero_comma", "L_Nom_Prenom": "neant_capitals"},
)
_SCRIPTS: Final = (
    {"N_Tel": "arabic_indic", "L_Num_CIN": "arabic_indic", "N_Num_Assure": "arabic_indic", "N_RIB": "arabic_indic"},
    {"N_Tel": "persian", "L_Num_CIN": "persian", "N_Num_Assure": "persian"},
    {"N_Tel": "arabic_indic_pairs", "L_Nom_Prenom": "arabic"},
    {"N_Tel": "bidi_embedded", "L_Num_CIN": "bidi_marks", "N_Num_Assure": "bidi_marks", "N_RIB": "bidi_isolated"},
    {"N_Tel": "bidi_isolated", "L_Email": "bidi_marks"},
    {"N_Tel": "bidi_marks", "L_Email": "no_break"},
)
_FULL_WIDTH: Final = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def _values(corpus: Corpus, folder: Path) -> None:
    nothing = {"L_Num_CIN": "empty", "N_Tel": "scientific", "L_Email": "no_at", "N_RIB": "scientific"}
    file = File(corpus, "spreadsheet.csv")
    for _ in range(3):
        for spelled in _RUINED:
            file.rows(1, spelled=spelled)
        file.reject(
            "no_identifier",
            file.line(corpus.row(corpus.fresh(), spelled=nothing | {"N_Num_Assure": "scientific"}).cells),
        )
        file.accept(corpus.row(bad={"N_Tel": "6.12E+08"}))
        file.accept(corpus.row(spelled=nothing | {"N_Num_Assure": "zeros_lost"}))
    _write(folder, "spreadsheet.csv", file)

    file = File(corpus, "digits.csv")
    for _ in range(3):
        for spelled in _SCRIPTS:
            file.rows(1, spelled=spelled)
        person = corpus.somebody()
        columns = ("L_Num_CIN", "N_Num_Assure")
        plain = corpus.row(person, spelled=dict.fromkeys(columns, "plain"))
        wide = {column: plain.cells[COLUMNS.index(column)].translate(_FULL_WIDTH) for column in columns}
        file.accept(corpus.row(person, good=wide))
    _write(folder, "digits.csv", file)

    file = File(corpus, "values-swapped.csv")
    everything = dict.fromkeys(("L_Num_CIN", "N_Tel", "L_Email", "N_RIB"), "plain")

    def swapped(person: int, *pairs: tuple[str, str]) -> dict[str, str]:
        cells = dict(zip(COLUMNS, corpus.row(person, spelled=everything).cells, strict=True))
        return {column: cells[other] for column, other in pairs}

    for _ in range(6):
        person = corpus.fresh()
        # Each in the column of another kind, where it breaks that kind's rule.
        every = swapped(
            person,
            ("N_Num_Assure", "N_Tel"),
            ("L_Num_CIN", "N_Num_Assure"),
            ("N_Tel", "L_Num_CIN"),
            ("L_Email", "N_RIB"),
            ("N_RIB", "L_Email"),
        )
        file.reject("no_identifier", file.line(corpus.row(person, bad=every).cells))
        file.rows(1)
        person = corpus.somebody()
        file.accept(corpus.row(person, bad=swapped(person, ("L_Email", "N_RIB"), ("N_RIB", "L_Email"))))
    _write(folder, "values-swapped.csv", file)

    file = File(corpus, "big-cell.csv")
    file.rows(3)
    row = corpus.row(corpus.fresh(), good={"L_Nom_Prenom": "N" * BIG_CELL})
    file.reject("too_long", file.line(row.cells))
    file.rows(2)
    file.rows(1, good={"L_Nom_Prenom": "N" * 100_000})
    file.rows(1, bad={"N_Tel": "6" * 10_000})
    _write(folder, "big-cell.csv", file)


def _placeholders(corpus: Corpus, folder: Path) -> None:
    file = File(corpus, "placeholders.csv")
    for cin, people in (("AA000001", LINK_BOUND + 1), ("AB000002", LINK_BOUND)):
        for _ in range(people):
            spelled = {"N_Num_Assure": "plain"}
            file.accept(corpus.row(corpus.fresh(), spelled=spelled, good={"L_Num_CIN": cin}, held={"L_Num_CIN": cin}))
    _write(folder, "placeholders.csv", file)


def _packed(corpus: Corpus, folder: Path) -> None:
    def content(name: str) -> bytes:
        file = File(corpus, name)
        file.rows(6)
        file.reject("columns", "SOCIETE;EXEMPLE")
        file.rows(1, good={"L_Raison_Sociale": "SOCIETE;\nEXEMPLE"})
        return file.finish().encode()

    (folder / "packed.csv.gz").write_bytes(gzip.compress(content("packed.csv.gz"), mtime=0))
    (folder / "packed.csv.zst").write_bytes(pa.compress(content("packed.csv.zst"), codec="zstd", asbytes=True))
    _zip(folder / "packed.zip", {name: content(f"packed.zip/{name}") for name in ("first.csv", "folder/second.csv")})
    (folder / "folder").mkdir()
    (folder / "folder" / "within.csv").write_bytes(content("folder/within.csv"))


def _zip(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _refused(corpus: Corpus, folder: Path) -> None:
    def refuse(name: str, reason: str, content: bytes) -> None:
        (folder / name).write_bytes(content)
        corpus.files.append({"file": name, "refused": reason})

    refuse("empty.csv", "empty", b"")
    refuse("columns-other.csv", "columns", b"CIN;RIB\r\nAB123456;\r\n")
    start = File(corpus, "")
    for _ in range(3):
        start.accept(corpus.row(corpus.fresh()))
    bomb = Bomb(start.text().encode())
    refuse("bomb.csv.gz", "too_large", bomb.gzip())
    refuse("bomb.zip", "too_large", bomb.zip(b"bomb.csv"))
    refuse("bomb.csv.zst", "too_large", bomb.zstd())


GROUPS: Final = (
    _encodings,
    _late,
    _delimiters,
    _quotes,
    _widths,
    _characters,
    _headers,
    _values,
    _placeholders,
    _packed,
    _refused,
)
