"""Properties of the protocol for all inputs, searched by hypothesis, and that its specification says the same."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import itertools
import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

import breachcheck
from breachcheck.config import Settings
from breachcheck.errors import InputError, ProtocolError
from breachcheck.exposure import DataClass, Exposed, Exposure, Flag, NotFound, Reason, Unchecked, mask_of, names_of
from breachcheck.protocol import bucket, client, entry, merkle, messages, oprf, parameters
from breachcheck.protocol.encoding import encode, hkdf_expand
from breachcheck.protocol.identifier import KINDS, RULE_FILES, TABLES, Identifier, identify
from breachcheck.protocol.manifest import Manifest, open_signed, sign
from breachcheck.protocol.parameters import ENTRY_LENGTH, MAX_BATCH, SLOW_HASHES, STANDARD, TESTING_ONLY
from breachcheck.protocol.server import Evaluator
from breachcheck.protocol.slow_hash import slow_hash, slow_hash_bulk

PACKAGE: Final = Path(breachcheck.__file__).parent
SPECIFICATION: Final = (PACKAGE / "protocol" / "PROTOCOL.md").read_text("utf-8")

parts = st.lists(st.binary(max_size=40), max_size=5)
outputs = st.binary(min_size=64, max_size=64)
hashes = st.binary(min_size=32, max_size=32)
kinds = st.sampled_from(sorted(KINDS))
releases = st.integers(1, 2**53 - 1)
payloads = st.builds(entry.Payload, st.integers(1, 2**32 - 1), st.sampled_from([Flag.NONE, Flag.EMPLOYER]))

calm = settings(deadline=None)  # a busy machine is no fault of the code


# --- §2: encoding -----------------------------------------------------------------------------------------------------


@calm
@given(st.text(max_size=20), parts)
def test_encode_can_be_read_back(purpose: str, given_parts: Sequence[bytes]) -> None:
    octets, read = encode(purpose, *given_parts), []
    while octets:
        length = int.from_bytes(octets[:4], "big")
        read.append(octets[4 : 4 + length])
        octets = octets[4 + length :]
    assert read == [b"breachcheck-v1", purpose.encode(), *given_parts]


@calm
@given(st.tuples(st.text(max_size=3), parts), st.tuples(st.text(max_size=3), parts))
def test_encode_is_injective(one: tuple[str, list[bytes]], other: tuple[str, list[bytes]]) -> None:
    assert (encode(one[0], *one[1]) == encode(other[0], *other[1])) == (one == other)


@calm
@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(1, 64))
def test_expand_is_hkdf_expand(key: bytes, info: bytes, length: int) -> None:
    assert hkdf_expand(key, info, length) == HKDFExpand(SHA512(), length, info).derive(key)


@pytest.mark.parametrize("length", [-1, 0, 65])
def test_expand_is_one_block(length: int) -> None:
    with pytest.raises(ValueError, match="one block"):
        hkdf_expand(b"key", b"info", length)


# --- §3: identifiers --------------------------------------------------------------------------------------------------

# Text of the characters that matter, and of any others: purely random text would hardly ever be a number.
_telling = st.sampled_from("+0123456789ABCMaEe@.-_ ,'()\u00a0\u200f\ufeff\u0661\u06f2\uff13\uff21\u212a\u0131\ud800")
_pieces = st.sampled_from(
    [
        "0612345678",
        "+212",
        "00212",
        "MA64",
        "001810007800020110620318",
        "AB123456",
        "name@example.ma",
        "123456789",
        ".0",
    ]
)
texts = st.lists(st.one_of(_telling, _pieces, st.characters()), max_size=12).map("".join)


@settings(calm, max_examples=600)
@given(kinds, texts)
def test_canonical_gives_ascii_or_refuses_and_is_idempotent(kind: str, text: str) -> None:
    try:
        form = identify(kind, text).canonical
    except InputError as error:
        assert error.reason in {
            "too_long",
            "empty",
            "spreadsheet_number",
            "unexpected_character",
            "format",
            "check_digits",
        }
        assert str(error) == error.reason
        assert error.__context__ is None
        return
    assert form.isascii()
    assert identify(kind, form).canonical == form


_spoken = {digit: [chr(base + int(digit)) for base in (0x30, 0x660, 0x6F0, 0xFF10)] for digit in "0123456789"}
_ignored = st.lists(st.sampled_from(" -./\u00a0\u200e\u200f\u202a\u202c\ufeff\u2066\u2069\u2011"), max_size=2).map(
    "".join
)


@calm
@given(
    st.from_regex("[5-8][0-9]{8}", fullmatch=True),
    st.sampled_from(["", "0", "+212", "212", "00212", "+2120"]),
    st.data(),
)
def test_every_spelling_of_a_phone_number_is_one_identifier(number: str, prefix: str, data: st.DataObject) -> None:
    spelled = ""
    for position, character in enumerate(prefix + number):
        written = data.draw(st.sampled_from(_spoken.get(character, [character, "\uff0b"])))
        # Two separators in each gap at the least, so that no lone dot makes a spreadsheet's number of it
        spelled += (data.draw(_ignored) + "-/" if position else "") + written
    assert identify("phone", spelled).canonical == number


@calm
@given(st.integers(0, 10**22 - 1))
def test_an_account_and_its_iban_are_one_identifier(free: int) -> None:
    key = 97 - free * 100 % 97
    account = f"{free:022d}{key:02d}"
    assert identify("bank_account", account) == identify("bank_account", f"MA64{account}")
    with pytest.raises(InputError, match="check_digits"):
        identify("bank_account", f"{free:022d}{key % 97 + 1:02d}")


@calm
@given(st.integers(0, 10**11 - 1), st.sampled_from(["01", "2A", "2B", "75", "99"]), st.integers(1, 96))
def test_a_french_number_is_one_with_its_key_and_without(free: int, department: str, wrong: int) -> None:
    digits = f"{free:011d}"
    number = f"{1 + free % 2}{digits[:2]}{1 + free % 12:02d}{department}{digits[2:8]}"
    # As the statisticians' office writes it: the letter counts 0, and a million or two are taken off.
    value = int(number.replace("A", "0").replace("B", "0")) - 1_000_000 * ("A" in number) - 2_000_000 * ("B" in number)
    key = 97 - value % 97
    with_key = identify("fr_social_security", f"{number}{key:02d}")
    assert with_key == identify("fr_social_security", number) == Identifier("fr_social_security", number)
    with pytest.raises(InputError, match="check_digits"):
        identify("fr_social_security", f"{number}{(key + wrong - 1) % 97 + 1:02d}")


@calm
@given(st.from_regex("[0-9]{10}[0-9A-Z]{11}", fullmatch=True), st.integers(1, 96))
def test_a_french_account_is_one_with_its_iban_and_without(free: str, wrong: int) -> None:
    table = ("AJ", "BKS", "CLT", "DMU", "ENV", "FOW", "GPX", "HQY", "IRZ")
    worth = {letter: str(digit) for digit, letters in enumerate(table, start=1) for letter in letters}
    bank, branch, account = (
        int("".join(worth.get(sign, sign) for sign in part)) for part in (free[:5], free[5:10], free[10:])
    )
    key = 97 - (89 * bank + 15 * branch + 3 * account) % 97
    rib = f"{free}{key:02d}"
    check = 98 - int("".join(str("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(sign)) for sign in f"{rib}FR00")) % 97
    assert identify("fr_bank_account", rib) == identify("fr_bank_account", f"FR{check:02d}{rib}")
    for broken in (f"{free}{(key + wrong - 1) % 97 + 1:02d}", f"FR{(check + wrong - 2) % 97 + 2:02d}{rib}"):
        with pytest.raises(InputError, match="check_digits"):
            identify("fr_bank_account", broken)


def test_identifiers_of_different_kinds_never_collide() -> None:
    hashed = {slow_hash(Identifier(kind, "612345678"), bytes(16), TESTING_ONLY) for kind in KINDS}
    assert len(hashed) == len(KINDS)


def test_rules_hold_what_the_digest_needs() -> None:
    files = {path.name: json.loads(path.read_text("utf-8")) for path in (PACKAGE / "protocol" / "rules").iterdir()}
    assert set(files) == {TABLES, *RULE_FILES}
    assert sum(len(files[name]) for name in RULE_FILES) == len(KINDS)  # no kind stands in two files

    def strings(content: Any) -> list[str]:
        if isinstance(content, dict):
            return [text for pair in content.items() for item in pair for text in strings(item)]
        if isinstance(content, list):
            return [text for item in content for text in strings(item)]
        return [content] if isinstance(content, str) else []

    assert all(re.fullmatch(r"[ -~]*", text) and not {'"', "\\"} & set(text) for text in strings(files))
    rules = files[TABLES]
    tables = [rules["map"], rules["marks"], *rules["groups"].values()]
    listed = [c for table in tables for r in table for c in range(int(r[0][2:], 16), int(r[1][2:], 16) + 1)]
    assert len(listed) == len(set(listed))


# --- §4: slow hash ----------------------------------------------------------------------------------------------------


@calm
@given(kinds, st.text(st.characters(max_codepoint=127), max_size=30), st.binary(min_size=16, max_size=16))
def test_both_slow_hashes_agree(kind: str, form: str, salt: bytes) -> None:
    identifier = Identifier(kind, form)
    assert slow_hash(identifier, salt, TESTING_ONLY) == slow_hash_bulk(identifier, salt, TESTING_ONLY)


# --- §5: evaluation ---------------------------------------------------------------------------------------------------

EVALUATOR: Final = Evaluator(oprf.derive_key_pair(bytes(32), b"tests")[0])
OTHER: Final = Evaluator(oprf.derive_key_pair(bytes(32), b"others")[0])
batches = st.lists(st.binary(max_size=64), min_size=1, max_size=MAX_BATCH)


def refused(pk: bytes, blinded: Sequence[bytes], evaluated: Sequence[bytes], proof: bytes) -> bool:
    try:
        return not oprf.verify_proof(pk, blinded, evaluated, proof)
    except ProtocolError:
        return True


@settings(calm, max_examples=40)
@given(batches)
def test_a_blind_evaluation_gives_what_the_key_gives(inputs: list[bytes]) -> None:
    blinds, blinded = zip(*map(oprf.blind, inputs), strict=True)
    request = messages.encode_request(blinded)
    assert len(request) <= messages.MAX_EVALUATION_LENGTH
    response = EVALUATOR.answer(messages.decode_request(request))
    assert len(response) <= messages.MAX_EVALUATION_LENGTH
    evaluated, proof = messages.decode_response(response)
    assert oprf.verify_proof(EVALUATOR.pk, blinded, evaluated, proof)
    finished = [oprf.finalize(*one) for one in zip(inputs, blinds, evaluated, strict=True)]
    assert finished == [oprf.evaluate(EVALUATOR.sk, message) for message in inputs]


def test_blinds_and_proofs_are_fresh() -> None:
    pairs = [oprf.blind(b"input") for _ in range(8)]
    assert len({scalar for scalar, _ in pairs}) == len({element for _, element in pairs}) == 8
    answers = [oprf.blind_evaluate(EVALUATOR.sk, EVALUATOR.pk, [pairs[0][1]]) for _ in range(8)]
    assert len({proof for _, proof in answers}) == 8
    assert len({tuple(evaluated) for evaluated, _ in answers}) == 1


@settings(calm, max_examples=40)
@given(st.lists(st.binary(max_size=8), min_size=2, max_size=MAX_BATCH, unique=True), st.data())
def test_a_proof_holds_for_its_own_batch_alone(inputs: list[bytes], data: st.DataObject) -> None:
    blinded = [oprf.blind(message)[1] for message in inputs]
    evaluated, proof = oprf.blind_evaluate(EVALUATOR.sk, EVALUATOR.pk, blinded)
    order = data.draw(st.permutations(range(len(inputs))).filter(lambda order: order != sorted(order)))
    permuted = [evaluated[i] for i in order]
    assert refused(EVALUATOR.pk, blinded, permuted, proof)
    assert refused(EVALUATOR.pk, [blinded[i] for i in order], permuted, proof)
    assert refused(EVALUATOR.pk, blinded[:-1], evaluated[:-1], proof)
    assert refused(EVALUATOR.pk, blinded, evaluated[:-1], proof)
    assert refused(EVALUATOR.pk, blinded[:1], evaluated, proof)
    assert refused(OTHER.pk, blinded, evaluated, proof)
    assert refused(EVALUATOR.pk, [oprf.blind(b"another")[1], *blinded[1:]], evaluated, proof)
    assert refused(EVALUATOR.pk, blinded, evaluated, oprf.blind_evaluate(OTHER.sk, OTHER.pk, blinded)[1])
    assert refused(OTHER.pk, blinded, *oprf.blind_evaluate(EVALUATOR.sk, OTHER.pk, blinded))
    mixed = [*evaluated[:-1], oprf.blind_evaluate(OTHER.sk, OTHER.pk, blinded[-1:])[0][0]]
    assert refused(EVALUATOR.pk, blinded, mixed, proof)


def test_no_flipped_bit_of_proof_or_elements_is_accepted() -> None:
    _, element = oprf.blind(b"input")
    evaluated, proof = oprf.blind_evaluate(EVALUATOR.sk, EVALUATOR.pk, [element])
    for bit in range(512):
        assert refused(EVALUATOR.pk, [element], evaluated, flip(proof, bit)), bit
    for bit in range(256):
        assert refused(EVALUATOR.pk, [flip(element, bit)], evaluated, proof), bit
        assert refused(EVALUATOR.pk, [element], [flip(evaluated[0], bit)], proof), bit
        assert refused(flip(EVALUATOR.pk, bit), [element], evaluated, proof), bit


def test_no_elements_are_no_batch() -> None:
    assert refused(EVALUATOR.pk, [], [], bytes(64))
    with pytest.raises(ProtocolError, match="evaluate_request"):
        messages.decode_request(b'{"elements":[]}')


@calm
@given(st.one_of(st.binary(max_size=40), st.integers(oprf.ORDER, 2**256 - 1).map(lambda n: n.to_bytes(32, "little"))))
def test_scalars_are_refused_unless_below_the_order(scalar: bytes) -> None:
    if len(scalar) == 32 and int.from_bytes(scalar, "little") < oprf.ORDER:
        assert oprf.check_scalar(scalar) == scalar
    else:
        with pytest.raises(ProtocolError, match="scalar"):
            oprf.check_scalar(scalar)


@pytest.mark.parametrize("sk", [bytes(32), bytes(31), oprf.ORDER.to_bytes(32, "little"), b"\xff" * 32])
def test_what_is_no_scalar_is_no_key(sk: bytes) -> None:
    with pytest.raises(ProtocolError, match="scalar"):
        Evaluator(sk)


@calm
@given(st.binary(max_size=200))
def test_messages_of_anything_are_read_or_refused(body: bytes) -> None:
    for read in (messages.decode_request, messages.decode_response):
        with pytest.raises(ProtocolError):
            read(body)


def test_secrets_do_not_print() -> None:
    identifier = identify("phone", "0612345678")
    assert "612345678" not in repr(identifier) + str(identifier)
    assert EVALUATOR.sk.hex() not in repr(EVALUATOR)
    assert repr(EVALUATOR.sk) not in repr(EVALUATOR)
    blinded, _ = client.start(small(7).manifest, identifier)
    for secret in (blinded.message, blinded.scalar):
        assert repr(secret) not in repr(blinded)
    located = client.Located(blinded.manifest, blinded.table, b"y" * 64, 0)
    assert "yyyy" not in repr(located)


# --- §6: entries ------------------------------------------------------------------------------------------------------


@calm
@given(outputs, st.text(max_size=20), releases, payloads, st.integers(0, 5), st.integers(0, 5))
def test_a_sealed_entry_is_found(
    y: bytes, dataset: str, release: int, payload: entry.Payload, before: int, behind: int
) -> None:
    sealed = entry.seal(y, dataset, release, payload)
    assert len(sealed) == ENTRY_LENGTH
    entries = os.urandom(before * ENTRY_LENGTH) + sealed + os.urandom(behind * ENTRY_LENGTH)
    assert entry.find(y, dataset, release, entries) == payload
    assert entry.find(y, dataset + "x", release, entries) is None
    assert entry.find(y, dataset, release + 1, entries) is None
    assert entry.find(flip(y, 300), dataset, release, entries) is None
    with pytest.raises(ProtocolError, match="entry"):
        entry.find(y, dataset, release, entries + sealed)


@calm
@given(st.lists(st.tuples(outputs, payloads), max_size=5), st.text(max_size=20), releases)
def test_many_entries_are_sealed_as_each_is(
    members: list[tuple[bytes, entry.Payload]], dataset: str, release: int
) -> None:
    plains = b"".join(entry.plain(payload) for _, payload in members)
    sealed = entry.seal_all([y for y, _ in members], dataset, release, plains)
    assert sealed == b"".join(entry.seal(y, dataset, release, payload) for y, payload in members)


@calm
@given(outputs, payloads, payloads)
def test_no_pad_seals_two_payloads(y: bytes, one: entry.Payload, other: entry.Payload) -> None:
    def pad(dataset: str, release: int, payload: entry.Payload) -> bytes:
        plain = payload.fields.to_bytes(4, "big") + bytes([payload.flags, 1, 0, 0])
        sealed = entry.seal(y, dataset, release, payload)[16:]
        return bytes(a ^ b for a, b in zip(sealed, plain, strict=True))

    pads = {pad("a", 1, one), pad("a", 2, other), pad("b", 1, one), pad("b", 2, other)}
    assert len(pads) == 4


@calm
@given(st.sets(st.sampled_from(DataClass)))
def test_masks_name_their_data_classes(data_classes: set[DataClass]) -> None:
    assert set(names_of(mask_of(data_classes))) == {str(one) for one in data_classes}


# --- §7: buckets and pages --------------------------------------------------------------------------------------------


@calm
@given(st.lists(st.binary(min_size=24, max_size=24), max_size=12), st.integers(0, 12), st.integers(0, 24))
def test_filling_keeps_all_entries_and_one_length(entries: list[bytes], spare: int, bits: int) -> None:
    layout = bucket.Layout(bits, max(1, len(entries) + spare))
    filled = bucket.fill(entries, layout, os.urandom)
    assert len(filled) == layout.entries_length == layout.entries_per_bucket * 24
    assert layout.page_length == layout.entries_length + 32 * bits
    split = [filled[at : at + 24] for at in range(0, len(filled), 24)]
    assert split == sorted(split)
    left = list(split)
    for one in entries:
        left.remove(one)


def test_no_bucket_is_filled_beyond_its_length() -> None:
    with pytest.raises(ValueError, match="more entries"):
        bucket.fill([bytes(24)] * 3, bucket.Layout(0, 2), os.urandom)


def test_no_second_spelling_of_an_element_is_taken() -> None:
    with pytest.raises(ProtocolError, match="element"):
        oprf.check_element(flip(EVALUATOR.pk, 255))


@calm
@given(outputs, kinds, st.integers(0, 24))
def test_the_bucket_is_the_first_bits_of_the_locator(y: bytes, kind: str, bits: int) -> None:
    locator = entry.locate(y, kind)
    number = bucket.Layout(bits, 1).bucket_of(locator)
    assert f"{locator:064b}"[:bits] == (f"{number:0{bits}b}" if bits else "")
    assert 0 <= number < 2**bits
    assert bucket.Layout(bits, 1).first_locator(number) <= locator


@calm
@given(
    st.integers(0, 8).flatmap(lambda n: st.lists(st.integers(0, 400), min_size=2**n, max_size=2**n)),
    st.integers(1, 300),
)
def test_prefix_bits_are_the_most_that_leave_k_members(members: list[int], k: int) -> None:
    widest = len(members).bit_length() - 1
    sums = {
        bits: [sum(members[i << (widest - bits) : (i + 1) << (widest - bits)]) for i in range(1 << bits)]
        for bits in range(widest + 1)
    }
    best = max((bits for bits, counts in sums.items() if min(counts) >= k), default=0)
    assert bucket.choose_prefix_bits(members, k) == (best, min(sums[best]))


@calm
@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_widest_leaves_k_numbers_a_bucket(population: int, k: int) -> None:
    allowed = [bits for bits in range(25) if population // 2**bits >= k]
    assert bucket.widest(population, k) == max(allowed, default=0)


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 §2.1.1, as it stands there."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 9162 §2.1.3.1, as it stands there."""
    if len(leaves) == 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


