"""The byte proxy in front of many stdio servers, each of which it starts at once.

python -m benchmarks.floors.many_proxy FILE

FILE holds a JSON object: name of a server -> its command. A call of `NAME__echo` goes to the server
of that name as a call of `echo`; every other message goes to the first server.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from benchmarks.floors.byte_proxy import Requests, answer
from benchmarks.floors.child import OrderedChild

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TOOL: Final = re.compile(rb'"name": ?"([^"]+)__echo"')


async def main(commands: Mapping[str, Sequence[str]]) -> None:
    """Serve until killed; print the address on stderr."""
    children: dict[bytes, OrderedChild] = {}

    async def start(name: str) -> None:
        children[name.encode()] = await OrderedChild.start(nursery, commands[name])

    async def connection(stream: trio.SocketStream) -> None:
        requests = Requests(stream)
        async with stream:
            while (request := await requests.next()) is not None:
                _, body = request
                named = _TOOL.search(body)
                name = named[1] if named else next(iter(children))
                plain = _TOOL.sub(b'"name":"echo"', body)
                await stream.send_all(await answer(children[name], plain, events=False))

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as starting:
            for name in commands:
                starting.start_soon(start, name)
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        sys.stderr.write(f"Listening on http://127.0.0.1:{port}/mcp\n")
        sys.stderr.flush()
        await trio.serve_listeners(connection, [listener], handler_nursery=nursery)


if __name__ == "__main__":
    trio.run(main, json.loads(Path(sys.argv[1]).read_text()))
