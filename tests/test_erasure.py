"""Erasure: what was found is not found any more, nothing else changes, it does not come back, and it is in no file."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from breachcheck import Client, NotFound
from breachcheck import keys as key_room
from breachcheck.errors import InputError, ReleaseError
from breachcheck.exposure import Exposed, Verdict
from breachcheck.ingest import erasure
from breachcheck.ingest.publish import Policy, read_followed
from breachcheck.protocol import oprf
from breachcheck.protocol.identifier import Identifier, identify
from breachcheck.protocol.manifest import Manifest
from breachcheck.protocol.parameters import TESTING_ONLY
from breachcheck.protocol.slow_hash import slow_hash_bulk
from breachcheck.store import reader
from breachcheck.store.ledger import FILE, Erasure, Ledger
from breachcheck.store.verify import ask
from breachcheck.synth import nonmember
from tests.canary import Findings, Scanner
from tests.steward import NOW, DiedError, ingest_small, leak
from tests.test_service import running
from tests.world import BREACHCHECK, World, make_world, run

REFERENCE = "dossier 17, shelf 4"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> World:
    """150 people; nothing in it may be changed."""
    return make_world(tmp_path_factory.mktemp("erasure"), people=150, seed=5)


@pytest.fixture
def small(tiny: World, tmp_path: Path) -> World:
    """A copy of it, to be changed."""
    shutil.copytree(tiny.root, tmp_path / "small")
    return World(tmp_path / "small")


def forget_words(world: World, kind: str, *more: object, reference: str = REFERENCE) -> list[object]:
    return ["forget", kind, "--reference", reference, "--keys", world.keys, "--releases", world.releases, *more]


def forget(world: World, kind: str, *texts: str, more: Sequence[object] = (), reference: str = REFERENCE) -> Any:
    words = forget_words(world, kind, "--json", *more, reference=reference)
    return json.loads(run(*words, stdin="".join(f"{text}\n" for text in texts)).stdout)


def members(world: World, kind: str) -> list[str]:
    return [one["identifier"] for one in world.answers() if one["kind"] == kind]


def identifiers(world: World) -> list[Identifier]:
    return list(dict.fromkeys(identify(one["kind"], one["identifier"]) for one in world.answers()))


def output_of(keys: Path, identifier: Identifier) -> bytes:
    steward = key_room.read_steward(keys)
    return oprf.evaluate(steward.evaluator.sk, slow_hash_bulk(identifier, steward.service_salt, TESTING_ONLY))


def answers(world: World, asked: Sequence[Identifier]) -> dict[Identifier, Verdict]:
    """Return what the current release answers."""
    steward = key_room.read_steward(world.keys)
    with reader.open_release(world.releases, steward.publisher_key) as release:
        now = release.manifest.created
        return {one: ask(release, steward.publisher_key, steward.evaluator, now, one) for one in asked}


def told(verdict: Verdict) -> object:
    """Return what a verdict says, whichever release it is of."""
    return verdict.exposures if isinstance(verdict, Exposed) else type(verdict)


def manifest_of(world: World) -> Manifest:
    with reader.open_release(world.releases) as release:
        return release.manifest


def traces(folder: Path, *outputs: bytes) -> Findings:
    """Search what a steward keeps, free blocks of the ledger included, for outputs as octets or in hexadecimal."""
    found = Scanner([one.hex() for one in outputs], octets=outputs).scan([folder])
    assert not found.unreadable, found.unreadable
    return found


# --- The whole way, by the commands -----------------------------------------------------------------------------------


def test_what_was_exposed_is_not_found_and_every_other_answer_is_the_same(small: World, tmp_path: Path) -> None:
    gone, absent = members(small, "phone")[3], nonmember("phone", 1)
    one = identify("phone", gone)
    everybody = identifiers(small)
    before = answers(small, everybody)
    assert isinstance(before[one], Exposed)
    y = output_of(small.keys, one)
    assert not traces(small.keys, y).clean, "the search does not see an output that is there"
    done = forget(small, "phone", gone, f"  {gone} ", "", absent)
    assert done == {"erased": 1, "absent": 1, "before": 0, "erasures": 2, "release": 2}
    after = answers(small, everybody)
    assert isinstance(after.pop(one), NotFound)
    assert {key: told(verdict) for key, verdict in after.items()} == {
        key: told(verdict) for key, verdict in before.items() if key != one
    }
    assert traces(small.root, y).clean, "the release folder too: nothing sealed shows an output"
    assert stat.S_IMODE((small.keys / FILE).stat().st_mode) == 0o600
    assert not [path.name for path in small.keys.iterdir() if path.name.startswith(".")]
    verify = ["release", "verify", "--releases", small.releases, "--publisher-key", small.publisher]
    assert "verified" in run(*verify, "--keys", small.keys).stdout
    with (
        running(tmp_path, "--releases", small.releases, "--keys", small.keys) as process,
        Client(process.url, small.publisher) as client,
    ):
        assert isinstance(client.check("phone", gone), NotFound)
        assert process.get("/v1/status").json()["erasures"] == 2
        for language, words in (
            ("en", "Numbers that were erased"),
            ("fr", "Numéros effacés"),
            ("ar", "أرقام مُحيت"),
        ):
            page = process.get(f"/{language}/files").data.decode()
            assert words in page
            assert "<dd>2</dd>" in page or "<dd>٢</dd>" in page
    assert "erasures: 2\n" in run("release", "show", "--releases", small.releases).stdout
    assert manifest_of(small).erasures == 2


def test_it_stays_gone_when_the_same_files_are_read_again(small: World) -> None:
    gone = [members(small, kind)[7] for kind in ("national_id", "email")]
    asked = [identify("national_id", gone[0]), identify("email", gone[1])]
    for one, text in zip(asked, gone, strict=True):
        assert forget(small, one.kind, text, more=["--no-publish"])["erased"] == 1
    assert manifest_of(small).release == 1
    assert all(isinstance(verdict, Exposed) for verdict in answers(small, asked).values())
    mapping = small.root / "corrected.toml"
    source = Path(erasure.__file__).parent / "mappings" / "cnss.toml"
    mapping.write_text(source.read_text("utf-8") + "\n# corrected\n", "utf-8")
    run(*small.ingest_words(mapping=str(mapping)))
    again = {key: told(verdict) for key, verdict in answers(small, identifiers(small)).items()}
    assert all(again[one] is NotFound for one in asked)
    assert sum(said is NotFound for said in again.values()) == len(asked)
    small.ingest(dataset="more")
    assert manifest_of(small).erasures == 2
    more = answers(small, identifiers(small))
    assert all(isinstance(more[one], NotFound) for one in asked)
    assert sum(isinstance(verdict, NotFound) for verdict in more.values()) == len(asked)
    assert traces(small.keys, *(output_of(small.keys, one) for one in asked)).clean


def test_what_the_commands_say_and_how_they_end(small: World) -> None:
    gone = members(small, "phone")[0]
    done = run(*forget_words(small, "phone"), stdin=gone)
    assert "erased: 1; not in the ledger: 0; erased before: 0\nkept out from now on: 1\nrelease 2, " in done.stdout
    assert forget(small, "phone", gone) == {"erased": 0, "absent": 0, "before": 1, "erasures": 1, "release": 3}
    listed = run("forgotten", "--keys", small.keys, "--releases", small.releases).stdout
    assert listed == f"{datetime.now(UTC):%Y-%m-%d}  phone  {REFERENCE}\n"
    # an identifier on the command line is wrong use
    assert run(*forget_words(small, "phone", gone), stdin="", check=False).returncode == 2
    for words, stdin, complaint in (
        (forget_words(small, "phone"), "", "empty"),
        (forget_words(small, "phone"), f"{gone}\nnot a number\n", "line 2; nothing was erased"),
        (forget_words(small, "telex"), f"{gone}\n", "unknown_kind"),
        (forget_words(small, "phone", reference=f"of {gone}"), f"{gone}\n", "reference"),
        (forget_words(small, "phone", reference=" "), f"{gone}\n", "reference"),
    ):
        failed = run(*words, stdin=stdin, check=False)
        assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)
        assert complaint in failed.stderr
        assert gone not in failed.stderr
    for more in ((), ("--no-publish",)):
        mistaken = run(*forget_words(small, "phone", "--ledger", small.root / "x", *more), stdin=gone, check=False)
        assert (mistaken.returncode, "no_ledger" in mistaken.stderr) == (3, True)
        assert not (small.root / "x").exists()
    shutil.rmtree(small.releases)
    missing = run(*forget_words(small, "phone"), stdin=gone, check=False)
    assert (missing.returncode, "--no-publish" in missing.stderr) == (3, True)
    assert manifest_count(small) == 1


def manifest_count(world: World) -> int:
    with duckdb.connect(world.keys / FILE, read_only=True) as database:
        [(count,)] = database.execute("SELECT count(*) FROM tombstone").fetchall()
        return int(count)


# --- Killed -----------------------------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
from pathlib import Path
import duckdb
from breachcheck.store import ledger
from breachcheck.__main__ import main
wanted, calls = int(sys.argv.pop(1)), 0
def count():
    global calls
    calls += 1
    if calls == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
class Counting:
    def __init__(self, database): self.database = database
    def execute(self, *words):
        count()
        return self.database.execute(*words)
    def __getattr__(self, name): return getattr(self.database, name)
connect, sync, rename = ledger.schema.connect, ledger.sync, Path.rename
def counted(path, **words):
    database = connect(path, **words)
    return Counting(database) if path.name == ledger.FILE else database
def synced(path):
    count()
    sync(path)
    count()
def renamed(path, target):
    count()
    done = rename(path, target)
    count()
    return done
ledger.schema.connect, ledger.sync, Path.rename = counted, synced, renamed
main()
"""


