"""URLs of upstreams, and the sentences about them."""

from __future__ import annotations

import pytest

from transports.connect.remote.endpoint import RemoteEndpoint, is_session_gone, suggests_sse
from transports.connect.wire import WireLost


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/mcp", "https://a.example/mcp"),
        ("https://u:p@a.example:8443/x/y?key=k&b#f", "https://a.example:8443/x/y"),
        ("http://[::1]:3000/mcp", "http://[::1]:3000/mcp"),
        ("https://a.example/s/key-0123456789-abcdef/mcp", "https://a.example/s/***/mcp"),
        ("https://a.example/key-0123456789-abcdef", "https://a.example/***"),
        ("HTTP://A.example", "http://a.example"),
    ],
)
def test_only_the_public_part_of_a_url_is_shown(url: str, shown: str) -> None:
    endpoint = RemoteEndpoint.from_url(url)
    assert (endpoint.url, endpoint.shown) == (url, shown)
    assert "key" not in repr(endpoint)


@pytest.mark.parametrize("url", ["", "mcp", "a.example:80", "ws://a/", "http:///x", "http://[::1"])
def test_a_url_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(WireLost):
        RemoteEndpoint.from_url(url)


def test_long_and_multi_line_explanations_become_one_short_line() -> None:
    said = RemoteEndpoint.from_url("http://h/").answered(599, "a\n\tb" + "c" * 1000)
    assert said == "http://h/ answered 599: a …"
    words = RemoteEndpoint.from_url("http://h/").answered(599, "word " * 100)
    assert words.endswith(": " + "word " * 60 + "…")
    one_word = RemoteEndpoint.from_url("http://h/").answered(599, "c" * 1000)
    assert one_word.endswith("c…")
    assert len(one_word) < 400


@pytest.mark.parametrize(
    ("status", "said", "gone"),
    [
        (404, "", True),
        (400, "Bad Request: No valid session ID provided", True),
        (400, "Server not initialized", True),
        (400, "name is required", False),
        (500, "session store is down", False),
    ],
)
def test_a_lost_session_is_told_from_a_bad_request(status: int, said: str, gone: bool) -> None:
    assert is_session_gone(status, said) is gone


@pytest.mark.parametrize(
    ("status", "maybe"),
    [(400, True), (404, True), (405, True), (401, False), (429, False), (500, False)],
)
def test_the_older_transport_is_tried_where_it_may_help(status: int, maybe: bool) -> None:
    assert suggests_sse(status) is maybe
