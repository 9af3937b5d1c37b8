"""Ingest: every row accounted for, every identifier hashed once, a killed run goes on, a release is whole or absent."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from breachcheck import keys as key_room
from breachcheck.errors import InputError, ReleaseError
from breachcheck.exposure import DataClass, Flag, mask_of
from breachcheck.ingest import pipeline, reduce, stages
from breachcheck.ingest.engine import Engine, LocalEngine
from breachcheck.ingest.mapping import About, Mapping, read_about, read_mapping
from breachcheck.ingest.pipeline import Job, Report, ingest
from breachcheck.ingest.publish import Policy
from breachcheck.ingest.reduce import Evaluate, Numbered, Shroud
from breachcheck.ingest.report import summarize, told
from breachcheck.ingest.sources import delimited
from breachcheck.ingest.sources.chunk import Chunk, Rows
from breachcheck.ingest.sources.open import chunks
from breachcheck.protocol import canary, entry, oprf
from breachcheck.protocol.identifier import KINDS, Identifier
from breachcheck.protocol.parameters import STANDARD, TESTING_ONLY
from breachcheck.protocol.slow_hash import slow_hash_bulk
from breachcheck.store import reader
from breachcheck.store.ledger import FILE, Ledger
from breachcheck.store.run import Run
from tests.canary import Scanner
from tests.test_sources import payroll_return
from tests.world import BREACHCHECK, World, make_world, run

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class _Inline:
    """An engine in this process: the port's other implementation. It counts what it evaluates, and may die of it."""

    def __init__(self, die_after: int | None = None) -> None:
        self.die_after = die_after
        self.evaluated = 0

    def map(self, task: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            if isinstance(task, Evaluate):
                if self.die_after is not None and self.evaluated >= self.die_after:
                    raise _DiedError
                self.evaluated += len(batch[1])
            yield task(batch)

    def here(self) -> AbstractContextManager[Engine]:
        return nullcontext(self)


class _DiedError(Exception):
    pass


def _silent(stage: str, done: int, total: int, rows: int = 0) -> None:
    assert stage in {"read", "evaluate", "keep", "people", "publish"}
    assert 0 <= done <= total
    assert rows >= 0


def _ingest(
    root: Path,
    *files: Path,
    dataset: str = "one",
    policy: Policy | None = None,
    engine: Engine | None = None,
    mapping: str = "cnss",
    about: About | None = None,
    rejects: Path | None = None,
    accept_rejects: bool = False,
) -> Report:
    folder = root / "keys"
    steward = key_room.read_steward(folder) if folder.exists() else key_room.init(folder)
    job = Job(files, read_mapping(mapping), dataset, about or About(), rejects, accept_rejects)
    with Ledger(folder / FILE, steward, TESTING_ONLY) as ledger:
        return ingest(
            job, steward, TESTING_ONLY, ledger, root / "releases", engine or _Inline(), policy or Policy(), NOW, _silent
        )


def _leak(path: Path, *rows: str) -> Path:
    header = "N_Num_Affilie;L_Periode;N_Num_Assure;L_Nom_Prenom;L_Num_CIN;N_Jours_Declares;N_Salaire_Reel;N_Tel"
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


def _held(ledger: Path) -> set[tuple[Any, ...]]:
    with duckdb.connect(ledger, read_only=True) as database:
        return set(
            database.execute(
                "SELECT dataset, kind, output, locator, bit_or(fields) FROM exposure GROUP BY ALL"
            ).fetchall()
        )


# --- what is read -----------------------------------------------------------------------------------------------------


def test_rows_reconcile_and_each_identifier_is_evaluated_once(world: World) -> None:
    with reader.open_release(world.releases) as release:
        [dataset] = release.manifest.datasets
    assert dataset.rows_read == dataset.rows_accepted + sum(dataset.rows_rejected.values())
    expected = Counter(answer["kind"] for answer in world.answers())
    with duckdb.connect(world.keys / FILE, read_only=True) as database:
        held = dict(database.execute("SELECT kind, count(DISTINCT output) FROM exposure GROUP BY kind").fetchall())
    assert held == expected


class _Writing(_Inline):
    """Somebody writes to the file while it is read."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def map(self, task: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
        for done in super().map(task, batches):
            with self.file.open("a", encoding="utf-8") as file:
                file.write("1;202501;123456780;;;26;;\n")
            yield done


def test_a_file_that_changes_while_it_is_read_is_not_taken_for_what_it_was(tmp_path: Path) -> None:
    leak = _leak(tmp_path / "leak.csv", "1;202501;123456789;;;26;;")
    with pytest.raises(InputError, match="was written to while it was read"):
        _ingest(tmp_path, leak, engine=_Writing(leak))
    assert _ingest(tmp_path, leak).dataset.rows_read == 2


def test_a_file_whose_name_is_no_text_is_read_and_its_rejects_name_it(tmp_path: Path) -> None:
    leak = _leak(tmp_path / os.fsdecode(b"d\xe9.csv"), "1;202501;123456789;;;26;;", "broken")
    report = _ingest(tmp_path, leak, rejects=tmp_path / "rejects.csv")
    assert report.dataset.rows_rejected == {"columns": 1}
    assert (tmp_path / "rejects.csv").read_text("utf-8").splitlines()[1:] == ["d\\udce9.csv,2,columns"]


def test_a_run_that_was_killed_holds_no_name_of_a_file(tmp_path: Path) -> None:
    """An attestation may be called after its person."""
    leak = _leak(tmp_path / "AB987654-0612345699.csv", "1;202501;123456789;;;26;;", "broken")
    with pytest.raises(_DiedError):
        _ingest(tmp_path, leak, engine=_Inline(die_after=0))
    [left] = [path for path in (tmp_path / "keys").glob(f"{FILE}.*") if not path.name.endswith(".wal")]
    with duckdb.connect(left, read_only=True) as database:
        assert database.execute("SELECT reason FROM rejected").fetchall() == [("columns",)]
    found = Scanner(["AB987654", "0612345699"]).scan([tmp_path / "keys"])
    assert found.clean, found.findings
    _ingest(tmp_path, leak, rejects=tmp_path / "rejects.csv")
    assert (tmp_path / "rejects.csv").read_text("utf-8").splitlines()[1:] == [f"{leak.name},2,columns"]


def test_fields_of_all_rows_of_an_identifier_are_merged(tmp_path: Path) -> None:
    leak = _leak(
        tmp_path / "leak.csv",
        "1;202501;123456789;;;26;;",
        "1;202502;123456789;Test Person;;26;4000;",
        "1;202503;;;AB123456;26;0;0612345678",
    )
    report = _ingest(tmp_path, leak)
    assert report.identifiers == {"national_id": 1, "phone": 1, "social_security": 1}
    with reader.open_release(tmp_path / "releases") as release:
        evaluator = key_room.read_evaluator(tmp_path / "keys")
        fields = {}
        for kind, canonical in (("social_security", "123456789"), ("phone", "612345678")):
            identifier = Identifier(kind, canonical)
            message = slow_hash_bulk(identifier, release.manifest.service_salt, TESTING_ONLY)
            payload = entry.find(oprf.evaluate(evaluator.sk, message), "one", 1, release.page(kind, 0))
            assert payload is not None
            fields[kind] = payload.fields
    assert fields["social_security"] == mask_of(
        [DataClass.SOCIAL_SECURITY_NUMBERS, DataClass.NAMES, DataClass.EMPLOYERS, DataClass.EARNINGS]
    )
    assert fields["phone"] == mask_of([DataClass.PHONE_NUMBERS, DataClass.GOVERNMENT_ISSUED_IDS, DataClass.EMPLOYERS])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1;2;3", "columns"),
        ("1;2;3;4;5;6;7;8;9", "columns"),
        ("", "empty"),
        ('1;202501;123456780;"Te"st;;26;4000;', "quoting"),
        (
            "N_Num_Affilie;L_Periode;N_Num_Assure;L_Nom_Prenom;L_Num_CIN;N_Jours_Declares;N_Salaire_Reel;N_Tel",
            "repeated_header",
        ),
        ("1;202501;;Somebody;;26;4000;", "no_identifier"),
        ("1;202501;NULL;Somebody;-;26;4000;6.12E+08", "no_identifier"),
        ("1;202501;000000000;Somebody;;26;4000;", "no_identifier"),
    ],
)
def test_a_row_that_cannot_be_used_is_counted_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    leak = _leak(tmp_path / "leak.csv", "1;202501;123456789;Test;;26;4000;", row)
    report = _ingest(tmp_path, leak)
    assert (report.dataset.rows_read, report.dataset.rows_accepted) == (2, 1)
    assert report.dataset.rows_rejected == {reason: 1}


def test_octets_that_are_not_text_spoil_their_cell_alone(tmp_path: Path) -> None:
    leak = _leak(tmp_path / "leak.csv", "1;202501;123456789;Ren?;AB1234?56;26;4000;")
    leak.write_bytes(leak.read_bytes().replace(b"?", b"\xe9"))
    report = _ingest(tmp_path, leak)
    assert report.identifiers == {"social_security": 1}
    assert report.dataset.identifiers_rejected == {"national_id": {"unexpected_character": 1}}
    assert "Names" in report.dataset.fields


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    leak = _leak(tmp_path / "leak.csv", "1;202501;123456789;Test;;26;4000;")
    leak.write_text(leak.read_text().replace(";", delimiter))
    assert _ingest(tmp_path, leak).identifiers == {"social_security": 1}


def test_a_file_without_the_mapped_columns_is_refused_and_its_first_row_is_not_told(tmp_path: Path) -> None:
    leak = tmp_path / "leak.csv"
    leak.write_text("1;202501;123456789;Test Person;AB123456;26;4000;0612345678\n")
    with pytest.raises(InputError) as refused:
        _ingest(tmp_path, leak)
    assert refused.value.reason == "columns"
    assert not any(cell in str(refused.value) for cell in ("123456789", "Test", "AB123456", "0612345678"))


def test_a_column_that_the_mapping_does_not_name_is_refused(tmp_path: Path) -> None:
    leak = _leak(tmp_path / "leak.csv", "1;202501;123456789;Test;;26;4000;")
    leak.write_text("\n".join(line + ";extra" for line in leak.read_text().splitlines()))
    with pytest.raises(InputError, match="column 9"):
        _ingest(tmp_path, leak)


def test_an_open_quote_takes_no_other_row_with_it(tmp_path: Path) -> None:
    rows = [f"1;202501;{number};Test;;26;4000;" for number in range(200_000_000, 200_001_000)]
    rows[1] = rows[1].replace("Test", '"Test')
    rows[-1] = rows[-1].replace("Test", 'Test"')  # what a reader that trusts quotes takes for the end of the cell
    report = _ingest(tmp_path, _leak(tmp_path / "leak.csv", *rows))
    assert (report.dataset.rows_read, report.dataset.rows_rejected) == (1000, {"quoting": 1})
    assert report.identifiers == {"social_security": 999}


def test_a_quote_that_opens_a_line_and_one_that_opens_the_next_take_no_row(tmp_path: Path) -> None:
    leak = tmp_path / "leak.csv"
    sound = "".join(f"CD{number};Test;06{number:08d}\n" for number in range(10_000, 10_100))
    leak.write_text(f'CIN;NOM;TEL\n{sound}"ZZ777;Victim;0699887766\n";Next;0655443322\n{sound}', "utf-8")
    mapping = tmp_path / "mapping.toml"
    columns = (
        'header = "CIN"\nkind = "national_id"',
        'header = "NOM"\ndata_class = "Names"',
        'header = "TEL"\nkind = "phone"',
    )
    mapping.write_text("version = 1\n" + "".join(f"[[column]]\n{column}\n" for column in columns))
    report = _ingest(tmp_path, leak, mapping=str(mapping))
    assert report.dataset.rows_read == 202
    assert report.dataset.rows_rejected["quoting"] >= 1
    assert report.dataset.rows_read == report.dataset.rows_accepted + sum(report.dataset.rows_rejected.values())


PERSON_AND_EMPLOYER = """version = 1
linking = ["national_id", "social_security"]
[[column]]
header = "CIN"
kind = "national_id"
[[column]]
header = "SSN"
kind = "social_security"
[[column]]
header = "BOSS"
kind = "national_id"
employer = true
[[column]]
header = "SAL"
data_class = "Earnings"
"""


def _shown(root: Path) -> dict[str, tuple[int, int]]:
    """Field mask and flags of each identifier in the ledger, by kind and canonical form of those asked."""
    steward = key_room.read_steward(root / "keys")
    with Ledger(root / "keys" / FILE, steward, TESTING_ONLY) as ledger:
        ledger.gather()
        known = [row for kind in ledger.kinds() for batch in ledger.sealables(kind) for row in batch.to_pylist()]
        return {row["output"].hex(): (row["fields"], row["flags"]) for row in known}


def _output(root: Path, kind: str, canonical: str) -> str:
    steward = key_room.read_steward(root / "keys")
    message = slow_hash_bulk(Identifier(kind, canonical), steward.service_salt, TESTING_ONLY)
    return oprf.evaluate(steward.evaluator.sk, message).hex()


def test_who_is_person_and_employer_in_one_row_stays_the_person(tmp_path: Path) -> None:
    leak, mapping = tmp_path / "leak.csv", tmp_path / "mapping.toml"
    leak.write_text("CIN;SSN;BOSS;SAL\nZZ777;200000001;ZZ777;\n;200000001;;1234\n")
    mapping.write_text(PERSON_AND_EMPLOYER)
    _ingest(tmp_path, leak, mapping=str(mapping))
    fields, _ = _shown(tmp_path)[_output(tmp_path, "national_id", "ZZ777")]
    assert fields & DataClass.EARNINGS.bit


def test_a_placeholder_joins_nobody_however_the_files_come(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(PERSON_AND_EMPLOYER)
    for part in range(4):
        numbers = range(300_000_000 + 60 * part, 300_000_060 + 60 * part)
        leak = tmp_path / f"{part}.csv"
        leak.write_text("CIN;SSN;BOSS;SAL\n" + "".join(f"XX999999;{n};;{n == 300_000_005 or ''}\n" for n in numbers))
        _ingest(tmp_path, leak, mapping=str(mapping))
    shown = _shown(tmp_path)
    assert shown[_output(tmp_path, "social_security", "300000005")][0] & DataClass.EARNINGS.bit
    assert not shown[_output(tmp_path, "social_security", "300000077")][0] & DataClass.EARNINGS.bit
    assert shown[_output(tmp_path, "national_id", "XX999999")][1] == Flag.SHARED


def test_a_value_that_is_no_valid_key_is_exposed_all_the_same(tmp_path: Path) -> None:
    report = _ingest(tmp_path, _leak(tmp_path / "leak.csv", "1;202501;123456789;;;26;0;+33612345678"))
    assert report.dataset.identifiers_rejected == {"phone": {"format": 1}}
    assert set(report.dataset.fields) == {"Social security numbers", "Phone numbers", "Employers"}


def test_what_stands_around_the_employees_of_a_return_is_nobodys_and_not_held_against_it(tmp_path: Path) -> None:
    path = tmp_path / "return.txt"
    employee = f"B02{'1234567202501'}123456789{'EXEMPLE':60}0200036000000000036000000026{500000:013}"
    path.write_bytes(payroll_return(employee))
    report = _ingest(tmp_path, path, mapping="cnss_return")
    assert report.identifiers == {"social_security": 1}
    assert set(report.dataset.fields) == {"Social security numbers", "Names", "Employers", "Earnings"}
    assert (report.dataset.rows_accepted, report.dataset.rows_rejected) == (1, {"other_record": 5})
    assert report.dataset.identifiers_rejected == {}
    [public] = report.manifest.datasets  # to whom it would say that five lines about people could not be read
    assert (public.rows_read, public.rows_accepted, public.rows_rejected) == (1, 1, {})
    rows = summarize(report).rows
    assert (rows.read.low, rows.rejected, rows.others) == (1, {}, told(5))


def test_rejected_rows_are_written_with_file_number_and_reason_alone(tmp_path: Path) -> None:
    leak = _leak(tmp_path / "leak.csv", "1;202501;123456789;Test;;26;4000;", "1;2", "1;202501;;Test;;26;4000;")
    _ingest(tmp_path, leak, rejects=tmp_path / "rejects.csv", accept_rejects=True)
    said = (tmp_path / "rejects.csv").read_text("utf-8").splitlines()
    assert said == ["file,number,reason", "leak.csv,2,columns", "leak.csv,3,no_identifier"]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = [tmp_path / month / "leak.csv" for month in ("01", "02")]
    for file in files:
        file.parent.mkdir()
        _leak(file, f"1;2025{file.parent.name};123456789;Test;;26;4000;", "1;2")
    other = _leak(tmp_path / "other.csv", "1;2")
    _ingest(tmp_path, *files, other, rejects=tmp_path / "rejects.csv", accept_rejects=True)
    said = (tmp_path / "rejects.csv").read_text("utf-8").splitlines()
    assert sorted(said[1:]) == [*(f"{file},2,columns" for file in files), "other.csv,1,columns"]
    files[1].write_text("other;columns\n", "utf-8")
    with pytest.raises(InputError, match=re.escape(f"{files[1]}: the file lacks")):
        _ingest(tmp_path, *files, dataset="two")


def test_chunks_and_rows_do_not_print() -> None:
    assert "mapping" not in repr(Shroud(b"0" * 64, b"1" * 16))
    assert "0" * 8 not in repr(Shroud(b"0" * 64, b"1" * 16))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("version = 1", "column"),
        ('version = 2\n[[column]]\nheader = "a"\nkind = "phone"', "version"),
        ('version = 1\n[[column]]\nheader = "a"\nkind = "fax"', "unknown kind"),
        ('version = 1\n[[column]]\nheader = "a"\nkind = "phone"\nignore = true', "either"),
        ('version = 1\n[[column]]\nheader = "a"\ndata_class = "Names"', "no column maps"),
        ('version = 1\n[[column]]\nheader = "a"\nkind = "phone"\n[[column]]\nheader = " A "\nignore = true', "twice"),
        ("version = ", "not TOML"),
    ],
)
def test_a_mapping_that_says_nothing_clear_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_mapping(str(path))


def test_the_payroll_return_alone_has_all_its_columns_mapped(tmp_path: Path) -> None:
    leak = tmp_path / "ebds.csv"
    leak.write_text(
        "N_Num_Affilie,L_Periode,N_Num_Assure,L_Nom_Prenom,L_Num_CIN,N_Jours_Declares,N_Salaire_Reel\n"
        "1234567,202501,123456789,Test Person,AB123456,26,4000\n"
    )
    chunk = next(chunks(leak, read_mapping("cnss")))
    assert {kind for cell in chunk.plan.cells for kind in cell.kinds} == {"social_security", "national_id"}


# --- what is kept, and what goes on -----------------------------------------------------------------------------------


def test_a_second_dataset_joins_the_first_in_the_next_release(tmp_path: Path) -> None:
    first = _leak(tmp_path / "a.csv", "1;202501;123456789;Test;;26;4000;")
    second = _leak(tmp_path / "b.csv", "1;202501;123456789;;;26;;", "1;202501;;Other;CD12345;26;;")
    _ingest(tmp_path, first, dataset="one")
    report = _ingest(tmp_path, second, dataset="two")
    assert report.manifest.release == 2
    assert [dataset.name for dataset in report.manifest.datasets] == ["one", "two"]
    # one person in two datasets would be two: as many as for ten, and a canary of each
    assert report.manifest.table("social_security").entries_per_bucket == 12  # type: ignore[union-attr]
    assert report.manifest.table("social_security").members_min == 1  # type: ignore[union-attr]


def test_more_files_of_a_dataset_add_to_it_and_the_same_file_adds_nothing(tmp_path: Path) -> None:
    first = _leak(tmp_path / "a.csv", "1;202501;123456789;;;26;;")
    second = _leak(tmp_path / "b.csv", "1;202502;123456789;Test;;26;4000;")
    _ingest(tmp_path, first)
    both = _ingest(tmp_path, first, second)
    again = _ingest(tmp_path, second, first)
    assert both.dataset.rows_read == again.dataset.rows_read == 2
    assert again.manifest.release == 3
    [held] = _held(tmp_path / "keys" / FILE)
    assert held[4] == mask_of(DataClass(name) for name in both.dataset.fields)


def test_a_ledger_is_not_mixed_with_other_keys_or_parameters(tmp_path: Path) -> None:
    leak = _leak(tmp_path / "a.csv", "1;202501;123456789;;;26;;")
    _ingest(tmp_path, leak)
    other = key_room.init(tmp_path / "other")
    with pytest.raises(ReleaseError, match="other keys"):
        Ledger(tmp_path / "keys" / FILE, other, TESTING_ONLY)
    with pytest.raises(ReleaseError, match="testing-only"):
        Ledger(tmp_path / "keys" / FILE, key_room.read_steward(tmp_path / "keys"), STANDARD)


def test_the_key_is_refused_when_others_can_read_it_or_it_lies_with_the_release(tmp_path: Path) -> None:
    key_room.init(tmp_path / "releases" / "keys")
    with pytest.raises(ReleaseError, match="must not lie inside"):
        key_room.read_evaluator(tmp_path / "releases" / "keys", tmp_path / "releases")
    key_room.init(tmp_path / "keys")
    (tmp_path / "keys" / key_room.EVALUATOR_KEY).chmod(0o640)
    with pytest.raises(ReleaseError, match="0600"):
        key_room.read_evaluator(tmp_path / "keys", tmp_path / "releases")


def test_engines_agree(tmp_path: Path) -> None:
    leak = tmp_path / "leak.csv"
    run("synth", "--people", 50, "--out", leak, "--answers", tmp_path / "answers.jsonl")
    numbered = [Numbered(number, "", chunk) for number, chunk in enumerate(chunks(leak, read_mapping("cnss")))]
    task = Shroud(bytes(64), bytes(16))
    with LocalEngine(2) as pool:
        assert [each.batch.to_pylist() for each in pool.map(task, numbered)] == [
            task(each).batch.to_pylist() for each in numbered
        ]


def test_no_identifier_is_evaluated_twice_not_even_by_a_run_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "KEEP_EVERY", 0.0)
    world = World(tmp_path)
    world.synth(300)
    total = len(world.answers())
    engines = [_Inline(die_after=200), _Inline(die_after=500), _Inline()]
    for engine in engines[:2]:
        with pytest.raises(_DiedError):
            _ingest(tmp_path, world.leak, engine=engine)
    report = _ingest(tmp_path, world.leak, engine=engines[2])
    assert report.resumed
    assert sum(report.identifiers.values()) == total == sum(engine.evaluated for engine in engines)


def test_rejected_rows_are_held_in_bounded_memory_and_all_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small archive may hold hundreds of millions of empty rows."""
    monkeypatch.setattr(stages, "KEEP_REJECTED", 1_000)
    monkeypatch.setattr(delimited, "BLOCK", 1 << 10)
    held: list[int] = []
    keep = Run.keep

    def counted(run: Run, shrouded: pa.Table, rejected: pa.Table, state: str) -> None:
        held.append(len(rejected))
        keep(run, shrouded, rejected, state)

    monkeypatch.setattr(Run, "keep", counted)
    rows = ["1;202501;100000007;Test;;26;4000;", *[";" * 7] * 20_000]
    report = _ingest(tmp_path, _leak(tmp_path / "leak.csv", *rows), engine=_Inline())
    assert report.dataset.rows_rejected == {"empty": 20_000}
    assert sum(held) == 20_000
    assert max(held) < 2_000


def test_a_cell_of_many_identifiers_is_done_with_few_rows_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third of a megabyte of numbers took 4 GB: room for as many in each row of the chunk."""
    rows = [f"AB{100_000 + row};06{row:08}" for row in range(200)]
    rows[100] += "".join(f"/07{number:08}" for number in range(300)) + "/x"
    leak = tmp_path / "leak.csv"
    leak.write_text("\n".join(["cin;tel", *rows, "??;??"]), "utf-8")
    columns = [{"header": "cin", "kind": "national_id"}, {"header": "tel", "kind": "phone", "split": "/"}]
    mapping = Mapping.model_validate({"version": 1, "linking": ["national_id"], "column": columns})
    [chunk] = chunks(leak, mapping)

    def shrouded(attempt: bytes) -> tuple[Any, ...]:
        found = Shroud(bytes(64), attempt)(Numbered(0, "leak.csv", chunk))
        lines = sorted(tuple(line.values()) for line in found.batch.to_pylist())
        return lines, found.counts.state(), found.rejected

    whole = shrouded(b"whole".ljust(16))
    sizes: list[int] = []
    new = Shroud._new

    def counted(task: Shroud, plan: Any, cells: Any, mask: pa.Array, counts: Any) -> Any:
        sizes.append(len(mask))
        return new(task, plan, cells, mask, counts)

    monkeypatch.setattr(Shroud, "_new", counted)
    monkeypatch.setattr(reduce, "MAX_SPREAD", 20_000)
    assert shrouded(b"parted".ljust(16)) == whole
    assert len(whole[0]) == 200 + 200 + 300
    assert (sum(sizes), max(sizes) < 120) == (201, True)
    assert min(sizes) < 10


class _DiesReading(_Inline):
    def map(self, task: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
        yield from islice(super().map(task, batches), 2)
        raise _DiedError


def test_a_run_goes_on_only_where_its_chunks_are_those_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "KEEP_EVERY", 0.0)
    rows = [f"1;202501;{100_000_000 + 7 * number};Test;;26;4000;" for number in range(2_000)]
    leak = _leak(tmp_path / "leak.csv", *rows)
    monkeypatch.setattr(delimited, "BLOCK", 4 << 10)
    with pytest.raises(_DiedError):
        _ingest(tmp_path, leak, engine=_DiesReading())
    monkeypatch.setattr(delimited, "BLOCK", 16 << 10)  # as in another version of the program
    with pytest.raises(InputError, match=r"^reconcile: leak\.csv was cut otherwise"):
        _ingest(tmp_path, leak)
    report = _ingest(tmp_path, leak)
    assert (report.resumed, report.dataset.rows_read, report.dataset.rows_accepted) == (False, 2_000, 2_000)
    assert report.identifiers == {"social_security": 2_000}


def test_killed_at_any_moment_it_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole = make_world(tmp_path / "whole", people=300)
    expected = _held(whole.keys / FILE)
    rng = random.Random(5)
    began = time.monotonic()
    run(*World(_copy(whole, tmp_path / "timing")).ingest_words())
    duration = time.monotonic() - began
    for attempt in range(4):
        world = World(_copy(whole, tmp_path / f"killed{attempt}"))
        kills = 0
        for _ in range(3):
            command = [*BREACHCHECK, *map(str, world.ingest_words())]
            with subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            ) as process:
                try:
                    process.wait(rng.uniform(0.2, 1.0) * duration)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
            _no_half_release(world)
        world.ingest()
        assert _held(world.keys / FILE) == expected
        assert not list(world.keys.glob(f"{FILE}.*")), "the run file stays behind"
        with reader.open_release(world.releases, key_room.read_publisher_key(world.publisher)) as release:
            assert [dataset.rows_read for dataset in release.manifest.datasets] == [_rows(whole)]


def test_a_file_read_with_a_wrong_mapping_is_read_again_with_the_right_one(tmp_path: Path) -> None:
    leak = _leak(tmp_path / "a.csv", "1;202501;123456789;Test;;26;4000;0612345678")
    cnss = (Path(pipeline.__file__).parent / "mappings" / "cnss.toml").read_text("utf-8")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(cnss.replace('header = "N_Tel"\nkind = "phone"', 'header = "N_Tel"\nignore = true'), "utf-8")
    assert "phone" not in _ingest(tmp_path, leak, mapping=str(wrong)).dataset.kinds
    report = _ingest(tmp_path, leak)
    assert (report.dataset.kinds, report.dataset.rows_read) == (("phone", "social_security"), 1)
    assert len(_held(tmp_path / "keys" / FILE)) == 2


def test_files_that_were_read_together_are_read_again_together(tmp_path: Path) -> None:
    first = _leak(tmp_path / "a.csv", "1;202501;123456789;Test;;26;4000;")
    second = _leak(tmp_path / "b.csv", "1;202501;123456780;Test;;26;4000;")
    other = tmp_path / "other.toml"
    shipped = Path(pipeline.__file__).parent / "mappings" / "cnss.toml"
    other.write_text(shipped.read_text("utf-8").replace('"néant", ', ""), "utf-8")
    _ingest(tmp_path, first, second)
    with pytest.raises(InputError, match="all again"):
        _ingest(tmp_path, first, mapping=str(other))
    assert _ingest(tmp_path, first, second, mapping=str(other)).dataset.rows_read == 2


def test_what_is_said_of_a_dataset_can_be_corrected(tmp_path: Path) -> None:
    leak = _leak(tmp_path / "a.csv", "1;202501;123456789;Test;;26;4000;")
    _ingest(tmp_path, leak, about=About(title={"en": "Frist"}))
    report = _ingest(tmp_path, leak, about=About(title={"en": "First"}))
    assert (report.dataset.title, report.skipped) == ({"en": "First"}, 1)


def test_a_name_that_no_dataset_can_have_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dataset"):
        _ingest(tmp_path, tmp_path / "never-opened.csv", dataset="CNSS 2025")


@pytest.mark.parametrize("said", ['date = "08/04/2025"', '[title]\nEnglish = "x"', 'titel = "x"', "title = "])
def test_a_description_that_no_manifest_can_hold_is_refused(tmp_path: Path, said: str) -> None:
    path = tmp_path / "about.toml"
    path.write_text(said)
    with pytest.raises(InputError):
        read_about(path)


def test_keys_do_not_lie_in_the_release_folder(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.synth(10)
    run("keys", "init", "--keys", tmp_path / "releases" / "keys")
    words = ["ingest", world.leak, "--mapping", "cnss", "--dataset", "d", "--releases", tmp_path / "releases"]
    done = run(*words, "--keys", tmp_path / "releases" / "keys", check=False)
    assert done.returncode == 3
    assert "must not lie inside" in done.stderr


@pytest.mark.parametrize(
    "text",
    [b'N_Num_Affilie;"L_Periode\nN_Num_Assure', b"", b"\n\n", b"\xff\xfe", b"x" * (3 << 20), b'"' + b"y" * (3 << 20)],
)
def test_what_is_no_such_file_is_refused_in_one_line(tmp_path: Path, text: bytes) -> None:
    leak = tmp_path / "leak.csv"
    leak.write_bytes(text)
    with pytest.raises(InputError):
        _ingest(tmp_path, leak)
    assert not list((tmp_path / "keys").glob(f"{FILE}.*")), "the run file stays behind"


def _square(number: int) -> bytes:
    if number < 0:
        raise InputError("negative", str(number))
    return bytes(number * number)


def _die(how: str) -> None:
    if how == "in the middle of a result":
        for path in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # the one that this list was read from
                if str(path.readlink()).startswith("socket:"):
                    os.write(int(path.name), b"\x00\x00\x10\x00only")  # of the 4096 octets that it announces
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_order_and_errors_in_their_place() -> None:
    numbers = [3000, 1, 2000, 2, 0, 1000, 4] * 5
    with LocalEngine(2) as pool:
        assert list(pool.map(_square, numbers)) == [bytes(number * number) for number in numbers]
        broken = pool.map(_square, [*numbers, -1, *numbers])
        for number in numbers:
            assert len(next(broken)) == number * number
        with pytest.raises(InputError, match="negative"):
            next(broken)
        next(pool.map(_square, numbers))  # of which nobody wants the rest
        assert list(pool.map(_square, [5, 6])) == [bytes(25), bytes(36)]
        assert list(pool.map(_square, [])) == []


@pytest.mark.parametrize("how", ["between results", "in the middle of a result"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_killed_is_an_error_and_never_a_wait(how: str, workers: int) -> None:
    with LocalEngine(workers) as pool:
        for _ in range(3):  # from now on, too, when the last of them is gone
            with pytest.raises(ReleaseError, match="worker_lost"):
                list(pool.map(_die, [how] * 5))


def test_no_worker_outlives_an_ingest_that_was_killed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.synth(400)
    run("keys", "init", "--keys", world.keys)
    words = [word for word in world.ingest_words() if word not in ("--parameters", "testing-only")]
    command = [*BREACHCHECK, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while len(workers := _children(process.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    assert workers
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]


def test_workers_do_not_hear_ctrl_c() -> None:
    with LocalEngine(1) as engine:
        [blocked] = engine.map(_blocked, [None])
        assert signal.SIGINT in blocked
    assert signal.SIGINT not in _blocked(None)


def _blocked(_: None) -> set[int]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _children(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(child) for child in text.split() if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 12 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system, to fill it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_on_a_full_disk_the_old_release_stays_and_the_next_run_succeeds(small_disk: Path) -> None:
    world = make_world(small_disk, people=200)
    filler = small_disk / "filler"
    space = shutil.disk_usage(small_disk).free
    failed = 0
    for left in (0, 8, 64, 256, 1024):
        filler.write_bytes(bytes(max(0, space - left * 1024)))
        done = run(*world.ingest_words(dataset="more"), check=False)
        failed += done.returncode == 3
        assert done.returncode in (0, 3)
        assert "Traceback" not in done.stderr
        filler.unlink()
        _no_half_release(world)
    assert failed >= 3
    world.ingest(dataset="more")
    with reader.open_release(world.releases) as release:
        assert [dataset.name for dataset in release.manifest.datasets] == ["demo", "more"]


def _copy(world: World, root: Path) -> Path:
    root.mkdir()
    shutil.copy(world.leak, root)
    shutil.copytree(world.keys, root / "keys", ignore=shutil.ignore_patterns(f"{FILE}*"))
    return root


def _rows(world: World) -> int:
    with reader.open_release(world.releases) as release:
        return release.manifest.datasets[0].rows_read


def _no_half_release(world: World) -> None:
    if (world.releases / reader.CURRENT).exists():
        reader.open_release(world.releases).close()
    for number in reader.numbers(world.releases) if world.releases.exists() else []:
        reader.open_folder(world.releases / str(number)).close()


# --- what is published ------------------------------------------------------------------------------------------------


def test_every_bucket_hides_a_question_among_k(world: World) -> None:
    with reader.open_release(world.releases) as release:
        manifest = release.manifest
    evaluator = key_room.read_evaluator(world.keys)
    members: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for _, kind, _, locator, _ in _held(world.keys / FILE):
        members[kind][manifest.table(kind).layout.bucket_of(locator)] += 1  # type: ignore[union-attr]
    for table in manifest.kinds:
        counts = [members[table.kind][number] for number in range(table.layout.buckets)]
        assert min(counts) == table.members_min >= 100
        message = slow_hash_bulk(canary.member(table.kind, "demo", 1), manifest.service_salt, TESTING_ONLY)
        counts[table.layout.bucket_of(entry.locate(oprf.evaluate(evaluator.sk, message), table.kind))] += 1
        assert max(counts) == table.entries_per_bucket
        assert table.population_min == KINDS[table.kind].population >> table.prefix_bits >= 1000
        # one bit more, and some bucket would hide too few
        finer = Counter(
            locator >> (63 - table.prefix_bits)
            for _, kind, _, locator, _ in _held(world.keys / FILE)
            if kind == table.kind
        )
        assert min(finer[number] for number in range(2 * table.layout.buckets)) < 100


def test_prefixes_shrink_but_grow_only_by_the_stewards_word(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.synth(300)
    bits = [
        _ingest(tmp_path, world.leak, policy=Policy(k_members=k, grow=grow)).manifest.table("phone").prefix_bits  # type: ignore[union-attr]
        for k, grow in ((50, False), (100, False), (10, False), (10, True))
    ]
    assert bits[0] > bits[1] == bits[2] < bits[0] < bits[3]


def test_a_release_number_is_never_used_again_not_even_for_a_lost_folder(tmp_path: Path) -> None:
    leak = _leak(tmp_path / "a.csv", "1;202501;123456789;;;26;;")
    _ingest(tmp_path, leak)
    _ingest(tmp_path, leak)
    shutil.rmtree(tmp_path / "releases")
    (tmp_path / "keys" / FILE).unlink()
    assert _ingest(tmp_path, leak).manifest.release == 3


def test_republishing_reuses_no_pad(tmp_path: Path) -> None:
    leak = _leak(tmp_path / "a.csv", "1;202501;123456789;;;26;;")
    _ingest(tmp_path, leak)
    _ingest(tmp_path, leak)
    pages = [(tmp_path / "releases" / n / "pages" / "social_security.bin").read_bytes() for n in ("1", "2")]
    assert pages[0][:16] != pages[1][:16]
    assert pages[0][16:24] != pages[1][16:24]


class _Chunk(Chunk):
    """A chunk that was counted to hold more rows than can be read of it."""

    def rows(self) -> Rows:
        return Rows((pa.array(["0612345678"], pa.string()),), pa.array([1], pa.int64()), ((2, "columns"),))


def test_an_ingest_that_loses_rows_fails() -> None:
    plan = Mapping.model_validate({"version": 1, "column": [{"header": "tel", "kind": "phone"}]}).plan(["tel"])
    with pytest.raises(InputError, match=r"reconcile: leak\.csv: 2 rows were read where 3 were counted"):
        Shroud(bytes(64), bytes(16))(Numbered(0, "leak.csv", _Chunk(plan, 3, 9, "", b"")))


def test_a_chunk_that_is_worked_on_again_tells_all_of_its_own_and_a_later_one_nothing_new(tmp_path: Path) -> None:
    leak = _leak(tmp_path / "leak.csv", "1;202501;123456789;Test;;26;;0612345678", "1;202502;123456789;Test;;26;;x")
    [chunk] = chunks(leak, read_mapping("cnss"))
    task = Shroud(bytes(64), bytes(15) + b"1")
    first, again, later = (task(Numbered(number, "", chunk)) for number in (0, 0, 1))
    assert first.batch.equals(again.batch) and first.batch.num_rows == 3
    assert later.batch.num_rows == 0
    assert first.counts == again.counts
    # Another worker, or the same after it forgot, knows only what it was told.
    elsewhere = Shroud(bytes(64), bytes(15) + b"2")
    heard = elsewhere(Numbered(1, "", chunk, first.news))
    assert heard.batch.num_rows == 0 and heard.counts == later.counts
    assert elsewhere(Numbered(0, "", chunk, first.news)).batch.equals(first.batch)
    counted = (later.counts.rows_read, later.counts.rows_accepted, later.counts.identifiers_rejected)
    assert counted == (first.counts.rows_read, first.counts.rows_accepted, first.counts.identifiers_rejected)
