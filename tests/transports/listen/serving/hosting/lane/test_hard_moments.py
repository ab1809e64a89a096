"""The fast lane at hard moments: its end during an answer, faults, and clients that only send."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.transports.listen.serving.hosting.lane.two_ways import LIMIT_S, Mirror, two_ways
from transports.listen.serving.exchange import EventStream, PendingResponse, empty_answer
from transports.listen.serving.hosting import listener as module
from transports.listen.serving.hosting.arrivals import Arrivals
from transports.listen.serving.hosting.connection import Connection
from transports.listen.serving.hosting.lane.lane import AHEAD_BYTES, Lane
from transports.listen.serving.hosting.lane.lanes import Lanes
from transports.listen.serving.hosting.slow_readers import SlowReaders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from transports.listen.serving.exchange import HttpRequest, KnownHead

PLAIN = b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
NEVER = b"POST /never HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


class Endless(EventStream):
    """Sends one event after another once it may."""

    headers = ((b"content-type", b"text/event-stream"),)
    opening = b"first "

    def __init__(self) -> None:
        self.may_go_on = trio.Event()
        self.closed = trio.Event()

    async def next_chunk(self) -> bytes | None:
        await self.may_go_on.wait()
        await trio.lowlevel.checkpoint()
        return b"more "

    def close(self) -> None:
        self.closed.set()


class Decided(PendingResponse):
    """A response that the test decides."""

    def __init__(self, decision: Any) -> None:
        self.decision = decision
        self.tell: Callable[[], None] | None = None
        self.is_abandoned = False

    def notify(self, changed: Callable[[], None]) -> bool:
        self.tell = changed
        return True

    def decided(self) -> Any:
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision

    async def outcome(self) -> Any:
        return self.decided() or await trio.sleep_forever()

    def commit(self) -> None: ...

    def abandon(self) -> None:
        self.is_abandoned = True


class ByHand(Arrivals):
    """Receives when the test says so."""

    def __init__(self) -> None:
        self.receive: Callable[[], bool] = lambda: False

    def watch(self, number: int, receive: Callable[[], bool]) -> bool:
        self.receive = receive
        return True

    def forget(self, number: int) -> None: ...


class Fixed(Mirror):
    """An endpoint with one response to everything."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self._response = response

    async def respond(self, request: HttpRequest) -> Any:
        await request.read_body()
        return self._response


class Taking(Mirror):
    """An endpoint that answers the first request of each head, and takes others at once.

    Args:
        taken: the response to those, or the error.
    """

    def __init__(self, taken: PendingResponse | Exception) -> None:
        super().__init__()
        self._taken = taken

    async def respond(self, request: HttpRequest) -> Any:
        await request.read_body()
        assert request.known_head is not None
        request.known_head.keep(None, None, "", self._take_one)
        return empty_answer(202)

    def _take_one(self, _known: KnownHead, _body: bytes, _address: str) -> PendingResponse:
        if isinstance(self._taken, Exception):
            raise self._taken
        return self._taken


@asynccontextmanager
async def served(lanes: Lanes) -> AsyncIterator[tuple[trio.SocketStream, trio.Nursery]]:
    """Yield the client of a connection, and what serves it."""
    ours, theirs = socket.socketpair()
    accepted = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    connection = Connection(accepted, SlowReaders(), lambda _: None)
    client = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))

    async def go_on() -> None:
        await lanes.serve(connection)

    try:
        with trio.fail_after(LIMIT_S):
            async with client, trio.open_nursery() as nursery:
                nursery.start_soon(go_on)
                yield client, nursery
    finally:
        connection.cut()


def lanes_of(response: Any) -> Lanes:
    return Lanes(Fixed(response), module.as_connected, module.HEAD_LIMIT_BYTES)


@pytest.mark.parametrize("is_decided", [True, False])
async def test_decision_after_the_cancellation_leaves_nothing_open(is_decided: bool) -> None:
    events = Endless()
    pending = Decided(events if is_decided else None)
    async with served(lanes_of(pending)) as (client, nursery):
        await client.send_all(PLAIN)
        await wait_all_tasks_blocked()
        assert pending.tell is not None
        nursery.cancel_scope.cancel()
        pending.tell()  # an event stream, or that it takes long: for the connection's task
    assert events.closed.is_set() == is_decided
    assert pending.is_abandoned != is_decided


@pytest.mark.parametrize("leaves", [True, False])
async def test_request_that_was_taken_at_once_is_abandoned_with_its_connection(
    leaves: bool,
) -> None:
    taken = Decided(None)
    lanes = Lanes(Taking(taken), module.as_connected, module.HEAD_LIMIT_BYTES)
    async with served(lanes) as (client, nursery):
        nursery.start_soon(lanes.receive)
        await client.send_all(PLAIN)
        await client.receive_some()
        await client.send_all(PLAIN)
        await wait_all_tasks_blocked()
        assert taken.tell is not None
        if leaves:
            await client.aclose()
            await wait_all_tasks_blocked()
            assert taken.is_abandoned
        nursery.cancel_scope.cancel()
    assert taken.is_abandoned


