"""URLs and texts of servers that nobody vouches for."""

from __future__ import annotations

import pytest

from router.oauth.client.protocol.untrusted import canonical, clean, is_safe_url, origin_of


@pytest.mark.parametrize(
    "url",
    [
        *("https://a.test/x?y=1", "http://localhost:1/x", "http://127.0.0.1/x", "http://[::1]:9/"),
        "https://A.test",
    ],
)
def test_safe_url(url: str) -> None:
    assert is_safe_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *("http://a.test/", "javascript:alert(1)", "data:text/html,x", "file:///x", "https://"),
        *("https://user:pw@a.test/", "https://a.test/#x", "https://a.test/\n", "https://a b.test"),
        *("https://a.test\\@b.test", "https://[::1", "https://a.test:x/", "//a.test", "", 7, None),
        *("http://2130706433/", "http://localhost.evil.test/", "https://é.test/"),
        "https://a.test/" + "x" * 5000,
    ],
)
def test_unsafe_url(url: object) -> None:
    assert not is_safe_url(url)


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("HTTPS://MCP.test:443/a/", "https://mcp.test/a"),
        ("https://user:pw@mcp.test/a?key=secret#x", "https://mcp.test/a"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("nonsense", "nonsense"),
    ],
)
def test_canonical_form_shows_no_secret(url: str, form: str) -> None:
    assert canonical(url) == form


def test_query_and_origin() -> None:
    assert canonical("https://a.test/x?b=1", with_query=True) == "https://a.test/x?b=1"
    assert origin_of("https://a.test:8443/x/y?z") == "https://a.test:8443"


def test_text_is_one_short_printable_line() -> None:
    assert clean("a\x1b[31m\r\nb\u202e") == r"a\x1b[31m\r\nb\u202e"
    assert len(clean("x" * 9999)) == 201
    assert clean(None) == clean({"a": 1}) == ""
