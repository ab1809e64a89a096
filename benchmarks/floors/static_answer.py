"""Serves an ASGI app that only reads a body and answers, on the Hypercorn and Trio of the router.

python -m benchmarks.floors.static_answer FILE

It shows the cost of HTTP alone: every path answers every request with the bytes of the file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope


def answering(answer: bytes) -> ASGIFramework:
    """Return an app that reads the whole body of a request, and answers with these bytes."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(answer)).encode()),
    ]

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            raise ValueError(f"Not for {scope['type']}")  # Hypercorn then serves without a lifespan
        more = True
        while more:
            event = await receive()
            more = event["type"] == "http.request" and event["more_body"]
        await send(
            {"type": "http.response.start", "status": 200, "headers": headers, "trailers": False}
        )
        await send({"type": "http.response.body", "body": answer, "more_body": False})

    return app


async def main(answer: bytes) -> None:
    """Serve until killed; print the address on stderr, as the router does."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.keep_alive_max_requests = sys.maxsize
    config.loglevel = "WARNING"
    async with trio.open_nursery() as nursery:
        (where,) = await nursery.start(serve, answering(answer), config)
        print(f"Listening on {where}/mcp", file=sys.stderr, flush=True)  # noqa: T201 - our one line


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]).read_bytes())