@pytest.mark.parametrize("size", range(1, 71))
def test_tree_is_that_of_the_rfc(size: int) -> None:
    leaves = [i.to_bytes(2, "big") for i in range(size)]
    tree = merkle.Tree(map(merkle.leaf_hash, leaves))
    assert tree.root == naive_root(leaves)
    for index in range(size):
        path = tree.path(index)
        assert path == naive_path(index, leaves)
        leaf = merkle.leaf_hash(leaves[index])
        assert merkle.verify_inclusion(leaf, index, size, path, tree.root)
        assert not merkle.verify_inclusion(leaf, (index + 1) % size, size, path, tree.root) or size == 1
        assert not merkle.verify_inclusion(leaf, index, size, path[:-1], tree.root) or not path
        assert not merkle.verify_inclusion(leaf, index, size, [*path, tree.root], tree.root)
    for index in (-1, size):
        with pytest.raises(IndexError):
            tree.path(index)
        assert not merkle.verify_inclusion(leaf, index, size, path, tree.root)


@calm
@given(st.integers(1, 70), st.data())
def test_no_other_path_proves_a_leaf(size: int, data: st.DataObject) -> None:
    leaves = [merkle.leaf_hash(i.to_bytes(2, "big")) for i in range(size)]
    tree = merkle.Tree(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = data.draw(st.lists(hashes | st.sampled_from(leaves), max_size=8))
    leaf = data.draw(hashes | st.sampled_from(leaves))
    holds = merkle.verify_inclusion(leaf, index, size, path, tree.root)
    assert holds == (leaf == leaves[index] and path == tree.path(index))


@calm
@given(st.integers(0, 4), st.integers(1, 3), st.data())
def test_a_page_opens_in_its_own_place_alone(bits: int, per_bucket: int, data: st.DataObject) -> None:
    layout = bucket.Layout(bits, per_bucket)
    filled = [bucket.fill([], layout, os.urandom) for _ in range(layout.buckets)]
    tree = merkle.Tree(map(merkle.leaf_hash, filled))
    pages = [bucket.page(entries, tree.path(number)) for number, entries in enumerate(filled)]
    number, asked = data.draw(st.tuples(*[st.integers(0, layout.buckets - 1)] * 2))
    assert bucket.open_page(pages[number], layout, number, tree.root) == filled[number]
    if number != asked:
        with pytest.raises(ProtocolError, match="page_proof"):
            bucket.open_page(pages[number], layout, asked, tree.root)


# --- §8: manifest -----------------------------------------------------------------------------------------------------

PUBLISHER: Final = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"publisher of tests").digest())
STRANGER: Final = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"stranger of tests").digest())
PUBLISHER_KEY: Final = PUBLISHER.public_key().public_bytes_raw()

