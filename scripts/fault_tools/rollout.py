"""Campaign 5: two services with different releases behind one address, and each request goes to one of them by chance.

The newer release has a dataset more, so that somebody is in the newer one only, and everybody is in different fields.
Half of the clients are new each time; the others have seen the newer release, to which an older one is no answer. With
the third service, of the next epoch, even the key differs between two requests of one check.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from contextlib import ExitStack

from breachcheck.client import Client
from fault_tools.campaign import Plan, Tally
from fault_tools.exchanges import Said, ask_python, node
from fault_tools.proxy import proxying
from fault_tools.services import serving
from fault_tools.truth import Who, judge, people, truth_of
from tests.world import World, make_world
from tests.world import run as command

POINTS = 2000
_PEOPLE = 120


def run(plan: Plan) -> Tally:
    """Check through the proxy, in Python and in JavaScript."""
    world = make_world(plan.folder / "world", _PEOPLE, plan.seed)
    old = World(plan.folder / "old")
    shutil.copytree(world.root, old.root)
    more = World(plan.folder / "more")
    more.root.mkdir()
    more.synth(_PEOPLE * 2, plan.seed + 1)
    world.ingest(more.leak, dataset="second")
    epoch = _next_epoch(plan, world, more)
    asked = people(more, 37) + people(world, 37)
    truths = dict(
        truth_of(each.releases / (each.releases / "current").read_text().strip(), each.keys, asked)
        for each in (old, world, epoch)
    )
    newest = max(truths)
    if all(truths[number] == truths[newest] for number in truths):
        raise RuntimeError("the releases do not differ")
    tally = Tally("rollout")
    for title, worlds in {"old and new release": (old, world), "old and new key": (world, epoch)}.items():
        _check(plan, tally, title, worlds, asked, truths)
    return tally


def _next_epoch(plan: Plan, world: World, more: World) -> World:
    epoch = World(plan.folder / "epoch")
    epoch.root.mkdir()
    command("keys", "rotate", "--keys", world.keys, "--new", epoch.keys)
    command(*epoch.ingest_words(world.leak), "--follows", world.releases, "--allow-shrinking")  # the other one is next
    epoch.ingest(more.leak, dataset="second")
    return epoch


def _check(
    plan: Plan,
    tally: Tally,
    title: str,
    worlds: Sequence[World],
    asked: Sequence[Who],
    truths: dict[int, dict[Who, Said]],
) -> None:
    rng = plan.random(f"rollout {title}")
    points = (POINTS if plan.points is None else plan.points) // 4
    with ExitStack() as stack:
        ports = [stack.enter_context(serving(world)).port for world in worlds]
        coin = random.Random(rng.random())
        url = stack.enter_context(proxying(lambda _: coin.choice(ports)))
        publisher = bytes.fromhex(worlds[0].publisher.read_text().strip())
        scripts = stack.enter_context(node(url, publisher))
        kept = stack.enter_context(Client(url, publisher))
        for _ in range(points):
            who = rng.choice(asked)
            with Client(url, publisher) as new:
                for name, said in (
                    ("new client", ask_python(new, *who)),
                    ("client that goes on", ask_python(kept, *who)),
                ):
                    outcome, wrong = judge(said, who, truths)
                    tally.count(f"{title}: {name}", outcome, wrong=wrong)
            for _ in range(2):
                outcome, wrong = judge(scripts(*who), who, truths)
                tally.count(f"{title}: the page's scripts", outcome, wrong=wrong)
