"""The words of the field: what was exposed, in which breach, and what a check may conclude."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntFlag, StrEnum
from typing import Self


class DataClass(StrEnum):
    """A field that a breach can expose. The order of the members is their bit in the 32-bit field mask: append only."""

    GOVERNMENT_ISSUED_IDS = "Government issued IDs"
    SOCIAL_SECURITY_NUMBERS = "Social security numbers"
    BANK_ACCOUNT_NUMBERS = "Bank account numbers"
    PHONE_NUMBERS = "Phone numbers"
    NAMES = "Names"
    EMPLOYERS = "Employers"
    EARNINGS = "Earnings"
    DATES_OF_BIRTH = "Dates of birth"
    EMAIL_ADDRESSES = "Email addresses"
    PHYSICAL_ADDRESSES = "Physical addresses"
    GENDERS = "Genders"
    MARITAL_STATUSES = "Marital statuses"
    JOB_TITLES = "Job titles"
    PASSPORT_NUMBERS = "Passport numbers"
    HEALTH_INSURANCE_INFORMATION = "Health insurance information"
    NATIONALITIES = "Nationalities"

    @property
    def bit(self) -> int:
        """Return this field's one-bit mask."""
        return 1 << _POSITIONS[self]


_POSITIONS = {data_class: position for position, data_class in enumerate(DataClass)}


def mask_of(data_classes: Iterable[DataClass]) -> int:
    """Return the field mask of these data classes."""
    mask = 0
    for data_class in data_classes:
        mask |= data_class.bit
    return mask


def names_of(mask: int, names: Iterable[str] = tuple(DataClass)) -> tuple[str, ...]:
    """Return the names whose bits stand in `mask`, in bit order; `names` is the vocabulary, lowest bit first."""
    return tuple(str(name) for position, name in enumerate(names) if mask >> position & 1)


class Flag(IntFlag):
    """What else is known of an exposure, as bits of the entry's flags octet."""

    NONE = 0
    EMPLOYER = 1  # the identifier stands in the file as the employer's contact, not as the person's own
    SHARED = 2  # it stands in rows about several people: what is shown is of those rows alone


@dataclass(frozen=True, slots=True)
class Exposure:
    """One dataset in which the identifier appears, and the names of the fields that stand there with it."""

    dataset: str
    fields: tuple[str, ...]
    employer: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A dataset that cannot be asked by this kind of identifier, and the kinds by which it can."""

    dataset: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a checked dataset could be read: its rows, and cells of the asked kind that were no identifier."""

    dataset: str
    rows_read: int
    rows_accepted: int
    identifiers_rejected: int

    @property
    def rows_unread(self) -> int:
        """How many rows held no identifier that could be read."""
        return self.rows_read - self.rows_accepted


class Reason(StrEnum):
    """Why a check could not conclude. The words are the protocol's: the same in every client."""

    def __new__(cls, word: str, meaning: str) -> Self:
        """Make a member of its word and what it means to a person."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member

    meaning: str

    NOT_CHECKED = "not_checked", "the check did not run to its end"
    UNREACHABLE = "unreachable", "the service could not be reached"
    TIMEOUT = "timeout", "the service did not answer in time"
    CONNECTION_CLOSED = "connection_closed", "the service closed the connection before its answer was whole"
    RATE_LIMITED = "rate_limited", "the service asks to try again later"
    UNAVAILABLE = "unavailable", "the service is not available now"
    MAINTENANCE = "maintenance", "the service is closed for maintenance that was announced"
    MISSING = "missing", "the service does not have what its manifest promises"
    REFUSED = "refused", "the service refused the request"
    SERVER_ERROR = "server_error", "the service failed"
    NOT_THE_SERVICE = "not_the_service", "the answer is not the service's: a portal or a proxy may stand in between"
    ANSWER_TOO_LONG = "answer_too_long", "the answer is longer than any the service gives"
    ANSWER_TOO_SHORT = "answer_too_short", "the answer is shorter than announced"
    MANIFEST_MALFORMED = "manifest_malformed", "the manifest cannot be read"
    MANIFEST_SIGNATURE = "manifest_signature", "the manifest is not signed by the publisher this client trusts"
    MANIFEST_VERSION = "manifest_version", "the manifest is of another protocol version: this client may be too old"
    MANIFEST_EXPIRED = "manifest_expired", "the release is no longer current, or this device's clock is ahead"
    MANIFEST_NOT_YET_VALID = (
        "manifest_not_yet_valid",
        "the release is from the future: this device's clock may be behind",
    )
    RELEASE_ROLLED_BACK = "release_rolled_back", "the service offers an older release than it did before"
    RELEASE_CHANGED = "release_changed", "the service changed its release during the check"
    RELEASE_MEMORY = "release_memory", "this client cannot read which release it saw last"
    MANIFEST_PARAMETERS = "manifest_parameters", "the release asks for parameters this client does not know"
    IDENTIFIER_RULES = (
        "identifier_rules",
        "the release was made with other rules for this kind: this client may be too old",
    )
    KIND_NOT_INDEXED = "kind_not_indexed", "no dataset of this release can be asked by this kind of identifier"
    EVALUATION_MALFORMED = "evaluation_malformed", "the evaluator's answer cannot be read"
    EVALUATION_PROOF = "evaluation_proof", "the evaluator did not prove that it used its published key"
    BUCKET_LENGTH = "bucket_length", "the bucket is not as long as the manifest says"
    BUCKET_PROOF = "bucket_proof", "the bucket is not the one the steward published"
    ENTRY_MALFORMED = "entry_malformed", "the entry found cannot be read"
    CLIENT_FAULT = "client_fault", "this client could not carry out the check"
    CLIENT_ALTERED = "client_altered", "a part of this client is missing, or is not what it was made with"


@dataclass(frozen=True, slots=True)
class Exposed:
    """The identifier appears in these datasets. It says "appears in this file", never "was true"."""

    release: int
    exposures: tuple[Exposure, ...]
    checked: tuple[str, ...]
    unchecked: tuple[Unchecked, ...]
    # One for each dataset in `checked`, as the manifest says. No part of what was concluded.
    coverage: tuple[Coverage, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class NotFound:
    """Proved to appear in none of the datasets in `checked`, as of `release`. Built by `protocol.client` alone."""

    release: int
    checked: tuple[str, ...]
    unchecked: tuple[Unchecked, ...]
    # One for each dataset in `checked`, as the manifest says. No part of what was concluded.
    coverage: tuple[Coverage, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Undetermined:
    """The check could not be made: this is not a result.

    `retry_after` is in seconds, if the service named it; `until` is when its maintenance ends, in UTC, if it said so.
    """

    reason: Reason = Reason.NOT_CHECKED
    detail: str = ""
    retry_after: int | None = None
    until: datetime | None = None


Verdict = Exposed | NotFound | Undetermined
