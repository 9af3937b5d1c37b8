"""XLSX: each sheet whose header fits, made into columns by a worker. Of another sheet each row is rejected.

The parent looks for the header and counts the rows in the sheet's own XML, without a spreadsheet library; the worker
reads the sheet with calamine. Rows and places that stand in the XML bound what that will take, before it is taken.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Final
from xml.parsers import expat

import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook

from breachcheck.errors import InputError
from breachcheck.ingest.sources.archive import ZIP_FAULTS
from breachcheck.ingest.sources.chunk import Chunk, Rows
from breachcheck.ingest.sources.columns import numbered
from breachcheck.ingest.sources.stream import Allowance
from breachcheck.ingest.sources.values import text

if TYPE_CHECKING:
    from breachcheck.ingest.mapping import Mapping

MAX_GRID: Final = 32 << 20  # cells of a sheet, empty ones too
_BLOCK: Final = 1 << 20
_PLACE: Final = re.compile(
    rb"<(?:\w+:)?(?:row(?=[\s/>])(?:[^>]*?\sr=\"(\d+)\")?|c\s[^>]*?\br=\"([A-Z]{1,3})(\d+)\")[^>]*>"
)
_TAG: Final = 4096  # octets of the longest tag that is looked for


@dataclass(frozen=True, slots=True, repr=False)
class Sheet(Chunk):
    """One sheet of a workbook; `above` rows of it stand over the first row under the header. Its `repr` is blank."""

    name: str
    above: int

    def rows(self) -> Rows:
        """Make columns of it. Rows that a spreadsheet never wrote are empty.

        Raises:
            InputError: `source`, `reconcile`.
        """
        try:
            workbook = CalamineWorkbook.from_filelike(BytesIO(self.octets))
            grid = workbook.get_sheet_by_name(self.name).to_python(skip_empty_area=False)[self.above :]
        except CalamineError:
            raise InputError("source", "a workbook is damaged, or holds what cannot be read") from None
        width = len(self.plan.header)
        columns: list[list[str | None]] = [[] for _ in range(width)]
        wrong: list[int] = []
        for index, row in enumerate(grid):
            if any(cell != "" for cell in row[width:]):
                wrong.append(index)
                continue
            for column, cell in zip(columns, row, strict=False):
                column.append(text(cell))
            for column in columns[len(row) :]:
                column.append("")
        missing = self.count - len(grid)  # they have a style, and no value
        if missing < 0:
            raise InputError("reconcile", f"{self.count} rows were counted, {len(grid)} were read")
        arrays = [pa.array([*column, *[""] * missing], pa.string()) for column in columns]
        return numbered(arrays, wrong, (), 1, self.count)


@dataclass(frozen=True, slots=True, repr=False)
class Unfit(Chunk):
    """A sheet whose header does not fit: notes, or what is left over of the sheet before it. Its `repr` is blank."""

    def rows(self) -> Rows:
        """Reject each row: nobody said what is in it."""
        columns = [pa.array([], pa.string())] * len(self.plan.header)
        return numbered(columns, (), [(index, "columns") for index in range(self.count)], 1, self.count)


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Return whether a zip is an XLSX workbook."""
    return "xl/workbook.xml" in archive.namelist()


def read_workbook(
    file: BinaryIO, archive: zipfile.ZipFile, disk: BinaryIO, part: str, allowance: Allowance, mapping: Mapping
) -> Iterator[Sheet | Unfit]:
    """Yield the sheets, one chunk each.

    Raises:
        InputError: `columns`: no header fits; `unpacks_too_far`; `source`: it is damaged; `reconcile`.
    """
    allowance.take(sum(one.file_size for one in archive.infolist()))
    file.seek(0)
    octets = file.read()
    fault: InputError | None = None
    unfit: list[Unfit] = []
    fitting = False
    try:
        names = _sheets(archive)
        for place, (name, member) in enumerate(names, 1):
            header, above = _header(archive, member, mapping.above)
            rows = _measure(archive, member)
            if not header and not (rows and mapping.above):
                continue
            if rows < above:
                raise InputError("reconcile", f"row {above} of a sheet was found, {rows} were counted")
            where = ".".join(one for one in (part, str(place) if len(names) > 1 else "") if one)
            try:
                plan = mapping.plan(header)
            except InputError as error:
                fault = fault or error
                known = mapping.plan([one for column in mapping.column for one in column.header])
                unfit.append(Unfit(known, rows, disk.tell(), where, b""))
                continue
            fitting = True
            if rows > above:
                yield Sheet(plan, rows - above, disk.tell(), where, octets, name, above)
    except InputError:  # which is a ValueError
        raise
    except (expat.ExpatError, KeyError, ValueError, StopIteration, *ZIP_FAULTS):
        raise InputError("source", "a workbook is damaged") from None
    if fault and not fitting:
        raise fault
    yield from unfit


