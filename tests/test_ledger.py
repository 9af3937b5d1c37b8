"""The ledger: what it was made under, who may open it, and what its files look like when something is wrong."""

from __future__ import annotations

import dataclasses
import errno
import math
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from breachcheck import keys as key_room
from breachcheck.errors import ReleaseError
from breachcheck.exposure import DataClass, mask_of
from breachcheck.ingest import completeness, pipeline, publish
from breachcheck.ingest.reduce import unshroud
from breachcheck.ingest.withdrawal import withdraw
from breachcheck.protocol import oprf
from breachcheck.protocol.encoding import encode, hkdf_expand
from breachcheck.protocol.identifier import KINDS, Kind, identify
from breachcheck.protocol.parameters import TESTING_ONLY
from breachcheck.protocol.slow_hash import slow_hash
from breachcheck.store import people as people_room
from breachcheck.store import schema
from breachcheck.store.ledger import FILE, Ledger
from tests.steward import NOW, DiedError, Inline, ingest_small, leak, silent

ONE = "1;202501;123456789;Test;;26;4000;"
TWO = "1;202501;123456780;Test;AB123456;26;4000;"


def _other(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Let this be a later version of the program, with other rules for `kind`."""
    kinds: dict[str, Kind] = {**KINDS, kind: dataclasses.replace(KINDS[kind], digest=b"r" * 32)}
    for room in (completeness, pipeline, publish):
        monkeypatch.setattr(room, "KINDS", kinds)


def test_outputs_made_under_older_rules_are_not_published_as_of_todays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = leak(tmp_path / "a.csv", ONE)
    manifest = ingest_small(tmp_path, first).manifest
    assert manifest.kinds[0].rules == KINDS["social_security"].digest
    _other(monkeypatch, "social_security")
    with pytest.raises(ReleaseError, match="one was read under other rules for social_security") as refused:
        ingest_small(tmp_path, leak(tmp_path / "b.csv", TWO), dataset="two")
    assert refused.value.reason == "ledger_rules"
    assert (tmp_path / "keys" / key_room.RELEASE_NUMBER).read_text() == "1\n"


def test_files_that_are_given_again_are_read_under_the_rules_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = leak(tmp_path / "a.csv", ONE)
    ingest_small(tmp_path, file)
    _other(monkeypatch, "social_security")
    monkeypatch.setattr(publish, "_verify", lambda *_: None)  # its client has the rules of the program that runs
    report = ingest_small(tmp_path, file)
    assert (report.skipped, report.identifiers) == (0, {"social_security": 1})
    assert report.manifest.kinds[0].rules == b"r" * 32


def test_rules_of_a_kind_that_is_not_in_the_ledger_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE), mapping=str(_narrow(tmp_path)))
    _other(monkeypatch, "email")
    assert ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE), mapping=str(_narrow(tmp_path))).skipped == 1


@pytest.mark.parametrize(
    ("length", "rounds", "people"),
    [(400, 64, (1, 0)), (people_room.MAX_CROWD // 2 + 1, 64, (0, 1)), (100, 1, None)],
    ids=["one person", "too large", "not settled"],
)
def test_a_chain_of_rows_is_one_person_or_is_cut(
    length: int, rounds: int, people: tuple[int, int] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_room, "_ROUNDS", rounds)
    rows = [
        f"1;202501;{100000000 + at};{'Test' * (at == 0)};AB{10000 + at + more};26;{'4000' * (at == length - 1)};"
        for at in range(length)
        for more in (0, 1)
    ]
    report = ingest_small(tmp_path, leak(tmp_path / "a.csv", *rows))
    whole = mask_of(map(DataClass, report.dataset.fields))
    if people == (1, 0):
        assert report.fields == {whole: 2 * length + 1}
    else:  # each shows its own rows alone
        names, earnings = DataClass.NAMES.bit, DataClass.EARNINGS.bit
        assert {mask: count for mask, count in report.fields.items() if mask & (names | earnings)} == {
            whole & ~names: 3,
            whole & ~earnings: 3,
        }
        assert (report.people.people, report.people.shared) == (0, 2 * length + 1)
    assert people in (None, (report.people.people, report.people.crowds))


def test_who_is_too_many_to_be_one_person_does_not_change_with_how_the_files_are_given(tmp_path: Path) -> None:
    rows = [f"1;20250{{}};{100000000 + at};;AB{10000 + at + more};26;;" for at in range(300) for more in (0, 1)]
    for month in (1, 2):
        file = leak(tmp_path / f"{month}.csv", *(row.format(month) for row in rows))
        report = ingest_small(tmp_path, file)
        assert (report.people.people, report.people.crowds, report.people.shared) == (1, 0, 0)


def test_a_chain_settles_in_few_rounds_however_it_is_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_room, "_ROUNDS", 12)
    ascending = list(range(people_room.MAX_CROWD))
    halves = zip(ascending[::2], reversed(ascending[1::2]), strict=True)
    for strong in (ascending, ascending[::-1], [one for pair in halves for one in pair]):
        edges = [(line, one) for line, pair in enumerate(pairwise(strong)) for one in pair]
        with duckdb.connect() as database:
            lines, identifiers = zip(*edges, strict=True)
            database.register("edge", pa.table({"line": lines, "strong": identifiers}))
            people_room._settle(database)
            assert database.execute("SELECT DISTINCT label FROM next").fetchall() == [(0,)]


def test_a_withdrawn_name_is_refused_before_the_ledger_has_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        ingest_small(tmp_path, leak(tmp_path / f"{name}.csv", ONE), dataset=name)
    keys = key_room.read_steward(tmp_path / "keys")
    with Ledger(tmp_path / "keys" / FILE, keys, TESTING_ONLY) as ledger:
        withdraw("two", {"en": "No"}, ledger, keys, tmp_path / "releases", Inline(), publish.Policy(), NOW, silent)
    with pytest.raises(ReleaseError, match="withdrawn"):
        ingest_small(tmp_path, leak(tmp_path / "more.csv", TWO), dataset="two")
    report = ingest_small(tmp_path, tmp_path / "more.csv")
    assert [dataset.name for dataset in report.manifest.datasets] == ["one"]


def _narrow(root: Path) -> Path:
    cnss = (Path(publish.__file__).parent / "mappings" / "cnss.toml").read_text("utf-8")
    path = root / "narrow.toml"
    path.write_text(cnss.replace('kind = "email"', "ignore = true"), "utf-8")
    return path


def test_a_run_that_was_killed_does_not_go_on_under_other_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = leak(tmp_path / "a.csv", ONE)
    with pytest.raises(DiedError):
        ingest_small(tmp_path, file, dies=True)
    _other(monkeypatch, "social_security")
    with pytest.raises(ReleaseError, match="begun under other identifier rules") as refused:
        ingest_small(tmp_path, file)
    assert refused.value.reason == "run_rules"
    [left] = (tmp_path / "keys").glob(f"{FILE}.*")
    assert left.name in refused.value.detail
    monkeypatch.undo()
    assert ingest_small(tmp_path, file).resumed


# --- the order of rows: whoever knows a sorted file must not name them by their place ---------------------------------


def _sorted_leak(path: Path) -> Path:
    """Write a leak sorted by number, in all rows of which the same employer's phone stands."""
    return leak(path, *(f"1;202501;{100_000_000 + 7 * n};Test;;26;4000;0522123456" for n in range(400)))


def _is_in_no_order(numbers: Sequence[int]) -> None:
    """Refuse an order of 400 numbers that has a trend, in all of it or in parts that follow each other."""
    assert len(numbers) == 400
    rising = sum(a < b for a, b in pairwise(numbers))
    # Of a random order the mean is half of the pairs, the variance a twelfth of their number.
    assert abs(rising - 399 / 2) < 5 * math.sqrt(400 / 12)


def _are_in_no_order(rows: Sequence[tuple[str, tuple[int, int], int | None]]) -> None:
    """Refuse rows of kind, mark and number in which the numbers, or those of the one phone's rows, have a trend."""
    numbers = {mark: number for _, mark, number in rows if number is not None}
    _is_in_no_order([number for _, _, number in rows if number is not None])
    _is_in_no_order([numbers[mark] for kind, mark, _ in rows if kind == "phone"])


def test_the_rows_of_the_ledger_are_not_in_the_order_of_the_file(tmp_path: Path) -> None:
    ingest_small(tmp_path, _sorted_leak(tmp_path / "a.csv"))
    keys = key_room.read_steward(tmp_path / "keys")
    whose = {}
    for n in range(400):
        identifier = identify("social_security", str(100_000_000 + 7 * n))
        message = slow_hash(identifier, keys.service_salt, TESTING_ONLY)
        whose[oprf.evaluate(keys.evaluator.sk, message)] = n
    with duckdb.connect(tmp_path / "keys" / FILE, read_only=True) as database:
        rows = database.execute("SELECT kind, row_high, row_low, output FROM exposure ORDER BY rowid").fetchall()
    _are_in_no_order([(kind, (high, low), whose.get(output)) for kind, high, low, output in rows])


def _left_by_a_killed_run(root: Path) -> tuple[Path, bytes]:
    with pytest.raises(DiedError):
        ingest_small(root, _sorted_leak(root / "a.csv"), dies=True)
    [left] = (root / "keys").glob(f"{FILE}.*")
    run = left.name.removeprefix(f"{FILE}.").encode()
    sk = key_room.read_steward(root / "keys").evaluator.sk
    return left, hkdf_expand(sk, encode("shroud", run), 64)


def test_nor_are_those_of_a_run_that_was_killed(tmp_path: Path) -> None:
    left, run_key = _left_by_a_killed_run(tmp_path)
    with duckdb.connect(left, read_only=True) as database:
        rows = database.execute(
            "SELECT kind, row_high, row_low, value FROM standing JOIN merged USING (tag_high, tag_low) "
            "ORDER BY standing.rowid"
        ).fetchall()
        merged = database.execute("SELECT value FROM merged WHERE kind = 'social_security' ORDER BY rowid").fetchall()
    values = [value for (value,) in merged]
    numbers = [int(identifier.canonical) for identifier in unshroud(run_key, "social_security", values)]
    whose = dict(zip(values, numbers, strict=True))
    _is_in_no_order(list(whose.values()))
    _are_in_no_order([(kind, (high, low), whose.get(value)) for kind, high, low, value in rows])


# --- files that are locked, damaged, or find no space ----------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        duckdb.FatalException(
            'FATAL Error: Failed to create checkpoint because of error: Could not write file "{}": {}'
        ),
        duckdb.TransactionException('TransactionContext Error: Failed to commit: Could not write file "{}": {}'),
        duckdb.IOException(
            'IO Error: Checkpoint failed for database "run". Original error: Could not write file "{}": {}'
        ),
    ],
)
def test_a_full_disk_is_called_so(error: duckdb.Error) -> None:
    told = schema.failed(Path(FILE), type(error)(str(error).format(FILE, os.strerror(errno.ENOSPC))))
    assert str(told) == f"unreadable: {FILE}: its disk is full"


