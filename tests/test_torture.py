"""The torture corpus: a slow and simple reader finds in it exactly what its truth says."""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from breachcheck import Client, Exposed
from breachcheck.errors import InputError
from breachcheck.ingest.mapping import read_mapping
from breachcheck.store import reader
from breachcheck.synth import COLUMNS
from breachcheck.synth.torture import TortureReport, write_torture
from tests.people import Answers, ReadRow, by_people, read_row, written_answers
from tests.world import LEAKED_KINDS, World, run, serving

MAX_CELL = 1 << 20
MAPPING = read_mapping("cnss")
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
UNMARKED = {"windows-1252": "cp1252", "windows-1256": "cp1256", "latin-1": "latin-1"}
BOMBS = ["bomb.csv.gz", "bomb.csv.zst", "bomb.zip"]


@dataclass(frozen=True)
class Corpus:
    folder: Path
    answers_file: Path
    rejects_file: Path
    report: TortureReport

    @property
    def answers(self) -> Answers:
        return written_answers(self.answers_file)

    @property
    def truth(self) -> dict[str, Any]:
        return {each.pop("file"): each for each in map(json.loads, self.rejects_file.read_text("utf-8").splitlines())}


def corpus_of(seed: int, root: Path) -> Corpus:
    files = root / "files", root / "answers.jsonl", root / "rejects.jsonl"
    return Corpus(*files, write_torture(*files, seed))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus_of(3, tmp_path_factory.mktemp("torture"))


# A second opinion


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that is not an archive's bomb, unpacked, by the name that the truth gives it."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name in BOMBS:
            continue
        match path.suffix:
            case ".gz":
                yield name, gzip.decompress(path.read_bytes())
            case ".zst":
                yield name, zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
            case ".zip":
                with zipfile.ZipFile(path) as archive:
                    for member in archive.namelist():
                        yield f"{name}/{member}", archive.read(member)
            case _:
                yield name, path.read_bytes()


def decoded(name: str, octets: bytes) -> str:
    for mark, codec in MARKS.items():
        if octets.startswith(mark):
            return octets.removeprefix(mark).decode(codec)
    known = [codec for each, codec in UNMARKED.items() if each in name]
    return octets.decode(known[0] if known else "utf-8")


def record(text: str, start: int, delimiter: str) -> tuple[list[str] | None, int]:
    """The cells of the record at `start`, None if its quoting is broken, and where the next begins."""
    cells, place = [], start
    while True:
        if text[place : place + 1] == '"':
            quoted = re.compile(r'"((?:[^"]|"")*)"').match(text, place)
            if not quoted:
                break
            cells.append(quoted[1].replace('""', '"'))
        else:
            quoted = re.compile(f"[^{re.escape(delimiter)}\\r\\n]*").match(text, place)
            assert quoted
            cells.append(quoted[0])
        place = quoted.end()
        if ended := re.compile(r"\r\n|\r|\n|\Z").match(text, place):
            return cells, ended.end()
        if text[place] != delimiter:
            break
        place += 1
    line = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)").match(text, start)
    assert line
    return None, line.end()


def judged(cells: list[str] | None, header: list[str]) -> str | ReadRow:
    if cells is None:
        return "quoting"
    if not any(cells):
        return "empty"
    if max(map(len, cells)) > MAX_CELL:
        return "too_long"
    if len(cells) != len(header):
        return "columns"
    if cells == header:
        return "repeated_header"
    row = read_row(dict(zip(header, cells, strict=True)), MAPPING, "cnss")
    return row if row.keys else "no_identifier"


def read(name: str, octets: bytes) -> tuple[dict[str, Any], list[ReadRow]]:
    """What the truth says of the file, and the rows accepted."""
    text = decoded(name, octets)
    if not text:
        return {"refused": "empty"}, []
    first = re.split(r"[\r\n]", text)[0]
    delimiter = max(";,\t|", key=first.count)
    header, place = record(text, 0, delimiter)
    required = {column.header[0] for column in MAPPING.column if not column.optional}
    if not header or not required <= set(header):
        return {"refused": "columns"}, []
    verdicts = []
    while place < len(text):
        cells, place = record(text, place, delimiter)
        verdicts.append(judged(cells, header))
    rows = [verdict for verdict in verdicts if isinstance(verdict, ReadRow)]
    rejected = [[number, verdict] for number, verdict in enumerate(verdicts, 1) if isinstance(verdict, str)]
    return {"rows": len(verdicts), "accepted": len(rows), "rejected": rejected}, rows


