"""Campaign 2: a release that is damaged in one place, or lacks something.

In each 16 KiB block of the database and of the pages, in each of the database's three headers (4 KiB each), and in each
octet of the manifest and of `current`, one bit is flipped. Every file is cut at each multiple of 16 KiB and one octet
to each side, and made longer by one. Every file is taken away. Whoever opens the release must refuse it by a reason, or
answer every member and every stranger rightly, where no octet that is used was hit. Opening makes no file.

Then the pages are damaged under a release that is open. And `breachcheck serve` meets a sample of all of this.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Final

import urllib3

from breachcheck import keys as key_room
from breachcheck.errors import BreachcheckError, ReleaseError
from breachcheck.exposure import Exposed, NotFound
from breachcheck.ingest.publish import Policy
from breachcheck.protocol.identifier import Identifier, identify
from breachcheck.store import reader
from breachcheck.store.verify import ask, verify, verify_canaries
from breachcheck.synth import nonmember
from fault_tools.campaign import Plan, Tally
from tests.world import BREACHCHECK, World, free_port, make_world

PEOPLE: Final = 120
BLOCK: Final = 16384
_HEADER: Final = 4096  # DuckDB writes three of them
_MEMBERS: Final = 6
_SERVED: Final = 12  # of the damages, `breachcheck serve` meets so many


@dataclass(frozen=True)
class Damage:
    """What is done to one file of a release folder."""

    what: str
    file: Path
    do: Callable[[Path], None]


@dataclass
class Witness:
    """Who asks, and what the answer must be; nothing of it comes from the release that is tried."""

    steward: key_room.StewardKeys
    now: datetime
    truth: dict[Identifier, frozenset[tuple[str, ...]]]

    def judge(self, release: reader.Release) -> str:
        """Return the first wrong answer in a word, or nothing."""
        for identifier, fields in self.truth.items():
            verdict = ask(release, self.steward.publisher_key, self.steward.evaluator, self.now, identifier)
            said = frozenset(one.fields for one in verdict.exposures) if isinstance(verdict, Exposed) else frozenset()
            if said != fields:
                return "a false zero" if isinstance(verdict, NotFound) else "a false answer"
        return ""


def run(plan: Plan) -> Tally:
    """Do each damage to a copy."""
    world = make_world(plan.folder / "world", PEOPLE, plan.seed)
    witness = _witness(world)
    tally = Tally("flips")
    damages = list(_damages(world.releases, plan))
    chosen = _by_turns(plan, damages)[: plan.points]
    plan.say(f"flips: {len(chosen)} of {len(damages)} damages")
    for damage in chosen:
        with _damaged(world, plan.folder, damage) as copy:
            outcome, wrong = _open(copy, witness)
        tally.count(damage.what, outcome, wrong=wrong)
        if wrong:
            tally.wrong[-1] += f" ({damage.file})"
    _under_an_open_release(plan, world, witness, tally)
    for damage in chosen[:: max(1, len(chosen) // _SERVED)][: min(_SERVED, 1 + len(chosen) // 20)]:
        with _damaged(world, plan.folder, damage) as copy:
            outcome, wrong = _serve(world, copy, witness)
        tally.count("serve: " + damage.what, outcome, wrong=wrong)
    return tally


def _witness(world: World) -> Witness:
    steward, now = key_room.read_steward(world.keys), datetime.now(UTC)
    truth: dict[Identifier, frozenset[tuple[str, ...]]] = {}
    answers = world.answers()
    for answer in answers[:: max(1, len(answers) // _MEMBERS)]:
        truth[identify(answer["kind"], answer["identifier"])] = frozenset({tuple(answer["exposed"])})
    kinds = {identifier.kind for identifier in truth}
    truth.update({identify(kind, nonmember(kind, 1)): frozenset() for kind in sorted(kinds)})
    witness = Witness(steward, now, truth)
    with reader.open_release(world.releases, steward.publisher_key) as release:
        wrong = witness.judge(release)
    if wrong:
        raise RuntimeError(f"the release that is whole gives {wrong}")
    return witness


def _damages(releases: Path, plan: Plan) -> Iterator[Damage]:
    rng = plan.random("flips, places")
    number = reader.current(releases).name
    for path in sorted(path for path in releases.rglob("*") if path.is_file()):
        file, size = path.relative_to(releases), path.stat().st_size
        name = {reader.DATABASE: "database", reader.MANIFEST: "manifest", reader.CURRENT: "current"}.get(
            path.name, "pages"
        )
        small = name in ("manifest", "current")
        for start in range(0, size, 1 if small else BLOCK):
            yield Damage(f"{name}: bit flipped", file, _flip(rng, start, min(size, start + (1 if small else BLOCK))))
        if name == "database":
            for header in range(0, 3 * _HEADER, _HEADER):
                for start in range(header, header + 128, 8):  # what a header holds stands at its beginning
                    yield Damage(f"{name}: bit of a header flipped", file, _flip(rng, start, start + 8))
        cuts = {min(size - 1, max(0, at + more)) for at in range(0, size, BLOCK) for more in (-1, 0, 1)}
        cuts |= {size - 1} if not small else set(range(0, size, 1 if name == "current" else 97))
        for cut in sorted(cuts):
            yield Damage(f"{name}: cut", file, _cut(cut))
        yield Damage(f"{name}: longer by one octet", file, _longer)
        yield Damage(f"{name}: missing", file, Path.unlink)
    yield Damage("folder of the release: missing", Path(number), shutil.rmtree)
    yield Damage("folder of the pages: missing", Path(number) / reader.PAGES, shutil.rmtree)


def _by_turns(plan: Plan, damages: list[Damage]) -> list[Damage]:
    """Return the damages in an order in which any beginning has some of each sort."""
    rng, sorts = plan.random("flips, order"), defaultdict[str, list[Damage]](list)
    for damage in damages:
        sorts[damage.what].append(damage)
    for those in sorts.values():
        rng.shuffle(those)
    return [damage for turn in zip_longest(*sorts.values()) for damage in turn if damage]


def _flip(rng: random.Random, start: int, end: int) -> Callable[[Path], None]:
    at, bit = rng.randrange(start, end), 1 << rng.randrange(8)

    def do(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            octet = file.read(1)[0] ^ bit
            file.seek(at)
            file.write(bytes([octet]))

    return do


def _cut(length: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, length)


def _longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


@contextmanager
def _damaged(world: World, folder: Path, damage: Damage) -> Iterator[Path]:
    # Under another name each time: DuckDB in one process may remember a file that had that name.
    copy = folder / f"copy-{random.SystemRandom().getrandbits(64):x}"
    shutil.copytree(world.releases, copy)
    damage.do(copy / damage.file)
    before = _names(copy)
    try:
        yield copy
        if _names(copy) != before:
            raise RuntimeError(f"{damage.what}: reading changed the folder")
    finally:
        shutil.rmtree(copy)


def _names(folder: Path) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_size) for path in folder.rglob("*") if path.is_file())


def _open(copy: Path, witness: Witness) -> tuple[str, bool]:
    try:
        with reader.open_release(copy, witness.steward.publisher_key) as release:
            verify(release, Policy().k_members, Policy().k_population)
            verify_canaries(release, witness.steward.publisher_key, witness.steward.evaluator, witness.now)
            wrong = witness.judge(release)
    except BreachcheckError as error:
        return f"refused: {error.reason}", False
    except Exception as error:  # noqa: BLE001  # that there is none is what is shown here
        return f"{type(error).__name__}", True
    return (wrong, True) if wrong else ("no octet that is used: answered rightly", False)


def _under_an_open_release(plan: Plan, world: World, witness: Witness, tally: Tally) -> None:
    """Damage the pages of a release that is open, as under a running service."""
    copy = plan.folder / "open"
    shutil.copytree(world.releases, copy)
    rng = plan.random("flips, open")
    with reader.open_release(copy, witness.steward.publisher_key) as release:
        pages = [(one, bucket) for one in release.manifest.kinds for bucket in range(one.layout.buckets)]
        for table, bucket in plan.some("open", pages):
            kind, length = table.kind, table.layout.page_length
            flip = _flip(rng, bucket * length, (bucket + 1) * length)
            flip(release.pages_path(kind))
            try:
                release.page(kind, bucket)
                tally.count("pages under an open release: bit flipped", "sent all the same", wrong=True)
            except ReleaseError as error:
                tally.count("pages under an open release: bit flipped", f"refused: {error.reason}")
            flip(release.pages_path(kind))
            release.page(kind, bucket)  # the bit is as it was


def _serve(world: World, copy: Path, witness: Witness) -> tuple[str, bool]:
    """Start a service with a damaged release: it must refuse by a reason, or answer every canary rightly."""
    words = ["serve", "--releases", copy, "--keys", world.keys, "--port", port := free_port()]
    command = [*BREACHCHECK, *map(str, words), "--allow-testing-parameters"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as service:
        while service.poll() is None:
            try:
                answer = urllib3.request("GET", f"http://127.0.0.1:{port}/readyz", retries=False, timeout=5)
            except urllib3.exceptions.HTTPError:
                continue
            if answer.status == 200:
                service.terminate()
                outcome, wrong = _open(copy, witness)
                return f"ready; {outcome}", wrong or outcome.startswith("refused")
        said = service.communicate()[1].strip().splitlines()
    reason = said[-1].split(": ")[1] if said and said[-1].count(": ") else "without a word"
    return f"refused: {reason} (exit {service.returncode})", service.returncode != 3 or not said
