"""The life of a release: canaries, self-check, renewal, withdrawal, swaps under load, versions and rotated keys."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breachcheck import Client, Exposed, NotFound, Undetermined
from breachcheck import keys as key_room
from breachcheck.config import load
from breachcheck.errors import InputError, ProtocolError, ReleaseError
from breachcheck.exposure import Exposure, Reason
from breachcheck.ingest import renewal, withdrawal
from breachcheck.ingest.publish import Policy, publish
from breachcheck.notices.plan import add_window
from breachcheck.protocol import canary
from breachcheck.protocol import client as protocol
from breachcheck.protocol.identifier import KINDS, identify
from breachcheck.protocol.manifest import Manifest, open_signed, sign
from breachcheck.protocol.parameters import TESTING_ONLY
from breachcheck.service import create_app, selfcheck, watch
from breachcheck.service.state import Shelf
from breachcheck.store import reader, schema
from breachcheck.store.ledger import FILE, Ledger
from breachcheck.store.verify import ask, verify, verify_canaries
from breachcheck.synth import nonmember
from tests.steward import Inline, silent
from tests.test_service import Process, asking, fresh_elements, running, word
from tests.world import World, free_port, make_world, run

QUICK = {"BREACHCHECK_RELEASE_INTERVAL": "1", "BREACHCHECK_SELF_CHECK_INTERVAL": "1"}
BUCKET = ("bucket.kind", "bucket.number", "bucket.digest", "bucket.entries")
CAPS = {"BREACHCHECK_DAILY_CAP": "1000000", "BREACHCHECK_ADDRESS_CAP": "0"}


@pytest.fixture
def own(world: World, tmp_path: Path) -> World:
    """A copy of the shared world, to be changed."""
    shutil.copytree(world.root, tmp_path / "world")
    return World(tmp_path / "world")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> World:
    """60 people; nothing in it may be changed."""
    return make_world(tmp_path_factory.mktemp("tiny"), people=60)


@pytest.fixture
def small(tiny: World, tmp_path: Path) -> World:
    """A copy of the tiny world, to be changed."""
    shutil.copytree(tiny.root, tmp_path / "small")
    return World(tmp_path / "small")


def eventually(what: Callable[[], Any], wanted: Any, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while (got := what()) != wanted:
        assert time.monotonic() < deadline, got
        time.sleep(0.1)


def publisher(world: World) -> bytes:
    return key_room.read_publisher_key(world.publisher)


def manifest_of(world: World) -> Manifest:
    with reader.open_release(world.releases, publisher(world)) as release:
        return release.manifest


def resign(world: World, **changes: Any) -> None:
    """Sign the current manifest anew with these members changed, as a mistaken steward would."""
    folder = reader.current(world.releases)
    content = json.loads((folder / reader.MANIFEST).read_bytes()[64:]) | changes
    manifest = Manifest.model_validate_json(json.dumps(content))
    (folder / reader.MANIFEST).write_bytes(sign(manifest, key_room.read_steward(world.keys).publisher))


def phones(world: World) -> list[str]:
    return [one["identifier"] for one in world.answers() if one["kind"] == "phone"]


# --- Canaries ---------------------------------------------------------------------------------------------------------


def test_every_kind_and_dataset_has_a_canary_that_is_found_there_alone(own: World) -> None:
    own.ingest(dataset="more")
    evaluator, now = key_room.read_evaluator(own.keys), datetime.now(UTC)
    with reader.open_release(own.releases) as release:
        manifest = release.manifest
        assert {(one.kind, one.dataset) for one in manifest.canaries} == {
            (kind, dataset.name) for dataset in manifest.datasets for kind in dataset.kinds
        }
        fields = {dataset.name: dataset.fields for dataset in manifest.datasets}
        for one in manifest.canaries:
            verdict = ask(
                release, publisher(own), evaluator, now, canary.member(one.kind, one.dataset, manifest.release)
            )
            assert isinstance(verdict, Exposed)
            assert verdict.exposures == (Exposure(one.dataset, fields[one.dataset]),)
            earlier = canary.member(one.kind, one.dataset, manifest.release - 1)
            assert isinstance(ask(release, publisher(own), evaluator, now, earlier), NotFound)
        for table in manifest.kinds:
            absent = canary.absent(table.kind, manifest.release)
            assert isinstance(ask(release, publisher(own), evaluator, now, absent), NotFound)
        assert verify_canaries(release, publisher(own), evaluator, now) == len(manifest.canaries) + len(manifest.kinds)
        stranger = key_room.init(own.root / "other").evaluator
        with pytest.raises(ProtocolError, match="evaluation_proof"):
            verify_canaries(release, publisher(own), stranger, now)


names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)


@given(st.sampled_from(sorted(KINDS)), names, st.integers(1, 2**53 - 1))
def test_no_canary_can_be_typed(kind: str, dataset: str, release: int) -> None:
    for identifier in (canary.member(kind, dataset, release), canary.absent(kind, release)):
        with pytest.raises(InputError):
            identify(kind, identifier.canonical)


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=40))
def test_no_form_of_a_persons_identifier_holds_a_space(kind: str, text: str) -> None:
    try:
        form = identify(kind, text).canonical
    except InputError:
        return
    assert " " not in form


def test_a_client_sends_nothing_for_a_canary(world: World) -> None:
    with Client("http://127.0.0.1:9", publisher(world)) as client, pytest.raises(InputError):
        client.check("phone", canary.member("phone", "demo", 1).canonical)


# --- Verification -----------------------------------------------------------------------------------------------------


def test_a_release_is_verified_with_and_without_the_key(world: World) -> None:
    words = ["release", "verify", "--releases", world.releases, "--publisher-key", world.publisher]
    assert re.fullmatch(r"release 1: signature and [0-9,]+ buckets verified\n", run(*words).stdout)
    with_key = run(*words, "--keys", world.keys, "--number", 1).stdout
    assert re.fullmatch(r"release 1: signature and [0-9,]+ buckets verified, 10 canaries answered\n", with_key)
    assert "minimum" in run(*words, "--k-members", 5000, check=False).stderr
    assert "minimum" in run(*words, "--k-population", 10**7, check=False).stderr
    assert run(*words, "--number", 2, check=False).returncode == 3


def _kinds(manifest: Manifest, **changes: int) -> list[dict[str, Any]]:
    first, *rest = [json.loads(table.model_dump_json()) for table in manifest.kinds]
    return [first | changes, *rest]


def _datasets(manifest: Manifest, **changes: int) -> list[dict[str, Any]]:
    return [json.loads(dataset.model_dump_json()) | changes for dataset in manifest.datasets]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda m: {"kinds": _kinds(m, members_min=10**6)}, "more members than entries"),
        (lambda m: {"kinds": _kinds(m, members_min=99)}, "minimum"),
        (lambda m: {"kinds": _kinds(m, population_min=10**9)}, "population"),
        (lambda _: {"canaries": []}, "one canary"),
    ],
)
def test_numbers_that_contradict_each_other_are_found(
    own: World, change: Callable[[Manifest], Mapping[str, Any]], complaint: str
) -> None:
    resign(own, **change(manifest_of(own)))
    with reader.open_release(own.releases, publisher(own)) as release, pytest.raises(ReleaseError, match=complaint):
        verify(release)


def test_counts_that_do_not_add_up_are_found(small: World) -> None:
    folder = reader.current(small.releases)
    resign(small, datasets=_datasets(manifest_of(small), rows_read=10**6))
    changed = open_signed((folder / reader.MANIFEST).read_bytes(), publisher(small)).datasets[0]
    with duckdb.connect(folder / reader.DATABASE) as database:
        database.execute("UPDATE dataset SET description = ?", [changed.model_dump_json()])
    with reader.open_release(small.releases) as release, pytest.raises(ReleaseError, match="rows read are not"):
        verify(release)


@pytest.mark.parametrize("at", [0, 40, 64, 200])
def test_a_manifest_with_a_changed_octet_is_not_verified(small: World, at: int) -> None:
    path = reader.current(small.releases) / reader.MANIFEST
    octets = bytearray(path.read_bytes())
    octets[at] ^= 1
    path.write_bytes(octets)
    words = ["release", "verify", "--releases", small.releases, "--publisher-key", small.publisher]
    done = run(*words, check=False)
    assert (done.returncode, "manifest" in done.stderr) == (3, True)


# --- Versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "whose"), [(2, "an older"), (4, "a newer"), (4_000_000_000, "a newer")])
def test_a_release_of_another_schema_is_refused_and_says_whose_it_is(small: World, version: int, whose: str) -> None:
    with duckdb.connect(reader.current(small.releases) / reader.DATABASE) as database:
        database.execute("UPDATE release SET schema_version = ?", [version])
    with pytest.raises(ReleaseError, match=f"schema: the release is of schema {version}, which {whose} breachcheck"):
        reader.open_release(small.releases)
    serve = run("serve", "--releases", small.releases, "--role", "buckets", "--port", free_port(), check=False)
    assert (serve.returncode, serve.stderr.count("\n")) == (3, 1)
    assert f"this version reads {schema.RELEASE_VERSION}" in serve.stderr


def test_an_old_release_is_refused_by_its_schema_before_its_manifest_is_read(small: World) -> None:
    folder = reader.current(small.releases)
    content = json.loads((folder / reader.MANIFEST).read_bytes()[64:])
    del content["canaries"], content["withdrawn"]  # as releases of schema 1 were
    (folder / reader.MANIFEST).write_bytes(bytes(64) + json.dumps(content).encode())
    with pytest.raises(ReleaseError, match="manifest_malformed: at canaries"):
        reader.open_release(small.releases)
    with duckdb.connect(folder / reader.DATABASE) as database:
        database.execute("UPDATE release SET schema_version = 1")
    with pytest.raises(ReleaseError, match="an older breachcheck"):
        reader.open_release(small.releases)


def test_a_version_that_is_kept_in_another_type_is_a_version(small: World) -> None:
    with duckdb.connect(reader.current(small.releases) / reader.DATABASE) as database:
        database.execute("ALTER TABLE release ALTER schema_version TYPE VARCHAR")
        database.execute("UPDATE release SET schema_version = '4'")
    with pytest.raises(ReleaseError, match="a newer breachcheck"):
        reader.open_release(small.releases)


@pytest.mark.parametrize("value", ["NULL", "'no number, no octets'"])
@pytest.mark.parametrize("column", ["release.schema_version", "release.number", *BUCKET])
def test_columns_that_hold_nothing_or_words_are_refused_and_no_fault(small: World, column: str, value: str) -> None:
    table, name = column.split(".")
    with duckdb.connect(reader.current(small.releases) / reader.DATABASE) as database:
        database.execute(f"CREATE TABLE other AS FROM {table}")  # without its constraints
        database.execute(f"DROP TABLE {table}")
        database.execute(f"ALTER TABLE other ALTER {name} TYPE VARCHAR USING {value}")
        database.execute(f"ALTER TABLE other RENAME TO {table}")
    with pytest.raises(ReleaseError, match=r"schema|mismatch|unreadable"):
        reader.open_release(small.releases)


@pytest.mark.parametrize("protocol", ["breachcheck-v0", "breachcheck-v2"])
def test_a_manifest_of_another_protocol_is_refused_by_its_version(small: World, protocol: str) -> None:
    path = reader.current(small.releases) / reader.MANIFEST
    path.write_bytes(bytes(64) + path.read_bytes()[64:].replace(b"breachcheck-v1", protocol.encode(), 1))
    with pytest.raises(ReleaseError, match="manifest_version"):
        reader.open_release(small.releases)


# --- Renewal ----------------------------------------------------------------------------------------------------------


def test_a_renewed_release_keeps_its_number_and_its_buckets(small: World, tmp_path: Path) -> None:
    before, folder = manifest_of(small), reader.current(small.releases)
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != reader.MANIFEST}
    said = run("release", "renew", "--keys", small.keys, "--releases", small.releases, "--valid-days", 400).stdout
    after = manifest_of(small)
    assert said == f"release 1: valid until {after.valid_until:%Y-%m-%d %H:%M} UTC\n"
    assert after.created >= before.created
    assert after.valid_until == after.created + timedelta(days=400)
    assert after == before.model_copy(update={"created": after.created, "valid_until": after.valid_until})
    assert {path: path.read_bytes() for path in files} == files
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.signed", "pages", "release.duckdb"]
    memory = tmp_path / "seen.json"
    with running(tmp_path, "--releases", small.releases, "--keys", small.keys) as process:
        run("release", "renew", "--keys", small.keys, "--releases", small.releases)
        with Client(process.url, small.publisher, memory=memory) as client:
            assert isinstance(client.check("phone", phones(small)[0]), Exposed)
    # a client that saw the number takes it again, with the manifest that is newer
    signed = (folder / reader.MANIFEST).read_bytes()
    assert protocol.accept_manifest(signed, publisher(small), datetime.now(UTC), last_seen=1).release == 1


def test_what_is_damaged_or_not_ours_is_not_renewed(small: World) -> None:
    steward, now = key_room.read_steward(small.keys), datetime.now(UTC)
    signed = (reader.current(small.releases) / reader.MANIFEST).read_bytes()
    with pytest.raises(ReleaseError, match="clock"):
        renewal.renew(steward, small.releases, timedelta(days=1), now - timedelta(days=2))
    key_room.rotate(small.keys, small.root / "next")
    with pytest.raises(ReleaseError, match="another evaluator key"):
        renewal.renew(key_room.read_steward(small.root / "next"), small.releases, timedelta(days=1), now)
    with pytest.raises(ReleaseError, match="manifest_signature"):
        renewal.renew(key_room.init(small.root / "strange"), small.releases, timedelta(days=1), now)
    pages = reader.current(small.releases) / reader.PAGES / "phone.bin"
    octets = bytearray(pages.read_bytes())
    octets[7] ^= 1
    pages.write_bytes(octets)
    with pytest.raises(ReleaseError, match="mismatch"):
        renewal.renew(steward, small.releases, timedelta(days=1), now)
    assert (reader.current(small.releases) / reader.MANIFEST).read_bytes() == signed


# --- A clock that is behind -------------------------------------------------------------------------------------------


def test_nothing_is_published_before_the_last_release_was_signed(small: World) -> None:
    steward, before = key_room.read_steward(small.keys), manifest_of(small)
    past = before.created - timedelta(seconds=1)
    with Ledger(small.keys / FILE, steward, TESTING_ONLY) as ledger:
        with pytest.raises(ReleaseError, match="clock"):
            withdrawal.withdraw("demo", {"en": "x"}, ledger, steward, small.releases, Inline(), Policy(), past, silent)
        with pytest.raises(ReleaseError, match="clock"):
            publish(ledger, steward, TESTING_ONLY, small.releases, Inline(), Policy(), past, [], silent)
        assert (manifest_of(small), len(ledger.datasets())) == (before, 1)
        ledger.gather()
        at_my_word = Policy(shrink=True)  # the one before was signed by a clock that was ahead
        manifest = publish(ledger, steward, TESTING_ONLY, small.releases, Inline(), at_my_word, past, [], silent)
    assert (manifest.release, manifest.created) == (2, past)


def test_a_release_that_has_expired_does_not_replace_one_that_is_current(small: World, tmp_path: Path) -> None:
    steward, long_ago = key_room.read_steward(small.keys), datetime.now(UTC) - timedelta(days=100)
    with running(tmp_path, "--releases", small.releases, "--keys", small.keys, env=QUICK) as process:
        with Ledger(small.keys / FILE, steward, TESTING_ONLY) as ledger:
            ledger.gather()
            publish(ledger, steward, TESTING_ONLY, small.releases, Inline(), Policy(shrink=True), long_ago, [], silent)
        eventually(lambda: process.metric('breachcheck_new_releases_total{outcome="refused"}') > 0, True)
        assert (_release_of(process), _health(process)) == (1, (200, [], None))
        assert "release_expired: clients would refuse it" in process.output.read_text()
        run("release", "renew", "--keys", small.keys, "--releases", small.releases)
        eventually(lambda: _release_of(process), 2)


# --- Withdrawal -------------------------------------------------------------------------------------------------------


def withdraw(world: World, dataset: str, *reasons: str, check: bool = True) -> Any:
    said = [part for reason in reasons or ("en=A mistake.",) for part in ("--reason", reason)]
    words = ["release", "withdraw", "--dataset", dataset, *said, "--keys", world.keys, "--releases", world.releases]
    return run(*words, check=check)


def test_a_withdrawn_dataset_is_gone_and_said_to_be(small: World, tmp_path: Path) -> None:
    small.ingest(dataset="poisoned")
    withdraw(small, "poisoned", "en=Rows had been added to it.", "fr=Des lignes y avaient été ajoutées.")
    manifest = manifest_of(small)
    assert (manifest.release, [one.name for one in manifest.datasets]) == (3, ["demo"])
    [gone] = manifest.withdrawn
    assert (gone.name, set(gone.reason)) == ("poisoned", {"en", "fr"})
    with duckdb.connect(small.keys / FILE, read_only=True) as database:
        assert database.execute("SELECT DISTINCT dataset FROM exposure").fetchall() == [("demo",)]
        assert database.execute("SELECT dataset FROM run").fetchall() == [("demo",)]
    with running(tmp_path, "--releases", small.releases, "--keys", small.keys) as process:
        assert process.get("/v1/withdrawn").json() == [
            {"Name": "poisoned", "WithdrawnDate": gone.date, "Reasons": gone.reason}
        ]
        assert word(process.get("/v1/breaches/poisoned")) == "withdrawn"
        assert [one["Name"] for one in process.get("/v1/breaches").json()] == ["demo"]
        for tag, reason in gone.reason.items():
            page = process.get(f"/{tag}/files").data.decode()
            assert "poisoned" in page
            assert reason in page
        with Client(process.url, small.publisher) as client:
            verdict = client.check("phone", phones(small)[0])
        assert isinstance(verdict, Exposed)
        assert [one.dataset for one in verdict.exposures] == ["demo"] == list(verdict.checked)
    # it stays listed, and its name is not used again, which is said before anything is read
    small.ingest(small.leak, dataset="another")
    assert manifest_of(small).withdrawn == (gone,)
    again = run(*small.ingest_words(small.root / "nowhere.csv", dataset="poisoned"), check=False)
    assert (again.returncode, "choose another name" in again.stderr) == (3, True)
    unknown = withdraw(small, "poisoned", check=False)
    assert (unknown.returncode, manifest_of(small).release) == (2, 4)
    for reason in ("no language", "en=", "English=text"):
        assert withdraw(small, "another", reason, check=False).returncode == 2


def test_the_only_dataset_can_be_withdrawn(small: World, tmp_path: Path) -> None:
    withdraw(small, "demo")
    manifest = manifest_of(small)
    assert (manifest.kinds, manifest.datasets, manifest.canaries) == ((), (), ())
    with running(tmp_path, "--releases", small.releases, "--keys", small.keys) as process:
        assert process.get("/readyz").status == 200
        with Client(process.url, small.publisher) as client:
            verdict = client.check("phone", phones(small)[0])
        assert isinstance(verdict, Undetermined)
        assert verdict.reason is Reason.KIND_NOT_INDEXED
        page = process.get("/en/").data.decode()
        assert "there is no file in which we search" in page
        assert "<form" not in page
    small.ingest(dataset="next")
    assert [one.name for one in manifest_of(small).datasets] == ["next"]


def test_no_dataset_goes_without_a_word(small: World) -> None:
    small.ingest(dataset="poisoned")
    steward = key_room.read_steward(small.keys)
    with Ledger(small.keys / FILE, steward, TESTING_ONLY) as ledger:
        assert ledger.withdraw("poisoned")  # and then the withdrawal was killed
        assert not ledger.withdraw("poisoned")
    done = run(*small.ingest_words(dataset="more"), check=False)
    assert (done.returncode, "dataset_missing" in done.stderr) == (3, True)
    withdraw(small, "poisoned")
    assert [one.name for one in manifest_of(small).withdrawn] == ["poisoned"]
    assert [one.name for one in manifest_of(small).datasets] == ["demo", "more"]


# --- Swaps ------------------------------------------------------------------------------------------------------------


@dataclass
class Load:
    """Checks by several threads, as long as the block runs, and what came of each."""

    url: str
    world: World
    verdicts: list[tuple[bool, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        members, end = phones(self.world), threading.Event()

        def checking(turn: int) -> None:
            with Client(self.url, self.world.publisher) as client:
                while not end.is_set():
                    turn += 1
                    member = turn % 2 == 0
                    text = members[turn % len(members)] if member else nonmember("phone", turn)
                    self.verdicts.append((member, client.check("phone", text)))

        def asking() -> None:
            host = self.url.removeprefix("http://")
            connection = http.client.HTTPConnection(host, timeout=20)
            while not end.is_set():
                for path in ("/v1/manifest", "/v1/breaches", "/livez", "/en/", "/v1/releases/1/buckets/phone/000000"):
                    connection.request("GET", path)
                    response = connection.getresponse()
                    response.read()
                    self.statuses.append(response.status)
            connection.close()

        threads = [threading.Thread(target=checking, args=(start,)) for start in (0, 1001)]
        threads.append(threading.Thread(target=asking))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            end.set()
            for thread in threads:
                thread.join()


def _release_of(process: Process) -> int:
    number: int = process.get("/v1/status").json()["release"]
    return number


def test_releases_are_taken_up_under_load_without_a_failed_request_or_a_mixed_answer(
    own: World, tmp_path: Path
) -> None:
    env = {**QUICK, **CAPS}
    with running(tmp_path, "--releases", own.releases, "--keys", own.keys, env=env) as process:
        load = Load(process.url, own)
        with load.running():
            own.ingest(dataset="more")
            eventually(lambda: _release_of(process), 2)
            created = process.get("/v1/status").json()["created"]
            run("release", "renew", "--keys", own.keys, "--releases", own.releases)
            eventually(lambda: process.get("/v1/status").json()["created"] != created, True)
            withdraw(own, "demo")
            eventually(lambda: _release_of(process), 3)
            seen = len(load.verdicts)
            eventually(lambda: len(load.verdicts) > seen + 10, True)
        assert process.metric('breachcheck_new_releases_total{outcome="taken"}') == 3
        assert process.metric('breachcheck_self_checks_total{outcome="failed"}') == 0
    datasets = {1: ("demo",), 2: ("demo", "more"), 3: ("more",)}
    for member, verdict in load.verdicts:
        assert isinstance(verdict, Exposed if member else NotFound), verdict
        assert verdict.checked == datasets[verdict.release]
        if isinstance(verdict, Exposed):
            assert tuple(one.dataset for one in verdict.exposures) == datasets[verdict.release]
    assert {verdict.release for _, verdict in load.verdicts} == {1, 2, 3}
    assert set(load.statuses) == {200}


def test_the_release_before_is_served_for_its_grace_alone(small: World, tmp_path: Path) -> None:
    env = QUICK | {"BREACHCHECK_RELEASE_GRACE": "3"}
    old = "/v1/releases/1/buckets/phone/000000"
    with running(tmp_path, "--releases", small.releases, "--role", "buckets", env=env) as process:
        page = process.get(old).data
        small.ingest(dataset="more")
        eventually(lambda: _release_of(process), 2)
        assert process.get(old).data == page
        eventually(lambda: process.get(old).status, 404)
        assert process.get("/v1/releases/2/buckets/phone/000000").status == 200


def test_a_release_that_must_not_be_served_leaves_the_service_as_it_is(small: World, tmp_path: Path) -> None:
    small.ingest(dataset="more")
    other = make_world(tmp_path / "other", people=60)
    pointer = small.releases / reader.CURRENT

    def refused() -> float:
        return process.metric('breachcheck_new_releases_total{outcome="refused"}')

    with running(tmp_path, "--releases", small.releases, "--role", "buckets", env=QUICK) as process:
        served = process.get("/v1/manifest").data
        pointer.write_text("1\n")  # set back by hand
        eventually(lambda: refused() > 0, True)
        pointer.write_text("7\n")  # it is not there, and so it is not looked at
        shutil.copytree(other.releases / "1", small.releases / "8")  # of another key
        before = refused()
        pointer.write_text("8\n")
        eventually(lambda: refused() > before, True)
        shutil.copytree(small.releases / "2", small.releases / "9")
        with duckdb.connect(small.releases / "9" / reader.DATABASE) as database:
            database.execute("UPDATE release SET schema_version = ?", [schema.RELEASE_VERSION + 1])
        manifest = open_signed((small.releases / "9" / reader.MANIFEST).read_bytes(), publisher(small))
        renewed = sign(
            manifest.model_copy(update={"created": manifest.created + timedelta(seconds=1)}),
            key_room.read_steward(small.keys).publisher,
        )
        (small.releases / "9" / reader.MANIFEST).write_bytes(renewed)
        before = refused()
        pointer.write_text("9\n")
        eventually(lambda: refused() > before, True)
        shutil.copytree(small.releases / "2", small.releases / "10")
        with duckdb.connect(small.releases / "10" / reader.DATABASE) as database:
            database.execute("CREATE TABLE other AS SELECT * REPLACE (NULL::BLOB AS entries) FROM bucket")
            database.execute("DROP TABLE bucket")
            database.execute("ALTER TABLE other RENAME TO bucket")
        sooner = manifest.model_copy(update={"created": manifest.created + timedelta(seconds=2)})
        (small.releases / "10" / reader.MANIFEST).write_bytes(sign(sooner, key_room.read_steward(small.keys).publisher))
        before = refused()
        pointer.write_text("10\n")
        eventually(lambda: refused() > before, True)
        assert process.get("/v1/manifest").data == served
        assert process.get("/readyz").status == 200
        log = process.output.read_text()
        newer = f"schema: the release is of schema {schema.RELEASE_VERSION + 1}, which a newer breachcheck"
        for complaint in ("rolled_back", "epoch", newer):
            assert complaint in log


# --- Self-check -------------------------------------------------------------------------------------------------------


def _health(process: Process) -> tuple[int, list[str], str | None]:
    answer = process.get("/readyz")
    said = answer.json()
    return answer.status, said["reasons"], said["self_check"]


def test_a_bucket_file_truncated_under_the_service_is_found_and_its_return_too(small: World, tmp_path: Path) -> None:
    with running(tmp_path, "--releases", small.releases, "--keys", small.keys, env=QUICK) as process:
        assert _health(process) == (200, [], None)
        assert "<form" in process.get("/en/").data.decode()
        pages = reader.current(small.releases) / reader.PAGES / "national_id.bin"
        octets = pages.read_bytes()
        os.truncate(pages, 0)
        eventually(lambda: _health(process), (503, ["page_damaged", "self_check"], "server_error"))
        page = process.get("/en/").data.decode()
        assert "Checks cannot be made now." in page
        assert "<form" not in page
        assert process.metric("breachcheck_self_check") == 0
        assert process.metric('breachcheck_self_checks_total{outcome="failed"}') >= 1
        pages.write_bytes(octets)
        eventually(lambda: _health(process), (200, [], None))
        assert "<form" in process.get("/en/").data.decode()
        assert process.metric("breachcheck_self_check") == 1


def test_a_page_that_nobody_asks_for_is_found_damaged(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with reader.open_release(small.releases) as release:
        app = create_app(load(), release, key_room.read_evaluator(small.keys))
        state, check = app.edge_state, selfcheck.SelfCheck(app.edge_state, "http://127.0.0.1:9", None)
        buckets = sum(table.layout.buckets for table in release.manifest.kinds)
        monkeypatch.setattr(selfcheck, "_READ", 2)  # a long release is read in parts
        assert buckets > 4
        asyncio.run(check.read_all())
        assert state.reasons() == ["self_check"]
        last = release.pages_path(release.manifest.kinds[-1].kind)
        os.truncate(last, last.stat().st_size - 1)
        asyncio.run(check.read_all())
        assert state.reasons() == ["page_damaged", "self_check"]
        assert state.counts.damaged_pages == 1


@contextmanager
def front(upstreams: dict[str, str]) -> Iterator[str]:
    """Pass requests on: those of /v1/evaluate to upstreams["evaluator"], others to upstreams["buckets"]."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            upstream = upstreams["evaluator" if self.path == "/v1/evaluate" else "buckets"]
            connection = http.client.HTTPConnection(upstream.removeprefix("http://"), timeout=20)
            try:
                headers = {"content-type": self.headers.get("content-type", "")} if body else {}
                connection.request(self.command, self.path, body or None, headers)
                answer = connection.getresponse()
                status, media_type, content = answer.status, answer.headers["content-type"], answer.read()
            except OSError:
                status, media_type, content = 502, "text/plain", b"nobody there"
            finally:
                connection.close()
            self.send_response(status)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_evaluator_that_is_dead_or_has_another_key_is_found_and_its_return_too(small: World, tmp_path: Path) -> None:
    upstreams: dict[str, str] = {}
    key_room.init(tmp_path / "strange")
    with front(upstreams) as url:
        env = {**QUICK, "BREACHCHECK_SELF_CHECK_URL": url, "BREACHCHECK_PUBLISHER_KEY": str(small.publisher)}
        words = ("--releases", small.releases, "--role", "buckets")
        upstreams |= {"evaluator": "http://127.0.0.1:9", "buckets": "http://127.0.0.1:9"}
        with running(tmp_path, *words, env=env) as process:
            assert _health(process) == (503, ["self_check"], "server_error")
            upstreams["buckets"] = process.url
            with running(tmp_path, "--keys", small.keys, "--role", "evaluator", env=CAPS) as evaluator:
                upstreams["evaluator"] = evaluator.url
                eventually(lambda: _health(process), (200, [], None))
                assert "<form" in process.get("/en/").data.decode()
                evaluator.process.kill()
                eventually(lambda: _health(process), (503, ["self_check"], "server_error"))
                assert "could not confirm that its own answers are right" in process.get("/en/").data.decode()
                evaluator.process.wait()
                evaluator.process.returncode = 0  # its end was meant
            with running(tmp_path, "--keys", tmp_path / "strange", "--role", "evaluator", env=CAPS) as evaluator:
                upstreams["evaluator"] = evaluator.url
                eventually(lambda: _health(process), (503, ["self_check"], "evaluation_proof"))
            with running(tmp_path, "--keys", small.keys, "--role", "evaluator", env=CAPS) as evaluator:
                upstreams["evaluator"] = evaluator.url
                eventually(lambda: _health(process), (200, [], None))