@pytest.mark.parametrize("seed", [3, 4])
def test_a_second_opinion_agrees_with_every_answer_and_every_reject(seed: int, tmp_path: Path) -> None:
    corpus = corpus_of(seed, tmp_path)
    accepted: list[ReadRow] = []
    found = {}
    for name, octets in contents(corpus.folder):
        found[name], rows = read(name, octets)
        accepted += rows
    truth = corpus.truth
    assert found == {name: truth[name] for name in truth if name not in BOMBS}
    assert corpus.answers == by_people(accepted)
    assert corpus.report.accepted == len(accepted)
    assert corpus.report.rejected == sum(len(each.get("rejected", [])) for each in found.values())
    assert corpus.report.files == len(truth)


def test_every_reason_occurs(corpus: Corpus) -> None:
    truth = corpus.truth.values()
    reasons = {reason for each in truth for _, reason in each.get("rejected", [])}
    assert reasons == {"columns", "empty", "quoting", "too_long", "no_identifier", "repeated_header"}
    assert {each["refused"] for each in truth if "refused" in each} == {"empty", "columns", "too_large"}


def test_every_kind_is_answered_shared_and_not(corpus: Corpus) -> None:
    answers = corpus.answers
    assert {kind for kind, _ in answers} == set(LEAKED_KINDS)
    assert {answer.shared for (kind, _), answer in answers.items() if kind == "phone"} == {True, False}


def test_a_number_of_16_people_joins_them_and_one_of_17_does_not(corpus: Corpus) -> None:
    answers = corpus.answers
    assert answers["national_id", "AA1"].shared
    assert not answers["national_id", "AB2"].shared
    by_name = dict(contents(corpus.folder))
    joined = [row.keys for row in read("", by_name["placeholders.csv"])[1] if ("national_id", "AB2") in row.keys]
    assert len(joined) == 16
    assert {tuple(answers[key].exposed["cnss"]) for keys in joined for key in keys if key[0] == "social_security"} == {
        tuple(answers["national_id", "AB2"].exposed["cnss"])
    }


def test_people_stand_in_several_files(corpus: Corpus) -> None:
    places: dict[tuple[str, str], set[str]] = {}
    for name, octets in contents(corpus.folder):
        for row in read(name, octets)[1]:
            for key in row.keys:
                places.setdefault(key, set()).add(name)
    assert sum(len(names) > 1 for (kind, _), names in places.items() if kind == "national_id") > 50


def test_misreading_one_encoding_or_one_quote_changes_the_answers(corpus: Corpus) -> None:
    by_name = dict(contents(corpus.folder))
    rows = {name: read(name, octets)[1] for name, octets in by_name.items()}

    def answers_with(name: str, octets: bytes) -> Answers:
        return by_people([row for each in rows if each != name for row in rows[each]] + read("read.csv", octets)[1])

    arabic = by_name["encoding-windows-1256.csv"]
    assert answers_with("encoding-windows-1256.csv", arabic.decode("cp1256").encode()) == corpus.answers
    assert answers_with("encoding-windows-1256.csv", arabic.decode("cp1252", "replace").encode()) != corpus.answers
    assert answers_with("quotes.csv", by_name["quotes.csv"].replace(b'"', b"")) != corpus.answers
    assert answers_with("packed.zip/first.csv", ";".join(COLUMNS).encode()) != corpus.answers


