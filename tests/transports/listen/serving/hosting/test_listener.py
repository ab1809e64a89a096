"""Hypercorn around an endpoint, on real sockets."""

from __future__ import annotations

import json
import logging
import socket
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio

from router.messages.events import ClientClosed, ClientOpened, FromClient
from router.messages.revisions import STATELESS_REVISION
from tests.transports.listen.endpoint_client import message
from tests.transports.listen.fake_actor import (
    CHANGED,
    FakeActor,
    admit,
    put,
    response,
)
from transports.listen.http.http_endpoint import HttpEndpoint
from transports.listen.http.posts.routing_headers import REVISION_KEY
from transports.listen.http.sse_endpoint import SseEndpoint
from transports.listen.serving.asgi import AsgiApp
from transports.listen.serving.exchange import Answer, json_answer
from transports.listen.serving.hosting import connection, slow_readers, spare_places
from transports.listen.serving.hosting import listener as module
from transports.listen.serving.hosting.connection_counts import ConnectionCounts
from transports.listen.serving.hosting.hand_over import HandOver
from transports.listen.serving.hosting.listener import AsgiListener, connection_limit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from transports.listen.serving.exchange import Endpoint

LIMIT_S: Final = 30
"""No test takes a second; this is what makes a hang a failure."""

CALL: Final = json.dumps(message("tools/call", 7, name="echo")).encode()


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


