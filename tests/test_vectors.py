"""Replay every vector file against the code: those of the RFCs, and our own, which `scripts/vectors` writes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from breachcheck.errors import InputError, ProtocolError
from breachcheck.exposure import Exposed, Flag, NotFound
from breachcheck.protocol import bucket, canary, client, entry, merkle, messages, oprf
from breachcheck.protocol.encoding import encode, hkdf_expand
from breachcheck.protocol.identifier import KINDS, Identifier, identify
from breachcheck.protocol.manifest import Manifest, open_signed, sign
from breachcheck.protocol.parameters import SLOW_HASHES, STANDARD, TESTING_ONLY
from breachcheck.protocol.server import Evaluator
from breachcheck.protocol.slow_hash import slow_hash, slow_hash_bulk

Vector = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parent.parent
VECTORS: Final = ROOT / "tests" / "vectors"
OURS: Final = (
    "canaries",
    "checks",
    "encoding",
    "entries",
    "evaluation",
    "identifiers",
    "maintenance",
    "manifest",
    "pages",
    "slow_hash",
)


def load(name: str) -> Vector:
    content: Vector = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return content


RFC_9497, RFC_9162, RFC_9496, RFC_9106 = map(load, ("rfc9497", "rfc9162", "ristretto255", "argon2id"))
CANARIES, CHECKS, ENCODING, ENTRIES, EVALUATION, IDENTIFIERS, MAINTENANCE, MANIFEST, PAGES, SLOW_HASH = map(load, OURS)


def each(vectors: Sequence[Vector], *parts: str) -> pytest.MarkDecorator:
    """Run the test once a vector, under the vector's name."""
    names = ["-".join(str(vector[part]) for part in (*parts, "name")) for vector in vectors]
    return pytest.mark.parametrize(
        "vector", vectors, ids=[name.encode("ascii", "backslashreplace").decode() for name in names]
    )


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