def test_a_check_through_the_front_takes_one_element_and_sees_maintenance_that_nobody_announced(
    small: World, tmp_path: Path
) -> None:
    upstreams: dict[str, str] = {}
    plan = tmp_path / "plan.toml"
    plan.touch()
    with front(upstreams) as url:
        env = {**QUICK, "BREACHCHECK_SELF_CHECK_URL": url, "BREACHCHECK_PUBLISHER_KEY": str(small.publisher)}
        words = ("--releases", small.releases, "--role", "buckets")
        with running(
            tmp_path, "--keys", small.keys, "--role", "evaluator", "--maintenance", plan, env=CAPS
        ) as evaluator:
            upstreams |= {"evaluator": evaluator.url, "buckets": "http://127.0.0.1:9"}
            with running(tmp_path, *words, env=env) as process:
                upstreams["buckets"] = process.url
                passed = 'breachcheck_self_checks_total{outcome="passed"}'
                eventually(lambda: process.metric(passed) >= 3, True)
                eventually(lambda: evaluator.metric("breachcheck_elements_total") - process.metric(passed), 0)
                now = datetime.now(UTC)
                add_window(plan, now, now + timedelta(hours=1), {"en": "Work."}, now)
                eventually(lambda: _health(process), (503, ["self_check"], "maintenance"))
                assert "Checks cannot be made now." in process.get("/en/status").data.decode()


