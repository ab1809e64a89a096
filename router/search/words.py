"""Splits texts into words and concepts, queries and catalogues alike.

Invariant: each word consists of letters and digits, so that no text can hold a special character of
a query language, half a surrogate pair or a NUL.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct

from router.search.concepts import read_forms, read_groups

if TYPE_CHECKING:
    from collections.abc import Iterator

_CASES: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_VERBS: Final = "Add|Create|Delete|Find|Get|List|Read|Remove|Search|Send|Set|Update|Write"
_BRAND: Final = re.compile(
    rf"(?<![A-Za-z0-9_])(?!(?:{_VERBS})[A-Z])[A-Z][a-z]+(?:[A-Z]+[a-z]*)+(?![A-Za-z0-9_])"
)
"""A word such as "GitHub", "YouTube" or "MongoDB", but no identifier such as "GetForecast"."""

_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_CJK_RUN: Final = re.compile(f"[{_CJK}]+")
_RUN: Final = re.compile(f"[{_CJK}]+|[^\\W_{_CJK}]+")

LONGEST_WORD: Final = 40
"""Characters of a word that count: longer ones are no words."""

_LIGHT_WORDS: Final = """
a an and any are as at be been but by can could did do does for from had has have he her here
him his how i if in into is it its just let me my no not of on or our out please she should so
some such than that the their them then there these they this those to too up us very want was
we were what when where which who whose why will with would you your need via using make take
put give tell see look go keep know get many more most s t re ll ve m d
"""
LIGHT_WORDS: Final = frozenset(_LIGHT_WORDS.split())
"""Words that say little by themselves: they count by their concepts, if at all. The last ones are
what is left of contractions, as in "don't"."""


class Word(Struct, frozen=True):
    """One word of a text.

    Attributes:
        text: the word as it is written, in small letters; of Chinese, Japanese and Korean a pair of
            neighbouring characters. Empty for a word that is not searched in texts: a light one, or
            a word of these languages.
        stem: its stem: the same for "creates", "creating" and "creation". Empty for a light word.
        concepts: the groups that it belongs to, or the phrase of which it is the first word.
    """

    text: str
    stem: str
    concepts: tuple[str, ...] = ()


def stem_of(word: str) -> str:
    """Return what the forms of an English word have in common.

    It is for concepts and the coverage of queries; the full-text index has a stemmer of its own.
    """
    if len(word) <= 3 or not word.isascii():
        return word
    word = _without_plural(word)
    for ending, kept, least in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) + len(kept) >= least:
            word = word[: len(word) - len(ending)] + kept
            break
    if len(word) > 3 and word[-1] == "e":
        word = word[:-1]
    # As in "running" and "cancelled"; "pull" and "access" lose a letter like "pulled".
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


_ENDINGS: Final = (
    ("isation", "iz", 4),
    ("ization", "iz", 4),
    ("ising", "iz", 5),
    ("ised", "iz", 5),
    ("ise", "iz", 5),
    ("ification", "ify", 4),
    ("ified", "ify", 4),
    ("our", "or", 4),
    ("ation", "at", 4),
    ("tion", "t", 4),
    ("sion", "s", 4),
    ("ment", "", 4),
    ("ing", "", 3),
    ("ied", "y", 3),
    ("ed", "", 3),
)
"""An ending, its replacement, and the least number of letters that must be left; the first that
fits counts. British spellings have the stems of American ones."""


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and word != "news":
        return word[:-1]
    return word


_Phrases: TypeAlias = dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]
"""The stem of a phrase's first word -> the stems of its others, and its concepts."""


def _read_concepts() -> tuple[dict[str, tuple[str, ...]], _Phrases]:
    """Return the concepts of words by their stems, and those of phrases, the longest first."""
    concepts: dict[tuple[str, ...], dict[str, None]] = {}
    for count, group in enumerate(read_groups()):
        for member in group:
            stems = tuple(stem_of(_FORMS.get(stem_of(part), part)) for part in member.split("_"))
            # No word of a text is like the name of a concept.
            concepts.setdefault(stems, {})[f"\0{count}"] = None
    words: dict[str, tuple[str, ...]] = {}
    phrases: _Phrases = {}
    for (first, *rest), names in sorted(concepts.items(), key=lambda found: -len(found[0])):
        if rest:
            phrases.setdefault(first, []).append((tuple(rest), tuple(names)))
        else:
            words[first] = tuple(names)
    return words, phrases


_FORMS: Final = {stem_of(form): word for word, *forms in read_forms() for form in forms}
"""The stem of an abbreviation or an irregular form -> the word, which is read in its place."""

_CONCEPTS, _PHRASES = _read_concepts()
_LONGEST_CJK: Final = max(len(word) for word in _CONCEPTS if _CJK_RUN.fullmatch(word))


@lru_cache(maxsize=20_000)
def _word(text: str) -> Word:
    stem = stem_of(text)
    if stem in _FORMS:
        text = _FORMS[stem]
        stem = stem_of(text)
    return Word(text, stem, _CONCEPTS.get(stem, ()))


def read_words(text: str, is_prose: bool = True) -> list[Word]:
    """Return the words of a text, identifiers split at signs and case.

    Light words without concepts are left out.

    Args:
        text: the text.
        is_prose: True if a word such as "GitHub" is one word; in a name it is two.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if is_prose:
        text = _BRAND.sub(_lowered, text)
    words: list[Word] = []
    for run in _RUN.findall(_CASES.sub(" ", text)):
        if run.isascii() or not _CJK_RUN.match(run):
            if len(run) <= LONGEST_WORD:
                words.append(_word(run.lower()))
        else:
            words += _words_of_cjk(run)
    words = [
        _without_text(word) if word.text in LIGHT_WORDS else word for word in _with_phrases(words)
    ]
    return [word for word in words if word.stem or word.concepts]


def _lowered(found: re.Match[str]) -> str:
    return found.group().lower()


def _without_text(word: Word) -> Word:
    return Word("", "", word.concepts)


def _words_of_cjk(run: str) -> Iterator[Word]:
    for start in range(max(len(run) - 1, 1)):
        pair = run[start : start + 2]
        yield Word(pair, pair)
    start = 0
    while start < len(run):
        longest = range(min(_LONGEST_CJK, len(run) - start), 0, -1)
        parts = (run[start : start + length] for length in longest)
        known = next((part for part in parts if part in _CONCEPTS or part in _FORMS), None)
        if known in _FORMS:
            yield _word(known)
        elif known is not None:
            yield Word("", known, _CONCEPTS[known])
        start += len(known or " ")


def _with_phrases(words: list[Word]) -> list[Word]:
    """Let the words of a phrase have the concepts of the phrase in place of their own."""
    for start, word in enumerate(words):
        for rest, concepts in _PHRASES.get(word.stem, ()):
            end = start + 1 + len(rest)
            if tuple(part.stem for part in words[start + 1 : end]) == rest:
                words[start] = Word(word.text, word.stem, concepts)
                words[start + 1 : end] = [
                    Word(part.text, part.stem) for part in words[start + 1 : end]
                ]
                break
    return words
