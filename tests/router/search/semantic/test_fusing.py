"""Scores by words and by meaning together."""

from __future__ import annotations

from router.messages.own_tools.search import Found
from router.search.reranking import Candidate
from router.search.semantic.fusing import fuse

NAMES = "abcdefgh"
ENTRIES = tuple(Found("row", "tool", name) for name in NAMES)


def order(words: dict[str, float], meaning: dict[str, float], limit: int = 3) -> str:
    candidates = [Candidate(Found("row", "tool", name), score) for name, score in words.items()]
    similarities = [meaning.get(name, 0.0) for name in NAMES]
    return "".join(found.key for found in fuse(candidates, ENTRIES, similarities, limit).found)


def test_what_words_do_not_find_is_found_by_meaning() -> None:
    assert order({}, {"g": 0.9, "c": 0.7, "b": 0.5}) == "gcb"


def test_meaning_decides_between_those_that_words_find_alike() -> None:
    assert order({"a": 2.0, "b": 1.9, "c": 1.8}, {"b": 0.6}).startswith("ba")


def test_strong_match_by_words_stays_first_against_a_weak_one_by_meaning() -> None:
    assert order({"a": 8.0, "b": 1.0}, {"c": 0.31, "d": 0.3, "e": 0.3, "f": 0.3})[0] == "a"


def test_scales_of_both_do_not_matter() -> None:
    words, meaning = {"a": 2.0, "b": 1.9, "d": 0.4}, {"b": 0.6, "c": 0.5, "e": 0.2}
    scaled = {name: 1000 * score for name, score in words.items()}
    shrunk = {name: 0.1 * similarity for name, similarity in meaning.items()}

    assert order(scaled, shrunk, 8) == order(words, meaning, 8)


def test_words_alone_decide_where_all_meanings_are_alike() -> None:
    assert order({"c": 2.0, "a": 1.0}, dict.fromkeys(NAMES, 0.5), 2) == "ca"


def test_first_is_clear_only_with_a_lead() -> None:
    alike, ahead = [0.9, 0.89, 0, 0, 0, 0, 0, 0], [0.9, 0.2, 0, 0, 0, 0, 0, 0]

    assert not fuse([], ENTRIES, alike, 1).is_clear
    assert fuse([], ENTRIES, ahead, 1).is_clear
    assert fuse([], ENTRIES[:1], [0.1], 5).is_clear


def test_nothing_in_scope_is_nothing_found() -> None:
    ranking = fuse([], (), [], 5)
    assert (ranking.found, ranking.is_clear) == ((), False)