def test_a_ledger_that_another_process_has_open_is_locked(tmp_path: Path) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE))
    holder = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "keys" / FILE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(ReleaseError) as refused:
            Ledger(tmp_path / "keys" / FILE, key_room.read_steward(tmp_path / "keys"), TESTING_ONLY)
        other.communicate(b"")
    assert refused.value.reason == "locked"


def test_a_damaged_block_is_not_a_lock(tmp_path: Path) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", ONE))
    path = tmp_path / "keys" / FILE
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = bytes(octet ^ 0xA5 for octet in content[3 * 4096 :])
    path.write_bytes(content)
    with pytest.raises(ReleaseError) as refused:
        Ledger(path, key_room.read_steward(tmp_path / "keys"), TESTING_ONLY)
    assert refused.value.reason == "unreadable"


def test_a_release_folder_that_is_full_is_not_blamed_on_the_ledger(tmp_path: Path) -> None:
    program = (
        "import os, resource, sys\nfrom pathlib import Path\nfrom breachcheck.store.writer import Writer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))\n"
        "writer = Writer(Path(sys.argv[1]))\n"
        "for number in range(64):\n    writer.buckets(0, number, [bytes(32)], [os.urandom(1 << 20)])\n"
    )
    path = tmp_path / "release.duckdb"
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert "breachcheck.errors.ReleaseError: unreadable: release.duckdb: DuckDB says " in done.stderr


