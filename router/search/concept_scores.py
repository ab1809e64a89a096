"""Scores entries by how much of a query their texts cover, names best.

A word of the query is covered by the same word, or less well by a word of the same concept (a group
of `concepts.txt`). So a query finds tools that are described in other words or in another language.
An entry that covers all of a query is better than one that repeats a part of it.

Theory of operation. Words and concepts are keys alike. `put` gives each key of an entry a weight,
the highest of those that its texts give it. `cover` adds up, for each word of a query, the best of
its keys in an entry: its weight there, multiplied by its rarity among all entries.

Where the numbers are from: see `index`.

Invariant: `put` and `remove` change one entry each, in time that does not grow with the number of
entries.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from router.search.words import Word

_TEXT_WEIGHTS: Final = {
    "name": 1.0,
    "title": 1.0,
    "instance": 1.0,
    "first": 0.5,
    "rest": 0.3,
    "arguments": 0.3,
    "details": 0.2,
    "summary": 0.1,
}
"""How well a word of each text of an `Entry` covers the same word of a query."""

_SAME_ONLY: Final = frozenset({"rest", "arguments", "details", "summary"})
"""Long texts: words of the same concept are so many there that they say nothing."""

PRODUCT_WEIGHT: Final = 2.5
"""How well a word of an instance's name covers it that is no everyday word, such as "github": who
names a product means it."""

CONCEPT_WEIGHT: Final = 0.9
"""How well a word of the same concept covers it, in proportion to the same word."""

FIRST_WORD_WEIGHT: Final = 1.2
"""The first word of a query is mostly the verb, which tells apart the tools for one thing."""

VISITS: Final = 500
CLOSEST: Final = 100
"""Entries that are scored for all words of a query together: beyond that, those of rarer words
that cover these best are scored for the others."""


class Coverage(Struct, frozen=True):
    """The coverage of a query by entries.

    Attributes:
        scores: by the number of an entry.
        whole: the score of an entry that has all words of the query in its name.
        keys: the stems and concepts of all words of the query.
    """

    scores: dict[int, float]
    whole: float
    keys: frozenset[str]


class _Known(Struct, frozen=True):
    """An entry: all its keys, and those of each word of its name that its instance's has not."""

    keys: tuple[str, ...]
    name: tuple[frozenset[str], ...]


class ConceptScores(Struct, eq=False):
    """The words and concepts of all entries, by their numbers."""

    _weights: dict[str, dict[int, float]] = field(default_factory=dict[str, dict[int, float]])
    _known: dict[int, _Known] = field(default_factory=dict[int, _Known])

    def put(self, number: int, words: Mapping[str, Sequence[Word]]) -> None:
        """Take in an entry under a number that is free, by the words of its texts.

        Args:
            number: the number.
            words: the words of the texts of the `Entry`, by their names.
        """
        name, instance = words["name"], words["instance"]
        weights: dict[str, float] = {}
        for text, weight in _TEXT_WEIGHTS.items():
            for word in words[text]:
                if word.stem:
                    _raise_to(weights, word.stem, weight)
                for concept in () if text in _SAME_ONLY else word.concepts:
                    _raise_to(weights, concept, weight * CONCEPT_WEIGHT)
        for word in instance:
            if word.stem and not word.concepts:
                weights[word.stem] = PRODUCT_WEIGHT
        for key, weight in weights.items():
            self._weights.setdefault(key, {})[number] = weight
        common = {word.stem for word in instance}
        own = {word.stem: word for word in name if word.stem not in common}
        self._known[number] = _Known(tuple(weights), tuple(map(_all_keys, own.values())))

    def remove(self, number: int) -> None:
        """Forget an entry."""
        for key in self._known.pop(number).keys:
            numbers = self._weights[key]
            del numbers[number]
            if not numbers:
                del self._weights[key]

    def cover(self, query: Sequence[Word]) -> Coverage:
        """Return how the entries cover the words of a query.

        In a large catalogue common words count for those entries only that cover rarer ones best.
        """
        words = [keys for place, word in enumerate(query) if (keys := self._keys_of(place, word))]
        words.sort(key=_entries_of)
        scores: dict[int, float] = {}
        visits = 0
        for keys in words:
            visits += _entries_of(keys)
            if visits > VISITS and len(scores) > CLOSEST:
                scores = {number: scores[number] for number in best_first(scores)[:CLOSEST]}
            _add(scores, keys, only_scored=visits > VISITS and bool(scores))
        whole = sum(max(rarity for rarity, _ in keys) for keys in words)
        asked = frozenset(key for word in query for key in (word.stem, *word.concepts) if key)
        return Coverage(scores, whole, asked)

    def unasked(self, number: int, coverage: Coverage) -> int:
        """Return how many words of an entry's name a query does not ask for."""
        return sum(map(coverage.keys.isdisjoint, self._known[number].name))

    def count(self, stem: str) -> int:
        """Return how many entries have a word."""
        return len(self._weights.get(stem, ()))

    def _keys_of(self, place: int, word: Word) -> _Keys:
        """Return what covers a word of a query: the word itself and its concepts."""
        emphasis = FIRST_WORD_WEIGHT if place == 0 else 1.0
        concepts = [self._weights[key] for key in word.concepts if key in self._weights]
        keys = [(self._rarity(numbers) * emphasis, numbers) for numbers in concepts]
        same = self._weights.get(word.stem)
        if same is not None:
            # However rare "make" is in a catalogue, it says no more than its concepts.
            rarity = min(self._rarity(same) * emphasis, *(rarity for rarity, _ in keys), math.inf)
            keys.append((rarity, same))
        return keys

    def _rarity(self, numbers: Collection[int]) -> float:
        others = len(self._known) - len(numbers)
        return math.log(1 + (others + 0.5) / (len(numbers) + 0.5))


_Keys: TypeAlias = list[tuple[float, dict[int, float]]]
"""The rarity of a word and of each of its concepts, and how well each entry has it."""


@lru_cache(maxsize=10_000)
def _all_keys(word: Word) -> frozenset[str]:
    """Return the stem and the concepts of a word, one object for all its places."""
    return frozenset((word.stem, *word.concepts))


def _entries_of(keys: _Keys) -> int:
    return sum(len(numbers) for _, numbers in keys)


def best_first(scores: dict[int, float]) -> list[int]:
    """Return the numbers of entries, those with the highest scores first."""
    return sorted(scores, key=scores.__getitem__, reverse=True)


def _add(scores: dict[int, float], keys: _Keys, *, only_scored: bool) -> None:
    """Add to each score how well its entry covers a word: by the best of the word's keys."""
    if only_scored:
        for number, score in scores.items():
            scores[number] = score + max(
                rarity * numbers.get(number, 0.0) for rarity, numbers in keys
            )
        return
    # The longest is taken at once, since that is the quickest.
    (rarity, numbers), *others = sorted(keys, key=_length_of, reverse=True)
    best = {number: rarity * weight for number, weight in numbers.items()}
    before = best.get
    for rarity, numbers in others:
        for number, weight in numbers.items():
            score = rarity * weight
            if score > before(number, 0.0):
                best[number] = score
    if not scores:
        scores.update(best)
        return
    before = scores.get
    for number, score in best.items():
        scores[number] = before(number, 0.0) + score


def _length_of(key: tuple[float, dict[int, float]]) -> int:
    return len(key[1])


def _raise_to(scores: dict[str, float], key: str, score: float) -> None:
    if score > scores.get(key, 0.0):
        scores[key] = score
