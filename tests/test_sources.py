"""Sources: every row of every format is read as it was written, or rejected with a reason; none is misread."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import os
import pickle
import random
import re
import subprocess
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pydantic import ValidationError

from breachcheck.errors import InputError
from breachcheck.ingest.mapping import Mapping, read_mapping
from breachcheck.ingest.sources import attestation, delimited, stream, syntax, text
from breachcheck.ingest.sources import parquet as columnar
from breachcheck.ingest.sources.chunk import Chunk
from breachcheck.ingest.sources.open import chunks, digest, expand, refuse_pipe

HEADER = ["cin", "name", "salary"]


def mapping(*headers: str, **more: Any) -> Mapping:
    first, *others = headers or HEADER
    columns: list[dict[str, Any]] = [{"header": first, "kind": "national_id"}]
    columns += [{"header": header, "ignore": True} for header in others]
    return Mapping.model_validate({"version": 1, "column": columns, **more})


def every_row(found: list[Chunk]) -> tuple[list[tuple[str | None, ...]], dict[int, str]]:
    """Return the accepted rows and the rejected ones, having checked that all are accounted for."""
    accepted: list[tuple[str | None, ...]] = []
    rejected: dict[int, str] = {}
    numbers: list[int] = []
    for chunk in found:
        rows = pickle.loads(pickle.dumps(chunk)).rows()  # noqa: S301
        assert len(rows.columns) == len(chunk.plan.header)
        assert len(rows.numbers) + len(rows.rejected) == chunk.count
        accepted += zip(*(column.to_pylist() for column in rows.columns), strict=True)
        numbers += rows.numbers.to_pylist()
        rejected |= dict(rows.rejected)
    assert sorted([*numbers, *rejected]) == list(range(1, sum(chunk.count for chunk in found) + 1))
    assert numbers == sorted(numbers)
    return accepted, rejected


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read(octets: bytes, *headers: str, **more: Any) -> tuple[list[tuple[str | None, ...]], dict[int, str]]:
        path = tmp_path / "leak.csv"
        path.write_bytes(octets)
        return every_row(list(chunks(path, mapping(*headers, **more))))

    return read


def test_a_chunk_of_empty_lines_has_no_more_of_them_than_one_block_has(tmp_path: Path) -> None:
    """Each is rejected, by a tuple of its own, in the worker and where the results of several wait."""
    path = tmp_path / "leak.csv"
    path.write_bytes(b"cin;name;salary\nAB1;x;1\n" + b"\n" * (3 * text.BLOCK))
    found = list(chunks(path, mapping()))
    assert max(chunk.count for chunk in found) <= text.BLOCK
    assert sum(chunk.count for chunk in found) == 3 * text.BLOCK + 1
    path.write_bytes(b"cin;name;salary\n" + b"AB1;x;1\n" * (text.BLOCK // 16))
    assert len(list(chunks(path, mapping()))) == 1


# --- Delimited text: whatever is well formed comes back ---------------------------------------------------------------


def written(rows: list[list[str]], delimiter: str, end: str, quoting: Any) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
    return file.getvalue()


WORDS = st.text(st.sampled_from('aé0ب "\t,;|\n\r\0'), max_size=8)
TABLES = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(WORDS, min_size=width, max_size=width), max_size=12))
# Python's writer leaves a lone CR or LF unquoted unless it is part of the line end.
DIALECTS = st.tuples(
    st.sampled_from(";,\t|"),
    st.sampled_from(
        [("\n", csv.QUOTE_ALL), ("\r", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]
    ),
)


def looks_swallowed(row: list[str], delimiter: str) -> bool:
    """Tell, in other words than the reader's, whether the lines of a cell could be rows: it is then rejected."""
    width = len(row)
    for index, cell in enumerate(row):
        lines = re.split("\r\n|\r|\n", cell.replace('"', '""'))
        parts = [line.count(delimiter) + 1 for line in lines]
        if len(lines) > 1 and (
            width == 1 or width in parts[1:-1] or (parts[0] + index == width and parts[-1] + width - 1 - index == width)
        ):
            return True
    return False


@given(
    table=TABLES,
    dialect=DIALECTS,
    block=st.integers(8, 40),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1256"]),
)
@settings(deadline=None, max_examples=150)
def test_what_a_writer_wrote_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[list[str]],
    dialect: tuple[str, tuple[str, Any]],
    block: int,
    encoding: str,
) -> None:
    delimiter, (end, quoting) = dialect
    header = [f"column {index}" for index in range(len(table[0]) if table else 2)]
    if any(looks_swallowed(row, delimiter) for row in table):
        return
    path = tmp_path_factory.mktemp("table") / "leak.csv"
    path.write_bytes(written([header, *table], delimiter, end, quoting).encode(encoding))
    # Read in blocks of a few octets, so that a block ends at every place there is.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", block)
        patch.setattr(delimited, "MAX_RECORD", 64)
        accepted, rejected = every_row(
            list(chunks(path, mapping(*header, encoding="cp1256" if encoding == "cp1256" else None)))
        )
    assert accepted == [tuple(row) for row in table if any(row)]
    assert rejected == {number: "empty" for number, row in enumerate(table, 1) if not any(row)}


def by_the_rule(text: str, width: int) -> tuple[list[tuple[str, ...]], dict[int, str]]:
    """Read text cut by `;` as the rule says, in the plainest way: a line at a time, a character at a time."""
    lines = [line for line in re.findall(r"[^\r\n]*(?:\r\n|\n|\r|\Z)", text) if line]
    accepted: list[tuple[str, ...]] = []
    rejected: dict[int, str] = {}
    number = place = 0
    while place < len(lines):
        number += 1
        for size in range(1, syntax.MAX_LINES + 1):
            cells = cells_of("".join(lines[place : place + size]))
            if cells is not None or place + size >= len(lines):
                break
        if cells is None or (size > 1 and (len(cells) != width or looks_swallowed(cells, ";"))):
            rejected[number] = "quoting"
            size = 1
        elif not any(cells) and (len(cells) == width or lines[place] in ("\n", "\r", "\r\n")):
            rejected[number] = "empty"
        elif len(cells) != width:
            rejected[number] = "columns"
        else:
            accepted.append(tuple(cells))
        place += size
    return accepted, rejected


