"""The floors: each answers every call of the load generator rightly, or it would be no measure."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
import pytest

from benchmarks.native import native
from benchmarks.native.native import echo_command, load
from benchmarks.proxies.floors import (
    BYTE_PROXY,
    HTTP_ECHO,
    HTTPTOOLS_PROXY,
    HYPERCORN_PROXY,
    LINES_PROXY,
    SSE_PROXY,
    STDIO_PROXY,
    Floor,
)
from benchmarks.proxies.processes import call
from benchmarks.proxies.proxy import Upstream

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(native.obstacle() is not None, reason=str(native.obstacle())),
]

CALLS = 60
CALLERS = 6
SIZE = 100_000


@pytest.mark.parametrize("floor", [BYTE_PROXY, HTTPTOOLS_PROXY, HYPERCORN_PROXY, SSE_PROXY])
def test_floor_answers_every_call_also_large_ones_of_many_callers(
    floor: Floor, tmp_path: Path
) -> None:
    (kind,) = floor.kinds
    upstream = Upstream("echo", echo_command(result_bytes=SIZE))
    with floor.serve(kind, [upstream], tmp_path) as running:
        found = call(kind, running, calls=CALLS, callers=CALLERS, result_bytes=SIZE)
    assert found.calls == CALLS


def test_echo_without_a_proxy_answers_every_call(tmp_path: Path) -> None:
    with HTTP_ECHO.serve("http", [], tmp_path) as running:
        assert call("http", running, calls=CALLS, callers=CALLERS).calls == CALLS
        assert running.url is not None
        assert b'"result":{}' in _ask_in_pieces(running.url)


@pytest.mark.parametrize("floor", [BYTE_PROXY, HTTPTOOLS_PROXY, HYPERCORN_PROXY])
def test_floor_answers_with_event_streams_where_it_is_told_to(floor: Floor, tmp_path: Path) -> None:
    with attrs.evolve(floor, option="--events").serve(
        "http", [Upstream("echo", echo_command())], tmp_path
    ) as running:
        assert call("http", running, calls=CALLS, callers=CALLERS).calls == CALLS
        assert running.url is not None
        assert b"text/event-stream" in _ask_in_pieces(running.url)


def _ask_in_pieces(url: str) -> bytes:
    """Send a request byte by byte; return the first bytes of the response."""
    where = urlsplit(url)
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    head = b"POST /mcp HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection((where.hostname, where.port), 30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head % (where.netloc.encode(), len(body)) + body:
            sock.sendall(bytes([byte]))
        return sock.recv(1 << 16)


@pytest.mark.parametrize("floor", [STDIO_PROXY, LINES_PROXY])
def test_floor_on_stdio_answers_every_call_and_ends_with_its_client(
    floor: Floor, tmp_path: Path
) -> None:
    upstream = Upstream("echo", echo_command(result_bytes=SIZE))
    command = floor.command([upstream], tmp_path)
    found = load("stdio", command, calls=CALLS, callers=CALLERS, result_bytes=SIZE)
    assert found.calls == CALLS


def test_floor_says_which_transports_it_does_not_have(tmp_path: Path) -> None:
    upstreams = [Upstream("echo", ("echo",))]
    with (
        pytest.raises(ValueError, match="byte proxy does not serve sse"),
        BYTE_PROXY.serve("sse", upstreams, tmp_path),
    ):
        pass
    with pytest.raises(ValueError, match="byte proxy does not serve stdio"):
        BYTE_PROXY.command(upstreams, tmp_path)
