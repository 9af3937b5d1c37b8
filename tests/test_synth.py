"""The synthetic leak: what it holds, what it never holds, and that its answers are true."""

from __future__ import annotations

import csv
import json
import re
import tracemalloc
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass
from breachcheck.protocol.identifier import KINDS
from breachcheck.synth import COLUMNS, MAX_PEOPLE, SynthReport, generate, nonmember
from tests.people import read_rows, true_answers, written_answers

HEADER = (
    "N_Num_Affilie;L_Raison_Sociale;L_Periode;N_Num_Assure;L_Nom_Prenom;L_Num_CIN;N_Tel;L_Email;N_RIB;"
    "N_Jours_Declares;N_Salaire_Reel"
)
PEOPLE = 2000
KIND_OF = {
    "N_Num_Assure": "social_security",
    "L_Num_CIN": "national_id",
    "N_Tel": "phone",
    "L_Email": "email",
    "N_RIB": "bank_account",
}
COLUMN_OF = {kind: column for column, kind in KIND_OF.items()}
CLASS_OF = {
    "N_Num_Affilie": "Employers",
    "L_Raison_Sociale": "Employers",
    "N_Num_Assure": "Social security numbers",
    "L_Nom_Prenom": "Names",
    "L_Num_CIN": "Government issued IDs",
    "N_Tel": "Phone numbers",
    "L_Email": "Email addresses",
    "N_RIB": "Bank account numbers",
    "N_Salaire_Reel": "Earnings",
}
PLACEHOLDERS = {"", "0", "0,00", "0.00", "null", "-", "néant", "neant", "n/a", "لا شيء"}

Row = dict[str, str]


@dataclass(frozen=True)
class Leak:
    file: Path
    answers_file: Path
    report: SynthReport

    @cached_property
    def rows(self) -> list[Row]:
        with self.file.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, delimiter=";", strict=True))

    def cells(self, column: str) -> list[str]:
        return [row[column] for row in self.rows]

    def answers(self) -> Iterator[tuple[str, str, list[str]]]:
        for line in self.answers_file.read_text("utf-8").splitlines():
            answer = json.loads(line)
            assert list(answer) in (["kind", "identifier", "exposed"], ["kind", "identifier", "exposed", "shared"])
            assert answer.get("shared", True) is True
            yield answer["kind"], answer["identifier"], answer["exposed"]


def leak_of(people: int, seed: int, folder: Path) -> Leak:
    file, answers = folder / f"{people}-{seed}.csv", folder / f"{people}-{seed}.jsonl"
    return Leak(file, answers, generate(people, seed, file, answers))