def unpacked(path: Path) -> Iterator[bytes]:
    with contextlib.ExitStack() as stack:
        opened: Any
        match path.suffix:
            case ".zst":
                packed = stack.enter_context(path.open("rb"))
                opened = stack.enter_context(zstandard.ZstdDecompressor().stream_reader(packed))
            case ".gz":
                opened = stack.enter_context(gzip.open(path))
            case _:
                opened = stack.enter_context(stack.enter_context(zipfile.ZipFile(path)).open("bomb.csv"))
        while piece := opened.read(1 << 20):
            yield piece


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_unpacks_to_a_gibibyte_behind_rows_that_look_good(corpus: Corpus, name: str) -> None:
    assert corpus.truth[name] == {"refused": "too_large"}
    path, size, head = corpus.folder / name, 0, b""
    assert path.stat().st_size < 1_100_000
    for piece in unpacked(path):
        head = head or piece[:5000]
        size += len(piece)
    assert (1 << 30) < size < (1 << 30) + 5000
    assert len(read(name, head)[1]) == 3


def test_the_folder_is_small_and_holds_one_cell_of_ten_megabytes(corpus: Corpus) -> None:
    sizes = [path.stat().st_size for path in corpus.folder.rglob("*") if path.is_file()]
    assert max(sizes) > 10 << 20
    assert sum(sizes) < 15_000_000


def test_equal_seeds_give_equal_truth_and_others_other(corpus: Corpus, tmp_path: Path) -> None:
    again, other = corpus_of(3, tmp_path / "again"), corpus_of(4, tmp_path / "other")
    assert again.answers_file.read_bytes() == corpus.answers_file.read_bytes()
    assert again.rejects_file.read_bytes() == corpus.rejects_file.read_bytes()
    assert dict(contents(again.folder)) == dict(contents(corpus.folder))
    assert other.answers_file.read_bytes() != corpus.answers_file.read_bytes()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "mine").touch()
    with pytest.raises(InputError, match="not_empty"):
        corpus_of(1, tmp_path)
    with pytest.raises(InputError, match="out_of_range"):
        corpus_of(-1, tmp_path / "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["files", "mine"]


# --- Through the whole pipe -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def eaten(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A release of all of the corpus that is not to be refused as a whole."""
    world = World(tmp_path_factory.mktemp("eaten"))
    run("keys", "init", "--keys", world.keys)
    refused = {name for name, each in corpus.truth.items() if "refused" in each}
    files = [path for path in sorted(corpus.folder.rglob("*.*")) if path.name not in refused]
    run(*world.ingest_words(*files), "--rejects", world.root / "rejects.csv")
    return world


def test_the_ingest_rejects_what_is_to_be_rejected_for_the_right_reason(corpus: Corpus, eaten: World) -> None:
    with (eaten.root / "rejects.csv").open(encoding="utf-8", newline="") as file:
        found = sorted((row["file"], int(row["number"]), row["reason"]) for row in csv.DictReader(file))
    members = {"packed.zip/first.csv": "packed.zip/1", "packed.zip/folder/second.csv": "packed.zip/2"}
    truth = {members.get(name, Path(name).name): each for name, each in corpus.truth.items()}
    assert found == sorted((name, *each) for name in truth for each in map(tuple, truth[name].get("rejected", [])))
    with reader.open_release(eaten.releases) as release:
        [dataset] = release.manifest.datasets
    assert dataset.rows_read == sum(each.get("rows", 0) for each in truth.values())


def test_everybody_in_the_corpus_learns_exactly_their_fields(corpus: Corpus, eaten: World) -> None:
    with serving(eaten) as url, Client(url, publisher_key=eaten.publisher) as client:
        for (kind, identifier), answer in corpus.answers.items():
            verdict = client.check(kind, identifier)
            assert isinstance(verdict, Exposed), verdict
            [exposure] = verdict.exposures
            assert (list(exposure.fields), exposure.shared) == (answer.exposed["cnss"], answer.shared)


def test_a_file_to_be_refused_is_refused_as_a_whole_and_nothing_stays(corpus: Corpus, tmp_path: Path) -> None:
    world = World(tmp_path)
    run("keys", "init", "--keys", world.keys)
    for name, each in corpus.truth.items():
        if "refused" in each:
            done = run(*world.ingest_words(corpus.folder / name), check=False)
            assert (done.returncode, list(world.keys.glob("*.duckdb.*"))) == (2, []), (name, done.stderr)
            reason = {"empty": "no_identifier", "columns": "columns", "too_large": "unpacks_too_far"}[each["refused"]]
            assert done.stderr.splitlines()[-1].startswith(f"breachcheck: {reason}: ")
