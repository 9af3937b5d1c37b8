"""One payroll return in every sort of source that is read, for tests that ask what remains of it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import pyarrow as pa
import zstandard
from pyarrow import parquet

from tests.test_sources import pdf, workbook, zipped

Table = Sequence[Sequence[str]]  # the header first

ATTESTATION: Final = """
version = 1
linking = ["national_id", "social_security"]
column = [
    {header = "cin", kind = "national_id", pattern = 'CIN : (\\S+)'},
    {header = "cnss", kind = "social_security", pattern = 'CNSS : (\\S+)'},
    {header = "rib", kind = "bank_account", pattern = 'RIB : (\\S+)', optional = true},
    {header = "name", data_class = "Names", pattern = 'Nom : (.+)'},
]
"""


def _text(delimiter: str, encoding: str) -> Callable[[Table], bytes]:
    def octets(table: Table) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter).writerows(table)
        return text.getvalue().encode(encoding)

    return octets


def _json_lines(table: Table) -> bytes:
    header, *rows = table
    return "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows).encode()


def _parquet(table: Table) -> bytes:
    header, *rows = table
    file = io.BytesIO()
    parquet.write_table(pa.table([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], header), file)
    return file.getvalue()


def _xlsx(table: Table) -> bytes:
    cell = '<c t="inlineStr"><is><t xml:space="preserve">{}</t></is></c>'.format
    lines = ("".join(cell(escape(text.replace("\r\n", " "))) for text in row) for row in table)
    return workbook(sheet="".join(f"<row>{line}</row>" for line in lines))


_plain = _text(";", "utf-8-sig")
TABLES: Final[dict[str, Callable[[Table], bytes]]] = {
    "semicolon.csv": _plain,
    "tab.tsv": _text("\t", "utf-16"),
    "lines.jsonl": _json_lines,
    "table.parquet": _parquet,
    "table.xlsx": _xlsx,
    "comma.csv.gz": lambda table: gzip.compress(_text(",", "utf-8")(table)),
    "semicolon.csv.zst": lambda table: zstandard.compress(_plain(table)),
    "several.zip": lambda table: zipped({"a.csv": _plain(table[: len(table) // 2]), "b.xlsx": _xlsx(
        [table[0], *table[len(table) // 2 :]])}),
}  # fmt: skip


def write_tables(folder: Path, leak: Path) -> tuple[list[Path], int]:
    """Write the rows of a synthetic leak, some in each sort of table; return the files and the number of rows."""
    with leak.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file, delimiter=";")
    files = []
    for number, (name, octets) in enumerate(TABLES.items()):
        files.append(folder / name)
        files[-1].write_bytes(octets([header, *rows[number :: len(TABLES)]]))
    return files, len(rows)


def write_return(path: Path, leak: Path, count: int) -> None:
    """Write people of a leak as a payroll return of fixed width, for the mapping `cnss_return`."""
    lines = [
        f"B04{'1234567202501'}{row['N_Num_Assure']:9.9}{row['L_Nom_Prenom']:60.60}{row['L_Num_CIN']:8.8}26{'1' * 41}"
        for row in _people(leak, count)
    ]
    path.write_bytes("".join(f"{line:260}\r\n" for line in lines).encode("cp1256", "replace"))


def write_attestation(path: Path, leak: Path, count: int) -> None:
    """Write people of a leak as salary attestations, a page each, for the mapping `ATTESTATION`."""
    pages = [
        [
            f"Nom : {row['L_Nom_Prenom']}",
            f"CIN : {row['L_Num_CIN']}",
            f"CNSS : {row['N_Num_Assure']}",
            f"RIB : {row['N_RIB']}",
        ]
        for row in _people(leak, count)
    ]
    path.write_bytes(pdf(*pages))


def _people(leak: Path, count: int) -> list[dict[str, str]]:
    """Return rows whose numbers are spelled plainly, and whose names a PDF's own fonts can write."""
    with leak.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter=";")
        plain = (
            row for row in rows
            if row["N_Num_Assure"].isascii() and row["N_Num_Assure"].isdecimal() and len(row["N_Num_Assure"]) == 9
            and row["L_Num_CIN"].isascii() and row["L_Num_CIN"].isalnum()
            and row["L_Nom_Prenom"].isascii() and row["L_Nom_Prenom"].replace(" ", "").isalpha()
        )  # fmt: skip
        return list(islice(plain, count))
