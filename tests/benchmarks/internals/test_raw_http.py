"""Raw HTTP: when an answer is whole, and what a request has in it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from benchmarks.internals.raw_http import request_bytes, whole_answer

ANSWER = b"HTTP/1.1 200 \r\nContent-Length: 5\r\ndate: now\r\n\r\nhello"


@pytest.mark.parametrize("cut", range(len(ANSWER)))
def test_answer_is_whole_with_its_last_byte(cut: int) -> None:
    assert whole_answer(ANSWER[:cut]) is None


def test_whole_answer_is_head_and_body() -> None:
    head, _, body = ANSWER.partition(b"\r\n\r\n")
    assert whole_answer(ANSWER) == (head, body)


@pytest.mark.parametrize(
    "data", [ANSWER + b"more", b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_what_is_no_plain_answer_ends_the_run(data: bytes) -> None:
    with pytest.raises(ValueError, match="answer"):
        whole_answer(data)


def test_request_has_its_length_and_its_session() -> None:
    where = urlsplit("http://127.0.0.1:3000/mcp")
    head, _, body = request_bytes(where, b"abc", {"id": 1, "method": "ping"}).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n")
    assert head.endswith(b"\r\nMcp-Session-Id: abc")
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    assert body == b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


def test_request_of_a_revision_without_sessions_has_its_method() -> None:
    where = urlsplit("http://127.0.0.1:3000/mcp")
    asked = {"id": 1, "method": "tools/list"}
    request = request_bytes(where, None, asked, revision="2026-07-28", method="tools/list")
    head = request.partition(b"\r\n\r\n")[0]
    assert b"\r\nMCP-Protocol-Version: 2026-07-28\r\n" in head
    assert head.endswith(b"\r\nMcp-Method: tools/list")
    assert b"Mcp-Session-Id" not in head
