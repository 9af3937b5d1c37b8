"""The engine of many machines: a Spark standalone cluster. Spark moves sealed octets and never sees what is in them.

Work and result of a batch are pickled, then sealed with AES-256-GCM under a key that both sides derive from the
cluster's secret, and that travels nowhere. So no Java heap, socket, block or log of Spark holds a row, the run key or
`sk` in the clear, whatever Spark writes to a disk, and whenever. Beneath that, authentication and the encryption of
RPC, blocks and files are on. A batch is the data of a task of its own and no part of its code: code is a broadcast,
which Spark may move to a disk.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import secrets
import socket
import stat
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from breachcheck.errors import BreachcheckError, InputError, ReleaseError
from breachcheck.ingest.engine import Engine, LocalEngine
from breachcheck.ingest.hardening import harden
from breachcheck.protocol.encoding import encode, hkdf_expand

Work = TypeVar("Work")
Done = TypeVar("Done")

MIN_SECRET: Final = 32  # characters of the authentication secret
_SECRET_VARIABLE: Final = "_SPARK_AUTH_SECRET"  # noqa: S105  where a Spark worker leaves it for its executors
_SALT: Final = 16  # octets; each run has its own
_NONCE: Final = 12  # octets
_MOST: Final = 96  # batches under way, whatever the number of cores: of 4 MiB, twice in the driver's 1 GiB
_PATIENCE: Final = 60.0  # seconds in which a worker must have room
_JAVA: Final = "-XX:-UsePerfData -XX:-CreateCoredumpOnCrash -XX:ErrorFile=/dev/null"
_SETTINGS: Final = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.cipher": "AES/GCM/NoPadding",
    "spark.network.crypto.authEngineVersion": "2",
    "spark.network.crypto.saslFallback": "false",
    "spark.io.encryption.enabled": "true",
    "spark.io.encryption.keySizeBits": "256",
    "spark.eventLog.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.speculation": "false",
    "spark.task.maxFailures": "16",  # each executor that dies fails what it was at
    "spark.rpc.message.maxSize": "512",  # MiB: a batch is one message
    "spark.python.authenticate.socketTimeout": "60s",
    "spark.python.worker.reuse": "true",  # a worker remembers the rows it has seen
    "spark.executor.extraJavaOptions": _JAVA,
}


class SparkEngine:
    """A Spark standalone cluster. Each of its machines has this package in the same version, and knows the secret."""

    def __init__(self, master: str, secret_file: Path) -> None:
        """Connect to `master`, spark://HOST:PORT, with the secret in `secret_file` (mode 0600, 32 characters or more).

        Raises:
            InputError: `spark_master`: no such address; `spark_missing`: PySpark or Java is not here.
            ReleaseError: `spark_secret`: the secret's file cannot be used; `spark_lost`: the cluster does not answer,
                refuses the secret (found out after a minute), or has no room.
        """
        self._secret = _read_secret(secret_file)
        own_address = _reach(master)
        if importlib.util.find_spec("pyspark") is None:
            raise InputError("spark_missing", "PySpark is not installed: breachcheck[spark]")
        self._salt = secrets.token_bytes(_SALT)
        self._held = ExitStack()
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="breachcheck-spark-", ignore_cleanup_errors=True))
            self._context = stack.enter_context(_connected(master, own_address, self._secret, folder))
            self._threads = ThreadPoolExecutor(_MOST, "spark")
            stack.callback(self._threads.shutdown, wait=False, cancel_futures=True)
            self._held = stack.pop_all()

    def map(self, task: Callable[[Work], Done], batches: Iterable[Work]) -> Iterator[Done]:
        """Yield the results in the order of the batches; at most three a core of the cluster are under way.

        A batch whose worker is lost is worked on again, by another.

        Raises:
            ReleaseError: `spark_lost`: the cluster is gone; `worker_failed`: a worker met what nobody foresaw.
        """
        waiting: deque[Future[Any]] = deque()
        for batch in batches:
            waiting.append(self._threads.submit(self._run, (task, batch)))
            if len(waiting) >= self._width():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def here(self) -> AbstractContextManager[Engine]:
        """Lend a pool of processes, which ends with the block."""
        return LocalEngine()

    def _width(self) -> int:
        with _losses():
            return min(_MOST, 3 * int(self._context.defaultParallelism))

    def _run(self, work: tuple[Callable[[Any], Any], Any]) -> Any:
        sealed = seal(self._secret, self._salt, b"work", work)
        with _losses():
            answers = self._context.parallelize([sealed], 1).map(work_on).collect()
        if not answers:  # the driver's JVM was killed in the middle of its answer
            raise _lost()
        done = unseal(self._secret, b"done", answers[0])
        if isinstance(done, BreachcheckError):
            raise done
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._held.close()


def work_on(sealed: bytes) -> bytes:
    """Do a batch, in a worker: unseal task and batch, and seal the result, or the error."""
    _hardened()
    secret = os.environ[_SECRET_VARIABLE]
    salt = sealed[:_SALT]
    try:
        task, batch = unseal(secret, b"work", sealed)
        done = task(batch)
    except BreachcheckError as error:
        done = error
    except Exception as error:  # noqa: BLE001  what escapes from here Spark writes to its log, message and all
        done = ReleaseError("worker_failed", f"a worker failed with {type(error).__name__}")
    return seal(secret, salt, b"done", done)


@lru_cache(maxsize=1)
def _hardened() -> None:
    harden()


# --- sealing ----------------------------------------------------------------------------------------------------------


def seal(secret: str, salt: bytes, purpose: bytes, content: object) -> bytes:
    """Return content pickled and sealed: 16-byte salt, 12-byte nonce, AES-256-GCM with 16-byte tag."""
    nonce = secrets.token_bytes(_NONCE)
    return salt + nonce + _cipher(secret, salt).encrypt(nonce, pickle.dumps(content), purpose)


def unseal(secret: str, purpose: bytes, sealed: bytes) -> Any:
    """Return what was sealed for this purpose. Nothing is unpickled that whoever has the secret did not make.

    Raises:
        ReleaseError: `spark_secret`: it was sealed with another secret, for another purpose, or is damaged.
    """
    salt, nonce = sealed[:_SALT], sealed[_SALT : _SALT + _NONCE]
    try:
        content = _cipher(secret, salt).decrypt(nonce, sealed[_SALT + _NONCE :], purpose)
    except InvalidTag:
        raise ReleaseError("spark_secret", "what came through Spark is not what was sent") from None
    return pickle.loads(content)  # noqa: S301  authenticated


@lru_cache(maxsize=4)
def _cipher(secret: str, salt: bytes) -> AESGCM:
    return AESGCM(hkdf_expand(secret.encode(), encode("spark", salt), 32))


# --- the cluster ------------------------------------------------------------------------------------------------------


def _read_secret(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        secret = path.read_text("ascii").strip()
    except (OSError, ValueError):
        raise ReleaseError("spark_secret", f"{path.name} cannot be read") from None
    if stat.S_IMODE(mode) & 0o077:
        raise ReleaseError("spark_secret", f"{path.name} can be read by others: chmod 600")
    if len(secret) < MIN_SECRET:
        raise ReleaseError("spark_secret", f"{path.name} holds fewer than {MIN_SECRET} characters")
    return secret


def _reach(master: str) -> str:
    """Return the address under which the master's machine sees this one."""
    found = re.fullmatch(r"spark://([^/:@]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})", master)
    if not found or int(found[2]) > 65535:
        raise InputError("spark_master", "wanted spark://HOST:PORT")
    try:
        with socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=10) as probe:
            address: str = probe.getsockname()[0]
    except OSError:
        raise ReleaseError("spark_lost", f"nobody answers at {master}") from None
    return address


