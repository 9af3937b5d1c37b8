"""Settings of the service, read once: explicit options over `BREACHCHECK_*` variables over defaults."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from breachcheck.errors import InputError


class Role(StrEnum):
    """What one process serves: everything, or only the half that holds no key, or only the half that holds it."""

    ALL = "all"
    BUCKETS = "buckets"
    EVALUATOR = "evaluator"


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        ip_network(value, strict=False)
    return values


Proxies = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_networks)]


class Settings(BaseSettings):
    """All that can be set; each field's description is its line in the README."""

    model_config = SettingsConfigDict(env_prefix="BREACHCHECK_", frozen=True)

    releases: Path | None = Field(None, description="Folder of the releases; roles `all` and `buckets` need it")
    keys: Path | None = Field(None, description="Folder of the keys; roles `all` and `evaluator` need it")
    publisher_key: Path | None = Field(
        None,
        description="File of the publisher's public key, with which the pages check; `publisher.pub` of the key folder "
        "where it is there",
    )
    maintenance: Path | None = Field(
        None,
        description="File of the maintenance plan, TOML; read again when it changes. It must be there; it may be empty",
    )
    incidents: Path | None = Field(
        None,
        description="File in which this process alone keeps its record of incidents; without it, they end with it",
    )
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    role: Role = Field(Role.ALL, description="`all`, `buckets` (no key) or `evaluator` (key, no release)")
    allow_testing_parameters: bool = Field(
        False, description="Serve a release made with testing parameters, which protect nobody"
    )
    daily_cap: int = Field(
        200_000,
        ge=1,
        description="Elements evaluated a day (UTC) by this process, for everybody together; a restart begins anew",
    )
    address_cap: int = Field(
        2_000,
        ge=0,
        description="Elements evaluated a day (UTC) for one IPv4 address or IPv6 /64; 0 for no such limit. "
        "Mobile operators put thousands of people behind one IPv4 address",
    )
    trusted_proxies: Proxies = Field(
        (), description="Addresses or networks, by commas, whose `X-Forwarded-For` is believed; nobody's by default"
    )
    self_check_interval: int = Field(
        44,
        ge=1,
        description="Seconds from one self-check to the next; sooner after one that failed. What it finds is on "
        "`/status` and in the feed 15 seconds later at the latest",
    )
    self_check_url: str | None = Field(
        None,
        description="Where people reach the whole service, if its roles are apart: the self-check asks there for a "
        "canary or a stranger by turns, which is one element of the evaluator's ration a time, 1,964 a day: where "
        "several servers ask from one address, the evaluator needs a higher cap for it. By default each process asks "
        "itself for its own part, outside of any ration",
    )
    release_interval: int = Field(5, ge=1, description="Seconds between two looks for a new release in the folder")
    release_grace: int = Field(
        120, ge=0, description="Seconds for which buckets of the release before are still served, to checks under way"
    )
    max_connections: int = Field(
        4_096, ge=16, description="Connections at a time; one more closes the one that waits longest for its request"
    )
    keep_alive: int = Field(15, ge=1, description="Seconds a connection may stay idle between requests")
    request_timeout: int = Field(10, ge=1, description="Seconds in which a request's headers and body must be whole")
    stop_timeout: int = Field(8, ge=1, description="Seconds that answers under way have to finish after a stop signal")
    log_level: Literal["critical", "error", "warning", "info", "debug"] = Field(
        "warning", description="`critical`, `error`, `warning`, `info` or `debug`; none of them logs a request"
    )


def load(**options: Any) -> Settings:
    """Return the settings; an option that is None is left to the environment, then to its default.

    Raises:
        InputError: `settings`: names the first that cannot be used, and never its value.
    """
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        why = "wanted IP addresses or networks" if name == "trusted_proxies" else first["msg"]
        raise InputError("settings", f"{name}: {why}") from None
