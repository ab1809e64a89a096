"""Words of texts: identifiers, stems, phrases, Chinese."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.search.words import LONGEST_WORD, read_words, stem_of


def texts(text: str) -> list[str]:
    return [word.text for word in read_words(text) if word.text]


def concepts(text: str) -> set[str]:
    return {concept for word in read_words(text) for concept in word.concepts}


@pytest.mark.parametrize(
    "text",
    ["create_pull_request", "create-pull.request", "createPullRequest", "Create/Pull: request!"],
)
def test_identifiers_are_split_at_signs_and_case(text: str) -> None:
    assert texts(text) == ["create", "pull", "request"]


def test_a_row_of_capitals_is_one_word() -> None:
    assert texts("parseHTTPResponse") == ["parse", "http", "response"]


def test_the_name_of_a_product_is_one_word_but_in_identifiers() -> None:
    assert texts("open GitHub") == ["open", "github"]
    assert texts("ListForecasts") == ["list", "forecasts"]
    assert [word.text for word in read_words("GitHub", is_prose=False)] == ["git", "hub"]


@pytest.mark.parametrize(
    ("form", "word"),
    [("repos", "repository"), ("wrote", "written"), ("k8s", "Kubernetes"), ("飞书", "lark")],
)
def test_abbreviations_and_irregular_forms_are_read_as_the_word(form: str, word: str) -> None:
    assert set(read_words(word)) <= set(read_words(form))


def test_words_that_say_nothing_are_left_out() -> None:
    assert texts("what is the weather of my town") == ["weather", "town"]


def test_light_verbs_count_by_their_concepts_alone() -> None:
    [make] = read_words("make")
    assert (make.text, make.stem) == ("", "")
    assert concepts("make") & concepts("create")


def test_what_is_too_long_for_a_word_is_none() -> None:
    assert texts("x" * LONGEST_WORD) == ["x" * LONGEST_WORD]
    assert texts("x" * (LONGEST_WORD + 1)) == []


@pytest.mark.parametrize(
    ("form", "other"),
    [
        ("creates", "create"),
        ("creating", "creation"),
        ("directories", "directory"),
        ("running", "run"),
        ("deployment", "deploy"),
        ("branches", "branch"),
        ("copied", "copy"),
        ("added", "add"),
        ("cancelled", "cancel"),
        ("pulling", "pull"),
        ("organisation", "organize"),
        ("verification", "verify"),
        ("colour", "color"),
        ("status", "status"),
    ],
)
def test_forms_of_a_word_have_one_stem(form: str, other: str) -> None:
    assert stem_of(form) == stem_of(other)


def test_words_with_one_meaning_share_a_concept() -> None:
    assert concepts("folder") & concepts("directories")
    assert not concepts("folder") & concepts("weather")


def test_a_phrase_has_its_own_concepts_in_place_of_those_of_its_words() -> None:
    assert concepts("pull request") == concepts("merge requests")
    assert not concepts("pull request") & concepts("download")
    assert texts("pull request") == ["pull", "request"]


def test_chinese_is_read_in_pairs_of_characters() -> None:
    assert texts("北京天气") == ["北京", "京天", "天气"]
    assert texts("群") == ["群"]


def test_chinese_words_share_the_concepts_of_english_ones() -> None:
    assert concepts("明天北京的天气") & concepts("forecast")
    assert concepts("发一条消息") & concepts("send a message")


def test_wide_and_composed_letters_are_read_as_plain_ones() -> None:
    assert texts("\uff21\uff30\uff29 cafe\u0301") == ["api", "café"]


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=60))
def test_every_text_is_read_into_letters_and_digits(text: str) -> None:
    for word in texts(text):
        assert word.isalnum()
        word.encode()