def test_a_check_that_fails_is_made_again_soon_and_then_less_often(tiny: World) -> None:
    with reader.open_release(tiny.releases) as release:
        app = create_app(load(), release, key_room.read_evaluator(tiny.keys))
        check = selfcheck.SelfCheck(app.edge_state, "http://127.0.0.1:9", None)
        waits = []
        for reason in (None, "timeout", "timeout", "timeout", "server_error", "timeout", None, "timeout"):
            check._hear(reason)
            waits.append(check._wait)
        assert waits == [44, 2, 4, 8, 16, 32, 44, 2]


def test_trouble_that_nobody_sees_is_told_within_a_minute_whenever_it_begins(tiny: World) -> None:
    """The sum in `breachcheck.service.watch`, and that an interval is counted from one beginning to the next."""
    settings = load()
    assert settings.self_check_interval + selfcheck.WALK + selfcheck.LATE + 2 * watch.EVERY + watch.GRACE < 60
    assert settings.self_check_interval > selfcheck.ROUND
    assert 86_400 / settings.self_check_interval < settings.address_cap  # of an evaluator that is asked elsewhere
    with reader.open_release(tiny.releases) as release:
        app = create_app(settings, release, key_room.read_evaluator(tiny.keys))
        check = selfcheck.SelfCheck(app.edge_state, "http://127.0.0.1:9", None)
        check._begun -= 6  # a walk of six seconds has passed
        check._hear(None)
        assert check._next - check._begun == settings.self_check_interval
        assert check._due - check._begun == settings.self_check_interval + selfcheck.WALK
        check._begun -= 300  # one that lasted too long is followed by another, but not at once
        before = time.monotonic()
        check._hear("timeout")
        assert check._next > before


