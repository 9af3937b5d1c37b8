"""AES-SIV (RFC 5297) of a column at once: octet for octet what `cryptography`'s `AESSIV` makes of each text alone.

That takes a microsecond a text, of which AES is a fiftieth. Here AES, of `cryptography` too, is called a few times
for all texts of one length in blocks; around it stands what the RFC puts there, done with arrays. A text of more than
`MAX_TOGETHER` octets is left to `AESSIV`: there it takes no time that matters, and here it would take room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from breachcheck.ingest.octets import Octets, Offsets, parts

KEY_LENGTH: Final = 64  # octets: of S2V, then of CTR
TAG_LENGTH: Final = 16  # octets: the synthetic IV, with which a sealed text begins
MAX_TOGETHER: Final = 1024  # octets
_BLOCK: Final = 16

# The counter's two bits that RFC 5297, section 2.5, clears.
_COUNTER: Final = np.array([0xFFFFFFFFFFFFFFFF, 0x7FFFFFFF7FFFFFFF], np.uint64)


class _Group(NamedTuple):
    """Texts of one length in blocks: where they stand in the column, their octets, padded by 0, and of each the index
    of its length in the tables of this number of blocks.
    """

    places: npt.NDArray[np.intp]
    texts: Octets  # (texts, octets)
    tails: npt.NDArray[np.intp]  # octets in the last block, 0 to 16


class Siv:
    """AES-SIV under one 64-byte key, with one string of associated data. No text may be null."""

    def __init__(self, key: bytes, associated: bytes) -> None:
        if len(key) != KEY_LENGTH:
            raise ValueError("AES-SIV takes a key of 64 octets")
        self._alone, self._associated = AESSIV(key), [associated]
        self._s2v, self._ctr = (
            Cipher(algorithms.AES256(half), modes.ECB()).encryptor()  # noqa: S305  # the bare block cipher
            for half in (key[: KEY_LENGTH // 2], key[KEY_LENGTH // 2 :])
        )
        # CMAC (RFC 4493) of the associated data, with which S2V ends before the text itself.
        self._subkeys = _double(self._aes(bytes(_BLOCK))), _double(_double(self._aes(bytes(_BLOCK))))
        self._state = _xor(_double(self._cmac(bytes(_BLOCK))), self._cmac(associated))
        self._tables = cache(self._make_tables)

    def tags(self, texts: pa.Array) -> Octets:
        """Return the synthetic IV of each text, a line of 16 octets: a pseudorandom function of it."""
        tags = np.empty((len(texts), TAG_LENGTH), np.uint8)
        for group in _groups(texts):
            tags[group.places] = self._tags(group)
        for place in _long(texts):
            sealed = self._alone.encrypt(texts[place].as_py(), self._associated)
            tags[place] = np.frombuffer(sealed, np.uint8, TAG_LENGTH)
        return tags

    def encrypt(self, texts: pa.Array) -> pa.Array:
        """Return each text sealed: 16 octets more."""
        columns, places = [], []
        for group in _groups(texts):
            tags = self._tags(group)
            octets = np.concatenate((tags, group.texts ^ self._keystream(tags, group.texts.shape[1])), axis=1)
            columns.append(_column(octets, group.tails))
            places.append(group.places)
        for place in _long(texts):
            columns.append(pa.array([self._alone.encrypt(texts[place].as_py(), self._associated)]))
            places.append(np.array([place]))
        return placed(columns, places)

    def decrypt(self, sealed: pa.Array) -> pa.Array:
        """Return the text in each.

        Raises:
            cryptography.exceptions.InvalidTag: one was not sealed under this key with this associated data.
        """
        columns, places = [], []
        offsets, octets = parts(sealed)
        if not len(sealed):
            return sealed
        if np.diff(offsets).min() < TAG_LENGTH:
            raise InvalidTag
        tags = _cut(octets, offsets[:-1], TAG_LENGTH)
        for group in _groups(sealed, TAG_LENGTH):
            chosen = tags[group.places]
            plain = group.texts ^ self._keystream(chosen, group.texts.shape[1])
            plain &= _kept(group.texts.shape[1])[group.tails]
            opened = group._replace(texts=plain)
            if not np.array_equal(self._tags(opened), chosen):
                raise InvalidTag
            columns.append(_column(plain, group.tails))
            places.append(group.places)
        for place in _long(sealed, TAG_LENGTH):
            columns.append(pa.array([self._alone.decrypt(sealed[place].as_py(), self._associated)]))
            places.append(np.array([place]))
        return placed(columns, places)

    def _aes(self, blocks: bytes) -> bytes:
        return self._s2v.update(blocks)

    def _cmac(self, text: bytes) -> bytes:
        whole, half = self._subkeys
        rest = len(text) % _BLOCK
        subkey = half if rest or not text else whole
        if rest or not text:
            text += b"\x80" + bytes(_BLOCK - rest - 1)
        state = bytes(_BLOCK)
        for at in range(0, len(text) - _BLOCK, _BLOCK):
            state = self._aes(_xor(state, text[at : at + _BLOCK]))
        return self._aes(_xor(_xor(state, text[-_BLOCK:]), subkey))

    def _make_tables(self, width: int) -> Octets:
        """Return what S2V and CMAC add to texts of so many octets in blocks, by the octets in the last block.

        The state stands at the end of the text; of a text that is shorter than it, the state is doubled, and the text
        padded, to one block. Then CMAC pads what is no whole block, and adds a subkey to the last.
        """
        whole, half = self._subkeys
        added = np.zeros((_BLOCK + 1, width), np.uint8)
        for tail in range(_BLOCK + 1):
            length = width - _BLOCK + tail
            line = bytearray(width)
            if length < _BLOCK:
                line = bytearray(_xor(_double(self._state), whole))
                line[length] ^= 0x80
            else:
                line[length - _BLOCK : length] = self._state
                if tail < _BLOCK:
                    line[length] ^= 0x80
                line[-_BLOCK:] = _xor(bytes(line[-_BLOCK:]), whole if tail == _BLOCK else half)
            added[tail] = np.frombuffer(bytes(line), np.uint8)
        return added

    def _tags(self, group: _Group) -> Octets:
        count, width = group.texts.shape
        texts = group.texts ^ self._tables(width)[group.tails]
        state = np.zeros((count, _BLOCK), np.uint8)
        for at in range(0, width, _BLOCK):
            state = _encrypted(self._s2v, state ^ texts[:, at : at + _BLOCK])
        return state

    def _keystream(self, tags: Octets, width: int) -> Octets:
        counters = np.repeat((tags.view(">u8") & _COUNTER)[:, None], width // _BLOCK, axis=1)
        counters[:, :, 1] += np.arange(width // _BLOCK, dtype=np.uint64)  # no carry: its first bit is clear
        return _encrypted(self._ctr, counters.astype(">u8").view(np.uint8)).reshape(-1, width)


def _encrypted(cipher: CipherContext, blocks: Octets) -> Octets:
    return np.frombuffer(cipher.update(np.ascontiguousarray(blocks).data), np.uint8).reshape(blocks.shape)


def _groups(column: pa.Array, skip: int = 0) -> Iterator[_Group]:
    """Yield the texts that are not long, without the first `skip` octets of each, by their lengths in blocks."""
    offsets, octets = parts(column)
    padded = np.concatenate((octets, np.zeros(MAX_TOGETHER, np.uint8)))
    starts, lengths = offsets[:-1] + skip, np.diff(offsets) - skip
    blocks = np.maximum(1, -(-lengths // _BLOCK))
    for count in np.unique(blocks[lengths <= MAX_TOGETHER]).tolist():
        places = np.flatnonzero(blocks == count)
        width = count * _BLOCK
        tails = lengths[places] - (width - _BLOCK)
        texts = _cut(padded, starts[places], width)
        texts &= _kept(width)[tails]
        yield _Group(places, texts, tails)


def _long(column: pa.Array, skip: int = 0) -> list[int]:
    offsets, _ = parts(column)
    places: list[int] = np.flatnonzero(np.diff(offsets) - skip > MAX_TOGETHER).tolist()
    return places


def _cut(octets: Octets, starts: Offsets, width: int) -> Octets:
    """Return lines of so many octets, which begin at these places."""
    everywhere = np.ndarray((len(octets) - width + 1,), np.dtype((np.void, width)), octets, strides=(1,))
    return everywhere[starts].view(np.uint8).reshape(-1, width)


@cache
def _kept(width: int) -> Octets:
    """Return what is left of the octets of a text, by how many are in its last block."""
    table = np.arange(width) < np.arange(width - _BLOCK, width + 1)[:, None]
    return np.where(table, 0xFF, 0).astype(np.uint8)


def _column(octets: Octets, tails: npt.NDArray[np.intp]) -> pa.Array:
    """Return lines of octets as texts: each without what is behind its end."""
    width = octets.shape[1]
    lengths = tails + (width - _BLOCK)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    held = octets[np.arange(width) < lengths[:, None]]
    return pa.Array.from_buffers(pa.binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(held)])


def placed(parts: Sequence[pa.Array], places: Sequence[npt.NDArray[np.intp]]) -> pa.Array:
    """Return the texts of all parts, each at its place."""
    order = np.empty(sum(map(len, places)), np.intp)
    order[np.concatenate([np.empty(0, np.intp), *places])] = np.arange(len(order))
    return pa.concat_arrays([pa.array([], pa.binary()), *parts]).take(pa.array(order))


def _double(block: bytes) -> bytes:
    """Return a block times x in the field of RFC 5297, section 2.3."""
    number = int.from_bytes(block, "big") << 1
    return ((number ^ 0x87 if number >> 128 else number) & ((1 << 128) - 1)).to_bytes(_BLOCK, "big")


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
