"""URLs of upstreams, and the sentences about them."""

from __future__ import annotations

import pytest

from transports.connect.remote.endpoint import (
    RemoteEndpoint,
    explanation_in,
    is_session_gone,
    suggests_sse,
)
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
    ("body", "line"),
    [
        (
            b"\n Access is only allowed at localhost:23203\r\nmore",
            "Access is only allowed at localhost:23203",
        ),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-5,"message":"no\\nway"}}', "no"),
        (b'{"error":"invalid_token","error_description":"it has expired"}', "it has expired"),
        (b'{"title":"Forbidden","detail":"not from here"}', "not from here"),
        (b'{"error":{"error":{"error":{"message":"too deep"}}}}', ""),
        (b'{"message":7,"detail":["x"]}', ""),
        (b'"in a string"', "in a string"),
        (b"[1,2]", ""),
        (
            b"<!DOCTYPE html><html><head><title>Sign in &amp; retry</title></head>",
            "Sign in & retry",
        ),
        (b"<html><body>nothing in a title</body></html>", ""),
        (b"\x1b[31mred\x07 \xff", "[31mred \ufffd"),
        (b"Forbidden.", ""),
        (b"403 Forbidden", ""),
        (b"<html><title>403 Forbidden</title></html>", ""),
        (b"", ""),
    ],
)
def test_first_line_of_a_body_that_says_more_than_its_status_explains_it(
    body: bytes, line: str
) -> None:
    assert explanation_in(body, 403) == line


def test_explanation_takes_the_place_of_a_guess_but_not_of_a_way_out() -> None:
    endpoint = RemoteEndpoint.from_url("http://h/")
    assert endpoint.answered(403, "not you") == "http://h/ answered 403 Forbidden: not you"
    assert endpoint.answered(403).endswith("Forbidden; may the headers of this instance use it?")
    assert endpoint.answered(401, "who?").endswith(
        "Unauthorized: who?; set headers.Authorization for this instance"
    )


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
