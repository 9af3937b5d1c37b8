"""What the words of a header say, in French, Arabic and English: `proposals.toml`."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from breachcheck.exposure import DataClass


class Named(BaseModel):
    """Words that name an identifier, and its kind by country; the file says what the members mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kinds: dict[str, str]
    alone: Annotated[float, Field(ge=0, le=1)]
    begins: str = ""
    linking: bool = False
    personal: bool = False
    words: tuple[str, ...]


class Parts(BaseModel):
    """Words that name the parts of an identifier, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    words: tuple[tuple[str, ...], ...]


class Vocabulary(BaseModel):
    """The content of `proposals.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fillers: tuple[str, ...]
    employer: tuple[str, ...]
    relative: tuple[str, ...]
    absent: tuple[str, ...]
    ignored: tuple[str, ...]
    identifier: tuple[Named, ...]
    parts: tuple[Parts, ...]
    data_class: dict[DataClass, tuple[str, ...]]


@cache
def vocabulary() -> Vocabulary:
    """Return the words that we know."""
    text = resources.files(__package__).joinpath("proposals.toml").read_text("utf-8")
    return Vocabulary.model_validate(tomllib.loads(text))


@cache
def _fillers() -> frozenset[str]:
    return frozenset(_tokens(" ".join(vocabulary().fillers)))


_ARABIC: Final = str.maketrans("ٱىةیک", "ايهيك")  # hamza and madda part from their letters with the accents
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD: Final = re.compile(r"[^\W\d_]+")
_ARTICLE: Final = re.compile("(?:ال|لل|بال)(?=..)")


def _tokens(text: str) -> list[str]:
    """Return the words of a text as they are compared: without case, accents, articles and digits."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c) not in ("Mn", "Cf"))
    spaced = _CAMEL.sub(" ", plain.replace("\u0640", ""))
    words = _WORD.findall(spaced.casefold().translate(_ARABIC))
    return [_ARTICLE.sub("", word) if _ARTICLE.match(word) else word for word in words]


def telling(text: str) -> tuple[str, ...]:
    """Return the words of a header that say something."""
    return tuple(word for word in _tokens(text) if word not in _fillers())


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a header's words say; `certainty` is 1 for a header that says nothing else, 0 for one that says nothing.

    `share` is the part of its words that say it.
    """

    certainty: float = 0.0
    share: float = 1.0
    identifier: Named | None = None
    data_class: DataClass | None = None
    ignored: bool = False
    employer: bool = False
    relative: bool = False


@cache
def _phrases() -> tuple[tuple[tuple[str, ...], Meaning], ...]:
    words = vocabulary()
    phrases = [(word, Meaning(identifier=one)) for one in words.identifier for word in one.words]
    phrases += [(word, Meaning(data_class=one)) for one, said in words.data_class.items() for word in said]
    phrases += [(word, Meaning(ignored=True)) for word in words.ignored]
    return tuple((told, meaning) for word, meaning in phrases if (told := telling(word)))


@cache
def _relatives() -> tuple[tuple[str, ...], ...]:
    return tuple(telling(word) for word in vocabulary().relative)


@cache
def _employers() -> tuple[tuple[str, ...], ...]:
    return tuple(telling(word) for word in vocabulary().employer)


def _place(words: tuple[str, ...], phrase: tuple[str, ...]) -> int | None:
    """Return where in `words` a phrase begins, or None."""
    return next((at for at in range(len(words) - len(phrase) + 1) if words[at : at + len(phrase)] == phrase), None)


def _certainty(words: tuple[str, ...], phrase: tuple[str, ...]) -> float:
    if words == phrase:
        return 1.0
    whole, part = "".join(words), "".join(phrase)
    if _place(words, phrase) is not None:
        return 0.95
    if re.fullmatch(f"(?:num|no|n|l|nr)?{re.escape(part)}", whole):
        return 0.9
    return 0.7 if len(part) >= 5 and part in whole else 0.0


def _share(words: tuple[str, ...], phrase: tuple[str, ...]) -> float:
    if _place(words, phrase) is not None:
        return len(phrase) / len(words)
    return sum(map(len, phrase)) / sum(map(len, words))  # "datenaissance"; but there are people called Villeneuve


def read_header(header: str) -> Meaning:
    """Return what the words of a header say."""
    words = telling(header)
    employer = any(_place(words, phrase) is not None for phrase in _employers())
    rest = words
    for phrase in _employers():  # "Email société": what is left says what of the employer's it is
        at = _place(rest, phrase)
        if at is not None and len(rest) > len(phrase):
            rest = rest[:at] + rest[at + len(phrase) :]
    # The first of equal phrases says what it is, in French and Arabic: "Nom de l'assuré".
    said = [
        (
            (certainty > 0.8, len(phrase), -(_place(rest, phrase) or 0), sum(map(len, phrase)), certainty),
            replace(meaning, certainty=certainty, share=_share(rest, phrase)),
        )
        for phrase, meaning in _phrases()
        if (certainty := _certainty(rest, phrase))
    ]
    if not said:
        if not employer:
            return Meaning()
        share = max(_share(words, phrase) for phrase in _employers() if _place(words, phrase) is not None)
        return Meaning(0.9, share, data_class=DataClass.EMPLOYERS, employer=True)
    _, meaning = max(said, key=lambda one: one[0])
    if employer and not meaning.ignored and (meaning.identifier is None or meaning.identifier.personal):
        return Meaning(meaning.certainty, meaning.share, data_class=DataClass.EMPLOYERS, employer=True)
    relative = any(_place(words, phrase) is not None for phrase in _relatives())
    return replace(meaning, employer=employer, relative=relative)
