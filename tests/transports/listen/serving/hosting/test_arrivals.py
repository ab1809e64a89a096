"""One task that receives for many connections."""

from __future__ import annotations

import gc
import select
import socket
import struct
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from transports.listen.serving.hosting.arrivals import Arrivals, open_arrivals
from transports.listen.serving.hosting.connection import Connection
from transports.listen.serving.hosting.slow_readers import SlowReaders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        yield ours, theirs


@pytest.fixture
async def arrivals(nursery: trio.Nursery) -> AsyncIterator[Arrivals]:
    with open_arrivals() as opened:
        assert opened is not None
        nursery.start_soon(opened.run)
        yield opened
        nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()


@pytest.fixture
async def connection(
    pair: tuple[socket.socket, socket.socket], arrivals: Arrivals
) -> AsyncIterator[Connection]:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(pair[0].dup()))
    connection = Connection(stream, SlowReaders(), lambda _: None)
    connection.arrivals = arrivals
    yield connection
    connection.cut()


async def test_socket_is_received_from_until_nobody_wants_it(
    pair: tuple[socket.socket, socket.socket], arrivals: Arrivals
) -> None:
    ours, theirs = pair
    received: list[bytes] = []

    def receive() -> bool:
        received.append(ours.recv(1))
        return len(received) < 2

    for _ in range(2):  # to watch it twice changes nothing
        assert arrivals.watch(ours.fileno(), receive)
    theirs.send(b"abc")
    await wait_all_tasks_blocked()
    assert received == [b"a", b"b"]
    assert arrivals.watch(ours.fileno(), receive)
    await wait_all_tasks_blocked()
    assert received == [b"a", b"b", b"c"]
    arrivals.forget(ours.fileno())
    arrivals.forget(ours.fileno())


async def test_socket_that_was_forgotten_in_the_same_turn_is_left_alone(arrivals: Arrivals) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    served: list[int] = []
    for ours, theirs in pairs:

        def receive(number: int = ours.fileno()) -> bool:
            served.append(number)
            for one, _ in pairs:
                arrivals.forget(one.fileno())
            return True

        arrivals.watch(ours.fileno(), receive)
        theirs.send(b"x")
    await wait_all_tasks_blocked()
    assert len(served) == 1
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


async def test_after_the_end_nothing_is_watched(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    with open_arrivals() as opened:
        assert opened is not None
        assert opened.watch(ours.fileno(), lambda: True)
    assert not opened.watch(pair[1].fileno(), lambda: True)
    opened.forget(ours.fileno())


def test_system_without_epoll_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")
    with open_arrivals() as opened:
        assert opened is None


async def test_data_is_taken_without_the_task_that_waits(
    pair: tuple[socket.socket, socket.socket], connection: Connection
) -> None:
    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        return data != b"last"

    async with trio.open_nursery() as nursery:
        returned: list[bytes | None] = []

        async def receive() -> None:
            returned.append(await connection.receive_unless_interrupted(64, take))

        nursery.start_soon(receive)
        for data in (b"one", b"two", b"last"):
            await wait_all_tasks_blocked()
            assert returned == []
            pair[1].send(data)
    assert returned == [b"last"]
    assert taken == [b"one", b"two", b"last"]


async def test_what_comes_while_nobody_waits_is_there_later(
    pair: tuple[socket.socket, socket.socket], connection: Connection
) -> None:
    pair[1].send(b"one")
    assert await connection.receive_unless_interrupted(64, lambda _: False) == b"one"
    pair[1].send(b"two")
    await wait_all_tasks_blocked()
    assert await connection.receive_unless_interrupted(64, lambda _: False) == b"two"
    pair[1].close()
    assert await connection.receive_unless_interrupted(64, lambda _: False) == b""


async def test_wait_ends_when_it_is_interrupted_or_cut(connection: Connection) -> None:
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            assert await connection.receive_unless_interrupted(64, lambda _: True) is None
            with pytest.raises(trio.ClosedResourceError):
                await connection.receive_unless_interrupted(64, lambda _: True)

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        connection.interrupt()
        await wait_all_tasks_blocked()
        connection.cut()
    with pytest.raises(trio.ClosedResourceError):
        await connection.receive_unless_interrupted(64, lambda _: True)


async def test_cancelled_wait_loses_nothing(
    pair: tuple[socket.socket, socket.socket], connection: Connection
) -> None:
    with trio.move_on_after(0):
        await connection.receive_unless_interrupted(64, lambda _: True)
    pair[1].send(b"x")
    await wait_all_tasks_blocked()
    assert await connection.receive_unless_interrupted(64, lambda _: False) == b"x"


async def test_fault_of_the_one_who_takes_is_raised_where_somebody_waits(
    pair: tuple[socket.socket, socket.socket], connection: Connection
) -> None:
    def fail(_: bytes) -> bool:
        connection.interrupt()
        raise ValueError("a bug")

    pair[1].send(b"x")
    with pytest.raises(ValueError, match="a bug"):
        await connection.receive_unless_interrupted(64, fail)


@pytest.mark.parametrize("is_reset", [True, False])
async def test_connection_that_was_reset_or_cut_is_no_garbage(
    arrivals: Arrivals, is_reset: bool
) -> None:
    async def serve(connection: Connection) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await connection.receive_unless_interrupted(64, lambda _: True)
        connection.cut()

    def connections() -> list[Connection]:
        return [it for it in gc.get_objects() if type(it) is Connection]

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    gc.collect()
    gc.disable()
    try:
        others = connections()
        async with listener, trio.open_nursery() as nursery:
            client = await trio.open_tcp_stream(*listener.socket.getsockname())
            connection = Connection(await listener.accept(), SlowReaders(), lambda _: None)
            connection.arrivals = arrivals
            nursery.start_soon(serve, connection)
            await wait_all_tasks_blocked()
            if is_reset:
                no_lingering = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_lingering)
            else:
                connection.cut()
            del connection
            client.socket.close()
        await wait_all_tasks_blocked()
        left = [it for it in connections() if it not in others]
    finally:
        gc.enable()
    assert left == []


async def test_what_comes_after_data_for_a_task_is_received_after_its_turn(
    pair: tuple[socket.socket, socket.socket], arrivals: Arrivals, connection: Connection
) -> None:
    later, others = socket.socketpair()
    with closing(later), closing(others):
        for _ in range(20):  # Trio runs the tasks of one turn in any order
            order: list[str] = []

            def receive(order: list[str] = order) -> bool:
                later.recv(1)
                order.append("later")
                return True

            def take(_: bytes) -> bool:
                others.send(b"x")
                return False

            assert arrivals.watch(later.fileno(), receive)
            pair[1].send(b"x")
            await connection.receive_unless_interrupted(64, take)
            order.append("task")
            await wait_all_tasks_blocked()
            assert order == ["task", "later"]
            arrivals.forget(later.fileno())
