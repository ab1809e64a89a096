"""HTTP towards a router: connections that are kept, and those that end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from transports.bridge.http_connection import (
    HEAD_LIMIT_BYTES,
    KEEP_S,
    SILENCE_S,
    BrokenOff,
    NotSent,
    Router,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peers:
    """Answers the requests on each connection with the next bytes; None closes it.

    Args:
        scripts: for each connection, one answer for each piece of a request that comes.
    """

    def __init__(self, nursery: trio.Nursery, *scripts: Sequence[bytes | None]) -> None:
        self.asked: list[bytes] = []
        self._nursery = nursery
        self._scripts = list(scripts)

    async def connect(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if not self._scripts:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs, self._scripts.pop(0))
        return ours

    async def _serve(self, stream: Any, script: Sequence[bytes | None]) -> None:
        for answer in script:
            asked = await stream.receive_some()
            if not asked:
                return
            self.asked.append(asked)
            if answer is None:
                break
            await stream.send_all(answer)
        else:
            await trio.sleep_forever()
        await stream.aclose()

    @property
    def router(self) -> Router:
        return Router(self.connect, "router.test:1", {"X-Own": "1"})

    @property
    def left(self) -> int:
        return len(self._scripts)


async def body_of(router: Router) -> bytes:
    async with await router.exchange("POST", "/mcp", {"A": "b"}, b"{}") as sent:
        return await sent.read()


async def test_request_is_one_piece_and_its_connection_is_kept_for_a_while(
    autojump_clock: trio.abc.Clock, nursery: trio.Nursery
) -> None:
    peers = Peers(nursery, [OK, OK], [OK])
    router = peers.router
    assert [await body_of(router), await body_of(router)] == [b"ok", b"ok"]
    assert peers.asked[0] == (
        b"POST /mcp HTTP/1.1\r\nHost: router.test:1\r\nX-Own: 1\r\nA: b\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    assert peers.left == 1
    await trio.sleep(KEEP_S)
    assert await body_of(router) == b"ok"
    assert peers.left == 0


async def test_request_has_the_host_and_the_token_that_its_connection_brought(
    nursery: trio.Nursery,
) -> None:
    peers = Peers(nursery, [OK])

    async def connect() -> trio.abc.Stream:
        router.authority, router.headers = "router.test:2", {"Authorization": "Bearer new"}
        return await peers.connect()

    router = Router(connect, "localhost")
    assert await body_of(router) == b"ok"
    head = b"POST /mcp HTTP/1.1\r\nHost: router.test:2\r\nAuthorization: Bearer new\r\n"
    assert peers.asked[0].startswith(head)


async def test_connection_that_the_router_wants_closed_is_not_kept(nursery: trio.Nursery) -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    peers = Peers(nursery, [closing], [OK])
    router = peers.router
    assert [await body_of(router), await body_of(router)] == [b"ok", b"ok"]


async def test_connection_that_was_closed_meanwhile_is_not_used(nursery: trio.Nursery) -> None:
    answers = [OK, OK]

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(answers.pop())

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, serve, [listener])
    port = listener.socket.getsockname()[1]
    ours: list[trio.SocketStream] = []

    async def connect() -> trio.abc.Stream:
        ours.append(await trio.open_tcp_stream("127.0.0.1", port))
        return ours[-1]

    router = Router(connect, "localhost")
    assert await body_of(router) == b"ok"
    await trio.lowlevel.wait_readable(ours[0].socket)  # its end
    assert await body_of(router) == b"ok"
    await router.forget_connections()
    nursery.cancel_scope.cancel()


async def test_router_that_is_not_there_was_sent_nothing(nursery: trio.Nursery) -> None:
    with pytest.raises(NotSent, match="Connection refused"):
        await body_of(Peers(nursery).router)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "it closed the connection"),
        (b"SSH-2.0-x\r\n", "it speaks no HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * HEAD_LIMIT_BYTES, "too large a head"),
        (b"HTTP/1.1 200 OK\r\n", f"it said nothing for {SILENCE_S:g} s"),
        (OK[:-1], f"it said nothing for {SILENCE_S:g} s"),
    ],
)
async def test_what_ends_before_the_response_does_is_told(
    autojump_clock: trio.abc.Clock, nursery: trio.Nursery, answer: bytes | None, why: str
) -> None:
    with pytest.raises(BrokenOff, match=why):
        await body_of(Peers(nursery, [answer]).router)
    nursery.cancel_scope.cancel()


async def test_body_may_end_with_its_connection(nursery: trio.Nursery) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(b"HTTP/1.1 200 OK\r\n\r\nwhole")
    await theirs.send_eof()

    async def connect() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return ours

    assert await body_of(Router(connect, "localhost")) == b"whole"
