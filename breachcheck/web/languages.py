"""The languages of the pages: one catalogue in `locales/` each, found and read at the start.

Adding a language is adding its `.po` file. Reading these takes some 40 ms each, once; compiled `.mo` files beside them
would be a build step that somebody forgets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from io import BytesIO
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

# Whoever's browser says nothing of its language is most likely in Morocco, where Arabic is what most people read.
DEFAULT: Final = "ar"
_TERRITORY: Final = "MA"  # Latin digits in Arabic, and the months' names of the Maghreb
# What a text of the manifest falls back to, where it is missing in the page's language.
_FALLBACKS: Final = ("fr", "ar", "en")
_SPOKEN: Final = {"ary": "ar", "arq": "ar", "ber": "zgh", "tzm": "zgh", "shi": "zgh", "rif": "zgh"}
_RANGE: Final = re.compile(
    r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9]{1,8})*\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
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
    """Return the languages that have a catalogue, by tag: the default first, the language of the sources last."""
    folder = folder or resources.files(__package__).joinpath("locales")
    tags = [entry.name.removesuffix(".po") for entry in folder.iterdir() if entry.name.endswith(".po")]
    languages = {}
    for tag in sorted(tags, key=lambda tag: (tag != DEFAULT, tag == "en", tag)):
        compiled = BytesIO()
        with folder.joinpath(f"{tag}.po").open("rb") as source:
            write_mo(compiled, read_po(source, locale=tag))
        compiled.seek(0)
        plain = Locale.parse(tag)
        languages[tag] = Language(
            tag=tag,
            locale=_local(plain),
            name=(plain.get_display_name() or tag).capitalize(),
            direction=plain.text_direction,
            preferred=(tag, *(other for other in _FALLBACKS if other != tag)),
            translations=Translations(compiled),
        )
    return languages


def _local(locale: Locale) -> Locale:
    try:
        return Locale(locale.language, _TERRITORY)
    except UnknownLocaleError:
        return locale


def negotiate(accept_language: str, known: Sequence[str]) -> str:
    """Return which of the known languages an `Accept-Language` header (RFC 9110 §12.5.4) likes best."""
    best, best_quality = DEFAULT, 0.0
    for part in accept_language.split(",")[:_MAX_RANGES]:
        if match := _RANGE.fullmatch(part):
            tag = match[1].lower()
            tag = tag if tag in known else _SPOKEN.get(tag, tag)
            quality = float(match[2] or 1)
            if tag in known and quality > best_quality:
                best, best_quality = tag, quality
    return best
