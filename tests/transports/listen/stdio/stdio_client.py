"""A client of the stdio listener, and the actor behind it, which the test plays."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs
import trio
import trio.testing
from msgspec import Raw

from router.messages.events import ClientClosed, Event, FromClient
from router.messages.frames import Request, Response
from transports.listen.stdio.listener import StdioListener

WAIT_S: Final = 60.0
LINGER_S: Final = 20.0


@attrs.define
class Wire:
    """A listener that runs in the test's nursery, the client's ends of its streams, and the inbox
    of the actor, which the test plays."""

    to_router: trio.testing.MemorySendStream
    from_router: trio.testing.MemoryReceiveStream
    inbox: trio.MemoryReceiveChannel[Event]
    stopping: trio.Event = attrs.field(factory=trio.Event)
    returned: trio.Event = attrs.field(factory=trio.Event)
    opened: Any = None
    _lines: list[Any] = attrs.field(factory=list)
    _rest: bytes = b""

    @classmethod
    async def open(cls, nursery: trio.Nursery) -> Wire:
        to_router, stdin = trio.testing.memory_stream_one_way_pair()
        stdout, from_router = trio.testing.memory_stream_one_way_pair()
        send, receive = trio.open_memory_channel[Event](4)
        wire = cls(to_router, from_router, receive)
        listener = StdioListener(send, stdin, stdout, linger_s=LINGER_S)

        async def run(task_status: trio.TaskStatus[str]) -> None:
            await listener(wire.stopping, task_status=task_status)
            wire.returned.set()

        assert await nursery.start(run) == "stdio"
        wire.opened = await wire.event()
        return wire

    async def say(self, *messages: Any) -> None:
        await self.to_router.send_all(
            b"".join(json.dumps(one).encode() + b"\n" for one in messages)
        )

    async def event(self) -> Any:
        with trio.fail_after(WAIT_S):
            return await self.inbox.receive()

    async def asked(self) -> FromClient:
        event = await self.event()
        assert isinstance(event, FromClient)
        assert isinstance(event.frame, Request)
        return event

    async def hear(self) -> Any:
        """The next message to the client."""
        with trio.fail_after(WAIT_S):
            while b"\n" not in self._rest:
                data = await self.from_router.receive_some()
                assert data, "no more messages"
                self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    async def ended(self) -> ClientClosed:
        """The listener ends by itself; the last thing it says."""
        event = await self.event()
        assert isinstance(event, ClientClosed)
        with trio.fail_after(WAIT_S):
            await self.returned.wait()
        return event

    async def negotiate(self, revision: str) -> None:
        await self.say(request(0, "initialize"))
        answer(await self.asked(), {"protocolVersion": revision})
        assert (await self.hear())["id"] == 0


def request(request_id: int, method: str = "ping", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def answer(event: FromClient, result: Any = None) -> None:
    """As the actor does."""
    assert isinstance(event.frame, Request)
    event.reply_to.send_nowait(Response(event.frame.id, Raw(json.dumps(result or {}).encode())))
