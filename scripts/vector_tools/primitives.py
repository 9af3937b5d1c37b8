"""encoding.json, slow_hash.json, entries.json and pages.json (PROTOCOL.md §2, §4, §6, §7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from breachcheck.exposure import Flag
from breachcheck.protocol import bucket, entry, merkle
from breachcheck.protocol.encoding import encode, hkdf_expand
from breachcheck.protocol.identifier import Identifier
from breachcheck.protocol.parameters import STANDARD, TESTING_ONLY
from breachcheck.protocol.slow_hash import slow_hash
from vector_tools.common import SALT, Vector, agree, flip, parameters_of, refusal, stream
from vector_tools.spellings import NUMBERS


def encoding() -> Vector:
    cases: Sequence[tuple[str, str, Sequence[bytes]]] = [
        ("no parts", "manifest", []),
        ("one empty part", "manifest", [b""]),
        ("two empty parts", "manifest", [b"", b""]),
        ("one part", "bucket", [b"phone"]),
        ("two parts", "slow-hash", [b"phone", b"612345678"]),
        ("the same octets, cut elsewhere", "slow-hash", [b"phone6", b"12345678"]),
        ("the same octets, in one part", "slow-hash", [b"phone612345678"]),
        ("release as 8 octets", "entry", [b"cnss-2025", (7).to_bytes(8, "big")]),
        ("highest release", "entry", [b"cnss-2025", (2**53 - 1).to_bytes(8, "big")]),
        ("part of 256 octets", "manifest", [stream("part", 256)]),
        ("empty purpose", "", [b"x"]),
    ]
    encoded = []
    for name, purpose, parts in cases:
        octets = b"\x00\x00\x00\x0ebreachcheck-v1"
        for part in (purpose.encode(), *parts):
            octets += len(part).to_bytes(4, "big") + part
        agree(name, octets, encode(purpose, *parts))
        encoded.append({"name": name, "purpose": purpose, "parts": [p.hex() for p in parts], "octets": octets.hex()})
    expanded = []
    for length in (1, 8, 24, 63, 64):
        key, info = stream("key", 64), encode("bucket", b"phone")
        octets = hkdf_expand(key, info, length)
        expanded.append({"name": f"{length} octets", "key": key.hex(), "info": info.hex(), "octets": octets.hex()})
    octets = hkdf_expand(b"", b"", 24)
    expanded.append({"name": "empty key and info", "key": "", "info": "", "octets": octets.hex()})
    return {"encode": encoded, "expand": expanded}


def slow_hashes() -> Vector:
    cases = [("standard", "phone", "612345678", SALT, STANDARD)]
    for kind, (_, form) in NUMBERS.items():
        cases.append((f"testing-only, {kind}", kind, form, SALT, TESTING_ONLY))
    cases.append(("another salt", "phone", "612345678", stream("salt", 16), TESTING_ONLY))
    cases.append(("the same digits as another kind", "social_security", "612345678", SALT, TESTING_ONLY))
    return {
        "vectors": [
            {
                "name": name,
                "parameters": parameters_of(parameters),
                "kind": kind,
                "canonical": form,
                "salt": salt.hex(),
                "password": encode("slow-hash", kind.encode(), form.encode()).hex(),
                "slow_hash": slow_hash(Identifier(kind, form), salt, parameters).hex(),
            }
            for name, kind, form, salt, parameters in cases
        ]
    }


def sealed(y: bytes, dataset: str, release: int, payload: bytes) -> bytes:
    """Return an entry with these 8 octets of payload, lawful or not (PROTOCOL.md §6)."""
    key_stream = hkdf_expand(y, encode("entry", dataset.encode(), release.to_bytes(8, "big")), 24)
    return key_stream[:16] + bytes(a ^ b for a, b in zip(key_stream[16:], payload, strict=True))


def payload_of(fields: int, flags: int = 0, version: int = 1, zero: int = 0) -> bytes:
    return fields.to_bytes(4, "big") + bytes([flags, version]) + zero.to_bytes(2, "big")


BAD_PAYLOADS: Final[Sequence[tuple[str, bytes]]] = [
    ("version 0", payload_of(1, version=0)),
    ("version 2", payload_of(1, version=2)),
    ("version 255", payload_of(1, version=255)),
    ("zero field is 1", payload_of(1, zero=1)),
    ("zero field is 256", payload_of(1, zero=256)),
    ("no fields", payload_of(0)),
    ("no fields, flag set", payload_of(0, flags=1)),
    ("no fields, both flags set", payload_of(0, flags=3)),
    ("unknown flag 4", payload_of(1, flags=4)),
    ("unknown flag 128", payload_of(1, flags=129)),
    ("all zeros", bytes(8)),
    ("all ones", b"\xff" * 8),
]


def entries() -> Vector:
    y, other = stream("y", 64), stream("other y", 64)
    seals = []
    for name, dataset, release, fields, flags in [
        ("lowest field", "cnss-2025", 1, 1, 0),
        ("three fields and the flag", "cnss-2025", 7, 0x58, 1),
        ("highest field", "cnss-2025", 7, 0x80000000, 0),
        ("all fields", "cnss-2025", 7, 0xFFFFFFFF, 1),
        ("of several people", "cnss-2025", 7, 0x58, 2),
        ("both flags", "cnss-2025", 7, 0x58, 3),
        ("another dataset", "tawtik-2025", 7, 0x58, 1),
        ("another release", "cnss-2025", 8, 0x58, 1),
        ("release above 2^32", "cnss-2025", 2**32 + 5, 0x58, 0),
        ("highest release", "cnss-2025", 2**53 - 1, 0x58, 0),
    ]:
        octets = sealed(y, dataset, release, payload_of(fields, flags))
        agree(name, octets, entry.seal(y, dataset, release, entry.Payload(fields, Flag(flags))))
        seals.append(
            {
                "name": name,
                "dataset": dataset,
                "release": release,
                "fields": fields,
                "flags": flags,
                "entry": octets.hex(),
            }
        )
    mine, dummies = sealed(y, "cnss-2025", 7, payload_of(0x58, 1)), stream("dummies", 240)
    finds: list[Vector] = []
    cases: list[tuple[str, bytes, tuple[int, int] | None]] = [
        ("alone", mine, (0x58, 1)),
        ("alone, both flags", sealed(y, "cnss-2025", 7, payload_of(0x58, 3)), (0x58, 3)),
        ("first", mine + dummies, (0x58, 1)),
        ("last", dummies + mine, (0x58, 1)),
        ("between", dummies[:48] + mine + dummies[48:], (0x58, 1)),
        ("dummies only", dummies, None),
        ("of another identifier", sealed(other, "cnss-2025", 7, payload_of(0x58)), None),
        ("of another dataset", sealed(y, "tawtik-2025", 7, payload_of(0x58)), None),
        ("of another release", sealed(y, "cnss-2025", 8, payload_of(0x58)), None),
        ("tag not at a multiple of 24", dummies[:12] + mine + dummies[:12], None),
        ("one bit of the tag flipped", flip(mine, 0), None),
        ("last bit of the tag flipped", flip(mine, 127), None),
    ]
    for name, octets, payload in cases:
        wanted = None if payload is None else entry.Payload(payload[0], Flag(payload[1]))
        agree(name, wanted, entry.find(y, "cnss-2025", 7, octets))
        found = None if payload is None else {"fields": payload[0], "flags": payload[1]}
        finds.append({"name": name, "entries": octets.hex(), "found": found})
    bad = [(f"payload: {name}", sealed(y, "cnss-2025", 7, content)) for name, content in BAD_PAYLOADS]
    bad.append(("tag twice, same payload", mine + dummies + mine))
    bad.append(("tag twice, another payload", mine + sealed(y, "cnss-2025", 7, payload_of(2))))
    bad.append(("tag twice, second payload malformed", mine + sealed(y, "cnss-2025", 7, payload_of(0))))
    for name, octets in bad:
        agree(name, "entry", refusal(entry.find, y, "cnss-2025", 7, octets))
    return {
        "output": y.hex(),
        "dataset": "cnss-2025",
        "release": 7,
        "seal": seals,
        "find": finds,
        "bad": [{"name": name, "entries": octets.hex(), "reason": "entry_malformed"} for name, octets in bad],
    }


def table(prefix_bits: int, per_bucket: int, label: str) -> list[bytes]:
    """Return the entries of each bucket, all dummies."""
    return [stream(f"{label} {i}", per_bucket * 24) for i in range(1 << prefix_bits)]


def pages() -> Vector:
    locators = []
    for i, kind in enumerate(NUMBERS):
        y = stream(f"y {i}", 64)
        locator = int.from_bytes(hkdf_expand(y, encode("bucket", kind.encode()), 8), "big")
        agree("locator", locator, entry.locate(y, kind))
        buckets = {str(b): locator >> (64 - b) for b in (0, 1, 7, 8, 13, 24)}
        for b, number in buckets.items():
            agree("bucket", number, bucket.Layout(int(b), 1).bucket_of(locator))
        locators.append({"output": y.hex(), "kind": kind, "locator": f"{locator:016x}", "buckets": buckets})
    choices = []
    for name, population, members, bits, smallest in [
        ("nobody", 20_000_000, [0] * 4, 0, 0),
        ("too few for one bucket", 20_000_000, [20, 20, 20, 20], 0, 80),
        ("exactly 100 in each of four", 20_000_000, [100, 100, 100, 100], 2, 100),
        ("99 in one of four", 20_000_000, [100, 99, 100, 100], 1, 199),
        ("all in one bucket", 20_000_000, [1000, 0, 0, 0], 0, 1000),
        ("halves", 20_000_000, [150, 0, 0, 150], 1, 150),
        ("one bucket", 1000, [500], 0, 500),
        ("eight buckets, uneven", 20_000_000, [101, 120, 99, 130, 300, 100, 100, 100], 2, 200),
    ]:
        agree(name, (bits, smallest), bucket.choose_prefix_bits(members))
        choices.append(
            {"name": name, "population": population, "members": members, "prefix_bits": bits, "members_min": smallest}
        )
    widest = []
    for population, bits in [
        (0, 0), (999, 0), (1000, 0), (1999, 0), (2000, 1), (3999, 1), (4000, 2), (4_000_000, 11), (10_000_000, 13),
        (20_000_000, 14), (30_000_000, 14), (16_777_216_000, 24), (1_000_000_000_000, 24),
    ]:  # fmt: skip
        agree(f"population {population}", bits, bucket.widest(population))
        widest.append({"population": population, "prefix_bits": bits})
    good, bad = [], []
    for bits, per_bucket in ((0, 1), (0, 3), (1, 1), (2, 2), (3, 1)):
        leaves = table(bits, per_bucket, f"bucket {bits} {per_bucket}")
        tree = merkle.Tree(map(merkle.leaf_hash, leaves))
        for number in sorted({0, 1, len(leaves) - 1, len(leaves) // 2} & set(range(len(leaves)))):
            octets = leaves[number] + b"".join(tree.path(number))
            layout = bucket.Layout(bits, per_bucket)
            agree("page", leaves[number], bucket.open_page(octets, layout, number, tree.root))
            good.append(
                _page(f"bucket {number} of {len(leaves)}, {per_bucket} entries each", layout, number, tree.root, octets)
            )
    layout, leaves = bucket.Layout(2, 2), table(2, 2, "bucket 2 2")
    tree = merkle.Tree(map(merkle.leaf_hash, leaves))
    honest = [leaf + b"".join(tree.path(i)) for i, leaf in enumerate(leaves)]
    for name, octets, reason in bad_pages(honest, 1, layout):
        layout_word = refusal(bucket.open_page, octets, layout, 1, tree.root)
        agree(
            name, reason, {"page_length": "bucket_length", "page_proof": "bucket_proof"}.get(layout_word, layout_word)
        )
        bad.append(_page(name, layout, 1, tree.root, octets) | {"reason": reason})
    agree("root", "page_proof", refusal(bucket.open_page, honest[1], layout, 1, flip(tree.root, 7)))
    bad.append(_page("another root", layout, 1, flip(tree.root, 7), honest[1]) | {"reason": "bucket_proof"})
    return {"locators": locators, "choose_prefix_bits": choices, "widest": widest, "good": good, "bad": bad}


def _page(name: str, layout: bucket.Layout, number: int, root: bytes, octets: bytes) -> Vector:
    return {
        "name": name,
        "prefix_bits": layout.prefix_bits,
        "entries_per_bucket": layout.entries_per_bucket,
        "page_length": layout.entries_per_bucket * 24 + layout.prefix_bits * 32,
        "bucket": number,
        "name_in_url": f"{number:06x}",
        "root": root.hex(),
        "page": octets.hex(),
    }


def bad_pages(honest: Sequence[bytes], number: int, layout: bucket.Layout) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, octets and reason for every false page in place of `honest[number]`; there are four buckets."""
    page, length = honest[number], layout.entries_per_bucket * 24
    yield "empty", b"", "bucket_length"
    yield "HTML", b"<!DOCTYPE html><title>Log in</title>", "bucket_length"
    yield "one octet short", page[:-1], "bucket_length"
    yield "one octet long", page + b"\x00", "bucket_length"
    yield "one entry short", page[24:], "bucket_length"
    yield "entries without path", page[:length], "bucket_length"
    yield "path without entries", page[length:], "bucket_length"
    yield "twice", page + page, "bucket_length"
    yield "zeros", bytes(len(page)), "bucket_proof"
    yield "page of the sibling", honest[number ^ 1], "bucket_proof"
    yield "page of another half", honest[number ^ 2], "bucket_proof"
    yield "entries of the sibling, own path", honest[number ^ 1][:length] + page[length:], "bucket_proof"
    yield "own entries, path of the sibling", page[:length] + honest[number ^ 1][length:], "bucket_proof"
    yield "path in reverse", page[:length] + page[length + 32 :] + page[length : length + 32], "bucket_proof"
    yield "path before the entries", page[length:] + page[:length], "bucket_proof"
    yield "entries in another order", page[24:length] + page[:24] + page[length:], "bucket_proof"
    yield "first bit of the entries flipped", flip(page, 0), "bucket_proof"
    yield "last bit of the entries flipped", flip(page, length * 8 - 1), "bucket_proof"
    yield "first bit of the path flipped", flip(page, length * 8), "bucket_proof"
    yield "last bit of the path flipped", flip(page, len(page) * 8 - 1), "bucket_proof"
