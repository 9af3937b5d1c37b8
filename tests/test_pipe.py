"""The main job, end to end: leak in, sealed release out, and a person learns which fields of theirs were exposed."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from breachcheck import Client, Exposed, NotFound
from breachcheck.cli import public
from breachcheck.errors import InputError, ReleaseError
from breachcheck.protocol.identifier import KINDS
from breachcheck.store.reader import open_release
from breachcheck.synth import nonmember
from tests.world import BREACHCHECK, LEAKED_KINDS, World, run, serving


def test_everybody_in_the_leak_learns_exactly_their_fields(world: World, service: str) -> None:
    answers = world.answers()
    assert {answer["kind"] for answer in answers} == set(LEAKED_KINDS)
    with Client(service, publisher_key=world.publisher) as client:
        for answer in answers:
            verdict = client.check(answer["kind"], answer["identifier"])
            assert isinstance(verdict, Exposed), verdict
            [exposure] = verdict.exposures
            assert (exposure.dataset, list(exposure.fields)) == ("demo", answer["exposed"])


def test_two_thousand_who_are_not_in_it_are_not_found(world: World, service: str) -> None:
    with Client(service, publisher_key=world.publisher) as client:
        for index in range(400):
            for kind in LEAKED_KINDS:
                verdict = client.check(kind, nonmember(kind, index))
                assert verdict == NotFound(release=1, checked=("demo",), unchecked=())


def _phone(world: World) -> str:
    spelled: str = next(answer["identifier"] for answer in world.answers() if answer["kind"] == "phone")
    return KINDS["phone"].canonical(spelled)


@pytest.mark.parametrize(
    "spelling",
    ["0{0}", "{0}", "+212 {0}", "00212{0}", "+212 (0){0}", "0{1} {2}", "‏0{0}‏", "\u202a+212{0}\u202c"],
)
def test_a_phone_is_the_same_person_however_it_is_written(world: World, service: str, spelling: str) -> None:
    nine = _phone(world)
    text = spelling.format(nine, nine[:1], nine[1:])
    with Client(service, publisher_key=world.publisher) as client:
        assert client.check("phone", text) == client.check("phone", f"0{nine}")
        assert isinstance(client.check("phone", text), Exposed)


@pytest.mark.parametrize("zero", ["٠", "۰", "０"])
def test_digits_of_other_scripts_are_the_same_digits(world: World, service: str, zero: str) -> None:
    with Client(service, publisher_key=world.publisher) as client:
        for kind in ("phone", "social_security", "bank_account"):
            text = next(answer["identifier"] for answer in world.answers() if answer["kind"] == kind)
            other = "".join(chr(ord(zero) + int(sign)) if sign in "0123456789" else sign for sign in text)
            assert client.check(kind, other) == client.check(kind, text)


def test_a_rib_and_its_iban_are_one_account(world: World, service: str) -> None:
    rib = next(answer["identifier"] for answer in world.answers() if answer["kind"] == "bank_account")
    rib = KINDS["bank_account"].canonical(rib)
    with Client(service, publisher_key=world.publisher) as client:
        verdicts = [client.check("bank_account", text) for text in (rib, f"MA64{rib}", f"ma64 {rib[:12]} {rib[12:]}")]
    assert isinstance(verdicts[0], Exposed)
    assert verdicts[0] == verdicts[1] == verdicts[2]


def test_what_is_no_identifier_is_refused_before_anything_is_sent(world: World) -> None:
    with Client("http://127.0.0.1:9", publisher_key=world.publisher) as client, pytest.raises(InputError):
        client.check("phone", "6.12E+08")


# --- the command line -------------------------------------------------------------------------------------------------


def _check(world: World, service: str, kind: str, text: str, *words: object) -> subprocess.CompletedProcess[str]:
    words = (*words, "--url", service, "--publisher-key", world.publisher)
    return run("check", kind, *words, check=False, stdin=f"{text}\n", env={"XDG_STATE_HOME": str(world.root / "state")})


def test_check_prints_json_as_others_script_against_it(world: World, service: str) -> None:
    answer = world.answers()[0]
    done = _check(world, service, answer["kind"], answer["identifier"], "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "verdict": "exposed",
        "reason": None,
        "release": 1,
        "breaches": [{"dataset": "demo", "fields": answer["exposed"], "employer": False, "shared": False}],
        "checked": ["demo"],
        "unchecked": [],
        "coverage": [covered(world)],
    }
    assert done.stderr == ""


def test_check_exits_0_when_proved_not_to_be_found(world: World, service: str) -> None:
    done = _check(world, service, "phone", nonmember("phone", 1), "--json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (0, "not_found")


def test_check_exits_2_for_what_is_no_identifier(world: World, service: str) -> None:
    done = _check(world, service, "phone", "0612", "--json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (2, "invalid")
    assert "0612" not in done.stdout + done.stderr


def test_check_exits_3_when_it_could_not_check(world: World) -> None:
    done = _check(world, "http://127.0.0.1:9", "phone", nonmember("phone", 1), "--json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (3, "undetermined")


def test_in_words_it_never_says_safe_and_never_shows_a_zero(world: World, service: str) -> None:
    absent = _check(world, service, "phone", nonmember("phone", 1))
    failed = _check(world, "http://127.0.0.1:9", "phone", nonmember("phone", 1))
    assert absent.stdout.startswith("Not found in: demo (release 1).")
    assert "may still be in files that were not checked" in absent.stdout
    assert failed.stdout.startswith("We could not check. This is not a result.")
    for text in (absent.stdout, failed.stdout):
        assert "safe" not in text.lower()
        assert " 0 " not in text


def test_an_identifier_is_not_taken_from_the_command_line(world: World, service: str) -> None:
    done = run("check", "phone", "0612345678", "--url", service, "--publisher-key", world.publisher, check=False)
    assert done.returncode == 2


def test_the_command_line_remembers_the_release_it_saw(world: World, service: str) -> None:
    state = world.root / "state"
    _check(world, service, "phone", nonmember("phone", 1))
    [memory] = [path for path in state.rglob("*.json") if path.is_file()]
    memory.write_text(memory.read_text().replace(":1}", ":2}"))
    done = _check(world, service, "phone", nonmember("phone", 1), "--json")
    memory.unlink()
    assert (done.returncode, json.loads(done.stdout)["reason"]) == (3, "release_rolled_back")


def _typed(world: World, service: str, keys: bytes) -> int:
    """Return the exit code of a check at whose prompt these keys are pressed."""
    words = ("check", "phone", "--url", service, "--publisher-key", world.publisher)
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - another process
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests in the background ignores it
        os.execv(BREACHCHECK[0], [*BREACHCHECK, *map(str, words)])
    said = b""
    while b"phone: " not in said:
        said += os.read(terminal, 1024)
    deadline = time.monotonic() + 30
    ended = status = 0
    while not ended and time.monotonic() < deadline:
        os.write(terminal, keys)  # more than once: what comes before the prompt reads is thrown away
        time.sleep(0.5)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status) if ended else -1


@pytest.mark.parametrize(
    ("keys", "code"), [(b"\x04", 3), (b"\x03", 3), (b"0612\n", 2)], ids=["ctrl-d", "ctrl-c", "short"]
)
def test_at_the_prompt_only_somebody_exposed_ends_with_1(world: World, service: str, keys: bytes, code: int) -> None:
    assert _typed(world, service, keys) == code


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("{check} <&-", 2),
        ("{check} </dev/null", 2),
        ("printf '\\377\\376' | PYTHONIOENCODING=utf-8:strict {check}", 2),
        ("head -c 10000000 /dev/zero | {check}", 2),
        ("printf '{absent}' | {check} >/dev/full", 3),
        ("printf '{absent}' | {check}", 0),
        ("printf '{absent}\\r\\n' | {check}", 0),
    ],
)
def test_whatever_happens_to_its_input_and_output_it_never_ends_with_1(
    world: World, service: str, shell: str, code: int
) -> None:
    words = ("check", "phone", "--url", service, "--publisher-key", world.publisher, "--json")
    check = shlex.join([*BREACHCHECK, *map(str, words)])
    done = subprocess.run(
        ["sh", "-c", shell.format(check=check, absent=nonmember("phone", 7))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_who_has_no_home_is_told_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ReleaseError, match="--memory"):
        public._memory()


def test_a_closed_pipe_behind_it_is_not_an_exposure(world: World, service: str) -> None:
    words = ("check", "phone", "--url", service, "--publisher-key", world.publisher, "--json")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [*BREACHCHECK, *map(str, words)], input=nonmember("phone", 8).encode(), stdout=closed, check=False
        )
    assert done.returncode == 3


def test_release_verify_and_show(world: World) -> None:
    done = run("release", "verify", "--releases", world.releases, "--publisher-key", world.publisher)
    assert "signature and" in done.stdout
    assert "testing-only" in run("release", "show", "--releases", world.releases).stdout


def test_release_verify_refuses_another_publisher(world: World, tmp_path: Path) -> None:
    run("keys", "init", "--keys", tmp_path / "keys")
    other = tmp_path / "keys" / "publisher.pub"
    done = run("release", "verify", "--releases", world.releases, "--publisher-key", other, check=False)
    assert done.returncode == 3
    assert "manifest_signature" in done.stderr


def test_serve_refuses_a_release_for_tests_unless_asked_by_name(world: World) -> None:
    done = run("serve", "--releases", world.releases, "--keys", world.keys, "--port", 0, check=False)
    assert done.returncode == 3
    assert "testing" in done.stderr


def test_keys_are_never_overwritten(world: World) -> None:
    before = {
        path.name: path.read_bytes() for path in world.keys.glob("*.*") if path.suffix in {".key", ".pub", ".salt"}
    }
    assert run("keys", "init", "--keys", world.keys, check=False).returncode == 3
    assert before == {path.name: path.read_bytes() for path in world.keys.iterdir() if path.name in before}


def test_the_demo_runs_and_its_printed_answer_is_right(tmp_path: Path) -> None:
    from tests.world import free_port

    command = [*BREACHCHECK, "demo", "--once", "--folder", str(tmp_path), "--people", "12", "--port", str(free_port())]
    done = subprocess.run(command, text=True, capture_output=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    printed = next(line for line in done.stdout.splitlines() if line.startswith("  demo: "))
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text("utf-8").splitlines()]
    spelled = next(line for line in done.stdout.splitlines() if line.startswith("phone: ")).removeprefix("phone: ")
    [answer] = [one for one in answers if (one["kind"], one["identifier"]) == ("phone", spelled)]
    assert printed == f"  demo: {', '.join(answer['exposed'])}"


# --- one person in several files --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A leak of two files of different shapes, each a dataset; the second is added to what the first release holds."""
    world = World(tmp_path_factory.mktemp("two"))
    second, answers = world.root / "second.csv", world.root / "answers.jsonl"
    run("synth", "--people", 1200, "--seed", 5, "--out", world.leak, "--second", second, "--answers", answers)
    run("keys", "init", "--keys", world.keys)
    world.ingest(dataset="cnss")
    run(*world.ingest_words(second, dataset="bank", mapping="bank"))
    return world


def test_who_asks_by_any_number_learns_what_every_file_holds_of_them(two_files: World) -> None:
    answers = two_files.answers()
    linked = 0
    with serving(two_files) as url, Client(url, publisher_key=two_files.publisher) as client:
        for answer in answers:
            verdict = client.check(answer["kind"], answer["identifier"])
            assert isinstance(verdict, Exposed), verdict
            assert {one.dataset: list(one.fields) for one in verdict.exposures} == answer["breaches"]
            assert any(one.shared for one in verdict.exposures) == answer.get("shared", False)
            linked += answer["kind"] == "social_security" and "bank" in answer["breaches"]
    assert linked > 300, "nobody was found in the second file by a number that does not stand in it"


def covered(world: World) -> dict[str, object]:
    """Return what must be said of how much of the world's file could be read, for the kind of the first answer."""
    with open_release(world.releases) as release:
        [dataset] = release.manifest.datasets
    cells = dataset.identifiers_rejected.get(world.answers()[0]["kind"], {})
    return {
        "dataset": "demo",
        "rows_read": dataset.rows_read,
        "rows_accepted": dataset.rows_accepted,
        "identifiers_rejected": sum(cells.values()),
    }
