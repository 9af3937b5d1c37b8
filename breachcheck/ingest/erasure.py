"""Erasure: identifiers of which ledger and later releases keep nothing but that they are not to come back.

What the other identifiers of the same rows then show, `store.people` says. Tombstones are keyed: those of one key do
not serve another (a new epoch), nor a canonical form that later rules change. Then the identifiers have to be given
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from breachcheck.errors import InputError
from breachcheck.ingest.completeness import refuse_other_rules
from breachcheck.keys import StewardKeys
from breachcheck.protocol import oprf
from breachcheck.protocol.identifier import KINDS, Identifier, identify
from breachcheck.protocol.parameters import SlowHash
from breachcheck.protocol.slow_hash import slow_hash
from breachcheck.store.ledger import Erasure, Ledger

MAX_REFERENCE: Final = 100  # characters


def read(kind: str, lines: Sequence[str]) -> list[Identifier]:
    """Return the identifiers that stand in the lines, one each. Blank lines count for nothing.

    Raises:
        InputError: `unknown_kind`; `empty`: there is none; or why a line is none, with its number and nothing of it.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(identify(kind, line))
            except InputError as error:
                raise InputError(error.reason, error.detail or f"line {number}; nothing was erased") from None
    if not found:
        raise InputError("empty", "an identifier a line is read from standard input")
    return found


def forget(
    identifiers: Sequence[Identifier],
    reference: str,
    ledger: Ledger,
    keys: StewardKeys,
    parameters: SlowHash,
    now: datetime,
) -> Erasure:
    """Erase identifiers, all of one kind, from the ledger, and keep them out; the next release lacks them.

    `reference` says where the proof of ownership is kept. It stays in the ledger, in the clear, so it must not name the
    identifier, in any spelling. Given again after it was killed, this does what is still to be done.

    Raises:
        InputError: `reference`: it is empty, too long, not one line, or names an identifier.
        ReleaseError: `ledger_rules`, and what `Ledger.erase` refuses.
    """
    [kind] = {one.kind for one in identifiers}
    if not (reference.strip() and len(reference) <= MAX_REFERENCE and reference.isprintable()):
        raise InputError("reference", f"wanted: one line of at most {MAX_REFERENCE} characters")
    if not _spelled(kind, reference).isdisjoint(one.canonical for one in identifiers):
        raise InputError("reference", "it holds an identifier that is to be erased: it would stay in the ledger")
    refuse_other_rules(ledger.runs())
    outputs = (oprf.evaluate(keys.evaluator.sk, slow_hash(one, keys.service_salt, parameters)) for one in identifiers)
    return ledger.erase(kind, outputs, reference, f"{now.astimezone(UTC):%Y-%m-%d}")


def _spelled(kind: str, text: str) -> set[str]:
    """Return the canonical form of every part of a text that is an identifier of this kind."""
    forms = set()
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            try:
                forms.add(KINDS[kind].canonical(text[start:end]))
            except InputError:
                continue
    return forms
