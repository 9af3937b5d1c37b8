"""The port: what a check needs of the world outside, and nothing of how it is got."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol, Self

from breachcheck.errors import TransportError
from breachcheck.exposure import Reason


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment, in seconds of the monotonic clock, by which a whole check is over."""

    end: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the moment that many seconds from now."""
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds left, which are more than 0.

        Raises:
            TransportError: `timeout`: none are left.
        """
        left = self.end - time.monotonic()
        if left <= 0:
            raise TransportError(Reason.TIMEOUT, "the time for the whole check is over")
        return left


class Transport(Protocol):
    """Carries the three messages of a check; one object may serve many threads.

    Nothing it returns is believed before the protocol has proved it. Every method raises `TransportError`, with a word
    of `Reason` and the seconds the service asked to wait, and keeps to the deadline.
    """

    def manifest(self, deadline: Deadline, known: bytes | None = None) -> bytes:
        """Return the signed manifest; `known` is one the caller accepted before, returned if it still stands."""
        ...

    def evaluate(self, request: bytes, deadline: Deadline) -> bytes:
        """Return the evaluator's answer to an encoded request."""
        ...

    def page(self, release: int, kind: str, bucket: int, length: int, deadline: Deadline) -> bytes:
        """Return the page of a bucket, which is `length` bytes; its place in `{kind}.bin` is `bucket * length`."""
        ...

    def close(self) -> None:
        """Let go of what is held open. No message can be carried afterwards."""
        ...