_counts = st.integers(0, 2**53 - 1)
_words = st.dictionaries(st.text(max_size=8), _counts, max_size=2)
_titles = st.dictionaries(st.sampled_from(["ar", "fr", "en", "zgh", "ar-MA"]), st.text(max_size=30), max_size=3)
_times = st.datetimes(datetime(2000, 1, 1), datetime(9999, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
)


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    def octets(length: int) -> str:
        return draw(st.binary(min_size=length, max_size=length)).hex()

    names = draw(st.lists(st.from_regex(r"[a-z][a-z0-9_+]{0,10}", fullmatch=True), max_size=3, unique=True))
    classes = draw(st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=32, unique=True))
    known = draw(st.sampled_from(list(SLOW_HASHES.values())))
    created, valid_until = sorted((draw(_times), draw(_times)))
    slow = {"name": known.name, "algorithm": "argon2id", "version": 19, "memory_kib": known.memory_kib}
    content: dict[str, Any] = {
        "protocol": "breachcheck-v1",
        "suite": "ristretto255-SHA512",
        "release": draw(releases),
        "created": created,
        "valid_until": valid_until,
        "service_salt": octets(16),
        "slow_hash": slow | {"passes": known.passes, "lanes": 1},
        "public_key": octets(32),
        "data_classes": classes,
        "kinds": [
            {
                "kind": name,
                "rules": octets(32),
                "prefix_bits": draw(st.integers(0, 24)),
                "entries_per_bucket": draw(st.integers(1, 699_000)),
                "root": octets(32),
                "members_min": draw(_counts),
                "population_min": draw(_counts),
            }
            for name in names
        ],
        "datasets": [
            {
                "name": name,
                "title": draw(_titles),
                "date": draw(st.sampled_from([None, "2025", "2025-04", "2025-04-08"])),
                "source_note": draw(_titles),
                "authenticity_note": draw(_titles),
                "fields": draw(st.lists(st.sampled_from(classes), max_size=4, unique=True)),
                "kinds": draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if names else [],
                "rows_read": draw(_counts),
                "rows_accepted": draw(_counts),
                "rows_rejected": draw(_words),
                "identifiers_rejected": {one: draw(_words) for one in names},
            }
            for name in draw(
                st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,10}", fullmatch=True), max_size=2, unique=True)
            )
        ],
    }
    content["canaries"] = [
        {"kind": kind, "dataset": one["name"], "fields": one["fields"]}
        for one in content["datasets"]
        for kind in one["kinds"]
        if one["fields"]
    ]
    content["withdrawn"] = [
        {"name": name, "date": "2026-10-30", "reason": draw(_titles)}
        for name in draw(st.lists(st.from_regex(r"[A-Z]{3}", fullmatch=True).map(str.lower), max_size=2, unique=True))
        if name not in {one["name"] for one in content["datasets"]}
    ]
    content["erasures"] = draw(_counts)
    return content


