"""Worlds that many tests share; nothing in them may be changed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.world import World, make_world, serving


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a command remembers, it does not remember in the home of who runs the tests."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """2,000 people, one release."""
    return make_world(tmp_path_factory.mktemp("world"), people=2000)


@pytest.fixture(scope="session")
def service(world: World) -> Iterator[str]:
    """The URL of a process that serves `world`."""
    with serving(world) as url:
        yield url