def cells_of(record: str) -> list[str] | None:
    record = re.sub(r"(\r\n|\n|\r)\Z", "", record)
    cells = []
    place = 0
    while True:
        if record[place : place + 1] == '"':
            cell = re.compile(r'"((?:[^"]|"")*)"(?=;|\Z)').match(record, place)
            if not cell:
                return None
            cells.append(cell[1].replace('""', '"'))
            place = cell.end()
        else:
            end = record.find(";", place)
            cells.append(record[place:] if end < 0 else record[place:end])
            place = len(record) if end < 0 else end
            if re.search("[\r\n]", cells[-1]):
                return None
        if place == len(record):
            return cells
        place += 1


@given(
    text=st.lists(
        st.sampled_from(["a", '"', '""', ";", "\n", "\r", "\r\n", '";"', "x;y;z\n", '"b";', '"c\nd"', '"e"\n']),
        max_size=40,
    ).map("".join),
)
@settings(deadline=None, max_examples=150)
def test_any_text_is_read_by_the_rule(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "rule.csv"
    path.write_bytes(b"cin;name;salary\n" + text.encode())
    assert every_row(list(chunks(path, mapping()))) == by_the_rule(text, 3)


QUOTED = st.lists(st.sampled_from(["a", '""', ";", ";;", "\n", "\r", "\r\n"]), max_size=6).map(
    lambda parts: f'"{"".join(parts)}"'
)


@given(
    width=st.integers(1, 4),
    rows=st.lists(st.lists(st.sampled_from(["", "b"]) | QUOTED, min_size=4, max_size=4), min_size=1, max_size=8),
)
@settings(deadline=None, max_examples=150)
def test_rows_of_several_lines_are_read_by_the_rule(
    tmp_path_factory: pytest.TempPathFactory, width: int, rows: list[list[str]]
) -> None:
    header = [f"column {index}" for index in range(width)]
    text = "".join(";".join(row[: width if index % 5 else 4]) + "\n" for index, row in enumerate(rows, 1))
    path = tmp_path_factory.getbasetemp() / "several.csv"
    path.write_bytes(";".join(header).encode() + b"\n" + text.encode())
    assert every_row(list(chunks(path, mapping(*header, delimiter=";")))) == by_the_rule(text, width)


@given(
    octets=st.lists(
        st.sampled_from([b"a", b'"', b'""', b";", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b'";"', b"x;y;z\n"]),
        max_size=60,
    ).map(b"".join),
    block=st.integers(1, 40),
)
@settings(deadline=None, max_examples=200)
def test_any_octets_are_accounted_for_wherever_blocks_end(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes, block: int
) -> None:
    path = tmp_path_factory.mktemp("noise") / "leak.csv"
    path.write_bytes(b"cin;name;salary\n" + octets)
    whole = every_row(list(chunks(path, mapping(encoding="utf-8"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", block)
        patch.setattr(delimited, "MAX_RECORD", 16)
        assert every_row(list(chunks(path, mapping(encoding="utf-8")))) == whole


@given(
    table=st.lists(st.tuples(st.integers(10, 99), st.integers(10, 99), st.integers(10, 99)), min_size=3, max_size=20),
    hits=st.lists(st.tuples(st.integers(0, 200), st.sampled_from('";\n')), min_size=1, max_size=2),
)
@settings(deadline=None, max_examples=150)
def test_a_fault_costs_no_line_but_its_own(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[int, int, int]], hits: list[tuple[int, str]]
) -> None:
    lines = [f"{a};{b};{c}" for a, b, c in table]
    for place, octet in hits:
        index = place % len(lines)
        column = place // len(lines) % (len(lines[index]) + 1)
        lines[index] = lines[index][:column] + octet + lines[index][column:]
    path = tmp_path_factory.mktemp("fault") / "leak.csv"
    path.write_bytes("\n".join(["cin;name;salary", *lines, ""]).encode())
    accepted, _ = every_row(list(chunks(path, mapping())))
    sound = [tuple(line.split(";")) for line in "\n".join(lines).split("\n") if re.fullmatch(r"\d\d;\d\d;\d\d", line)]
    assert Counter(sound) <= Counter(accepted)


# --- Delimited text: faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "accepted", "rejected"),
    [
        (b"", [], {}),
        (b"1;2;3", [("1", "2", "3")], {}),
        (b"1;2;3\n4;5\n6;7;8;9\n", [("1", "2", "3")], {2: "columns", 3: "columns"}),
        (b"\n1;2;3\n;;\n", [("1", "2", "3")], {1: "empty", 3: "empty"}),
        (b'1;"2;3\n4;5;6\n', [("4", "5", "6")], {1: "quoting"}),
        (b'1;"2"x;3\n4;5;6\n', [("4", "5", "6")], {1: "quoting"}),
        (b'1;"2;3\n4;5;6\n7;";9\n1;1;1', [("4", "5", "6"), ("1", "1", "1")], {1: "quoting", 3: "quoting"}),
        (b'1;"2\n";3\n', [("1", "2\n", "3")], {}),
        (b'1;"2\n"\n', [], {1: "quoting", 2: "quoting"}),
        (b'1;27" screen;3\n4;5;6', [("1", '27" screen', "3"), ("4", "5", "6")], {}),
        (b'1;"say ""hi""";3\n', [("1", 'say "hi"', "3")], {}),
        (b"1;2\0;3\r4;5;6\r\n7;8;9\n", [("1", "2\0", "3"), ("4", "5", "6"), ("7", "8", "9")], {}),
        (b"1;\xff2;3\n1;\xc3\xa9;3\n", [("1", "\ufffd2", "3"), ("1", "é", "3")], {}),
        (b"cin;name;salary\n1;2;3", [("cin", "name", "salary"), ("1", "2", "3")], {}),
        (b'1;"' + b"x\n" * 63 + b'";3\n', [("1", "x\n" * 63, "3")], {}),
        (b'1;"' + b"x\n" * 64 + b'";3\n', [], dict.fromkeys(range(2, 65), "columns") | {1: "quoting", 65: "quoting"}),
    ],
)
def test_faults(read: Any, octets: bytes, accepted: list[tuple[str, ...]], rejected: dict[int, str]) -> None:
    assert read(b"cin;name;salary\n" + octets) == (accepted, rejected)


def test_a_cell_of_ten_megabytes_is_rejected_alone(read: Any) -> None:
    big = b"x" * (10 << 20)
    for quote in (b"", b'"'):
        rows = b"1;2;3\n4;" + quote + big + quote + b";6\r\n7;8;9\n" + b"1;" + b"y" * (syntax.MAX_CELL + 1) + b";3\n"
        assert read(b"cin;name;salary\n" + rows) == ([("1", "2", "3"), ("7", "8", "9")], {2: "too_long", 4: "too_long"})


def test_lines_and_records_are_too_long_by_themselves(read: Any) -> None:
    some = b"x" * (syntax.MAX_RECORD * 3 // 5)
    rows = b'1;"2";3\n' + some + some + b"\n" + b'4;"' + some + b"\n" + some + b'";6\n'
    assert read(b"cin;name;salary\n" + rows) == ([("1", "2", "3")], {2: "too_long", 3: "quoting", 4: "columns"})


def test_blocks_of_the_size_that_is_used_in_earnest(read: Any) -> None:
    rows = [
        [f"AB{number:06}", 'x "y"\nz' if number % 1000 == 0 else "x;y" if number % 7 == 0 else "é", "1"]
        for number in range(300_000)
    ]
    octets = written([HEADER, *rows], ";", "\r\n", csv.QUOTE_MINIMAL).encode()
    assert len(octets) > text.BLOCK
    assert read(octets) == ([tuple(row) for row in rows], {})


def test_a_file_is_cut_in_the_same_places_each_time(tmp_path: Path) -> None:
    path = tmp_path / "leak.csv"
    path.write_bytes(b"cin;name;salary\n" + b"AB123456;somebody;5000\n" * 500_000)
    found = list(chunks(path, mapping()))
    assert len(found) > 2
    assert list(chunks(path, mapping())) == found
    assert [chunk.offset for chunk in found] == sorted(chunk.offset for chunk in found)
    assert found[-1].offset == path.stat().st_size


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipes and devices are not read"):
        list(chunks(tmp_path / "pipe", mapping()))


def test_nothing_of_a_row_can_be_printed(tmp_path: Path) -> None:
    path = tmp_path / "leak.csv"
    path.write_bytes(b"cin;name;salary\nAB123456;somebody;5000\n")
    chunk = next(chunks(path, mapping()))
    for thing in (chunk, chunk.rows()):
        assert f"{thing!r} {thing}" == "<1 rows> <1 rows>"


def test_a_parser_that_disagrees_with_the_count_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "leak.csv"
    path.write_bytes(b"cin;name;salary\nAB123456;somebody;5000\n")
    chunk: Any = next(chunks(path, mapping()))
    for wrong in (replace(chunk, count=2), replace(chunk, octets=chunk.octets * 2), replace(chunk, octets=b"")):
        with pytest.raises(InputError, match="reconcile") as caught:
            wrong.rows()
        assert "AB123456" not in str(caught.value)


# --- Encodings and delimiters -----------------------------------------------------------------------------------------

FRENCH = ["Société Générale d\u2019Électricité", "CRÉÉE À FÈS", "naïve", "Hôtel L\u2019Œuvre", "François Noël"]
ARABIC = ["فاطمة الزهراء", "محمد العلوي", "شركة النقل", "٢٠٢٤", "بن عبد الله"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"]
)
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_french_in_any_encoding(read: Any, encoding: str, delimiter: str) -> None:
    names = [name.replace("\u2019", "'").replace("Œ", "Oe") for name in FRENCH] if encoding == "latin-1" else FRENCH
    rows = [("AB123456", name, "5000") for name in names]
    assert read(delimited_text([HEADER, *rows], delimiter).encode(encoding)) == (rows, {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1256"])
def test_arabic_in_any_encoding(read: Any, encoding: str) -> None:
    names = [name for name in ARABIC if encoding != "cp1256" or name.isalpha() or " " in name]
    header = ["رقم البطاقة", "الاسم", "الأجر"]
    rows = [("AB123456", name, "Société") for name in names]
    assert read(delimited_text([header, *rows], ";").encode(encoding), *header) == (rows, {})


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_shows_without_a_mark_where_nearly_all_is_arabic(read: Any, encoding: str) -> None:
    rows = [("AB123456", "شركة النقل، " * 40, "لا شيء")] * 20
    assert read("".join(";".join(row) + "\n" for row in [HEADER, *rows]).encode(encoding)) == (rows, {})


def delimited_text(rows: list[Any], delimiter: str) -> str:
    return "".join(delimiter.join(row) + "\r\n" for row in rows)


def test_the_mapping_has_the_last_word_on_the_encoding_and_the_delimiter(read: Any) -> None:
    octets = "cin,name;salary\nAB1,é;2\n".encode("cp1252")
    assert read(octets, "cin,name", "salary", encoding="cp1252", delimiter=";") == ([("AB1,é", "2")], {})
    assert read(octets, "cin", "name;salary", encoding="cp1256", delimiter=",") == ([("AB1", "é;2")], {})
    # A lead octet of Shift JIS is followed by what is a delimiter in ASCII.
    assert read("cin|name\nAB1|ポ\n".encode("shift_jis"), "cin", "name", encoding="shift_jis") == ([("AB1", "ポ")], {})


def test_the_encoding_shows_late_and_faults_do_not_change_it(read: Any) -> None:
    early = b"AB123456;somebody;5000\n" * 400_000
    late = "AB123456;é;فاطمة\n".encode() * 20 + b"AB12\xff;x;1\n"
    accepted, rejected = read(b"cin;name;salary\n" + early + late)
    assert accepted[400_000:] == [("AB123456", "é", "فاطمة")] * 20 + [("AB12\ufffd", "x", "1")]
    assert not rejected


@pytest.mark.parametrize(
    ("octets", "word"),
    [
        (b"cin;name;wage\n1;2;3\n", "columns"),
        (b"AB123456;somebody;5000\n", "columns"),
        (b'"cin;name;salary\n1;2;3\n', "source"),
        (b"x" * (3 << 20), "source"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_and_not_told(read: Any, octets: bytes, word: str) -> None:
    with pytest.raises(InputError) as caught:
        read(octets)
    assert caught.value.reason == word
    assert "AB123456" not in str(caught.value)


# --- Lines: fixed width and JSON --------------------------------------------------------------------------------------


def fixed_mapping(**more: Any) -> Mapping:
    columns = [
        {"header": "cin", "kind": "national_id", "at": [1, 8]},
        {"header": "name", "data_class": "Names", "at": [9, 12]},
        {"header": "rest", "ignore": True, "at": [21, 240]},
    ]
    return Mapping.model_validate({"version": 1, "line": 260, "column": columns, **more})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252", "cp1256"])
def test_the_payroll_return_of_260_characters(tmp_path: Path, encoding: str) -> None:
    name = "فاطمة" if encoding == "cp1256" else "Noël"
    lines = [f"AB12345 {name:12}{'0' * 240}", "short", "", "x" * 261, f'CD123456{"":12}{"1" * 239}"']
    path = tmp_path / "return.txt"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    accepted, rejected = every_row(list(chunks(path, fixed_mapping())))
    assert accepted == [("AB12345", name, "0" * 240), ("CD123456", "", "1" * 239 + '"')]
    assert rejected == {2: "columns", 3: "empty", 4: "columns"}


@pytest.mark.parametrize(
    "columns",
    [
        [{"header": "cin", "kind": "national_id", "at": [1, 8]}, {"header": "name", "data_class": "Names"}],
        [{"header": "cin", "kind": "national_id", "at": [255, 8]}],
        [{"header": "cin", "kind": "national_id", "at": [0, 8]}],
        [{"header": ["cin", "key"], "kind": "national_id", "at": [1, 8]}],
        [{"header": "cin", "kind": "national_id", "at": [1, 8], "pattern": "("}],
        [{"header": "cin", "kind": "national_id", "at": [1, 8], "record": [""]}],
    ],
)
def test_places_and_patterns_that_cannot_be_meant_are_refused(columns: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError):
        fixed_mapping(column=columns)


def payroll_return(*employees: str) -> bytes:
    head, total = "123456720250", "2" + "0" * 200
    lines = [
        "B00" + "1" * 14,
        f"B01{head}1SOCIETE",
        *employees,
        f"B03{head}1{total}",
        f"B05{head}1{total}",
        f"B06{head}1",
    ]
    return "\r\n".join(f"{line:260}" for line in lines).encode("cp1252") + b"\r\n"


def test_the_payroll_return_has_records_of_several_sorts(tmp_path: Path) -> None:
    path = tmp_path / "return.txt"
    employer, name = "1234567202501", f"{'EXEMPLE':30}{'NOËL':30}"
    known = f"A02{employer}123456780{name}02000360000000000360"
    declared = f"B02{employer}123456789{name}0200036000000000036000000026{500000:013}{500000:09}  {'7' * 19}"
    absent = f"B02{employer}000000000{name}0000000000000000000000000000{0:013}{0:09}IL{'7' * 19}"
    first = f"B04{employer}987654321{name}AB12345 26{400000:013}{400000:09}{'7' * 19}"
    path.write_bytes(payroll_return(known, declared, absent, first, "", "B04" + "x" * 300))
    found = list(chunks(path, read_mapping("cnss_return")))
    employee, whole = ("1234567",), f"{'EXEMPLE':30}NOËL"
    assert every_row(found) == (
        [
            ("A02", *employee, "123456780", whole, "", "", ""),
            ("B02", *employee, "123456789", whole, "", f"{500000:013}", ""),
            ("B02", *employee, "000000000", whole, "", "0" * 13, ""),
            ("B04", *employee, "987654321", whole, "AB12345", "", f"{400000:013}"),
        ],
        {1: "other_record", 2: "other_record", 7: "empty", 8: "columns"} | dict.fromkeys((9, 10, 11), "other_record"),
    )
    assert sum(chunk.count for chunk in found) == 11


def test_json_lines(read: Any) -> None:
    lines = [
        '{"person": {"cin": "AB123456", "phones": [{"no": "0612345678"}, {"no": 612345679}]}, "salary": 5000.50}',
        '{"person": {"cin": 123456789012345678901234567890, "phones": []}, "salary": null}',
        '{"salary": 6.12E+08, "person": {"cin": "\\ud800", "cin": "x"}}',
        '{"person": {"cin": "CD1"}, "salary": true}',
        '{"person": {"cin": "CD1"}, "other": 1}',
        '{"person": {"cin": "CD1"}',
        "[1]",
        "",
        "[" * 100_000,
        "{}",
        '{"person": {"cin": NaN}, "salary": "0"}',
    ]
    accepted, rejected = read("\n".join(lines).encode(), "person.cin", "person.phones.no", "person.phones", "salary")
    assert accepted == [
        ("AB123456", "0612345678\x1e612345679", None, "5000.50"),
        ("123456789012345678901234567890", None, None, None),
        ("\ufffd\x1ex", None, None, "6.12E+08"),
        ("CD1", None, None, "true"),
        (None, None, None, "0"),
    ]
    assert rejected == {5: "columns", 6: "syntax", 7: "syntax", 8: "empty", 9: "syntax", 10: "empty"}


def test_json_with_an_unknown_key_in_the_first_object_is_refused(read: Any) -> None:
    with pytest.raises(InputError, match="columns") as caught:
        read(b'{"cin": "AB1", "secret": 1}\n', "cin")
    assert "secret" not in str(caught.value)


# --- Parquet ----------------------------------------------------------------------------------------------------------


def test_parquet_loses_nothing(tmp_path: Path) -> None:
    day = datetime.date(2026, 1, 2)
    columns = {
        "cin": pa.array(["AB123456", None, "x\ny"], pa.string()),
        "account": pa.array([2**63 - 1, None, 7], pa.int64()),
        "salary": pa.array([Decimal("5000.50"), Decimal("5000.00"), None], pa.decimal128(12, 2)),
        "rib": pa.array([612345678.0, 123456789012345678901234.0, float("nan")], pa.float64()),
        "born": pa.array([day, None, day], pa.date32()),
        "at": pa.array([datetime.datetime(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4), None], pa.timestamp("us")),
        "phones": pa.array([["1", "2"], [], None], pa.list_(pa.string())),
        "site": pa.array([{"city": "Fès"}, {"city": None}, None], pa.struct([("city", pa.string())])),
        "sector": pa.array(["a", "b", "a"]).dictionary_encode(),
        "raw": pa.array([b"\xff", b"x", None], pa.binary()),
        "flag": pa.array([True, False, None]),
    }
    path = tmp_path / "leak.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=2)
    names = [name if name != "site" else "site.city" for name in columns]
    found = list(chunks(path, mapping(*names)))
    assert [chunk.count for chunk in found] == [2, 1]
    assert every_row(found) == (
        [
            ("AB123456", str(2**63 - 1), "5000.50", "612345678", "2026-01-02", "2026-01-02", "1\x1e2", "Fès", "a",
             "\ufffd", "true"),
            (None, None, "5000", "1.234567890123457E+23", None, "2026-01-02T03:04:00", None, None, "b", "x", "false"),
            ("x\ny", "7", None, None, "2026-01-02", None, None, None, "a", None, None),
        ],
        {},
    )  # fmt: skip


def test_a_column_of_small_floats_does_not_make_another_number_of_one(tmp_path: Path) -> None:
    path = tmp_path / "leak.parquet"
    columns = {
        "cin": pa.array([0.0, 16777215.0, 612345678.0], pa.float32()),
        "half": pa.array([-0.0, 2047.0, 12345.0], pa.float16()),
        "list": pa.array([[0.0], [5.0, None], [612345678.0]], pa.list_(pa.float32())),
    }
    parquet.write_table(pa.table(columns), path)
    accepted, _ = every_row(list(chunks(path, mapping(*columns))))
    ruined = "6.123456640000000E+08"  # the nearest that 32 bits hold is another person's
    assert accepted == [("0", "0", "0"), ("16777215", "2047", "5"), (ruined, "1.234400000000000E+04", ruined)]


def test_types_of_parquet_that_python_has_not(tmp_path: Path) -> None:
    path = tmp_path / "leak.parquet"
    nothing = [None, None, None]
    columns = {
        "cin": pa.array(["AB1", "AB2", "AB3"]),
        "nanoseconds": pa.array([1, 0, None], pa.timestamp("ns")),
        "year 292278": pa.array([2**53, 0, None], pa.timestamp("ms")),
        "zone": pa.array([1, 0, None], pa.timestamp("s", "Nowhere/At_All")),
        "time": pa.array([1, 0, None], pa.time64("ns")),
        "span": pa.array([1, 0, None], pa.duration("ns")),
        "lists": pa.array([[["a"], [], ["b"]], [[]], None], pa.list_(pa.list_(pa.string()))),
        "structures": pa.array(
            [[{"pay": 0, "no": 7}], [{"pay": None}], []], pa.list_(pa.struct([("pay", pa.int8()), ("no", pa.int8())]))
        ),
        "pairs": pa.array([[("key", 0)], [], None], pa.map_(pa.string(), pa.int8())),
        "two": pa.array([[1, 2], nothing[:2], None], pa.list_(pa.int8(), 2)),
    }
    parquet.write_table(pa.table(columns), path)
    accepted, _ = every_row(list(chunks(path, mapping(*columns))))
    first, second, third = accepted
    assert first[1] == "1970-01-01T00:00:00.000000001"
    assert first[3:] == ("1970-01-01T00:00:01", "00:00:00.000000001", "1", "a\x1eb", "0\x1e7", "0", "1\x1e2")
    assert second[1:6] == ("1970-01-01", "1970-01-01", "1970-01-01", "00:00:00.000000000", "0")
    assert second[6:] == (*nothing, None)
    assert third[1:] == (None,) * 9


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "leak.parquet"
    parquet.write_table(pa.table({"cin": ["AB123456"] * 1000}), path)
    octets = path.read_bytes()
    for cut in (5, len(octets) // 2, len(octets) - 1):
        path.write_bytes(octets[:cut])
        with pytest.raises(InputError, match="source"):
            every_row(list(chunks(path, mapping("cin"))))


@pytest.mark.parametrize("kind", [pa.list_view(pa.string()), pa.large_list_view(pa.string())])
def test_several_values_in_whatever_sort_of_list_are_several(kind: Any, tmp_path: Path) -> None:
    """Written as Python writes a list, they would be run together into a third one's."""
    path = tmp_path / "leak.parquet"
    parquet.write_table(pa.table({"tel": pa.array([["06123", "45678"], None, [], ["0612345678"]], kind)}), path)
    found = every_row(list(chunks(path, mapping("tel"))))
    assert found == ([("06123\x1e45678",), ("0612345678",)], {2: "empty", 3: "empty"})


def test_a_list_view_holds_what_python_has_no_value_for(tmp_path: Path) -> None:
    path = tmp_path / "leak.parquet"
    columns = [
        pa.array([1, None, 2], pa.timestamp("ns")),
        pa.array([0, None, 9_000_000], pa.int32()).cast(pa.date32()),
        pa.array([b"a", None, b"\xff"], pa.binary()).view(pa.string()),
    ]
    views = [pa.ListViewArray.from_arrays([0, 2], [2, 1], column) for column in columns]
    parquet.write_table(pa.table(views, ["at", "on", "cin"]), path)
    accepted, _ = every_row(list(chunks(path, mapping("at", "on", "cin"))))
    assert accepted == [
        ("1970-01-01T00:00:00.000000001", "1970-01-01", "a"),
        ("1970-01-01T00:00:00.000000002", "26611-03-02", "\ufffd"),
    ]


# --- XLSX -------------------------------------------------------------------------------------------------------------


def workbook(**sheets: str) -> bytes:
    """Return a workbook of sheets, each given by the XML of its rows; shared string 0 is "cin", 1 is "name"."""
    space = "http://schemas.openxmlformats.org"
    main = f'xmlns="{space}/spreadsheetml/2006/main"'
    package = f'xmlns="{space}/package/2006/relationships"'
    relations = f"{space}/officeDocument/2006/relationships"
    listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1))
    related = "".join(
        f'<Relationship Id="r{n}" Type="{relations}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    strings = f'{related}<Relationship Id="s" Type="{relations}/sharedStrings" Target="sharedStrings.xml"/>'
    members = {
        "[Content_Types].xml": f'<Types xmlns="{space}/package/2006/content-types"/>',
        "_rels/.rels": f"<Relationships {package}>"
        f'<Relationship Id="w" Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{relations}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f"<Relationships {package}>{strings}</Relationships>",
        "xl/sharedStrings.xml": f"<sst {main}><si><r><t>c</t></r><r><t>in</t></r><rPh><t>x</t></rPh></si>"
        "<si><t>name</t></si></sst>",
    }
    for n, rows in enumerate(sheets.values(), 1):
        members[f"xl/worksheets/sheet{n}.xml"] = f"<worksheet {main}><sheetData>{rows}</sheetData></worksheet>"
    return zipped(members)


def zipped(members: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            member = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)  # of no moment
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


SHEET = (
    '<row r="2"><c r="A2" t="s"><v>0</v></c><c r="B2" t="s"><v>1</v></c></row>'
    '<row r="3"><c r="A3" t="inlineStr"><is><t>AB123456</t></is></c><c r="B3"><v>612345678</v></c></row>'
    '<row r="5"><c r="A5"><v>5000.5</v></c><c r="B5"><v>123456789012345678</v></c></row>'
    '<row r="6"><c r="A6"><v>1</v></c><c r="B6"><v>2</v></c><c r="C6"><v>3</v></c></row>'
    '<row r="7"><c r="A7"><v>7</v></c></row>'
    '<row r="9"><c r="A9" s="1"/></row>'
)


def test_xlsx(read: Any) -> None:
    assert read(workbook(a=SHEET), "cin", "name") == (
        [("AB123456", "612345678"), ("5000.5", "1.234567890123457E+17"), ("7", "")],
        {2: "empty", 4: "columns", 6: "empty", 7: "empty"},
    )


def test_rows_of_sheets_whose_header_does_not_fit_are_rejected(tmp_path: Path) -> None:
    """A sheet that is full goes on in another one, which has no header: nobody would miss its rows."""
    path = tmp_path / "leak.xlsx"
    other = "".join(f'<row r="{n}"><c r="A{n}" t="inlineStr"><is><t>AB{n}</t></is></c></row>' for n in (1, 2))
    path.write_bytes(workbook(a=other, b=SHEET, c="", d=SHEET))
    found = list(chunks(path, mapping("cin", "name")))
    assert [(chunk.part, chunk.count) for chunk in found] == [("2", 7), ("4", 7), ("1", 2)]
    assert every_row(found[2:]) == ([], {1: "columns", 2: "columns"})
    path.write_bytes(workbook(a=other))
    with pytest.raises(InputError, match="columns"):
        list(chunks(path, mapping("cin", "name")))


def test_a_sheet_whose_rows_are_not_counted_is_refused(read: Any) -> None:
    with zipfile.ZipFile(io.BytesIO(workbook(a=SHEET, b=SHEET))) as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    octets = {name: xml.encode("utf-16" if name.endswith("sheet1.xml") else "utf-8") for name, xml in members.items()}
    with pytest.raises(InputError, match="reconcile"):
        read(zipped(octets), "cin", "name")


def test_two_sheets_of_one_name_are_refused(read: Any) -> None:
    with zipfile.ZipFile(io.BytesIO(workbook(a=SHEET, b=SHEET.replace("AB123456", "CD123456")))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["xl/workbook.xml"] = members["xl/workbook.xml"].replace(b'name="b"', b'name="a"')
    with pytest.raises(InputError, match="source"):
        read(zipped(members), "cin", "name")


def test_a_sheet_may_begin_with_many_empty_rows(read: Any) -> None:
    rows = [(98, "cin"), (99, "AB1")]
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="inlineStr"><is><t>{word}</t></is></c></row>' for n, word in rows)
    assert read(workbook(a=f'<row r="97"/>{cells}'), "cin") == ([("AB1",)], {})


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (SHEET + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>', "unpacks_too_far"),
        (SHEET.replace("<v>0</v>", "<v>0</x>"), "source"),
        ('<!DOCTYPE x [<!ENTITY a "b">]>' + SHEET, "source"),
        (SHEET.replace("<v>0</v>", "<v>x</v>"), "source"),
        (SHEET + '<row r="3"><c r="A3"><v>1</v></c></row>', "source"),  # one of two would be lost
        (SHEET.replace('"B3"', '"A3"'), "source"),
        (SHEET.replace('"B3"', '"B5"'), "source"),  # somebody else's
        (SHEET.replace('"A7"', '"B6"'), "source"),
    ],
)
def test_workbooks_that_are_broken_or_too_large_are_refused(read: Any, rows: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        read(workbook(a=rows), "cin", "name")


# --- PDF --------------------------------------------------------------------------------------------------------------


def pdf(*pages: list[str] | bytes) -> bytes:
    """Return a PDF of pages of lines of text, or of a deflated stream."""
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    for index, lines in enumerate(pages):
        if isinstance(lines, bytes):
            content, packed = f"{lines.hex()}>", "/Filter[/ASCIIHexDecode/FlateDecode]"
        else:
            text = "".join(f"({line}) Tj T* " for line in lines)
            content, packed = f"BT /F 12 Tf 14 TL 50 800 Td {text}ET", ""
        objects += [
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {5 + 2 * index} 0 R"
            "/Resources<</Font<</F 3 0 R>>>>>>",
            f"<</Length {len(content)}{packed}>>\nstream\n{content}\nendstream",
        ]
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


def pdf_mapping() -> Mapping:
    columns = [
        {"header": "cin", "kind": "national_id", "pattern": r"CIN\s*:\s*(\S+)"},
        {"header": "salary", "data_class": "Earnings", "pattern": r"[\d ]+,\d\d DH"},
    ]
    return Mapping.model_validate({"version": 1, "column": columns})


def test_pdf_attestations(tmp_path: Path) -> None:
    path = tmp_path / "attestation.pdf"
    pages = [["ATTESTATION DE SALAIRE", f"CIN : AB{number:06}", "Salaire 5000,50 DH"] for number in range(20)]
    path.write_bytes(pdf(*pages, [], ["Annexe"], ["CIN : ZZ1"]))
    found = list(chunks(path, pdf_mapping()))
    assert [chunk.count for chunk in found] == [16, 7]
    accepted, rejected = every_row(found)
    assert [row[0] for row in accepted] == [*(f"AB{number:06}" for number in range(20)), "ZZ1"]
    assert [row[1] and row[1].strip() for row in accepted] == ["5000,50 DH"] * 20 + [None]
    assert rejected == {21: "no_text", 22: "columns"}


def test_a_pdf_that_is_damaged_or_that_no_pattern_is_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "attestation.pdf"
    path.write_bytes(pdf(["CIN : AB123456"]))
    with pytest.raises(InputError, match="columns"):
        list(chunks(path, mapping("cin")))
    path.write_bytes(b"%PDF-1.4\nnothing")
    with pytest.raises(InputError, match="source"):
        list(chunks(path, pdf_mapping()))


# --- Archives ---------------------------------------------------------------------------------------------------------

TABLE = b"cin;name;salary\r\nAB123456;somebody;5000\r\n"
ROWS = [("AB123456", "somebody", "5000")]


def zstd(octets: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(octets)


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        zstd,
        lambda octets: gzip.compress(octets[:20]) + gzip.compress(octets[20:]),
        lambda octets: b"\x50\x2a\x4d\x18\x08\0\0\0the size" + zstd(octets[:20]) + zstd(octets[20:]),
    ],
)
def test_gzip_and_zstd(read: Any, pack: Callable[[bytes], bytes]) -> None:
    assert read(pack(TABLE)) == (ROWS, {})
    assert read(pack(workbook(a=SHEET)), "cin", "name")[0][0] == ("AB123456", "612345678")
    for damaged in (pack(TABLE)[:-1], pack(TABLE)[:12], pack(TABLE) + b"more"):
        with pytest.raises(InputError, match="source"):
            read(damaged)


def test_a_member_of_a_zip_is_not_passed_over_for_its_name(read: Any) -> None:
    assert read(zipped({"folder/": b"", "leak.csv/": TABLE})) == (ROWS, {})


def test_zip_of_many_files(tmp_path: Path) -> None:
    path = tmp_path / "leak.zip"
    sheets = workbook(a=SHEET.replace('"s"><v>1</v>', '"inlineStr"><is><t>name</t></is>'), b="")
    path.write_bytes(
        zipped(
            {
                "../../etc/one.csv": TABLE,
                "/two.csv": TABLE * 2,
                "folder/": b"",
                "folder/.hidden": b"x",
                "__MACOSX/._one.csv": b"x",
                "folder/empty.csv": b"",
                "C:\\three.json": b'{"cin": "CD1"}',
            }
        )
    )
    found = list(chunks(path, mapping("cin", "name", "salary")))
    assert [(chunk.part, chunk.count) for chunk in found] == [("1", 1), ("2", 3), ("4", 1)]
    path.write_bytes(zipped({"a.xlsx": sheets, "b.xlsx": sheets}))
    assert [(chunk.part, chunk.count) for chunk in chunks(path, mapping("cin", "name"))] == [("1.1", 7), ("2.1", 7)]
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("octets", "word"),
    [
        (gzip.compress(gzip.compress(TABLE, mtime=0), mtime=0), "nested"),
        (gzip.compress(zipped({"a.csv": TABLE}), mtime=0), "nested"),
        (zipped({"a.csv.zst": zstd(TABLE)}), "nested"),
        (zipped({"a.zip": zipped({"b.csv": TABLE})}), "nested"),
        (zipped({}), "source"),
        (zipped({"a.csv": TABLE})[:-30], "source"),
        (zipped({"a.csv": TABLE}) + zipped({"b.csv": TABLE}), "source"),
        (zipped({"a.csv": TABLE}) + zipped({"b.csv": TABLE})[:-10], "source"),
        (b"BZh91AY&SY", "format"),
        (b"\0" * 257 + b"ustar\0", "format"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "format"),
    ],
)
def test_archives_that_are_refused(read: Any, octets: bytes, word: str) -> None:
    with pytest.raises(InputError) as caught:
        read(octets)
    assert caught.value.reason == word


def test_a_zip_with_a_password_or_a_wrong_checksum_is_refused(read: Any) -> None:
    octets = bytearray(zipped({"a.csv": TABLE}))
    directory = octets.index(b"PK\x01\x02")
    octets[directory + 8] |= 1
    with pytest.raises(InputError, match="encrypted"):
        read(bytes(octets))
    octets[directory + 8] &= ~1
    octets[directory + 16] ^= 1
    with pytest.raises(InputError, match="source"):
        read(bytes(octets))


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zstd, lambda octets: zipped({"a": octets[: len(octets) // 2], "b": octets[len(octets) // 2 :]})],
)
def test_bombs_are_refused_long_before_they_are_unpacked(read: Any, pack: Callable[[bytes], bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "FREE", 16 << 20)
        with pytest.raises(InputError, match="unpacks_too_far"):
            read(pack(TABLE + b"\n" * (64 << 20)))


def test_a_packed_file_that_has_to_be_held_is_bounded(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    octets = gzip.compress(workbook(a=SHEET))
    monkeypatch.setattr(stream, "MAX_HELD", 100)
    with pytest.raises(InputError, match="unpacks_too_far"):
        read(octets, "cin", "name")


@pytest.mark.parametrize("kept_so", [True, False])
def test_a_value_that_parquet_says_many_times_is_bounded(
    kept_so: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, path = 5000, tmp_path / "bomb.parquet"
    name = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["A" * 100_000]))
    parquet.write_table(pa.table({"cin": ["AB1"] * rows, "name": name}), path, compression="zstd", store_schema=kept_so)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(columnar, "MAX_DECODED", 64 << 20)
    with pytest.raises(InputError, match="unpacks_too_far"):
        every_row(list(chunks(path, mapping("cin", "name"))))


def test_a_page_of_a_pdf_that_unpacks_too_far_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "attestation.pdf"
    monkeypatch.setattr(attestation, "MAX_HELD", 64 << 20)
    content = b"BT /F 12 Tf 50 800 Td (CIN : AB3) Tj ET "
    for spaces, faults in ((1 << 20, {}), (256 << 20, {2: "syntax"})):
        path.write_bytes(pdf(["CIN : AB1"], zlib.compress(content + b" " * spaces), ["CIN : AB2"]))
        accepted, rejected = every_row(list(chunks(path, pdf_mapping())))
        assert rejected == faults
        assert [row[0] for row in accepted] == ["AB1", *([] if faults else ["AB3"]), "AB2"]


# --- Damage -----------------------------------------------------------------------------------------------------------


def as_parquet() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table({"cin": ["AB1", "x"] * 50, "name": [1, 2] * 50}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("octets", "read_by"),
    [
        (zipped({"a.csv": TABLE * 20, "b.csv": TABLE}), mapping()),
        (gzip.compress(TABLE * 50, mtime=0), mapping()),
        (zstd(TABLE * 50), mapping()),
        (workbook(a=SHEET), mapping("cin", "name")),
        (as_parquet(), mapping("cin", "name")),
        (pdf(["CIN : AB1"], ["CIN : AB2"]), pdf_mapping()),
        (b'{"cin": "x", "name": [1, {"y": null}]}\n' * 5, mapping("cin", "name", "name.y")),
        (delimited_text([HEADER, ["AB1", "فاطمة", "5"]], ";").encode("utf-16"), mapping()),
    ],
    ids=["zip", "gzip", "zstd", "xlsx", "parquet", "pdf", "json", "utf-16"],
)
def test_what_is_damaged_gives_all_its_rows_or_an_error_of_ours(
    tmp_path: Path, octets: bytes, read_by: Mapping
) -> None:
    chance = random.Random(1)
    path = tmp_path / "leak"
    outcomes = Counter[str]()
    for _ in range(300):
        damaged = bytearray(octets)
        for _ in range(chance.choice([1, 2, 5])):
            place = chance.randrange(len(damaged))
            damaged[place : place + chance.choice([0, 1, 1, 1, 4])] = chance.randbytes(chance.choice([0, 1, 1, 1, 4]))
        path.write_bytes(damaged)
        try:
            found = list(chunks(path, read_by))
            for part in {chunk.part for chunk in found}:
                every_row([chunk for chunk in found if chunk.part == part])
        except InputError as error:
            outcomes[error.reason] += 1
        else:
            outcomes["read"] += 1
    assert len(outcomes) > 1


# --- Files ------------------------------------------------------------------------------------------------------------


def test_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("b/2.csv", "b/1.csv", "a.csv", "b/.hidden", ".git/x.csv", "odd[1].csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(TABLE)
    (tmp_path / "none").mkdir()
    here = [tmp_path / "a.csv", tmp_path / "b/1.csv", tmp_path / "b/2.csv", tmp_path / "odd[1].csv"]
    assert expand([tmp_path]) == here
    assert expand([tmp_path / "**/*.csv"]) == here
    assert expand([tmp_path / "b", tmp_path / "b/1.csv"]) == here[1:3]
    assert expand([tmp_path / "odd[1].csv", tmp_path / "b/.hidden"]) == [here[3], tmp_path / "b/.hidden"]
    for missing in ("none", "*.txt", "absent.csv"):
        with pytest.raises(InputError, match="source"):
            expand([tmp_path, tmp_path / missing])


def test_nothing_in_a_folder_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "leak", tmp_path / "elsewhere"
    for name in (folder / "a.csv", elsewhere / "b.csv"):
        name.parent.mkdir()
        name.write_bytes(TABLE)
    (folder / "link").symlink_to(elsewhere)
    (folder / "again").symlink_to(folder)
    assert expand([folder]) == [folder / "a.csv", folder / "link/b.csv"]
    os.mkfifo(folder / "pipe")
    (folder / "nowhere").symlink_to("absent")
    for refused in ("nowhere", "pipe"):
        assert folder / refused in expand([folder])
        with pytest.raises(InputError, match="source"):
            refuse_pipe(folder / refused)

    # The superuser, whom nothing is closed to, may run this.
    def closed(path: str | Path) -> Any:
        if Path(path) == folder / "link":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(InputError, match="link: Permission denied"):
        expand([folder])
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != folder / "link")
    assert expand([folder / "*.csv"]) == [folder / "a.csv"]
    with pytest.raises(InputError, match="link/: Permission denied"):
        expand([folder / "**/*.csv"])


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="source"):
        list(chunks(tmp_path, mapping()))
    with pytest.raises(InputError, match="source"):
        digest(tmp_path / "absent")


def test_nothing_is_written_anywhere_while_files_are_read(tmp_path: Path) -> None:
    """Every call that opens a file for writing, or makes one, is seen by the interpreter's own audit."""
    program = """
import os, sys
from pathlib import Path
from breachcheck.ingest.mapping import Mapping
from breachcheck.ingest.sources.open import chunks
import pdfplumber, python_calamine
columns = [{"header": "cin", "kind": "national_id"}, {"header": "name", "ignore": True}]
mapping = Mapping.model_validate({"version": 1, "column": columns})
written = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(arguments[0])
    elif event in ("tempfile.mkstemp", "tempfile.mkdtemp", "os.mkdir", "os.rename"):
        written.append(event)
sys.addaudithook(watch)
for path in sys.argv[1:]:
    for chunk in chunks(Path(path), mapping):
        assert len(chunk.rows().numbers) > 0
assert not written, written
"""
    table = b"cin;name\nAB123456;somebody\n" * 3
    files = {
        "a.csv": table,
        "b.gz": gzip.compress(table),
        "c.zst": zstd(table),
        "d.zip": zipped({"a": table, "b": workbook(a=SHEET)}),
        "e.xlsx": workbook(a=SHEET),
        "f.jsonl": b'{"cin": "AB123456"}\n',
        "g.parquet": as_parquet(),
    }
    for name, octets in files.items():
        (tmp_path / name).write_bytes(octets)
    subprocess.run(
        [sys.executable, "-B", "-c", program, *(str(tmp_path / name) for name in files)],
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert {path.name for path in tmp_path.iterdir()} == set(files)
