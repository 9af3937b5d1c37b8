"""What is true of a release, by number: asked of the release itself, in this process, before any fault."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from breachcheck import keys as key_room
from breachcheck.exposure import Exposed
from breachcheck.protocol.identifier import identify
from breachcheck.store import reader
from breachcheck.store.verify import ask
from breachcheck.synth import nonmember
from fault_tools.exchanges import Said
from tests.world import World

Who = tuple[str, str]  # kind and text


def people(world: World, seldom: int) -> list[Who]:
    """Return every so-maniest member of a world's leak, and a stranger for every two of them."""
    members = [(answer["kind"], answer["identifier"]) for answer in world.answers()[::seldom]]
    return members + [(kind, nonmember(kind, number)) for number, (kind, _) in enumerate(members[::2])]


def truth_of(folder: Path, keys: Path, asked: Sequence[Who]) -> tuple[int, dict[Who, Said]]:
    """Return the number of the release in `folder`, and what it says of each."""
    steward = key_room.read_steward(keys)
    said: dict[Who, Said] = {}
    with reader.open_folder(folder, steward.publisher_key) as release:
        number = release.manifest.release
        for who in asked:
            verdict = ask(release, steward.publisher_key, steward.evaluator, datetime.now(UTC), identify(*who))
            if isinstance(verdict, Exposed):
                exposures = frozenset((one.dataset, one.fields) for one in verdict.exposures)
                said[who] = Said("exposed", "", number, exposures)
            else:
                said[who] = Said("not_found", "", number)
    return number, said


def judge(said: Said, who: Who, truths: dict[int, dict[Who, Said]]) -> tuple[str, bool]:
    """Return the outcome in words, and whether it is wrong: true of a release is what that release says."""
    if said.type == "undetermined":
        return f"undetermined: {said.reason}", said.reason in ("", "not_checked", "client_fault")
    if said.type not in ("exposed", "not_found"):
        return f"{said.type} {said.reason}", True
    if truths.get(said.release, {}).get(who) != said:
        return f"{said.type} of release {said.release}, which is false", True
    return f"{said.type}, rightly", False
