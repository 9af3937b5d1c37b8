"""A whole check by the Python client over HTTP, and what of it is not the slow hash."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from bench_tools.bench import Bench, Figures
from bench_tools.tools import Comparison, ToolError, interleaved, limit_rate, pinned
from breachcheck import Client, NotFound
from breachcheck.protocol.identifier import identify
from breachcheck.protocol.parameters import SALT_LENGTH, STANDARD
from breachcheck.protocol.slow_hash import slow_hash
from breachcheck.synth import nonmember

KIND: Final = "phone"
# RFC 9497: Blind multiplies once, verifying the proof six times, Finalize once.
_MULTIPLICATIONS: Final = 8


def _milliseconds(call: Callable[[str], object], times: int) -> float:
    began = time.perf_counter()
    for index in range(times):
        call(nonmember(KIND, index))
    return (time.perf_counter() - began) / times * 1e3


def measure(bench: Bench) -> Figures:
    """Check numbers that are in no leak, client and service each on a core of its own."""
    server, core = bench.cores
    world = bench.world(20 if bench.quick else 200, STANDARD)
    salt, times = os.urandom(SALT_LENGTH), 4 if bench.quick else 10

    def limit() -> float:
        """Return the milliseconds that C takes for the group operations of one check, the evaluator's included."""
        calls = {"blind_evaluate_1": 1, "hash_to_group": 1, "scalarmult": _MULTIPLICATIONS}
        return sum(
            count * 1e3 / limit_rate(bench.limit, name, bench.seconds / 4, cores=core) for name, count in calls.items()
        )

    with world.service(server) as service, Client(service.url, publisher_key=world.publisher) as client, pinned(core):
        if not isinstance(client.check(KIND, nonmember(KIND, 0)), NotFound):
            raise ToolError("the service does not say that a number is not found which is in no leak")
        bench.say("checking")
        best = interleaved(
            {
                "whole": lambda: _milliseconds(lambda text: client.check(KIND, text), times),
                "slow hash": lambda: _milliseconds(lambda text: slow_hash(identify(KIND, text), salt, STANDARD), times),
                "limit": limit,
            },
            bench.rounds,
            better=min,
        )
    rest = best["whole"] - best["slow hash"]
    return Figures(
        "One check by the Python client, manifest, evaluation and bucket over HTTP",
        [
            Comparison("whole check", "ms", best["whole"]),
            Comparison(f"  slow hash, {STANDARD.name}", "ms", best["slow hash"]),
            Comparison("  rest", "ms", rest, "its group operations in C", best["limit"]),
        ],
    )
