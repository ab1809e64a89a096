"""Clients that ask for much and read it slowly, or not at all."""

from __future__ import annotations

import json
import socket
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.process_resources import MIB, resident_bytes
from tests.e2e.raw_client import HttpClient
from tests.e2e.secured_router import LIMIT_S, rpc
from transports.listen.serving.asgi import SEND_S
from transports.listen.serving.unread_bytes import CHECK_BYTES, UnreadLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace

LARGE: Final = Path(__file__).with_name("large_upstream.py")
LARGEST_BYTES: Final = 14 * MIB


@pytest.fixture
def router(workspace: Workspace) -> Iterator[RouterProcess]:
    """A router whose one server gives as much as it is asked for."""
    workspace.add_command("large", sys.executable, str(LARGE))
    with workspace.serve("http") as router:
        router.stderr.wait_for("large is ready")
        yield router


def asking(netloc: str, size_bytes: int) -> socket.socket:
    """Ask for a result of this size on a connection of its own; read nothing of it."""
    arguments = {"instance_name": "large", "tool_name": "give", "arguments": {"bytes": size_bytes}}
    body = json.dumps(rpc("tools/call", name="mcp.router.call", arguments=arguments)).encode()
    host, port = netloc.split(":")
    sock = socket.create_connection((host, int(port)), timeout=LIMIT_S)
    sock.sendall(
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json, text/event-stream\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    return sock


def rest_of(sock: socket.socket) -> int:
    """Read until the other side closes; return how many bytes came."""
    got = 0
    try:
        while data := sock.recv(1 << 20):
            got += len(data)
    except ConnectionResetError:
        pass
    return got


@pytest.mark.fault(21, "clients never read", "unread bytes bounded, others served")
def test_clients_that_never_read_lose_what_is_beyond_the_limit_and_others_are_served(
    router: RouterProcess,
) -> None:
    netloc = router.netloc("/mcp")
    limit_bytes = UnreadLimits().principal_bytes
    asked = 2 * limit_bytes // LARGEST_BYTES
    with ExitStack() as held, closing(HttpClient(router.url("/mcp"))) as client:
        client.initialize()
        before_bytes = resident_bytes(router.pid)
        peak_bytes = 0
        socks: list[socket.socket] = []
        for _ in range(asked):
            socks.append(held.enter_context(closing(asking(netloc, LARGEST_BYTES))))
            given = client.call(1, "large", "give", bytes=10)
            assert len(given["content"][0]["text"]) == 10
            peak_bytes = max(peak_bytes, resident_bytes(router.pid))
        router.stderr.wait_for(r"Clients have too much to read \(at most 256 MB")
        # What is dropped counts with its copies: the line of the server, and its frame.
        assert peak_bytes - before_bytes < limit_bytes + 4 * CHECK_BYTES
        assert rest_of(socks[0]) < LARGEST_BYTES, "the slowest went first"
        assert len(socks[-1].recv(1 << 20)) > 0


@pytest.mark.fault(21, "client reads nothing", "cut in about 30 s")
def test_client_that_reads_nothing_is_cut_within_half_a_minute(router: RouterProcess) -> None:
    with closing(asking(router.netloc("/mcp"), LARGEST_BYTES)) as sock:
        began_s = time.monotonic()
        router.stderr.wait_for("cut a connection whose client read next to nothing", LIMIT_S + 10)
        assert time.monotonic() - began_s < SEND_S + 1.0
        assert rest_of(sock) < LARGEST_BYTES


@pytest.mark.fault(21, "client reads slowly but steadily", "gets everything")
def test_client_that_reads_slowly_but_steadily_gets_everything(router: RouterProcess) -> None:
    """As much as would take it 40 s, at 270 kB/s."""
    size_bytes, per_s = 11 * MIB, 270_000
    with closing(asking(router.netloc("/mcp"), size_bytes)) as sock:
        got, began_s = 0, time.monotonic()
        while got < size_bytes:
            data = sock.recv(per_s // 4)
            assert data, f"cut after {time.monotonic() - began_s:.1f} s with {got} bytes"
            got += len(data)
            behind_s = got / per_s - (time.monotonic() - began_s)
            time.sleep(max(0.0, behind_s))  # the pace of this client is what is tested
        assert time.monotonic() - began_s > SEND_S
