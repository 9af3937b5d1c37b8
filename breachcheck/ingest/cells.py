"""What stands in the cells of a column: shrouded identifiers, the classes of what is there, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass
from breachcheck.ingest.plan import LETTERS, SEVERAL, UNSEEN, ZERO, Cell, folded
from breachcheck.protocol.identifier import KINDS

_HALF: Final = 8  # octets of the tag: a shrouded value begins with its synthetic IV (RFC 5297), which tells it apart
_MAYBE_ZERO: Final = "^[^1-9]*(?:e|$)"  # what has another digit than 0, but for its exponent, is not
_SPACE: Final = "[\\s\x0b\x1c-\x1f\x85\u1680\u2028\u2029]+"  # what `str.split` cuts at, for Arrow
UINT32, UINT64 = pa.uint32(), pa.uint64()
_BITS: Final = {name: DataClass(kind.data_class).bit for name, kind in KINDS.items()}

Refused = tuple[tuple[str, str], ...]  # kind and reason


class Place(NamedTuple):
    """An identifier of each cell of a column, or null; the last line is of a cell that is not there."""

    kinds: pa.DictionaryArray
    values: pa.Array  # shrouded
    bits: pa.Array  # of the identifier's own class

    def tags(self, kinds: frozenset[str]) -> tuple[pa.Array, pa.Array]:
        """Return both halves of the tag of each value of these kinds, as numbers; 0 of the others."""
        chosen = pc.is_in(self.kinds, pa.array(sorted(kinds)))
        high, low = (pc.binary_slice(self.values, at, at + _HALF).cast(pa.binary(_HALF)) for at in (0, _HALF))
        return _numbers(high, chosen), _numbers(low, chosen)


class Findings(NamedTuple):
    """What stands in the cells of a column; the last line is of a cell that is not there.

    A cell of several identifiers has one in each of the first places. `refused` has (kind, reason) of what is none.
    """

    places: Sequence[Place]
    mask: pa.Array  # of the classes of all that stands in the cell
    refused: Sequence[Refused]


def find(cipher: AESSIV, cell: Cell, texts: Sequence[str]) -> Findings:
    """Return what stands in each of these cells, and once more that of a cell that is not there."""
    if len(cell.kinds) > 1 or cell.split or cell.zero_is_absent:
        return _several(cipher, cell, texts)
    # The same for nearly all columns, at half the time.
    [kind] = cell.kinds
    canonical, encrypt, associated, bit = KINDS[kind].canonical, cipher.encrypt, [kind.encode()], _BITS[kind]
    absent, longest = cell.absent, max(map(len, cell.absent))
    none: Refused = ()
    reasons: dict[str, Refused] = {}
    values: list[bytes | None] = []
    masks: list[int] = []
    refused: list[Refused] = []
    for text in texts:
        value: bytes | None = None
        mask, wrong = bit, none
        if SEVERAL in text:
            text = "".join(cell.values(text))
        word = text.strip() if text.isascii() and "\0" not in text else folded(text)
        if len(word) <= longest and word.lower() in absent:
            mask = 0
        else:
            try:
                value = encrypt(canonical(text).encode(), associated)
            except InputError as error:
                wrong = reasons.setdefault(error.reason, ((kind, error.reason),))
        values.append(value)
        masks.append(mask)
        refused.append(wrong)
    lines = len(texts) + 1
    kinds = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), lines), [kind])
    place = Place(kinds, pa.array([*values, None], pa.binary()), pa.repeat(pa.scalar(bit, UINT32), lines))
    return Findings([place], pa.array([*masks, 0], UINT32), [*refused, none])


def _several(cipher: AESSIV, cell: Cell, texts: Sequence[str]) -> Findings:
    found: list[list[tuple[str, bytes]]] = []
    masks: list[int] = []
    refused: list[Refused] = []
    for text in texts:
        values, wrong = [], []
        for piece in cell.values(text):
            reason = ""
            for kind in cell.kinds:
                try:
                    canonical = KINDS[kind].canonical(piece)
                except InputError as error:
                    reason = reason or error.reason
                else:
                    values.append((kind, cipher.encrypt(canonical.encode(), [kind.encode()])))
                    break
            else:
                # No key to look for, but a value all the same: the field is exposed.
                wrong.append((cell.kinds[0], reason))
        found.append(values)
        masks.append(reduce(int.__or__, (_BITS[kind] for kind, _ in (*values, *wrong)), 0))
        refused.append(tuple(wrong))
    places = []
    for at in range(max(map(len, found), default=0) or 1):
        held = [*((values[at] if len(values) > at else (None, None)) for values in found), (None, None)]
        kinds = pa.array([kind for kind, _ in held], pa.string()).dictionary_encode()
        kinds = pa.DictionaryArray.from_arrays(kinds.indices.cast(pa.int8()), kinds.dictionary)
        bits = pa.array([_BITS[kind] if kind else 0 for kind, _ in held], UINT32)
        places.append(Place(kinds, pa.array([value for _, value in held], pa.binary()), bits))
    return Findings(places, pa.array([*masks, 0], UINT32), [*refused, ()])


def _numbers(octets: pa.Array, chosen: pa.Array) -> pa.Array:
    return pc.if_else(chosen, pc.fill_null(octets.view(UINT64), 0), pa.scalar(0, UINT64))


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
    words = folded_in(text)
    absent = pc.is_in(words, pa.array(sorted(cell.absent), pa.string()))
    if cell.zero_is_absent:
        maybe = pc.match_substring_regex(words, _MAYBE_ZERO)  # few
        spaceless = pc.replace_substring_regex(words.filter(maybe), _SPACE, "")
        zero = pc.match_substring_regex(spaceless, f"^(?:{ZERO})$")
        absent = pc.or_(absent, pc.replace_with_mask(pa.repeat(pa.scalar(False), len(words)), maybe, zero))
    if _may_hold(text, SEVERAL):
        several = pc.match_substring(text, SEVERAL)
        nothing = [not any(cell.values(one)) for one in text.filter(several).to_pylist()]
        absent = pc.replace_with_mask(absent, several, pa.array(nothing, pa.bool_()))
    return absent


def folded_in(text: pa.Array) -> pa.Array:
    """Return the texts as `plan.folded` returns each."""
    strange = pc.invert(pc.string_is_ascii(text))
    if _may_hold(text, "\0"):
        strange = pc.or_(strange, pc.match_substring(text, "\0"))
    plain = pc.ascii_lower(pc.utf8_trim_whitespace(text))
    coded = text.filter(strange).dictionary_encode()  # few, and most months say the same of a person
    seen = pc.replace_substring_regex(coded.dictionary, UNSEEN, "")
    words = pc.replace_substring_regex(pc.utf8_normalize(seen, "NFKC"), _SPACE, " ")
    words = pc.utf8_lower(pc.utf8_trim_whitespace(words))
    for letter, one in LETTERS:
        words = pc.replace_substring(words, letter, one)
    return pc.replace_with_mask(plain, strange, words.take(coded.indices))


def _may_hold(text: pa.Array, sign: str) -> bool:
    """Return whether a sign stands in the octets of a column: sooner than whether it stands in each text."""
    _, _, octets = text.buffers()
    return octets is not None and sign.encode() in octets.to_pybytes()
