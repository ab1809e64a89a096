"""The words of an upstream in reasons and log lines (`test_session` has the requests)."""

import pytest

from transports.connect.session.requests import SHOWN_CHARS, shorten


def test_a_short_text_is_shown_in_one_line() -> None:
    assert shorten("no\n  such\tthing ") == "no such thing"
    assert shorten("x" * SHOWN_CHARS) == "x" * SHOWN_CHARS


@pytest.mark.parametrize("length", range(1, 9))
def test_a_long_text_is_never_cut_within_a_word(length: int) -> None:
    word = "s" * length
    text = shorten(" ".join([word] * SHOWN_CHARS))
    assert len(text) <= SHOWN_CHARS + 1
    assert set(text.removesuffix("…").split()) == {word}


def test_one_long_word_is_not_shown() -> None:
    assert shorten("s" * (SHOWN_CHARS + 1)) == "…"
