"""The two stages that take long, read and evaluate: in order, in bounded memory, and gone on with after a kill."""

from __future__ import annotations

import json
import os
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from breachcheck.errors import InputError
from breachcheck.ingest.counts import Counts
from breachcheck.ingest.engine import Engine
from breachcheck.ingest.mapping import Mapping as Rules
from breachcheck.ingest.memory import News
from breachcheck.ingest.progress import Watch
from breachcheck.ingest.reduce import Evaluate, Numbered, Shroud
from breachcheck.ingest.sources.open import chunks
from breachcheck.protocol.parameters import STANDARD
from breachcheck.store.run import Run

EVALUATE_BATCH: Final = 64  # identifiers a task with STANDARD: about a second; more with what is quicker, at most:
EVALUATE_MOST: Final = 4096
KEEP_EVERY: Final = 5.0  # seconds of work that a killed run may lose
KEEP_OCTETS: Final = 1 << 26  # of shrouded values that are held in memory before they are kept
KEEP_REJECTED: Final = 1 << 19  # rows likewise; a small archive may unpack to many that are empty
PASSED_ON: Final = 4  # chunks done, of which each task brings word: enough that few workers miss it

# Not the file's name: an attestation may be called after its person.
_REJECTED: Final = pa.schema(
    [("file", pa.uint32()), ("part", pa.string()), ("number", pa.uint64()), ("reason", pa.string())]
)


Version = tuple[int, int, int]  # of a file: another one after it was written to, or another file took its place


def version(path: Path) -> Version:
    """Return the version of a file."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def read(
    versions: Mapping[Path, Version], mapping: Rules, run: Run, run_key: bytes, engine: Engine, watch: Watch
) -> Counts:
    """Read files, from where a run that was killed was, into shrouded values; return what was counted in all of them.

    Raises:
        InputError: `reconcile`; `source`: one was written to meanwhile; or what `sources` finds wrong.
    """
    files = list(versions)
    state = json.loads(run.reading or '{"file": 0, "chunks": 0, "rows": 0, "counts": null}')
    counts = Counts.restored(state["counts"]) if state["counts"] else Counts()
    total = sum(path.stat().st_size for path in files)
    places: deque[_Place] = deque()
    news: deque[News] = deque(maxlen=PASSED_ON)
    kept = time.monotonic()
    batches: list[pa.RecordBatch] = []
    held = 0  # octets of them: to ask them all each time takes longer than to unpickle one
    rejected: list[tuple[int, str, int, str]] = []

    def keep() -> None:
        run.keep(
            pa.Table.from_batches(batches).unify_dictionaries(),
            pa.table({name: [row[at] for row in rejected] for at, name in enumerate(_REJECTED.names)}, _REJECTED),
            json.dumps({"file": place.file, "chunks": place.chunks, "rows": place.rows, "counts": counts.state()}),
        )

    task = Shroud(run_key, os.urandom(16))
    # A run that an earlier version began may not say how many rows it was.
    first = _Place(state["file"], state["chunks"], state.get("rows"))
    for shrouded in engine.map(task, _chunks(files, mapping, first, places, news)):
        place = places.popleft()
        news.extend(shrouded.news)
        batches.append(shrouded.batch)
        held += shrouded.batch.nbytes
        rejected += [(place.file, place.part, *row) for row in shrouded.rejected]
        counts.add(shrouded.counts)
        watch("read", place.behind + shrouded.offset, total, counts.rows_read)
        if time.monotonic() - kept > KEEP_EVERY or held > KEEP_OCTETS or len(rejected) > KEEP_REJECTED:
            keep()
            kept, batches, held, rejected = time.monotonic(), [], 0, []
    if batches:
        keep()
    if counts.rows_read != counts.rows_accepted + counts.rows_rejected.total():
        raise InputError("reconcile", "the rows accepted and rejected are not the rows read")
    if changed := [path.name for path, before in versions.items() if version(path) != before]:
        # The ledger would take the rows of one file for those of the other, and skip it when it is given.
        raise InputError("source", f"{changed[0]} was written to while it was read: give it again")
    return counts


def evaluate(run: Run, total: int, task: Evaluate, engine: Engine, watch: Watch) -> None:
    """Evaluate the merged identifiers of a run, `total` of them, from where it was."""
    done = kept_to = run.evaluated()
    watch("evaluate", done, total)
    outputs, locators = bytearray(), array("Q")
    kept = time.monotonic()
    ours, standard = (one.memory_kib * one.passes for one in (task.parameters, STANDARD))
    size = min(EVALUATE_MOST, max(1, EVALUATE_BATCH * standard // ours))
    for more_outputs, more_locators in engine.map(task, run.shrouded(done, size)):
        outputs += more_outputs
        locators += more_locators
        done = kept_to + len(locators)
        watch("evaluate", done, total)
        if time.monotonic() - kept > KEEP_EVERY:
            run.store(kept_to, bytes(outputs), locators)
            outputs, locators = bytearray(), array("Q")
            kept, kept_to = time.monotonic(), done
    if locators:
        run.store(kept_to, bytes(outputs), locators)


def names(files: Sequence[Path]) -> list[str]:
    """Return how each file is called to the steward: with its folders, where another one has the same name."""
    times = Counter(path.name for path in files)
    called = (str(path) if times[path.name] > 1 else path.name for path in files)
    return [name.encode("utf-8", "backslashreplace").decode() for name in called]  # it need not be UTF-8


def shown(name: str, part: str) -> str:
    """Return how a part of a file is called."""
    return "/".join(filter(None, (name, part)))


class _Place(NamedTuple):
    """How far reading has come: so many chunks and rows of a file, the last one in this part of it, and so many octets
    in the files before it.
    """

    file: int
    chunks: int
    rows: int | None
    behind: int = 0
    part: str = ""


def _chunks(
    files: Sequence[Path],
    mapping: Rules,
    first: _Place,
    places: deque[_Place],
    news: Iterable[News],
) -> Iterator[Numbered]:
    """Yield the chunks behind `first`, numbered, each with the `news` of then; `places` gets where it ends.

    Raises:
        InputError: `reconcile`: what is passed over is not what was read: another version cut the file otherwise.
    """
    behind = sum(path.stat().st_size for path in files[: first.file])
    number = 0
    called = names(files)
    for file, path in enumerate(files[first.file :], first.file):
        try:
            found = chunks(path, mapping)
            done = first.chunks if file == first.file else 0
            rows = sum(chunk.count for chunk in islice(found, done))
            if done and rows != first.rows:
                raise InputError(
                    "reconcile",
                    f"{called[file]} was cut otherwise when this run began: the same command begins it anew",
                )
            for count, chunk in enumerate(found, done + 1):
                rows += chunk.count
                places.append(_Place(file, count, rows, behind, chunk.part))
                yield Numbered(number, shown(called[file], chunk.part), chunk, tuple(news))
                number += 1
        except UnicodeError:
            raise InputError("encoding", f"{called[file]} is not in the encoding that the mapping says") from None
        behind += path.stat().st_size
