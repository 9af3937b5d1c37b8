"""Which column is what: a TOML file from the steward, or one that ships with the package."""

from __future__ import annotations

import codecs
import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass, Flag
from breachcheck.protocol.identifier import KINDS
from breachcheck.protocol.manifest import Date, Text


def _encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("there is no such encoding") from None
    return name


class Column(BaseModel):
    """One column of the source: a kind of identifier, a data class of which only presence counts, or neither."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: Annotated[str, Field(min_length=1)]
    kind: str | None = None
    data_class: DataClass | None = None
    ignore: bool = False
    optional: bool = False
    employer: bool = False

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if sum((self.kind is not None, self.data_class is not None, self.ignore)) != 1:
            raise ValueError("a column has either kind, data_class or ignore = true")
        if self.kind is not None and self.kind not in KINDS:
            raise ValueError(f"unknown kind; known are {', '.join(KINDS)}")
        return self

    @property
    def mask(self) -> int:
        """The bit of the field whose presence a value in this column shows, or 0."""
        data_class = DataClass(KINDS[self.kind].data_class) if self.kind else self.data_class
        return data_class.bit if data_class else 0


class Mapping(BaseModel):
    """How rows of one shape of file are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8-sig"
    delimiter: Literal[";", ",", "\t", "|"] | None = None
    absent: tuple[str, ...] = ("",)
    column: Annotated[tuple[Column, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        headers = [_folded(column.header) for column in self.column]
        if len(set(headers)) < len(headers):
            raise ValueError("a header stands twice")
        if not any(column.kind for column in self.column):
            raise ValueError("no column maps to a kind of identifier")
        return self

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what this mapping says."""
        return hashlib.sha256(self.model_dump_json().encode()).digest()

    def plan(self, header: Sequence[str]) -> Plan:
        """Return how rows under this header are read.

        Raises:
            InputError: `columns`. It says no word of the header itself: a file without one begins with a row.
        """
        position: dict[str, int] = {}
        for index, name in enumerate(header):
            if _folded(name) in position:
                raise InputError("columns", f"column {index + 1} has the header of another one")
            position[_folded(name)] = index
        missing = [one.header for one in self.column if not one.optional and _folded(one.header) not in position]
        if missing:
            raise InputError("columns", f"the file lacks {', '.join(missing)}")
        unmapped = set(position) - {_folded(column.header) for column in self.column}
        if unmapped:
            places = ", ".join(str(position[name] + 1) for name in sorted(unmapped, key=position.__getitem__))
            raise InputError("columns", f"the mapping says nothing of column {places}: map it, or set ignore = true")
        cells = [
            Cell(
                index=position[_folded(column.header)],
                kind=column.kind,
                mask=column.mask,
                flags=int(Flag.EMPLOYER if column.employer else Flag.NONE),  # an enum's | takes 1 us
            )
            for column in self.column
            if not column.ignore and _folded(column.header) in position
        ]
        absent = frozenset(map(_folded, self.absent)) | {""}
        return Plan(len(header), tuple(header), tuple(cells), absent, max(map(len, absent)))


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands at one index of every row: an identifier of `kind`, or something of which presence alone counts."""

    index: int
    kind: str | None
    mask: int
    flags: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A mapping, settled for one file."""

    width: int
    header: tuple[str, ...]
    cells: tuple[Cell, ...]
    absent: frozenset[str]
    longest: int

    def is_absent(self, text: str) -> bool:
        """Return whether a cell says that there is nothing."""
        # No longer than the longest word for nothing: most cells are told by their length.
        stripped = text.strip()
        return len(stripped) <= self.longest and stripped.casefold() in self.absent


def _folded(text: str) -> str:
    return text.strip().casefold()


class About(BaseModel):
    """What the public is told of a dataset, by language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text = {}
    date: Date | None = None
    source_note: Text = {}
    authenticity_note: Text = {}


def read_mapping(name: str) -> Mapping:
    """Return the mapping in the TOML file `name`, or the shipped one of that name.

    Raises:
        InputError: `mapping`.
    """
    shipped = resources.files(__package__).joinpath("mappings", f"{name}.toml")
    try:
        text = Path(name).read_text("utf-8") if name.endswith(".toml") else shipped.read_text("utf-8")
        return Mapping.model_validate(tomllib.loads(text))
    except OSError:
        raise InputError(
            "mapping", f"there is no mapping {name!r}: give a file that ends in .toml, or one of {_shipped()}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("mapping", f"{name} is not TOML: {error}") from None
    except ValidationError as error:
        raise InputError("mapping", _first(name, error)) from None


def read_about(path: Path) -> About:
    """Return the description in a TOML file.

    Raises:
        InputError: `about`.
    """
    try:
        return About.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise InputError("about", f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("about", f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        raise InputError("about", _first(str(path), error)) from None


def _first(name: str, error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{name}: {'.'.join(map(str, first['loc'])) or 'mapping'}: {first['msg']}"


def _shipped() -> str:
    folder = resources.files(__package__).joinpath("mappings")
    return ", ".join(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir()))
