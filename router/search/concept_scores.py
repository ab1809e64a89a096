"""Scores entries by how much of a query their names and first sentences cover.

A word of the query is covered by the same word, or less well by a word of the same concept (a group
of `concepts.txt`). So a query finds tools that are described in other words or in another language.
An entry that covers all of a query is better than one that repeats a part of it.

Theory of operation. Words and concepts are keys alike. `put` gives each key of an entry a weight,
the highest of those that its texts give it. `cover` adds up, for each word of a query, the best of
its keys in an entry: its weight there, multiplied by its rarity among all entries. The sum is
divided by the one of a perfect entry.

Where the numbers are from: see `index`.

Invariant: `put` and `remove` change one entry each, in time that does not grow with the number of
entries.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from router.search.words import Word

_TEXT_WEIGHTS: Final = (("name", 1.0), ("title", 1.0), ("instance", 1.2), ("first", 0.4))
"""Text of an `Entry` -> how well a word in it covers the same word of a query."""

PRODUCT_WEIGHT: Final = 2.5
"""How well a word of an instance's name does so that has no concept, such as "github": whoever
names a product means it."""

CONCEPT_WEIGHT: Final = 0.9
"""How well a word of the same concept covers it, in proportion to the same word."""

FIRST_WORD_WEIGHT: Final = 1.5
"""The rarity of the first word counts so much more: mostly it is the verb, which tells apart the
tools for one thing."""

VISITS: Final = 2000
"""Scores that a query may take; they bound its time in a large catalogue. The words with the fewest
entries come first; those beyond the bound are scored for the best entries so far only."""

CLOSEST: Final = 200
"""The number of these entries."""

RARITY_EXPONENT: Final = 1.2
"""More than 1, since rare words say still more than the logarithm of their rarity."""

RAREST_SENSE: Final = 1.6
"""A concept of a word is at most so many times as rare as the commonest one of the word: a rare
sense is seldom meant."""


class Coverage(Struct, frozen=True):
    """The coverage of a query by entries.

    Attributes:
        scores: number of an entry -> its score; 1 if its name has all words of the query.
        keys: the stems and concepts of all words of the query.
    """

    scores: dict[int, float]
    keys: frozenset[str]


class _Known(Struct, frozen=True):
    """An entry.

    Attributes:
        keys: the stems and concepts of its words.
        name: the words of its name, without those of its instance's name.
    """

    keys: tuple[str, ...]
    name: tuple[Word, ...]


class ConceptScores(Struct, eq=False):
    """The words and concepts of all entries, by their numbers."""

    # Stem or concept -> number of an entry -> how well the entry has it.
    _weights: dict[str, dict[int, float]] = field(default_factory=dict[str, dict[int, float]])
    _known: dict[int, _Known] = field(default_factory=dict[int, _Known])

    def put(self, number: int, words: Mapping[str, Sequence[Word]]) -> None:
        """Take in an entry under a number that is free, by the words of its texts.

        Args:
            number: the number.
            words: the words of `Entry.name`, `title`, `first` and `instance`, by these names.
        """
        name, instance = words["name"], words["instance"]
        weights: dict[str, float] = {}
        for text, weight in _TEXT_WEIGHTS:
            for word in words[text]:
                if word.stem:
                    _raise_to(weights, word.stem, weight)
                for concept in word.concepts:
                    _raise_to(weights, concept, weight * CONCEPT_WEIGHT)
        for word in instance:
            if word.stem and not word.concepts:
                weights[word.stem] = PRODUCT_WEIGHT
        for key, weight in weights.items():
            self._weights.setdefault(key, {})[number] = weight
        common = {word.stem for word in instance}
        own = {word.stem: word for word in name if word.stem not in common}
        self._known[number] = _Known(tuple(weights), tuple(own.values()))

    def remove(self, number: int) -> None:
        """Forget an entry."""
        for key in self._known.pop(number).keys:
            numbers = self._weights[key]
            del numbers[number]
            if not numbers:
                del self._weights[key]

    def cover(self, query: Sequence[Word]) -> Coverage:
        """Return how the entries cover the words of a query.

        In a large catalogue common words count only for the entries that cover rarer ones best.
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
        perfect = sum(max(rarity for rarity, _ in keys) for keys in words)
        shares = {number: score / perfect for number, score in scores.items()}
        asked = frozenset(key for word in query for key in (word.stem, *word.concepts) if key)
        return Coverage(shares, asked)

    def unasked(self, number: int, coverage: Coverage) -> int:
        """Return how many words of an entry's name a query does not ask for."""
        asked = coverage.keys
        count = 0
        for word in self._known[number].name:
            if word.stem not in asked and asked.isdisjoint(word.concepts):
                count += 1
        return count

    def _keys_of(self, place: int, word: Word) -> _Keys:
        """Return the keys of a word of a query that any entry has: its stem and its concepts.

        Args:
            place: the place of the word in the query; 0 for the first.
            word: the word.
        """
        emphasis = FIRST_WORD_WEIGHT if place == 0 else 1.0
        concepts = [self._weights[key] for key in word.concepts if key in self._weights]
        keys = [(self._rarity(numbers) * emphasis, numbers) for numbers in concepts]
        cap = RAREST_SENSE * min((rarity for rarity, _ in keys), default=0.0)
        keys = [(min(rarity, cap), numbers) for rarity, numbers in keys]
        same = self._weights.get(word.stem)
        if same is not None:
            # However rare "make" is in a catalogue, it says no more than its concepts.
            rarity = min(self._rarity(same) * emphasis, *(rarity for rarity, _ in keys), math.inf)
            keys.append((rarity, same))
        return keys

    def _rarity(self, numbers: Collection[int]) -> float:
        """Return how rare a key is that these entries have: the idf of BM25, and a little more."""
        others = len(self._known) - len(numbers)
        return math.log(1 + (others + 0.5) / (len(numbers) + 0.5)) ** RARITY_EXPONENT


_Keys: TypeAlias = list[tuple[float, dict[int, float]]]
"""The rarity of each key of one word, and number of an entry -> how well the entry has the key."""


def best_first(scores: dict[int, float]) -> list[int]:
    """Return the numbers of entries, those with the highest scores first."""
    return sorted(scores, key=scores.__getitem__, reverse=True)


def _entries_of(keys: _Keys) -> int:
    return sum(len(numbers) for _, numbers in keys)


def _add(scores: dict[int, float], keys: _Keys, *, only_scored: bool) -> None:
    """Add to each score how well its entry covers a word: by the best of the word's keys.

    Args:
        scores: number of an entry -> its score.
        keys: those of the word.
        only_scored: True to leave out the entries that have no score yet.
    """
    if only_scored:
        for number, score in scores.items():
            scores[number] = score + max(
                rarity * numbers.get(number, 0.0) for rarity, numbers in keys
            )
        return
    best: dict[int, float] = {}
    for rarity, numbers in keys:
        for number, weight in numbers.items():
            score = rarity * weight
            if score > best.get(number, 0.0):
                best[number] = score
    for number, score in best.items():
        scores[number] = scores.get(number, 0.0) + score


def _raise_to(scores: dict[str, float], key: str, score: float) -> None:
    if score > scores.get(key, 0.0):
        scores[key] = score
