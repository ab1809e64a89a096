"""The bytes that have come on a connection in the lane: later requests, and bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from transports.listen.serving.asgi import RequestBody

if TYPE_CHECKING:
    from collections.abc import Callable

    from transports.listen.serving.asgi import Message
    from transports.listen.serving.hosting.connection import Connection

RECEIVE_BYTES: Final = 64 * 1024
"""Read at once of a large body."""

AHEAD_BYTES: Final = 64 * 1024
"""Read of later requests while the client of one is watched; more waits in the kernel."""

DISCONNECT: Final[Message] = {"type": "http.disconnect"}


class Incoming:
    """The bytes that have come on one connection and were not used yet.

    Args:
        connection: the connection.

    Attributes:
        data: the bytes.
        left_bytes: of the body of the present request; they have come, or are still to come.
        is_gone: whether the client is gone.
    """

    __slots__ = ("_connection", "_has_gone", "data", "is_gone", "left_bytes")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.data = b""
        self.left_bytes = 0
        self.is_gone = False
        self._has_gone: trio.Event | None = None  # made while too much has come to watch

    async def receive(self, take: Callable[[bytes], bool] | None = None) -> bool:
        """Receive more; return whether there is more. There is nothing once the client is gone.

        Args:
            take: see `Connection.receive_unless_interrupted`.
        """
        try:
            data = await self._connection.receive_unless_interrupted(RECEIVE_BYTES, take)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if data is None:
            return False
        self.data = self.data + data if self.data else data
        self.is_gone = self.is_gone or not data
        return bool(data)

    def lose_client(self) -> None:
        """Note that the client is gone, because nothing can be sent."""
        self.is_gone = True
        if self._has_gone is not None:
            self._has_gone.set()

    # --- The body of a request ---------------------------------------------------------------

    async def read_body(self) -> bytes:
        """See `HttpRequest`; nearly all bodies have come with their heads."""
        if len(self.data) < self.left_bytes:
            return await self._body().read()
        return self._take_part()

    async def discard_body(self) -> None:
        """Throw away the rest of the body, as `RequestBody.discard` does."""
        if len(self.data) < self.left_bytes:
            await self._body().discard()
        else:
            self._take_part()

    def _body(self) -> RequestBody:
        body = RequestBody(self.receive_message)
        body.announced_bytes = self.left_bytes
        return body

    def _take_part(self) -> bytes:
        data = self.data
        part = data[: self.left_bytes]
        self.data = data[len(part) :]
        self.left_bytes -= len(part)
        return part

    async def receive_message(self) -> Message:
        """Return a part of the body, or once that is complete, that the client is gone."""
        if self.left_bytes:
            if not self.data and not await self.receive():
                return DISCONNECT
            part = self._take_part()
            return {"type": "http.request", "body": part, "more_body": self.left_bytes > 0}
        while not self.is_gone:
            if len(self.data) <= AHEAD_BYTES:
                await self.receive()
            else:
                # Without receiving, only a send that fails tells that the client is gone.
                self._has_gone = trio.Event()
                await self._has_gone.wait()
        return DISCONNECT
