"""The cookies of a browser: their names, their attributes, and those that do not count."""

from __future__ import annotations

import pytest

from router.oauth.browser.cookies import SESSION, new_word, read_cookie, write_cookie

WORD, OTHER = "w" * 43, "v" * 43


def test_words_are_256_bits_and_never_the_same() -> None:
    assert len({new_word() for _ in range(100)}) == 100
    assert len(new_word()) == len(WORD)


@pytest.mark.parametrize("is_secure", [False, True])
def test_what_was_written_is_read(is_secure: bool) -> None:
    name, text = write_cookie(SESSION, WORD, same_site="Strict", max_age_s=60, is_secure=is_secure)
    pair, *attributes = text.decode().split("; ")
    assert name == b"set-cookie"
    expected = {"Max-Age=60", "Path=/", "HttpOnly", "SameSite=Strict"}
    assert set(attributes) == (expected | {"Secure"} if is_secure else expected)
    assert pair.startswith("__Host-") == is_secure
    sent = {"cookie": f"other=1; {pair}; more=2"}
    assert read_cookie(sent, SESSION, is_secure=is_secure) == WORD
    # Over TLS a cookie that a plain page could have set does not count.
    assert not read_cookie(sent, SESSION, is_secure=not is_secure)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{SESSION}=",
        f"{SESSION}=short",
        f"{SESSION}={WORD}x",
        f"{SESSION}={WORD}; {SESSION}={WORD}",
        f"{SESSION}={OTHER}; {SESSION}={WORD}",
        f"{SESSION}={WORD}, {SESSION}={WORD}",
        f"{SESSION.upper()}={WORD}",
        f'{SESSION}="{WORD}"',
    ],
)
def test_a_cookie_that_is_malformed_or_was_sent_twice_does_not_count(text: str) -> None:
    assert read_cookie({"cookie": text}, SESSION, is_secure=False) == ""
