"""Mappings: what they may say, what is proposed for a file that nobody described, and how well one fits."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass
from breachcheck.ingest import preview
from breachcheck.ingest.cells import absent_in, find, folded_in
from breachcheck.ingest.mapping import Column, Mapping, read_about, read_mapping
from breachcheck.ingest.plan import Cell, folded
from breachcheck.ingest.propose import propose
from breachcheck.ingest.sources.open import chunks
from breachcheck.ingest.tally import ColumnTally, Tally, tally
from breachcheck.protocol.identifier import KINDS, RULE_FILES
from breachcheck.synth import generate
from tests.steward import ingest_small
from tests.steward import leak as leak_of
from tests.test_sources import workbook, zipped
from tests.world import run

PHONE_COLUMN = '[[column]]\nheader = "tel"\nkind = "phone"\n'
RIB = "001810007800020110620318"
NIR = "255081416802538"
FRENCH_IBAN = "FR1420041010050500013M02606"


def mapping_of(text: str, folder: Path) -> Mapping:
    file = folder / "mapping.toml"
    file.write_text(text, "utf-8")
    return read_mapping(str(file))


def proposed(header: Sequence[str], rows: Sequence[Sequence[str | None]] = (), **more: bool) -> Mapping:
    return Mapping.model_validate(tomllib.loads(propose(header, rows, **more)))


def column_of(header: str, *cells: str) -> Column:
    """Return what is proposed for a column beside one of phones, which stands in no doubt."""
    rows = [["0612345678", cell] for cell in cells]
    [column] = [one for one in proposed(["telephone", header], rows).column if one.header != ("telephone",)]
    return column


def csv_file(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    return path


def counted(mapping: Mapping, *files: Path) -> Tally:
    return tally((chunk.plan, chunk.rows()) for file in files for chunk in chunks(file, mapping))


# --- What a mapping may say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        ('header = "a"', "either kind, data_class or ignore"),
        ('header = "a"\nkind = "phone"\ndata_class = "Names"', "either kind, data_class or ignore"),
        ('header = "a"\nkind = "passport"', "unknown kind"),
        ('header = "a"\nkind = ["phone", "passport"]', "unknown kind"),
        ('header = []\nkind = "phone"', "at least 1"),
        ('header = "a"\ndata_class = "Names"\nsplit = "/"', "only a column of identifiers is split"),
        ('header = "a"\ndata_class = "Names"\nemployer = true', "only a column of identifiers is an employer's"),
        ('header = "TEL "\nignore = true', "a header stands twice"),
        ('header = "a"\nkind = "phone"\ncolour = 1', "column.2.colour: there is no such key"),
        ('header = "a"\nkind = 3', "column.2.kind: a text, or a list of texts"),
        ('kind = "phone"', "column.2.header: it is needed"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(column: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=complaint) as refused:
        mapping_of(f"version = 1\n{PHONE_COLUMN}[[column]]\n{column}\n", tmp_path)
    assert refused.value.reason == "mapping"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f'version = 1\nlinking = ["national_id"]\n{PHONE_COLUMN}', "linking names a kind that no column has"),
        (f'version = 1\nlinking = ["phone"]\n{PHONE_COLUMN}employer = true\n', "of a person's own"),
        ('version = 1\n[[column]]\nheader = "a"\nignore = true\n', "no column maps to a kind"),
        (f"version = 2\n{PHONE_COLUMN}", "version"),
        (f'version = 1\nencoding = "utf-9"\n{PHONE_COLUMN}', "no such encoding"),
        ("version = 1\n[[column", "not TOML"),
    ],
)
def test_a_mapping_as_a_whole_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=complaint):
        mapping_of(text, tmp_path)


def test_a_mapping_from_an_editor_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert mapping_of(f"\ufeffversion = 1\n{PHONE_COLUMN}", tmp_path).column[0].kind == ("phone",)


def test_a_plan_finds_parts_and_columns_without_a_name(tmp_path: Path) -> None:
    columns = (
        '[[column]]\nheader = ["cle", "compte"]\nkind = "bank_account"\n[[column]]\nheader = "#3"\nignore = true\n'
    )
    mapping = mapping_of(f"version = 1\n{PHONE_COLUMN}{columns}", tmp_path)
    plan = mapping.plan(["Compte", " TEL", " ", "cle"])
    assert [(cell.indexes, cell.kinds) for cell in plan.cells] == [((1,), ("phone",)), ((3, 0), ("bank_account",))]
    with pytest.raises(InputError, match="says nothing of column 5"):
        mapping.plan(["Compte", "TEL", "", "cle", ""])
    with pytest.raises(InputError, match="the file lacks cle"):
        mapping.plan(["Compte", "TEL", ""])


# --- What is proposed: headers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        (
            ["CIN", "L_Num_CIN", "N° CNIE", "NumCIN", "numcin", "Carte d'identité", "CARTE NATIONALE", "National ID"],
            "national_id",
        ),
        (["رقم البطاقة الوطنية", "رقم بطاقة التعريف الوطنية", "البِطاقة الوطنيّة", "الهوية"], "national_id"),
        (
            ["N_Num_Assure", "CNSS", "N° d'immatriculation", "Numéro de sécurité sociale", "Social security number"],
            "social_security",
        ),
        (["رقم الضمان الاجتماعي", "رقم التسجيل في صندوق الضمان", "رقم المؤمن له"], "social_security"),
        (["Tel", "N_Tel", "Tél. portable", "Téléphone 1", "GSM", "phone_number", "userPhone", "Mobile"], "phone"),
        (["الهاتف", "رقم الهاتف", "الهاتف المحمول", "رقم الجوال", "هـاتف"], "phone"),
        (["RIB", "IBAN", "N_RIB", "Compte bancaire", "Bank account no."], "bank_account"),
        (["رقم الحساب البنكي", "الحساب", "بيان الهوية البنكية"], "bank_account"),
        (["E-mail", "Courriel", "Adresse e-mail", "EMAIL_ADDRESS", "البريد الإلكتروني", "البريد الالكترونى"], "email"),
    ],
)
def test_headers_of_three_languages_name_kinds(headers: Sequence[str], kind: str) -> None:
    for header in headers:
        column = proposed([header, "nom", "cin" if kind != "national_id" else "rib"]).column[0]
        assert (column.kind, column.employer) == ((kind,), False), header


@pytest.mark.parametrize(
    ("headers", "data_class"),
    [
        (
            ["Nom", "Prénom", "L_Nom_Prenom", "Nom de l'assuré", "full_name", "الاسم الكامل", "الإسم العائلي"],
            DataClass.NAMES,
        ),
        (
            ["Salaire", "N_Salaire_Reel", "SALAIRE DÉCLARÉ", "Gross salary", "الأجر", "الأجر الشهري", "الراتب"],
            DataClass.EARNINGS,
        ),
        (
            ["Date de naissance", "DateNaissance", "date_of_birth", "DOB", "Né(e) le", "تاريخ الازدياد"],
            DataClass.DATES_OF_BIRTH,
        ),
        (["Adresse", "Code postal", "Ville", "street", "العنوان", "المدينة"], DataClass.PHYSICAL_ADDRESSES),
        (
            ["Employeur", "Raison sociale", "N_Num_Affilie", "Nom de la société", "company", "المشغل", "اسم الشركة"],
            DataClass.EMPLOYERS,
        ),
        (["Adresse employeur", "CNSS_Employeur", "Nom du gérant"], DataClass.EMPLOYERS),
        (["Sexe", "الجنس", "gender"], DataClass.GENDERS),
        (["Situation familiale", "الحالة العائلية"], DataClass.MARITAL_STATUSES),
        (["Profession", "المهنة", "job_title"], DataClass.JOB_TITLES),
        (["Passeport", "رقم جواز السفر"], DataClass.PASSPORT_NUMBERS),
        (["Nationalité", "الجنسية"], DataClass.NATIONALITIES),
    ],
)
def test_headers_of_three_languages_name_data_classes(headers: Sequence[str], data_class: DataClass) -> None:
    for header in headers:
        column = column_of(header)
        assert (column.data_class, column.kind) == (data_class, ()), header
        assert column.zero_is_absent == (data_class is DataClass.EARNINGS)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Tel_Employeur", "phone"),
        ("هاتف المشغل", "phone"),
        ("رقم هاتف الشركة", "phone"),
        ("Company phone", "phone"),
        ("Email société", "email"),
        ("RIB de l'entreprise", "bank_account"),
        ("CIN_Gerant", "national_id"),
    ],
)
def test_what_is_the_employers_is_proposed_as_such_and_links_nobody(header: str, kind: str) -> None:
    mapping = proposed([header, "nom"])
    assert (mapping.column[0].kind, mapping.column[0].employer) == ((kind,), True)
    assert mapping.linking == ()


@pytest.mark.parametrize(
    "header", ["CIN conjoint", "CNSS de l'épouse", "CIN du père", "رقم بطاقة الزوج", "Emergency phone"]
)
def test_what_is_of_a_relative_is_nobodys_until_the_steward_says_so(header: str) -> None:
    column = column_of(header, *["AB123456"] * 20)
    assert (column.ignore, column.kind) == (True, ())
    assert proposed([header, "nom", "tel"]).linking == ()


def test_linking_kinds_are_proposed_and_weak_ones_are_not() -> None:
    assert set(proposed(["cin", "cnss", "tel", "rib", "email"]).linking) == {"national_id", "social_security"}


# --- What is proposed: values -----------------------------------------------------------------------------------------


def test_values_tell_the_country() -> None:
    header = ["IBAN", "Téléphone", "email", "Numéro de sécurité sociale"]
    mapping = proposed(header, [[FRENCH_IBAN, "0612345678", "a@example.fr", NIR]] * 20)
    assert [column.kind for column in mapping.column] == [
        ("fr_bank_account",), ("fr_phone",), ("email",), ("fr_social_security",)
    ]  # fmt: skip
    assert mapping.linking == ("fr_social_security",)
    mapping = proposed(["passport", "mobile"], [["PA1234567", "+61491570156"]] * 20)
    assert [column.kind for column in mapping.column] == [("au_passport",), ("au_phone",)]


def test_a_column_of_two_countries_gets_both_kinds() -> None:
    assert column_of("tel_2", *["+212612345678"] * 15, *["+33612345678"] * 5).kind == ("phone", "fr_phone")


def test_what_passes_only_by_the_rules_of_several_countries_is_no_sure_phone() -> None:
    said = propose(["tel", "cin"], [[f"{1 + at % 9}23456789", "AB123456"] for at in range(90)])
    assert float(said.split("# confidence ")[1].split(":")[0]) < 0.8


def test_a_column_of_several_in_one_cell_is_split() -> None:
    assert column_of("tel_2", *["0612345678"] * 10, "0612345678/0712345678").split == "/"
    assert column_of("tel_2", *["06/12/34/56/78"] * 10, "0612345678/0712345678").split == ""  # here it parts digits
    assert column_of("cnss", *["123456789"] * 10, "1234567,5").split == ""  # one number, ruined by a spreadsheet


def test_an_account_in_parts_is_put_together() -> None:
    header = ["tel", "code banque", "code ville", "N° de compte", "clé RIB"]
    mapping = proposed(header, [["0612345678", RIB[:3], RIB[3:6], RIB[6:22], RIB[22:]]] * 20)
    assert mapping.column[1].header == tuple(header[1:])
    assert mapping.column[1].kind == ("bank_account",)
    plan = mapping.plan(header)
    assert plan.cells[1].indexes == (1, 2, 3, 4)


def test_values_speak_where_a_header_says_nothing() -> None:
    assert column_of("xyz", *["a@example.ma"] * 20).kind == ("email",)
    assert column_of("xyz", *[RIB] * 20).kind == ("bank_account",)
    assert column_of("xyz", *["0712345678"] * 20).kind == ("phone",)
    assert column_of("xyz", *["123456789"] * 20).ignore  # any number may be that of an insured
    assert column_of("cin", *[RIB] * 20).kind == ("bank_account",)


def test_a_column_that_nothing_tells_is_ignored_and_the_steward_asked() -> None:
    said = propose(["tel", "xyz", "cin", "abc"], [["0612345678", "q", "1", None]] * 20)
    assert said.count("PLEASE LOOK") == said.count("ignore = true") == 3
    assert "few of the sampled cells" in said


def test_a_column_without_a_name_is_called_by_its_place() -> None:
    header = ["tel", "", "nom", " "]
    mapping = proposed(header, [["0612345678", "a@example.ma", "q", ""]] * 20)
    assert [column.header for column in mapping.column] == [("tel",), ("#2",), ("nom",), ("#4",)]
    assert (mapping.column[1].kind, mapping.column[3].ignore) == (("email",), True)
    assert [cell.indexes for cell in mapping.plan(header).cells] == [(0,), (1,), (2,)]


def test_confidence_grows_with_what_passes_and_with_how_much_there_was() -> None:
    def confidence(cells: Sequence[str]) -> float:
        said = propose(["email", "tel"], [["a@example.ma", cell] for cell in cells])
        return float(said.split("# confidence ")[2].split(":")[0])

    good, bad = ["0612345678"], ["12"]
    grades = [confidence(cells) for cells in (bad * 20, [], good * 12 + bad * 8, good * 20)]
    assert confidence(good) < confidence(good * 20)
    assert grades == sorted(set(grades))
    assert grades[0] == 0.0 and grades[-1] == 1.0


# --- What is proposed: what must never be in it -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def leak(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leak")
    generate(300, 5, folder / "leak.csv", folder / "answers.jsonl")
    return folder / "leak.csv"


def test_the_proposal_for_a_payroll_return_says_what_the_shipped_mapping_says(leak: Path) -> None:
    ours = Mapping.model_validate(tomllib.loads(propose(*preview.head(leak))))
    theirs = read_mapping("cnss")
    assert set(ours.linking) == set(theirs.linking)

    def said(mapping: Mapping) -> dict[str, Any]:
        return {one.header[0]: (one.kind, one.data_class, one.ignore, one.zero_is_absent) for one in mapping.column}

    assert said(ours) == said(theirs)


def test_a_mapping_is_proposed_for_json_lines_as_for_the_same_columns(tmp_path: Path) -> None:
    header, rows = ["tel", "cin", "nom"], [["0612345678", "AB123456", "q"]] * 20
    objects = [dict(zip(header, row, strict=True)) for row in rows]
    path = tmp_path / "leak.jsonl"
    path.write_text("\n".join(map(json.dumps, objects)), "utf-8")
    assert preview.head(path) == (header, rows)
    assert "AB123456" not in propose(*preview.head(path))
    path.write_text('{"tel": "0612345678", oops\n', "utf-8")
    with pytest.raises(InputError, match="no line is a JSON object"):
        preview.head(path)
    path.write_text('{"tel": "0612345678"}\noops\n{"cin": "AB123456", "TEL": null}\n', "utf-8")
    assert preview.head(path) == (["tel", "cin"], [["0612345678", None], [None, "AB123456"]])


def test_keys_of_json_that_are_names_of_people_are_not_proposed(tmp_path: Path) -> None:
    path = tmp_path / "leak.jsonl"
    names = ["Benali", "Alaoui", "Idrissi", "Tazi", "Fassi"]
    path.write_text("".join(f'{{"{name}": {{"cin": "AB123456"}}}}\n' for name in names), "utf-8")
    with pytest.raises(InputError, match="stand in one row alone") as caught:
        propose(*preview.head(path))
    assert not any(name in str(caught.value) for name in names)


def test_keys_of_json_that_are_known_may_stand_in_one_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "leak.jsonl"
    rows = [{"cin": f"AB{123456 + number}"} for number in range(5)]
    path.write_text("\n".join(map(json.dumps, [*rows, {"email": "a@example.org", "phone": "0612345678"}])), "utf-8")
    assert 'header = "phone"' in propose(*preview.head(path))


@pytest.mark.parametrize("name", ["leak.csv", "leak.xlsx"])
def test_a_title_over_the_header_is_passed_over(name: str, tmp_path: Path) -> None:
    header, rows = ["tel", "nom"], [["0612345678", "q"]] * 20
    lines = [["Direction régionale", "2025"], [], header, *rows]
    path = tmp_path / name
    if name.endswith(".csv"):
        path.write_bytes("\r\n".join(map(";".join, lines)).encode("cp1252"))
    else:
        xml = ("".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in line) for line in lines)
        path.write_bytes(workbook(one="".join(f'<row r="{at}">{cells}</row>' for at, cells in enumerate(xml, 1))))
    said = propose(*preview.head(path, 2), above=2)
    written = tmp_path / "mapping.toml"
    written.write_text(said, "utf-8")
    mapping = read_mapping(str(written))
    [chunk] = chunks(path, mapping)
    found = chunk.rows()
    assert (chunk.plan.header, found.numbers.to_pylist()) == (tuple(header), list(range(1, 21)))
    assert [column.to_pylist() for column in found.columns] == [["0612345678"] * 20, ["q"] * 20]
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert list(chunks(empty, mapping)) == []
    empty.write_text("Direction")
    with pytest.raises(InputError, match="header under 2 lines"):
        list(chunks(empty, mapping))
    with pytest.raises(InputError, match="header under 99 lines" if name.endswith("csv") else "the file lacks"):
        list(chunks(path, mapping.model_copy(update={"above": 99})))


def test_a_header_that_stands_twice_is_called_by_its_place() -> None:
    header, rows = ["cin", "Tel", "TEL ", ""], [["AB123456", "0612345678", "0612345679", "x"]] * 20
    mapping = proposed(header, rows)
    assert [column.header for column in mapping.column] == [("cin",), ("Tel",), ("#3",), ("#4",)]
    assert [column.kind for column in mapping.column[:3]] == [("national_id",), ("phone",), ("phone",)]
    assert [cell.indexes for cell in mapping.plan(header).cells] == [(0,), (1,), (2,)]
    with pytest.raises(InputError, match="column 3 has the header of another one"):
        mapping.plan(["cin", "#3", "cin", ""])


@pytest.mark.parametrize("text", ["version = " + "1" * 5000, "column = " + "[" * 100_000])
def test_toml_without_end_is_wrong_use(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match="not TOML"):
        read_mapping(str(path))
    with pytest.raises(InputError, match="not TOML"):
        read_about(path)


def test_of_several_headers_in_one_file_the_one_of_most_rows_is_proposed(tmp_path: Path) -> None:
    rows, path = [["AB123456", "0612345678"]] * 12, tmp_path / "leak.zip"
    tables = {
        "a.csv": [["notes"], *[["x"]] * 5],
        "b.csv": [["cin", "tel"], *rows],
        "c.csv": [["tel", "cin"], ["1", "2"]],
    }
    members = {name: "\n".join(map(";".join, table)) for name, table in tables.items()}
    path.write_bytes(zipped(members))
    assert preview.head(path) == (["cin", "tel"], rows)


def test_a_proposal_on_the_terminal_is_the_one_in_the_file(tmp_path: Path) -> None:
    leak = csv_file(tmp_path / "leak.csv", [["tel :id: [b]", "cin"], *[["0612345678", "AB123456"]] * 12])
    said = run("mapping", "propose", leak).stdout
    run("mapping", "propose", leak, "--out", tmp_path / "proposed.toml")
    assert said == (tmp_path / "proposed.toml").read_text("utf-8")


def test_names_are_counted_whole_however_long_they_are(tmp_path: Path) -> None:
    header = "tel_" + "x" * 100
    leak = csv_file(tmp_path / "leak.csv", [[header], *[["0612345678"]] * 12])
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(f'version = 1\n[[column]]\nheader = "{header}"\nkind = "phone"\n')
    said = run("mapping", "check", leak, "--mapping", mapping).stdout
    assert "…" not in said and said.count("x") == 100


def test_no_cell_stands_in_a_proposal_or_a_count(leak: Path, tmp_path: Path) -> None:
    header, rows = preview.head(leak)
    out = tmp_path / "proposed.toml"
    said = run("mapping", "propose", leak).stdout
    run("mapping", "propose", leak, "--out", out)
    assert out.read_text("utf-8") == said
    count = run("mapping", "check", leak, "--mapping", out).stdout
    absent = {folded(word) for word in tomllib.loads(said)["absent"]}
    cells = {cell.strip() for row in rows for cell in row if cell and len(cell.strip()) > 4} - set(header)
    cells = {cell for cell in cells if folded(cell) not in absent}
    assert len(cells) > 500
    assert [cell for cell in cells if cell in said + count] == []
    again = run("mapping", "propose", leak, "--out", out, check=False)
    assert again.returncode == 2 and "nothing is overwritten" in again.stderr


@pytest.mark.parametrize(
    "first",
    [
        ["AB123456", "Sara", "0612345678"],
        ["Sara", "tel", "0612345678"],
        ["Nom", "CIN", "sara@example.ma"],
        ["Nom", "CIN", "٠٦١٢٣٤٥٦٧٨"],
        ["Nom", "CIN", "12/03/1990"],
        ["Nom", "CIN", "3500,00"],
        ["Nom", "CIN", "NULL"],
        ["Nom", "CIN", "لا شيء"],
        ["Nom", "CIN", "A1234"],
        ["Nom", "CIN", RIB],
        ["Nom", "CIN", "x" * 100],
        ["Nom", "CIN", "\udce9"],
        ["Sara", "Casablanca", "Dupont"],
        ["Sara", "", ""],
        ["Sara", "Manager", ""],
        ["12 Rue Atlas", "Sara", ""],
        ["12 Rue Atlas Agdal", "Salma Exemple", "en cours"],
        ["Salma Exemple", "Rue Atlas", "en cours"],
        ["Entreprise Salma Exemple", "", ""],
        ["Villeneuve", "", ""],
        ["", "", ""],
    ],
)
def test_a_first_line_that_may_be_data_is_refused_and_not_told(first: Sequence[str]) -> None:
    with pytest.raises(InputError) as refused:
        propose(first, [["AB123457", "Amine", "0612345679"]] * 12)
    assert refused.value.reason == "header"
    assert not [word for word in first if len(word) > 3 and word in str(refused.value)]


@pytest.mark.parametrize(
    "header",
    [
        ["Billing Phone", "Billing Email", "Billing City", "Billing Country"],
        ["Mobile phone", "Phone mobile"],
        ["tel_titulaire_compte", "rib_titulaire_compte", "nom_titulaire_compte", "solde_titulaire_compte"],
    ],
)
def test_words_that_most_headers_have_say_nothing_of_whether_they_are_known(header: Sequence[str]) -> None:
    rows = [[f"06123456{number:02}", *"qrs"[: len(header) - 1]] for number in range(12)]
    assert proposed(header, rows).column[0].kind == ("phone",)


def test_a_word_that_stands_among_the_cells_is_no_header() -> None:
    rows = [["0612345678", "Rabat"], ["0612345679", "Fes"]]
    with pytest.raises(InputError, match="column 2 of the first line stands among the cells too"):
        propose(["tel", "Fes"], rows)


def test_a_person_may_vouch_for_unknown_headers_but_not_for_data() -> None:
    header, rows = ["电话", "姓名", "城市", "备注", "x"], [["0612345678", "q", "r", "s", "t"]] * 20
    with pytest.raises(InputError, match="trust-header"):
        propose(header, rows)
    assert proposed(header, rows, trust_header=True).column[0].kind == ("phone",)
    with pytest.raises(InputError, match="column 5 of the first line looks like data"):
        propose([*header[:4], "0612345679"], rows, trust_header=True)


def test_what_cannot_become_a_mapping_is_refused() -> None:
    with pytest.raises(InputError, match="no column is a kind of identifier"):
        propose(["nom", "salaire"], [["q", "1"]])


@settings(deadline=None, max_examples=150)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Nd"]), min_size=1, max_size=20), max_size=3))
def test_any_header_loads_as_it_stands(others: list[str]) -> None:
    header = ["tel", 'say "no" \\ \u202ehidden\u0007\n', *others]
    try:
        said = propose(header, [["0612345678", *["q"] * (len(header) - 1)]] * 10, trust_header=True)
    except InputError as refused:  # two that fold to one, or a word like "-"
        assert refused.reason in ("columns", "header")
        return
    mapping = Mapping.model_validate(tomllib.loads(said))
    assert "\u202e" not in said
    assert len(mapping.plan(header).header) == len(header)


# --- How well a mapping fits ------------------------------------------------------------------------------------------


def test_cells_are_counted_by_what_becomes_of_them(tmp_path: Path) -> None:
    mapping = mapping_of(
        'version = 1\nabsent = ["-"]\n'
        '[[column]]\nheader = "tel"\nkind = ["phone", "fr_phone"]\nsplit = "/"\n'
        '[[column]]\nheader = ["nir", "cle"]\nkind = "fr_social_security"\n'
        '[[column]]\nheader = "salaire"\ndata_class = "Earnings"\nzero_is_absent = true\nabsent = ["néant"]\n'
        '[[column]]\nheader = "note"\nignore = true\n',
        tmp_path,
    )
    rows = [
        ["TEL", "nir", "cle", "salaire", "note"],
        ["0612345678/+33612345678", NIR[:13], NIR[13:], "3000", "x"],
        ["6.12E+08", NIR[:13], "39", "0,00", "x"],
        ["-", NIR[:13], "", "NÉANT ", "x"],
        ["", "-", "", "٠", "x"],
        ["0612345678", "", "", "0.5", "x", "one too many"],
        ["TEL", "nir", "cle", "salaire", "note"],
        [],
    ]
    whole = counted(mapping, csv_file(tmp_path / "a.csv", rows), csv_file(tmp_path / "b.csv", rows[:2]))
    assert (whole.rows, whole.rejected) == (8, Counter(columns=1, empty=1, repeated_header=1))
    phone, nir, salary = whole.columns.values()
    assert (phone.headers, phone.cells, phone.absent) == (("TEL",), 5, 2)
    assert (phone.passed, phone.refused) == (Counter(phone=2, fr_phone=2), Counter(spreadsheet_number=1))
    assert (nir.headers, nir.cells, nir.absent) == (("nir", "cle"), 5, 1)
    assert (nir.passed, nir.refused) == (Counter(fr_social_security=3), Counter(check_digits=1))
    assert (salary.cells, salary.absent, salary.passed) == (5, 3, Counter({"Earnings": 2}))


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (ColumnTally(("a",), ("phone",), 30, 10, Counter(phone=20)), ("30", "10", {"phone": "20"}, {})),
        (ColumnTally(("a",), ("phone",), 1234, 0, Counter(phone=1234)), ("1,234", "0", {"phone": "1,234"}, {})),
        # 995 and 1,000 would say 5.
        (ColumnTally(("a",), ("phone",), 1000, 995, Counter(phone=5)), ("1,000", "990", {"phone": "<10"}, {})),
        (
            ColumnTally(("a",), ("phone",), 1000, 0, Counter(phone=991), Counter(format=9)),
            ("1,000", "0", {"phone": "990"}, {"format": "<10"}),
        ),
        (ColumnTally(("a",), ("phone",), 9, 0, Counter(phone=9)), ("<10", "0", {"phone": "<10"}, {})),
    ],
)
def test_small_counts_are_told_as_small_and_cannot_be_worked_out(column: ColumnTally, told: object) -> None:
    assert column.told() == told


_NOTHING = (
    *(
        "",
        " ",
        "\0",
        "NULL",
        "néant",
        "ne\u0301ant",
        "NE\u0301ANT",
        "لا شيء",
        "لا\u00a0شيء",
        "\u202bلا شيء\u202c",
        "Ｎ/Ａ",
    ),
    *("-", "\u200f-", "—\ufe0f", "\u200b", "\ufeff", "#N/A", "#REF!", "#DIV/0!", "(null)", "\\N"),
)
_ZERO = (
    *("0", "0,00", "0.00", "٠", "۰٫۰۰", "0 DH", "0,00 MAD", "DH 0.00", "0 د.م.", "0.00 €", "0 dirham", "0\u202f000,00"),
    *("-0", "−0", "0-", "(0)", "0,000.00", "0'000", "0e0", "0.0E+00"),
    *(",00", "-$0.00", "($0.00)", " -   € ", "-\u00a0DH", "MAD -", "0 \x0b0", "0\u2028DH"),
)
_SOMETHING = (
    "5000",
    "0,01",
    "1 DH",
    "O",
    "٠٫٥",
    "0 DH 10",
    "-10",
    "٥",
    "00 1",
    "1e0",
    "DH",
    "-5 DH",
    "- 5 €",
    "néanmoins",
    "0612345678",
)


@pytest.mark.parametrize(("header", "nothing"), [("N_Salaire_Reel", (*_NOTHING, *_ZERO)), ("L_Nom_Prenom", _NOTHING)])
def test_what_says_nothing_is_no_presence_however_it_is_written(header: str, nothing: Sequence[str]) -> None:
    mapping = read_mapping("cnss")
    headers = [column.header[0] for column in mapping.column]
    plan = mapping.plan(headers)
    [cell] = [cell for cell in plan.cells if cell.indexes == (headers.index(header),)]
    for texts in (nothing, _SOMETHING):
        assert [not list(cell.values(text)) for text in texts] == [texts is nothing] * len(texts)
        assert absent_in(pa.array(texts), cell).to_pylist() == [texts is nothing] * len(texts)


_MARKS = "\0\t\n\x1e\x0b\x1c\x1f \x85\u00a0\u00ad\u1680\u200b\u2028\u202f\u2060\u206a\u3000\ufe0f\ufeff"


def test_nothing_beside_a_value_of_a_list_is_left_out() -> None:
    cell = Cell((0,), ("national_id",), 1, employer=False, split="", absent=frozenset(("", "-")), zero_is_absent=False)
    said = ["-\x1eAB123456", "\x1eAB123456\x1e", "AB1234\x1e56", "-\x1e "]
    assert [list(cell.values(text)) for text in said] == [["AB123456"], ["AB123456"], ["AB1234\x1e56"], []]
    for cells in (cell, replace(cell, kinds=("national_id", "phone"))):
        findings = find(bytes(64), cells, pa.array(said))
        assert findings.bounds.tolist() == [0, 1, 2, 2, 2, 2]
        one, same = findings.values.to_pylist()
        assert one == same
        assert list(findings.refused) == [2]


@settings(deadline=None)
@given(
    words=st.lists(
        st.lists(
            st.sampled_from(
                [*_MARKS, "HİÇ", "i\u0307", "ΤΙΠΟΤΕΣ", "ς", "NULL", "né", "0", ",", "٠", "€", "-", *"1(+.%"]
            )
        ),
        min_size=1,
    ),
    zero=st.booleans(),
)
def test_columns_and_cells_agree_what_is_nothing(words: list[list[str]], zero: bool) -> None:
    texts = [*map("".join, words), "hiç", "HİÇ", "ΤΙΠΟΤΕΣ"]
    strange = [text for text in texts if not text.isascii() or "\0" in text]
    assert folded_in(pa.array(strange)).to_pylist() == list(map(folded, strange))
    absent = frozenset(map(folded, ("", "HİÇ", "ΤΙΠΟΤΕΣ", "NULL")))
    cell = Cell((0,), (), 1, employer=False, split="", absent=absent, zero_is_absent=zero)
    assert absent_in(pa.array(texts), cell).to_pylist() == [not list(cell.values(text)) for text in texts]
    assert absent_in(pa.array(texts[-3:]), cell).to_pylist() == [True] * 3


def test_an_identifiers_column_without_a_value_is_no_presence(tmp_path: Path) -> None:
    file = leak_of(
        tmp_path / "leak.csv",
        *(f"1;202501;{100000001 + at};;;26;0 DH;{text}" for at, text in enumerate(("\u200f-", "ne\u0301ant"))),
    )
    report = ingest_small(tmp_path, file)
    assert report.dataset.fields == ("Social security numbers", "Employers")
    assert report.dataset.identifiers_rejected == {}


def test_the_counts_of_a_leak_come_to_its_rows(leak: Path) -> None:
    whole = counted(read_mapping("cnss"), leak)
    with leak.open(encoding="utf-8-sig", newline="") as file:
        assert whole.rows == sum(1 for _ in csv.reader(file, delimiter=";")) - 1
    for column in whole.columns.values():
        assert column.cells == whole.rows - sum(whole.rejected.values())
        assert column.cells == column.absent + column.passed.total() + column.refused.total()


def test_files_that_cannot_be_read_are_refused_without_a_word_of_them(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "nested.zip").write_bytes(b"PK\x03\x04 0612345678 Sara")
    for name in ("empty.csv", "nested.zip"):
        with pytest.raises(InputError) as refused:
            propose(*preview.head(tmp_path / name))
        assert refused.value.reason in {"source", "header"} and "Sara" not in str(refused.value)
    with pytest.raises(InputError, match="No such file"):
        preview.head(tmp_path / "none.csv")


# --- Other countries --------------------------------------------------------------------------------------------------

EXAMPLES = {
    "free": {
        "nom": "q", "prenom": "q", "email": "a@example.fr", "telephone": "06 12 34 56 78 / +33112345678",
        "adresse": "q", "code_postal": "q", "ville": "q", "date_naissance": "12/03/1990", "iban": FRENCH_IBAN,
        "type_abonnement": "q", "actif": "1",
    },
    "france_travail": {
        "nir": NIR[:13], "cle_nir": NIR[13:], "nom": "q", "prenom": "q", "identifiant": "q", "courriel": "a@example.fr",
        "telephone": "0612345678", "adresse": "q", "date_naissance": "q", "telephone_employeur": "0112345678",
        "dernier_employeur": "q",
    },
    "optus": {
        "first_name": "q", "last_name": "q", "date_of_birth": "q", "email": "a@example.com", "mobile": "0491 570 156",
        "street": "q", "suburb": "q", "postcode": "q", "licence_number": "q", "passport_number": "PA1234567",
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "row"), EXAMPLES.items())
def test_a_shipped_example_reads_a_row_of_its_leak(name: str, row: dict[str, str], tmp_path: Path) -> None:
    whole = counted(read_mapping(name), csv_file(tmp_path / "leak.csv", [list(row), list(row.values())]))
    for column in whole.columns.values():
        assert (column.absent, column.refused) == (0, Counter()), column.headers
        assert column.passed
    assert not whole.rejected


def test_a_new_country_is_one_rule_file_and_one_mapping() -> None:
    folder = resources.files("breachcheck.protocol").joinpath("rules")
    kinds = {name: set(json.loads(folder.joinpath(name).read_text("utf-8"))) for name in RULE_FILES}
    assert sorted(kind for names in kinds.values() for kind in names) == sorted(KINDS)
    used = {name: {kind for one in read_mapping(name).column for kind in one.kind} for name in EXAMPLES}
    assert used["free"] | used["france_travail"] == kinds["fr.json"] | {"email"}
    assert used["optus"] >= kinds["au.json"] | {"email"}
    assert not (used["free"] | used["france_travail"]) & kinds["ma.json"]


def test_a_plan_has_the_same_digest_in_each_process() -> None:
    """By it workers know what others told of the same rows; sets of words have another order in each of them."""
    code = "from breachcheck.ingest.mapping import read_mapping; m = read_mapping('cnss'); "
    code += "print(m.plan([name for column in m.column for name in column.header]).digest.hex())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in "123"
    }
    assert len(digests) == 1 and len(digests.pop().strip()) == 64


def test_several_values_at_one_place_are_nothing_only_together_and_never_one_identifier(tmp_path: Path) -> None:
    """ "AB1234" and 0, run together, are "AB12340": a number of somebody else."""
    columns = [
        {"header": "cin", "kind": "national_id"},
        {"header": "no", "kind": ["social_security", "phone"]},
        {"header": "nom", "data_class": "Names"},
        {"header": "salaire", "data_class": "Earnings", "zero_is_absent": True},
    ]
    rules = Mapping.model_validate({"version": 1, "absent": ["NULL", "néant", "لا شيء"], "column": columns})
    path = tmp_path / "leak.jsonl"
    lines = [
        '{"cin": ["AB1234", 0], "no": ["1234", "567"], "nom": ["NULL", "néant"], "salaire": [0, "NULL"]}',
        '{"cin": ["NULL", ""], "no": ["néant", "NULL"], "nom": ["NULL", "X"], "salaire": [0, 5000]}',
        '{"cin": "AB5678", "no": 123456789, "nom": "لا\\nشيء", "salaire": []}',
    ]
    path.write_text("\n".join(lines), "utf-8")
    [chunk] = chunks(path, rules)
    cin, no, nom, salaire = chunk.plan.cells
    texts = [column.to_pylist() for column in chunk.rows().columns]
    for cell, kind, column in ((cin, "national_id", texts[0]), (no, "social_security", texts[1])):
        findings = find(bytes(64), cell, pa.array(column))
        assert findings.bounds.tolist() == [0, 0, 0, 1, 1]
        assert findings.refused == {0: ((kind, "unexpected_character"),)}
        assert [mask > 0 for mask in findings.mask.to_pylist()] == [True, False, True, False]
    split = replace(no, split="\n").values(texts[1][0])
    assert list(split) == ["1234", "567"]
    assert absent_in(pa.array(texts[2]), nom).to_pylist() == [True, False, True]
    assert absent_in(pa.array(texts[3]), salaire).to_pylist() == [True, False, True]
    counted = tally([(chunk.plan, chunk.rows())]).columns
    assert [counted[name,].absent for name in ("cin", "no", "nom", "salaire")] == [1, 1, 2, 2]
