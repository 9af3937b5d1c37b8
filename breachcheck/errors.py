"""Every error breachcheck raises, sorted by whose fault it is.

    BreachcheckError
    ├── InputError        the caller: not a valid identifier, kind, mapping or option
    ├── ProtocolError     the peer: an answer that does not prove what it must
    ├── ReleaseError      the operator: a release, ledger or key that cannot be used
    └── TransportError    the network: no answer, or one that is not the service's

Each carries a `reason`: a fixed word of the protocol, safe to print, log and send. No error holds, or is made from,
an identifier, a key or a row.
"""

from __future__ import annotations

from datetime import datetime


class BreachcheckError(Exception):
    """Root of the tree. `reason` is a fixed word; `detail` explains it to a person and names no identifier."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[BreachcheckError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class InputError(BreachcheckError, ValueError):
    """The caller's fault."""


class ProtocolError(BreachcheckError):
    """The peer's fault: nothing of its answer may be believed."""


class ReleaseError(BreachcheckError):
    """The operator's fault."""


class TransportError(BreachcheckError):
    """The network's fault, or maintenance.

    `retry_after` is the number of seconds the service asked to wait, if it did; `until` when its maintenance ends.
    """

    def __init__(
        self, reason: str, detail: str = "", retry_after: int | None = None, until: datetime | None = None
    ) -> None:
        super().__init__(reason, detail)
        self.retry_after = retry_after
        self.until = until
