"""Spark on a cluster of one master and two workers: what the local engine makes, and nothing of a row on any disk."""

from __future__ import annotations

import base64
import csv
import math
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pytest

from breachcheck import keys as key_room
from breachcheck.errors import InputError, ReleaseError
from breachcheck.ingest.engine import Engine, LocalEngine
from breachcheck.ingest.mapping import read_mapping
from breachcheck.ingest.pipeline import Job, Report, ingest
from breachcheck.ingest.publish import Policy
from breachcheck.ingest.reduce import Evaluate, Numbered, Shroud
from breachcheck.ingest.sources.open import chunks
from breachcheck.ingest.spark import SparkEngine, seal, unseal
from breachcheck.protocol.parameters import TESTING_ONLY
from breachcheck.store.ledger import FILE, Ledger
from tests import sorts
from tests.canary import Scanner
from tests.world import BREACHCHECK, World, free_port, run

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROOT = Path(__file__).parents[1]
COLUMNS = ("N_Num_Assure", "L_Nom_Prenom", "L_Num_CIN", "N_Tel", "L_Email", "N_RIB")

needs_spark = pytest.mark.skipif(
    find_spec("pyspark") is None or shutil.which("java") is None,
    reason="needs Java 17 and PySpark (450 MB): scripts/spark installs it",
)

# A block store of 70 KB: results, broadcasts and all else that Spark keeps goes to its disk.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # for the dozen JVMs that live for seconds
SMALL = """
spark.memory.fraction 0.0001
spark.task.maxDirectResultSize 1k
spark.broadcast.compress false
spark.shuffle.spill.compress false
"""


