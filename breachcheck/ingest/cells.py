"""What stands in the cells of a column: shrouded identifiers, the classes of what is there, and what was refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, reduce
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass
from breachcheck.ingest.forms import forms
from breachcheck.ingest.octets import Octets, Offsets, parts
from breachcheck.ingest.plan import LETTERS, SEVERAL, UNSEEN, ZERO, Cell
from breachcheck.ingest.siv import TAG_LENGTH, Siv, placed
from breachcheck.protocol.identifier import KINDS

_ASCII: Final = 128
_MAYBE_ZERO: Final = "^[^1-9]*(?:e|$)"  # what has another digit than 0, but for its exponent, is not
_ASCII_SPACE: Final = " \t\n\x0b\x0c\r\x1c\x1d\x1e\x1f"  # what `str.strip` takes away
_SPACE: Final = "[\\s\x0b\x1c-\x1f\x85\u1680\u2028\u2029]+"  # what `str.split` cuts at, for Arrow
UINT32: Final = pa.uint32()
_BITS: Final = {name: DataClass(kind.data_class).bit for name, kind in KINDS.items()}

Refused = tuple[tuple[str, str], ...]  # kind and reason
Positions = npt.NDArray[np.intp]
Marks = npt.NDArray[np.uint64]  # two numbers each: the halves of 128 pseudorandom bits


class Findings(NamedTuple):
    """What stands in the cells of a column; the last of them is one that is not there.

    `kinds`, `values` and `bits` are of the identifiers, one after the other; `bounds` tells where those of each cell
    begin, and where the last ones end. `refused` has (kind, reason) of what is none, by the cells that have such.
    """

    bounds: Positions
    kinds: pa.DictionaryArray
    values: pa.Array  # shrouded
    bits: pa.Array  # of the identifier's own class
    mask: pa.Array  # of the classes of all that stands in the cell
    refused: Mapping[int, Refused]

    @property
    def tags(self) -> Marks:
        """The tags of the values: pseudorandom, and each of one identifier alone."""
        octets = pc.binary_slice(self.values, 0, TAG_LENGTH).cast(pa.binary(TAG_LENGTH)).buffers()[1]
        return np.frombuffer(octets, np.uint64, 2 * len(self.values)).reshape(-1, 2)

    def marks(self, kinds: frozenset[str]) -> Marks:
        """Return for each cell a mark of its identifiers of these kinds: the sum of their tags."""
        chosen = pc.is_in(self.kinds, pa.array(sorted(kinds))).to_numpy(zero_copy_only=False)
        sums = np.cumsum(self.tags * chosen[:, None], axis=0, dtype=np.uint64)
        return np.diff(np.concatenate((np.zeros((1, 2), np.uint64), sums))[self.bounds], axis=0)

    def within(self, cells: Positions) -> tuple[Positions, Positions]:
        """Return of each identifier within these cells which of them holds it, and its own place here."""
        counts = np.diff(self.bounds)[cells]
        holders = np.repeat(np.arange(len(cells)), counts)
        return holders, np.arange(len(holders)) + (self.bounds[cells] - np.cumsum(counts) + counts)[holders]


def find(run_key: bytes, cell: Cell, texts: pa.Array) -> Findings:
    """Return what stands in each of these cells, and once more that of a cell that is not there."""
    absent = pa.concat_arrays([absent_in(texts, cell), pa.array([True])])
    texts = pa.concat_arrays([texts, pa.array([""])])
    several = pc.match_substring_regex(texts, f"[{re.escape(SEVERAL + cell.split)}]")
    one = pc.and_not(pc.invert(absent), several)
    form, which = pa.nulls(len(texts), pa.string()), pa.repeat(pa.scalar(0, pa.int8()), len(texts))
    for index, kind in enumerate(cell.kinds):
        found = pc.if_else(pc.and_(one, form.is_null()), forms(kind, texts), None)
        form, which = pc.coalesce(form, found), pc.if_else(found.is_valid(), pa.scalar(index, pa.int8()), which)
    bits = pa.array([_BITS[kind] for kind in cell.kinds], UINT32)
    mask = pc.if_else(form.is_valid(), bits.take(which), pa.scalar(0, UINT32))
    # What is left is refused, not ASCII, or several: few.
    left = pc.or_(several, pc.and_(one, form.is_null()))
    judged = [
        _judge(cell.kinds, cell.values(text) if many else (text,))
        for text, many in zip(texts.filter(left).to_pylist(), several.filter(left).to_pylist(), strict=True)
    ]
    mask = pc.replace_with_mask(mask, left, pa.array([mask for _, mask, _ in judged], UINT32))
    lines = np.flatnonzero(left)
    held = np.concatenate((np.flatnonzero(form.is_valid()), np.repeat(lines, [len(values) for values, _, _ in judged])))
    order = pa.array(np.argsort(held, kind="stable"))
    more = [value for values, _, _ in judged for value in values]
    which = pa.concat_arrays([which.filter(form.is_valid()), pa.array([index for index, _ in more], pa.int8())]).take(
        order
    )
    form = pa.concat_arrays([form.drop_null(), pa.array([text for _, text in more], pa.string())]).take(order)
    return Findings(
        np.concatenate(([0], np.cumsum(np.bincount(held, minlength=len(texts))))),
        pa.DictionaryArray.from_arrays(which, list(cell.kinds)),
        _shrouded(run_key, cell.kinds, which.to_numpy(), form.cast(pa.binary())),
        bits.take(which),
        mask,
        {line: wrong for line, (_, _, wrong) in zip(lines.tolist(), judged, strict=True) if wrong},
    )


def _judge(kinds: Sequence[str], pieces: Iterable[str]) -> tuple[list[tuple[int, str]], int, Refused]:
    """Return the identifiers in a cell, each with the index of its kind, the mask of all in it, and what is none."""
    values: list[tuple[int, str]] = []
    wrong = []
    mask = 0
    for piece in pieces:
        reason = ""
        for index, kind in enumerate(kinds):
            try:
                values.append((index, KINDS[kind].canonical(piece)))
            except InputError as error:
                reason = reason or error.reason
            else:
                mask |= _BITS[kind]
                break
        else:
            # No key to look for, but a value all the same: the field is exposed.
            mask |= _BITS[kinds[0]]
            wrong.append((kinds[0], reason))
    return values, mask, tuple(wrong)


def _shrouded(run_key: bytes, kinds: Sequence[str], which: npt.NDArray[np.int8], form: pa.Array) -> pa.Array:
    """Return canonical forms shrouded, each as of its kind."""
    places = [np.flatnonzero(which == index) for index in range(len(kinds))]
    parts = [siv_of(run_key, kind).encrypt(form.take(pa.array(at))) for kind, at in zip(kinds, places, strict=True)]
    return placed(parts, places)


@lru_cache(maxsize=64)
def siv_of(run_key: bytes, kind: str) -> Siv:
    """Return what shrouds identifiers of a kind, and unshrouds them."""
    return Siv(run_key, kind.encode())


def joined(columns: Sequence[pa.Array], cell: Cell) -> pa.Array:
    """Return the text of a cell from those of its parts; of one whose parts are all absent, nothing."""
    if len(columns) == 1:
        return columns[0]
    trimmed = [pc.fill_null(pc.utf8_trim_whitespace(column), "") for column in columns]
    absent = reduce(pc.and_, (absent_in(column, cell) for column in trimmed))
    return pc.if_else(absent, "", pc.binary_join_element_wise(*trimmed, ""))


def absent_in(text: pa.Array, cell: Cell) -> pa.Array:
    """Return which texts are nothing, by the words of the mapping."""
    text = pc.fill_null(text, "")
    offsets, octets = parts(text)
    maybe = pa.array(_may_be_nothing(offsets, octets, cell))  # few
    words = pc.ascii_lower(pc.ascii_trim(text.filter(maybe), _ASCII_SPACE))
    absent = pc.replace_with_mask(pa.repeat(pa.scalar(False), len(text)), maybe, _is_nothing(words, cell))
    unseen = not octets.all()
    if unseen or octets.max(initial=0) >= _ASCII:
        strange = pc.invert(pc.string_is_ascii(text))
        if unseen:
            strange = pc.or_(strange, pc.match_substring(text, "\0"))
        coded = text.filter(strange).dictionary_encode()  # few, and most months say the same of a person
        nothing = _is_nothing(folded_in(coded.dictionary), cell)
        absent = pc.replace_with_mask(absent, strange, nothing.take(coded.indices))
    if (octets == ord(SEVERAL)).any():
        several = pc.match_substring(text, SEVERAL)
        alone = [not any(cell.values(one)) for one in text.filter(several).to_pylist()]
        absent = pc.replace_with_mask(absent, several, pa.array(alone, pa.bool_()))
    return absent


def _may_be_nothing(offsets: Offsets, octets: Octets, cell: Cell) -> npt.NDArray[np.bool_]:
    """Return which texts, if they are ASCII, may be nothing: by the octet with which each begins."""
    maybe: npt.NDArray[np.bool_] = np.diff(offsets) == 0
    if len(octets):
        maybe |= _firsts(cell)[octets[np.minimum(offsets[:-1], len(octets) - 1)]]
    return maybe


@lru_cache(maxsize=256)
def _firsts(cell: Cell) -> npt.NDArray[np.bool_]:
    """Return with which octets a text may begin that says nothing."""
    words = filter(None, (*cell.absent, *_ASCII_SPACE))
    first = {ord(case(word)[0]) for word in words for case in (str.lower, str.upper)}
    if cell.zero_is_absent:
        first |= {*range(_ASCII)} - {*b"123456789"}
    return np.isin(np.arange(256), [*first])


def _is_nothing(words: pa.Array, cell: Cell) -> pa.Array:
    """Return which words, as `plan.folded` has them, say nothing."""
    nothing = pc.is_in(words, pa.array(sorted(cell.absent), pa.string()))
    if cell.zero_is_absent:
        maybe = pc.match_substring_regex(words, _MAYBE_ZERO)  # few
        spaceless = pc.replace_substring_regex(words.filter(maybe), _SPACE, "")
        zero = pc.match_substring_regex(spaceless, f"^(?:{ZERO})$")
        nothing = pc.or_(nothing, pc.replace_with_mask(pa.repeat(pa.scalar(False), len(words)), maybe, zero))
    return nothing


def folded_in(text: pa.Array) -> pa.Array:
    """Return the texts as `plan.folded` returns each."""
    seen = pc.replace_substring_regex(text, UNSEEN, "")
    words = pc.replace_substring_regex(pc.utf8_normalize(seen, "NFKC"), _SPACE, " ")
    words = pc.utf8_lower(pc.utf8_trim_whitespace(words))
    for letter, one in LETTERS:
        words = pc.replace_substring(words, letter, one)
    return words
