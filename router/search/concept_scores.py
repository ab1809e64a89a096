"""Scores entries by how much of a query their names and first sentences cover.

A word of the query is covered by the same word, or less well by a word of the same concept. So a
query finds what is described in other words or in another language, and an entry that covers all of
a query is better than one that repeats a part of it.

Invariant: `put` and `remove` change one entry each, in time that does not grow with the number of
entries.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct, field

from router.search.words import Word, read_words

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from router.search.reranking import Entry

NAME_WEIGHT: Final = 1.0
INSTANCE_WEIGHT: Final = 1.2
SENTENCE_WEIGHT: Final = 0.4
CONCEPT_WEIGHT: Final = 0.9
"""How well a word of a name or title, of an instance's name and of a sentence covers a query's
word; and a word of the same concept, in proportion to the same word."""

FIRST_WORD_WEIGHT: Final = 1.5
"""The first word of a query is mostly the verb, which tells apart the tools for one thing."""

VISITS: Final = 2000
CLOSEST: Final = 200
"""Entries that are scored for all words of a query together: beyond that, those of rarer words
that cover these best are scored for the others."""

CAP: Final = 1.6
RARITY_EXPONENT: Final = 1.2
"""Below 1, since a word that few tools have need not be rare in speech."""


class Coverage(Struct, frozen=True):
    """How entries cover a query.

    Attributes:
        scores: by the number of an entry; 1 for one that has all words of the query in its name.
        keys: all words and concepts of the query.
    """

    scores: dict[int, float]
    keys: frozenset[str]


class _Known(Struct, frozen=True):
    """An entry: its keys, and the words of its name but for those of its instance's name."""

    keys: tuple[str, ...]
    name: tuple[Word, ...]


class ConceptScores(Struct, eq=False):
    """The words and concepts of all entries, by their numbers."""

    _weights: dict[str, dict[int, float]] = field(default_factory=dict[str, dict[int, float]])
    _known: dict[int, _Known] = field(default_factory=dict[int, _Known])

    def put(self, number: int, entry: Entry) -> None:
        """Take in an entry under a number that is free."""
        name, instance = read_words(entry.name), read_words(entry.instance)
        weights: dict[str, float] = {}
        for words, weight in (
            (name, NAME_WEIGHT),
            (read_words(entry.title), NAME_WEIGHT),
            (instance, INSTANCE_WEIGHT),
            (read_words(entry.first), SENTENCE_WEIGHT),
        ):
            for word in words:
                if word.stem:
                    _raise_to(weights, word.stem, weight)
                for concept in word.concepts:
                    _raise_to(weights, concept, weight * CONCEPT_WEIGHT)
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

        In a large catalogue common words count for those entries only that cover rarer ones best.
        """
        units = [unit for place, word in enumerate(query) if (unit := self._unit(place, word))]
        units.sort(key=_entries_of)
        scores: dict[int, float] = {}
        visits = 0
        for keys in units:
            visits += _entries_of(keys)
            if visits > VISITS and len(scores) > CLOSEST:
                scores = {number: scores[number] for number in _best(scores)[:CLOSEST]}
            _add(scores, keys, visits > VISITS and bool(scores))
        whole = sum(max(weight for weight, _ in keys) for keys in units)
        keys = frozenset(key for word in query for key in (word.stem, *word.concepts))
        return Coverage({number: score / whole for number, score in scores.items()}, keys)

    def unasked(self, number: int, coverage: Coverage) -> int:
        """Return how many words of an entry's name a query does not ask for."""
        asked = coverage.keys
        count = 0
        for word in self._known[number].name:
            if word.stem not in asked and asked.isdisjoint(word.concepts):
                count += 1
        return count

    def _unit(self, place: int, word: Word) -> _Unit:
        """Return what covers a word of a query: the word itself and its concepts."""
        emphasis = FIRST_WORD_WEIGHT if place == 0 else 1.0
        concepts = [self._weights[key] for key in word.concepts if key in self._weights]
        unit = [(self._rarity(numbers) * emphasis, numbers) for numbers in concepts]
        cap = CAP * min((rarity for rarity, _ in unit), default=0.0)
        unit = [(min(rarity, cap), numbers) for rarity, numbers in unit]
        same = self._weights.get(word.stem)
        if same is not None:
            # However rare "make" is in a catalogue, it says no more than its concepts.
            rarity = min(self._rarity(same) * emphasis, *(rarity for rarity, _ in unit), math.inf)
            unit.append((rarity, same))
        return unit

    def _rarity(self, numbers: Collection[int]) -> float:
        others = len(self._known) - len(numbers)
        return math.log(1 + (others + 0.5) / (len(numbers) + 0.5)) ** RARITY_EXPONENT


_Unit: TypeAlias = list[tuple[float, dict[int, float]]]
"""The rarity of a word and of each of its concepts, and how well each entry has it."""


def _entries_of(unit: _Unit) -> int:
    return sum(len(numbers) for _, numbers in unit)


def _best(scores: dict[int, float]) -> list[int]:
    return sorted(scores, key=scores.__getitem__, reverse=True)


def _add(scores: dict[int, float], unit: _Unit, only_scored: bool) -> None:
    """Add to each score how well its entry covers a word: by the best of the word's keys."""
    if only_scored:
        for number, score in scores.items():
            scores[number] = score + max(
                rarity * numbers.get(number, 0.0) for rarity, numbers in unit
            )
        return
    best: dict[int, float] = {}
    for rarity, numbers in unit:
        for number, weight in numbers.items():
            score = rarity * weight
            if score > best.get(number, 0.0):
                best[number] = score
    for number, score in best.items():
        scores[number] = scores.get(number, 0.0) + score


def _raise_to(scores: dict[str, float], key: str, score: float) -> None:
    if score > scores.get(key, 0.0):
        scores[key] = score
