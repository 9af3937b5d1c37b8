"""What the README says is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from breachcheck import cli
from breachcheck.config import Settings
from tests.world import run

README = Path(__file__).parent.parent / "README.md"


def settings_table() -> str:
    """Return the table of settings as it must stand in the README."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, setting in Settings.model_fields.items():
        default = setting.get_default()
        shown = {None: "", (): ""}.get(default, f"`{getattr(default, 'value', default)}`")
        rows.append(f"| `BREACHCHECK_{name.upper()}` | {shown} | {setting.description} |")
    return "\n".join(rows)


def test_the_settings_table_is_complete_and_right() -> None:
    text = README.read_text("utf-8")
    table = text.split("<!-- settings:")[1].split("-->\n")[1].split("<!-- end of settings")[0].strip()
    assert table == settings_table()


def test_the_exit_codes_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| (\d) \| (.+) \|$", README.read_text("utf-8"), re.MULTILINE))
    assert rows == {
        str(cli.NOT_FOUND): "not found",
        str(cli.EXPOSED): "exposed",
        str(cli.USAGE): "not a valid identifier, or wrong use",
        str(cli.COULD_NOT): "could not check",
    }


@pytest.mark.parametrize(
    "command",
    sorted(set(re.findall(r"breachcheck ((?:keys |release |maintenance )?[a-z]+) --", README.read_text("utf-8")))),
)
def test_every_option_in_the_readme_exists(command: str) -> None:
    known = run(*command.split(), "--help").stdout
    for line in re.findall(rf"breachcheck {command} (.+)", README.read_text("utf-8")):
        for option in re.findall(r"--[a-z-]+", line):
            assert option in known, (command, option)


def test_every_file_that_the_readme_names_is_there() -> None:
    for name in re.findall(r"(?<![\w/])(?:scripts|breachcheck)/[\w/.-]+", README.read_text("utf-8")):
        assert (README.parent / name).exists(), name
