"""canaries.json: how canaries are spelled, and what becomes of them (PROTOCOL.md §8.4)."""

from __future__ import annotations

from typing import Final

from breachcheck.exposure import DataClass, mask_of
from breachcheck.protocol import canary, oprf
from breachcheck.protocol.encoding import encode, hkdf_expand
from breachcheck.protocol.identifier import KINDS, Identifier, identify
from breachcheck.protocol.parameters import TESTING_ONLY
from breachcheck.protocol.slow_hash import slow_hash
from vector_tools.common import PK, SALT, SK, Vector, agree, parameters_of, refusal
from vector_tools.primitives import payload_of, sealed

_FIELDS: Final = mask_of([DataClass.PHONE_NUMBERS, DataClass.NAMES])
_PLACES: Final = (("phone", "cnss-2025", 7), ("national_id", "a", 1), ("email", "x.y_z-0", 2**53 - 1))


def _hashed(kind: str, form: str) -> Vector:
    password = encode("slow-hash", kind.encode(), form.encode())
    s = slow_hash(Identifier(kind, form), SALT, TESTING_ONLY)
    y = oprf.evaluate(SK, s)
    return {
        "kind": kind,
        "canonical": form,
        "password": password.hex(),
        "slow_hash": s.hex(),
        "output": y.hex(),
        "locator": hkdf_expand(y, encode("bucket", kind.encode()), 8).hex(),
    }


def canaries() -> Vector:
    members, absent = [], []
    for kind, dataset, release in _PLACES:
        form = f"canary {dataset} {release}"
        agree("canary", form, canary.member(kind, dataset, release).canonical)
        hashed = _hashed(kind, form)
        entry = sealed(bytes.fromhex(hashed["output"]), dataset, release, payload_of(_FIELDS))
        members.append(hashed | {"dataset": dataset, "release": release, "fields": _FIELDS, "entry": entry.hex()})
        agree("absent", f"absent {release}", canary.absent(kind, release).canonical)
        absent.append(_hashed(kind, f"absent {release}") | {"release": release})
    texts = sorted({one["canonical"] for one in (*members, *absent)})
    return {
        "parameters": parameters_of(TESTING_ONLY),
        "service_salt": SALT.hex(),
        "secret_key": SK.hex(),
        "public_key": PK.hex(),
        "members": members,
        "absent": absent,
        "refused": [
            {"kind": kind, "text": text, "reason": refusal(identify, kind, text)} for kind in KINDS for text in texts
        ],
    }
