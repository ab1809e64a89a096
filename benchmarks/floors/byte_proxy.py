"""A proxy from HTTP to one stdio server that checks nothing: the floor of Python on Trio's sockets.

python -m benchmarks.floors.byte_proxy [--events] COMMAND...

It finds the length of a POST, hands its body to the server as a line, and sends the server's next
line back. With `--events` its answers are event streams. It speaks no more HTTP than the load
generator needs.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from benchmarks.floors.child import RECEIVE_BYTES, OrderedChild
from benchmarks.floors.responses import ACCEPTED, response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END: Final = b"\r\n\r\n"


class Requests:
    """The requests of one connection."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._data = b""

    async def next(self) -> tuple[bytes, bytes] | None:
        """Return head and body of the next request; None once the client has closed."""
        while _HEAD_END not in self._data:
            if not await self._receive():
                return None
        head, _, self._data = self._data.partition(_HEAD_END)
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        while len(self._data) < size:
            if not await self._receive():
                return None
        body, self._data = self._data[:size], self._data[size:]
        return head, body

    async def _receive(self) -> bool:
        data = await self._stream.receive_some(RECEIVE_BYTES)
        self._data += data
        return bool(data)


async def connection(child: OrderedChild, stream: trio.SocketStream, *, events: bool) -> None:
    """Serve one connection until its client closes it."""
    requests = Requests(stream)
    async with stream:
        while (request := await requests.next()) is not None:
            await stream.send_all(await answer(child, request[1], events=events))


async def answer(child: OrderedChild, body: bytes, *, events: bool) -> bytes:
    """Return the response to a message."""
    if b'"id"' not in body:
        if body:
            child.send(body)
        return ACCEPTED
    return response(await child.answer(body), events=events)


async def listen(
    command: Sequence[str],
    connection: Callable[[OrderedChild, trio.SocketStream], Awaitable[None]],
    path: str = "/mcp",
) -> None:
    """Serve each connection with `connection` until killed; print the address on stderr."""
    async with trio.open_nursery() as nursery:
        child = await OrderedChild.start(nursery, command)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, partial(connection, child), listeners)
        print(f"Listening on http://127.0.0.1:{port}{path}", file=sys.stderr, flush=True)  # noqa: T201 - our one line


if __name__ == "__main__":
    with_events = sys.argv[1:2] == ["--events"]
    trio.run(listen, sys.argv[1 + with_events :], partial(connection, events=with_events))
