"""The client: drives the protocol's steps over a transport, and turns whatever goes wrong into `Undetermined`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from argon2.exceptions import HashingError

from breachcheck.client.http import HttpTransport
from breachcheck.client.memory import ReleaseMemory
from breachcheck.client.transport import Deadline, Transport
from breachcheck.errors import InputError, ProtocolError, ReleaseError, TransportError
from breachcheck.exposure import Exposed, NotFound, Reason, Undetermined, Verdict
from breachcheck.keys import read_publisher_key
from breachcheck.protocol import client as protocol
from breachcheck.protocol.identifier import Identifier, identify
from breachcheck.protocol.manifest import Manifest

# What a check meets when the service publishes another release between two of its requests.
_OUTDATED: Final = frozenset({Reason.MISSING, Reason.EVALUATION_PROOF})
_REASONS: Final = {str(reason): reason for reason in Reason}


class Client:
    """Asks one service about identifiers; may be shared by threads, and is a context manager.

    Args:
        url: where the service is, http or https, a path prefix allowed; or another `Transport` to it.
        publisher_key: the steward's Ed25519 key that this client trusts: 32 bytes, or the path of the file with their
            64 hexadecimal digits.
        memory: a file in which to remember the last release seen; without it, it is remembered while the client lives.
        timeout: seconds for a whole check. Only the system's look-up of the host name cannot be cut short by it.

    Raises:
        InputError: `url`, `publisher_key` or `timeout`: cannot be used.
    """

    def __init__(
        self,
        url: str | Transport,
        publisher_key: bytes | str | os.PathLike[str],
        *,
        memory: Path | None = None,
        timeout: float = 30.0,
    ) -> None:
        if not timeout > 0:
            raise InputError("timeout", "wanted: more than 0 seconds")
        self._publisher_key = read_publisher_key(publisher_key)
        self._transport = HttpTransport(url) if isinstance(url, str) else url
        self._memory = ReleaseMemory(memory)
        self._timeout = timeout
        self._accepted: bytes | None = None

    def check(self, kind: str, text: str) -> Verdict:
        """Return what can be proved of the identifier that `text` writes.

        Raises:
            InputError: it is not an identifier of this kind; nothing has been sent then.
        """
        identifier = identify(kind, text)
        verdict: Verdict = Undetermined()
        try:
            verdict = self._check(identifier, Deadline.after(self._timeout))
        except (ProtocolError, TransportError, ReleaseError) as error:
            verdict = _undetermined(error)
        except HashingError:
            verdict = Undetermined(Reason.CLIENT_FAULT, "no memory for the slow hash")
        return verdict

    def close(self) -> None:
        """Let go of the connections. A check begun afterwards is `Undetermined`."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check(self, identifier: Identifier, deadline: Deadline) -> Exposed | NotFound:
        manifest = self._manifest(deadline)
        try:
            return self._ask(manifest, identifier, deadline)
        except (ProtocolError, TransportError) as error:
            if error.reason not in _OUTDATED:
                raise
            renewed = self._manifest(deadline)
            if (renewed.release, renewed.public_key) == (manifest.release, manifest.public_key):
                raise
        try:
            return self._ask(renewed, identifier, deadline)
        except (ProtocolError, TransportError) as error:
            if error.reason not in _OUTDATED:
                raise
            # Two signed manifests prove the change, and a change explains this failure too; a third try would let the
            # service keep a client going for as long as it likes.
            raise ProtocolError(Reason.RELEASE_CHANGED, f"and then {error.reason}") from error

    def _manifest(self, deadline: Deadline) -> Manifest:
        signed = self._transport.manifest(deadline, self._accepted)
        last_seen = self._memory.last_seen(self._publisher_key)
        manifest = protocol.accept_manifest(signed, self._publisher_key, datetime.now(UTC), last_seen)
        self._memory.remember(self._publisher_key, manifest.release)
        self._accepted = signed
        return manifest

    def _ask(self, manifest: Manifest, identifier: Identifier, deadline: Deadline) -> Exposed | NotFound:
        blinded, request = protocol.start(manifest, identifier)
        located = protocol.locate(blinded, self._transport.evaluate(request, deadline))
        table = located.table
        page = self._transport.page(manifest.release, table.kind, located.bucket, table.layout.page_length, deadline)
        return protocol.conclude(located, page)


def _undetermined(error: ProtocolError | TransportError | ReleaseError) -> Undetermined:
    # A word that is not the protocol's comes from a fault of this client, whatever the service did.
    reason = _REASONS.get(error.reason, Reason.CLIENT_FAULT)
    if isinstance(error, TransportError):
        return Undetermined(reason, error.detail, error.retry_after, error.until)
    return Undetermined(reason, error.detail)
