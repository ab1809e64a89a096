"""What an upstream says, as reasons and log lines show it. (Requests: `test_session`.)"""

import pytest

from transports.connect.session.requests import SHOWN, in_short


def test_a_short_text_is_shown_in_one_line() -> None:
    assert in_short("no\n  such\tthing ") == "no such thing"
    assert in_short("x" * SHOWN) == "x" * SHOWN


@pytest.mark.parametrize("length", range(1, 9))
def test_a_long_text_is_never_cut_within_a_word(length: int) -> None:
    word = "s" * length
    text = in_short(" ".join([word] * SHOWN))
    assert len(text) <= SHOWN + 1
    assert set(text.removesuffix("…").split()) == {word}


def test_one_long_word_is_not_shown() -> None:
    assert in_short("s" * (SHOWN + 1)) == "…"
