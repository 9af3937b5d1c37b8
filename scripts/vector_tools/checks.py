"""checks.json: whole checks, from the octets of each answer to the verdict (PROTOCOL.md §9)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from breachcheck.exposure import DataClass, mask_of
from breachcheck.protocol import bucket, merkle, oprf
from breachcheck.protocol.encoding import encode, hkdf_expand
from breachcheck.protocol.identifier import KINDS, Identifier, identify
from breachcheck.protocol.parameters import STANDARD, TESTING_ONLY, SlowHash
from breachcheck.protocol.slow_hash import slow_hash
from vector_tools.common import (
    BLIND,
    OTHER_PK,
    OTHER_PUBLISHER,
    PK,
    PROOF_SCALAR,
    PUBLISHER_KEY,
    SALT,
    SK,
    Vector,
    flip,
    stream,
)
from vector_tools.evaluations import IDENTITY, bad_responses, request, response
from vector_tools.manifests import (
    NOW,
    VALID_UNTIL,
    bad_signatures,
    canaries_of,
    changed,
    dataset,
    kind_table,
    manifest,
    sign,
    text_of,
)
from vector_tools.primitives import BAD_PAYLOADS, bad_pages, payload_of, sealed

EXPOSED_PHONE: Final = "612345678"
FIELDS: Final = (DataClass.PHONE_NUMBERS, DataClass.NAMES, DataClass.EARNINGS)


@dataclass(frozen=True)
class Release:
    """A release in memory: its manifest's content, and the pages of each kind."""

    content: Vector
    pages: Mapping[str, Sequence[bytes]]

    @property
    def signed(self) -> bytes:
        return sign(text_of(self.content))


def output_of(kind: str, form: str, parameters: SlowHash = TESTING_ONLY, sk: bytes = SK) -> bytes:
    return oprf.evaluate(sk, slow_hash(Identifier(kind, form), SALT, parameters))


def canaries_in(
    kind: str, number: int, datasets: Sequence[Vector], parameters: SlowHash
) -> Iterator[tuple[bytes, bytes]]:
    for one in canaries_of(datasets):
        if one["kind"] == kind:
            y = output_of(kind, f"canary {one['dataset']} {number}", parameters)
            fields = mask_of([DataClass(name) for name in one["fields"]])
            yield y, sealed(y, one["dataset"], number, payload_of(fields))


def release_of(
    number: int,
    entries_of: Mapping[str, Sequence[tuple[bytes, bytes]]],
    parameters: SlowHash = TESTING_ONLY,
    bits: int = 2,
) -> Release:
    """Build a release of kinds phone, national_id and email in three datasets, from pairs of (y, entry) by kind.

    Its canaries are sealed beside them.
    """
    datasets = [
        dataset("alpha-2025", ["phone", "national_id"], FIELDS),
        dataset("beta-2024", ["phone", "email"], [DataClass.PHONE_NUMBERS, DataClass.EMAIL_ADDRESSES]),
        dataset("gamma-2023", ["national_id"], [DataClass.GOVERNMENT_ISSUED_IDS]),
    ]
    tables, all_pages = [], {}
    for kind in ("phone", "national_id", "email"):
        buckets: list[list[bytes]] = [[] for _ in range(1 << bits)]
        for y, octets in (*entries_of.get(kind, ()), *canaries_in(kind, number, datasets, parameters)):
            locator = int.from_bytes(hkdf_expand(y, encode("bucket", kind.encode()), 8), "big")
            buckets[locator >> (64 - bits)].append(octets)
        full = max(4, *map(len, buckets))
        leaves = [
            b"".join(sorted([*held, *(stream(f"dummy {number} {kind} {i} {j}", 24) for j in range(len(held), full))]))
            for i, held in enumerate(buckets)
        ]
        tree = merkle.Tree(map(merkle.leaf_hash, leaves))
        tables.append(kind_table(kind, bits, full, tree.root))
        all_pages[kind] = [leaf + b"".join(tree.path(i)) for i, leaf in enumerate(leaves)]
    return Release(manifest(number, tables, datasets, parameters), all_pages)


