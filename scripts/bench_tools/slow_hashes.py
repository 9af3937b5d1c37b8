"""The slow hash of an ingest against every implementation at hand, for the same bytes."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from bench_tools.bench import Bench, Figures
from bench_tools.evaluation import rate
from bench_tools.tools import Comparison, ToolError, interleaved, limit_rate, pinned
from breachcheck.protocol.encoding import encode
from breachcheck.protocol.identifier import Identifier
from breachcheck.protocol.parameters import SALT_LENGTH, STANDARD
from breachcheck.protocol.slow_hash import LENGTH, slow_hash, slow_hash_bulk

_C = "libsodium, called from C"


def measure(bench: Bench) -> Figures:
    """Compare `slow_hash_bulk` under STANDARD, on one core."""
    core, _ = bench.cores
    identifier, salt = Identifier("phone", "612345678"), os.urandom(SALT_LENGTH)
    password = encode("slow-hash", identifier.kind.encode(), identifier.canonical.encode())

    def cryptography() -> bytes:
        kdf = Argon2id(salt=salt, length=LENGTH, iterations=STANDARD.passes, lanes=1, memory_cost=STANDARD.memory_kib)
        return kdf.derive(password)

    calls = {
        "ours": lambda: slow_hash_bulk(identifier, salt, STANDARD),
        "argon2-cffi": lambda: slow_hash(identifier, salt, STANDARD),
        "cryptography": cryptography,
    }
    if len({call() for call in calls.values()}) != 1:
        raise ToolError("the implementations of Argon2id do not agree")

    def python(name: str) -> float:
        with pinned(core):
            return rate(calls[name], bench.seconds)

    best = interleaved(
        {
            _C: lambda: limit_rate(bench.limit, "argon2id_standard", bench.seconds, cores=core),
            "ours": lambda: python("ours"),
            "argon2-cffi": lambda: python("argon2-cffi"),
            "cryptography": lambda: python("cryptography"),
        },
        bench.rounds,
    )
    ours = best.pop("ours")
    peers = sorted(best.items(), key=lambda peer: -peer[1])
    return Figures(
        f"Slow hash, {STANDARD.name}: Argon2id {STANDARD.memory_kib // 1024} MiB, t={STANDARD.passes}, one core",
        [
            Comparison("hashes", "/s", ours, peer, theirs, wanted=0.95 if theirs == peers[0][1] else None)
            for peer, theirs in peers
        ],
    )
