"""Heads of requests that are plain, and what makes them something else."""

from __future__ import annotations

import pytest

from transports.listen.serving.hosting.lane.head import PlainHead, ends_lines_plainly, read_head


def head(*lines: str, first: str = "POST /mcp HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


GOOD = ("Host: x", "Content-Length: 12")


def test_plain_head_is_read_as_an_asgi_server_reads_it() -> None:
    data = head(*GOOD, "Accept: a", "ACCEPT: b", "X:", first="POST /m%C3%A4/?a=%20b HTTP/1.1")
    headers = {"host": "x", "content-length": "12", "accept": "a, b", "x": ""}
    raw_headers = [
        *((b"host", b"x"), (b"content-length", b"12")),
        *((b"accept", b"a"), (b"accept", b"b"), (b"x", b"")),
    ]
    assert read_head(data) == PlainHead("POST", "/mä/", "a=%20b", headers, 12, raw_headers)


def test_get_of_an_event_stream_is_plain_without_a_body() -> None:
    lines = ("Host: x", "Accept: application/json, text/event-stream")
    found = read_head(head(*lines, first="GET /sse HTTP/1.1"))
    assert found is not None
    assert (found.method, found.path, found.content_bytes) == ("GET", "/sse", 0)


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: x",),
        ("Host: x", "Accept: */*"),
        ("Host: x", "Accept: text/event-stream", "Content-Length: 0"),
        ("Host: x", "Accept: text/event-stream", "Content-Length: 2"),
        ("Host: x", "Accept: text/event-stream", "Transfer-Encoding: chunked"),
        ("Host: x", "Accept: text/event-stream", "Connection: upgrade", "Upgrade: websocket"),
    ],
)
def test_other_gets_are_not_plain(lines: tuple[str, ...]) -> None:
    assert read_head(head(*lines, first="GET /sse HTTP/1.1")) is None


def test_delete_is_plain_without_a_body() -> None:
    found = read_head(head("Host: x", first="DELETE /mcp HTTP/1.1"))
    assert found is not None
    assert (found.method, found.path, found.content_bytes) == ("DELETE", "/mcp", 0)


@pytest.mark.parametrize("line", ["Content-Length: 0", "Content-Length: 2", "Connection: close"])
def test_other_deletes_are_not_plain(line: str) -> None:
    assert read_head(head("Host: x", line, first="DELETE /mcp HTTP/1.1")) is None


def test_connection_that_stays_open_is_plain() -> None:
    found = read_head(head(*GOOD, "Connection: Keep-Alive"))
    assert found is not None


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: x",),
        ("Content-Length: 1",),
        (*GOOD, "Host: x"),
        (*GOOD, "Content-Length: 12"),
        ("Host: x", "Content-Length: 12, 12"),
        ("Host: x", "Content-Length: 012"),
        ("Host: x", "Content-Length: +12"),
        ("Host: x", "Content-Length: 12345678901"),
        (*GOOD, "Transfer-Encoding: chunked"),
        (*GOOD, "Connection: close"),
        (*GOOD, "Connection: upgrade", "Upgrade: websocket"),
        (*GOOD, "Expect: 100-continue"),
        (*GOOD, "TE: trailers"),
        (*GOOD, "Trailer: X"),
        (*GOOD, "X: a "),
        (*GOOD, "X : a"),
        (*GOOD, "X@: a"),
        (*GOOD, "X"),
        (*GOOD, "X: a", " b"),
        (*GOOD, "X: a\x00b"),
        (*GOOD, "X: a\x7fb"),
        (*GOOD, "X: a\rb"),
        (*GOOD, "X: a\nY: b"),
    ],
)
def test_everything_that_has_two_readings_is_not_plain(lines: tuple[str, ...]) -> None:
    assert read_head(head(*lines)) is None


@pytest.mark.parametrize(
    "first",
    [
        "GET /mcp HTTP/1.1",
        "POST /mcp HTTP/1.0",
        "POST /mcp HTTP/2.0",
        "POST /mcp RTSP/1.1",
        "POST  /mcp HTTP/1.1",
        "POST /mcp  HTTP/1.1",
        "POST /mcp HTTP/1.1 ",
        "POST http://x/mcp HTTP/1.1",
        "POST * HTTP/1.1",
        "POST /mcp#a HTTP/1.1",
        "POST /mcp",
    ],
)
def test_request_line_of_another_kind_is_not_plain(first: str) -> None:
    assert read_head(head(*GOOD, first=first)) is None


def test_lines_of_a_part_of_a_head_end_plainly_or_not() -> None:
    assert ends_lines_plainly(b"POST / HTTP/1.1\r\nHost: x\r")
    assert not ends_lines_plainly(b"POST / HTTP/1.1\r\nHost: x\n")
