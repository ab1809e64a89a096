"""HTTP/1.1 and WebSocket handshakes on one connection, on real sockets."""

from __future__ import annotations

import logging
import struct
from typing import Final

import pytest
import trio

from tests.transports.listen.serving.hosting.echo_site import request, rest_of, serving
from transports.listen.serving.hosting.http1 import WEBSOCKET_INPUT_BYTES

KEY: Final = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
VERSION: Final = "Sec-WebSocket-Version: 13"
UPGRADE: Final = ("Upgrade: websocket", "Connection: Upgrade", KEY, VERSION)


def frame(kind: int, data: bytes) -> bytes:
    """Of a client (RFC 6455 section 5.2), masked with zeros."""
    size = len(data)
    if size < 126:
        head = struct.pack(">BB", 0x80 | kind, 0x80 | size)
    elif size < 0x10000:
        head = struct.pack(">BBH", 0x80 | kind, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | kind, 0x80 | 127, size)
    return head + b"\0\0\0\0" + data


# --- HTTP/1.1 alone --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        request(version="HTTP/2.0"),
        request(version="HTTP/3.0"),
        request(*UPGRADE, version="HTTP/2.0"),
    ],
    ids=["preface", "2.0", "3.0", "handshake"],
)
async def test_no_other_version_is_spoken(data: bytes) -> None:
    async with serving() as site:
        answer = await site.answer_to(data)
        assert answer.startswith(b"HTTP/1.1 505 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert site.app.asked == []


async def test_offer_of_http_2_is_answered_in_http_1() -> None:
    lines = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: close, Upgrade")
    async with serving() as site:
        answer = await site.answer_to(request(*lines))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"spoken: 1.1")


# --- Handshakes of WebSockets ----------------------------------------------------------------

UNSOUND: Final = {
    "no key": ("Upgrade: websocket", "Connection: Upgrade", VERSION),
    "short key": ("Upgrade: websocket", "Connection: Upgrade", KEY[:-4], VERSION),
    "key": ("Upgrade: websocket", "Connection: Upgrade", KEY[:-4] + "\xff\xfe==", VERSION),
    "no version": ("Upgrade: websocket", "Connection: Upgrade", KEY),
    "version": ("Upgrade: websocket", "Connection: Upgrade", KEY, "Sec-WebSocket-Version: 8"),
    "protocol": (*UPGRADE, "Sec-WebSocket-Protocol: \xff"),
    "connection": ("Upgrade: websocket", "Connection: Upgrade, \xff", KEY, VERSION),
    "length": (*UPGRADE, "Content-Length: 5"),
    "chunked": (*UPGRADE, "Transfer-Encoding: chunked"),
}


@pytest.mark.parametrize("name", UNSOUND)
async def test_malformed_handshake_is_400_and_the_connection_closes(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as site:
        answer = await site.answer_to(request(*UNSOUND[name]))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert site.app.asked == []
    assert caplog.records == []


async def test_handshake_of_http_1_0_is_400_and_the_connection_closes() -> None:
    async with serving() as site:
        answer = await site.answer_to(request(*UPGRADE, version="HTTP/1.0"))
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_client_that_sends_before_the_handshake_is_over_is_cut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as site:
        at_once = await site.answer_to(request(*UPGRADE) + frame(1, b"x"))
        assert at_once.startswith(b"HTTP/1.1 400 ")
        assert site.app.asked == []
        site.app.may_accept = trio.Event()
        async with await site.say(request(*UPGRADE)) as stream:
            await site.app.news.wait()
            await stream.send_all(frame(1, b"x"))
            assert await rest_of(stream) == b""
    assert caplog.records == []


# --- WebSockets ------------------------------------------------------------------------------


async def until(stream: trio.SocketStream, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        more = await stream.receive_some()
        assert more, data
        data += more
    return data


async def keep_sending(stream: trio.SocketStream, data: bytes) -> None:
    while True:
        await stream.send_all(data)


async def test_websocket_is_opened_without_the_compression_it_offers() -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    async with serving() as site, await site.say(request(*UPGRADE, offer)) as stream:
        head = await until(stream, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"extensions" not in head.lower()
        await stream.send_all(frame(9, b"are you there"))
        assert b"are you there" in await until(stream, b"there")


async def test_messages_of_a_websocket_client_are_reported_empty() -> None:
    async with serving() as site, await site.say(request(*UPGRADE)) as stream:
        await until(stream, b"\r\n\r\n")
        site.app.news = trio.Event()
        await stream.send_all(frame(1, b"hello"))
        await site.app.news.wait()
        assert site.app.heard == [{"type": "websocket.receive", "bytes": b"", "text": None}]


@pytest.mark.parametrize("size_bytes", [WEBSOCKET_INPUT_BYTES + 1, 1024])
async def test_client_that_says_much_is_cut(
    size_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as site, await site.say(request(*UPGRADE)) as stream:
        await until(stream, b"\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await keep_sending(stream, frame(2, b"x" * size_bytes))
        while not site.app.has_left:
            site.app.news = trio.Event()
            await site.app.news.wait()
    assert caplog.records == []


# --- Who is served ---------------------------------------------------------------------------


async def test_connection_that_is_not_admitted_is_closed_without_a_word() -> None:
    for is_admitted in (True, False):
        async with serving(admits=lambda _, answer=is_admitted: answer) as site:
            answer = await site.answer_to(request("Connection: close"))
            assert (answer.startswith(b"HTTP/1.1 200"), site.app.asked != []) == (
                (True, True) if is_admitted else (False, False)
            )