async def test_request_behind_one_that_was_taken_at_once_waits_for_its_answer() -> None:
    taken = Decided(empty_answer(200))
    lanes = Lanes(Taking(taken), module.as_connected, module.HEAD_LIMIT_BYTES)
    async with served(lanes) as (client, nursery):
        nursery.start_soon(lanes.receive)
        await client.send_all(PLAIN)
        await client.receive_some()
        await client.send_all(PLAIN)
        await wait_all_tasks_blocked()
        await client.send_all(PLAIN)
        await wait_all_tasks_blocked()
        assert taken.tell is not None
        taken.tell()
        received = b""
        while received.count(b"HTTP/1.1 2") < 2:
            received += await client.receive_some()
        assert received.index(b"HTTP/1.1 200") < received.index(b"HTTP/1.1 202")
        nursery.cancel_scope.cancel()


async def test_fault_while_a_request_is_taken_ends_its_connection_alone() -> None:
    lanes = Lanes(Taking(ValueError("a bug")), module.as_connected, module.HEAD_LIMIT_BYTES)
    failed = trio.Event()
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lanes.receive)
            with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="a bug")):
                async with served(lanes) as (client, _):
                    await client.send_all(PLAIN)
                    await client.receive_some()
                    await client.send_all(PLAIN)
                    await trio.sleep_forever()
            failed.set()
            nursery.cancel_scope.cancel()
    assert failed.is_set()


async def test_response_that_cannot_be_had_ends_its_connection() -> None:
    pending = Decided(ValueError("a bug"))
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="a bug")):
        async with served(lanes_of(pending)) as (client, _):
            await client.send_all(PLAIN)
            await wait_all_tasks_blocked()
            assert pending.tell is not None
            with pytest.raises(ValueError, match="a bug"):
                pending.tell()
            await trio.sleep_forever()


async def test_request_is_not_begun_if_the_connection_ends_before_its_turn() -> None:
    ours, theirs = socket.socketpair()
    connection = Connection(
        trio.SocketStream(trio.socket.from_stdlib_socket(ours)), SlowReaders(), lambda _: None
    )
    connection.arrivals = by_hand = ByHand()
    endpoint = Mirror()
    lane = Lane(connection, endpoint, module.as_connected, module.HEAD_LIMIT_BYTES)
    with theirs, trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.serve)
            await wait_all_tasks_blocked()
            theirs.send(PLAIN)
            by_hand.receive()
            lane.end()
    assert endpoint.bodies == []


async def test_connection_that_comes_after_the_end_is_closed() -> None:
    lanes = lanes_of(None)
    lanes.end()
    async with served(lanes) as (client, _):
        assert await client.receive_some() == b""


async def test_client_of_an_event_stream_that_sends_without_limit_and_leaves_is_noticed() -> None:
    events = Endless()
    async with served(lanes_of(events)) as (client, nursery):
        await client.send_all(PLAIN)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * AHEAD_BYTES)
        nursery.start_soon(client.send_all, b"x" * 2 * AHEAD_BYTES)
        await wait_all_tasks_blocked()
        assert (await client.receive_some()).startswith(b"HTTP/1.1 200")
        client.socket.close()
        events.may_go_on.set()
        await events.closed.wait()


async def test_many_requests_in_one_packet_make_nobody_wait(tmp_path: Path) -> None:
    turn, turns, count = 0, set[int](), 200

    async def take_turns() -> None:
        nonlocal turn
        while True:
            await trio.lowlevel.checkpoint()
            turn += 1

    async with two_ways(tmp_path) as ways, trio.open_nursery() as nursery:
        respond = ways.lane.endpoint.respond

        async def note_turn(request: HttpRequest) -> Any:
            turns.add(turn)
            return await respond(request)

        ways.lane.endpoint.respond = note_turn
        nursery.start_soon(take_turns)
        async with await trio.open_unix_socket(ways.lane.path) as stream:
            await stream.send_all(REFUSED * count)
            received = b""
            while received.count(b"HTTP/1.1 401") < count:
                received += await stream.receive_some()
        nursery.cancel_scope.cancel()
    assert len(turns) >= count // 2


async def test_later_requests_of_a_client_that_is_gone_are_not_begun(tmp_path: Path) -> None:
    async with two_ways(tmp_path) as ways:
        async with await trio.open_unix_socket(ways.lane.path) as stream:
            await stream.send_all(NEVER * 3)
            await wait_all_tasks_blocked()
        await ways.lane.endpoint.abandoned.wait()
        await wait_all_tasks_blocked()
        assert ways.lane.endpoint.bodies == [b"{}"]