@settings(calm, max_examples=60)
@given(manifests())
def test_a_manifest_is_read_as_it_was_written(content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    manifest = open_signed(PUBLISHER.sign(encode("manifest", body)) + body, PUBLISHER_KEY)
    assert json.loads(manifest.model_dump_json()) == content
    assert open_signed(sign(manifest, PUBLISHER), PUBLISHER_KEY) == manifest
    with pytest.raises(ProtocolError, match="manifest_signature"):
        open_signed(sign(manifest, STRANGER), PUBLISHER_KEY)


@calm
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(st.none() | st.text(), st.lists, max_leaves=4).map(lambda x: json.dumps(x).encode()),
    )
)
def test_whatever_the_publisher_signs_is_read_or_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="manifest_malformed"):
        open_signed(PUBLISHER.sign(encode("manifest", body)) + body, PUBLISHER_KEY)


@calm
@given(st.integers(-200_000, 200_000), st.integers(0, 20))
def test_a_manifest_is_accepted_in_its_time_and_never_after_a_later_one(seconds: int, last_seen: int) -> None:
    release = small(7)
    created, valid_until = release.manifest.created, release.manifest.valid_until
    for start in (created, valid_until):
        now = start + timedelta(seconds=seconds)
        try:
            client.accept_manifest(release.signed, PUBLISHER_KEY, now, last_seen)
            word = None
        except ProtocolError as error:
            word = error.reason
        if now > valid_until:
            assert word == "manifest_expired"
        elif now < created - timedelta(hours=24):
            assert word == "manifest_not_yet_valid"
        else:
            assert word == ("release_rolled_back" if last_seen > release.manifest.release else None)


