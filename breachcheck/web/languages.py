"""The languages of the pages: one catalogue in `locales/` each, found and read at the start.

Adding a language is adding its `.po` file, named by its tag. Of a language that Babel does not know, the catalogue's
header says what Babel would: `X-Language-Name: الدارجة` and `X-Direction: rtl`. What a catalogue does not say yet is
said in French, which most readers here know, or in Arabic for a spoken Arabic.

Reading these takes some 40 ms each, once; compiled `.mo` files beside them would be a build step that somebody forgets.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from io import BytesIO
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

# Whoever's browser says nothing of its language is most likely in Morocco, where Arabic is what most people read.
DEFAULT: Final = "ar"
_TERRITORY: Final = "MA"  # Latin digits in Arabic, and the months' names of the Maghreb
# What a text of the manifest falls back to, where it is missing in the page's language.
_FALLBACKS: Final = ("fr", "ar", "en")
_SPOKEN: Final = {"ary": "ar", "arq": "ar", "ber": "zgh", "tzm": "zgh", "shi": "zgh", "rif": "zgh"}
_TAG: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_HEADER: Final = re.compile(r'^"(X-Language-Name|X-Direction): (.*?) *\\n"$', re.MULTILINE)
_LOG: Final = logging.getLogger(__name__)
_RANGE: Final = re.compile(
    r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
_MAX_RANGES: Final = 20


@dataclass(frozen=True, slots=True)
class Language:
    """A language of the pages. `preferred` is the order in which texts of a manifest are looked for."""

    tag: str
    locale: Locale
    name: str
    direction: str
    preferred: tuple[str, ...]
    translations: Translations = field(repr=False)

    @property
    def locale_tag(self) -> str:
        """The locale as browsers name it."""
        return str(self.locale).replace("_", "-")


def discover(folder: Traversable | None = None) -> dict[str, Language]:
    """Return the languages that have a catalogue, by tag: the default first, the language of the sources last.

    A catalogue of a language that is not known, and does not name it, is left out with a warning.
    """
    folder = folder or resources.files(__package__).joinpath("locales")
    catalogues, headers = {}, {}
    for entry in folder.iterdir():
        tag = entry.name.removesuffix(".po").replace("_", "-")
        if entry.name.endswith(".po") and _TAG.fullmatch(tag):
            content = entry.read_bytes()
            catalogues[tag] = read_po(BytesIO(content))
            headers[tag] = dict(
                _HEADER.findall(content.decode("utf-8", "replace"))
            )  # Babel keeps its own headers alone
    languages: dict[str, Language] = {}
    for tag in sorted(catalogues, key=lambda tag: (tag != DEFAULT, tag == "en", tag)):
        name, direction = (headers[tag].get(header, "") for header in ("X-Language-Name", "X-Direction"))
        try:
            plain = Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            if not name:
                _LOG.warning("the catalogue %s.po is left out: its header lacks X-Language-Name", tag)
                continue
            plain = Locale(_near(tag)[0])
            direction = direction or "ltr"
        languages[tag] = Language(
            tag=tag,
            locale=_local(plain),
            name=name or (plain.get_display_name() or tag).capitalize(),
            direction=direction if direction in ("ltr", "rtl") else plain.text_direction,
            preferred=tuple(dict.fromkeys((tag, *_near(tag)))),
            translations=_compiled(catalogues[tag]),
        )
    for tag, language in languages.items():
        if tag.partition("-")[0] != "en":  # what the sources say is English
            for other in _near(tag):
                if other != tag and other in languages:
                    language.translations.add_fallback(_compiled(catalogues[other]))
    return languages


def _near(tag: str) -> tuple[str, ...]:
    """Return the languages in which a reader of this one is most likely to understand what is missing, best first."""
    return ("ar", *_FALLBACKS) if _SPOKEN.get(tag.partition("-")[0]) == "ar" else _FALLBACKS


def _compiled(catalogue: Catalog) -> Translations:
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def _local(locale: Locale) -> Locale:
    try:
        return Locale(locale.language, locale.territory or _TERRITORY, locale.script)
    except UnknownLocaleError:
        return locale


def negotiate(accept_language: str, known: Sequence[str]) -> str:
    """Return which of the known languages an `Accept-Language` header (RFC 9110 §12.5.4) likes best."""
    best, best_quality = DEFAULT, 0.0
    for part in accept_language.split(",")[:_MAX_RANGES]:
        if match := _RANGE.fullmatch(part):
            tag = _lookup(match[1].lower(), known)
            quality = float(match[2] or 1)
            if tag and quality > best_quality:
                best, best_quality = tag, quality
    return best


def _lookup(wanted: str, known: Sequence[str]) -> str | None:
    """Return the known language that a range asks for (RFC 4647 §3.4), or one that its speakers read."""
    tags = {tag.lower(): tag for tag in known}
    main = wanted.partition("-")[0]
    while wanted:
        if wanted in tags:
            return tags[wanted]
        wanted = wanted.rpartition("-")[0]
    written = (tag for lower, tag in tags.items() if lower.partition("-")[0] == main)
    return next(written, None) or tags.get(_SPOKEN.get(main, ""))
