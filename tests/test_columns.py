"""What is done to a column at once is what is done to each of its texts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from breachcheck.errors import InputError
from breachcheck.ingest import memory as memory_room
from breachcheck.ingest.cells import Marks
from breachcheck.ingest.forms import forms
from breachcheck.ingest.memory import Memory, News, Outcome
from breachcheck.ingest.siv import KEY_LENGTH, MAX_TOGETHER, TAG_LENGTH, Siv
from breachcheck.ingest.sources.text import to_utf8
from breachcheck.protocol.identifier import KINDS

_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # no text of a file has one
_VECTORS: Final = json.loads((Path(__file__).parent / "vectors" / "identifiers.json").read_text("utf-8"))
_SPELLINGS: Final = [
    case["text"] for case in (*_VECTORS["good"], *_VECTORS["bad"]) if not _SURROGATE.search(case["text"])
]

# --- AES-SIV ----------------------------------------------------------------------------------------------------------

_LENGTHS: Final = (15, 16, 17, 32, MAX_TOGETHER, MAX_TOGETHER + 1, 5000)
_TEXTS = st.lists(st.binary(min_size=1, max_size=70) | st.sampled_from([bytes(length) for length in _LENGTHS]))


@given(key=st.binary(min_size=KEY_LENGTH, max_size=KEY_LENGTH), associated=st.binary(max_size=40), texts=_TEXTS)
def test_a_column_is_sealed_as_the_library_seals_each_text(key: bytes, associated: bytes, texts: list[bytes]) -> None:
    alone, siv = AESSIV(key), Siv(key, associated)
    expected = [alone.encrypt(text, [associated]) for text in texts]
    column = pa.array([b"before", *texts], pa.binary()).slice(1)
    sealed = siv.encrypt(column)
    assert sealed.to_pylist() == expected
    assert [tag.tobytes() for tag in siv.tags(column)] == [one[:TAG_LENGTH] for one in expected]
    assert siv.decrypt(sealed).to_pylist() == texts


@given(texts=_TEXTS.filter(len), data=st.data())
def test_no_octet_of_what_is_sealed_can_be_another(texts: list[bytes], data: st.DataObject) -> None:
    siv = Siv(bytes(KEY_LENGTH), b"phone")
    sealed = siv.encrypt(pa.array(texts, pa.binary())).to_pylist()
    at = data.draw(st.integers(0, len(sealed) - 1))
    place = data.draw(st.integers(0, len(sealed[at]) - 1))
    changed = bytearray(sealed[at])
    changed[place] ^= data.draw(st.integers(1, 255))
    for spoilt in (bytes(changed), sealed[at][:-1], sealed[at][: TAG_LENGTH - 1], b""):
        with pytest.raises(InvalidTag):
            siv.decrypt(pa.array([*sealed[:at], spoilt, *sealed[at + 1 :]], pa.binary()))
    with pytest.raises(InvalidTag):
        Siv(bytes(KEY_LENGTH), b"email").decrypt(pa.array(sealed, pa.binary()))


# --- canonical forms --------------------------------------------------------------------------------------------------

_SIGNS = st.sampled_from(
    [*"0123456789" * 2, *"ABEFJMRZabe", *"+-.,;:@'\"=`()/[]_ \t\n\x0b\x1c\x1e\0", "\u00a0", "\u0663", "\u200f", "é"]
)
_MISSPELLED = st.tuples(st.sampled_from(_SPELLINGS), st.integers(0, 30), st.text(_SIGNS, max_size=2)).map(
    lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] :]
)


@given(
    texts=st.lists(_MISSPELLED | st.sampled_from(_SPELLINGS) | st.text(_SIGNS, max_size=40)),
    kind=st.sampled_from(sorted(KINDS)),
)
def test_the_forms_of_a_column_are_those_of_each_text(texts: list[str], kind: str) -> None:
    def alone(text: str) -> str | None:
        try:
            return KINDS[kind].canonical(text)
        except InputError:
            return None

    column = pa.array(["0612345678", *texts], pa.string()).slice(1)
    found = forms(kind, column).to_pylist()
    assert [form for form, text in zip(found, texts, strict=True) if text.isascii()] == [
        alone(text) for text in texts if text.isascii()
    ]
    assert not any(form for form, text in zip(found, texts, strict=True) if not text.isascii())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_the_vectors_say_of_ascii_is_found_as_a_column(kind: str) -> None:
    cases = [case for case in (*_VECTORS["good"], *_VECTORS["bad"]) if case["kind"] == kind and case["text"].isascii()]
    assert len(cases) > 5
    found = forms(kind, pa.array([case["text"] for case in cases]))
    assert found.to_pylist() == [case.get("canonical") for case in cases]


# --- the rows that were seen before -----------------------------------------------------------------------------------

_OUTCOMES: Final = (Outcome(False, ((),)), Outcome(True, ((),)), Outcome(True, ((("phone", "format"),),)))
# Many of which want the same slot, and the last ones.
_MARK = st.tuples(
    st.sampled_from([0, 1, 2, 2**14 - 2, 2**14 - 1, 2**14, 2**64 - 1]), st.integers(0, 2**64 - 1) | st.integers(1, 3)
)
_CHUNKS = st.lists(st.tuples(st.integers(0, 6), st.lists(_MARK, max_size=40)))


def _news(chunk: int, rows: Sequence[tuple[int, int]]) -> News:
    """Return the news of a chunk; the outcome of a row depends on nothing but the row."""
    return News(chunk, _OUTCOMES, np.array([low % 3 for _, low in rows], np.uint32), _marks(rows))


def _marks(rows: Sequence[tuple[int, int]]) -> Marks:
    return np.array(rows, np.uint64).reshape(-1, 2)


@given(told=_CHUNKS, others=st.lists(_MARK))
def test_a_row_is_known_again_from_the_first_chunk_that_was_heard_to_tell_it(
    told: list[tuple[int, list[tuple[int, int]]]], others: list[tuple[int, int]]
) -> None:
    memory = Memory()
    first: dict[tuple[int, int], int] = {}
    heard = set()
    for chunk, rows in told:
        memory.keep(_news(chunk, rows))
        if chunk not in heard:
            heard.add(chunk)
            first |= {row: min(chunk, first.get(row, chunk)) for row in rows}
    asked = [*first, *others]
    for before in range(8):
        seen, numbers = memory.find(_marks(asked), before)
        found = [memory.outcomes[number] if here else None for here, number in zip(seen, numbers, strict=True)]
        assert found == [_OUTCOMES[row[1] % 3] if row in first and first[row] < before else None for row in asked]


def test_rows_are_remembered_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_room, "MAX_SLOTS", 1 << 16)
    memory = Memory()
    rows = np.random.default_rng(1).integers(0, 2**64 - 1, (60_000, 2), np.uint64)
    parts = np.array_split(rows, 12)
    for chunk, part in enumerate(parts):
        memory.keep(News(chunk, _OUTCOMES[1:2], np.zeros(len(part), np.uint32), part))
    room = int((1 << 16) * 0.75) // 5_000
    for chunk, part in enumerate(parts):
        seen, _ = memory.find(part, chunk + 1)
        assert seen.all() if chunk < room else not seen.any()


# --- text -------------------------------------------------------------------------------------------------------------

_OCTETS = st.sampled_from(
    [b"a", b"\n", "é".encode(), "أ".encode(), "𐍈".encode(), b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xe2\x82"]
)


@given(octets=st.binary(max_size=20) | st.lists(_OCTETS).map(b"".join))
def test_what_is_no_utf8_is_replaced_and_the_rest_stays(octets: bytes) -> None:
    assert to_utf8(octets, "utf-8") == octets.decode("utf-8", "replace").encode()
