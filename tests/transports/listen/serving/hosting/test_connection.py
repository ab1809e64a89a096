"""Connections whose clients read slowly or not at all, with a clock that can be moved."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from transports.listen.serving.asgi import LEAST_BYTES_PER_S, SEND_S
from transports.listen.serving.hosting import connection as module
from transports.listen.serving.hosting.connection import (
    LOOK_S,
    SMALL_BYTES,
    Connection,
    SlowReaders,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Reader:
    """A connection whose client reads as fast as the test says."""

    def __init__(self, bytes_per_s: float = 0.0) -> None:
        self.bytes_per_s = bytes_per_s
        self.pause_s = 0.0
        self.cut_at_s: float | None = None
        self.progressed_at_s = 0.0
        self._began_s = trio.current_time()

    def read_bytes(self) -> int:
        went_s = trio.current_time() - self._began_s
        if self.pause_s:
            went_s -= went_s % self.pause_s
        return int(self.bytes_per_s * went_s)

    def cut(self) -> None:
        self.cut_at_s = trio.current_time() - self._began_s


@asynccontextmanager
async def watching() -> AsyncIterator[SlowReaders]:
    slow_readers = SlowReaders()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow_readers.cut_them)
        await wait_all_tasks_blocked()
        yield slow_readers
        nursery.cancel_scope.cancel()


def sending(slow_readers: SlowReaders, *readers: Any) -> None:
    for reader in readers:
        slow_readers.start(reader)


@pytest.mark.parametrize("waited_s", [0.0, 0.5, 1.9, 17.3])
async def test_client_that_reads_nothing_is_cut_within_30_s(
    autojump_clock: trio.abc.Clock, waited_s: float
) -> None:
    async with watching() as slow_readers:
        sending(slow_readers, Reader())  # keeps the watch going
        await trio.sleep(waited_s)
        reader = Reader()
        sending(slow_readers, reader)
        await trio.sleep(100)
        assert reader.cut_at_s is not None
        assert SEND_S - 2 * LOOK_S <= reader.cut_at_s <= SEND_S


async def test_client_that_reads_slowly_but_steadily_is_never_cut(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with watching() as slow_readers:
        slow = Reader(1.01 * LEAST_BYTES_PER_S)
        slower = Reader(0.9 * LEAST_BYTES_PER_S)
        in_lumps = Reader(20 * LEAST_BYTES_PER_S)
        in_lumps.pause_s = 12.0
        sending(slow_readers, slow, slower, in_lumps)
        await trio.sleep(3600)
        assert (slow.cut_at_s, in_lumps.cut_at_s) == (None, None)
        assert slower.cut_at_s is not None


async def test_client_that_stops_reading_is_cut_within_a_minute(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with watching() as slow_readers:
        reader = Reader(50_000)
        sending(slow_readers, reader)
        await trio.sleep(300)
        assert reader.cut_at_s is None
        read_bytes = reader.read_bytes()
        reader.read_bytes = lambda: read_bytes
        await trio.sleep(2 * SEND_S)
        assert reader.cut_at_s is not None


async def test_send_that_is_over_is_forgotten(autojump_clock: trio.abc.Clock) -> None:
    async with watching() as slow_readers:
        quick, longer = Reader(), Reader(5000)
        sending(slow_readers, quick, longer)
        slow_readers.stop(quick)  # type: ignore[arg-type]
        await trio.sleep(60)
        slow_readers.stop(longer)  # type: ignore[arg-type]
        longer.bytes_per_s = 0
        await trio.sleep(100)
        assert (quick.cut_at_s, longer.cut_at_s) == (None, None)


async def test_time_in_which_this_process_was_stopped_does_not_count(
    autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late wake-up stands for SIGSTOP, or for a machine that was asleep."""
    async with watching() as slow_readers:
        reader = Reader()
        sending(slow_readers, reader)
        await trio.sleep(SEND_S - 3 * LOOK_S)

        async def oversleep(_: float) -> None:
            monkeypatch.undo()
            await trio.sleep(500)

        monkeypatch.setattr(module.trio, "sleep", oversleep)
        await trio.sleep_until(trio.current_time() + 510)
        assert reader.cut_at_s is None
        await trio.sleep(SEND_S)
        assert reader.cut_at_s is not None


# --- On a real socket ------------------------------------------------------------------------


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
