"""PDF: one record a page, found in its text by the mapping's patterns."""

from __future__ import annotations

import io
import logging
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

import pdfplumber
import pyarrow as pa
import pypdfium2
from pdfminer.pdfexceptions import PDFException
from pdfminer.psexceptions import PSException
from pdfplumber.utils.exceptions import MalformedPDFException, PdfminerException

from breachcheck.errors import InputError
from breachcheck.ingest.hardening import bounded
from breachcheck.ingest.sources.chunk import Chunk, Rows
from breachcheck.ingest.sources.columns import numbered
from breachcheck.ingest.sources.stream import MAX_HELD

if TYPE_CHECKING:
    from breachcheck.ingest.mapping import Mapping

_PAGES: Final = 16  # a chunk
# What the parser complains of in a log is the content of the page.
_log = logging.getLogger("pdfminer")
_log.addHandler(logging.NullHandler())
_log.propagate = False

# The parser has errors of its own, but uses what it reads before it has looked at it.
_DAMAGED: Final = (
    PDFException,
    PSException,
    MalformedPDFException,
    PdfminerException,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,  # a page unpacks to more than `MAX_HELD`
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True, repr=False)
class Attestations(Chunk):
    """Pages of a PDF: `count` of them, of which `first` (from 1) is the first. Its `repr` is blank."""

    first: int
    patterns: tuple[str, ...]

    def rows(self) -> Rows:
        """Make a row of each page: a pattern that is not found is no cell.

        A page without text (a scan) is rejected as `no_text`, one that no pattern is found on as `columns`, and one
        that cannot be read as `syntax`.

        Raises:
            InputError: `reconcile`.
        """
        empty = [pa.array([], pa.string())] * len(self.patterns)
        columns: list[list[str | None]] = [[] for _ in self.patterns]
        faults: list[tuple[int, str]] = []
        try:
            with (
                bounded(MAX_HELD),
                pdfplumber.open(io.BytesIO(self.octets), pages=list(range(self.first, self.first + self.count))) as pdf,
            ):
                faults += ((index, "syntax") for index in range(len(pdf.pages), self.count))
                for index, page in enumerate(pdf.pages):
                    try:
                        text = page.extract_text()
                    except _DAMAGED:
                        faults.append((index, "syntax"))
                        continue
                    finally:
                        page.close()
                    found = [_found(pattern, text) for pattern in self.patterns]
                    if not text.strip():
                        faults.append((index, "no_text"))
                    elif not any(found):
                        faults.append((index, "columns"))
                    else:
                        for column, cell in zip(columns, found, strict=True):
                            column.append(cell)
        except _DAMAGED:
            return numbered(empty, [], [(index, "syntax") for index in range(self.count)], self.first, self.count)
        return numbered(
            [pa.array(column, pa.string()) for column in columns], [], sorted(faults), self.first, self.count
        )


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match and (match[1] if match.re.groups else match[0])


def read_pdf(octets: bytes, disk: BinaryIO, part: str, mapping: Mapping) -> Iterator[Attestations]:
    """Yield the pages of a PDF; another program than the one that reads them counts them.

    Raises:
        InputError: `columns`: the mapping has no patterns; `source`: it is damaged, or needs a password.
    """
    named = [(column.header[0], column.pattern) for column in mapping.column if column.pattern is not None]
    if not named:
        raise InputError("columns", "it is a PDF: the mapping says no pattern by which a column is found in its text")
    plan = mapping.plan([header for header, _ in named])
    try:
        document = pypdfium2.PdfDocument(octets)
    except pypdfium2.PdfiumError:
        raise InputError("source", "it is damaged, or needs a password") from None
    pages = len(document)
    document.close()
    for page in range(1, pages + 1, _PAGES):
        yield Attestations(
            plan=plan,
            count=min(_PAGES, pages + 1 - page),
            offset=disk.tell(),
            part=part,
            octets=octets,
            first=page,
            patterns=tuple(pattern for _, pattern in named),
        )
