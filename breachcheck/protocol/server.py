"""The evaluator's one step (PROTOCOL.md §5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from breachcheck.protocol import messages, oprf


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Holds the 32-byte secret key; its `repr` shows the public one alone.

    Raises:
        ProtocolError: `scalar`: not a key.
    """

    sk: bytes = field(repr=False)
    pk: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pk", oprf.public_key(self.sk))

    def answer(self, elements: Sequence[bytes]) -> bytes:
        """Return the response to the elements of a decoded request."""
        return messages.encode_response(*oprf.blind_evaluate(self.sk, self.pk, elements))
