"""The stdio listener: one client on this process's stdin and stdout (MCP, Transports, stdio).

Invariants:

- Requests that were read are answered before the end, if their answers come in time: the end of
  stdin only ends the reading. A `subscriptions/listen`, which has no end, delays no end.
- Nothing is read while more than half of the outbox is in use. So a client that does not read its
  answers is slowed down before it is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from router.messages.commands import Principal
from router.messages.events import ClientClosed, ClientOpened
from transports.json_rpc import is_batch
from transports.lines import LineSplitter
from transports.listen.stdio.client import StdioClient
from transports.listen.stdio.streams import LINE_LIMIT_BYTES, READ_SIZE_BYTES

if TYPE_CHECKING:
    from router.messages.events import Event
    from transports.listen.stdio.outbox import StdioOutbox

STDIO_PRINCIPAL: Final = Principal("stdio")
"""The parent of this process; it may do everything, and could do so without the router too."""

FLUSH_S: Final = 5.0
"""How long the last messages may take to be written at the end."""


class StdioListener(Struct, frozen=True):
    """Serves one client, as a supervised child; returns when the client is gone or at a stop.

    Attributes:
        inbox: the dispatch actor's.
        stdin: closed at the end, so the listener runs only once.
        stdout: as `stdin`.
        linger_s: how long after the end of stdin answers may still come.
        principal: the principal of the client.
    """

    inbox: trio.MemorySendChannel[Event]
    stdin: trio.abc.ReceiveStream
    stdout: trio.abc.SendStream
    linger_s: float = 30.0
    principal: Principal = STDIO_PRINCIPAL

    async def __call__(
        self, stopping: trio.Event, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until stdin or stdout ends, `stopping` is set, or the actor closes the client."""
        client = StdioClient()
        outbox = client.outbox
        async with self.stdin, self.stdout, trio.open_nursery() as nursery:
            opened = ClientOpened(client.id, outbox, self.principal, era="either")
            await self.inbox.send(opened)
            nursery.start_soon(outbox.write_to, self.stdout)
            nursery.start_soon(self._read, client)
            nursery.start_soon(_end_on_stop, stopping, outbox)
            task_status.started("stdio")
            await outbox.ended.wait()
            await self.inbox.send(ClientClosed(client.id, outbox.reason))
            with trio.move_on_after(FLUSH_S):
                await outbox.written.wait()
            nursery.cancel_scope.cancel()

    async def _read(self, client: StdioClient) -> None:
        """Read messages until the end of stdin, then wait for the answers to their requests."""
        splitter = LineSplitter(LINE_LIMIT_BYTES)
        while data := await _receive(self.stdin):
            for line in splitter.feed(data):
                await self._take(client, line)
        for line in splitter.finish():
            await self._take(client, line)
        with trio.move_on_after(self.linger_s):
            await client.all_answered.wait()
        client.outbox.end("end of stdin")

    async def _take(self, client: StdioClient, line: bytes | None) -> None:
        """Send the messages of one line to the actor; None is a line that was too long."""
        if not client.outbox.has_room():
            await client.outbox.wait_for_room()
        if line is not None and is_batch(line):
            # The answer to `initialize` decides whether batches are allowed.
            await client.initialize_answered.wait()
        for event in client.decode(line):
            try:
                # No checkpoint between the lines of one read: the actor takes them in one turn.
                self.inbox.send_nowait(event)
            except trio.WouldBlock:
                await self.inbox.send(event)


async def _end_on_stop(stopping: trio.Event, outbox: StdioOutbox) -> None:
    await stopping.wait()
    outbox.end("the router stops")


async def _receive(stdin: trio.abc.ReceiveStream) -> bytes:
    """Return the next bytes of stdin; empty at the end."""
    try:
        return bytes(await stdin.receive_some(READ_SIZE_BYTES))
    except trio.BrokenResourceError:
        return b""  # the terminal is gone
