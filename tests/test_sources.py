"""Sources: every row of every format is read as it was written, or rejected with a reason; none is misread."""

from __future__ import annotations

import csv
import io
import pickle
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breachcheck.ingest.mapping import Mapping
from breachcheck.ingest.sources import delimited, records, text
from breachcheck.ingest.sources.chunk import Chunk
from breachcheck.ingest.sources.open import chunks

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
@settings(deadline=None, max_examples=300)
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


@given(
    octets=st.lists(
        st.sampled_from([b"a", b'"', b'""', b";", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b'";"', b"x;y;z\n"]),
        max_size=60,
    ).map(b"".join),
    block=st.integers(1, 40),
)
@settings(deadline=None, max_examples=500)
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
@settings(deadline=None, max_examples=300)
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
        rows = b"1;2;3\n4;" + quote + big + quote + b";6\r\n7;8;9\n" + b"1;" + b"y" * (records.MAX_CELL + 1) + b";3\n"
        assert read(b"cin;name;salary\n" + rows) == ([("1", "2", "3"), ("7", "8", "9")], {2: "too_long", 4: "too_long"})
