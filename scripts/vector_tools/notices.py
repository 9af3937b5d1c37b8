"""maintenance.json: bodies of a 503 that are a notice of maintenance, and some that are not (PROTOCOL.md §10.1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from breachcheck.protocol import messages
from vector_tools.common import Vector, agree

UNTIL: Final = "2026-12-01T04:00:00Z"
TYPE: Final = "urn:breachcheck:problem:maintenance"
NOTICE: Final = {"type": TYPE, "title": "Planned maintenance", "status": 503, "detail": "...", "until": UNTIL}


def written(**changed: Any) -> bytes:
    return json.dumps({**NOTICE, **changed}, separators=(",", ":")).encode()


def notices() -> Iterator[tuple[str, bytes, str]]:
    """Yield name, body and end of every notice."""
    yield "as the service writes it", written(), UNTIL
    yield "type and until alone", json.dumps({"until": UNTIL, "type": TYPE}).encode(), UNTIL
    yield "a further member", written(instance={"x": [None, 1.5]}), UNTIL
    yield "a status of another type", written(status="503"), UNTIL
    yield "a leap day", written(until="2028-02-29T23:59:59Z"), "2028-02-29T23:59:59Z"
    yield (
        "until twice, the last one counts",
        written()[:-1] + b',"until":"2026-12-02T00:00:00Z"}',
        "2026-12-02T00:00:00Z",
    )
    yield "2048 octets", written().ljust(2048), UNTIL


def others() -> Iterator[tuple[str, bytes]]:
    """Yield name and body of what is no notice."""
    yield "empty", b""
    yield "null", b"null"
    yield "a list", b"[" + written() + b"]"
    yield "cut off", written()[:-1]
    yield "something after it", written() + b"x"
    yield "a byte order mark", b"\xef\xbb\xbf" + written()
    yield "invalid UTF-8", written().replace(b"...", b"\xff")
    yield "a lone surrogate", written().replace(b"...", b"\\ud800")
    yield "NaN", written().replace(b"503", b"NaN")
    yield "2049 octets", written().ljust(2049)
    yield "another type", written(type="urn:breachcheck:problem:page_damaged")
    yield "the type in capitals", written(type=TYPE.upper())
    yield "the type in a list", written(type=[TYPE])
    yield "no until", json.dumps({"type": TYPE}).encode()
    for name, until in (
        ("null", None),
        ("a number", 1796097600),
        ("a day", "2026-12-01"),
        ("no such day", "2026-02-29T04:00:00Z"),
        ("no such hour", "2026-12-01T24:00:00Z"),
        ("a fraction", "2026-12-01T04:00:00.0Z"),
        ("another zone", "2026-12-01T04:00:00+01:00"),
        ("lower case", "2026-12-01t04:00:00z"),
        ("other digits", "٢٠٢٦-12-01T04:00:00Z"),
        ("a space behind", "2026-12-01T04:00:00Z "),
    ):
        yield f"until is {name}", written(until=until)


def maintenance() -> Vector:
    good, bad = [], []
    for name, body, until in notices():
        notice = messages.read_maintenance(body)
        agree(name, until, notice and f"{notice.until:%Y-%m-%dT%H:%M:%SZ}")
        good.append({"name": name, "body": body.hex(), "until": until})
    for name, body in others():
        agree(name, None, messages.read_maintenance(body))
        bad.append({"name": name, "body": body.hex()})
    return {"notices": good, "others": bad}
