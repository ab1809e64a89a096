"""A connection on a real socket: what it receives, sends and says of its client."""

from __future__ import annotations

import socket
import struct

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from transports.listen.serving.hosting.connection import SMALL_BYTES, Connection
from transports.listen.serving.hosting.slow_readers import SlowReaders


async def pair() -> tuple[Connection, trio.SocketStream]:
    """Return a connection and its client."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        client = await trio.open_tcp_stream("127.0.0.1", port)
        return Connection(await listener.accept(), SlowReaders(), lambda _: None), client


async def test_read_counts_as_the_client_takes_it() -> None:
    size_bytes = 32 * 1024 * 1024
    connection, client = await pair()
    async with client, trio.open_nursery() as nursery:
        nursery.start_soon(connection.send_all, b"x" * size_bytes)
        await wait_all_tasks_blocked(0.05)
        before = connection.read_bytes()
        assert 0 < connection.unsent_bytes < size_bytes
        got = 0
        while got < size_bytes:
            got += len(await client.receive_some())
        await wait_all_tasks_blocked(0.05)
        assert before < size_bytes
        assert connection.read_bytes() == size_bytes
        assert connection.unsent_bytes == 0
        await connection.aclose()


async def test_send_on_a_connection_that_was_cut_fails_and_says_so() -> None:
    connection, client = await pair()
    async with client:
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await connection.send_all(b"x" * 32 * 1024 * 1024)

            nursery.start_soon(send)
            await wait_all_tasks_blocked(0.05)
            connection.cut()
        with pytest.raises(trio.ClosedResourceError):
            await connection.send_all(b"more")
        assert connection.read_bytes() > 0


async def test_send_to_a_client_that_is_gone_fails_and_says_so() -> None:
    connection, client = await pair()
    await client.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await connection.send_all(b"x" * 32 * 1024 * 1024)
    await connection.aclose()


async def test_little_is_asked_for_until_more_has_come() -> None:
    connection, client = await pair()
    sizes: list[int] = []
    async with client:
        for size_bytes in (100, 300, SMALL_BYTES - 1, 20_000):
            await client.send_all(b"x" * size_bytes)
            await wait_all_tasks_blocked(0.01)
            while size_bytes:
                sizes.append(len(await connection.receive_some(2**16)))
                size_bytes -= sizes[-1]
        await client.send_all(b"x" * 5000)
        await wait_all_tasks_blocked(0.01)
        assert len(await connection.receive_some(10)) == 10
        assert sizes == [100, 300, SMALL_BYTES - 1, SMALL_BYTES, 20_000 - SMALL_BYTES]
    await connection.aclose()


async def test_receiving_from_a_client_that_reset_its_connection_fails_and_says_so() -> None:
    connection, client = await pair()
    linger = struct.pack("ii", 1, 0)  # closing resets
    client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
    await client.aclose()
    with pytest.raises(trio.BrokenResourceError, match="the client is gone"):
        await connection.receive_some(2**16)
    connection.cut()
    with pytest.raises(trio.ClosedResourceError):
        await connection.receive_some(2**16)


async def test_interruption_of_a_connection_that_was_cut_hides_nothing() -> None:
    ours, theirs = socket.socketpair()
    accepted = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    connection = Connection(accepted, SlowReaders(), lambda _: None)
    with theirs:
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await connection.receive_unless_interrupted(1)

            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            connection.cut()
            connection.interrupt()
        connection.interrupt()


async def test_interruption_of_a_cancelled_wait_is_not_kept() -> None:
    ours, theirs = socket.socketpair()
    accepted = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    connection = Connection(accepted, SlowReaders(), lambda _: None)
    with theirs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.receive_unless_interrupted, 1)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            connection.interrupt()
        theirs.send(b"x")
        assert await connection.receive_unless_interrupted(1) == b"x"
    await connection.aclose()
