"""The page's scripts: types, tests, bundles; and Python and JavaScript against each other."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from breachcheck import Client, Exposed, NotFound, Undetermined
from breachcheck.errors import InputError
from breachcheck.exposure import Reason, Verdict
from breachcheck.protocol.identifier import KINDS, identify
from breachcheck.synth import nonmember
from tests.world import LEAKED_KINDS, World

sys.path.append(str(Path(__file__).resolve().parent.parent / "scripts"))
import build_web

VECTORS = Path(__file__).resolve().parent / "vectors"
# Octets over the wire, of all scripts together. Browsers take Brotli over HTTPS alone; what they get over HTTP is for
# trials.
SCRIPT_LIMITS = {"br": 30_000, "gz": 34_500}


@pytest.fixture(scope="session")
def node() -> Sequence[str]:
    """The command of a Node.js, with the packages installed that the scripts and their tests need."""
    return build_web.install(development=True).node


def run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        command, cwd=build_web.SCRIPTS, input=stdin, capture_output=True, encoding="utf-8", check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_types(node: Sequence[str]) -> None:
    run(*node, "node_modules/typescript/bin/tsc")


@pytest.mark.parametrize("suite", sorted(path.name for path in (build_web.SCRIPTS / "test").glob("*.test.js")))
def test_suites(node: Sequence[str], suite: str) -> None:
    said = run(*node, "--test", f"test/{suite}")
    assert int(re.findall(r"^(?:#|ℹ) pass (\d+)$", said, re.MULTILINE)[-1]) > 0
    assert re.findall(r"^(?:#|ℹ) (?:fail|cancelled|skipped|todo) (\d+)$", said, re.MULTILINE) == ["0"] * 4


# --- The bundles ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def assets() -> dict[str, dict[str, str]]:
    build_web.build()
    read: dict[str, dict[str, str]] = json.loads((build_web.DIST / "assets.json").read_text("utf-8"))
    return read


def test_bundles_are_what_their_names_and_digests_say(assets: dict[str, dict[str, str]]) -> None:
    assert set(assets) == {"page.js", "worker.js"}
    for asset in assets.values():
        content = (build_web.DIST / asset["file"]).read_bytes()
        assert asset["integrity"] == f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"
        assert gzip.decompress((build_web.DIST / f"{asset['file']}.gz").read_bytes()) == content
    there = {path.name for path in build_web.DIST.iterdir()}
    files = {asset["file"] for asset in assets.values()}
    compressed = {f"{file}.{coding}" for file in files for coding in ("gz", "br")}
    assert there == {"assets.json", build_web.STAMP.name} | files | compressed


@pytest.mark.parametrize("coding", SCRIPT_LIMITS)
def test_bundles_are_small(coding: str, assets: dict[str, dict[str, str]]) -> None:
    sizes = [(build_web.DIST / f"{asset['file']}.{coding}").stat().st_size for asset in assets.values()]
    assert sum(sizes) <= SCRIPT_LIMITS[coding]


def test_bundles_need_no_more_than_the_content_security_policy_allows(assets: dict[str, dict[str, str]]) -> None:
    for asset in assets.values():
        script = (build_web.DIST / asset["file"]).read_text("utf-8")
        assert not re.search(r"\beval\(|new Function|WebAssembly|innerHTML|import\(|https?://", script)
    worker = (build_web.DIST / assets["worker.js"]["file"]).read_text("utf-8")
    assert not re.search(r"^(import|export)\b|[;}](import|export)[ {*\"']|import\.meta", worker)  # a classic script


@pytest.mark.usefixtures("assets")
def test_building_again_does_nothing_until_a_source_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert build_web.is_built()
    rules = tmp_path / "rules"
    shutil.copytree(build_web.RULES, rules)
    with (rules / "fr.json").open("ab") as file:
        file.write(b"\n")
    monkeypatch.setattr(build_web, "ROOT", Path("/"))
    monkeypatch.setattr(build_web, "RULES", rules)
    assert not build_web.is_built()


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((build_web.SCRIPTS / "package-lock.json").read_text("utf-8"))
    packages = [package for name, package in lock["packages"].items() if name]
    assert len(packages) > 3
    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert not any("resolved" in package for package in packages)


@pytest.mark.usefixtures("assets")
def test_the_package_build_needs_no_node_once_the_bundles_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build_web, "find_node", lambda: None)
    unused: Any = None
    hook = build_web.get_build_hook()(str(build_web.ROOT), {}, unused, unused, "", "wheel")
    assert hook.dependencies() == []
    data: dict[str, Any] = {"artifacts": []}
    hook.initialize("standard", data)
    assert data["artifacts"] == ["/breachcheck/web/static/dist/"]
    monkeypatch.setattr(build_web, "STAMP", tmp_path / "none")
    assert hook.dependencies() == [build_web.NODE_PACKAGE]
    with pytest.raises(build_web.BuildError, match=r"Node\.js 18 or newer"):
        hook.initialize("standard", data)


# --- Python and JavaScript --------------------------------------------------------------------------------------------


def test_reasons_are_the_same_words() -> None:
    source = (build_web.SCRIPTS / "src/verdict.js").read_text("utf-8")
    match = re.search(r"@typedef \{([^}]+)\} Reason\b", source)
    assert match
    assert sorted(re.findall(r"'([a-z_]+)'", match[1])) == sorted(Reason)


def _texts(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Spellings good and bad: identifiers with all that Unicode has strewn into them, and texts of anything."""
    rng = random.Random(seed)
    good = json.loads((VECTORS / "identifiers.json").read_text("ascii"))["good"]
    plain = {vector["kind"]: vector["text"] for vector in good if vector["name"] == "plain number"}
    ranges = [(0, 0x7F), (0x80, 0x2FF), (0x600, 0x6FF), (0x2000, 0x206F), (0xFF00, 0xFFEF), (0, 0xFFFF), (0, 0x10FFFF)]

    def anything() -> str:
        code = rng.randint(*rng.choice(ranges))
        # UTF-16 makes one code point of two surrogates that meet, so of those only the high ones take part.
        return chr(0xD800 if 0xDC00 <= code <= 0xDFFF else code)

    for _ in range(count):
        kind = rng.choice(list(KINDS))
        if rng.random() < 0.2:
            yield kind, "".join(anything() for _ in range(rng.choice((0, 1, 5, 20, 511, 512, 513))))
            continue
        signs = list(plain[kind])
        if kind in LEAKED_KINDS and rng.random() < 0.5:
            signs = list(nonmember(kind, rng.randrange(1000)))
        for _ in range(rng.choice((0, 1, 2, 4))):
            at = rng.randrange(len(signs) + 1)
            change = rng.randrange(4)
            if change == 0 and at < len(signs):
                del signs[at]
            elif change == 1 and at < len(signs) and signs[at] in "0123456789":
                signs[at] = chr(ord(rng.choice("٠۰０")) + int(signs[at]))
            else:
                signs.insert(at, anything() if change == 2 else rng.choice(" -./()+\u200e\u202c\u00a0\u0640,E'"))
        yield kind, "".join(signs)