def _sheets(archive: zipfile.ZipFile) -> list[tuple[str, str]]:
    """Return name and member of each sheet, in the order of the workbook."""
    targets: dict[str, str] = {}
    sheets: list[tuple[str, str]] = []

    def relation(name: str, attributes: dict[str, str]) -> None:
        if name.endswith("Relationship") and attributes["Type"].endswith("/worksheet"):
            target = attributes["Target"]
            targets[attributes["Id"]] = target[1:] if target.startswith("/") else f"xl/{target}"

    def sheet(name: str, attributes: dict[str, str]) -> None:
        if name.split(":")[-1] == "sheet":
            key = next(value for one, value in attributes.items() if one.endswith(":id"))
            sheets.append((attributes["name"], key))

    for member, handler in (("xl/_rels/workbook.xml.rels", relation), ("xl/workbook.xml", sheet)):
        parser = _parser()
        parser.StartElementHandler = handler
        with archive.open(member) as xml:
            parser.ParseFile(xml)
    if len({name for name, _ in sheets}) < len(sheets):
        raise ValueError("two sheets of one name: the library would read one of them twice")
    return [(name, targets[key]) for name, key in sheets if key in targets]  # others are charts


def _parser() -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise ValueError("a workbook has no document type")  # nor entities that grow

    parser.StartDoctypeDeclHandler = refuse
    return parser


class _EnoughError(Exception):
    pass


class _FirstRow:
    """Finds the first row of a sheet that holds a value, under so many."""

    def __init__(self, above: int) -> None:
        self._above = above
        self.cells: dict[int, tuple[str, str]] = {}  # column -> type and text
        self.row = 0
        self._column = -1
        self._kind = ""
        self._inside = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        match name.split(":")[-1]:
            case "row":
                self.row = int(attributes.get("r", self.row + 1))
                self._column = -1
            case "c":
                place = attributes.get("r", "").rstrip("0123456789")
                self._column = _column(place) if place else self._column + 1
                self._kind = attributes.get("t", "n")
            case "v" | "t":
                self._inside = self.row > self._above

    def end(self, name: str) -> None:
        match name.split(":")[-1]:
            case "row" if self.cells:
                raise _EnoughError
            case "v" | "t":
                self._inside = False

    def text(self, text: str) -> None:
        if self._inside:
            before = self.cells.get(self._column, ("", ""))[1]
            self.cells[self._column] = self._kind, before + text


def _header(archive: zipfile.ZipFile, member: str, above: int) -> tuple[list[str], int]:
    """Return the first row with a value under so many, and how many rows it and those over it are."""
    found = _FirstRow(above)
    parser = _parser()
    parser.StartElementHandler = found.start
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.text
    with archive.open(member) as xml, suppress(_EnoughError):
        parser.ParseFile(xml)
    if not found.cells:
        return [], 0
    wanted = {int(text) for kind, text in found.cells.values() if kind == "s"}
    shared = _shared(archive, wanted) if wanted else {}
    header = [""] * (max(found.cells) + 1)
    for column, (kind, value) in found.cells.items():
        header[column] = shared[int(value)] if kind == "s" else value
    return header, found.row


def _shared(archive: zipfile.ZipFile, wanted: set[int]) -> dict[int, str]:
    """Return the shared strings at some places."""
    strings = dict.fromkeys(wanted, "")
    place = -1
    inside = phonetic = False

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal place, inside, phonetic
        match name.split(":")[-1]:
            case "si":
                place += 1
            case "rPh":
                phonetic = True
            case "t":
                inside = place in strings and not phonetic

    def end(name: str) -> None:
        nonlocal inside, phonetic
        match name.split(":")[-1]:
            case "si" if place >= max(wanted):
                raise _EnoughError
            case "rPh":
                phonetic = False
            case "t":
                inside = False

    def text(text: str) -> None:
        if inside:
            strings[place] += text

    parser = _parser()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    with archive.open("xl/sharedStrings.xml") as xml, suppress(_EnoughError):
        parser.ParseFile(xml)
    return strings


def _measure(archive: zipfile.ZipFile, member: str) -> int:
    """Return the number of the last row of a sheet.

    Raises:
        InputError: `unpacks_too_far`: the sheet has more than `MAX_GRID` places; `source`: a row stands behind one of a
            higher number, or of the same, of which the library would keep one; or a cell does so in its row, or says
            that it is in another one, and there the library would put it.
    """
    row, number, widest = 0, b"0", (1, b"Z")
    last = none = (0, b"")
    carried = b""
    with archive.open(member) as xml:
        while block := xml.read(_BLOCK):
            buffer = carried + block
            stop = buffer.rfind(b"<") if len(block) == _BLOCK else len(buffer)
            for said, letters, of in _PLACE.findall(buffer, 0, stop):
                if letters:
                    place = (len(letters), letters)
                    if place <= last or (of != number and int(of) != row):
                        raise InputError("source", f"a cell of row {row} of a sheet is out of its place")
                    last = place
                    continue
                widest, last = max(widest, last), none
                before, row = row, int(said) if said else row + 1
                number = b"%d" % row
                if row <= before:
                    raise InputError("source", f"row {row} of a sheet is out of order")
            widest = max(widest, last)
            if row * (_column(widest[1].decode()) + 1) > MAX_GRID:
                raise InputError("unpacks_too_far", f"a sheet of over {MAX_GRID:,} cells")
            carried = buffer[stop:][-_TAG:]
    return row


def _column(place: str) -> int:
    index = 0
    for letter in place:
        index = index * 26 + ord(letter) - 64
    return index - 1
