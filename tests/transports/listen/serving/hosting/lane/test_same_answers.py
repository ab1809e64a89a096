"""The fast lane answers byte for byte as Hypercorn does, whatever the client sends."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Final

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.transports.listen.serving.hosting.lane.two_ways import two_ways

PLAIN: Final = b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


def post(*lines: bytes, target: bytes = b"/mcp", body: bytes = b"") -> bytes:
    head = b"\r\n".join([b"POST %b HTTP/1.1" % target, b"Host: x", *lines])
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def get(*lines: bytes, target: bytes = b"/events") -> bytes:
    accept = b"Accept: text/event-stream"
    return b"\r\n".join([b"GET %b HTTP/1.1" % target, b"Host: x", accept, *lines, b"", b""])


def delete(*lines: bytes, target: bytes = b"/mcp") -> bytes:
    return b"\r\n".join([b"DELETE %b HTTP/1.1" % target, b"Host: x", *lines, b"", b""])


CASES: Final = {
    "plain": [PLAIN],
    "two in turn": [PLAIN, PLAIN],
    "two at once": [PLAIN + PLAIN],
    "byte by byte": [bytes([byte]) for byte in PLAIN],
    "head, then body": [PLAIN[:-2], PLAIN[-2:]],
    "head in two parts": [PLAIN[:20], PLAIN[20:]],
    "empty body": [post()],
    "event stream": [post(target=b"/events", body=b"x"), PLAIN],
    "later": [post(target=b"/later", body=b"x"), PLAIN],
    "told": [post(target=b"/told", body=b"x"), post(target=b"/told", body=b"y"), PLAIN],
    "told, two at once": [post(target=b"/told", body=b"x") * 2 + PLAIN],
    "told at once": [post(target=b"/told-at-once", body=b"x") * 2, PLAIN],
    "told events": [post(target=b"/told-events", body=b"x"), PLAIN],
    "told late": [post(target=b"/told-late", body=b"x"), PLAIN],
    "told more than is copied": [post(target=b"/told-much", body=b"x"), PLAIN],
    "told, then a part of the next": [post(target=b"/told", body=b"x") + PLAIN[:9], PLAIN[9:]],
    "refused before the body": [post(target=b"/refused", body=b"x" * 100), PLAIN],
    "refused, body missing": [post(target=b"/refused", body=b"x" * 100)[:-50], b"x" * 50, PLAIN],
    "escaped path": [post(target=b"/mcp/%E6%96%87?a=%20b", body=b"x")],
    "query": [post(target=b"/messages?session_id=abc", body=b"x")],
    "large body": [post(body=b"x" * 300_000), PLAIN],
    "too large a body": [post(body=b"x" * 10_485_761), PLAIN],
    "get after post": [PLAIN, b"GET /mcp HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN],
    "stream": [get(), PLAIN],
    "stream, and a request at once": [get() + PLAIN],
    "stream byte by byte": [bytes([byte]) for byte in get()],
    "stream that is refused": [get(target=b"/refused"), PLAIN],
    "stream that is an answer": [get(target=b"/later?a=b"), PLAIN],
    "stream twice": [get(), get()],
    "stream with a body": [get(b"Content-Length: 2") + b"{}", PLAIN],
    "stream with an empty body": [get(b"Content-Length: 0"), PLAIN],
    "stream with chunks": [get(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", PLAIN],
    "stream, then close": [get(b"Connection: close"), PLAIN],
    "stream with upgrade": [get(b"Connection: upgrade", b"Upgrade: websocket"), PLAIN],
    "stream over version 1.0": [get().replace(b"1.1", b"1.0"), PLAIN],
    "stream without host": [get().replace(b"Host: x\r\n", b""), PLAIN],
    "stream that does not end its lines": [get().replace(b"\r\n", b"\n"), PLAIN],
    "head of a stream": [get().replace(b"GET", b"HEAD"), PLAIN],
    "nothing but GE": [b"GE"],
    "delete": [delete() + PLAIN],
    "delete byte by byte": [bytes([byte]) for byte in delete()],
    "delete twice, and a request at once": [delete() * 2 + PLAIN],
    "delete that is refused": [delete(target=b"/refused"), PLAIN],
    "delete with a body": [delete(b"Content-Length: 2") + b"{}", PLAIN],
    "delete with an empty body": [delete(b"Content-Length: 0"), PLAIN],
    "delete with chunks": [delete(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", PLAIN],
    "delete, then close": [delete(b"Connection: close"), PLAIN],
    "delete over version 1.0": [delete().replace(b"1.1", b"1.0"), PLAIN],
    "delete without host": [delete().replace(b"Host: x\r\n", b""), PLAIN],
    "close": [post(b"Connection: close", body=b"x"), PLAIN],
    "keep-alive": [post(b"Connection: Keep-Alive", body=b"x"), PLAIN],
    "keep-alive and close": [post(b"Connection: keep-alive, close", body=b"x"), PLAIN],
    "two connections": [post(b"Connection: keep-alive", b"Connection: close", body=b"x"), PLAIN],
    "expect": [post(b"Expect: 100-continue", body=b"x"), PLAIN],
    "expect something else": [post(b"Expect: 200-ok", body=b"x"), PLAIN],
    "upgrade": [post(b"Connection: upgrade", b"Upgrade: h2c", body=b"x"), PLAIN],
    "chunked": [
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        PLAIN,
    ],
    "chunked with extension": [
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\na\r\n0\r\n\r\n",
        PLAIN,
    ],
    "chunked and length": [post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), PLAIN],
    "encoding unknown": [post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), PLAIN],
    "encoding with tab": [post(b"Transfer-Encoding:\tchunked", body=b"0\r\n\r\n"), PLAIN],
    "encoding after space": [post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"), PLAIN],
    "encoding after line": [post(b"X: y\r\n\tTransfer-Encoding: chunked", body=b"x"), PLAIN],
    "two hosts": [post(b"Host: y", body=b"x"), PLAIN],
    "no host": [b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", PLAIN],
    "empty host": [b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 1\r\n\r\nx", PLAIN],
    "two lengths": [post(b"Content-Length: 5", body=b"x"), b"12345", PLAIN],
    "one length twice": [post(b"Content-Length: 1", body=b"x"), PLAIN],
    "list of lengths": [post(b"X: y")[:-5] + b"1, 1\r\n\r\nx", PLAIN],
    "signed length": [post(b"X: y")[:-5] + b"+1\r\n\r\nx", PLAIN],
    "padded length": [post(b"X: y")[:-5] + b"01\r\n\r\nx", PLAIN],
    "spaced length": [post(b"X: y")[:-5] + b"1 \r\n\r\nx", PLAIN],
    "hexadecimal length": [post(b"X: y")[:-5] + b"0x1\r\n\r\nx", PLAIN],
    "length in other digits": [post(b"X: y")[:-5] + "\u0661".encode() + b"\r\n\r\nx", PLAIN],
    "no length": [b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN],
    "bare line feeds": [PLAIN.replace(b"\r\n", b"\n"), PLAIN],
    "head that ends in a line feed": [PLAIN.replace(b"\r\n\r\n", b"\r\n\n"), PLAIN],
    "one bare line feed": [PLAIN.replace(b"Host: x\r\n", b"Host: x\n"), PLAIN],
    "bare carriage return": [post(b"X: a\rb", body=b"x"), PLAIN],
    "two carriage returns": [PLAIN.replace(b"Host: x\r\n", b"Host: x\r\r\n"), PLAIN],
    "folded": [post(b"X: a\r\n b", body=b"x"), PLAIN],
    "folded at once": [b"POST / HTTP/1.1\r\n Host: x\r\nContent-Length: 1\r\n\r\nx", PLAIN],
    "null in a header": [post(b"X: a\0b", body=b"x"), PLAIN],
    "control in a header": [post(b"X: a\x01b", body=b"x"), PLAIN],
    "delete in a header": [post(b"X: a\x7fb", body=b"x"), PLAIN],
    "latin in a header": [post(b"X: a\xe4b", body=b"x"), PLAIN],
    "tab in a header": [post(b"X: a\tb", body=b"x"), PLAIN],
    "spaces around a value": [post(b"X: \t a \t ", body=b"x"), PLAIN],
    "space before the colon": [post(b"X : a", body=b"x"), PLAIN],
    "no colon": [post(b"X", body=b"x"), PLAIN],
    "no name": [post(b": a", body=b"x"), PLAIN],
    "odd name": [post(b"X@: a", body=b"x"), PLAIN],
    "odd but good name": [post(b"!#$%&'*+-.^_`|~: a", body=b"x"), PLAIN],
    "repeated header": [post(b"Accept: a", b"accept: b", body=b"x"), PLAIN],
    "repeated mcp header": [post(b"Mcp-Name: a", b"mcp-name: b", body=b"x"), PLAIN],
    "empty value": [post(b"X:", body=b"x"), PLAIN],
    "absolute target": [post(target=b"http://x/mcp", body=b"x"), PLAIN],
    "odd target": [post(target=b'/mcp"#<>', body=b"x"), PLAIN],
    "star target": [post(target=b"*", body=b"x"), PLAIN],
    "target with latin": [post(target=b"/\xe4", body=b"x"), PLAIN],
    "no target": [b"POST  HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", PLAIN],
    "two spaces": [b"POST  / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", PLAIN],
    "tab for space": [b"POST\t/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", PLAIN],
    "space at the end": [b"POST / HTTP/1.1 \r\nHost: x\r\nContent-Length: 1\r\n\r\nx", PLAIN],
    "lower method": [PLAIN.replace(b"POST", b"post"), PLAIN],
    "long method": [PLAIN.replace(b"POST", b"POSTS"), PLAIN],
    "version 1.0": [PLAIN.replace(b"1.1", b"1.0"), PLAIN],
    "version 1.0, kept": [
        PLAIN.replace(b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n"),
        PLAIN,
    ],
    "version 1.2": [PLAIN.replace(b"1.1", b"1.2"), PLAIN],
    "version 2.0": [PLAIN.replace(b"1.1", b"2.0"), PLAIN],
    "version 0.9": [b"POST /\r\n", PLAIN],
    "other protocol": [PLAIN.replace(b"HTTP", b"RTSP"), PLAIN],
    "http 2": [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PLAIN],
    "tls": [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + PLAIN],
    "line before": [b"\r\n" + PLAIN, PLAIN],
    "line between": [PLAIN + b"\r\n" + PLAIN],
    "head of 30 kB": [post(b"X: " + b"a" * 30_000, body=b"x"), PLAIN],
    "head of 40 kB": [post(b"X: " + b"a" * 40_000, body=b"x"), PLAIN],
    "head of 40 kB in parts": [b"POST / HTTP/1.1\r\nX: ", *[b"a" * 10_000] * 4],
    "200 headers": [post(*[b"X%d: a" % number for number in range(200)], body=b"x"), PLAIN],
    "nothing but P": [b"P"],
    "trailer": [post(b"Trailer: X", b"TE: trailers", body=b"x"), PLAIN],
}


@pytest.mark.parametrize("name", CASES)
async def test_requests_of_every_kind(name: str, tmp_path: Path) -> None:
    async with two_ways(tmp_path) as ways:
        await ways.compare(*CASES[name])


CLIENTS: Final = {
    file.stem: file.read_bytes() for file in (Path(__file__).parent / "clients").iterdir()
}
"""Data that clients of other makers have sent on one connection."""


@pytest.mark.parametrize("client", CLIENTS)
async def test_requests_of_other_makers_clients(client: str, tmp_path: Path) -> None:
    data = CLIENTS[client]
    async with two_ways(tmp_path) as ways:
        await ways.compare(data)
        await ways.compare(*[data[start : start + 100] for start in range(0, len(data), 100)])


# --- Requests that nobody thought of ---------------------------------------------------------

LINES: Final = st.sampled_from(
    [
        b"Host: x",
        b"Host: y",
        b"Content-Length: 0",
        b"Content-Length: 2",
        b"Content-Length: 3",
        b"content-length:2",
        b"Content-Length: 2, 2",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Connection: keep-alive",
        b"Connection: close",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"Accept: application/json",
        b"Accept: text/event-stream",
        b"Authorization: Bearer x",
        b"Mcp-Session-Id: a",
        b"X: a",
        b" folded",
        b"X : a",
        b"",
    ]
)
ENDS: Final = st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r", b"\r\r\n", b"\n\r"])
STARTS: Final = st.sampled_from(
    [b"POST /mcp HTTP/1.1"] * 6
    + [
        b"POST /events?a=1 HTTP/1.1",
        b"POST /later HTTP/1.1",
        b"POST /told HTTP/1.1",
        b"POST /told-late HTTP/1.1",
        b"POST /told-events HTTP/1.1",
        b"POST /refused HTTP/1.1",
        b"POST / HTTP/1.0",
        b"POST /%2e%2e/ HTTP/1.1",
        b"GET / HTTP/1.1",
        b"GET /events HTTP/1.1\r\nAccept: text/event-stream",
        b"OPTIONS * HTTP/1.1",
        b"POST",
    ]
)
BODIES: Final = st.sampled_from(
    [b"{}"] * 4 + [b"", b"{", b"{}{}", b"2\r\n{}\r\n0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A request, or nearly one."""
    if draw(st.booleans()):
        return PLAIN
    lines = [draw(STARTS), b"Host: x", *draw(st.lists(LINES, max_size=5))]
    if draw(st.booleans()):
        lines.append(b"Content-Length: 2")
    data = b"".join([line + draw(ENDS) for line in lines]) + draw(ENDS) + draw(BODIES)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=2)) + data[place + draw(st.integers(0, 2)) :]
    return data


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Requests, cut into pieces at any place."""
    data = b"".join(draw(st.lists(messages(), min_size=1, max_size=4)))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    edges = [0, *cuts, len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


@given(st.lists(conversations(), min_size=10, max_size=10))
def test_requests_that_nobody_thought_of(conversed: list[list[bytes]]) -> None:
    # Ten at a time, because to start two listeners costs as much as they do.
    trio.run(_compare, conversed)


async def _compare(conversed: list[list[bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with two_ways(Path(folder)) as ways:
            for pieces in conversed:
                await ways.compare(*pieces)
