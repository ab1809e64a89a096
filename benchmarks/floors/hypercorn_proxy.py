"""The byte proxy as a bare ASGI app, on the Hypercorn and Trio of the router.

python -m benchmarks.floors.hypercorn_proxy [--events] COMMAND...

It is what the router can cost at the least without its fast lane.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from benchmarks.floors.child import OrderedChild
from benchmarks.floors.responses import body_of, content_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypercorn.typing import (
        ASGIReceiveCallable,
        ASGISendCallable,
        HTTPResponseStartEvent,
        Scope,
    )


async def app(
    scope: Scope,
    receive: ASGIReceiveCallable,
    send: ASGISendCallable,
    *,
    child: OrderedChild,
    events: bool,
) -> None:
    """Serve one request."""
    if scope["type"] != "http":
        raise ValueError(f"Not for {scope['type']}")  # Hypercorn then serves without a lifespan
    body = b""
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.request":
            body += event["body"]
            more = event["more_body"]
        else:
            return
    status, answer = 202, b""
    if b'"id"' in body:
        status, answer = 200, body_of(await child.answer(body), events=events)
    elif body:
        child.send(body)
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", content_type(events=events)),
            (b"content-length", b"%d" % len(answer)),
        ],
        "trailers": False,
    }
    await send(start)
    await send({"type": "http.response.body", "body": answer, "more_body": False})


async def main(command: Sequence[str], *, events: bool) -> None:
    """Serve until killed; print the address on stderr."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.keep_alive_max_requests = sys.maxsize
    config.loglevel = "WARNING"
    async with trio.open_nursery() as nursery:
        child = await OrderedChild.start(nursery, command)
        served = partial(app, child=child, events=events)
        (where,) = await nursery.start(serve, served, config)
        print(f"Listening on {where}/mcp", file=sys.stderr, flush=True)  # noqa: T201 - our one line


if __name__ == "__main__":
    with_events = sys.argv[1:2] == ["--events"]
    trio.run(partial(main, sys.argv[1 + with_events :], events=with_events))