def check_of(name: str, release: Release, kind: str, text: str, verdict: Vector, sk: bytes = SK) -> Vector:
    """Return the vector of a whole honest check."""
    slow = release.content["slow_hash"]
    parameters = next(one for one in (STANDARD, TESTING_ONLY) if one.name == slow["name"])
    message = slow_hash(identify(kind, text), bytes.fromhex(release.content["service_salt"]), parameters)
    blinded = oprf._blind(message, BLIND)
    evaluated, proof = oprf._blind_evaluate(sk, oprf.public_key(sk), [blinded], PROOF_SCALAR)
    y = oprf.finalize(message, BLIND, evaluated[0])
    tables = {one["kind"]: one for one in release.content["kinds"]}
    number = int.from_bytes(hkdf_expand(y, encode("bucket", kind.encode()), 8), "big") >> (
        64 - tables[kind]["prefix_bits"]
    )
    return {
        "name": name,
        "stage": "verdict",
        "publisher_key": PUBLISHER_KEY.hex(),
        "now": NOW,
        "last_seen": 0,
        "manifest": release.signed.hex(),
        "kind": kind,
        "text": text,
        "blind": BLIND.hex(),
        "request": request([blinded]).hex(),
        "response": response(evaluated, proof).hex(),
        "path": f"/v1/releases/{release.content['release']}/buckets/{kind}/{number:06x}",
        "page": release.pages[kind][number].hex(),
        "verdict": verdict | {"coverage": coverage(kind, verdict["checked"])} if verdict else {},
    }


def exposed(release: int, found: Sequence[Vector], checked: Sequence[str], unchecked: Sequence[Vector]) -> Vector:
    return {
        "verdict": "exposed",
        "release": release,
        "breaches": list(found),
        "checked": list(checked),
        "unchecked": list(unchecked),
    }


# How much of each dataset could be read, by the kind that is asked: `dataset` of manifests.py rejects 4 cells of the
# first of its kinds.
UNREAD: Final = {("alpha-2025", "phone"): 4, ("beta-2024", "phone"): 4, ("gamma-2023", "national_id"): 4}


def coverage(kind: str, checked: Sequence[str]) -> list[Vector]:
    return [
        {"dataset": name, "rows_read": 12, "rows_accepted": 10, "identifiers_rejected": UNREAD.get((name, kind), 0)}
        for name in checked
    ]


def not_found(release: int, checked: Sequence[str], unchecked: Sequence[Vector]) -> Vector:
    return exposed(release, [], checked, unchecked) | {"verdict": "not_found"}


def breach(name: str, fields: Sequence[DataClass], employer: bool = False, shared: bool = False) -> Vector:
    return {"dataset": name, "fields": [str(field) for field in fields], "employer": employer, "shared": shared}


def bad(check: Vector, name: str, stage: str, reason: str, **replaced: object) -> Vector:
    """Return `check` with something false in it, so that it must end at `stage` with `reason`."""
    return check | replaced | {"name": name, "stage": stage, "verdict": {"verdict": "undetermined", "reason": reason}}


GAMMA: Final = {"dataset": "gamma-2023", "kinds": ["national_id"]}
ALPHA: Final = {"dataset": "alpha-2025", "kinds": ["phone", "national_id"]}
BETA: Final = {"dataset": "beta-2024", "kinds": ["phone", "email"]}


def _members_of(release: int, parameters: SlowHash = TESTING_ONLY) -> dict[str, list[tuple[bytes, bytes]]]:
    fields, few = mask_of(FIELDS), mask_of(FIELDS[:2])
    numbers = (EXPOSED_PHONE, "712345678", "522345678", "522345679")
    both, phone, contact, common = (output_of("phone", number, parameters) for number in numbers)
    card, linked = (output_of("national_id", number, parameters) for number in ("AB123456", "AB123457"))
    email = output_of("email", "name@example.ma", parameters)
    beta = mask_of([DataClass.PHONE_NUMBERS, DataClass.EMAIL_ADDRESSES])
    return {
        "phone": [
            (both, sealed(both, "alpha-2025", release, payload_of(fields))),
            (both, sealed(both, "beta-2024", release, payload_of(beta))),
            (phone, sealed(phone, "alpha-2025", release, payload_of(few))),
            (contact, sealed(contact, "alpha-2025", release, payload_of(1 << 3, flags=1))),
            (common, sealed(common, "alpha-2025", release, payload_of(few, flags=2))),
        ],
        "national_id": [
            (card, sealed(card, "gamma-2023", release, payload_of(1))),
            (linked, sealed(linked, "beta-2024", release, payload_of(beta))),
        ],
        "email": [(email, sealed(email, "beta-2024", release, payload_of(1 << 8)))],
    }


