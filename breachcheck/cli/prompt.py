"""Identifiers from a prompt or from standard input, never from the command line."""

from __future__ import annotations

import os
import sys
from typing import Final

import typer

from breachcheck.errors import InputError

_MAX_LINE: Final = 4096  # bytes of an identifier on standard input
ASKED: Final = {"allow_extra_args": True}  # a command's settings: what is too much is refused here, and not repeated


def refuse_words(context: typer.Context) -> None:
    """Refuse what stands on the command line beside the kind, without repeating it.

    Raises:
        InputError: `argument`.
    """
    if context.args:
        raise InputError("argument", "no identifier on the command line, where others see it and history keeps it")


def identifier(kind: str) -> str:
    """Return what is given as the one identifier of this kind.

    Raises:
        InputError: `no_input`, `several_lines`.
    """
    if (typed := _typed(kind)) is not None:
        return typed
    octets = b""
    while b"\n" not in octets and len(octets) < _MAX_LINE and (more := os.read(sys.stdin.fileno(), _MAX_LINE)):
        octets += more
    line, _, rest = octets.partition(b"\n")
    if rest.strip():  # whoever pipes a list would take one answer for all
        raise InputError("several_lines", "one identifier is checked at a time")
    return line.decode("utf-8", "surrogateescape")


def identifiers(kind: str) -> list[str]:
    """Return what is given as identifiers of this kind, one a line.

    Raises:
        InputError: `no_input`.
    """
    if (typed := _typed(kind)) is not None:
        return [typed]
    return [line.decode("utf-8", "surrogateescape") for line in sys.stdin.buffer]


def _typed(kind: str) -> str | None:
    """Return what somebody types at the prompt; None where nobody can.

    Octets that are no text become lone surrogates there, which stand in no identifier.
    """
    if sys.stdin is None:
        raise InputError("no_input", "the identifier is read from standard input, which is closed")
    if not sys.stdin.isatty():
        return None
    text: str = typer.prompt(kind, err=True)
    return text
