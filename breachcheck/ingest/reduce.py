"""Rows to shrouded values, and shrouded values to OPRF outputs: the two tasks that an engine runs, both in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from breachcheck.errors import InputError
from breachcheck.ingest.source import Chunk
from breachcheck.protocol import entry, oprf
from breachcheck.protocol.identifier import KINDS, Identifier
from breachcheck.protocol.parameters import SlowHash
from breachcheck.protocol.slow_hash import slow_hash_bulk

_SHROUDED = pa.schema([("kind", pa.string()), ("value", pa.binary()), ("fields", pa.uint32()), ("flags", pa.uint8())])


@dataclass(slots=True)
class Counts:
    """What became of the rows. Each row read is accepted, or rejected for one reason."""

    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: Counter[str] = field(default_factory=Counter)
    identifiers_rejected: dict[str, Counter[str]] = field(default_factory=dict)
    fields: int = 0
    kinds: set[str] = field(default_factory=set)

    def reject(self, kind: str, reason: str) -> None:
        """Count an identifier of `kind` that was rejected."""
        if kind not in self.identifiers_rejected:
            self.identifiers_rejected[kind] = Counter()
        self.identifiers_rejected[kind][reason] += 1

    def add(self, other: Counts) -> None:
        """Add another's counts to these."""
        self.rows_read += other.rows_read
        self.rows_accepted += other.rows_accepted
        self.rows_rejected += other.rows_rejected
        for kind, reasons in other.identifiers_rejected.items():
            self.identifiers_rejected.setdefault(kind, Counter()).update(reasons)
        self.fields |= other.fields
        self.kinds |= other.kinds


@dataclass(frozen=True, slots=True)
class Shroud:
    """Turn a chunk of rows into shrouded values: AES-SIV (RFC 5297) of the canonical form under the 64-byte run key.

    Equal identifiers shroud to equal values, so they can be merged out of core; without the key they are ciphertext.
    """

    run_key: bytes = field(repr=False)

    def __call__(self, chunk: Chunk) -> tuple[pa.RecordBatch, Counts, int]:
        """Return (kind, value, fields, flags) of distinct identifiers, the counts, and how far the chunk reaches."""
        counts = Counts(rows_read=len(chunk.rows))
        merged: dict[tuple[str, str], tuple[int, int]] = {}
        for row in chunk.rows:
            reason = self._row(chunk, row, counts, merged)
            if reason:
                counts.rows_rejected[reason] += 1
            else:
                counts.rows_accepted += 1
        cipher = AESSIV(self.run_key)
        kinds, values = [], []
        for kind, canonical in merged:
            kinds.append(kind)
            values.append(cipher.encrypt(canonical.encode(), [kind.encode()]))
        fields, flags = zip(*merged.values(), strict=True) if merged else ((), ())
        columns = [
            pa.array(kinds, pa.string()),
            pa.array(values, pa.binary()),
            pa.array(fields, pa.uint32()),
            pa.array(flags, pa.uint8()),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=_SHROUDED), counts, chunk.offset

    def _row(
        self, chunk: Chunk, row: list[str], counts: Counts, merged: dict[tuple[str, str], tuple[int, int]]
    ) -> str | None:
        plan = chunk.plan
        if len(row) != plan.width:
            return "columns" if any(row) else "empty"
        if tuple(row) == plan.header:
            return "repeated_header"
        mask = 0
        found = []
        for cell in plan.cells:
            text = row[cell.index]
            if plan.is_absent(text):
                continue
            if cell.kind is not None:
                try:
                    found.append((cell.kind, KINDS[cell.kind].canonical(text), cell.flags))
                except InputError as error:
                    counts.reject(cell.kind, error.reason)
                    continue
            mask |= cell.mask
        if not found:
            return "no_identifier"
        counts.fields |= mask
        for kind, canonical, flags in found:
            counts.kinds.add(kind)
            fields, others = merged.get((kind, canonical), (0, 0))
            merged[kind, canonical] = fields | mask, others | flags
        return None


def unshroud(cipher: AESSIV, kind: str, value: bytes) -> Identifier:
    """Return the identifier behind a shrouded value, in memory. `cipher` holds the run key.

    Raises:
        cryptography.exceptions.InvalidTag: the value was not shrouded under this key.
    """
    return Identifier(kind, cipher.decrypt(value, [kind.encode()]).decode())


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Turn shrouded values into 64-byte OPRF outputs and 64-bit locators: slow hash, then RFC 9497 Evaluate."""

    run_key: bytes = field(repr=False)
    sk: bytes = field(repr=False)
    salt: bytes
    parameters: SlowHash

    def __call__(self, shrouded: Sequence[tuple[str, bytes]]) -> list[tuple[bytes, int]]:
        """Return (output, locator) of each (kind, shrouded value)."""
        cipher = AESSIV(self.run_key)
        results = []
        for kind, value in shrouded:
            message = slow_hash_bulk(unshroud(cipher, kind, value), self.salt, self.parameters)
            output = oprf.evaluate(self.sk, message)
            results.append((output, entry.locate(output, kind)))
        return results