# --- §9: the client, and the search for a false answer ----------------------------------------------------------------

SALT: Final = bytes(range(16))
NOW: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)
MEMBER: Final = Identifier("phone", "612345678")
STRANGERS: Final = [Identifier("phone", f"68765432{i}") for i in range(10)]
FIELDS: Final = (DataClass.PHONE_NUMBERS, DataClass.EARNINGS)


@dataclasses.dataclass(frozen=True)
class Release:
    """A release in memory: as much of one as a client can ask for."""

    signed: bytes
    manifest: Manifest
    pages: Mapping[str, Sequence[bytes]]


def output_of(identifier: Identifier) -> bytes:
    return oprf.evaluate(EVALUATOR.sk, slow_hash(identifier, SALT, TESTING_ONLY))


@cache
def small(number: int) -> Release:
    """A release of two kinds with four buckets each, in which `MEMBER` and a few others stand."""
    held = [MEMBER, *(Identifier("phone", f"61000000{i}") for i in range(6)), Identifier("national_id", "AB123456")]
    payload = entry.Payload(mask_of(FIELDS))
    tables, pages = [], {}
    for kind in ("phone", "national_id"):
        layout = bucket.Layout(2, 8)
        sealed: list[list[bytes]] = [[] for _ in range(layout.buckets)]
        for y in (output_of(one) for one in held if one.kind == kind):
            sealed[layout.bucket_of(entry.locate(y, kind))].append(entry.seal(y, "cnss-2025", number, payload))
        filled = [
            bucket.fill(entries, layout, hashlib.shake_256(f"{number} {kind} {i}".encode()).digest)
            for i, entries in enumerate(sealed)
        ]
        tree = merkle.Tree(map(merkle.leaf_hash, filled))
        pages[kind] = [bucket.page(entries, tree.path(i)) for i, entries in enumerate(filled)]
        tables.append(
            {
                "kind": kind,
                "rules": KINDS[kind].digest.hex(),
                "prefix_bits": layout.prefix_bits,
                "entries_per_bucket": layout.entries_per_bucket,
                "root": tree.root.hex(),
                "members_min": 0,
                "population_min": KINDS[kind].population >> layout.prefix_bits,
            }
        )
    datasets: list[dict[str, Any]] = [
        {
            "name": name,
            "title": {},
            "date": None,
            "source_note": {},
            "authenticity_note": {},
            "fields": [str(field) for field in FIELDS],
            "kinds": indexed,
            "rows_read": 8,
            "rows_accepted": 8,
            "rows_rejected": {},
            "identifiers_rejected": {},
        }
        for name, indexed in (("cnss-2025", ["phone", "national_id"]), ("other-2024", ["national_id"]))
    ]
    content = {
        "protocol": "breachcheck-v1",
        "suite": "ristretto255-SHA512",
        "release": number,
        "created": "2026-11-01T08:00:00Z",
        "valid_until": "2027-02-01T08:00:00Z",
        "service_salt": SALT.hex(),
        "slow_hash": {
            "name": "testing-only",
            "algorithm": "argon2id",
            "version": 19,
            "memory_kib": 8,
            "passes": 1,
            "lanes": 1,
        },
        "public_key": EVALUATOR.pk.hex(),
        "data_classes": [str(data_class) for data_class in DataClass],
        "kinds": tables,
        "datasets": datasets,
        "canaries": [],
        "withdrawn": [],
        "erasures": 0,
    }
    body = json.dumps(content).encode()
    signed = PUBLISHER.sign(encode("manifest", body)) + body
    return Release(signed, open_signed(signed, PUBLISHER_KEY), pages)


