"""manifest.json: signed manifests, and each reason to refuse one (PROTOCOL.md §8)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from breachcheck.exposure import DataClass
from breachcheck.protocol import merkle, oprf
from breachcheck.protocol.encoding import encode
from breachcheck.protocol.identifier import KINDS
from breachcheck.protocol.manifest import open_signed
from breachcheck.protocol.parameters import STANDARD, TESTING_ONLY, SlowHash
from vector_tools.common import (
    OTHER_PUBLISHER,
    PK,
    PUBLISHER,
    PUBLISHER_KEY,
    SALT,
    Vector,
    agree,
    flip,
    parameters_of,
    refusal,
)
from vector_tools.primitives import table

DATA_CLASSES: Final = [str(data_class) for data_class in DataClass]
CREATED: Final = "2026-11-01T08:00:00Z"
VALID_UNTIL: Final = "2027-02-01T08:00:00Z"
NOW: Final = "2026-11-21T12:00:00Z"


def kind_table(kind: str, bits: int, per_bucket: int, root: bytes) -> Vector:
    return {
        "kind": kind,
        "rules": KINDS[kind].digest.hex(),
        "prefix_bits": bits,
        "entries_per_bucket": per_bucket,
        "root": root.hex(),
        "members_min": 1,
        "population_min": KINDS[kind].population >> bits,
    }


def dataset(name: str, kinds: Sequence[str], fields: Sequence[DataClass]) -> Vector:
    return {
        "name": name,
        "title": {"en": f"Synthetic files {name}", "ar": "ملفات", "fr": f"Fichiers {name}"},
        "date": "2025-04-08",
        "source_note": {"en": "Made for tests."},
        "authenticity_note": {},
        "fields": [str(field) for field in fields],
        "kinds": list(kinds),
        "rows_read": 12,
        "rows_accepted": 10,
        "rows_rejected": {"no_identifier": 2},
        "identifiers_rejected": {kinds[0]: {"format": 3, "empty": 1}},
    }


def manifest(release: int, tables: Sequence[Vector], datasets: Sequence[Vector], parameters: SlowHash) -> Vector:
    return {
        "protocol": "breachcheck-v1",
        "suite": "ristretto255-SHA512",
        "release": release,
        "created": CREATED,
        "valid_until": VALID_UNTIL,
        "service_salt": SALT.hex(),
        "slow_hash": parameters_of(parameters) | {"algorithm": "argon2id", "version": 19, "lanes": 1},
        "public_key": PK.hex(),
        "data_classes": DATA_CLASSES,
        "kinds": list(tables),
        "datasets": list(datasets),
        "canaries": canaries_of(datasets),
        "withdrawn": [],
        "erasures": 0,
    }


def canaries_of(datasets: Sequence[Vector]) -> list[Vector]:
    """Return one canary a kind and dataset, with all fields of the dataset."""
    return [
        {"kind": kind, "dataset": one["name"], "fields": one["fields"]} for one in datasets for kind in one["kinds"]
    ]


def text_of(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def sign(body: bytes, key: Ed25519PrivateKey = PUBLISHER) -> bytes:
    prefix = b"\x00\x00\x00\x0ebreachcheck-v1\x00\x00\x00\x08manifest"
    return key.sign(prefix + len(body).to_bytes(4, "big") + body) + body


MISSING: Final = object()


def changed(content: Vector, path: str, value: object) -> bytes:
    """Return the text of `content` with the member at the dotted `path` set, or taken out."""
    new = copy.deepcopy(content)
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = new
    for step in parents:
        place = place[step]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return text_of(new)


def _members(content: Vector) -> Iterator[str]:
    for path, part in (
        ("", content),
        ("slow_hash.", content["slow_hash"]),
        ("kinds.0.", content["kinds"][0]),
        ("datasets.0.", content["datasets"][0]),
        ("canaries.0.", content["canaries"][0]),
        ("withdrawn.0.", content["withdrawn"][0]),
    ):
        for member in part:
            yield path + member


# Members that the signed text may leave out without the reason being manifest_malformed.
_VERSIONED: Final = {"protocol", "suite"}

_TIMES: Final = [
    ("a date alone", "2026-11-01"),
    ("an offset", "2026-11-01T08:00:00+00:00"),
    ("a fraction", "2026-11-01T08:00:00.0Z"),
    ("a space for T", "2026-11-01 08:00:00Z"),
    ("no Z", "2026-11-01T08:00:00"),
    ("a space behind", "2026-11-01T08:00:00Z "),
    ("lower case", "2026-11-01t08:00:00z"),
    ("single digits", "2026-1-1T8:0:0Z"),
    ("Arabic-Indic digits", "٢٠٢٦-11-01T08:00:00Z"),
    ("year 1999", "1999-12-31T23:59:59Z"),
    ("year 1", "0001-01-01T00:00:00Z"),
    ("month 13", "2026-13-01T08:00:00Z"),
    ("30 February", "2026-02-30T08:00:00Z"),
    ("29 February of a common year", "2026-02-29T08:00:00Z"),
    ("hour 24", "2026-11-01T24:00:00Z"),
    ("second 60", "2026-12-31T23:59:60Z"),
    ("a number", 1793520000),
    ("null", None),
    ("nothing in it", ""),
]


def bad_bodies(content: Vector) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, signed JSON text and reason for every manifest that is signed well and must still be refused."""
    malformed, version, parameters = "manifest_malformed", "manifest_version", "manifest_parameters"
    good = text_of(content)
    yield "not JSON", b"x" * 80, malformed
    yield "HTML, signed", b"<!DOCTYPE html><title>Log in</title>" * 3, malformed
    yield "list", text_of([content]), malformed
    yield "string", text_of("x" * 80), malformed
    yield "null", b"null", malformed
    yield "truncated", good[:-1], malformed
    yield "octets behind", good + b"}", malformed
    yield "two values", good + good, malformed
    yield "byte order mark", b"\xef\xbb\xbf" + good, malformed
    yield "UTF-16", good.decode().encode("utf-16"), malformed
    yield "invalid UTF-8", good.replace(b"Made for tests.", b"Made for\xfftests."), malformed
    yield "lone surrogate as octets", good.replace(b"Made for tests.", b"Made\xed\xa0\x80"), malformed
    yield "lone surrogate escaped", good.replace(b"Made for tests.", b"Made \\ud800"), malformed
    yield "control character in a string", good.replace(b"Made for tests.", b"Made\x01for"), malformed
    yield "comment", good[:-1] + b"/**/}", malformed
    yield "comma before the end", good[:-1] + b",}", malformed
    yield "NaN", good.replace(b'"rows_read":12', b'"rows_read":NaN', 1), malformed
    for number in ("12.0", "12e0", "12E+0", "1.2e1", "120e-1", "1e400"):
        other = good.replace(b'"rows_read":12', b'"rows_read":' + number.encode(), 1)
        yield f"an integer written {number}", other, malformed
    # What is not JSON as the protocol reads it has no version either.
    later = changed(content, "protocol", "breachcheck-v2")
    yield "another protocol in UTF-16", later.decode().encode("utf-16"), malformed
    yield "another protocol behind a byte order mark", b"\xef\xbb\xbf" + later, malformed
    yield "another protocol with a lone surrogate", later.replace(b"Made for tests.", b"Made \\ud800"), malformed
    yield "another protocol with a fraction", later.replace(b'"rows_read":12', b'"rows_read":12.5', 1), malformed
    yield "another protocol with NaN", later.replace(b'"rows_read":12', b'"rows_read":NaN', 1), malformed
    yield "valid_until before created", changed(content, "valid_until", "2026-11-01T07:59:59Z"), malformed
    kinds, fields = content["datasets"][0]["kinds"], content["datasets"][0]["fields"]
    yield "a kind of the dataset twice", changed(content, "datasets.0.kinds", [*kinds, kinds[0]]), malformed
    yield "a field of the dataset twice", changed(content, "datasets.0.fields", [*fields, fields[0]]), malformed
    yield "another protocol", changed(content, "protocol", "breachcheck-v2"), version
    yield "protocol null", changed(content, "protocol", None), version
    yield "protocol missing", changed(content, "protocol", MISSING), version
    yield "protocol in upper case", changed(content, "protocol", "BREACHCHECK-V1"), version
    yield "another suite", changed(content, "suite", "P256-SHA256"), version
    yield "suite missing", changed(content, "suite", MISSING), version
    for path in _members(content):
        if path not in _VERSIONED:
            yield f"{path} missing", changed(content, path, MISSING), malformed
            yield f"{path} of another type", changed(content, path, {"x": [True]}), malformed
    for path in ("more", "slow_hash.more", "kinds.0.more", "datasets.0.more", "canaries.0.more", "withdrawn.0.more"):
        yield f"a member more: {path}", changed(content, path, 1), malformed
    for value in (0, -1, 2**53, 1.5, "7", None):
        yield f"release {value!r}", changed(content, "release", value), malformed
    for name, time in _TIMES:
        yield f"created: {name}", changed(content, "created", time), malformed
        yield f"valid_until: {name}", changed(content, "valid_until", time), malformed
    for path, length in (("service_salt", 16), ("public_key", 32), ("kinds.0.rules", 32), ("kinds.0.root", 32)):
        right = "ab" * length
        yield f"{path} in upper case", changed(content, path, right.upper()), malformed
        yield f"{path} with spaces", changed(content, path, "ab " * length), malformed
        yield f"{path} short", changed(content, path, right[2:]), malformed
        yield f"{path} long", changed(content, path, right + "ab"), malformed
        yield f"{path} with an odd digit", changed(content, path, right[1:]), malformed
        yield f"{path} not hexadecimal", changed(content, path, "xy" * length), malformed
        yield f"{path} empty", changed(content, path, ""), malformed
    yield "unknown parameter set", changed(content, "slow_hash.name", "fast"), parameters
    yield "parameter set in upper case", changed(content, "slow_hash.name", "STANDARD"), parameters
    yield "other memory", changed(content, "slow_hash.memory_kib", 9), parameters
    yield "other passes", changed(content, "slow_hash.passes", 3), parameters
    yield "numbers of the other set", changed(content, "slow_hash.memory_kib", 19456), parameters
    yield "name of the other set", changed(content, "slow_hash.name", "standard"), parameters
    yield "another algorithm", changed(content, "slow_hash.algorithm", "argon2i"), malformed
    yield "another version of the algorithm", changed(content, "slow_hash.version", 16), malformed
    yield "two lanes", changed(content, "slow_hash.lanes", 2), malformed
    yield "lanes true", changed(content, "slow_hash.lanes", True), malformed
    yield "33 data classes", changed(content, "data_classes", DATA_CLASSES + [str(i) for i in range(17)]), malformed
    yield "a data class twice", changed(content, "data_classes", [*content["data_classes"], "Names"]), malformed
    yield "a kind twice", changed(content, "kinds", [content["kinds"][0]] * 2), malformed
    yield "a dataset twice", changed(content, "datasets", [content["datasets"][0]] * 2), malformed
    yield "prefix_bits 25", changed(content, "kinds.0.prefix_bits", 25), malformed
    yield "prefix_bits -1", changed(content, "kinds.0.prefix_bits", -1), malformed
    yield "prefix_bits a string", changed(content, "kinds.0.prefix_bits", "2"), malformed
    yield "entries_per_bucket 0", changed(content, "kinds.0.entries_per_bucket", 0), malformed
    yield "page above 16 MiB", changed(content, "kinds.0.entries_per_bucket", 699_050), malformed
    yield "members_min -1", changed(content, "kinds.0.members_min", -1), malformed
    yield "integer of 5000 digits", good.replace(b'"rows_read":12', b'"rows_read":' + b"9" * 5000, 1), malformed
    yield "rows_read 2^53", good.replace(b'"rows_read":12', b'"rows_read":9007199254740992', 1), malformed
    yield "rows_read -1", changed(content, "datasets.0.rows_read", -1), malformed
    yield "rows_rejected -1", changed(content, "datasets.0.rows_rejected", {"format": -1}), malformed
    yield (
        "identifiers_rejected of a kind name in upper case",
        changed(content, "datasets.0.identifiers_rejected", {"PHONE": {"format": 1}}),
        malformed,
    )
    yield "a kind of the dataset without a table", changed(content, "datasets.0.kinds", ["passport"]), malformed
    yield (
        "a field of the dataset without a data class",
        changed(content, "datasets.0.fields", ["Shoe sizes"]),
        malformed,
    )
    for value in ("", "Phone", "1phone", "phone ", "phone\n", "pho-ne", "télé", "a" * 65):
        yield f"kind name {value!r}", changed(content, "kinds.0.kind", value), malformed
    for value in ("", "Alpha", "-a", "a/b", "a b", "a\n", "é", "a" * 65):
        yield f"dataset name {value!r}", changed(content, "datasets.0.name", value), malformed
    for value in ("2025-4", "25", "2025-04-08T00:00:00Z", "2025-04-", "April 2025", "٢٠٢٥", ""):
        yield f"date {value!r}", changed(content, "datasets.0.date", value), malformed
    for value in ("EN", "e", "english", "en_GB", "en-", ""):
        yield f"language {value!r}", changed(content, "datasets.0.title", {value: "Title"}), malformed
    canary, withdrawal = content["canaries"][0], content["withdrawn"][0]
    for name, member, changed_to in (
        ("of a kind that the dataset does not list", "kind", "email"),
        ("of a dataset that is not there", "dataset", "beta-2024"),
        ("of a dataset that was withdrawn", "dataset", withdrawal["name"]),
        ("without fields", "fields", []),
        ("with a field that the dataset does not have", "fields", ["Email addresses"]),
        ("with a field twice", "fields", ["Names", "Names"]),
    ):
        yield f"canary {name}", changed(content, f"canaries.0.{member}", changed_to), malformed
    yield "two canaries of a kind and dataset", changed(content, "canaries", [canary, canary]), malformed
    yield "a canary of a kind without a table", text_of(content | {"kinds": []}), malformed
    yield "withdrawn and still there", changed(content, "withdrawn.0.name", "alpha-2025"), malformed
    yield "withdrawn twice", changed(content, "withdrawn", [withdrawal, withdrawal | {"reason": {}}]), malformed
    yield "withdrawn on no date", changed(content, "withdrawn.0.date", None), malformed
    yield "withdrawn on a date in words", changed(content, "withdrawn.0.date", "yesterday"), malformed
    yield "withdrawn for a reason in no language", changed(content, "withdrawn.0.reason", "a mistake"), malformed
    for value in (-1, 2**53, "1", None, True):
        yield f"erasures {value!r}", changed(content, "erasures", value), malformed
    yield "title is a string", changed(content, "datasets.0.title", "Title"), malformed
    yield "title in a language is null", changed(content, "datasets.0.title", {"en": None}), malformed