def good_checks() -> Iterator[Vector]:
    release = release_of(7, _members_of(7))
    names = ["alpha-2025", "beta-2024"]
    in_alpha = breach("alpha-2025", FIELDS)
    in_alpha["fields"] = [str(c) for c in DataClass if c in FIELDS]  # in bit order
    in_beta = breach("beta-2024", [DataClass.PHONE_NUMBERS, DataClass.EMAIL_ADDRESSES])
    twice = exposed(7, [in_alpha, in_beta], names, [GAMMA])
    yield check_of("exposed in two datasets", release, "phone", "0612345678", twice)
    for text in ("+212 6 12 34 56 78", "00212612345678", "٠٦ ١٢ ٣٤ ٥٦ ٧٨"):
        yield check_of(
            f"the same person as {text.encode('ascii', 'backslashreplace').decode()}", release, "phone", text, twice
        )
    one = exposed(7, [breach("alpha-2025", FIELDS[:2])], names, [GAMMA])
    yield check_of("exposed in one of two datasets", release, "phone", "0712345678", one)
    contact = exposed(7, [breach("alpha-2025", [DataClass.PHONE_NUMBERS], employer=True)], names, [GAMMA])
    yield check_of("exposed as the employer's contact", release, "phone", "0522345678", contact)
    common = exposed(7, [breach("alpha-2025", FIELDS[:2], shared=True)], names, [GAMMA])
    yield check_of("exposed in rows about several people", release, "phone", "0522345679", common)
    linked = exposed(
        7,
        [breach("beta-2024", [DataClass.PHONE_NUMBERS, DataClass.EMAIL_ADDRESSES])],
        ["alpha-2025", "gamma-2023"],
        [],
    )
    yield check_of("exposed in a dataset that does not index the kind", release, "national_id", "AB123457", linked)
    card = exposed(7, [breach("gamma-2023", [DataClass.GOVERNMENT_ISSUED_IDS])], ["alpha-2025", "gamma-2023"], [BETA])
    yield check_of("exposed, one dataset does not index the kind", release, "national_id", "ab 0123456", card)
    email = exposed(7, [breach("beta-2024", [DataClass.EMAIL_ADDRESSES])], ["beta-2024"], [ALPHA, GAMMA])
    yield check_of("exposed, two datasets do not index the kind", release, "email", "Name@Example.MA", email)
    nothing = not_found(7, names, [GAMMA])
    yield check_of("not found", release, "phone", "0687654321", nothing)
    yield check_of(
        "not found in a bucket without members", release, "email", "a@b.ma", not_found(7, ["beta-2024"], [ALPHA, GAMMA])
    )
    yield check_of(
        "not found, one dataset does not index the kind",
        release,
        "national_id",
        "Z1",
        not_found(7, ["alpha-2025", "gamma-2023"], [BETA]),
    )
    base = check_of("not found", release, "phone", "0687654321", nothing)
    yield base | {"name": "last second of validity", "now": VALID_UNTIL}
    yield base | {"name": "24 hours before it was created", "now": "2026-10-31T08:00:00Z"}
    yield base | {"name": "the same release as before", "last_seen": 7}
    yield base | {"name": "an older release before", "last_seen": 6}
    single = release_of(8, _members_of(8), bits=0)
    yield check_of("one bucket for all, exposed", single, "phone", "0612345678", twice | {"release": 8})
    yield check_of("one bucket for all, not found", single, "phone", "0687654321", nothing | {"release": 8})
    highest = release_of(2**53 - 1, _members_of(2**53 - 1))
    yield check_of("highest release", highest, "phone", "0612345678", twice | {"release": 2**53 - 1})
    standard = release_of(9, _members_of(9, STANDARD), STANDARD)
    yield check_of("standard parameters, exposed", standard, "phone", "0612345678", twice | {"release": 9})
    every = copy.deepcopy(release_of(10, {}).content)
    y = output_of("phone", EXPOSED_PHONE)
    full = release_of(10, {"phone": [(y, sealed(y, "alpha-2025", 10, payload_of(0xFFFFFFFF)))]})
    every["kinds"] = full.content["kinds"]
    every["data_classes"] = [f"Class {i}" for i in range(32)]
    every["datasets"] = [full.content["datasets"][0] | {"fields": every["data_classes"], "kinds": ["phone"]}]
    every["canaries"] = canaries_of(every["datasets"])
    whole = exposed(
        10,
        [{"dataset": "alpha-2025", "fields": every["data_classes"], "employer": False, "shared": False}],
        ["alpha-2025"],
        [],
    )
    yield check_of("all 32 bits of the mask", Release(every, full.pages), "phone", "0612345678", whole)


