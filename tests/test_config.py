"""Settings: where they come from, and what is refused before anything is served."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from breachcheck.config import Role, Settings, load
from breachcheck.errors import InputError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BREACHCHECK_{name.upper()}", raising=False)


def test_by_default_it_listens_on_loopback_believes_no_proxy_and_rations() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.role) == ("127.0.0.1", 8000, Role.ALL)
    assert settings.trusted_proxies == ()
    assert (settings.daily_cap, settings.address_cap) == (200_000, 2_000)
    assert not settings.allow_testing_parameters


def test_every_setting_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "RELEASES": "/r", "KEYS": "/k", "PUBLISHER_KEY": "/p", "HOST": "::1", "PORT": "0", "ROLE": "buckets",
        "ALLOW_TESTING_PARAMETERS": "1",
        "DAILY_CAP": "7", "ADDRESS_CAP": "0", "TRUSTED_PROXIES": "10.0.0.1, 10.1.0.0/16,::1", "MAX_CONNECTIONS": "99",
        "KEEP_ALIVE": "1", "REQUEST_TIMEOUT": "2", "STOP_TIMEOUT": "3", "LOG_LEVEL": "debug", "MAINTENANCE": "/m",
        "SELF_CHECK_INTERVAL": "4", "SELF_CHECK_URL": "http://[::1]:5", "RELEASE_INTERVAL": "6", "RELEASE_GRACE": "0",
        "INCIDENTS": "/i",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"BREACHCHECK_{name}", text)
    assert load().model_dump() == {
        "releases": Path("/r"), "keys": Path("/k"), "publisher_key": Path("/p"), "host": "::1", "port": 0,
        "role": Role.BUCKETS, "allow_testing_parameters": True, "daily_cap": 7, "address_cap": 0,
        "trusted_proxies": ("10.0.0.1", "10.1.0.0/16", "::1"), "max_connections": 99, "keep_alive": 1,
        "request_timeout": 2, "stop_timeout": 3, "log_level": "debug",
        "maintenance": Path("/m"), "incidents": Path("/i"),
        "self_check_interval": 4, "self_check_url": "http://[::1]:5", "release_interval": 6, "release_grace": 0,
    }  # fmt: skip


def test_an_option_stands_over_the_environment_and_none_leaves_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREACHCHECK_PORT", "1234")
    monkeypatch.setenv("BREACHCHECK_HOST", "::1")
    settings = load(port=4321, host=None)
    assert (settings.port, settings.host) == (4321, "::1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "65536"),
        ("port", "http"),
        ("role", "everything"),
        ("daily_cap", "0"),
        ("address_cap", "-1"),
        ("trusted_proxies", "*"),
        ("trusted_proxies", "10.0.0.1,proxy.example"),
        ("max_connections", "3"),
        ("request_timeout", "0"),
        ("log_level", "trace"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_by_its_setting_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"BREACHCHECK_{name.upper()}", text)
    with pytest.raises(InputError) as refused:
        load()
    assert str(refused.value).startswith(f"settings: {name}: ")
    assert "\n" not in str(refused.value)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(InputError, match="settings: prot"):
        load(prot=8000)


def test_settings_cannot_change() -> None:
    with pytest.raises(ValidationError):
        load().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    assert Settings.model_fields[name].description
