"""The byte proxy for HTTP+SSE: a GET opens an event stream, POSTs are answered on it.

python -m benchmarks.floors.sse_proxy COMMAND...
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

import trio

from benchmarks.floors.byte_proxy import Requests, listen
from benchmarks.floors.responses import ACCEPTED, body_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.floors.child import OrderedChild

QUEUE_EVENTS: Final = 1024
_STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

Streams = dict[bytes, trio.MemorySendChannel[bytes]]
"""Path of the POSTs of a client -> the queue of its event stream."""


async def connection(
    child: OrderedChild, stream: trio.SocketStream, *, streams: Streams, numbers: count[int]
) -> None:
    """Serve one connection until its client closes it."""
    async with stream:
        requests = Requests(stream)
        while (request := await requests.next()) is not None:
            head, body = request
            path = head.split(b" ", 2)[1]
            if head.startswith(b"GET "):
                await event_stream(stream, streams, b"/messages?session=%d" % next(numbers))
                return
            await stream.send_all(ACCEPTED)
            if b'"id"' in body:
                child.ask(body, partial(deliver, streams[path]))
            else:
                child.send(body)


def deliver(queue: trio.MemorySendChannel[bytes], line: bytes) -> None:
    """Put an answer into the queue of a client."""
    queue.send_nowait(body_of(line, events=True))


async def event_stream(stream: trio.SocketStream, streams: Streams, path: bytes) -> None:
    """Send a client the path for its POSTs, and then its answers."""
    streams[path], queue = trio.open_memory_channel[bytes](QUEUE_EVENTS)
    await stream.send_all(_STREAM_HEAD + b"event: endpoint\r\ndata: %b\r\n\r\n" % path)
    async for event in queue:
        await stream.send_all(event)


async def main(command: Sequence[str]) -> None:
    """Serve until killed; print the address on stderr."""
    served = partial(connection, streams=Streams(), numbers=count(1))
    await listen(command, served, "/sse")


if __name__ == "__main__":
    trio.run(main, sys.argv[1:])