@dataclass(frozen=True)
class Cluster:
    """A running cluster: its folder, its master, the program that started it."""

    folder: Path
    master: str
    process: int

    @property
    def secret(self) -> Path:
        return self.folder / "secret"

    def descendants(self) -> dict[int, tuple[int, str]]:
        """Return parent and command line of every process that came from the script."""
        table = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                parent = int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1])
                table[int(path.name)] = parent, path.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
        ours = {self.process}
        while more := {number for number, (parent, _) in table.items() if parent in ours} - ours:
            ours |= more
        return {number: table[number] for number in ours if number in table}

    def executors(self) -> list[int]:
        return [
            number
            for number, (_, line) in self.descendants().items()
            if "CoarseGrainedExecutorBackend" in line and "launcher.Main" not in line
        ]

    def python_workers(self) -> list[int]:
        family = self.descendants()
        parents = {parent for parent, _ in family.values()}
        return [number for number, (_, line) in family.items() if "pyspark.daemon" in line and number not in parents]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder, port = tmp_path_factory.mktemp("spark") / "cluster", free_port()
    environment = {**os.environ, "SPARK_MASTER_PORT": str(port), "SPARK_WORKER_CORES": "1", "JAVA_TOOL_OPTIONS": QUICK}
    with subprocess.Popen(
        [ROOT / "scripts" / "spark", folder], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout
            said: dict[str, str] = {}
            for line in process.stdout:
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").strip().partition("=")
                    said[name] = value
                if len(said) == 3:
                    break
            assert said["BREACHCHECK_SPARK_SECRET_FILE"] == str(folder / "secret")
            yield Cluster(folder, said["BREACHCHECK_SPARK_MASTER"], process.pid)
        finally:
            process.terminate()  # not SIGINT, which a shell ignores for what it started in the background
            process.wait(60)
    assert not folder.exists()


class _Kept:
    """Keeps what Spark has on disk, however short, by a second name for each file."""

    def __init__(self, folders: list[Path], kept: Path) -> None:
        self._folders, self._kept = folders, kept
        self._names: set[Path] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.is_set():
            for folder in self._folders:
                for path in folder.rglob("blockmgr-*/*/*"):
                    if path not in self._names:
                        self._names.add(path)
                        try:
                            os.link(path, self._kept / str(len(self._names)))
                        except FileNotFoundError:
                            continue
            time.sleep(0.02)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()


class _Watched:
    """An engine whose tasks are noted. With `kill`, an executor is killed in the reading, and Python workers in the
    evaluation, when the first results are there.
    """

    def __init__(self, engine: Engine, cluster: Cluster, kill: bool) -> None:
        self._engine, self._cluster, self._kill = engine, cluster, kill
        self.run_keys: set[bytes] = set()
        self.killed: list[int] = []

    def map(self, task: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
        assert isinstance(task, Shroud | Evaluate)
        self.run_keys.add(task.run_key)
        for number, done in enumerate(self._engine.map(task, batches)):
            if self._kill and number == 1:
                reading = isinstance(task, Shroud)
                victims = self._cluster.executors()[:1] if reading else self._cluster.python_workers()
                assert victims
                for victim in victims:
                    os.kill(victim, signal.SIGKILL)
                self.killed += victims
            yield done

    def here(self) -> AbstractContextManager[Engine]:
        return self._engine.here()


@dataclass(frozen=True)
class Made:
    """What the tests look at: ledgers made by each engine, and all that Spark wrote meanwhile.

    `sorts` are ledgers of both engines of the sources that no table is.
    """

    local: tuple[Report, Path]
    spark: tuple[Report, Path]
    sorts: list[tuple[tuple[Report, Path], tuple[Report, Path]]]
    killed: tuple[Report, Path]
    victims: list[int]
    command_lines: str
    canaries: list[str]
    secrets: list[bytes]
    places: list[Path]
    kept: Path


def _ingest(
    root: Path, keys: Path, files: tuple[Path, ...], engine: Engine, mapping: str = "cnss"
) -> tuple[Report, Path]:
    shutil.copytree(keys, root / "keys")
    steward = key_room.read_steward(root / "keys")
    job = Job(files, read_mapping(mapping), "one")
    with Ledger(root / "keys" / FILE, steward, TESTING_ONLY) as ledger:
        report = ingest(job, steward, TESTING_ONLY, ledger, root / "releases", engine, Policy(), NOW, lambda *_: None)
    return report, root / "keys" / FILE


def _leaks(root: Path) -> tuple[Path, ...]:
    """Files of which each repeats rows of those before it, the last of them in other sorts of source."""
    rows: list[bytes] = []
    files = []
    for number in range(12):
        world = World(root / str(number))
        world.root.mkdir(parents=True)
        if number < 2:
            world.synth(300, seed=number + 1)
        header, *more = (root / str(number % 2) / "leak.csv").read_bytes().splitlines(keepends=True)
        if number >= 2:
            more = random.Random(number).sample(rows, 400)
            world.leak.write_bytes(header + b"".join(more))
        rows += more
        files.append(world.leak)
    tables, _ = sorts.write_tables(root, files[0])
    return (*files, *tables)


def _canaries(files: Iterable[Path]) -> list[str]:
    cells = set()
    for path in (path for path in files if path.name == "leak.csv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            cells |= {
                row[column].strip() for row in csv.DictReader(file, delimiter=";") for column in COLUMNS if row[column]
            }
    return sorted(cell for cell in cells if len(cell) >= 8 and len(set(cell)) >= 4)[:1500]


@pytest.fixture(scope="module")
def refused(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """An ingest with another secret: it takes Spark a minute to give up, while the other tests run."""
    root = tmp_path_factory.mktemp("refused")
    world = World(root)
    world.synth(20)
    run("keys", "init", "--keys", world.keys)
    secret = root / "secret"
    secret.write_text("0" * 64)
    secret.chmod(0o600)
    words = [
        *world.ingest_words(),
        "--engine",
        "spark",
        "--spark-master",
        cluster.master,
        "--spark-secret-file",
        secret,
    ]
    with subprocess.Popen([*BREACHCHECK, *map(str, words)], stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def engine(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    conf = tmp_path_factory.mktemp("conf")
    (conf / "spark-defaults.conf").write_text(SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(conf))
        patch.setenv("JAVA_TOOL_OPTIONS", QUICK)
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("driver")))
        with SparkEngine(cluster.master, cluster.secret) as made:
            yield made


@pytest.fixture(scope="module")
def made(
    cluster: Cluster, refused: subprocess.Popen[str], engine: SparkEngine, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    assert refused
    root = tmp_path_factory.mktemp("made")
    files = _leaks(root / "leaks")
    sorts.write_return(root / "return.txt", files[0], 150)
    sorts.write_attestation(root / "attestation.pdf", files[0], 40)
    (root / "attestation.toml").write_text(sorts.ATTESTATION)
    mappings = {"return.txt": "cnss_return", "attestation.pdf": str(root / "attestation.toml")}
    steward = key_room.init(root / "keys")
    with LocalEngine(1) as one:
        local = _ingest(root / "local", root / "keys", files, one)
        by_local = [
            _ingest(root / f"local-{name}", root / "keys", (root / name,), one, mapping)
            for name, mapping in mappings.items()
        ]
    # The same files and keys, so the same run key: Python workers remember in the second what they saw in the first.
    plain, killing = _Watched(engine, cluster, kill=False), _Watched(engine, cluster, kill=True)
    places = [cluster.folder, Path(tempfile.gettempdir())]
    kept = root / "kept"
    kept.mkdir()
    with _Kept(places, kept):
        spark = _ingest(root / "spark", root / "keys", files, plain)
        by_spark = [
            _ingest(root / f"spark-{name}", root / "keys", (root / name,), plain, mapping)
            for name, mapping in mappings.items()
        ]
        lines = "\n".join(_command_lines())
        killed = _ingest(root / "killed", root / "keys", files, killing)
    secrets = [steward.evaluator.sk, *plain.run_keys]
    both = list(zip(by_local, by_spark, strict=True))
    return Made(local, spark, both, killed, killing.killed, lines, _canaries(files), secrets, places, kept)


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue


def _held(made: tuple[Report, Path]) -> list[tuple[Any, ...]]:
    with duckdb.connect(made[1], read_only=True) as database:
        return database.execute("SELECT * EXCLUDE (run) FROM exposure ORDER BY ALL").fetchall()


def _entries(made: tuple[Report, Path]) -> dict[str, list[Any]]:
    keys = key_room.read_steward(made[1].parent)
    with Ledger(made[1], keys, TESTING_ONLY) as ledger:
        ledger.gather()
        return {
            kind: sorted(tuple(row.values()) for batch in ledger.sealables(kind) for row in batch.to_pylist())
            for kind in ledger.kinds()
        }


@needs_spark
def test_the_same_entries_as_the_local_engine(made: Made) -> None:
    assert len(_held(made.local)) > 1000
    assert _held(made.spark) == _held(made.local)
    assert _entries(made.spark) == _entries(made.local)
    assert made.spark[0].dataset == made.local[0].dataset
    assert made.spark[0].identifiers == made.local[0].identifiers
    for local, spark in made.sorts:
        assert len(_held(local)) >= 80
        assert _held(spark) == _held(local)
        assert _entries(spark) == _entries(local)


@needs_spark
def test_an_executor_and_python_workers_killed_in_the_middle_change_nothing(made: Made) -> None:
    assert len(made.victims) >= 2
    assert _held(made.killed) == _held(made.local)
    assert _entries(made.killed) == _entries(made.local)
    assert made.killed[0].dataset == made.local[0].dataset


@needs_spark
def test_nothing_of_a_row_and_no_key_is_written_anywhere(made: Made) -> None:
    blocks = list(made.kept.iterdir())
    assert sum(path.stat().st_size for path in blocks) > 100_000, "nothing was spilled"
    findings = Scanner(made.canaries).scan([*made.places, made.kept])
    assert findings.clean, findings.findings
    files = [path for place in (*made.places, made.kept) for path in place.rglob("*") if path.is_file()]
    spelled = [form for key in made.secrets for form in (key, key.hex().encode(), base64.b64encode(key))]
    for path in files:
        content = path.read_bytes()
        assert not any(form in content for form in spelled), path
        # What a broadcast would show, were the blocks not encrypted: it names the function that the workers run.
        assert path not in blocks or b"work_on" not in content


@needs_spark
def test_the_secret_stands_in_files_of_the_owner_alone_and_on_no_command_line(made: Made, cluster: Cluster) -> None:
    secret = cluster.secret.read_text().strip()
    for program in ("CoarseGrainedExecutorBackend", "pyspark-shell", "deploy.master.Master"):
        assert program in made.command_lines
    assert secret not in made.command_lines
    holders = [path for path in cluster.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert {path.name for path in holders} == {"secret", "spark-defaults.conf"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in holders)


@needs_spark
def test_an_error_of_ours_comes_through_and_another_shows_its_type_alone(engine: SparkEngine, cluster: Cluster) -> None:
    with pytest.raises(InputError) as ours:
        list(engine.map(read_mapping, ["/nowhere.toml"]))
    assert ours.value.reason == "mapping"
    with pytest.raises(ReleaseError, match=r"^worker_failed: a worker failed with ValueError$"):
        list(engine.map(int, ["1", "AB123456"]))
    logs = [path.read_bytes() for path in (cluster.folder / "work").rglob("stderr")]
    assert logs
    assert not any(b"AB123456" in log for log in logs)


@needs_spark
def test_results_come_in_order_with_few_batches_under_way(engine: SparkEngine) -> None:
    taken = []

    def batches() -> Iterator[int]:
        for number in range(30):
            taken.append(number)
            yield number

    results = engine.map(math.sqrt, batches())
    assert next(results) == 0
    assert len(taken) <= 6  # three a core
    assert [0.0, *results] == [math.sqrt(number) for number in range(30)]


@needs_spark
def test_who_does_not_know_the_secret_is_refused(refused: subprocess.Popen[str], cluster: Cluster) -> None:
    _, said = refused.communicate(timeout=120)
    assert refused.returncode == 3
    assert "spark_lost" in said
    assert "another secret?" in said
    assert "authentication" in (cluster.folder / "logs" / "master").read_text().lower()


def test_a_row_is_left_out_only_where_a_chunk_before_has_it(tmp_path: Path) -> None:
    """Whatever the order, and whichever results are lost: the first chunk of a row tells it."""
    world = World(tmp_path)
    world.synth(20)
    [chunk] = chunks(world.leak, read_mapping("cnss"))
    shroud = Shroud(random.Random(7).randbytes(64), bytes(16))
    told = [shroud(Numbered(number, "", chunk)) for number in (5, 7, 3, 3, 5)]
    whole = told[0].batch.num_rows
    assert whole > 20
    assert [one.batch.num_rows for one in told] == [whole, 0, whole, whole, 0]
    assert [one.counts.rows_accepted for one in told] == [told[0].counts.rows_accepted] * 5


def test_the_lock_file_has_the_version_that_the_package_asks_for() -> None:
    [asked] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["spark"]
    assert re.fullmatch(r"pyspark==[0-9.]+", asked)
    assert f"\n{asked} " in (ROOT / "scripts" / "spark.lock").read_text()


def test_the_engine_needs_to_be_told_its_cluster(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.synth(20)
    run("keys", "init", "--keys", world.keys)
    done = run(*world.ingest_words(), "--engine", "spark", check=False)
    assert done.returncode == 2
    assert "--spark-master" in done.stderr


def test_what_was_sealed_with_another_secret_is_not_unpickled() -> None:
    sealed = seal("a" * 64, bytes(16), b"work", "content")
    assert unseal("a" * 64, b"work", sealed) == "content"
    for secret, purpose, octets in (
        ("b" * 64, b"work", sealed),
        ("a" * 64, b"done", sealed),
        ("a" * 64, b"work", sealed[:-1] + bytes([sealed[-1] ^ 1])),
    ):
        with pytest.raises(ReleaseError, match="spark_secret"):
            unseal(secret, purpose, octets)


@pytest.mark.parametrize(
    "master", ["127.0.0.1:7077", "spark://127.0.0.1", "spark://:7077", "spark://a:70777", "local[2]"]
)
def test_a_wrong_address_is_the_callers_fault(master: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="spark_master"):
        SparkEngine(master, _secret(tmp_path))


def test_a_secret_that_others_can_read_or_that_is_short_is_not_used(tmp_path: Path) -> None:
    for content, mode in (("0" * 64, 0o644), ("0" * 31, 0o600)):
        path = _secret(tmp_path)
        path.write_text(content)
        path.chmod(mode)
        with pytest.raises(ReleaseError, match="spark_secret"):
            SparkEngine("spark://127.0.0.1:1", path)


def test_a_master_that_is_not_there_is_found_out_at_once(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="nobody answers"):
        SparkEngine(f"spark://127.0.0.1:{free_port()}", _secret(tmp_path))


def _secret(folder: Path) -> Path:
    path = folder / "secret"
    path.write_text("0" * 64)
    path.chmod(0o600)
    return path
