"""Campaign 4: client and service with clocks that are wrong by up to ten years, ahead and behind.

Both run as real processes under libfaketime, the client in Python and in JavaScript. The monotonic clock stays: that is
how a machine with a wrong date is. A release is current for 90 days, and a device may be behind it by a day.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from fault_tools.campaign import MissingError, Plan, Tally
from fault_tools.exchanges import Said, node
from fault_tools.services import Service, serving
from fault_tools.truth import Who, judge, people, truth_of
from tests.world import World, make_world
from tests.world import run as command

_PEOPLE: Final = 120
_OFFSETS: Final = ("-3650d", "-366d", "-2d", "-20h", "+0d", "+89d", "+91d", "+366d", "+3650d")
_REASONS: Final = {
    **dict.fromkeys(("-3650d", "-366d", "-2d"), "manifest_not_yet_valid"),
    **dict.fromkeys(("+91d", "+366d", "+3650d"), "manifest_expired"),
}
_TOLD: Final = {"-3650d": "self_check", "+0d": "ready", "+3650d": "release_expired"}  # by the service, of itself


def run(plan: Plan) -> Tally:
    """Check with each pair of clocks, or with as many as the plan says."""
    library = _library()
    world = make_world(plan.folder / "world", _PEOPLE, plan.seed)
    asked = people(world, 61)
    number, truth = truth_of(world.releases / "1", world.keys, asked)
    tally = Tally("clock")
    rng = plan.random("clock")
    for service_offset in plan.some("clock, services", tuple(_TOLD)):
        with ExitStack() as stack:
            service = stack.enter_context(serving(world, env=_faked(library, service_offset)))
            told = _readiness(service, service_offset)
            tally.count(f"service {service_offset}", told, wrong=_TOLD[service_offset] not in told)
            for offset in plan.some("clock, clients", _OFFSETS):
                who = rng.choice(asked)
                environment = _faked(library, offset)
                with node(service.url, bytes.fromhex(world.publisher.read_text().strip()), **environment) as ask:
                    saids = {"JavaScript": ask(*who), "Python": _python(world, service.url, who, environment)}
                for language, said in saids.items():
                    outcome, wrong = judge(said, who, {number: truth})
                    tally.count(
                        f"client {offset}, service {service_offset}",
                        f"{language}: {outcome}",
                        wrong=wrong or said.reason != _REASONS.get(offset, ""),
                    )
    return tally


def _readiness(service: Service, offset: str) -> str:
    """Return what the service says of itself once its self-check had its time, which begins when it starts."""
    deadline = time.monotonic() + 30
    while _TOLD[offset] not in (told := service.readiness()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return told


def _library() -> str:
    for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
        return str(path)
    raise MissingError("libfaketime (Debian package libfaketime)")


def _faked(library: str, offset: str) -> dict[str, str]:
    # The releases' signatures and the kept connections know nothing of it; only the date is another.
    return {"LD_PRELOAD": library, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}


def _python(world: World, url: str, who: Who, environment: dict[str, str]) -> Said:
    kind, text = who
    words = ("check", kind, "--url", url, "--publisher-key", world.publisher, "--json")
    memory = {"XDG_STATE_HOME": str(world.root / "state")}
    done = command(*words, check=False, stdin=text + "\n", env={**environment, **memory})
    if done.returncode not in (0, 1, 3):
        return Said("error", f"exit {done.returncode}")
    line = json.loads(done.stdout)
    exposures = frozenset((one["dataset"], tuple(one["fields"])) for one in line["breaches"])
    return Said(line["verdict"], line["reason"] or "", line["release"] or 0, exposures)