@pytest.fixture
def noted(
    small: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[selfcheck.SelfCheck, list[object]]]:
    """A self-check of a running service of ten canaries and strangers, and whom it has asked for."""
    asked: list[object] = []
    with (
        running(tmp_path, "--releases", small.releases, "--keys", small.keys, env=CAPS) as process,
        reader.open_release(small.releases) as release,
    ):
        app = create_app(load(), release, key_room.read_evaluator(small.keys))
        check = selfcheck.SelfCheck(app.edge_state, process.url, None)
        ask_one = check._ask

        def noting(manifest: Manifest, one: Any, *more: Any) -> None:
            asked.append((one.identifier.kind, one.identifier.canonical))
            ask_one(manifest, one, *more)

        monkeypatch.setattr(check, "_ask", noting)
        yield check, asked


def test_where_there_are_too_many_canaries_for_one_walk_they_take_turns(
    noted: tuple[selfcheck.SelfCheck, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    check, asked = noted
    monkeypatch.setattr(selfcheck, "_ASKING", -1.0)
    asyncio.run(check.once())
    every = list(asked)
    assert len(set(every)) == len(every) == 10, "the first asks for all of them"
    for _ in every:
        asyncio.run(check.once())
    assert check.reason() is None
    assert asked == every * 2


def test_a_first_walk_that_takes_too_long_leaves_the_rest_to_the_next(
    noted: tuple[selfcheck.SelfCheck, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow machine with many datasets becomes ready: no walk over all of them would ever have ended in time."""
    assert selfcheck._ASKING_FIRST + selfcheck.WALK < selfcheck._FIRST
    check, asked = noted
    monkeypatch.setattr(selfcheck, "_ASKING_FIRST", -1.0)
    asyncio.run(check.once())
    assert (check.reason(), len(asked)) == (None, 1)
    asyncio.run(check.once())
    assert (check.reason(), len(set(asked)), len(asked)) == (None, 10, 11)


def test_after_maintenance_the_self_check_does_not_wait_for_its_turn(tiny: World, tmp_path: Path) -> None:
    plan, now = tmp_path / "plan.toml", datetime.now(UTC)
    add_window(plan, now - timedelta(minutes=1), now + timedelta(seconds=20), {"en": "Work."}, now)
    with reader.open_release(tiny.releases) as release:
        app = create_app(load(maintenance=plan), release, key_room.read_evaluator(tiny.keys))
        check = selfcheck.SelfCheck(app.edge_state, "http://127.0.0.1:9", None)
        check._hear(None)
        check._begun = time.monotonic()
        check._hear("maintenance")
        assert check.reason() is None
        assert check._next - check._begun <= 20


def test_a_manifest_that_was_read_just_before_it_was_renewed_is_no_trouble(small: World) -> None:
    with reader.open_release(small.releases) as release:
        app = create_app(load(), release, key_room.read_evaluator(small.keys))
        check = selfcheck.SelfCheck(app.edge_state, "http://127.0.0.1:9", None)
        renewal.renew(key_room.read_steward(small.keys), small.releases, timedelta(days=9), datetime.now(UTC))
        app.edge_state.swap(Shelf(reader.open_release(small.releases)))
        assert check._accept(release.signed).release == 1
        app.edge_state.close()
        with pytest.raises(ProtocolError, match="manifest_signature"):
            check._accept(bytes(64) + release.signed[64:])


@pytest.mark.parametrize("case", ["another field", "one is missing", "none", "none, and no key"])
def test_a_release_whose_canaries_are_not_there_is_not_ready(small: World, tmp_path: Path, case: str) -> None:
    first, *others = [json.loads(one.model_dump_json()) for one in manifest_of(small).canaries]
    canaries = {
        "another field": [first | {"fields": first["fields"][:1]}, *others],
        "one is missing": others,
    }
    resign(small, canaries=canaries.get(case, []))
    words = ("--role", "buckets") if "no key" in case else ("--keys", small.keys)
    with running(tmp_path, "--releases", small.releases, *words) as process:
        assert _health(process) == (503, ["self_check"], "canary_missing")


def test_the_self_check_takes_nothing_of_the_ration_and_opens_no_way_around_it(small: World, tmp_path: Path) -> None:
    env = QUICK | {"BREACHCHECK_DAILY_CAP": "1", "BREACHCHECK_ADDRESS_CAP": "1"}
    with running(tmp_path, "--releases", small.releases, "--keys", small.keys, env=env) as process:
        passed = 'breachcheck_self_checks_total{outcome="passed"}'
        eventually(lambda: process.metric(passed) >= 3, True)
        assert process.metric("breachcheck_elements_total") == 0
        first, second = (one.hex() for one in fresh_elements(2))
        assert process.evaluate(first).status == 200
        for _ in range(2):
            assert word(process.evaluate(second)) == "address_cap"
        seen = process.metric(passed)
        eventually(lambda: process.metric(passed) > seen, True)
        assert process.metric("breachcheck_elements_total") == 1
        assert _health(process) == (200, [], None)


def test_an_element_of_the_self_check_is_good_for_one_request(tiny: World) -> None:
    with reader.open_release(tiny.releases) as release:
        app = create_app(load(daily_cap=1, address_cap=0), release, key_room.read_evaluator(tiny.keys))
        send = asking(app)
        own, other = fresh_elements(2)
        app.edge_state.own_elements.add(own)

        def evaluate(*elements: bytes) -> int:
            body = json.dumps({"elements": [one.hex() for one in elements]}).encode()
            return send("POST", "/v1/evaluate", {"content-type": "application/json"}, [body]).status

        assert evaluate(own, other) == 429  # with another beside it, it is no ticket
        assert evaluate(own) == 200
        assert not app.edge_state.own_elements
        assert [evaluate(own), evaluate(own)] == [200, 429]  # the ration's one, and no more
        assert app.edge_state.counts.elements == 1


@pytest.mark.parametrize("role", ["buckets", "evaluator"])
def test_each_role_checks_its_own_part(small: World, tmp_path: Path, role: str) -> None:
    words = ("--role", role, *(("--releases", small.releases) if role == "buckets" else ("--keys", small.keys)))
    with running(tmp_path, *words, env=QUICK) as process:
        assert _health(process) == (200, [], None)
        eventually(lambda: process.metric('breachcheck_self_checks_total{outcome="passed"}') >= 2, True)
        asked = process.get("/metrics").data.decode()
        assert ('route="/v1/evaluate"' in asked) is (role == "evaluator")
        assert ('route="/v1/manifest"' in asked) is (role == "buckets")


def test_a_self_check_that_does_not_end_is_not_a_self_check_that_passed(
    tiny: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reader.open_release(tiny.releases) as release:
        app = create_app(load(self_check_interval=60), release, key_room.read_evaluator(tiny.keys))
        check = selfcheck.SelfCheck(app.edge_state, "http://127.0.0.1:9", None)
        assert check.reason() == "not_checked"
        assert app.edge_state.reasons() == ["self_check"]
        check._hear(None)
        assert (check.reason(), app.edge_state.reasons()) == (None, [])
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 60)
        assert check.reason() is None
        monkeypatch.setattr(time, "monotonic", lambda: now + 69)
        assert check.reason() == "not_checked"
        assert app.edge_state.reasons() == ["self_check"]


def test_a_service_of_which_a_part_has_died_is_not_ready(small: World, tmp_path: Path) -> None:
    fault = tmp_path / "fault"
    program = (
        "from pathlib import Path\nfrom breachcheck.service import releases\nfrom breachcheck.__main__ import main\n"
        "current = releases.current\n"
        "def broken(folder):\n"
        f"    if Path({str(fault)!r}).exists():\n        raise AttributeError\n"  # what nobody foresaw
        "    return current(folder)\n"
        "releases.current = broken\nmain()\n"
    )
    words = ("--releases", small.releases, "--role", "buckets")
    with running(tmp_path, *words, env=QUICK, command=[sys.executable, "-c", program]) as process:
        assert _health(process) == (200, [], None)
        fault.touch()
        eventually(lambda: _health(process), (503, ["self_check"], "not_checked"))
        assert "what runs beside the answers has stopped" in process.output.read_text()


def test_metrics_tell_of_nobody(small: World, tmp_path: Path) -> None:
    members = phones(small)[:5]
    with running(tmp_path, "--releases", small.releases, "--keys", small.keys, env={**QUICK, **CAPS}) as process:
        with Client(process.url, small.publisher) as client:
            for text in members:
                client.check("phone", text)
        text = process.get("/metrics").data.decode()
        log = process.output.read_text()
    assert 'breachcheck_requests_total{route="/v1/evaluate",method="POST",status="200"}' in text
    assert "breachcheck_elements_total 5" in text
    labels = {match[1] for match in re.finditer(r'\w+="([^"]*)"', text)}
    routes = {label for label in labels if label.startswith("/")}
    assert labels - routes <= {"GET", "POST", "200", "304", "503", "passed", "failed", "taken", "refused"}
    assert not [route for route in routes if re.search(r"\d", route.replace("/v1/", ""))]
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"\\]*",?)+\})? -?\d+', line)
    for secret in (*members, "127.0.0.1", "canary", "absent"):
        assert secret not in text.replace("canary_", "")
        assert secret not in log.splitlines()[-1].replace("http://127.0.0.1", "")


# --- Key rotation -----------------------------------------------------------------------------------------------------


def test_keys_are_rotated_for_the_same_publisher_with_room_for_the_old_epoch(small: World) -> None:
    new = small.root / "next"
    run("keys", "rotate", "--keys", small.keys, "--new", new)
    old, rotated = key_room.read_steward(small.keys), key_room.read_steward(new)
    assert rotated.publisher_key == old.publisher_key
    assert rotated.evaluator.pk != old.evaluator.pk
    assert rotated.service_salt != old.service_salt
    assert rotated.last_release_number() == old.last_release_number() + key_room.ROTATION_ROOM
    assert run("keys", "rotate", "--keys", small.keys, "--new", new, check=False).returncode == 3
    assert run("keys", "rotate", "--keys", small.root, "--new", small.root / "x", check=False).returncode == 3


def test_a_new_epoch_begins_with_what_was_withdrawn_and_erased_in_the_one_before(small: World, tmp_path: Path) -> None:
    small.ingest(dataset="poisoned")
    withdraw(small, "poisoned")
    gone = phones(small)[0]
    erasing = ["forget", "phone", "--reference", "shelf 4", "--keys"]
    run(*erasing, small.keys, "--releases", small.releases, stdin=f"{gone}\n")
    new = World(tmp_path / "epoch")
    new.root.mkdir()
    run("keys", "rotate", "--keys", small.keys, "--new", new.keys)
    follows = ("--follows", small.releases)

    def refused(*words: object) -> str:
        failed = run(*words, check=False)
        assert failed.returncode == 3
        return failed.stderr

    assert "epoch_before" in refused(*new.ingest_words(small.leak)) and not new.releases.exists()
    assert "erasures_missing" in refused(*new.ingest_words(small.leak), *follows) and not new.releases.exists()
    assert "epoch_before" in refused(*small.ingest_words(dataset="more"), *follows)
    third = World(tmp_path / "third")  # of keys that published nothing: not them, but those before are rotated
    third.root.mkdir()
    run("keys", "rotate", "--keys", new.keys, "--new", third.keys)
    assert "rotate the keys of the one before it again" in refused(*third.ingest_words(small.leak), *follows)
    assert "no_ledger" in refused(
        "forgotten", "--keys", new.keys, "--releases", new.releases, "--ledger", tmp_path / "x"
    )
    (new.keys / FILE).unlink()
    run(
        *erasing, new.keys, "--releases", new.releases, "--no-publish", "--parameters", "testing-only",
        stdin=f"{gone}\n",
    )  # fmt: skip
    assert "phone  shelf 4" in run("forgotten", "--keys", new.keys, "--releases", new.releases).stdout
    assert "withdrawn" in refused(*new.ingest_words(small.leak, dataset="poisoned"), *follows)
    run(*new.ingest_words(small.leak), *follows)
    first = manifest_of(new)
    assert first.withdrawn == manifest_of(small).withdrawn != ()
    assert (first.erasures, [one.name for one in first.datasets]) == (1, ["demo"])
    steward = key_room.read_steward(new.keys)
    with reader.open_release(new.releases, steward.publisher_key) as release:
        verdict = ask(release, steward.publisher_key, steward.evaluator, first.created, identify("phone", gone))
    assert isinstance(verdict, NotFound)
    # what is withdrawn there later is taken over as well, and the name is refused here
    small.ingest(dataset="later")
    withdraw(small, "later")
    assert "withdrawn" in refused(*new.ingest_words(small.leak, dataset="later"), *follows)
    run(*new.ingest_words(small.leak, dataset="more"), *follows)
    assert [one.name for one in manifest_of(new).withdrawn] == ["poisoned", "later"]
    new.ingest(small.leak, dataset="last")
    assert [one.name for one in manifest_of(new).withdrawn] == ["poisoned", "later"]


def test_a_new_epoch_begins_with_every_dataset_of_the_one_before(small: World, tmp_path: Path) -> None:
    small.ingest(dataset="more")
    new = World(tmp_path / "epoch")
    new.root.mkdir()
    run("keys", "rotate", "--keys", small.keys, "--new", new.keys)
    follows = ("--follows", small.releases)
    early = run(*new.ingest_words(small.leak), *follows, check=False)
    assert (early.returncode, "ledger_behind: the ledger lacks what the epoch" in early.stderr) == (3, True)
    assert "before has: it has no more. What was read is kept" in early.stderr
    part = new.root / "part.csv"
    part.write_bytes(b"".join(small.leak.read_bytes().splitlines(keepends=True)[:40]))
    early = run(*new.ingest_words(part, dataset="more"), *follows, check=False)
    assert (early.returncode, "before has: more had " in early.stderr) == (3, True)
    assert not (new.releases / reader.CURRENT).exists()
    run(*new.ingest_words(small.leak, dataset="more"), *follows)
    assert [one.name for one in manifest_of(new).datasets] == ["demo", "more"]
    # or at the steward's word, without one; and what was withdrawn is not missed
    fewer = World(tmp_path / "fewer")
    fewer.root.mkdir()
    run("keys", "rotate", "--keys", small.keys, "--new", fewer.keys)
    run(*fewer.ingest_words(small.leak), *follows, "--allow-shrinking")
    assert [one.name for one in manifest_of(fewer).datasets] == ["demo"]
    withdraw(small, "more")
    run(*fewer.ingest_words(small.leak), *follows)
    assert [one.name for one in manifest_of(fewer).withdrawn] == ["more"]
    # what was withdrawn in both stays as it was told here
    withdraw(small, "demo", "en=There.")
    done = run(*fewer.ingest_words(small.leak, dataset="next"), *follows, check=False)
    assert (done.returncode, "withdraw it here too" in " ".join(done.stderr.split())) == (3, True)
    withdraw(fewer, "demo", "en=Here.")
    run(*fewer.ingest_words(small.leak, dataset="next"), *follows)
    assert {one.name: one.reason["en"] for one in manifest_of(fewer).withdrawn} == {
        "more": "A mistake.",
        "demo": "Here.",
    }


def test_an_epoch_with_a_new_key_takes_over_without_a_false_or_a_failed_check(own: World, tmp_path: Path) -> None:
    new = World(tmp_path / "epoch")
    new.root.mkdir()
    run("keys", "rotate", "--keys", own.keys, "--new", new.keys)
    run(*new.ingest_words(own.leak), "--follows", own.releases)
    number = manifest_of(new).release
    assert number == 1 + key_room.ROTATION_ROOM + 1
    stands = reader.current(own.releases)  # where the old epoch is renewed and served, the new one is not published
    refused = run(*own.ingest_words(), "--keys", new.keys, "--releases", own.releases, check=False)
    assert refused.returncode == 3 and "epoch" in refused.stderr
    assert reader.current(own.releases) == stands
    # neither key answers for the release of the other
    words = ("--releases", new.releases, "--keys", own.keys, "--port", free_port())
    assert run("serve", *words, check=False).returncode == 3
    upstreams: dict[str, str] = {}
    with (
        running(tmp_path, "--releases", own.releases, "--keys", own.keys, env=CAPS) as before,
        running(tmp_path, "--releases", new.releases, "--keys", new.keys, env=CAPS) as after,
        front(upstreams) as url,
    ):
        upstreams |= {"evaluator": before.url, "buckets": before.url}
        load = Load(url, own)
        load.statuses.append(200)
        with load.running():
            eventually(lambda: len(load.verdicts) > 20, True)
            upstreams["evaluator"] = after.url  # a moment in which the halves do not fit
            upstreams["buckets"] = after.url
            seen = len(load.verdicts)
            eventually(lambda: len(load.verdicts) > seen + 20, True)
        for member, verdict in load.verdicts:
            assert isinstance(verdict, Exposed if member else NotFound), verdict
        assert {verdict.release for _, verdict in load.verdicts} == {1, number}
        # who has seen the new epoch is not led back to the old one, and halves of the two are never an answer
        with Client(url, own.publisher) as client:
            assert isinstance(client.check("phone", phones(own)[0]), Exposed)
            upstreams |= {"evaluator": before.url, "buckets": before.url}
            back = client.check("phone", phones(own)[0])
            assert isinstance(back, Undetermined)
            assert back.reason is Reason.RELEASE_ROLLED_BACK
        for halves in (
            {"evaluator": before.url, "buckets": after.url},
            {"evaluator": after.url, "buckets": before.url},
        ):
            upstreams |= halves
            with Client(url, own.publisher) as client:
                mixed = client.check("phone", phones(own)[0])
            assert isinstance(mixed, Undetermined)
            assert mixed.reason is Reason.EVALUATION_PROOF