def _outcome(kind: str, text: str) -> dict[str, str]:
    try:
        return {"canonical": identify(kind, text).canonical}
    except InputError as error:
        return {"reason": error.reason}


def test_canonical_forms_agree_on_random_texts(node: Sequence[str]) -> None:
    texts = list(_texts(seed=1, count=20_000))
    said = run(*node, "test/canonical_lines.js", stdin="".join(f"{json.dumps(text)}\n" for text in texts))
    theirs = [json.loads(line) for line in said.splitlines()]
    ours = [_outcome(kind, text) for kind, text in texts]
    assert theirs == ours
    assert {outcome.get("reason") for outcome in ours} >= {None, "empty", "too_long", "format", "unexpected_character"}
    assert sum("canonical" in outcome for outcome in ours) > 4_000


def _plain(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JavaScript's plain object."""
    names = {Exposed: "exposed", NotFound: "not_found", Undetermined: "undetermined"}
    plain: dict[str, Any] = json.loads(json.dumps({"type": names[type(verdict)], **dataclasses.asdict(verdict)}))
    return plain


def test_javascript_opens_what_python_seals(node: Sequence[str], world: World, service: str) -> None:
    answers = random.Random(1).sample(world.answers(), 100)
    asked = [(answer["kind"], answer["identifier"]) for answer in answers]
    asked += [(kind, nonmember(kind, index)) for kind in LEAKED_KINDS for index in range(10)]
    key = world.publisher.read_text("ascii").strip()
    lines = "".join(f"{json.dumps(question)}\n" for question in asked)
    said = [json.loads(line) for line in run(*node, "test/check_lines.js", service, key, stdin=lines).splitlines()]
    with Client(service, publisher_key=world.publisher) as client:
        assert [each["verdict"] for each in said] == [_plain(client.check(*question)) for question in asked]
    found = [each["verdict"]["exposures"][0]["fields"] for each in said[:100]]
    assert found == [answer["exposed"] for answer in answers]
    assert {each["verdict"]["type"] for each in said[100:]} == {"not_found"}
    assert all(each["datasets"] == ["demo"] for each in said)


def test_python_opens_what_javascript_seals(node: Sequence[str]) -> None:
    command = [*node, "test/serve_lines.js"]
    with subprocess.Popen(
        command, cwd=build_web.SCRIPTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as served:
        assert served.stdout is not None
        release = json.loads(served.stdout.readline())
        with Client(release["base"], publisher_key=bytes.fromhex(release["publisher_key"])) as client:
            for text, verdict in release["truth"]:
                assert _plain(client.check(release["kind"], text)) == verdict
        served.communicate(timeout=30)
    assert served.returncode == 0