def test_killed_at_any_step_it_leaves_the_old_ledger_or_the_new_whole(tmp_path: Path) -> None:
    rows = [f"1;202501;12345{number:04};Test;AB{number:06};26;4000;06{number:08}" for number in range(1, 60)]
    ingest_small(tmp_path, leak(tmp_path / "a.csv", *rows))
    world, gone = World(tmp_path), "0600000007"
    y = output_of(world.keys, identify("phone", gone))
    kept = tmp_path / "kept"
    shutil.copytree(world.keys, kept)
    killed, outcomes = 0, []
    while True:
        shutil.rmtree(world.keys)
        shutil.copytree(kept, world.keys)
        words = [str(killed + 1), *map(str, forget_words(world, "phone", "--no-publish", "--json"))]
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, *words], input=f"{gone}\n", text=True, capture_output=True, check=False
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        killed += 1
        with Ledger(world.keys / FILE, key_room.read_steward(world.keys), TESTING_ONLY) as book:
            outcomes.append(book.erasures())
            assert len(book.runs()) == 1
            [(exposures, held)] = book._database.execute(
                "SELECT count(*), count(*) FILTER (output = ?) FROM exposure", [y]
            ).fetchall()
        assert (exposures, held) == ((176, 0) if outcomes[-1] else (177, 1))
        if outcomes[-1]:
            assert traces(world.keys, y).clean
        assert erase(tmp_path, "phone", gone) == (Erasure(0, 0, 1) if outcomes[-1] else Erasure(1, 0, 0))
        assert traces(world.keys, y).clean
        assert sorted(path.name for path in world.keys.iterdir()) == sorted(path.name for path in kept.iterdir())
    assert killed > 20
    assert outcomes == sorted(outcomes), "it is the new one from one step on"
    assert {0, 1} == set(outcomes)