@pytest.mark.parametrize("umask", ["000", "077"])
def test_what_the_steward_keeps_is_the_stewards_and_a_release_is_everybodys(tmp_path: Path, umask: str) -> None:
    key_room.init(tmp_path / "keys")
    words = ["--mapping", "cnss", "--dataset", "one", "--keys", tmp_path / "keys", "--releases", tmp_path / "new" / "r"]
    words += ["--parameters", "testing-only"]
    # Every file and its mode, when it is opened: those beside the ledger are gone at the end.
    watch = (
        "import os, runpy, sys\nfrom breachcheck.ingest import publish\nfrom breachcheck.ingest import pipeline\n"
        "def look(*words):\n    os.system(f'ls -lnA {sys.argv[8]} >&2')\n    return went(*words)\n"
        "went, pipeline._sample = pipeline._sample, look\nfrom breachcheck.__main__ import main\nmain()\n"
    )
    file = leak(tmp_path / "a.csv", ONE)
    command = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", sys.executable, "-c", watch, "ingest", file, *words]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modes = {line.split()[-1]: line[:10] for line in done.stderr.splitlines() if FILE in line}
    assert any(name.endswith(".wal") for name in modes), modes
    assert set(modes.values()) == {"-rw-------"}, modes
    releases = tmp_path / "new" / "r"
    for path in (releases, *releases.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path