def bad_signatures(good: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, octets and reason for every manifest whose signature does not hold."""
    signature, body = good[:64], good[64:]
    s = int.from_bytes(signature[32:], "little") + oprf.ORDER
    yield "empty", b"", "manifest_malformed"
    yield "63 octets", good[:63], "manifest_malformed"
    yield "signature alone", signature, "manifest_malformed"
    yield "signature and one octet", good[:65], "manifest_signature"
    yield "body alone", body, "manifest_signature"
    yield "HTML", b"<!DOCTYPE html><title>Log in to the network</title><p>Welcome to this place.", "manifest_signature"
    yield "signature of zeros", bytes(64) + body, "manifest_signature"
    yield "another publisher", sign(body, OTHER_PUBLISHER), "manifest_signature"
    yield "signature over the text alone", PUBLISHER.sign(body) + body, "manifest_signature"
    yield "signature over another purpose", PUBLISHER.sign(encode("entry", body)) + body, "manifest_signature"
    yield "signature of another manifest", sign(body + b" ")[:64] + body, "manifest_signature"
    yield "S not below the order", signature[:32] + s.to_bytes(32, "little") + body, "manifest_signature"
    yield "one octet short", good[:-1], "manifest_signature"
    yield "one octet long", good + b"\n", "manifest_signature"
    for bit in (0, 255, 256, 500, 512, 512 + 8 * 40, len(good) * 8 - 1):
        yield f"bit {bit} flipped", flip(good, bit), "manifest_signature"


def minimal() -> Vector:
    """Return a small manifest: one kind, one dataset."""
    root = merkle.Tree([merkle.leaf_hash(leaf) for leaf in table(2, 2, "bucket 2 2")]).root
    classes = [DataClass.PHONE_NUMBERS, DataClass.NAMES]
    content = manifest(7, [kind_table("phone", 2, 2, root)], [dataset("alpha-2025", ["phone"], classes)], TESTING_ONLY)
    content["datasets"][0]["title"] = {"fr": "Données"}
    content["withdrawn"] = [{"name": "old-2024", "date": "2026-10-30", "reason": {"en": "It was not what it said."}}]
    return content | {"data_classes": [str(data_class) for data_class in classes]}


def manifests() -> Vector:
    content = minimal()
    body = text_of(content)
    good = [
        ("plain", body),
        ("standard parameters", text_of(content | {"slow_hash": manifest(1, [], [], STANDARD)["slow_hash"]})),
        ("white space", json.dumps(content, indent=2).encode() + b"\r\n\t "),
        ("members in another order", text_of(dict(reversed(content.items())))),
        ("escapes", json.dumps(content, ensure_ascii=True).encode()),
        ("no kinds, no datasets", text_of(content | {"kinds": [], "datasets": [], "canaries": []})),
        ("no data classes", text_of(content | {"data_classes": [], "kinds": [], "datasets": [], "canaries": []})),
        ("no canaries, nothing withdrawn", text_of(content | {"canaries": [], "withdrawn": []})),
        ("canary with one of two fields", changed(content, "canaries.0.fields", ["Names"])),
        (
            "withdrawn in a year, no reason",
            changed(content, "withdrawn", [{"name": "x", "date": "2025", "reason": {}}]),
        ),
        ("as many erasures as can be counted", changed(content, "erasures", 2**53 - 1)),
        ("highest release", changed(content, "release", 2**53 - 1)),
        ("an unknown kind", changed(content | {"datasets": [], "canaries": []}, "kinds.0.kind", "national_id+phone")),
        ("date null", changed(content, "datasets.0.date", None)),
        ("date of a month", changed(content, "datasets.0.date", "2025-04")),
        ("longest page", changed(content, "kinds.0.entries_per_bucket", 699_048)),
        ("32 data classes", changed(content, "data_classes", DATA_CLASSES + [f"Class {i}" for i in range(16)])),
        ("hostile title", changed(content, "datasets.0.title", {"en": "<script>alert(1)</script>\u202e\u0000" * 3})),
        ("numbers in texts", changed(content, "datasets.0.title", {"en": '1.5 "2e3" \\ 4.0 \\"'})),
        ("valid for one second", changed(content, "valid_until", CREATED)),
        ("leap day", changed(content, "created", "2024-02-29T23:59:59Z")),
        ("language with a region and a script", changed(content, "datasets.0.title", {"ar-Arab-MA": "x", "zgh": "y"})),
    ]
    for name, text in good:
        agree(f"manifest: {name}", "accepted", refusal(open_signed, sign(text), PUBLISHER_KEY))
    bad = [(name, sign(text), reason) for name, text, reason in bad_bodies(content)]
    bad += list(bad_signatures(sign(body)))
    for name, signed, reason in bad:
        agree(f"manifest: {name}", reason, refusal(open_signed, signed, PUBLISHER_KEY))
    return {
        "publisher_key": PUBLISHER_KEY.hex(),
        "good": [{"name": name, "signed": sign(text).hex(), "content": json.loads(text)} for name, text in good],
        "bad": [{"name": name, "signed": signed.hex(), "reason": reason} for name, signed, reason in bad],
    }