def test_killed_before_the_release_it_is_gone_from_the_next(small: World) -> None:
    gone = members(small, "phone")[2]
    command = [*BREACHCHECK, *map(str, forget_words(small, "phone"))]
    program = "import os, signal\nfrom breachcheck.ingest import publish\nfrom breachcheck.__main__ import main\n"
    program += "publish.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nmain()\n"
    command[1:3] = ["-c", program]
    done = subprocess.run(command, input=gone, text=True, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    one = identify("phone", gone)
    assert isinstance(answers(small, [one])[one], Exposed)
    assert manifest_of(small).release == 1
    assert forget(small, "phone", gone) == {"erased": 0, "absent": 0, "before": 1, "erasures": 1, "release": 3}
    assert isinstance(answers(small, [one])[one], NotFound)


# --- One step of it ---------------------------------------------------------------------------------------------------


def erase(root: Path, kind: str, *texts: str) -> Erasure:
    steward = key_room.read_steward(root / "keys")
    with Ledger(root / "keys" / FILE, steward, TESTING_ONLY) as ledger:
        asked = [identify(kind, text) for text in texts]
        return erasure.forget(asked, REFERENCE, ledger, steward, TESTING_ONLY, NOW)


def fields_of(root: Path, kind: str, text: str) -> set[str]:
    verdict = answers(World(root), [identify(kind, text)])[identify(kind, text)]
    return {name for one in verdict.exposures for name in one.fields} if isinstance(verdict, Exposed) else set()


FIRST = "1;202501;123456789;;AB111111;26;;0611111111"
SECOND = "1;202502;123456789;Test;;26;4000;0622222222"
ALONE = "1;202503;123456780;Other;CD222222;26;5000;0633333333"


def test_rows_that_only_the_erased_identifier_joined_come_apart(tmp_path: Path) -> None:
    file = leak(tmp_path / "a.csv", FIRST, SECOND, ALONE)
    ingest_small(tmp_path, file)
    assert "Earnings" in fields_of(tmp_path, "national_id", "AB111111")
    alone = fields_of(tmp_path, "phone", "0633333333")
    erase(tmp_path, "social_security", "123456789")
    ingest_small(tmp_path, file)
    assert not fields_of(tmp_path, "social_security", "123456789")
    first, second = (fields_of(tmp_path, "phone", text) for text in ("0611111111", "0622222222"))
    assert "Social security numbers" in first & second, "that there was a number in the row stays true"
    assert ("Earnings" in first, "Earnings" in second) == (False, True)
    assert fields_of(tmp_path, "national_id", "AB111111") == first
    assert fields_of(tmp_path, "phone", "0633333333") == alone


def test_no_row_keeps_a_mark_that_the_erased_identifier_made(tmp_path: Path) -> None:
    file = leak(tmp_path / "a.csv", FIRST, SECOND, ALONE)
    ingest_small(tmp_path, file)

    def rows() -> dict[tuple[int, int], int]:
        with duckdb.connect(tmp_path / "keys" / FILE, read_only=True) as database:
            query = "SELECT row_high, row_low, count(*) FROM exposure GROUP BY ALL"
            return {(high, low): count for high, low, count in database.execute(query).fetchall()}

    before = rows()
    erase(tmp_path, "social_security", "123456789")
    after = rows()
    assert sorted(before.values()) == [2, 3, 3]
    assert sorted(after.values()) == [1, 2, 3]
    assert [before[mark] for mark in before.keys() & after.keys()] == [3], "that of the other person alone"
    mapping = tmp_path / "corrected.toml"
    source = Path(erasure.__file__).parent / "mappings" / "cnss.toml"
    mapping.write_text(source.read_text("utf-8") + "\n# corrected\n", "utf-8")
    ingest_small(tmp_path, file, mapping=str(mapping))
    assert sorted(rows().values()) == [1, 2, 3]


def test_a_mark_that_is_drawn_anew_does_not_stand_in_the_place_of_the_old_one(tmp_path: Path) -> None:
    file = leak(tmp_path / "a.csv", *(f"1;1;{100000000 + one};N;AB{one:06};1;2;0611111111" for one in range(1, 61)))
    ingest_small(tmp_path, file)
    erase(tmp_path, "national_id", *(f"AB{one:06}" for one in range(1, 21)))
    ingest_small(tmp_path, file, dataset="again")  # where they are kept out
    phone = output_of(tmp_path / "keys", identify("phone", "0611111111"))
    with duckdb.connect(tmp_path / "keys" / FILE, read_only=True) as database:
        for dataset in ("one", "again"):
            query = "SELECT row_high FROM exposure WHERE output = ? AND dataset = ? ORDER BY rowid"
            marks = database.execute(query, [phone, dataset]).fetchall()
            assert len(marks) == 60
            assert marks == sorted(marks)


def test_a_row_that_is_only_deleted_would_stay_in_the_file(tmp_path: Path) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", FIRST, SECOND, ALONE))
    y = output_of(tmp_path / "keys", identify("phone", "0611111111"))
    with duckdb.connect(tmp_path / "keys" / FILE) as database:
        database.execute("DELETE FROM exposure WHERE output = ?", [y])
    assert not traces(tmp_path / "keys", y).clean, "the search sees what a table does not show any more"
    assert erase(tmp_path, "phone", "0611111111") == Erasure(0, 1, 0)
    assert traces(tmp_path / "keys", y).clean


def test_all_of_a_file_can_be_erased(tmp_path: Path) -> None:
    file = leak(tmp_path / "a.csv", FIRST)
    ingest_small(tmp_path, file)
    for kind, text in (("social_security", "123456789"), ("national_id", "AB111111"), ("phone", "0611111111")):
        assert erase(tmp_path, kind, text) == Erasure(1, 0, 0)
    manifest = ingest_small(tmp_path, file, dataset="again").manifest
    assert manifest.erasures == 3
    assert {table.kind: table.members_min for table in manifest.kinds} == {
        "national_id": 0,
        "phone": 0,
        "social_security": 0,
    }
    assert not fields_of(tmp_path, "phone", "0611111111")


def test_more_than_are_sampled_are_erased_and_the_release_is_verified_all_the_same(tmp_path: Path) -> None:
    rows = [f"1;202501;;Test;;26;4000;06{number:08}" for number in range(1, 41)]
    file = leak(tmp_path / "a.csv", *rows)
    ingest_small(tmp_path, file)
    assert erase(tmp_path, "phone", *(f"06{number:08}" for number in range(1, 40))) == Erasure(39, 0, 0)
    ingest_small(tmp_path, file, dataset="again")
    assert fields_of(tmp_path, "phone", "0600000040")
    assert not fields_of(tmp_path, "phone", "0600000001")


def test_in_a_new_epoch_it_is_erased_before_the_first_ingest(tmp_path: Path) -> None:
    file = leak(tmp_path / "a.csv", FIRST, SECOND)
    ingest_small(tmp_path, file)
    erase(tmp_path, "phone", "0611111111")
    new = tmp_path / "new"
    key_room.rotate(tmp_path / "keys", new / "keys")
    assert erase(new, "phone", "0611111111") == Erasure(0, 1, 0)
    follows = read_followed(tmp_path / "releases", key_room.read_steward(new / "keys"))
    assert ingest_small(new, file, policy=Policy(follows=follows)).manifest.erasures == 1
    assert not fields_of(new, "phone", "0611111111")
    assert fields_of(new, "phone", "0622222222")


def test_while_a_run_file_may_hold_it_nothing_is_erased(tmp_path: Path) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", FIRST))
    other = leak(tmp_path / "b.csv", FIRST, SECOND)
    with pytest.raises(DiedError):
        ingest_small(tmp_path, other, dataset="two", dies=True)
    with pytest.raises(ReleaseError, match="run_unfinished"):
        erase(tmp_path, "phone", "0611111111")
    ingest_small(tmp_path, other, dataset="two")
    assert erase(tmp_path, "phone", "0611111111") == Erasure(1, 0, 0)


def test_a_ledger_without_the_tombstones_is_not_published(tmp_path: Path) -> None:
    file = leak(tmp_path / "a.csv", FIRST, SECOND)
    ingest_small(tmp_path, file)
    shutil.copy(tmp_path / "keys" / FILE, tmp_path / "backup")
    erase(tmp_path, "phone", "0611111111")
    ingest_small(tmp_path, file)
    (tmp_path / "backup").replace(tmp_path / "keys" / FILE)
    with pytest.raises(ReleaseError, match="erasures_missing"):
        ingest_small(tmp_path, file, policy=Policy(shrink=True))
    erase(tmp_path, "phone", "0611111111")
    assert ingest_small(tmp_path, file, policy=Policy(shrink=True)).manifest.erasures == 1


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        ("0611111111", True),
        ("letter of 06 11 11 11 11, box 2", True),
        ("x+212611111111x", True),
        ("\u0660\u0666\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661", True),
        ("0611111112", False),
        ("box 2", False),
    ],
)
def test_a_reference_that_names_the_identifier_in_any_spelling_is_refused(
    tmp_path: Path, reference: str, named: bool
) -> None:
    ingest_small(tmp_path, leak(tmp_path / "a.csv", FIRST))
    steward = key_room.read_steward(tmp_path / "keys")
    asked = [identify("phone", "+212 6 11 11 11 11")]
    with Ledger(tmp_path / "keys" / FILE, steward, TESTING_ONLY) as ledger:
        if named:
            with pytest.raises(InputError, match="reference"):
                erasure.forget(asked, reference, ledger, steward, TESTING_ONLY, NOW)
            assert ledger.erasures() == 0
        else:
            assert erasure.forget(asked, reference, ledger, steward, TESTING_ONLY, NOW).erased == 1
            assert ledger.tombstones() == [(f"{NOW:%Y-%m-%d}", "phone", reference)]