def each_octets(texts: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def reason_of(step: Callable[[], object]) -> str:
    with pytest.raises((InputError, ProtocolError)) as caught:
        step()
    return str(caught.value.reason)


# --- RFC 9497, Appendix A.1.2 -----------------------------------------------------------------------------------------


def test_rfc9497_key_is_derived() -> None:
    sk, pk = oprf.derive_key_pair(octets(RFC_9497["seed"]), octets(RFC_9497["key_info"]))
    assert (sk.hex(), pk.hex()) == (RFC_9497["sk"], RFC_9497["pk"])
    assert oprf.public_key(sk) == pk


@each(RFC_9497["vectors"])
def test_rfc9497(vector: Vector) -> None:
    sk, pk = octets(RFC_9497["sk"]), octets(RFC_9497["pk"])
    inputs, blinds = each_octets(vector["inputs"]), each_octets(vector["blinds"])
    blinded = [oprf._blind(message, scalar) for message, scalar in zip(inputs, blinds, strict=True)]
    assert blinded == each_octets(vector["blinded_elements"])
    evaluated, proof = oprf._blind_evaluate(sk, pk, blinded, octets(vector["proof_random_scalar"]))
    assert evaluated == each_octets(vector["evaluated_elements"])
    assert proof == octets(vector["proof"])
    assert oprf.verify_proof(pk, blinded, evaluated, proof)
    outputs = [oprf.finalize(*one) for one in zip(inputs, blinds, evaluated, strict=True)]
    assert outputs == each_octets(vector["outputs"]) == [oprf.evaluate(sk, message) for message in inputs]


# --- RFC 9162 §2.1 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(len(RFC_9162["leaves"]) + 1))
def test_rfc9162_root(size: int) -> None:
    tree = merkle.Tree(map(merkle.leaf_hash, each_octets(RFC_9162["leaves"][:size])))
    assert tree.root.hex() == ([RFC_9162["empty_root"]] + RFC_9162["roots"])[size]


@each(RFC_9162["inclusion"])
def test_rfc9162_inclusion(vector: Vector) -> None:
    leaf = octets(vector["leaf_hash"]) if "leaf_hash" in vector else merkle.leaf_hash(octets(vector["leaf"]))
    path = each_octets(vector["path"])
    holds = merkle.verify_inclusion(leaf, vector["leaf_index"], vector["tree_size"], path, octets(vector["root"]))
    assert holds == vector["valid"]


def test_rfc9162_paths_are_made() -> None:
    hashes = [merkle.leaf_hash(leaf) for leaf in each_octets(RFC_9162["leaves"])]
    made = 0
    for vector in RFC_9162["inclusion"]:
        size, index = vector["tree_size"], vector["leaf_index"]
        if vector["valid"] and size <= len(hashes) and vector["root"] == RFC_9162["roots"][size - 1]:
            assert merkle.Tree(hashes[:size]).path(index) == each_octets(vector["path"]), vector["name"]
            made += 1
    assert made > 3


# --- RFC 9496, Appendix A ---------------------------------------------------------------------------------------------


@each(RFC_9496["invalid"])
def test_rfc9496_invalid_encoding_is_refused(vector: Vector) -> None:
    element = octets(vector["encoding"])
    assert reason_of(lambda: oprf.check_element(element)) == "element"


def test_rfc9496_multiples() -> None:
    identity, *multiples = each_octets(RFC_9496["multiples"])
    assert reason_of(lambda: oprf.check_element(identity)) == "element"
    for factor, element in enumerate(multiples, start=1):
        assert oprf.check_element(element) == element == oprf.public_key(factor.to_bytes(32, "little"))


@pytest.mark.parametrize("vector", RFC_9496["one_way_map"], ids=lambda vector: vector["name"])
def test_rfc9496_one_way_map(vector: Vector) -> None:
    assert oprf._from_uniform(octets(vector["uniform_bytes"])) == octets(vector["element"])


# --- RFC 9106 ---------------------------------------------------------------------------------------------------------


@each([vector for vector in RFC_9106["vectors"] if vector["plain"]])
def test_argon2id(vector: Vector) -> None:
    tag = hash_secret_raw(
        secret=octets(vector["password"]),
        salt=octets(vector["salt"]),
        time_cost=vector["iterations"],
        memory_cost=vector["memory_kib"],
        parallelism=vector["parallelism"],
        hash_len=len(vector["tag"]) // 2,
        type=Type.ID,
        version=RFC_9106["version"],
    )
    assert tag.hex() == vector["tag"]


# --- Identifiers ------------------------------------------------------------------------------------------------------


def test_rules_digests() -> None:
    assert {kind: rules.digest.hex() for kind, rules in KINDS.items()} == IDENTIFIERS["rules"]


@each(IDENTIFIERS["good"], "kind")
def test_identifier(vector: Vector) -> None:
    assert identify(vector["kind"], vector["text"]) == Identifier(vector["kind"], vector["canonical"])


@each(IDENTIFIERS["bad"], "kind")
def test_identifier_is_refused(vector: Vector) -> None:
    assert reason_of(lambda: identify(vector["kind"], vector["text"])) == vector["reason"]


@pytest.mark.parametrize("vector", IDENTIFIERS["code_points"]["kinds"], ids=lambda vector: vector["kind"])
def test_every_code_point_of_the_basic_plane(vector: Vector) -> None:
    # Those of the other planes are proved where the files are written anew, below.
    canonical, number = KINDS[vector["kind"]].canonical, vector["number"]
    front, back = number[: len(number) // 2], number[len(number) // 2 :]
    digest = hashlib.sha256()
    for c in map(chr, range(0x10000)):
        for text in (c + number, front + c + back, number + c):
            try:
                outcome = f"={canonical(text)}\n"
            except InputError as error:
                outcome = f"!{error.reason}\n"
            digest.update(outcome.encode())
    assert digest.hexdigest() == vector["basic"]


# --- Encoding and slow hash -------------------------------------------------------------------------------------------


@each(ENCODING["encode"])
def test_encode(vector: Vector) -> None:
    assert encode(vector["purpose"], *each_octets(vector["parts"])) == octets(vector["octets"])


@each(ENCODING["expand"])
def test_expand(vector: Vector) -> None:
    expanded = octets(vector["octets"])
    assert hkdf_expand(octets(vector["key"]), octets(vector["info"]), len(expanded)) == expanded


@pytest.mark.parametrize("implementation", [slow_hash, slow_hash_bulk])
@each(SLOW_HASH["vectors"])
def test_slow_hash(vector: Vector, implementation: Callable[..., bytes]) -> None:
    parameters = SLOW_HASHES[vector["parameters"]["name"]]
    assert dataclasses.asdict(parameters) == vector["parameters"]
    identifier = Identifier(vector["kind"], vector["canonical"])
    assert encode("slow-hash", identifier.kind.encode(), identifier.canonical.encode()) == octets(vector["password"])
    assert implementation(identifier, octets(vector["salt"]), parameters) == octets(vector["slow_hash"])


# --- Evaluation -------------------------------------------------------------------------------------------------------


@each(EVALUATION["good"])
def test_evaluation(vector: Vector) -> None:
    sk, pk = octets(EVALUATION["secret_key"]), octets(EVALUATION["public_key"])
    inputs, blinds = each_octets(vector["inputs"]), each_octets(vector["blinds"])
    blinded = [oprf._blind(message, scalar) for message, scalar in zip(inputs, blinds, strict=True)]
    assert messages.encode_request(blinded) == octets(vector["request"])
    assert messages.decode_request(octets(vector["request"])) == blinded
    evaluated, proof = messages.decode_response(octets(vector["response"]))
    assert oprf._blind_evaluate(sk, pk, blinded, octets(EVALUATION["proof_random_scalar"])) == (evaluated, proof)
    assert oprf.verify_proof(pk, blinded, evaluated, proof)
    outputs = [oprf.finalize(*one) for one in zip(inputs, blinds, evaluated, strict=True)]
    assert outputs == each_octets(vector["outputs"])


@each(MAINTENANCE["notices"])
def test_a_notice_of_maintenance(vector: Vector) -> None:
    notice = messages.read_maintenance(octets(vector["body"]))
    assert notice and f"{notice.until:%Y-%m-%dT%H:%M:%SZ}" == vector["until"]


@each(MAINTENANCE["others"])
def test_what_is_no_notice_of_maintenance(vector: Vector) -> None:
    assert messages.read_maintenance(octets(vector["body"])) is None


@each(EVALUATION["bad_responses"])
def test_evaluation_is_refused(vector: Vector) -> None:
    blinded = oprf._blind(octets(vector["input"]), octets(vector["blind"]))

    def proved() -> bool:
        elements, proof = messages.decode_response(octets(vector["response"]))
        return oprf.verify_proof(octets(EVALUATION["public_key"]), [blinded], elements, proof)

    if vector["reason"] == "evaluation_proof":
        assert not proved()
    else:
        assert reason_of(proved) in ("evaluate_response", "element", "scalar")


@each(EVALUATION["bad_requests"])
def test_request_is_refused(vector: Vector) -> None:
    assert reason_of(lambda: messages.decode_request(octets(vector["request"]))) == vector["reason"]


# --- Entries ----------------------------------------------------------------------------------------------------------


@each(ENTRIES["seal"])
def test_seal(vector: Vector) -> None:
    y, payload = octets(ENTRIES["output"]), entry.Payload(vector["fields"], Flag(vector["flags"]))
    sealed = entry.seal(y, vector["dataset"], vector["release"], payload)
    assert sealed == octets(vector["entry"])
    assert entry.find(y, vector["dataset"], vector["release"], sealed) == payload


def find(vector: Vector) -> entry.Payload | None:
    return entry.find(octets(ENTRIES["output"]), ENTRIES["dataset"], ENTRIES["release"], octets(vector["entries"]))


@each(ENTRIES["find"])
def test_find(vector: Vector) -> None:
    found = vector["found"]
    assert find(vector) == (found and entry.Payload(found["fields"], Flag(found["flags"])))


@each(ENTRIES["bad"])
def test_entry_is_refused(vector: Vector) -> None:
    assert reason_of(lambda: find(vector)) == "entry"


# --- Buckets and pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", PAGES["locators"], ids=lambda vector: vector["kind"])
def test_locator(vector: Vector) -> None:
    locator = entry.locate(octets(vector["output"]), vector["kind"])
    assert f"{locator:016x}" == vector["locator"]
    assert {bits: bucket.Layout(int(bits), 1).bucket_of(locator) for bits in vector["buckets"]} == vector["buckets"]


@each(PAGES["choose_prefix_bits"])
def test_prefix_bits_are_chosen(vector: Vector) -> None:
    assert bucket.choose_prefix_bits(vector["members"]) == (vector["prefix_bits"], vector["members_min"])


@pytest.mark.parametrize("vector", PAGES["widest"], ids=lambda vector: str(vector["population"]))
def test_widest(vector: Vector) -> None:
    assert bucket.widest(vector["population"]) == vector["prefix_bits"]


def open_page(vector: Vector) -> bytes:
    layout = bucket.Layout(vector["prefix_bits"], vector["entries_per_bucket"])
    assert layout.page_length == vector["page_length"]
    assert f"{vector['bucket']:06x}" == vector["name_in_url"]
    return bucket.open_page(octets(vector["page"]), layout, vector["bucket"], octets(vector["root"]))


@each(PAGES["good"])
def test_page(vector: Vector) -> None:
    assert open_page(vector) == octets(vector["page"])[: vector["entries_per_bucket"] * 24]


@each(PAGES["bad"])
def test_page_is_refused(vector: Vector) -> None:
    word = {"bucket_length": "page_length", "bucket_proof": "page_proof"}[vector["reason"]]
    assert reason_of(lambda: open_page(vector)) == word


# --- Manifest ---------------------------------------------------------------------------------------------------------


@each(MANIFEST["good"])
def test_manifest(vector: Vector) -> None:
    manifest = open_signed(octets(vector["signed"]), octets(MANIFEST["publisher_key"]))
    assert json.loads(manifest.model_dump_json()) == vector["content"]
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


@each(MANIFEST["bad"])
def test_manifest_is_refused(vector: Vector) -> None:
    signed, key = octets(vector["signed"]), octets(MANIFEST["publisher_key"])
    assert reason_of(lambda: open_signed(signed, key)) == vector["reason"]


def test_manifest_longer_than_a_mebibyte_is_refused_before_anything_else() -> None:
    good = octets(MANIFEST["good"][0]["signed"])
    assert reason_of(lambda: open_signed(good.ljust(2**20 + 1), octets(MANIFEST["publisher_key"]))) == (
        "manifest_malformed"
    )
    assert reason_of(lambda: open_signed(good.ljust(2**20), octets(MANIFEST["publisher_key"]))) == "manifest_signature"


def test_what_the_publisher_signs_opens() -> None:
    publisher = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    manifest = open_signed(octets(MANIFEST["good"][0]["signed"]), octets(MANIFEST["publisher_key"]))
    assert open_signed(sign(manifest, publisher), publisher.public_key().public_bytes_raw()) == manifest


# --- Whole checks -----------------------------------------------------------------------------------------------------


def verdict_of(vector: Vector) -> tuple[str, Vector]:
    """Return the stage at which the check ended, and its verdict as the vectors write it."""
    stage = "identifier"
    try:
        identifier = identify(vector["kind"], vector["text"])
        stage = "manifest"
        now = datetime.strptime(vector["now"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        signed = octets(CHECKS["manifests"][vector["manifest"]])
        manifest = client.accept_manifest(signed, octets(vector["publisher_key"]), now, vector["last_seen"])
        stage = "start"
        blinded, _ = client.start(manifest, identifier)
        # Known answers need the known blind in place of the random one.
        element = oprf._blind(blinded.message, octets(vector["blind"]))
        blinded = dataclasses.replace(blinded, scalar=octets(vector["blind"]), element=element)
        stage = "evaluation"
        located = client.locate(blinded, octets(vector["response"]))
        stage = "bucket"
        assert messages.encode_request([element]) == octets(vector["request"])
        path = f"/v1/releases/{manifest.release}/buckets/{located.table.kind}/{located.bucket:06x}"
        assert path == vector["path"]
        verdict = client.conclude(located, octets(vector["page"]))
    except InputError as error:
        return stage, {"verdict": "invalid", "reason": error.reason}
    except ProtocolError as error:
        stage = "entry" if error.reason == "entry_malformed" else stage
        return stage, {"verdict": "undetermined", "reason": error.reason}
    return "verdict", as_json(verdict)


def as_json(verdict: Exposed | NotFound) -> Vector:
    exposures = verdict.exposures if isinstance(verdict, Exposed) else ()
    return {
        "verdict": "exposed" if isinstance(verdict, Exposed) else "not_found",
        "release": verdict.release,
        "breaches": [
            {"dataset": e.dataset, "fields": list(e.fields), "employer": e.employer, "shared": e.shared}
            for e in exposures
        ],
        "checked": list(verdict.checked),
        "unchecked": [{"dataset": one.dataset, "kinds": list(one.kinds)} for one in verdict.unchecked],
        "coverage": [dataclasses.asdict(one) for one in verdict.coverage],
    }


@each(CHECKS["good"])
def test_check(vector: Vector) -> None:
    assert verdict_of(vector) == ("verdict", vector["verdict"])


@each(CHECKS["bad"])
def test_false_check(vector: Vector) -> None:
    assert verdict_of(vector) == (vector["stage"], vector["verdict"])


def test_evaluator_answers_what_the_vectors_hold() -> None:
    vector = CHECKS["good"][0]
    evaluator = Evaluator(octets(EVALUATION["secret_key"]))
    elements, _ = messages.decode_response(evaluator.answer(messages.decode_request(octets(vector["request"]))))
    assert elements == messages.decode_response(octets(vector["response"]))[0]


def test_one_whole_check_has_the_standard_parameters() -> None:
    key = octets(MANIFEST["publisher_key"])
    signed = [octets(CHECKS["manifests"][vector["manifest"]]) for vector in CHECKS["good"]]
    assert STANDARD in {open_signed(one, key).parameters for one in signed}


# --- Canaries ---------------------------------------------------------------------------------------------------------


@each([vector | {"name": f"{vector['kind']} {vector['canonical']}"} for vector in CANARIES["members"]])
def test_canary(vector: Vector) -> None:
    identifier = canary.member(vector["kind"], vector["dataset"], vector["release"])
    y = canary_output(vector, identifier)
    payload = entry.Payload(vector["fields"])
    assert entry.seal(y, vector["dataset"], vector["release"], payload) == octets(vector["entry"])
    assert entry.find(y, vector["dataset"], vector["release"], octets(vector["entry"])) == payload


@each([vector | {"name": f"{vector['kind']} {vector['canonical']}"} for vector in CANARIES["absent"]])
def test_absent_canary(vector: Vector) -> None:
    canary_output(vector, canary.absent(vector["kind"], vector["release"]))


def canary_output(vector: Vector, identifier: Identifier) -> bytes:
    """Return the output of a canary, having compared every step on the way to it with the vector."""
    assert identifier == Identifier(vector["kind"], vector["canonical"])
    assert encode("slow-hash", vector["kind"].encode(), vector["canonical"].encode()) == octets(vector["password"])
    s = slow_hash(identifier, octets(CANARIES["service_salt"]), TESTING_ONLY)
    assert s == octets(vector["slow_hash"])
    y = oprf.evaluate(octets(CANARIES["secret_key"]), s)
    assert y == octets(vector["output"])
    assert entry.locate(y, vector["kind"]) == int(vector["locator"], 16)
    return y


@each([vector | {"name": f"{vector['kind']} {vector['text']}"} for vector in CANARIES["refused"]])
def test_nobody_can_type_a_canary(vector: Vector) -> None:
    assert vector["reason"] != "accepted"
    assert reason_of(lambda: identify(vector["kind"], vector["text"])) == vector["reason"]


# --- The files --------------------------------------------------------------------------------------------------------


def _numbers(content: object) -> list[int]:
    if isinstance(content, dict):
        return [number for value in content.values() for number in _numbers(value)]
    if isinstance(content, list):
        return [number for value in content for number in _numbers(value)]
    return [content] if isinstance(content, int) else []


@pytest.mark.parametrize("name", OURS)
def test_integers_are_safe_in_javascript(name: str) -> None:
    assert all(-(2**53) < number < 2**53 for number in _numbers(load(name)))


def test_files_are_written_anew_without_a_difference(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "vectors", tmp_path], check=True)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(OURS)
    for name in OURS:
        assert (tmp_path / f"{name}.json").read_bytes() == (VECTORS / f"{name}.json").read_bytes(), name