@attrs.frozen
class Site:
    """A running listener."""

    port: int
    address: str
    stopping: trio.Event
    ended: trio.Event
    clients: list[Client] = attrs.field(factory=list)

    async def connect(self) -> Client:
        client = Client(await trio.open_tcp_stream("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    def hang_up(self) -> None:
        for client in self.clients:
            client.stream.socket.close()


class Client:
    """A raw connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._received = b""

    async def send(self, method: str, target: str, body: bytes = b"", *extra: str) -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: x", "Content-Type: application/json", *extra]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        await self.stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)

    async def until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`, or what came before the end."""
        while mark not in self._received:
            data = await self.stream.receive_some()
            if not data:
                rest, self._received = self._received, b""
                return rest
            self._received += data
        found, mark, self._received = self._received.partition(mark)
        return found + mark

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def post(self, body: bytes, *extra: str) -> int:
        await self.send("POST", "/mcp", body, *extra)
        return await self.status()

    async def status(self) -> int:
        head = (await self.head()).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
        while len(self._received) < length:
            self._received += await self.stream.receive_some()
        self._received = self._received[length:]
        return int(head.split()[1])


@asynccontextmanager
async def serving(
    sock: socket.socket, endpoint: Callable[[], Endpoint], **more: Any
) -> AsyncIterator[Site]:
    port = sock.getsockname()[1]
    address = f"http://127.0.0.1:{port}/mcp"
    listener = AsgiListener(sock, address, lambda: AsgiApp(endpoint()), **more)
    stopping, ended = trio.Event(), trio.Event()

    async def run(*, task_status: trio.TaskStatus[str]) -> None:
        await listener(stopping, task_status=task_status)
        ended.set()

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            site = Site(port, await nursery.start(run), stopping, ended)
            try:
                yield site
            finally:
                stopping.set()
                site.hang_up()


def http(actor: FakeActor) -> Callable[[], Endpoint]:
    return partial(HttpEndpoint, actor.inbox, admit)


class Large(SseEndpoint):
    """An endpoint whose answers are too large for the buffers between two sockets."""

    SIZE_BYTES: Final = 64 * 1024 * 1024

    async def respond(self, request: Any) -> Answer:
        await request.read_body()
        return json_answer(b"x" * self.SIZE_BYTES)


# --- Serving ---------------------------------------------------------------------------------


if TYPE_CHECKING:
    Serve = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture(params=[False, True], ids=["hypercorn", "fast lane"])
def serve(sock: socket.socket, request: pytest.FixtureRequest) -> Serve:
    return partial(serving, sock, has_fast_lane=request.param)


async def test_address_is_told_once_it_accepts(serve: Serve, actor: FakeActor) -> None:
    async with serve(http(actor)) as site:
        assert site.address == f"http://127.0.0.1:{site.port}/mcp"
        client = await site.connect()
        await client.send("GET", "/nothing")
        assert b" 404 " in await client.head()


async def test_head_of_an_answer_without_content_is_sent(serve: Serve, actor: FakeActor) -> None:
    async with serve(http(actor)) as site:
        client = await site.connect()
        for _ in range(2):
            await client.send("HEAD", "/mcp")
            head = await client.head()
            assert head.startswith(b"HTTP/1.1 405 ")
            assert b"content-length: " in head


async def test_client_is_where_the_proxy_tells(serve: Serve, actor: FakeActor) -> None:
    peers: list[str] = []

    def locate(peer: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
        peers.append(peer)
        return dict(headers)[b"x-forwarded-for"].decode(), "/mcp"

    async with serve(http(actor), locate=locate) as site, trio.open_nursery() as nursery:
        client = await site.connect()
        nursery.start_soon(client.post, CALL, "X-Forwarded-For: 203.0.113.7")
        assert (await actor.next(ClientOpened)).address == "203.0.113.7"
        await actor.answer()
    assert peers == ["127.0.0.1"]


async def test_stream_behind_a_prefix_says_where_to_post_there(
    serve: Serve, actor: FakeActor
) -> None:
    endpoint = partial(SseEndpoint, actor.inbox, admit)
    async with serve(endpoint, locate=lambda *_: ("192.0.2.1", "/sse")) as site:
        client = await site.connect()
        await client.send("GET", "/sse")
        assert (await actor.next(ClientOpened)).address == "192.0.2.1"
        assert b"data: /sse/messages?session_id=" in await client.until(b"session_id=")


async def test_client_without_a_proxy_is_the_peer(serve: Serve, actor: FakeActor) -> None:
    async with serve(http(actor)) as site, trio.open_nursery() as nursery:
        client = await site.connect()
        nursery.start_soon(client.post, CALL, "X-Forwarded-For: 203.0.113.7")
        assert (await actor.next(ClientOpened)).address == "127.0.0.1"
        await actor.answer()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets")
async def test_peer_on_a_unix_socket_has_no_address(tmp_path: Path, actor: FakeActor) -> None:
    peers: list[str] = []

    def locate(peer: str, _: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
        peers.append(peer)
        return ("203.0.113.7" if len(peers) > 1 else peer), ""

    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as sock, trio.fail_after(LIMIT_S):
        sock.bind(path)
        listener = AsgiListener(sock, "", lambda: AsgiApp(http(actor)()), locate=locate)
        async with trio.open_nursery() as nursery:
            await nursery.start(listener, trio.Event())
            client = Client(await trio.open_unix_socket(path))
            for address in ("", "203.0.113.7"):
                await client.send("POST", "/mcp", CALL)
                assert (await actor.next(ClientOpened)).address == address
                await actor.answer()
                assert await client.status() == 200
                await actor.next(ClientClosed)
            client.stream.socket.close()
            nursery.cancel_scope.cancel()
    assert peers == ["", ""]


@pytest.mark.parametrize("more_bytes", [0, 1])
async def test_answer_around_the_limit_of_copies_arrives_whole(
    serve: Serve, actor: FakeActor, more_bytes: int
) -> None:
    result = {"x": "y" * (connection.LARGE_BYTES + more_bytes - len(_WRAPPED))}

    async def answer() -> None:
        await actor.next(ClientOpened)
        await actor.answer(result)

    async with serve(http(actor)) as site, trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        client = await site.connect()
        await client.send("POST", "/mcp", CALL)
        assert f"content-length: {connection.LARGE_BYTES + more_bytes}\r\n".encode() in (
            await client.head()
        )
        body = json.loads(await client.until(b'"}}'))
        assert body["result"] == result


_WRAPPED: Final = '{"jsonrpc":"2.0","id":7,"result":{"x": ""}}'


async def test_many_calls_on_one_connection(serve: Serve, actor: FakeActor) -> None:
    async def answer_all() -> None:
        while True:
            opened = await actor.next(ClientOpened)
            await actor.answer({"x": 1})
            assert (await actor.next(ClientClosed)).client == opened.client

    async with serve(http(actor)) as site, trio.open_nursery() as nursery:
        nursery.start_soon(answer_all)
        client = await site.connect()
        for _ in range(50):
            assert await client.post(CALL) == 200
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "headers",
    [("Transfer-Encoding: chunked",), ("Host: y",), ("Content-Length: 1",)],
    ids=["length and encoding", "two hosts", "two lengths"],
)
async def test_head_that_can_be_read_in_two_ways_is_400_and_closed(
    serve: Serve, actor: FakeActor, headers: tuple[str]
) -> None:
    async with serve(http(actor)) as site:
        client = await site.connect()
        await client.send("POST", "/mcp", CALL, *headers)
        answer = await client.until(b"never")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close" in answer.lower()


async def test_head_that_is_too_large_is_refused(serve: Serve, actor: FakeActor) -> None:
    async with serve(http(actor)) as site:
        client = await site.connect()
        await client.stream.send_all(b"GET /mcp HTTP/1.1\r\nX: " + b"x" * module.HEAD_LIMIT_BYTES)
        assert (await client.head()).startswith(b"HTTP/1.1 431 ")


async def test_refused_call_leaves_the_connection_usable(serve: Serve, actor: FakeActor) -> None:
    async with serve(http(actor)) as site:
        client = await site.connect()
        for _ in range(20):
            assert await client.post(CALL, "Authorization: nobody") == 401


async def test_disconnect_closes_the_lone_client(serve: Serve, actor: FakeActor) -> None:
    async with serve(http(actor)) as site:
        client = await site.connect()
        await client.send("POST", "/mcp", CALL)
        opened = await actor.next(ClientOpened)
        await actor.next(FromClient)
        await client.stream.aclose()
        assert (await actor.next(ClientClosed)).client == opened.client


async def test_stream_that_is_ended_at_once_says_its_endpoint_nevertheless(
    serve: Serve, actor: FakeActor
) -> None:
    async with serve(partial(SseEndpoint, actor.inbox, admit)) as site:
        for _ in range(20):
            client = await site.connect()
            await client.send("GET", "/sse")
            (await actor.next(ClientOpened)).outbox.close()
            await actor.next(ClientClosed)
            answer = await client.until(b"\r\n0\r\n\r\n")
            assert b"data: /messages?session_id=" in answer


async def test_events_arrive_when_they_are_sent(serve: Serve, actor: FakeActor) -> None:
    async with serve(partial(SseEndpoint, actor.inbox, admit)) as site:
        client = await site.connect()
        await client.send("GET", "/sse")
        opened = await actor.next(ClientOpened)
        await client.until(b"\n\n\r\n")
        for _ in range(3):
            put(opened.outbox, CHANGED)
            assert b"list_changed" in await client.until(b"\n\n\r\n")


# --- What clients do wrong -------------------------------------------------------------------


class Heard(logging.Handler):
    """A log whose first line can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.line = trio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.line.set()


async def test_client_that_does_not_read_is_cut(
    serve: Serve,
    actor: FakeActor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(slow_readers, "SEND_S", 0.2)
    monkeypatch.setattr(slow_readers, "LOOK_S", 0.05)
    caplog.set_level("INFO")
    heard = Heard()
    module.log.addHandler(heard)
    async with serve(partial(Large, actor.inbox, admit)) as site:
        slow = await site.connect()
        await slow.send("POST", "/mcp", CALL)
        await heard.line.wait()
        assert "read next to nothing" in caplog.text
        assert len(await slow.until(b"never")) < Large.SIZE_BYTES
    module.log.removeHandler(heard)


async def test_connections_beyond_the_limit_are_503_and_closed(
    serve: Serve,
    actor: FakeActor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(spare_places, "SPARE_SHARE", 1)
    counts = ConnectionCounts()
    async with serve(http(actor), max_connections=3, counts=counts) as site:
        clients = [await site.connect() for _ in range(3)]
        for client in clients:
            assert await client.post(CALL, "Authorization: nobody") == 401
        for _ in range(3):
            refused = await site.connect()
            await refused.send("POST", "/mcp", CALL)
            head = (await refused.head()).decode()
            assert head.startswith("HTTP/1.1 503 ")
            assert "retry-after: 5\r\n" in head
            assert b"Too many connections" in await refused.until(b"nothing more")
        assert await clients[0].post(CALL, "Authorization: nobody") == 401
    told = [record.args for record in caplog.records if "places" in record.msg]
    assert told == [(3, 1), (3, 2)]
    assert (counts.accepted, counts.open, counts.turned_away) == (3, 0, 3)
    assert counts.unread_bytes == 0


async def test_connections_beyond_the_spare_places_are_closed_at_once(
    serve: Serve, actor: FakeActor
) -> None:
    async with serve(http(actor), max_connections=2) as site:
        for client in [await site.connect() for _ in range(2)]:
            assert await client.post(CALL, "Authorization: nobody") == 401
        first = await site.connect()
        assert b" 503 " in await first.head()  # it does not close, so it keeps the spare place
        second = await site.connect()
        assert await second.until(b"never") == b""
        first.stream.socket.close()
        third = await site.connect()
        while not await third.until(b"later"):
            third = await site.connect()  # the place is free a moment after the first is closed


async def test_connection_that_fails_ends_only_itself(
    serve: Serve, actor: FakeActor, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(HttpEndpoint):
        async def respond(self, request: Any) -> Any:
            if request.method == "PUT":
                raise RuntimeError("a bug")
            return await super().respond(request)

    async with serve(partial(Failing, actor.inbox, admit)) as site:
        first, second = await site.connect(), await site.connect()
        await first.send("PUT", "/mcp")
        assert (await first.head()).startswith(b"HTTP/1.1 500 ")
        assert await second.post(CALL, "Authorization: nobody") == 401
    assert [record.name for record in caplog.records] == ["mcp_router.listen"]


# --- Stopping --------------------------------------------------------------------------------


async def test_stop_ends_streams_and_idle_connections(serve: Serve, actor: FakeActor) -> None:
    async with serve(partial(SseEndpoint, actor.inbox, admit)) as site:
        idle, streaming = await site.connect(), await site.connect()
        await streaming.send("GET", "/sse")
        await actor.next(ClientOpened)
        site.stopping.set()
        assert (await streaming.until(b"never")).endswith(b"0\r\n\r\n")
        assert await idle.until(b"never") == b""
        await actor.next(ClientClosed)
        await site.ended.wait()


async def test_stop_ends_a_listen_after_its_last_event(serve: Serve, actor: FakeActor) -> None:
    listen = json.dumps(
        message("subscriptions/listen", 7, _meta={REVISION_KEY: STATELESS_REVISION})
    )
    routing = (f"MCP-Protocol-Version: {STATELESS_REVISION}", "Mcp-Method: subscriptions/listen")
    async with serve(http(actor)) as site:
        client = await site.connect()
        await client.send("POST", "/mcp", listen.encode(), *routing)
        await actor.next(ClientOpened)
        asked = await actor.next(FromClient)
        put(asked.reply_to, CHANGED)
        assert b"list_changed" in await client.until(b"}\n\n")
        put(asked.reply_to, response(7))
        site.stopping.set()
        assert b'"id":7' in await client.until(b"nothing more")
        await site.ended.wait()


async def test_restart_serves_on_the_same_socket(
    sock: socket.socket, serve: Serve, actor: FakeActor
) -> None:
    for _ in range(3):
        async with serve(http(actor)) as site:
            client = await site.connect()
            assert await client.post(CALL, "Authorization: nobody") == 401
    assert sock.getsockname()[1]


async def test_stop_cuts_who_does_not_read(
    serve: Serve, actor: FakeActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.1)
    async with serve(partial(Large, actor.inbox, admit)) as site:
        slow = await site.connect()
        await slow.send("POST", "/mcp", CALL)
        await slow.head()
        site.stopping.set()
        await site.ended.wait()


async def test_stop_answers_what_is_still_open(serve: Serve, actor: FakeActor) -> None:
    async with serve(http(actor)) as site:
        client = await site.connect()
        await client.send("POST", "/mcp", CALL)
        await actor.next(ClientOpened)
        await actor.next(FromClient)
        site.stopping.set()
        assert await client.status() == 503
        await site.ended.wait()


async def test_cancellation_ends_the_listener_too(serve: Serve, actor: FakeActor) -> None:
    async with serve(http(actor)) as site:
        client = await site.connect()
        await client.send("POST", "/mcp", CALL)
        await actor.next(ClientOpened)
        asked = await actor.next(FromClient)
        put(asked.reply_to, response(7))
        assert await client.status() == 200
        await actor.next(ClientClosed)
        await client.send("POST", "/mcp", CALL)
        await actor.next(ClientOpened)

    with trio.move_on_after(0.2):
        async with serve(http(actor)) as site:
            client = await site.connect()
            await client.send("POST", "/mcp", CALL)
            await trio.sleep_forever()


def test_limit_of_connections_leaves_files_for_the_rest() -> None:
    assert 0 < connection_limit() <= module.MAX_CONNECTIONS


# --- Handing the socket over -------------------------------------------------------------------


@pytest.fixture
def handed_over(sock: socket.socket) -> socket.socket:
    """A socket on which the service manager goes on listening."""
    sock.listen(16)
    return sock


@pytest.fixture(params=[False, True], ids=["hypercorn", "fast lane"])
def serve_handed_over(handed_over: socket.socket, request: pytest.FixtureRequest) -> Serve:
    return partial(serving, handed_over, has_fast_lane=request.param)


async def test_answer_after_a_hand_over_has_begun_closes_its_connection(
    serve_handed_over: Serve, actor: FakeActor
) -> None:
    hand_over = HandOver()
    async with serve_handed_over(http(actor), hand_over=hand_over) as site:
        client = await site.connect()
        assert await client.post(CALL, "Authorization: nobody") == 401
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hand_over.complete)
            await hand_over.begun.wait()
            await client.send("POST", "/mcp", CALL, "Authorization: nobody")
            head = (await client.head()).lower()
            assert b" 401 " in head
            assert b"connection: close" in head
            await client.until(b"never")  # it is closed


async def test_new_connections_wait_in_a_socket_that_is_handed_over(
    serve_handed_over: Serve, actor: FakeActor
) -> None:
    hand_over = HandOver()
    async with serve_handed_over(http(actor), hand_over=hand_over) as site:
        await hand_over.complete()
        waiting = Client(await trio.open_tcp_stream("127.0.0.1", site.port))
        await waiting.send("GET", "/nothing")
    async with serve_handed_over(http(actor), hand_over=HandOver()):
        assert b" 404 " in await waiting.head()
        waiting.stream.socket.close()


async def test_accepted_connection_has_its_request_served_and_is_closed(
    serve_handed_over: Serve, actor: FakeActor
) -> None:
    hand_over = HandOver()
    async with serve_handed_over(http(actor), hand_over=hand_over) as site:
        used, fresh = await site.connect(), await site.connect()
        await used.send("GET", "/nothing")
        await used.status()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hand_over.complete)
            await hand_over.begun.wait()
            for client in (used, fresh):
                await client.send("GET", "/nothing")
                head = (await client.head()).lower()
                assert b" 404 " in head
                assert b"connection: close" in head
                await client.until(b"never")  # it is closed


async def test_hand_over_waits_for_requests_that_have_no_answer_yet(
    serve_handed_over: Serve, actor: FakeActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HAND_OVER_IDLE_S", 0.01)
    hand_over, is_complete = HandOver(), trio.Event()

    async def complete() -> None:
        await hand_over.complete()
        is_complete.set()

    async with serve_handed_over(http(actor), hand_over=hand_over) as site:
        client = await site.connect()
        await client.send("POST", "/mcp", CALL)
        await actor.next(ClientOpened)
        asked = await actor.next(FromClient)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(complete)
            await hand_over.begun.wait()
            with trio.move_on_after(0.1):
                await is_complete.wait()
            assert not is_complete.is_set()
            put(asked.reply_to, response(7))
            assert await client.status() == 200
            await is_complete.wait()


async def test_idle_connections_and_event_streams_do_not_hold_up_a_hand_over(
    serve_handed_over: Serve, actor: FakeActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HAND_OVER_IDLE_S", 0.01)
    hand_over = HandOver()
    endpoint = partial(SseEndpoint, actor.inbox, admit)
    async with serve_handed_over(endpoint, hand_over=hand_over) as site:
        idle, stream = await site.connect(), await site.connect()
        await stream.send("GET", "/sse")
        opened = await actor.next(ClientOpened)
        await hand_over.complete()
        assert await idle.until(b"never") == b""
        put(opened.outbox, CHANGED)
        assert b"list_changed" in await stream.until(b"list_changed")
