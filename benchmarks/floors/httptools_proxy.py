"""The byte proxy with httptools (llhttp) for the HTTP.

python -m benchmarks.floors.httptools_proxy [--events] COMMAND...
"""

from __future__ import annotations

import sys
from functools import partial

import httptools
import trio

from benchmarks.floors import byte_proxy
from benchmarks.floors.child import RECEIVE_BYTES, OrderedChild


class Request:
    """Collects the body of one request; llhttp calls its methods."""

    def __init__(self) -> None:
        self.body: list[bytes] = []
        self.is_whole = False

    def on_message_begin(self) -> None:
        self.body.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header; the floor needs none, but a server gets them all."""

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.is_whole = True


async def connection(child: OrderedChild, stream: trio.SocketStream, *, events: bool) -> None:
    """Serve one connection until its client closes it."""
    request = Request()
    parser = httptools.HttpRequestParser(request)
    async with stream:
        while data := await stream.receive_some(RECEIVE_BYTES):
            parser.feed_data(data)
            if request.is_whole:
                request.is_whole = False
                body = b"".join(request.body)
                await stream.send_all(await byte_proxy.answer(child, body, events=events))


if __name__ == "__main__":
    with_events = sys.argv[1:2] == ["--events"]
    serve_one = partial(connection, events=with_events)
    trio.run(byte_proxy.listen, sys.argv[1 + with_events :], serve_one)