def bad_checks() -> Iterator[Vector]:
    release = release_of(7, _members_of(7))
    content = release.content
    member = check_of("member", release, "phone", "0612345678", {})
    stranger = check_of("non-member", release, "phone", "0687654321", {})
    for text, reason in (("+33612345678", "format"), ("6.12E+08", "spreadsheet_number"), ("", "empty")):
        yield member | {
            "name": f"identifier: {text!r}",
            "stage": "identifier",
            "text": text,
            "verdict": {"verdict": "invalid", "reason": reason},
        }
    for name, signed, reason in bad_signatures(release.signed):
        yield bad(member, f"manifest: {name}", "manifest", reason, manifest=signed.hex())
    for path, value, reason in [
        ("protocol", "breachcheck-v2", "manifest_version"),
        ("suite", "P384-SHA384", "manifest_version"),
        ("slow_hash.name", "fast", "manifest_parameters"),
        ("slow_hash.passes", 3, "manifest_parameters"),
        ("more", 1, "manifest_malformed"),
        ("kinds.0.root", "AB" * 32, "manifest_malformed"),
        ("kinds.0.prefix_bits", 25, "manifest_malformed"),
        ("release", 0, "manifest_malformed"),
        ("public_key", "ab", "manifest_malformed"),
        ("created", "yesterday", "manifest_malformed"),
        ("datasets", None, "manifest_malformed"),
    ]:
        octets = sign(changed(content, path, value))
        yield bad(member, f"manifest: {path} is {value!r}", "manifest", reason, manifest=octets.hex())
    yield bad(member, "publisher: client trusts another", "manifest", "manifest_signature",
              publisher_key=OTHER_PUBLISHER.public_key().public_bytes_raw().hex())  # fmt: skip
    yield bad(member, "expired by a second", "manifest", "manifest_expired", now="2027-02-01T08:00:01Z")
    yield bad(member, "expired by years", "manifest", "manifest_expired", now="2031-01-01T00:00:00Z")
    yield bad(member, "not yet valid by a second", "manifest", "manifest_not_yet_valid", now="2026-10-31T07:59:59Z")
    yield bad(member, "clock at its epoch", "manifest", "manifest_not_yet_valid", now="1970-01-01T00:00:00Z")
    yield bad(member, "rolled back by one", "manifest", "release_rolled_back", last_seen=8)
    yield bad(member, "rolled back from the highest", "manifest", "release_rolled_back", last_seen=2**53 - 1)
    yield bad(
        member, "expired and rolled back", "manifest", "manifest_expired", now="2031-01-01T00:00:00Z", last_seen=8
    )

    bare = content | {"canaries": []}
    lacking = sign(
        text_of(bare | {"kinds": content["kinds"][1:], "datasets": [dataset("gamma-2023", ["national_id"], [])]})
    )
    yield bad(member, "kind without a table", "start", "kind_not_indexed", manifest=lacking.hex())
    unasked = sign(text_of(bare | {"datasets": [content["datasets"][2]]}))
    yield bad(member, "kind with a table and no dataset", "start", "kind_not_indexed", manifest=unasked.hex())
    yield bad(
        member,
        "no datasets at all",
        "start",
        "kind_not_indexed",
        manifest=sign(text_of(bare | {"datasets": []})).hex(),
    )
    other_rules = sign(changed(content, "kinds.0.rules", "00" * 32))
    yield bad(member, "rules differ", "start", "identifier_rules", manifest=other_rules.hex())
    swapped_rules = sign(changed(content, "kinds.0.rules", KINDS["national_id"].digest.hex()))
    yield bad(member, "rules of another kind", "start", "identifier_rules", manifest=swapped_rules.hex())

    for check, who in ((member, "member"), (stranger, "non-member")):
        blinded = bytes.fromhex(json.loads(bytes.fromhex(check["request"]))["elements"][0])
        for name, body, reason in bad_responses(blinded):
            yield bad(check, f"evaluation, {who}: {name}", "evaluation", reason, response=body.hex())
    other_key = sign(changed(content, "public_key", OTHER_PK.hex()))
    yield bad(member, "the manifest has another public key", "evaluation", "evaluation_proof", manifest=other_key.hex())
    identity_key = sign(changed(content, "public_key", IDENTITY.hex()))
    yield bad(
        member,
        "the manifest's public key is the identity",
        "evaluation",
        "evaluation_malformed",
        manifest=identity_key.hex(),
    )
    high_key = sign(changed(content, "public_key", flip(PK, 255).hex()))
    yield bad(
        member,
        "the manifest's public key has bit 255 set",
        "evaluation",
        "evaluation_malformed",
        manifest=high_key.hex(),
    )
    other_salt = sign(changed(content, "service_salt", stream("salt", 16).hex()))
    other_start = check_of(
        "", Release(content | {"service_salt": stream("salt", 16).hex()}, release.pages), "phone", "0612345678", {}
    )
    yield bad(other_start, "answer to a blinded element of another salt", "evaluation", "evaluation_proof",
              manifest=other_salt.hex(), response=member["response"])  # fmt: skip

    newer = release_of(8, _members_of(8))
    cards = release.pages["national_id"]
    for check, who in ((member, "member"), (stranger, "non-member")):
        number = int(check["path"].rsplit("/", 1)[1], 16)
        layout = bucket.Layout(2, content["kinds"][0]["entries_per_bucket"])
        for name, octets, reason in bad_pages(release.pages["phone"], number, layout):
            yield bad(check, f"bucket, {who}: {name}", "bucket", reason, page=octets.hex())
        yield bad(
            check,
            f"bucket, {who}: of another release",
            "bucket",
            "bucket_proof",
            page=newer.pages["phone"][number].hex(),
        )
        yield bad(check, f"bucket, {who}: of another kind", "bucket", "bucket_proof", page=cards[number].hex())
    other_root = sign(changed(content, "kinds.0.root", content["kinds"][1]["root"]))
    yield bad(member, "bucket: the manifest has another root", "bucket", "bucket_proof", manifest=other_root.hex())
    longer = sign(changed(content, "kinds.0.entries_per_bucket", content["kinds"][0]["entries_per_bucket"] + 1))
    yield bad(member, "bucket: the manifest has longer pages", "bucket", "bucket_length", manifest=longer.hex())

    y = output_of("phone", EXPOSED_PHONE)
    right = sealed(y, "alpha-2025", 7, payload_of(mask_of(FIELDS)))
    in_beta = sealed(y, "beta-2024", 7, payload_of(mask_of([DataClass.PHONE_NUMBERS])))
    malformed = [(name, [sealed(y, "alpha-2025", 7, payload)]) for name, payload in BAD_PAYLOADS]
    malformed += [
        ("tag twice, same payload", [right, right]),
        ("tag twice, another payload", [right, sealed(y, "alpha-2025", 7, payload_of(2))]),
        ("field that the dataset does not have", [sealed(y, "alpha-2025", 7, payload_of(1 << 9))]),
        ("field that the vocabulary does not have", [sealed(y, "alpha-2025", 7, payload_of(1 << 3 | 1 << 16))]),
        ("highest field", [sealed(y, "alpha-2025", 7, payload_of(1 << 3 | 1 << 31))]),
        ("second dataset malformed, first well", [right, sealed(y, "beta-2024", 7, payload_of(0))]),
        ("first dataset malformed, second well", [sealed(y, "alpha-2025", 7, payload_of(1, zero=1)), in_beta]),
    ]
    for name, held in malformed:
        damaged = release_of(7, {"phone": [(y, one) for one in held]})
        yield bad(check_of("", damaged, "phone", "0612345678", {}), f"entry: {name}", "entry", "entry_malformed")


def checks() -> Vector:
    """Return all checks; each names its manifest, which stands in `manifests` once."""
    good, false = list(good_checks()), list(bad_checks())
    names: dict[str, str] = {}
    for check in (*good, *false):
        check["manifest"] = names.setdefault(check["manifest"], f"manifest {len(names)}")
    return {"manifests": {name: signed for signed, name in names.items()}, "good": good, "bad": false}