@pytest.fixture(scope="module")
def leak(tmp_path_factory: pytest.TempPathFactory) -> Leak:
    return leak_of(PEOPLE, 7, tmp_path_factory.mktemp("leak"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("second") / "bank.csv"


@pytest.fixture(scope="module")
def two_files(second: Path) -> Leak:
    file, answers = second.with_name("cnss.csv"), second.with_name("answers.jsonl")
    return Leak(file, answers, generate(PEOPLE, 7, file, answers, second=second))


# A second opinion, slow and simple, that shares nothing with the generator but the statement of the rules.


def simple_canonical(kind: str, text: str) -> str | None:
    visible = "".join(character for character in text if unicodedata.category(character) != "Cf").strip()
    plain = "".join(str(unicodedata.decimal(character, character)) for character in visible)
    if kind == "email":
        address = plain.lower()
        return address if re.fullmatch(r"[a-z0-9.]+@([a-z0-9]+\.)+[a-z]+", address) else None
    if kind != "national_id" and re.fullmatch(r"[0-9]+[.,][0-9]+|[0-9]+([.,][0-9]+)?E\+?[0-9]+", plain):
        return None
    compact = re.sub(r"[\s'()./-]", "", plain).upper()
    if kind == "national_id":
        match = re.fullmatch(r"([A-Z]{1,2})0*([1-9][0-9]{0,6})", compact)
        return match[1] + match[2] if match else None
    if kind == "phone":
        match = re.fullmatch(r"(?:\+212|00212|212)?0?([5-8][0-9]{8})", compact)
        return match[1] if match else None
    if kind == "bank_account":
        match = re.fullmatch(r"(?:MA64)?([0-9]{24})", compact)
        return match[1] if match and int(match[1]) % 97 == 0 else None
    return compact.zfill(9) if re.fullmatch(r"[0-9]{1,9}", compact) and int(compact) else None


def answered(leak: Leak) -> set[tuple[str, str | None]]:
    return {(kind, simple_canonical(kind, identifier)) for kind, identifier, _ in leak.answers()}


def test_the_rule_file_and_a_simple_reading_of_the_rules_agree_about_every_cell(leak: Leak) -> None:
    for kind, column in COLUMN_OF.items():
        for cell in set(leak.cells(column)):
            try:
                canonical = KINDS[kind].canonical(cell)
            except InputError:
                canonical = None
            assert canonical == simple_canonical(kind, cell)


# The file


def test_the_file_is_csv_with_byte_order_mark_semicolons_and_crlf(leak: Leak) -> None:
    assert ";".join(COLUMNS) == HEADER
    assert leak.file.read_bytes().startswith(b"\xef\xbb\xbf" + HEADER.encode() + b"\r\n")
    assert leak.file.read_bytes().endswith(b"\r\n")


def test_every_row_has_eleven_cells(leak: Leak) -> None:
    with leak.file.open(encoding="utf-8-sig", newline="") as file:
        assert {len(row) for row in csv.reader(file, delimiter=";", strict=True)} == {11}


def test_equal_seeds_give_equal_bytes(leak: Leak, tmp_path: Path) -> None:
    again = leak_of(PEOPLE, 7, tmp_path)
    assert again.file.read_bytes() == leak.file.read_bytes()
    assert again.answers_file.read_bytes() == leak.answers_file.read_bytes()
    assert again.report == leak.report


def test_another_seed_gives_other_people(leak: Leak, tmp_path: Path) -> None:
    other = leak_of(PEOPLE, 8, tmp_path)
    assert other.file.read_bytes() != leak.file.read_bytes()
    # Chance may draw one number twice, or two.
    assert len(answered(other) & answered(leak)) < 5


def test_earlier_files_are_replaced(tmp_path: Path) -> None:
    fresh = leak_of(3, 1, tmp_path)
    before = fresh.file.read_bytes(), fresh.answers_file.read_bytes()
    for file in (fresh.file, fresh.answers_file):
        file.write_bytes(b"x" * 100_000)
    generate(3, 1, fresh.file, fresh.answers_file)
    assert (fresh.file.read_bytes(), fresh.answers_file.read_bytes()) == before


@pytest.mark.parametrize(("people", "seed"), [(0, 1), (-1, 1), (MAX_PEOPLE + 1, 1), (1, -1)])
def test_what_cannot_be_generated_is_refused_before_a_file_is_touched(people: int, seed: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="out_of_range"):
        generate(people, seed, tmp_path / "out", tmp_path / "answers")
    assert not list(tmp_path.iterdir())


def test_memory_grows_by_no_more_than_32_bytes_a_person_and_none_a_row(tmp_path: Path) -> None:
    def peak(people: int, second: Path | None = None) -> int:
        tracemalloc.start()
        generate(people, 1, tmp_path / "out", tmp_path / "answers", second=second)
        traced = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return traced

    bank = tmp_path / "bank"
    peak(5_000, bank)
    assert peak(5_000) - peak(1_000) < 32 * 4_000
    assert peak(5_000, bank) - peak(1_000, bank) < 64 * 4_000


# The truth


def test_a_second_opinion_agrees_with_every_answer(leak: Leak) -> None:
    assert written_answers(leak.answers_file) == true_answers({"cnss": leak.file})


def test_a_second_opinion_agrees_with_every_answer_about_two_files(two_files: Leak, second: Path) -> None:
    assert written_answers(two_files.answers_file) == true_answers({"cnss": two_files.file, "bank": second})


@settings(max_examples=40, deadline=None)
@given(
    people=st.integers(1, 90),
    seed=st.integers(0, 2**64),
    months=st.none() | st.integers(1, 14),
    steady=st.booleans(),
    two=st.booleans(),
)
def test_a_second_opinion_agrees_for_any_people_and_seed(
    people: int, seed: int, months: int | None, steady: bool, two: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("small")
    files = {"cnss": folder / "cnss.csv"} | ({"bank": folder / "bank.csv"} if two else {})
    answers = folder / "answers.jsonl"
    generate(people, seed, files["cnss"], answers, months=months, steady=steady, second=files.get("bank"))
    assert written_answers(answers) == true_answers(files)


@pytest.mark.parametrize("seed", range(4))
def test_placeholders_are_cut_in_worlds_of_a_thousand_and_stand_in_none_smaller(seed: int, tmp_path: Path) -> None:
    for people, expected in ((999, []), (1000, ["national_id", "social_security"])):
        small = leak_of(people, seed, tmp_path)
        answers = written_answers(small.answers_file)
        assert answers == true_answers({"cnss": small.file})
        linking = ("national_id", "social_security")
        assert [kind for (kind, _), answer in answers.items() if answer.shared and kind in linking] == expected


def test_people_are_tied_together_by_chains_of_rows(leak: Leak) -> None:
    links: defaultdict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for row in read_rows(leak.file, "cnss"):
        own = {key for key in row.keys if key[0] in ("national_id", "social_security")}
        for key in own:
            links[key] |= own
    ordinary = {key: others for key, others in links.items() if len(others) <= 64}
    farthest = 0
    for key in ordinary:
        seen, edge, steps = {key}, {key}, 0
        while edge := {other for one in edge for other in links[one] & ordinary.keys()} - seen:
            seen |= edge
            steps += 1
        farthest = max(farthest, steps)
    assert farthest >= 8


def test_weak_identifiers_of_all_sorts_occur(two_files: Leak) -> None:
    answers = written_answers(two_files.answers_file)
    for kind in ("phone", "email", "bank_account"):
        assert {answer.shared for (each, _), answer in answers.items() if each == kind} == {True, False}
    beyond = [answer for (kind, _), answer in answers.items() if kind == "phone" and "bank" in answer.exposed]
    assert len(beyond) > PEOPLE / 4  # the second file holds no phone
    assert sum("cnss" not in answer.exposed for answer in answers.values()) > PEOPLE / 4
    assert two_files.report.shared == sum(answer.shared for answer in answers.values())


# The shapes


def test_the_second_file_leaves_the_first_as_it_would_be_with_as_many_people(two_files: Leak) -> None:
    assert two_files.report.people == PEOPLE
    assert len(two_files.rows) == two_files.report.rows


def test_the_second_file_is_windows_1256_with_commas(second: Path, two_files: Leak) -> None:
    text = second.read_bytes().decode("cp1256")
    assert text.startswith("CIN,RIB,BANQUE,ADRESSE,DATE_NAISSANCE\r\n")
    assert re.search("[\u0621-\u064a]", text)
    with pytest.raises(UnicodeDecodeError):
        second.read_bytes().decode("utf-8")
    rows = list(csv.reader(text.splitlines(keepends=True), strict=True))
    assert {len(row) for row in rows} == {5}
    assert len(rows) - 1 == two_files.report.second_rows > PEOPLE / 2


def test_with_months_everybody_stands_in_each(tmp_path: Path) -> None:
    generate(50, 1, tmp_path / "out", tmp_path / "answers", months=14)
    varied = Leak(
        tmp_path / "out", tmp_path / "answers", generate(50, 1, tmp_path / "out", tmp_path / "answers", months=14)
    )
    assert varied.report.rows == 50 * 14 + varied.report.duplicates
    assert set(varied.cells("L_Periode")) == {*(f"2024{month:02d}" for month in range(1, 13)), "202501", "202502"}


def test_steady_months_differ_in_their_name_alone(tmp_path: Path) -> None:
    report = generate(300, 1, tmp_path / "out", tmp_path / "answers", months=3, steady=True)
    steady = Leak(tmp_path / "out", tmp_path / "answers", report)
    months = defaultdict(list)
    for row in steady.rows:
        months[row.pop("L_Periode")].append(row)
    assert list(months) == ["202401", "202402", "202403"]
    assert months["202401"] == months["202402"] == months["202403"]
    assert len(steady.rows) == report.rows == 900 + report.duplicates
    for forms in report.forms.values():
        assert sum(forms.values()) == report.rows


def test_an_identifier_is_answered_once(leak: Leak) -> None:
    keys = [(kind, identifier) for kind, identifier, _ in leak.answers()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("kind", "natural"),
    [
        ("national_id", r"[A-Z]{1,2}[0-9]{5,6}"),
        ("social_security", r"[0-9]{9}"),
        ("phone", r"0[567][0-9]{8}"),
        ("bank_account", r"[0-9]{24}"),
        ("email", r"[a-z0-9.]+@[a-z0-9.]+"),
    ],
)
def test_answers_spell_identifiers_as_people_do(leak: Leak, kind: str, natural: str) -> None:
    identifiers = [identifier for answer_kind, identifier, _ in leak.answers() if answer_kind == kind]
    assert len(identifiers) > PEOPLE / 4
    assert [each for each in identifiers if not re.fullmatch(natural, each)] == []


def test_ribs_of_answers_are_multiples_of_97(leak: Leak) -> None:
    assert {int(identifier) % 97 for kind, identifier, _ in leak.answers() if kind == "bank_account"} == {0}


def test_exposed_fields_stand_in_bit_order_and_hold_the_identifiers_own(leak: Leak) -> None:
    order = list(map(str, DataClass))
    for kind, _, exposed in leak.answers():
        assert exposed == sorted(set(exposed), key=order.index)
        assert CLASS_OF[COLUMN_OF[kind]] in exposed


def test_answers_differ_in_what_is_exposed(leak: Leak) -> None:
    assert len({tuple(exposed) for _, _, exposed in leak.answers()}) > 30


def test_the_report_counts_what_the_files_hold(leak: Leak) -> None:
    report = leak.report
    rows = [tuple(row.values()) for row in leak.rows]
    assert report.people == PEOPLE
    assert report.rows == len(rows)
    assert report.duplicates == len(rows) - len(set(rows)) > 50
    for kind, column in COLUMN_OF.items():
        assert report.identifiers[kind] == sum(answer[0] == kind for answer in leak.answers())
        filled = [cell for cell in leak.cells(column) if cell.strip().casefold() not in PLACEHOLDERS | {"000000000"}]
        assert report.rejected[kind] == sum(simple_canonical(kind, cell) is None for cell in filled)
    for forms in report.forms.values():
        assert sum(forms.values()) == len(rows)


def test_the_report_is_frozen(leak: Leak) -> None:
    with pytest.raises(FrozenInstanceError):
        leak.report.rows = 0  # type: ignore[misc]


# The people


def test_people_stand_in_one_to_twelve_rows_four_on_average_and_apart(leak: Leak) -> None:
    places = defaultdict(list)
    seen = set()
    for place, row in enumerate(leak.rows):
        number = simple_canonical("social_security", row["N_Num_Assure"])
        if number and (number, row["L_Periode"]) not in seen:
            seen.add((number, row["L_Periode"]))
            places[number].append(place)
    counts = [len(each) for each in places.values()]
    assert set(counts) == set(range(1, 13))
    assert 3.5 < sum(counts) / len(counts) < 4.5
    gaps = [later - earlier for each in places.values() for earlier, later in pairwise(each)]
    assert sum(gap > 100 for gap in gaps) > 0.9 * len(gaps)


@pytest.mark.parametrize(
    ("column", "share"), [("N_Tel", 0.15), ("L_Email", 0.60), ("N_RIB", 0.30), ("L_Num_CIN", 0.05)]
)
def test_cells_are_missing_in_the_shares_of_the_real_files(leak: Leak, column: str, share: float) -> None:
    cells = leak.cells(column)
    missing = sum(cell.strip().casefold() in PLACEHOLDERS for cell in cells)
    assert abs(missing / len(cells) - share) < 0.025


def test_hardly_two_people_share_a_card_and_none_an_account(leak: Leak) -> None:
    owners: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for row in leak.rows:
        person = simple_canonical("social_security", row["N_Num_Assure"])
        if person is None:
            continue
        for kind in ("national_id", "bank_account"):
            if identifier := simple_canonical(kind, row[COLUMN_OF[kind]]):
                owners[kind, identifier].add(person)
    holders = {kind: Counter(len(owners[each]) for each in owners if each[0] == kind) for kind, _ in owners}
    assert holders["bank_account"].keys() <= {1, 2}  # who was renumbered has two
    assert holders["bank_account"][2] < 0.03 * holders["bank_account"].total()
    placeholder = max(holders["national_id"])
    assert placeholder > 64
    assert holders["national_id"][placeholder] == 1
    assert holders["national_id"][1] > 0.95 * holders["national_id"].total()
    assert holders["national_id"].keys() - {placeholder} <= {1, 2, 3, 4}  # with the next one's, twice renumbered


@pytest.mark.parametrize("kind", ["phone", "email"])
def test_employees_of_one_employer_share_the_managers_contact(leak: Leak, kind: str) -> None:
    people: defaultdict[str, set[str]] = defaultdict(set)
    employers: defaultdict[str, set[str]] = defaultdict(set)
    for row in leak.rows:
        contact = simple_canonical(kind, row[COLUMN_OF[kind]])
        person = simple_canonical("social_security", row["N_Num_Assure"])
        if contact and person:
            people[contact].add(person)
            # The name is spelled in several ways; its number is what the generator puts into every one.
            employers[contact] |= set(re.findall(r"[0-9]+", row["L_Raison_Sociale"])) - {"0", "00"}
    shared = [contact for contact, holders in people.items() if len(holders) > 1]
    assert len(shared) > 30
    assert max(len(people[contact]) for contact in shared) > 3
    assert {len(employers[contact]) for contact in shared} <= {0, 1}
    assert len(shared) < len(people) / 4


def test_people_own_addresses_stand_with_one_number_or_an_old_one_and_a_new_one(leak: Leak) -> None:
    people = defaultdict(set)
    for row in leak.rows:
        address = simple_canonical("email", row["L_Email"])
        person = simple_canonical("social_security", row["N_Num_Assure"])
        if address and person and not address.startswith("gerant@"):
            people[address].add(person)
    holders = Counter(map(len, people.values()))
    assert holders.keys() == {1, 2}
    assert holders[2] < 0.03 * holders.total()


def test_names_stand_in_latin_and_in_arabic_for_one_person(leak: Leak) -> None:
    scripts = defaultdict(set)
    for row in leak.rows:
        person, name = simple_canonical("social_security", row["N_Num_Assure"]), row["L_Nom_Prenom"]
        if person and name.strip().casefold() not in PLACEHOLDERS:
            scripts[person].add(bool(re.search("[\u0621-\u064a]", name)))
    assert sum(len(each) == 2 for each in scripts.values()) > PEOPLE / 4


def test_addresses_and_foreign_numbers_are_reserved_ones(leak: Leak) -> None:
    domains = re.compile(r"@(example\.(com|org|net)|([a-z0-9]+\.)?[a-z0-9]+\.example)", re.IGNORECASE)
    for kind, identifier, _ in leak.answers():
        assert kind != "email" or domains.fullmatch(identifier[identifier.index("@") :])
    foreign = [re.sub(r"\D", "", cell) for cell in leak.cells("N_Tel") if re.match(r"(\+|00)33", cell)]
    assert {number.removeprefix("00")[:7] for number in foreign} == {"3363998"}


# The spellings

ARABIC_INDIC, PERSIAN = "[٠-٩]", "[۰-۹]"
MARK = "[\u200e\u200f\u202a-\u202e\u2066-\u2069]"


@pytest.mark.parametrize(
    ("column", "pattern"),
    [
        ("N_Tel", r"0[67]( \d\d){4}"),
        ("N_Tel", r"05\d{8}"),
        ("N_Tel", r"0[67](\.\d\d){4}"),
        ("N_Tel", r"\+212\d{9}"),
        ("N_Tel", r"\+212 [67]( \d\d){4}"),
        ("N_Tel", r"\+212 \(0\) [67]( \d\d){4}"),
        ("N_Tel", r"00212\d{9}"),
        ("N_Tel", r"212\d{9}"),
        ("N_Tel", r"[67]\d{8}"),
        ("N_Tel", r"[67]( \d\d){4}"),
        ("N_Tel", ARABIC_INDIC + "{10}"),
        ("N_Tel", PERSIAN + "{10}"),
        ("N_Tel", f"{MARK}.*\\d.*{MARK}"),
        ("L_Num_CIN", r"[a-z]{1,2}\d{5,6}"),
        ("L_Num_CIN", r"[A-Z]{1,2} \d{5,6}"),
        ("L_Num_CIN", r"[A-Z]{1,2}0\d{5,6}"),
        ("L_Num_CIN", f"[A-Z]{{1,2}}{ARABIC_INDIC}+"),
        ("N_Num_Assure", r"0\d{8}"),
        ("N_Num_Assure", r"[1-9]\d{6,7}"),
        ("N_Num_Assure", r"\d{3} \d{3} \d{3}"),
        ("N_Num_Assure", r"'\d{9}"),
        ("N_Num_Assure", ARABIC_INDIC + "+"),
        ("N_RIB", r"\d{3} \d{3} \d{16} \d\d"),
        ("N_RIB", r"(\d{4} ){5}\d{4}"),
        ("N_RIB", r"MA64\d{24}"),
        ("N_RIB", r"MA64( \d{4}){6}"),
        ("N_RIB", r"ma64\d{24}"),
        ("L_Email", r"[A-Z0-9.]+@[A-Z.]+"),
        ("L_Email", r" +[a-z0-9.]+@[a-z.]+ +"),
    ],
)
def test_a_valid_identifier_is_written_in_many_ways(leak: Leak, column: str, pattern: str) -> None:
    matching = [cell for cell in leak.cells(column) if re.fullmatch(pattern, cell, re.DOTALL)]
    assert any(simple_canonical(KIND_OF[column], cell) for cell in matching)


@pytest.mark.parametrize(
    ("column", "pattern"),
    [
        ("N_Tel", r"\d\.\d\dE\+08"),
        ("N_Tel", r"\d{9}\.0"),
        ("N_Tel", r"\+33 6 39 98 \d\d \d\d"),
        ("N_Tel", r"003363998\d{4}"),
        ("N_Tel", r"0\d{7}"),
        ("N_Tel", r"0\d{9} / 0\d{9}"),
        ("L_Num_CIN", r"[A-Z]{1,2}"),
        ("L_Num_CIN", r"\d{5,6}"),
        ("L_Num_CIN", r"[A-Z]{1,2}\d\dXXXX"),
        ("N_Num_Assure", r"[1-9]\d{7}\.0"),
        ("N_Num_Assure", r"\d+,5"),
        ("N_Num_Assure", r"\d\.\d\dE\+0[78]"),
        ("N_Num_Assure", r"0+"),
        ("N_Num_Assure", r"\d{18}"),
        ("N_Num_Assure", r"\d{8}X"),
        ("N_RIB", r"\d{24}"),
        ("N_RIB", r"MA64\d{24}"),
        ("N_RIB", r"MA65\d{24}"),
        ("N_RIB", r"\d\.\d\dE\+2[123]"),
        ("N_RIB", r"\d{24}\.0"),
        ("N_RIB", r"\d{23}"),
        ("L_Email", r"[^@]*\.example\.(com|org|net)"),
        ("L_Email", r".*\(at\).*"),
        ("L_Email", r"[^@]+@"),
        ("L_Email", r"[^@]+@[^.]+"),
        ("L_Email", r"[^@]+ @[^@]+"),
        ("L_Email", r"[^@]+@[^@]+; [^@]+@[^@]+"),
    ],
)
def test_every_kind_of_dirt_occurs(leak: Leak, column: str, pattern: str) -> None:
    matching = [cell for cell in leak.cells(column) if re.fullmatch(pattern, cell)]
    assert any(simple_canonical(KIND_OF[column], cell) is None for cell in matching)


@pytest.mark.parametrize("column", CLASS_OF)
def test_every_placeholder_occurs_in_every_column(leak: Leak, column: str) -> None:
    cells = set(leak.cells(column))
    assert {cell.strip().casefold() for cell in cells} >= PLACEHOLDERS
    assert cells >= {"NULL", "null", "NÉANT", "  ", " - "}


def test_every_form_of_every_column_occurs(leak: Leak) -> None:
    assert set(leak.report.forms) == set(CLASS_OF)
    assert [(column, form) for column, forms in leak.report.forms.items() for form in forms if not forms[form]] == []


@pytest.mark.parametrize("part", [";", '"', "\n", "\r\n", "\u0627"])
def test_names_of_employers_need_care(leak: Leak, part: str) -> None:
    assert any(part in name for name in leak.cells("L_Raison_Sociale"))


def test_an_employer_may_be_known_by_number_name_both_or_neither(leak: Leak) -> None:
    present = {
        tuple(row[column].strip().casefold() not in PLACEHOLDERS for column in ("N_Num_Affilie", "L_Raison_Sociale"))
        for row in leak.rows
    }
    assert present == {(True, True), (True, False), (False, True), (False, False)}


def test_one_persons_number_stands_in_several_spellings(leak: Leak) -> None:
    for kind, column in COLUMN_OF.items():
        spellings = defaultdict(set)
        for cell in leak.cells(column):
            if identifier := simple_canonical(kind, cell):
                spellings[identifier].add(cell)
        assert max(map(len, spellings.values())) >= 4
        assert sum(len(each) > 1 for each in spellings.values()) > len(spellings) / 4


# Those who are not in it


@pytest.mark.parametrize("kind", COLUMN_OF)
def test_nonmembers_never_occur_in_any_spelling(leak: Leak, kind: str) -> None:
    members = {simple_canonical(kind, cell) for cell in leak.cells(COLUMN_OF[kind])}
    nonmembers = {simple_canonical(kind, nonmember(kind, index)) for index in range(PEOPLE)}
    assert None not in nonmembers
    assert len(nonmembers) == PEOPLE
    assert not members & nonmembers


@given(kind=st.sampled_from(sorted(COLUMN_OF)), index=st.integers(0, 989_999))
def test_nonmembers_are_valid_and_of_a_range_of_their_own(kind: str, index: int) -> None:
    canonical = simple_canonical(kind, nonmember(kind, index))
    assert canonical is not None
    assert {
        "national_id": canonical.startswith("ZZ"),
        "social_security": canonical.startswith("9"),
        "phone": canonical.startswith("8"),
        "bank_account": canonical[6:].startswith("9"),
        "email": canonical.endswith("@absent.example"),
    }[kind]


@pytest.mark.parametrize("kind", COLUMN_OF)
def test_members_keep_out_of_the_range_of_nonmembers(leak: Leak, kind: str) -> None:
    absent = {
        "national_id": r"ZZ.*",
        "social_security": r"9\d{8}",
        "phone": r"08\d{8}",
        "bank_account": r"\d{6}9\d{17}",
        "email": r".*@absent\.example",
    }[kind]
    assert not any(re.fullmatch(absent, identifier) for each, identifier, _ in leak.answers() if each == kind)


def test_nonmembers_outside_the_range_are_refused() -> None:
    for kind in COLUMN_OF:
        for index in (-1, 10**16):
            with pytest.raises(InputError, match="out_of_range"):
                nonmember(kind, index)
    with pytest.raises(InputError, match="unknown_kind"):
        nonmember("name", 0)
