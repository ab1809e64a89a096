"""Serves the plain requests of one connection, and hands everything else to Hypercorn.

Hypercorn's machinery for a request costs ten times as much as all the rest of a call. So the lane
stands in front of it: it serves requests that it fully understands (see `head`), with the same
endpoint, limits and deadlines (see `asgi.Exchange`). At the first other thing it gives up the
connection, together with the bytes that it has read.

Invariants:

- The lane refuses nothing for its HTTP: what is not plain, Hypercorn judges.
- A connection is given up between two requests only, so nobody answers a request twice.
- The client of a request is watched as it is behind Hypercorn: its end cancels the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from transports.listen.serving.asgi import CONNECTION_CLOSE, Exchange, RequestBody
from transports.listen.serving.exchange import ClientGone, HttpRequest
from transports.listen.serving.hosting.connection import LARGE_BYTES, Phase
from transports.listen.serving.hosting.lane.head import (
    HEAD_END,
    ends_lines_plainly,
    read_head,
    starts_plainly,
)
from transports.listen.serving.hosting.lane.response import (
    LAST_CHUNK,
    as_chunk,
    has_length,
    response_head,
)

if TYPE_CHECKING:
    from collections.abc import Container

    from transports.listen.serving.asgi import Message
    from transports.listen.serving.exchange import Endpoint, Locate
    from transports.listen.serving.hosting.connection import Connection
    from transports.listen.serving.hosting.lane.head import PlainHead

RECEIVE_BYTES: Final = 64 * 1024
"""Read at once of a large body."""

AHEAD_BYTES: Final = 64 * 1024
"""Read of later requests while the client of one is watched; more waits in the kernel."""

DISCONNECT: Final[Message] = {"type": "http.disconnect"}


class Lane:
    """The plain requests of one connection.

    Args:
        connection: the connection.
        endpoint: answers the requests.
        locate: see `AsgiListener`.
        head_limit_bytes: the size of a head that Hypercorn would still take.
        left_paths: paths that the application answers without the endpoint.

    Raises:
        trio.BrokenResourceError: the client is gone.

    Attributes:
        idle_since_s: the second since which there is no request; None during a request.
    """

    __slots__ = (
        "_connection",
        "_endpoint",
        "_has_more_to_send",
        "_head",
        "_head_limit_bytes",
        "_is_body_due",
        "_is_chunked",
        "_is_ending",
        "_is_finishing",
        "_is_gone",
        "_last_head",
        "_left_bytes",
        "_left_paths",
        "_locate",
        "_peer_address",
        "_received",
        "_start",
        "idle_since_s",
    )

    def __init__(
        self,
        connection: Connection,
        endpoint: Endpoint,
        locate: Locate,
        head_limit_bytes: int,
        left_paths: Container[str] = (),
    ) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._locate = locate
        self._peer_address = connection.peer_address()
        self._head_limit_bytes = head_limit_bytes
        self._left_paths = left_paths
        self._received = b""
        self._last_head = b""
        self._head: PlainHead | None = None  # of `_last_head`
        self._left_bytes = 0  # of the body of the present request
        self._is_body_due = False  # or the last part of it, which may be empty
        self._start: Message | None = None  # of the present response, until its body begins
        self._has_more_to_send = False  # of that
        self._is_chunked = False  # that is
        self._is_gone = False
        self._is_ending = False
        self._is_finishing = False
        self.idle_since_s: float | None = trio.current_time()

    async def serve(self) -> bytes | None:
        """Serve requests; return what was received of the first that is not plain.

        None means that the connection is to be closed.
        """
        while not self._is_ending:
            head = await self._next_head()
            if head is None:
                return None if self._is_gone or self._is_ending else self._received
            self.idle_since_s = None
            self._connection.enter(Phase.ASKED)
            await self._serve_request(head)
            self.idle_since_s = trio.current_time()
            self._connection.enter(Phase.IDLE)
        return None

    def finish(self) -> None:
        """Close the connection after the next answer, which says so."""
        self._is_finishing = True

    def end(self) -> None:
        """Close the connection now if it has no request, else after its answer."""
        self._is_ending = True
        if self.idle_since_s is not None:
            self._connection.cut()

    # --- Requests ----------------------------------------------------------------------------

    async def _next_head(self) -> PlainHead | None:
        """Take the next head; None if it is not plain, or the client is gone."""
        while True:
            received = self._received
            if not starts_plainly(received):
                return None
            end = received.find(HEAD_END) + len(HEAD_END)
            if end >= len(HEAD_END):
                break
            # Where lines end otherwise, Hypercorn may see the end of the head elsewhere.
            if len(received) > self._head_limit_bytes or not ends_lines_plainly(received):
                return None
            if not await self._receive():
                return None
        if end > self._head_limit_bytes:
            return None
        raw_head = received[:end]
        # A client sends the same head again and again.
        if raw_head != self._last_head:
            self._head, self._last_head = read_head(raw_head), raw_head
            if self._head is not None and self._head.path in self._left_paths:
                self._head = None
        if self._head is not None:
            self._received = received[end:]
        return self._head

    async def _serve_request(self, head: PlainHead) -> None:
        self._left_bytes, self._is_body_due = head.content_bytes, True
        self._has_more_to_send = True
        body = RequestBody(self._receive_message)
        body.announced_bytes = head.content_bytes
        body.is_complete = not head.content_bytes
        address, prefix = self._locate(self._peer_address, head.raw_headers)
        request = HttpRequest(
            head.method,
            head.path,
            head.headers,
            body.read,
            head.query,
            root_path=prefix,
            peer=self._connection,
            address=address,
        )
        exchange = Exchange(body, self._receive_message, self._send_message, self._connection)
        try:
            await exchange.run(self._endpoint, request)
        except ClientGone:
            self._is_gone = True
        finally:
            exchange.abandon_pending()
        if self._left_bytes or self._has_more_to_send:
            # The rest of the body would be read as the next request; the rest of a response that
            # was given up would be missed.
            self._is_ending = True

    # --- The request as ASGI messages --------------------------------------------------------

    async def _receive_message(self) -> Message:
        """Return a part of the body, or once that is complete, that the client is gone."""
        if self._is_body_due:
            if self._left_bytes and not self._received and not await self._receive():
                return DISCONNECT
            return self._take_part()
        while not self._is_gone:
            if len(self._received) > AHEAD_BYTES:
                await trio.sleep_forever()
            await self._receive()
        return DISCONNECT

    def _take_part(self) -> Message:
        received = self._received
        part = received[: self._left_bytes]
        self._received = received[len(part) :]
        self._left_bytes -= len(part)
        self._is_body_due = self._left_bytes > 0
        return {"type": "http.request", "body": part, "more_body": self._is_body_due}

    # --- The response of ASGI messages -------------------------------------------------------

    async def _send_message(self, message: Message) -> None:
        """Send a response: an answer of known length in one go, else chunk by chunk."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        data, is_last = message["body"], not message.get("more_body", False)
        head = b""
        if self._start is not None:
            head, self._start = self._head_of(self._start), None
        if self._is_chunked:
            data = as_chunk(data) + LAST_CHUNK if is_last else as_chunk(data)
        if len(data) > LARGE_BYTES and head:
            # To copy that much costs more than another system call.
            await self._send(head)
            await self._send(data)
        else:
            await self._send(head + data if head else data)
        self._has_more_to_send = not is_last

    def _head_of(self, start: Message) -> bytes:
        """Return the head of a response, and note how its body is sent."""
        status, headers = start["status"], start["headers"]
        self._connection.enter(Phase.ANSWERED)
        if self._is_finishing and CONNECTION_CLOSE not in headers:
            headers = [*headers, CONNECTION_CLOSE]
        if CONNECTION_CLOSE in headers:
            self._is_ending = True
        self._is_chunked = not has_length(status, headers)
        return response_head(status, headers, is_chunked=self._is_chunked)

    async def _send(self, data: bytes) -> None:
        """Send data; nobody is told that the client is gone, as ASGI wants it."""
        if not data:
            return
        try:
            await self._connection.send_now(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._is_gone = True

    async def _receive(self) -> bool:
        """Receive more; return whether there is more. There is nothing once the client is gone."""
        try:
            data = await self._connection.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        self._received = self._received + data if self._received else data
        self._is_gone = self._is_gone or not data
        return bool(data)