@contextmanager
def _connected(master: str, own_address: str, secret: str, folder: str) -> Iterator[Any]:
    """Start a driver, in a JVM of its own, and connect it; end it afterwards."""
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway

    settings = SparkConf().setMaster(master).setAppName("breachcheck").setAll(list(_SETTINGS.items()))
    settings.set("spark.local.dir", folder)
    settings.set("spark.driver.host", own_address).set("spark.driver.bindAddress", own_address)
    settings.set("spark.driver.extraJavaOptions", f"{_JAVA} -Djava.io.tmpdir={folder}")
    try:
        # What is set until here stands on the driver's command line.
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        gateway = launch_gateway(settings, quiet)
    except (PySparkException, OSError):
        raise InputError("spark_missing", "Spark's driver did not start: it wants Java 17 or newer") from None
    try:
        settings = SparkConf(_jvm=gateway.jvm).set("spark.authenticate.secret", secret)
        with ExitStack() as stack:
            try:
                context = SparkContext(conf=settings, gateway=gateway)
                stack.callback(context.stop)
                _await_worker(context)
            except Py4JError:
                raise ReleaseError("spark_lost", f"{master} did not take this program: another secret?") from None
            context.pythonExec = os.environ.get("PYSPARK_PYTHON", sys.executable)
            yield context
    finally:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
        # Or PySpark would take this JVM for the next context.
        SparkContext._gateway = SparkContext._jvm = None


def _await_worker(context: Any) -> None:
    deadline = time.monotonic() + _PATIENCE
    # The driver is counted too.
    while context._jsc.sc().getExecutorMemoryStatus().size() < 2:
        if time.monotonic() > deadline:
            raise ReleaseError("spark_lost", "no worker of the Spark cluster has a core and 1 GB to spare")
        time.sleep(0.1)


@contextmanager
def _losses() -> Iterator[None]:
    """Turn what Spark says when the cluster or its driver is gone into an error of ours; it may quote its workers."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException, OSError):
        raise _lost() from None


def _lost() -> ReleaseError:
    return ReleaseError("spark_lost", "the Spark cluster gave up; the same command goes on from here")
