"""The fast lane on its own: what it serves, when it gives up a connection, and how it ends.

How it answers is compared with Hypercorn in `test_same_answers`.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.transports.listen.serving.hosting.lane.two_ways import Mirror, two_ways
from transports.listen.serving import asgi
from transports.listen.serving.hosting import hypercorn_server
from transports.listen.serving.hosting import listener as module
from transports.listen.serving.hosting.connection import Connection
from transports.listen.serving.hosting.lane.lanes import Lanes
from transports.listen.serving.hosting.slow_readers import SlowReaders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.transports.listen.serving.hosting.lane.two_ways import Way

PLAIN = b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
NEVER = b"POST /never HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
GET = b"GET /mcp HTTP/1.1\r\nHost: x\r\n\r\n"
DELETE = b"DELETE /mcp HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    async with two_ways(tmp_path) as ways:
        yield ways.lane


class NoServer:
    """Stands in for Hypercorn, and notes what it is given."""

    received: bytes = b""

    def __init__(self, *args: Any) -> None:
        self._connection = args[-1]

    def __await__(self) -> Any:
        return self._run().__await__()

    async def _run(self) -> None:
        NoServer.received = await self._connection.receive_some(1 << 16)


async def test_paths_of_the_application_itself_go_past_the_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi.AsgiApp, "own_paths", frozenset({"/livez"}))
    monkeypatch.setattr(hypercorn_server, "Http1Server", NoServer)
    asking = b"GET /livez HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
    async with two_ways(tmp_path) as ways:
        await ways.lane.outcome_of([PLAIN, asking])
        assert NoServer.received == asking
        assert ways.lane.endpoint.bodies == [b"{}"]


async def test_plain_requests_go_past_hypercorn_and_others_go_there_whole(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypercorn_server, "Http1Server", NoServer)
    outcome = await way.outcome_of([PLAIN, DELETE, PLAIN + GET])
    assert outcome.received.count(b"HTTP/1.1 200") == 3
    assert NoServer.received == GET
    assert not outcome.is_open


async def test_hypercorn_that_another_task_imports_is_waited_for_in_a_thread(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded_in: list[threading.Thread] = []

    def load() -> Any:
        loaded_in.append(threading.current_thread())
        return hypercorn_server.HypercornServer

    half_imported = types.ModuleType(hypercorn_server.__name__)
    monkeypatch.setitem(sys.modules, hypercorn_server.__name__, half_imported)
    monkeypatch.setattr(module, "_hypercorn_class", load)
    async with await trio.open_unix_socket(way.path) as stream:
        await stream.send_all(GET)
        await stream.receive_some()
    assert loaded_in[0] is not threading.main_thread()


async def test_connection_that_asks_for_nothing_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.0)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    async with two_ways(tmp_path) as ways:
        for beginning in (b"", PLAIN, PLAIN[:10]):
            async with await trio.open_unix_socket(ways.lane.path) as stream:
                await stream.send_all(beginning)
                received = b"".join([chunk async for chunk in stream])
                assert received[:12] in (b"", b"HTTP/1.1 200")


async def test_whoever_resets_its_connection_does_not_hide_its_address() -> None:
    endpoint = Mirror()
    lanes = Lanes(endpoint, module.as_connected, module.HEAD_LIMIT_BYTES)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        connection = Connection(await listener.accept(), SlowReaders(), lambda _: None)
        await client.send_all(PLAIN)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
        assert not await lanes.serve(connection)
    assert endpoint.bodies == []


async def test_client_that_leaves_cancels_its_request(way: Way) -> None:
    async with await trio.open_unix_socket(way.path) as stream:
        await stream.send_all(NEVER)
        await wait_all_tasks_blocked()
        assert not way.endpoint.abandoned.is_set()
    await way.endpoint.abandoned.wait()


async def test_later_requests_are_not_read_without_limit(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "UNWATCHED_S", 0.0)
    has_sent_all = False

    async def send_much(stream: trio.SocketStream) -> None:
        nonlocal has_sent_all
        await stream.send_all(NEVER)
        await stream.send_all(PLAIN * 1_000_000)
        has_sent_all = True

    async with await trio.open_unix_socket(way.path) as stream, trio.open_nursery() as nursery:
        nursery.start_soon(send_much, stream)
        await wait_all_tasks_blocked()
        assert not has_sent_all
        nursery.cancel_scope.cancel()