def expected(identifier: Identifier, number: int) -> Exposed | NotFound:
    unchecked = (Unchecked("other-2024", ("national_id",)),)
    if identifier == MEMBER:
        fields = tuple(str(field) for field in FIELDS)
        return Exposed(number, (Exposure("cnss-2025", fields),), ("cnss-2025",), unchecked)
    return NotFound(number, ("cnss-2025",), unchecked)


@dataclasses.dataclass(frozen=True)
class Transcript:
    """The honest answers to one check of one identifier, with the blind that asked for them."""

    identifier: Identifier
    blind: bytes
    element: bytes
    manifest: bytes
    response: bytes
    bucket: int

    def page(self, number: int = 7) -> bytes:
        return small(number).pages["phone"][self.bucket]


@cache
def transcript(identifier: Identifier) -> Transcript:
    message = slow_hash(identifier, SALT, TESTING_ONLY)
    blind, nonce = ((n + 5).to_bytes(32, "little") for n in (oprf.ORDER // 3, oprf.ORDER // 7))
    element = oprf._blind(message, blind)
    response = messages.encode_response(*oprf._blind_evaluate(EVALUATOR.sk, EVALUATOR.pk, [element], nonce))
    number = bucket.Layout(2, 8).bucket_of(entry.locate(output_of(identifier), "phone"))
    return Transcript(identifier, blind, element, small(7).signed, response, number)


def check(honest: Transcript, manifest: bytes, response: bytes, page: bytes) -> Exposed | NotFound:
    accepted = client.accept_manifest(manifest, PUBLISHER_KEY, NOW, last_seen=7)
    blinded, _ = client.start(accepted, honest.identifier)
    blinded = dataclasses.replace(blinded, scalar=honest.blind, element=honest.element)
    return client.conclude(client.locate(blinded, response), page)


def flip(octets: bytes, bit: int) -> bytes:
    changed = bytearray(octets)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@st.composite
def corruptions(draw: st.DrawFn, honest: bytes, others: Sequence[bytes]) -> bytes:
    """Draw what comes in place of `honest`: now and then itself, else something more or less like it."""
    places = st.integers(0, len(honest))
    where, upto = sorted((draw(places), draw(places)))
    match draw(
        st.sampled_from(["honest", "flip", "cut", "extend", "insert", "delete", "overwrite", "swap", "other", "any"])
    ):
        case "honest":
            return honest
        case "flip":
            for bit in draw(st.lists(st.integers(0, len(honest) * 8 - 1), min_size=1, max_size=3)):
                honest = flip(honest, bit)
            return honest
        case "cut":
            return draw(st.sampled_from([honest[:where], honest[where:]]))
        case "extend":
            return honest + draw(st.one_of(st.binary(max_size=40), st.sampled_from([honest, b" ", b"\n"])))
        case "insert":
            return honest[:where] + draw(st.binary(max_size=40)) + honest[where:]
        case "delete":
            return honest[:where] + honest[upto:]
        case "overwrite":
            return honest[:where] + draw(st.binary(min_size=upto - where, max_size=upto - where)) + honest[upto:]
        case "swap":
            return honest[upto:] + honest[where:upto] + honest[:where]
        case "other":
            return draw(st.sampled_from([*others, b"", b"{}", b"<!DOCTYPE html><title>Log in</title>"]))
        case _:
            return draw(st.binary(max_size=2 * len(honest)))


def _other_manifests() -> list[bytes]:
    body = small(7).signed[64:]
    older, newer = small(6).signed, small(8).signed
    return [older, newer, sign(small(7).manifest, STRANGER), body, small(7).signed[:64] + newer[64:], newer[:64] + body]


def _other_responses(honest: Transcript) -> list[bytes]:
    another = oprf.blind(b"another")[1]
    elements, proof = messages.decode_response(honest.response)
    forged = oprf.blind_evaluate(EVALUATOR.sk, OTHER.pk, [honest.element])
    return [
        OTHER.answer([honest.element]),
        EVALUATOR.answer([another]),
        EVALUATOR.answer([honest.element, another]),
        EVALUATOR.answer([honest.element]),  # honest: a proof made anew
        messages.encode_response(*forged),
        messages.encode_response(elements, proof[32:] + proof[:32]),
        messages.encode_response([honest.element], proof),
        messages.encode_response([another], proof),
    ]


def _other_pages() -> list[bytes]:
    return [page for number in (6, 7, 8) for pages in small(number).pages.values() for page in pages]


def _evaluates(honest: Transcript, response: bytes) -> bool:
    """Whether the response, however it is written, is a true one."""
    try:
        elements, proof = messages.decode_response(response)
        return elements == messages.decode_response(honest.response)[0] and oprf.verify_proof(
            EVALUATOR.pk, [honest.element], elements, proof
        )
    except ProtocolError:
        return False


@settings(calm, max_examples=500)
@given(st.sampled_from([MEMBER, STRANGERS[0]]), st.data())
def test_no_corruption_gives_a_false_answer(identifier: Identifier, data: st.DataObject) -> None:
    honest = transcript(identifier)
    manifest, response, page = honest.manifest, honest.response, honest.page()
    corrupted = data.draw(st.sets(st.sampled_from(["manifest", "response", "page"])))
    if "manifest" in corrupted:
        manifest = data.draw(corruptions(manifest, _other_manifests()))
    if "response" in corrupted:
        response = data.draw(corruptions(response, _other_responses(honest)))
    if "page" in corrupted:
        page = data.draw(corruptions(page, _other_pages()))
    # Two releases may be offered: the one last seen and a newer one. With its own page either is honest.
    number = {small(7).signed: 7, small(8).signed: 8}.get(manifest)
    true = number is not None and page == honest.page(number) and _evaluates(honest, response)
    try:
        verdict = check(honest, manifest, response, page)
    except ProtocolError as error:
        assert not true
        assert error.reason in set(Reason)
    else:
        assert true
        assert verdict == expected(identifier, number or 0)


@settings(calm, max_examples=300)
@given(st.sampled_from(["manifest", "response", "page"]), st.sampled_from([MEMBER, STRANGERS[1]]), st.data())
def test_one_corrupted_message_is_found_out_at_its_own_stage(
    which: str, identifier: Identifier, data: st.DataObject
) -> None:
    honest = transcript(identifier)
    said = {"manifest": honest.manifest, "response": honest.response, "page": honest.page()}
    changed = data.draw(corruptions(said[which], []))
    # JSON has more than one spelling
    same = _evaluates(honest, changed) if which == "response" else changed == said[which]
    said[which] = changed
    if same:
        assert check(honest, **said) == expected(identifier, 7)
    else:
        with pytest.raises(ProtocolError) as caught:
            check(honest, **said)
        stage = {"manifest": "manifest_", "response": "evaluation_", "page": "bucket_"}[which]
        assert caught.value.reason.startswith(stage)


@pytest.mark.parametrize("identifier", [MEMBER, STRANGERS[0]], ids=["member", "stranger"])
def test_a_newer_release_answers_and_an_older_one_does_not(identifier: Identifier) -> None:
    honest = transcript(identifier)
    assert check(honest, small(8).signed, honest.response, honest.page(8)) == expected(identifier, 8)
    with pytest.raises(ProtocolError, match="release_rolled_back"):
        check(honest, small(6).signed, honest.response, honest.page(6))
    for mixed, number in itertools.permutations((7, 8), 2):
        with pytest.raises(ProtocolError, match="bucket_proof"):
            check(honest, small(mixed).signed, honest.response, honest.page(number))


def test_no_flipped_bit_of_a_page_gives_an_answer() -> None:
    honest = transcript(MEMBER)
    for bit in range(0, len(honest.page()) * 8, 7):
        with pytest.raises(ProtocolError, match="bucket_proof"):
            check(honest, honest.manifest, honest.response, flip(honest.page(), bit))


def test_no_page_but_the_right_one_gives_an_answer() -> None:
    for honest in map(transcript, [MEMBER, *STRANGERS]):
        for page in _other_pages():
            if page == honest.page():
                assert check(honest, honest.manifest, honest.response, page) == expected(honest.identifier, 7)
            else:
                with pytest.raises(ProtocolError, match="bucket_proof"):
                    check(honest, honest.manifest, honest.response, page)


def test_a_question_does_not_depend_on_whether_it_is_a_members() -> None:
    lengths = set()
    for identifier in (MEMBER, *STRANGERS):
        _, request = client.start(small(7).manifest, identifier)
        honest = transcript(identifier)
        lengths.add((len(request), len(honest.response), len(honest.page())))
    assert len(lengths) == 1


# --- The specification and the code say the same ----------------------------------------------------------------------


def test_not_found_is_built_in_one_place() -> None:
    places = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "NotFound":
                names = [f.name for f in functions if f.lineno <= node.lineno <= (f.end_lineno or 0)]
                places.append((path.relative_to(PACKAGE).as_posix(), names))
    assert places == [("protocol/client.py", ["conclude"])]


def test_specification_names_every_reason_and_rules_digest() -> None:
    assert [reason for reason in Reason if f"`{reason}`" not in SPECIFICATION] == []
    for name, kind in KINDS.items():
        assert f"| `{name}` | `{kind.digest.hex()}` |" in SPECIFICATION


def test_specification_has_every_section_that_the_code_refers_to() -> None:
    for path in PACKAGE.rglob("*.py"):
        for section in re.findall(r"PROTOCOL\.md §([0-9.]*[0-9])", path.read_text("utf-8")):
            assert re.search(rf"^#+ {re.escape(section)}\b", SPECIFICATION, re.MULTILINE), (path.name, section)
    for section in re.findall(r"\(§([0-9.]*[0-9])\)", SPECIFICATION):
        assert re.search(rf"^#+ {re.escape(section)}\b", SPECIFICATION, re.MULTILINE), section


def test_specification_has_the_constants_of_the_code() -> None:
    for known in SLOW_HASHES.values():
        assert f"| `{known.name}` | Argon2id | 0x13 (19) | {known.memory_kib:,} KiB" in SPECIFICATION
    for line in (
        f"| evaluation request or response | {messages.MAX_EVALUATION_LENGTH} |",
        f"| signed manifest, with its signature | {parameters.MAX_MANIFEST_LENGTH:,} (1 MiB) |",
        f"| page | {parameters.MAX_PAGE_LENGTH:,} (16 MiB) |",
        f"| most elements in one evaluation | {MAX_BATCH} |",
        f"| most prefix bits | {parameters.MAX_PREFIX_BITS} |",
        f"| k_members, k_population | {parameters.K_MEMBERS} and {parameters.K_POPULATION} |",
        f"| payload version | {parameters.PAYLOAD_VERSION} |",
        f"| tolerated clock error | {client.CLOCK_SKEW.total_seconds() / 3600:.0f} hours |",
        f"| C = {Settings.model_fields['daily_cap'].default:,} (default) |",
    ):
        assert line in SPECIFICATION


def test_worked_example_of_the_specification() -> None:
    table = SPECIFICATION[SPECIFICATION.index("## Appendix A") : SPECIFICATION.index("## Appendix B")]
    rows = [
        line.strip("| ").split(" | ", 1)
        for line in table.splitlines()
        if line.startswith("| ") and line.count(" | ") == 1
    ][1:]
    example = {name: re.findall(r"`([^`]*)`", value) for name, value in rows}

    def octets(name: str) -> bytes:
        return bytes.fromhex("".join(example[name]))

    kind, text = example["kind, text"]
    identifier = identify(kind, text)
    assert [identifier.canonical] == example["x"]
    password = encode("slow-hash", kind.encode(), identifier.canonical.encode())
    assert password == octets("password")
    s = slow_hash(identifier, octets("salt"), TESTING_ONLY)
    assert s == octets("s, `testing-only`")
    assert slow_hash(identifier, octets("salt"), STANDARD) == octets("(s, `standard`)")
    sk, blind = octets("sk"), octets("blind")
    assert oprf.public_key(sk) == octets("pk")
    blinded = oprf._blind(s, blind)
    assert blinded == octets("blinded element")
    (evaluated,), proof = oprf._blind_evaluate(sk, octets("pk"), [blinded], octets("proof's random scalar"))
    assert (evaluated, proof) == (octets("evaluated element"), octets("proof, c") + octets("proof, s"))
    y = oprf.finalize(s, blind, evaluated)
    assert y == octets("y")
    assert encode("bucket", kind.encode()) == octets("info of the bucket")
    locator = entry.locate(y, kind)
    assert f"{locator:016x}" == example["locator"][0]
    assert [f"{bucket.Layout(b, 1).bucket_of(locator):06x}" for b in (0, 1, 13, 24)] == example[
        "bucket for b = 0, 1, 13, 24"
    ]
    info = encode("entry", b"cnss-2025", (7).to_bytes(8, "big"))
    assert info == octets("info of the entry, `cnss-2025`, release 7")
    assert hkdf_expand(y, info, 24) == octets("stream")
    payload = entry.Payload(1 << 3 | 1 << 4 | 1 << 6, Flag.EMPLOYER)
    sealed = entry.seal(y, "cnss-2025", 7, payload)
    assert sealed == octets("entry")
    assert bytes(a ^ b for a, b in zip(octets("stream")[16:], sealed[16:], strict=True)) == octets(
        "payload: bits 3, 4, 6; employer's contact"
    )
    assert merkle.Tree([merkle.leaf_hash(sealed)]).root == octets("root of that page")


def test_limits_of_messages_hold_the_largest() -> None:
    elements = [EVALUATOR.pk] * MAX_BATCH
    assert len(messages.encode_response(elements, bytes(64))) < messages.MAX_EVALUATION_LENGTH
    assert messages.decode_request(messages.encode_request(elements)) == elements
