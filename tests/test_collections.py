"""Public collections of broken CSV: each file is read as its collection says, or as Python reads it, or refused.

csv-spectrum (npm) says in JSON what each of its files holds. The examples of csvkit (its source distribution) have no
answers: there Python's csv module is the other opinion, and a row that it reads otherwise must have been rejected.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from pydantic import ValidationError

from breachcheck.errors import InputError
from breachcheck.ingest.mapping import Mapping
from breachcheck.ingest.sources.delimited import Delimited
from breachcheck.ingest.sources.open import chunks

sys.path.append(str(Path(__file__).resolve().parent.parent / "scripts"))
import build_web

# Files of which a column has no name, or that of another.
NOT_MAPPED: Final = [
    "Datagov_FY10_EDU_recp_by_State.csv",
    "FY09_EDU_Recipients_by_State.csv",
    "empty.csv",
    "sheetsxlsx_converted.csv",
    "test_empty_columns.csv",
]
OF_ANOTHER_WIDTH: Final = {  # than the header, or empty: so many rows
    "bad.csv": 2,
    "bad_skip_lines.csv": 2,
    "blanks_converted.csv": 1,
    "join_a_short.csv": 2,
    "test_empty_columns_long_row.csv": 1,
    "test_empty_columns_short_row.csv": 1,
    "test_extra_header.csv": 1,
    "test_join_short_rows.csv": 2,
}
LOCK: Final = Path(__file__).with_name("collection.lock")


def mapping(header: Sequence[str]) -> Mapping:
    """Return one that names all columns; of the first it takes identifiers, so that rows have something to be read for.

    Raises:
        ValidationError: a header is empty, or stands twice.
    """
    first, *others = header
    columns: list[dict[str, object]] = [{"header": first, "kind": "national_id"}]
    columns += [{"header": name, "ignore": True} for name in others]
    return Mapping.model_validate({"version": 1, "column": columns})


def read(path: Path, header: Sequence[str]) -> tuple[list[list[str]], int, Delimited | None]:
    """Return the accepted rows, how many were rejected, and the last chunk."""
    rows: list[list[str]] = []
    rejected = 0
    last = None
    for chunk in chunks(path, mapping(header)):
        assert isinstance(chunk, Delimited)
        assert list(chunk.plan.header) == header
        found = chunk.rows()
        assert len(found.numbers) + len(found.rejected) == chunk.count
        rows += map(list, zip(*(column.to_pylist() for column in found.columns), strict=True))
        rejected += len(found.rejected)
        last = chunk
    return rows, rejected, last


def test_csv_spectrum_is_read_as_it_says() -> None:
    build_web.install(development=True)
    folder = build_web.SCRIPTS / "node_modules" / "csv-spectrum"
    files = set((folder / "csvs").glob("*.csv"))
    assert len(files) == 12
    files.remove(folder / "csvs" / "location_coordinates.csv")  # its JSON has another phone number than it
    for path in files:
        truth = json.loads((folder / "json" / f"{path.stem}.json").read_text("utf-8"))
        header = list(truth[0])
        rows, rejected, _ = read(path, header)
        assert not rejected, path.name
        assert [dict(zip(header, row, strict=True)) for row in rows] == truth, path.name


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("csvkit")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "--require-hashes"]
    subprocess.run([*pip, "-r", LOCK, "-d", folder], check=True)
    [archive] = folder.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return archive.with_name(archive.name.removesuffix(".tar.gz")) / "examples"


def as_python_reads(path: Path) -> list[list[str]]:
    octets = path.read_bytes()
    encoding = "utf-16" if octets.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = octets.decode(encoding)
    except UnicodeDecodeError:
        text = octets.decode("cp1252")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ","))


def test_the_examples_of_csvkit_are_read_or_refused_never_misread(examples: Path) -> None:
    files = [path for path in sorted(examples.rglob("*")) if path.suffix in (".csv", ".tsv")]
    assert len(files) == 76
    refused: dict[str, str] = {}
    faulty: dict[str, int] = {}
    for path in files:
        header, *others = [row for row in as_python_reads(path) if row] or [[""]]
        try:
            rows, rejected, last = read(path, header)
        except (InputError, ValidationError) as error:
            refused[path.name] = error.reason if isinstance(error, InputError) else "mapping"
            continue
        assert last is not None or not others, path.name
        theirs = iter(others)
        missed = 0
        for row in rows:  # in the same order, with nothing but rejected rows between
            for other in theirs:
                if other == row:
                    break
                missed += 1
            else:
                pytest.fail(f"{path.name}: a row is read otherwise")
        missed += len(list(theirs))
        assert missed <= rejected, path.name
        if rejected:
            faulty[path.name] = rejected
    assert refused == dict.fromkeys(NOT_MAPPED, "mapping")
    assert faulty == OF_ANOTHER_WIDTH
