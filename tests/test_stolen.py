"""The stolen file: whoever has the release and every identifier, but not the key, learns nothing of who is in it."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import duckdb
import pytest

from breachcheck import keys as key_room
from breachcheck.protocol import entry, oprf
from breachcheck.protocol.encoding import encode
from breachcheck.protocol.identifier import Identifier, identify
from breachcheck.protocol.parameters import ENTRY_LENGTH, TESTING_ONLY
from breachcheck.protocol.slow_hash import slow_hash_bulk
from breachcheck.store import reader
from breachcheck.synth import nonmember
from tests.world import World

PER_KIND = 150


@dataclass(frozen=True)
class Loot:
    """What a thief holds: all that the release folder holds, read without the service or the key."""

    salt: bytes
    public_key: bytes
    dataset: str
    release: int
    buckets: dict[str, list[bytes]]


@pytest.fixture(scope="module")
def loot(world: World) -> Loot:
    with (
        reader.open_release(world.releases) as release,
        duckdb.connect(release.folder / reader.DATABASE, read_only=True) as database,
    ):
        rows = database.execute(
            "SELECT kind.name, entries FROM bucket JOIN kind ON bucket.kind = kind.position ORDER BY kind, number"
        ).fetchall()
        buckets: dict[str, list[bytes]] = {}
        for kind, entries in rows:
            buckets.setdefault(kind, []).append(entries)
        manifest = release.manifest
        return Loot(manifest.service_salt, manifest.public_key, manifest.datasets[0].name, manifest.release, buckets)


@pytest.fixture(scope="module")
def suspects(world: World) -> list[tuple[Identifier, bool]]:
    """As many identifiers that are in the leak as that are not, of each kind."""
    rng = random.Random(3)
    members: dict[str, list[Identifier]] = {}
    for answer in world.answers():
        members.setdefault(answer["kind"], []).append(identify(answer["kind"], answer["identifier"]))
    return [
        suspect
        for kind, known in members.items()
        for index, member in enumerate(rng.sample(known, PER_KIND))
        for suspect in ((member, True), (identify(kind, nonmember(kind, index)), False))
    ]


def _unkeyed(loot: Loot, identifier: Identifier) -> Iterator[bytes]:
    """Yield every OPRF output that can be made without the key by a mistake that a protocol might have made."""
    message = slow_hash_bulk(identifier, loot.salt, TESTING_ONLY)
    plain = identifier.canonical.encode()
    yield message + message
    for octets in (message, plain, encode("slow-hash", identifier.kind.encode(), plain)):
        yield hashlib.sha512(octets).digest()
        yield hashlib.sha512(loot.salt + octets).digest()
        yield oprf.evaluate((1).to_bytes(32, "little"), octets)
        yield oprf.evaluate(int.from_bytes(loot.salt, "little").to_bytes(32, "little"), octets)
        yield oprf.evaluate((int.from_bytes(loot.public_key, "little") % oprf.ORDER).to_bytes(32, "little"), octets)


def _hits(loot: Loot, identifier: Identifier, outputs: Callable[[Loot, Identifier], Iterator[bytes]]) -> int:
    return sum(
        entry.find(output, loot.dataset, loot.release, bucket) is not None
        for output in outputs(loot, identifier)
        for bucket in loot.buckets[identifier.kind]
    )


def test_with_the_key_the_thief_would_find_every_member(
    world: World, loot: Loot, suspects: list[tuple[Identifier, bool]]
) -> None:
    sk = key_room.read_evaluator(world.keys).sk

    def keyed(loot: Loot, identifier: Identifier) -> Iterator[bytes]:
        yield oprf.evaluate(sk, slow_hash_bulk(identifier, loot.salt, TESTING_ONLY))

    assert all(_hits(loot, suspect, keyed) == member for suspect, member in suspects)


def test_without_the_key_no_shortcut_finds_anybody(loot: Loot, suspects: list[tuple[Identifier, bool]]) -> None:
    assert not any(_hits(loot, suspect, _unkeyed) for suspect, _ in suspects)


def test_no_score_of_the_file_tells_members_from_others(loot: Loot, suspects: list[tuple[Identifier, bool]]) -> None:
    """Nearness of any 8-byte window of an unkeyed derivation to any entry: members score no higher than others."""
    scores = []
    entries = {
        kind: sorted(
            int.from_bytes(bucket[at : at + 8], "big")
            for bucket in buckets
            for at in range(0, len(bucket), ENTRY_LENGTH)
        )
        for kind, buckets in loot.buckets.items()
    }
    for suspect, member in suspects:
        best = min(
            abs(value - int.from_bytes(output[:8], "big"))
            for output in _unkeyed(loot, suspect)
            for value in entries[suspect.kind]
        )
        scores.append((best, member))
    members = sorted(score for score, member in scores if member)
    others = sorted(score for score, member in scores if not member)
    above = sum(sum(other > score for other in others) for score in members)
    pairs = len(members) * len(others)
    # Mann-Whitney: under pure guessing the share of pairs won is 1/2, with this standard deviation
    deviation = math.sqrt((len(members) + len(others) + 1) / (12 * pairs))
    assert abs(above / pairs - 0.5) < 5 * deviation


def test_real_entries_look_and_lie_like_dummies(world: World, loot: Loot) -> None:
    sk = key_room.read_evaluator(world.keys).sk
    real = set()
    for answer in world.answers():
        identifier = identify(answer["kind"], answer["identifier"])
        output = oprf.evaluate(sk, slow_hash_bulk(identifier, loot.salt, TESTING_ONLY))
        real.add(entry.seal(output, loot.dataset, loot.release, entry.Payload(1))[:16])
    octets: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    places: dict[bool, list[float]] = {True: [], False: []}
    for buckets in loot.buckets.values():
        for bucket in buckets:
            for at in range(0, len(bucket), ENTRY_LENGTH):
                one = bucket[at : at + ENTRY_LENGTH]
                is_real = one[:16] in real
                octets[is_real].update(one)
                places[is_real].append(at / len(bucket))
    assert len(places[True]) == len(real)
    assert len(places[False]) > 100
    for counter in octets.values():
        expected = counter.total() / 256
        chi_square = sum((counter[value] - expected) ** 2 / expected for value in range(256))
        assert abs(chi_square - 255) < 6 * math.sqrt(2 * 255)
    mean_real, mean_dummy = (sum(where) / len(where) for where in (places[True], places[False]))
    assert abs(mean_real - mean_dummy) < 6 * math.sqrt(1 / 12 / len(places[False]))


def test_every_bucket_of_a_kind_has_one_length(loot: Loot) -> None:
    for buckets in loot.buckets.values():
        assert len({len(bucket) for bucket in buckets}) == 1
