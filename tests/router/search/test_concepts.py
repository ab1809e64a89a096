"""The groups of words that mean much the same."""

from __future__ import annotations

from collections import Counter

from router.search.concepts import read_forms, read_groups


def test_each_group_says_something_and_nothing_twice() -> None:
    for group in read_groups():
        assert len(group) > 1, group
        assert [word for word, count in Counter(group).items() if count > 1] == []


def test_each_form_stands_for_one_word() -> None:
    forms = [form for _, *forms in read_forms() for form in forms]
    assert [form for form, count in Counter(forms).items() if count > 1] == []
    assert {word for word, *_ in read_forms()}.isdisjoint(forms)


def test_words_are_written_as_they_are_compared() -> None:
    for group in (*read_groups(), *read_forms()):
        for word in group:
            assert word == word.lower()
            assert all(part.isalnum() for part in word.split("_")), word
