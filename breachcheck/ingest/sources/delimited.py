"""CSV and its like: cut between records by the parent, made into columns by a worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final

import pyarrow as pa
from pyarrow import csv

from breachcheck.errors import InputError
from breachcheck.ingest.sources.chunk import Chunk, Rows
from breachcheck.ingest.sources.columns import numbered
from breachcheck.ingest.sources.records import Cutter, together
from breachcheck.ingest.sources.stream import Readable
from breachcheck.ingest.sources.syntax import MAX_RECORD, SURE_LINE_END, BrokenError, Syntax, UnfinishedError
from breachcheck.ingest.sources.text import BLOCK, Text, to_utf8

if TYPE_CHECKING:
    from breachcheck.ingest.mapping import Mapping

DELIMITERS: Final = (";", ",", "\t", "|")
BLOCKS: Final = 4  # a chunk: a column takes some time to look at, however few rows it has
_SAMPLE: Final = 50  # records by which a delimiter is found out
_BOM: Final = "\ufeff".encode()


@dataclass(frozen=True, slots=True, repr=False)
class Delimited(Chunk):
    """Records of delimited text. Its `repr` is blank.

    `octets` are well formed in the sense of `records`; `faults` are the rows (index in the chunk, from 0) that were
    not, left out of them. `first` is the number of the chunk's first row in the file.
    """

    encoding: str
    delimiter: str
    quoted: bool
    first: int
    faults: tuple[tuple[int, str], ...]

    def rows(self) -> Rows:
        """Make columns of it.

        Raises:
            InputError: `reconcile`.
        """
        octets = to_utf8(self.octets, self.encoding)
        columns, wrong = parse(octets, len(self.plan.header), self.delimiter, self.quoted)
        return numbered(columns, wrong, self.faults, self.first, self.count)


def parse(octets: bytes, width: int, delimiter: str, quoted: bool) -> tuple[list[pa.Array], list[int]]:
    """Return the columns of well-formed records in UTF-8, and the index of each record that has another width.

    Raises:
        InputError: `reconcile`: the parser does not agree that they are well formed.
    """
    wrong: list[int] = []

    def skip(row: csv.InvalidRow) -> str:
        wrong.append(row.number - 1)
        return "skip"

    if not octets:
        return [pa.array([], pa.string())] * width, wrong
    if octets.startswith(_BOM):  # the parser takes one away, but this is not the start of the file
        octets = _BOM + octets
    names = [str(index) for index in range(width)]
    try:
        table = csv.read_csv(
            pa.BufferReader(octets),
            csv.ReadOptions(use_threads=False, block_size=len(octets) + 1, column_names=names),
            csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                double_quote=True,
                escape_char=False,
                newlines_in_values=quoted,
                ignore_empty_lines=False,
                invalid_row_handler=skip,
            ),
            csv.ConvertOptions(
                check_utf8=False,  # it was made so
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:  # whose text holds the row
        raise InputError("reconcile", "the parser does not read these rows as they were cut") from None
    return [column.combine_chunks() for column in table.columns], wrong


def read_delimited(file: Readable, disk: BinaryIO, part: str, mapping: Mapping) -> Iterator[Delimited]:
    """Yield the rows under a header. `file` gives the octets; how far it is can be told from `disk`.

    Lines of nothing but white space before the header are passed over, and those that the mapping says stand above it.
    A file with nothing else has no rows.

    Raises:
        InputError: `columns`; `source`: the header cannot be read.
    """
    text = Text(file, mapping.encoding)
    blocks = text.blocks()
    head = b""
    whole = True
    above = mapping.above
    for block in blocks:
        head += block
        while above and (end := SURE_LINE_END.search(head)):
            head = head[end.end() :]
            above -= 1
        if not above:
            head = head.lstrip(b" \r\n")
        if len(head) > MAX_RECORD:
            whole = False
            break
    if above and (head or above < mapping.above):  # an empty file has no rows
        raise InputError("columns", f"it has no header under {mapping.above} lines")
    if not head:
        return
    lines = head if whole else head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1]
    header, delimiter, start = _header(head, whole, text.settle(lines or head), mapping)
    plan = mapping.plan(header)
    rest = chain((head[at : at + BLOCK] for at in range(start, len(head), BLOCK)), blocks)
    number = 1
    for piece in together(Cutter(Syntax(delimiter.encode()), len(header)).cut(rest), BLOCKS):
        yield Delimited(
            plan=plan,
            count=piece.count,
            offset=disk.tell(),
            part=part,
            octets=piece.octets,
            encoding=text.settle(piece.octets),
            delimiter=delimiter,
            quoted=piece.quoted,
            first=number,
            faults=piece.rejected,
        )
        number += piece.count


def _header(head: bytes, whole: bool, encoding: str, mapping: Mapping) -> tuple[list[str], str, int]:
    """Return the header, the delimiter, and where the rows begin."""
    candidates = []
    for delimiter in (mapping.delimiter,) if mapping.delimiter else DELIMITERS:
        syntax = Syntax(delimiter.encode())
        try:
            cells = syntax.cells(head, 0, MAX_RECORD, whole)
        except (BrokenError, UnfinishedError):
            continue
        stop = cells[-1].stop + cells[-1].quoted
        if stop > MAX_RECORD:
            continue
        names = [to_utf8(syntax.text(head, cell), encoding).decode() for cell in cells]
        candidates.append((names, delimiter, stop + (2 if head.startswith(b"\r\n", stop) else 1)))
    if not candidates:
        raise InputError("source", "the header cannot be read: its quoting is broken, or it has no end")
    # Where none fits, the error should tell of the likeliest.
    fitting = [one for one in candidates if _fits(mapping, one[0])] or [one for one in candidates if len(one[0]) > 1]
    return max(fitting or candidates, key=lambda one: _evenness(head[one[2] :], one[1], len(one[0])))


def _fits(mapping: Mapping, header: list[str]) -> bool:
    try:
        mapping.plan(header)
    except InputError:
        return False
    return True


def _evenness(head: bytes, delimiter: str, width: int) -> tuple[float, int]:
    """Return which share of the first records has the header's width, and that width."""
    syntax = Syntax(delimiter.encode())
    widths: Counter[int] = Counter()
    position = 0
    while position < len(head) and widths.total() < _SAMPLE:
        try:
            cells = syntax.cells(head, position, position + MAX_RECORD, last=True)
        except BrokenError:
            break
        widths[len(cells)] += 1
        position = cells[-1].stop + cells[-1].quoted
        position += 2 if head.startswith(b"\r\n", position) else 1
    return widths[width] / max(widths.total(), 1), width
