"""Exit code 1 says "exposed": no fault of program, machine or file ends with it, or with a traceback."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import pytest

import breachcheck.__main__ as door
from breachcheck import keys as key_room
from breachcheck.errors import InputError, ReleaseError
from breachcheck.ingest import stages
from breachcheck.ingest.mapping import Mapping, read_mapping
from breachcheck.store import reader
from breachcheck.store.ledger import FILE
from tests.steward import ingest_small, leak
from tests.world import BREACHCHECK, run

ROW = "1;202501;123456789;Test Person;;26;4000;"
MAPPING = 'version = 1\nencoding = "{}"\n[[column]]\nheader = "a"\nkind = "phone"\n'


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of one row."""
    root = tmp_path_factory.mktemp("small")
    ingest_small(root, leak(root / "leak.csv", ROW))
    return root


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return shutil.copytree(small, tmp_path / "copy")


def _words(root: Path, command: str) -> str:
    keys, releases = root / "keys", root / "releases"
    words: list[object] = {
        "show": ["release", "show", "--releases", releases],
        "check": ["check", "phone", "--url", "http://127.0.0.1:9", "--publisher-key", keys / "publisher.pub"],
        "ingest": [
            *["ingest", root / "leak.csv", "--mapping", "cnss", "--dataset", "one", "--keys", keys],
            *["--releases", releases, "--parameters", "testing-only"],
        ],
    }[command]
    return shlex.join([*BREACHCHECK, *map(str, words)])


def _shell(line: str) -> tuple[int, str]:
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("shell", "command", "said"),
    [
        ("{} >&-", "show", "standard output is closed"),
        ("{} >/dev/full", "show", "No space left"),
        ("echo 0612345678 | {} 2>&-", "check", ""),
        ("echo 0612345678 | {} 2>/dev/full", "check", ""),
        ("echo 0612345678 | {} >&- 2>&-", "check", ""),
        ("echo 0612345678 | {} >/dev/full 2>/dev/full", "check", ""),
        ("{} 2>/dev/full", "ingest", ""),
        ("ulimit -n 5; {}", "show", "breachcheck: "),
        ("ulimit -n 5; echo 0612345678 | {}", "check", ""),
        ("BREACHCHECK_TIMEOUT=0.1 {} --publisher-key /dev/null <&-", "check", "no_input"),
    ],
)
def test_streams_and_limits_of_the_shell(small: Path, shell: str, command: str, said: str) -> None:
    code, stderr = _shell(shell.format(_words(small, command)))
    assert code in (2, 3), stderr
    assert said in stderr
    assert stderr.count("\n") <= 1, stderr


@pytest.mark.parametrize("command", ["check", "forget"])
def test_an_identifier_on_the_command_line_is_refused_and_not_repeated(tmp_path: Path, command: str) -> None:
    folders = ["--keys", tmp_path, "--releases", tmp_path, "--reference", "x"]
    options = folders if command == "forget" else ["--url", "http://127.0.0.1:1", "--publisher-key", tmp_path]
    done = run(command, "phone", "0612345678", *options, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "argument: no identifier" in done.stderr
    assert "0612345678" not in done.stderr


@pytest.mark.parametrize("command", ["show", "check"])
def test_without_memory_there_is_no_verdict(small: Path, command: str) -> None:
    # The C library itself may end the process, with a code of its own.
    code, _ = _shell(f"ulimit -v 200000; echo 0612345678 | {_words(small, command)}")
    assert code not in (0, 1)


@pytest.mark.parametrize("words", ["--help", "check --help", "release show"])
def test_who_stops_reading_was_told_nothing(small: Path, words: str) -> None:
    line = f"{{ {shlex.join(BREACHCHECK)} {words}; echo $? >&2; }} | sleep 0"
    environment = {**os.environ, "BREACHCHECK_RELEASES": str(small / "releases")}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=environment)
    assert done.stderr.splitlines()[-1] in ("0", "3"), done.stderr  # 0: it was quicker than its reader
    assert "Traceback" not in done.stderr


def test_with_json_an_error_is_a_line_of_json(small: Path) -> None:
    for more, code, said in (("--mapping none", 2, "mapping: there is no"), ("--k-members x", 2, "k-members")):
        ended, stderr = _shell(f"{_words(small, 'ingest')} --json {more}")
        assert ended == code
        assert said in json.loads(stderr)["error"]


def test_a_name_cannot_command_the_terminal(small: Path) -> None:
    words = ["ingest", "no\x1b[2J\n\u202eسجل", "--mapping", "cnss", "--dataset", "one"]
    done = run(*words, "--keys", small / "keys", "--releases", small / "releases", check=False)
    [line] = done.stderr.splitlines()
    assert done.returncode == 2
    assert "no\\x1b[2J\\n\\u202eسجل" in line


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        # One that nobody foresaw, in the midst of a command: the hook stays while commands run.
        (
            "AttributeError('Test Person')",
            3,
            "AttributeError in <string>, line 4: a fault of this program, or of the machine",
        ),
        ("KeyboardInterrupt", 130, "stopped"),
        ("RuntimeError('Query interrupted')", 130, "stopped"),  # DuckDB's word for it
    ],
)
def test_what_ends_a_command_in_its_midst_is_told(fault: str, code: int, said: str, small: Path) -> None:
    program = (
        "from breachcheck.store import reader\nfrom breachcheck.__main__ import main\n"
        f"def broken(*_):\n    raise {fault}\n"
        "reader.open_release = broken\nmain()\n"
    )
    words = ["release", "show", "--releases", str(small)]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, f"breachcheck: {said}\n")


