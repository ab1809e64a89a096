"""Serves the plain requests of one connection, and hands everything else to Hypercorn.

Hypercorn's machinery for a request costs ten times as much as all the rest of a call. So the lane
stands in front of it: it serves requests that it fully understands (see `head`), with the same
endpoint, limits and deadlines (see `asgi`). At the first other thing it gives up the
connection, together with the bytes that it has read.

Invariants:

- The lane refuses nothing for its HTTP: what is not plain, Hypercorn judges.
- A connection is given up between two requests only, so nobody answers a request twice.
- The client of a request is watched as it is behind Hypercorn: its end cancels the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from transports.listen.serving.asgi import CONNECTION_CLOSE, outcome_of, send_events
from transports.listen.serving.exchange import (
    Answer,
    ClientGone,
    EventStream,
    HttpRequest,
    KnownHead,
    PendingResponse,
)
from transports.listen.serving.hosting.connection import LARGE_BYTES
from transports.listen.serving.hosting.lane.head import (
    HEAD_END,
    ends_lines_plainly,
    read_head,
    starts_plainly,
)
from transports.listen.serving.hosting.lane.incoming import AHEAD_BYTES, Incoming
from transports.listen.serving.hosting.lane.response import (
    LAST_CHUNK,
    answer_head,
    as_chunk,
    stream_head,
)
from transports.listen.serving.hosting.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from transports.listen.serving.asgi import Message
    from transports.listen.serving.exchange import Endpoint, Locate
    from transports.listen.serving.hosting.connection import Connection
    from transports.listen.serving.hosting.lane.head import PlainHead


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
        "_connection", "_endpoint", "_has_more_to_send", "_head", "_head_limit_bytes",
        "_incoming", "_is_ending", "_is_finishing", "_known_head", "_last_head", "_left",
        "_left_paths", "_locate", "_now_s", "_peer_address", "_pending", "idle_since_s",
    )  # fmt: skip

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
        self._incoming = Incoming(connection)
        self._last_head = b""
        self._head: PlainHead | None = None  # of `_last_head`
        self._known_head = KnownHead()  # the same
        self._has_more_to_send = False  # of the present response
        self._pending: PendingResponse | None = None  # is waited for
        self._left: Answer | EventStream | PendingResponse | memoryview | None = None
        """What is left to do for it; `_send_decided` does the rest."""
        self._is_ending = False
        self._is_finishing = False
        # `trio.current_time` looks for the clock each time.
        self._now_s = trio.lowlevel.current_clock().current_time
        self.idle_since_s: float | None = self._now_s()

    async def serve(self) -> bytes | None:
        """Serve requests; return what was received of the first that is not plain.

        None means that the connection is to be closed.
        """
        try:
            return await self._serve()
        except BaseException:
            self._give_up()
            raise

    async def _serve(self) -> bytes | None:
        incoming = self._incoming
        while not (self._is_ending or incoming.is_gone):
            if not incoming.data:
                # Nearly all requests are taken within this wait, which goes on then.
                await incoming.receive(self._take_request)
            if self._is_ending and self.idle_since_s is not None:
                break  # what has come since cannot be answered
            if incoming.data and self.idle_since_s is not None:
                head = await self._next_head()
                if head is None:
                    return None if incoming.is_gone or self._is_ending else incoming.data
                await self._begin(head)
            if self.idle_since_s is None:
                await self._conclude()
            if incoming.data:
                # Neither sending nor a request that is there already makes others wait.
                await trio.lowlevel.checkpoint()
        return None

    def _enter_request(self) -> None:
        self.idle_since_s = None
        self._connection.enter(Phase.ASKED)

    def _enter_idle(self) -> None:
        self.idle_since_s = self._now_s()
        self._connection.enter(Phase.IDLE)

    def finish(self) -> None:
        """Close the connection after the next answer, which says so."""
        self._is_finishing = True

    def end(self) -> None:
        """Close the connection now if it has no request, else after its answer."""
        self._is_ending = True
        if self.idle_since_s is not None:
            self._connection.cut()

    # --- Requests ----------------------------------------------------------------------------

    def _take_request(self, data: bytes) -> bool:
        """Take a request that has come whole, with the same head as the last; return whether.

        This runs in the task of whoever received it. So nearly no request wakes the task of its
        connection.
        """
        head, head_bytes = self._head, len(self._last_head)
        take = self._known_head.take
        if (
            take is None
            or head is None
            or len(data) != head_bytes + head.content_bytes
            or self.idle_since_s is None
            or self._incoming.data
            or not data.startswith(self._last_head)
        ):
            return False
        address, _ = self._locate(self._peer_address, head.raw_headers)
        response = take(self._known_head, data[head_bytes:], address)
        if response is None:
            return False
        self._enter_request()
        self._expect(response)
        if not (self._is_pending() or self._send_left()):
            self._connection.interrupt()
        return True

    async def _next_head(self) -> PlainHead | None:
        """Take the next head; None if it is not plain, or the client is gone."""
        received = self._incoming.data
        if self._head is not None and received.startswith(self._last_head):
            # A client sends the same head again and again.
            self._incoming.data = received[len(self._last_head) :]
            return self._head
        return await self._next_new_head()

    async def _next_new_head(self) -> PlainHead | None:
        while True:
            received = self._incoming.data
            if not starts_plainly(received):
                return None
            end = received.find(HEAD_END) + len(HEAD_END)
            if end >= len(HEAD_END):
                break
            # Where lines end otherwise, Hypercorn may see the end of the head elsewhere.
            if len(received) > self._head_limit_bytes or not ends_lines_plainly(received):
                return None
            if not await self._incoming.receive():
                return None
        if end > self._head_limit_bytes:
            return None
        self._last_head, self._known_head = received[:end], KnownHead()
        self._head = read_head(self._last_head)
        if self._head is not None and self._head.path in self._left_paths:
            self._head = None
        if self._head is not None:
            self._incoming.data = received[end:]
        return self._head

    async def _begin(self, head: PlainHead) -> None:
        """Give a request to the endpoint."""
        self._enter_request()
        self._incoming.left_bytes = head.content_bytes
        address, prefix = self._locate(self._peer_address, head.raw_headers)
        request = HttpRequest(
            head.method,
            head.path,
            head.headers,
            self._incoming.read_body,
            head.query,
            root_path=prefix,
            peer=self._connection,
            address=address,
            known_head=self._known_head,
        )
        try:
            self._expect(await self._endpoint.respond(request))
        except ClientGone:
            self._incoming.is_gone = True

    async def _conclude(self) -> None:
        """Do what is left to do for the present request."""
        try:
            response = await self._outcome()
            if isinstance(response, Answer):
                await self._send_answer(response)
            elif response is not None:
                self._has_more_to_send = True
                await send_events(
                    response, self._connection, self._incoming.receive_message, self._send_message
                )
        except ClientGone:
            self._give_up()
            self._incoming.is_gone = True
        if self._incoming.left_bytes or self._has_more_to_send:
            # The rest of the body would be read as the next request; the rest of a response that
            # was given up would be missed.
            self._is_ending = True
        if self.idle_since_s is None:
            self._enter_idle()

    # --- Responses that are pending ----------------------------------------------------------

    def _expect(self, response: Answer | EventStream | PendingResponse) -> None:
        """Note the response to the present request, and have it sent once it is decided."""
        self._left = response
        if isinstance(response, PendingResponse):
            self._pending = response
            if not response.notify(self._send_decided):
                self._pending = None

    async def _outcome(self) -> Answer | EventStream | None:
        """Return the response once it is decided; None if it was sent already."""
        incoming = self._incoming
        while self._is_pending() and len(incoming.data) <= AHEAD_BYTES:
            if incoming.is_gone:
                raise ClientGone
            await incoming.receive(self._take_request)
        left = self._take_left()
        if isinstance(left, PendingResponse):
            return await outcome_of(left, incoming.receive_message)
        if not isinstance(left, memoryview):
            return left
        await self._send(left)
        return None

    def _give_up(self) -> None:
        left = self._take_left()
        if isinstance(left, PendingResponse):
            left.abandon()
        elif isinstance(left, EventStream):
            left.close()

    def _is_pending(self) -> bool:
        return self._pending is not None

    def _take_left(self) -> Answer | EventStream | PendingResponse | memoryview | None:
        left, self._pending, self._left = self._left, None, None
        return left

    def _send_decided(self) -> None:
        """Send the answer that was decided; leave everything unusual to the connection's task.

        This runs in the task of whoever decides. So an answer need not wake the connection's task,
        which goes on waiting for the next request.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        is_done = False
        try:
            self._left = pending.decided() or pending
            is_done = self._send_left()
        finally:
            # Also after an error: the connection's task, which has what is left, fails with it.
            if not is_done:
                self._connection.interrupt()

    def _send_left(self) -> bool:
        """Send the response if it is small; return whether there is nothing more to do."""
        data = self._small_response(self._left)
        if data is None:
            return False
        self._left = self._send_nowait(data)
        if self._left is not None or self._incoming.is_gone:
            return False
        self._enter_idle()
        return not (self._incoming.data or self._is_ending)

    def _small_response(self, response: object) -> bytes | None:
        """Return a response, head and body, if it is all there, and small."""
        if isinstance(response, Answer):
            if len(response.body) > LARGE_BYTES:
                return None
            return self._head_of_answer(response) + response.body
        if isinstance(response, EventStream):
            body = response.take_whole(LARGE_BYTES)
            if body is not None:
                return self._head_of_stream(response.headers) + as_chunk(body) + LAST_CHUNK
        return None

    def _send_nowait(self, data: bytes) -> memoryview | None:
        """Send what the system takes at once; return the rest, None if there is none."""
        try:
            taken_bytes = self._connection.send_nowait(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._incoming.is_gone = True
            return None
        return memoryview(data)[taken_bytes:] if taken_bytes < len(data) else None

    # --- Responses ---------------------------------------------------------------------------

    async def _send_answer(self, answer: Answer) -> None:
        """Send an answer in one go; the rest of the request's body is thrown away before."""
        if self._incoming.left_bytes and CONNECTION_CLOSE not in answer.headers:
            await self._incoming.discard_body()
        head = self._head_of_answer(answer)
        if len(answer.body) > LARGE_BYTES:
            # To copy that much costs more than another system call.
            await self._send(head)
            await self._send(answer.body)
        else:
            await self._send(head + answer.body)

    def _head_of_answer(self, answer: Answer) -> bytes:
        self._connection.enter(Phase.ANSWERED)
        if CONNECTION_CLOSE in answer.headers:
            self._is_ending = True
        elif self._incoming.left_bytes or self._is_finishing:
            self._is_ending = True
            return answer_head(answer, CONNECTION_CLOSE)
        return answer_head(answer)

    async def _send_message(self, message: Message) -> None:
        """Send an event stream, chunk by chunk."""
        if message["type"] == "http.response.start":
            await self._send(self._head_of_stream(message["headers"]))
            return
        is_last = not message.get("more_body", False)
        data = as_chunk(message["body"])
        await self._send(data + LAST_CHUNK if is_last else data)
        self._has_more_to_send = not is_last

    def _head_of_stream(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        self._connection.enter(Phase.ANSWERED)
        if self._is_finishing:
            headers = [*headers, CONNECTION_CLOSE]
            self._is_ending = True
        return stream_head(headers)

    async def _send(self, data: bytes | memoryview) -> None:
        """Send data; nobody is told that the client is gone, as ASGI wants it."""
        if not data:
            return
        try:
            await self._connection.send_now(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._incoming.lose_client()
