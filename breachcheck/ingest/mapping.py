"""Which column is what: a TOML file from the steward, or one that ships with the package."""

from __future__ import annotations

import hashlib
import operator
import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from breachcheck.errors import InputError
from breachcheck.exposure import DataClass
from breachcheck.ingest.plan import Cell, Plan, column_names, folded
from breachcheck.protocol.identifier import KINDS
from breachcheck.protocol.manifest import Date, Text


def _encoding(name: str) -> str:
    # Python also calls "encoding" what makes octets of octets (base64), and what no file is written in (idna).
    try:
        text = "a;b\n".encode(name)
        text.decode(name, "replace")
    except (LookupError, UnicodeError):
        raise ValueError("there is no such encoding of text") from None
    return name


def _pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Header = Annotated[str, Field(min_length=1)]


class Column(BaseModel):
    """One column of the source: identifiers, or a data class of which only presence counts, or neither.

    `header` names it; several headers name the parts of one value, joined in that order; `#7` is the seventh column, of
    a file that has no name for it, or one that a column before it has. `kind` is the kind of the identifiers in it; of
    several, each takes the first that accepts it. A cell is cut at each character of `split`; a
    list of JSON or Parquet, between its values if a line end is one of these.
    A cell that folds to a word of `absent` (beside those of the whole mapping) is no value, and with `zero_is_absent`
    neither is one that writes the number 0. `employer` says that the value is the employer's, not the person's.
    In text of fixed width the column stands `at` its first character, counted from 1, and so many from there; where
    lines are of several sorts, in those that begin with one of `record`. In a PDF `pattern` finds it in the text of a
    page: its first group, or all of it, is the value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: Annotated[tuple[Header, ...], BeforeValidator(_several), Field(min_length=1)]
    kind: Annotated[tuple[str, ...], BeforeValidator(_several)] = ()
    data_class: DataClass | None = None
    ignore: bool = False
    optional: bool = False
    employer: bool = False
    split: str = ""
    at: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    # Left out of the digest where it says nothing: what was read with a mapping from before is not read again.
    record: Annotated[tuple[Header, ...], BeforeValidator(_several), Field(exclude_if=operator.not_)] = ()
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    absent: tuple[str, ...] = ()
    zero_is_absent: bool = False

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if sum((bool(self.kind), self.data_class is not None, self.ignore)) != 1:
            raise ValueError("a column has either kind, data_class or ignore = true")
        if not set(self.kind) <= KINDS.keys():
            raise ValueError(f"unknown kind; known are {', '.join(KINDS)}")
        if len(self.header) > 1 and (self.at or self.pattern):
            raise ValueError("a column with a place or a pattern has one header")
        if self.record and not self.at:
            raise ValueError("only in text of fixed width are there records of several sorts")
        if self.split and not self.kind:
            raise ValueError("only a column of identifiers is split")
        if self.employer and not self.kind:
            raise ValueError("only a column of identifiers is an employer's; what else is told of one is Employers")
        return self


class Mapping(BaseModel):
    """How rows of one shape of file are read.

    `linking` are the kinds of identifier by which rows are told to be about one person: no two people have one of them
    in common. What stands in a column of the employer's links nobody. `encoding` and `delimiter` of text are found out
    where they are not said. `line` is the number of characters of each line of text of fixed width; it has no header.
    Over the header of delimited text, or of a sheet, `above` lines (or rows, empty ones too) are passed over: a title.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    delimiter: Literal[";", ",", "\t", "|"] | None = None
    line: Annotated[int, Field(ge=1)] | None = None
    above: Annotated[int, Field(ge=0, exclude_if=operator.not_)] = 0
    absent: tuple[str, ...] = ("",)
    linking: tuple[str, ...] = ()
    column: Annotated[tuple[Column, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        headers = [folded(header) for column in self.column for header in column.header]
        if len(set(headers)) < len(headers):
            raise ValueError("a header stands twice")
        for column in self.column:
            if (column.at is None) != (self.line is None):
                raise ValueError("text of fixed width has line, and at in each column; other files have neither")
            if column.at and self.line and sum(column.at) - 1 > self.line:
                raise ValueError("a column goes beyond the end of the line")
        if self.above and (self.line or any(column.pattern for column in self.column)):
            raise ValueError("only over a header are lines passed over")
        if len({column.pattern is None for column in self.column}) > 1:
            raise ValueError("either each column has a pattern, or none has")
        kinds = {kind for column in self.column for kind in column.kind}
        if not kinds:
            raise ValueError("no column maps to a kind of identifier")
        own = {kind for column in self.column for kind in column.kind if not column.employer}
        if not set(self.linking) <= own:  # a manager's number stands beside all who work there
            raise ValueError("linking names a kind that no column has of a person's own")
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
        for index, name in enumerate(map(folded, column_names(header))):
            if name in position:
                raise InputError("columns", f"column {index + 1} has the header of another one")
            position[name] = index
        missing = [
            one for column in self.column if not column.optional for one in column.header if folded(one) not in position
        ]
        if missing:
            raise InputError("columns", f"the file lacks {', '.join(missing)}")
        unmapped = position.keys() - {folded(one) for column in self.column for one in column.header}
        if unmapped:
            places = ", ".join(str(position[name] + 1) for name in sorted(unmapped, key=position.__getitem__))
            raise InputError("columns", f"the mapping says nothing of column {places}: map it, or set ignore = true")
        cells = [
            Cell(
                indexes=tuple(position[folded(one)] for one in column.header),
                kinds=column.kind,
                mask=column.data_class.bit if column.data_class else 0,
                employer=column.employer,
                split=column.split,
                absent=frozenset(map(folded, ("", *self.absent, *column.absent))),
                zero_is_absent=column.zero_is_absent,
            )
            for column in self.column
            if not column.ignore and all(folded(one) in position for one in column.header)
        ]
        return Plan(tuple(header), tuple(cells), frozenset(self.linking))


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
        text = Path(name).read_text("utf-8-sig") if name.endswith(".toml") else shipped.read_text("utf-8")
        return Mapping.model_validate(tomllib.loads(text))
    except OSError:
        raise InputError(
            "mapping", f"there is no mapping {name!r}: give a file that ends in .toml, or one of {_shipped()}"
        ) from None
    except ValidationError as error:
        raise InputError("mapping", _first(name, error)) from None
    except (ValueError, RecursionError) as error:  # also of a number, or a nest, without end
        raise InputError("mapping", f"{name} is not TOML: {error}") from None


def read_about(path: Path) -> About:
    """Return the description in a TOML file.

    Raises:
        InputError: `about`.
    """
    try:
        return About.model_validate(tomllib.loads(path.read_text("utf-8-sig")))
    except OSError as error:
        raise InputError("about", f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise InputError("about", _first(str(path), error)) from None
    except (ValueError, RecursionError) as error:
        raise InputError("about", f"{path} is not TOML: {error}") from None


_PLAINLY: Final = {
    "extra_forbidden": "there is no such key",
    "missing": "it is needed",
    "tuple_type": "a text, or a list of texts",
    "string_type": "a text",
}


def _first(name: str, error: ValidationError) -> str:
    """Return in plain words what is wrong first; columns are counted from 1."""
    first = error.errors()[0]
    place = ".".join(str(one + 1 if isinstance(one, int) else one) for one in first["loc"]) or "mapping"
    return f"{name}: {place}: {_PLAINLY.get(first['type']) or first['msg'].removeprefix('Value error, ')}"


def _shipped() -> str:
    folder = resources.files(__package__).joinpath("mappings")
    return ", ".join(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir()))
