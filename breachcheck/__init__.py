"""Tells people which fields of theirs a data breach exposed, without learning whom they asked about.

    from breachcheck import Client, Exposed, NotFound, Undetermined

    with Client("https://check.example", publisher_key="publisher.pub") as client:
        verdict = client.check("national_id", text)

A verdict is proved or it is `Undetermined`: what could not be checked is never "not found".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from breachcheck.errors import BreachcheckError, InputError, ProtocolError, ReleaseError, TransportError
from breachcheck.exposure import (
    Coverage,
    DataClass,
    Exposed,
    Exposure,
    NotFound,
    Reason,
    Unchecked,
    Undetermined,
    Verdict,
)

if TYPE_CHECKING:
    from breachcheck.client import Client

__all__ = [
    "BreachcheckError",
    "Client",
    "Coverage",
    "DataClass",
    "Exposed",
    "Exposure",
    "InputError",
    "NotFound",
    "ProtocolError",
    "Reason",
    "ReleaseError",
    "TransportError",
    "Unchecked",
    "Undetermined",
    "Verdict",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Every room below imports this package first: an ingest worker shall not pay for an HTTP client.
        if name != "Client":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from breachcheck.client import Client

        return Client
