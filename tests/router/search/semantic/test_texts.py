"""The text of an entry, and the slots of texts."""

from __future__ import annotations

import pytest

from router.messages.own_tools.search import Found
from router.search.semantic.texts import MAX_DESCRIBED, TextTable, text_of
from tests.router.search.semantic.entries import entry

A, B, C = (Found("row", "tool", name) for name in "abc")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("create_pull-request", "create pull request"),
        ("getUserById", "get User By Id"),
        ("file:///etc/hosts", "file etc hosts"),
    ],
)
def test_text_has_the_words_of_the_name(name: str, words: str) -> None:
    assert text_of(entry(name, "Does it.")) == f"git: {words}. Does it."


def test_text_has_more_of_the_description_only_after_a_short_sentence() -> None:
    short = text_of(entry("log", "1.", "Shows\nthe commits. " + "More. " * 50))
    long = text_of(entry("log", "x" * 100, "Not this."))

    assert short.startswith("git: log. 1. Shows the commits. More.")
    assert len(short) <= len("git: log. ") + 80
    assert long == "git: log. " + "x" * 100


def test_text_is_bounded() -> None:
    assert len(text_of(entry("log", "x" * 1000))) == len("git: log. ") + MAX_DESCRIBED


def test_entries_with_the_same_text_share_a_slot() -> None:
    table = TextTable()
    table.put("row", {A: "one", B: "two", C: "one"})
    table.set_known(table.next_waiting(10))

    assert table.slots_of([A, B, C]) == (0, 1, 0)


def test_slots_are_there_only_once_all_are_known() -> None:
    table = TextTable()
    table.put("row", {A: "one", B: "two"})

    first = table.next_waiting(1)
    assert first == {"one": 0}
    table.set_known(first)
    assert table.slots_of([A]) == (0,)
    assert table.slots_of([A, B]) is None

    table.set_known(table.next_waiting(1))
    assert table.slots_of([A, B]) == (0, 1)
    assert not table.next_waiting(1)


def test_what_is_listed_again_is_known() -> None:
    table = TextTable()
    table.put("row", {A: "one", B: "two"})
    table.set_known(table.next_waiting(10))

    table.put("row", {})
    assert table.slots_of([A]) is None
    table.put("row", {B: "two", C: "three"})

    assert table.next_waiting(10) == {"three": 2}
    assert table.slots_of([B]) == (1,)


def test_slot_that_nobody_uses_goes_to_a_new_text_the_oldest_first() -> None:
    table = TextTable(limit=2)
    table.put("row", {A: "one", B: "two"})
    table.set_known(table.next_waiting(10))
    table.put("row", {B: "two"})
    table.put("row", {B: "two", C: "three"})

    assert table.next_waiting(10) == {"three": 0}
    assert not table.is_full


def test_embedding_of_a_text_that_lost_its_slot_meanwhile_does_not_count() -> None:
    table = TextTable(limit=1)
    table.put("row", {A: "one"})
    under_way = table.next_waiting(1)
    table.put("row", {})
    table.put("row", {B: "two"})
    table.set_known(under_way)

    assert table.next_waiting(1) == {"two": 0}
    assert table.slots_of([B]) is None


def test_text_beyond_the_limit_has_no_slot_and_the_table_says_so() -> None:
    table = TextTable(limit=1)
    table.put("row", {A: "one", B: "two"})
    table.set_known(table.next_waiting(10))

    assert table.is_full
    assert table.slots_of([A]) == (0,)
    assert table.slots_of([A, B]) is None
    table.put("row", {})
    table.put("row", {B: "two"})
    assert table.next_waiting(10) == {"two": 0}


def test_all_in_use_wait_again_once_embeddings_are_forgotten() -> None:
    table = TextTable()
    table.put("row", {A: "one"})
    table.put("other", {B: "two", C: "three"})
    table.set_known(table.next_waiting(10))
    table.put("row", {})
    table.forget()

    assert table.next_waiting(10) == {"two": 0, "three": 1}
    assert table.slots_of([B]) is None
