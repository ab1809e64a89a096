"""Patterns for names: what they match, and that no name takes long."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.messages.instances.exposure import EVERY_NAME, NameFilter, matches_any


@pytest.mark.parametrize(
    ("name", "pattern", "does_match"),
    [
        ("read_file", "read_*", True),
        ("read_file", "read", False),
        ("read_file", "READ_*", False),
        ("abc", "a?c", True),
        ("ac", "a?c", False),
        ("a.c", "a.c", True),
        ("abc", "a.c", False),
        ("[ab]", "[ab]", True),
        ("a\nb", "a*b", True),
        ("", "*", True),
        ("", "", True),
        ("工具🦀", "工?🦀", True),
        ("工具🦀", "工?*", True),
    ],
)
def test_a_star_is_any_characters_and_a_question_mark_is_one(
    name: str, pattern: str, does_match: bool
) -> None:
    assert matches_any(name, (pattern,)) is does_match


@given(st.text("ab\n?", max_size=12), st.text("ab*?", max_size=8))
def test_patterns_mean_what_they_mean_in_a_shell(name: str, pattern: str) -> None:
    assert matches_any(name, (pattern,)) is fnmatch.fnmatchcase(name, pattern)


def test_a_name_made_to_take_long_does_not() -> None:
    assert not matches_any("a" * 20_000, ("*a" * 30 + "b",))


def test_what_is_denied_is_never_admitted() -> None:
    names = NameFilter(("read_*",), ("*_secret",))
    assert [name for name in ("read_x", "read_secret", "write") if names.admits(name)] == ["read_x"]
    assert EVERY_NAME.admits_all
    assert not names.admits_all
    assert not NameFilter(()).admits("read_x")
