"""An idle client, of a small server in place of a proxy."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from benchmarks.native.native import LoadError
from benchmarks.proxies.proxy import Running
from benchmarks.suites.idle import idle_client

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
ENDPOINT = b"event: endpoint\r\ndata: /messages?session=1\r\n\r\n"
HELLO = b'event: message\r\ndata: {"result":{"protocolVersion":"2025-06-18"}}\r\n\r\n'
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


def running(listener: socket.socket) -> Running:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/sse"
    return Running(1, url, headers={"Authorization": "Bearer secret"})


def test_a_client_does_the_handshake_where_the_stream_says(listener: socket.socket) -> None:
    requests: list[bytes] = []

    def serve() -> None:
        stream, _ = listener.accept()
        requests.append(stream.recv(1 << 16))
        stream.sendall(HEAD + ENDPOINT[:20])
        stream.sendall(ENDPOINT[20:])
        posts, _ = listener.accept()
        with stream, posts:
            for _ in range(2):
                request = posts.recv(1 << 16)
                while b"\r\n\r\n{" not in request:
                    request += posts.recv(1 << 16)
                requests.append(request)
                posts.sendall(ACCEPTED)
                stream.sendall(HELLO)

    server = threading.Thread(target=serve)
    server.start()
    with idle_client(running(listener)):
        server.join(30)
    assert requests[0].startswith(b"GET /sse HTTP/1.1\r\n")
    assert [one.split(b" HTTP")[0] for one in requests[1:]] == [b"POST /messages?session=1"] * 2
    assert all(b"Authorization: Bearer secret\r\n" in one for one in requests)
    assert [one.partition(b'"method": "')[2].partition(b'"')[0] for one in requests[1:]] == [
        b"initialize",
        b"notifications/initialized",
    ]


def test_a_stream_that_ends_is_an_error(listener: socket.socket) -> None:
    def serve() -> None:
        stream, _ = listener.accept()
        with stream:
            stream.recv(1 << 16)
            stream.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")

    server = threading.Thread(target=serve)
    server.start()
    with (
        pytest.raises(LoadError, match=r"The event stream ended.*404"),
        idle_client(running(listener)),
    ):
        pass
    server.join(30)