def test_a_fault_in_a_thread_ends_the_program() -> None:
    program = (
        "import threading, time\nfrom breachcheck import __main__, cli\n"
        "def main():\n    threading.Thread(target=lambda: 1 / 0).start()\n    time.sleep(60)\n"
        "cli.main = main\n__main__.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [("--valid-days", "99999999"), ("--valid-days", "0"), ("--workers", "100000"), ("--k-members", "1" + "0" * 40)],
)
def test_numbers_beyond_measure_are_wrong_use(small: Path, option: str, value: str) -> None:
    code, stderr = _shell(f"{_words(small, 'ingest')} {option} {value}")
    assert code == 2, stderr


def test_a_port_that_is_none_is_wrong_use_before_the_demo_begins(tmp_path: Path) -> None:
    done = run("demo", "--folder", tmp_path / "demo", "--port", "99999", check=False)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])


def test_a_port_that_is_taken_is_told_before_the_demo_begins(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = run("demo", "--folder", tmp_path / "demo", "--port", other.getsockname()[1], check=False)
    assert (done.returncode, list(tmp_path.iterdir())) == (3, [])
    assert "Address already in use" in done.stderr


@pytest.mark.parametrize("name", ["base64", "hex", "rot13", "idna", "undefined", "zip", "no such", "utf-8\\u0000"])
def test_only_encodings_of_text_are_encodings(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(MAPPING.format(name))
    with pytest.raises(InputError, match="encoding"):
        read_mapping(str(path))


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "cp1256", "latin-1", "UTF-16", "utf-16-le", "mac_arabic"])
def test_encodings_of_text_are_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(MAPPING.format(name))
    assert read_mapping(str(path)).encoding == name


def test_a_file_that_is_not_in_its_encoding_is_an_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunks(path: Path, mapping: Mapping) -> list[object]:  # noqa: ARG001
        raise UnicodeError("UTF-16 stream does not start with BOM")

    monkeypatch.setattr(stages, "chunks", chunks)
    with pytest.raises(InputError) as refused:
        ingest_small(tmp_path, leak(tmp_path / "leak.csv", ROW))
    assert refused.value.reason == "encoding"


def test_a_folder_with_a_name_that_no_release_has_spends_no_number(copy: Path) -> None:
    before = reader.numbers(copy / "releases")
    for name in ("99999999999999999999", "9007199254740992", "٣", "007"):
        (copy / "releases" / name).mkdir()
    assert reader.numbers(copy / "releases") == before
    spent = int((copy / "keys" / key_room.RELEASE_NUMBER).read_text())
    assert ingest_small(copy, copy / "leak.csv").manifest.release == spent + 1
    assert (copy / "keys" / key_room.RELEASE_NUMBER).read_text() == f"{spent + 1}\n"


@pytest.mark.parametrize("text", ["9007199254740992", "9007199254740991", "-5", "1_0", "", "9" * 5000, "1.0", "é"])
def test_a_release_number_out_of_range_is_refused_and_stays(copy: Path, text: str) -> None:
    path = copy / "keys" / key_room.RELEASE_NUMBER
    path.write_text(text)
    with pytest.raises(ReleaseError, match="does not hold a number"):
        key_room.read_steward(copy / "keys").spend_release_number(1)
    assert path.read_text() == text


def test_a_ledger_that_is_damaged_in_its_midst_is_said_to_be(copy: Path) -> None:
    ledger = copy / "keys" / FILE
    content = bytearray(ledger.read_bytes())
    for at in range(3 * 4096, len(content)):
        content[at] ^= 0xA5
    ledger.write_bytes(content)
    done = run(*shlex.split(_words(copy, "ingest"))[3:], check=False)
    assert done.returncode == 3
    assert done.stderr.startswith(f"breachcheck: unreadable: {FILE}")
    assert done.stderr.count("\n") == 1


def test_the_last_resort_tells_the_place_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    for fault in (ValueError("Test Person"), KeyboardInterrupt()):
        at: TracebackType | None = None
        try:
            raise fault
        except (ValueError, KeyboardInterrupt) as error:
            at = error.__traceback__
        door._last_resort(type(fault), fault, at)
    assert ended == [3, 130]
    said = capfd.readouterr().err
    assert "Test Person" not in said
    assert "ValueError in test_exit_codes.py, line " in said


def test_several_lines_are_not_answered_as_one(tmp_path: Path) -> None:
    done = run("check", "phone", "--url", "http://127.0.0.1:9", "--publisher-key", _key(tmp_path), check=False,
               stdin="0612345678\n0612345679\n")  # fmt: skip
    assert (done.returncode, "several_lines" in done.stderr) == (2, True)


def _key(tmp_path: Path) -> Path:
    run("keys", "init", "--keys", tmp_path / "keys")
    return tmp_path / "keys" / "publisher.pub"
