"""The browser comes back to the command where it has no way to the router."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from router.cli.logins.callback_listener import callback_listener

LIMIT_S = 30


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_query_is_taken_and_the_page_says_how_it_went(capfd: pytest.CaptureFixture[str]) -> None:
    taken: list[str] = []

    def take(query: str) -> bool:
        taken.append(query)
        return "code=" in query

    with callback_listener(take) as uri:
        assert uri.startswith("http://127.0.0.1:")
        status, page = get(f"{uri}?code=c0de&state=s")
        assert (status, "You are logged in" in page) == (200, True)
        status, page = get(f"{uri}?error=<script>")
        assert (status, "has failed" in page, "script" in page) == (200, True, False)
        assert get(uri.replace("/oauth/callback", "/favicon.ico"))[0] == 404
    assert taken == ["code=c0de&state=s", "error=<script>"]
    assert capfd.readouterr() == ("", "")
    with pytest.raises(urllib.error.URLError):
        get(uri)
