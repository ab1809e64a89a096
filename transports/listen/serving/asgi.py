"""Serves an endpoint as an ASGI 3 application.

The endpoint decides on each response. This module reads the request and sends the response, both
with limits and deadlines, and notices when the client is gone.

Invariants:

- A plain request costs no nursery. Its connection is watched only after `UNWATCHED_S`, which still
  notices a disconnect well within a second; an event stream's is watched from the start.
- However a request ends, its `PendingResponse` is abandoned or decided, its `EventStream` closed.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final

import trio

from router.messages.errors import HttpRefusal
from transports.listen.serving.exchange import (
    UNWATCHED_S,
    Answer,
    ClientGone,
    HttpRequest,
    PendingResponse,
    error_answer,
    headers_of,
)
from transports.listen.serving.server_sent_events import KEEP_ALIVE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import TypeAlias

    from transports.listen.serving.exchange import Endpoint, EventStream
    from transports.listen.serving.unread_bytes import Peer

    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]

log = logging.getLogger("mcp_router.listen")

BODY_LIMIT_BYTES: Final = 10 * 1024 * 1024
"""The largest body; each is held in memory as a whole."""

BODY_S: Final = 30.0
"""A body has to arrive within this time; without a limit a slow one could stay open for ever."""

SEND_S: Final = 30.0
"""A client that reads nothing of a response for so long is given up."""

LEAST_BYTES_PER_S: Final = 1000
"""So is one that reads less than this over that time; slower ones have to ask for less."""

DISCARD_BYTES: Final = 16 * 1024 * 1024
"""Bytes that are read and thrown away of the body of a refused request.

Many clients read an answer only after they have sent everything. If the server closed while they
send, they would lose the answer (RFC 9112 section 9.6).
"""

DISCARD_S: Final = 5.0
"""Seconds spent on that, so that a refused client cannot keep its connection for long."""

WHOLE_BYTES: Final = 64 * 1024
"""An event stream that has ended before it began is sent in one piece, if it is no larger."""

CONNECTION_CLOSE: Final = (b"connection", b"close")

PEER: Final = "mcp_router.peer"
"""The key of an ASGI scope's `state` under which `hosting` puts the `Peer` of the connection."""

_NO_STATE: Final[dict[str, Any]] = {}


class AsgiApp:
    """An ASGI 3 application that serves one endpoint; its server calls `run` and `end`.

    Attributes:
        endpoint: the endpoint.
        unread: the endpoint's.
        own_paths: none.
    """

    own_paths: frozenset[str] = frozenset()

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.unread = endpoint.unread
        self.run = endpoint.run
        self.end = endpoint.end

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope, which for HTTP is one request."""
        if scope["type"] == "http":
            await self._serve_request(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _complete_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})

    async def _serve_request(self, scope: Message, receive: Receive, send: Send) -> None:
        body, peer = RequestBody(receive), peer_of(scope)
        try:
            try:
                request = request_of(scope, body, peer)
            except HttpRefusal as refused:
                await send_answer(error_answer(refused), body, send)
                return
            response = await respond(self.endpoint, request, receive)
            if isinstance(response, Answer):
                await send_answer(response, body, send)
            else:
                await send_events(response, peer, receive, send)
        except ClientGone:
            return


async def _complete_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def peer_of(scope: Message) -> Peer | None:
    """Return the other end of the connection; None behind a server that does not tell."""
    return scope.get("state", _NO_STATE).get(PEER)


def address_of(scope: Message) -> str:
    """Return the IP address of the client; empty if it has none."""
    client = scope.get("client")
    return client[0] if client else ""


def path_of(scope: Message) -> str:
    """Return the path without the one at which the application is mounted."""
    return scope["path"].removeprefix(scope.get("root_path", ""))


def request_of(scope: Message, body: RequestBody, peer: Peer | None) -> HttpRequest:
    """Return the request that an ASGI scope describes; its body is read later.

    Raises:
        HttpRefusal: 400, its headers contradict each other.
    """
    headers = headers_of(scope["headers"])
    body.read_head(headers)
    return HttpRequest(
        method=scope["method"],
        path=path_of(scope),
        headers=headers,
        read_body=body.read,
        query=scope.get("query_string", b"").decode("latin-1"),
        root_path=scope.get("root_path", ""),
        peer=peer,
        address=address_of(scope),
    )


# --- Responses -------------------------------------------------------------------------------


async def respond(
    endpoint: Endpoint, request: HttpRequest, receive: Receive
) -> Answer | EventStream:
    """Return the response to a request, once it is decided.

    Args:
        endpoint: decides.
        request: the request.
        receive: returns `http.disconnect` once the client is gone; used if the answer takes long.

    Raises:
        ClientGone: the client left before it got a response.
    """
    response = await endpoint.respond(request)
    if not isinstance(response, PendingResponse):
        return response
    return await outcome_of(response, receive)


async def outcome_of(pending: PendingResponse, receive: Receive) -> Answer | EventStream:
    """Return a response once it is decided; it is abandoned if it never is.

    Args:
        pending: the response.
        receive: see `respond`.

    Raises:
        ClientGone: the client left before it got a response.
    """
    try:
        decided = await pending.prompt_outcome() or await _wait_watched(pending, receive)
        if decided is None:
            raise ClientGone
    except BaseException:
        pending.abandon()
        raise
    return decided


async def _wait_watched(pending: PendingResponse, receive: Receive) -> Answer | EventStream | None:
    """Return the response once it is decided; None if the client left before."""
    response = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_on_disconnect, receive, nursery.cancel_scope)
        with trio.move_on_after(KEEP_ALIVE_S - UNWATCHED_S):
            response = await pending.outcome()
        if response is None:
            response = pending.commit() or await pending.outcome()
        nursery.cancel_scope.cancel("there is an answer")
    return response


async def _cancel_on_disconnect(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel("the client is gone")


async def send_answer(answer: Answer, body: RequestBody, send: Send) -> None:
    """Send an answer, within the limits of time; the rest of the request's body is discarded."""
    headers = list(answer.headers)
    if answer.status != 204:  # RFC 9110 section 8.6: no Content-Length with 204
        headers.append((b"content-length", b"%d" % len(answer.body)))
    if not body.is_complete and CONNECTION_CLOSE not in headers:
        await body.discard()
        if not body.is_complete:
            # The rest of the body would be read as the next request.
            headers.append(CONNECTION_CLOSE)
    with trio.move_on_after(_longest_send_s(answer.body)) as sending:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
    if sending.cancelled_caught:
        _log_given_up()


# --- Bodies ----------------------------------------------------------------------------------


class RequestBody:
    """The body of one request, as it arrives.

    Attributes:
        announced_bytes: what `Content-Length` says; 0 without one.
        is_complete: nothing more of this body will arrive.
    """

    __slots__ = ("_receive", "announced_bytes", "is_complete")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.announced_bytes = 0
        self.is_complete = False

    def read_head(self, headers: dict[str, str]) -> None:
        """Learn from the request's headers how long the body is.

        Raises:
            HttpRefusal: 400, `Content-Length` is not a number, or two different numbers (RFC 9112
                section 6.3).
        """
        announced = headers.get("content-length")
        if announced is not None:
            # No body has a length of more than 18 digits, and `int` of very many is slow.
            if not announced.isascii() or not announced.isdigit() or len(announced) > 18:
                problem = "Content-Length is not a number"
                raise HttpRefusal(400, problem, (("Connection", "close"),))
            self.announced_bytes = int(announced)
        self.is_complete = self.announced_bytes == 0 and "transfer-encoding" not in headers

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            HttpRefusal: 413, the body is too large; 408, it did not arrive in time.
            ClientGone: the client closed its connection.
        """
        if self.announced_bytes > BODY_LIMIT_BYTES:
            raise _too_large()
        with trio.move_on_after(BODY_S):
            return await self._read()
        raise HttpRefusal(408, f"The request body did not arrive within {BODY_S:g} s")

    async def _read(self) -> bytes:
        body = await self._receive_part()
        if self.is_complete:  # the usual case: one part, no copy
            return body
        parts, size_bytes = [body], len(body)
        while not self.is_complete:
            part = await self._receive_part()
            size_bytes += len(part)
            if size_bytes > BODY_LIMIT_BYTES:
                raise _too_large()
            parts.append(part)
        return b"".join(parts)

    async def discard(self) -> None:
        """Throw away the rest of the body, within the limits of size and time.

        Raises:
            ClientGone: the client closed its connection.
        """
        size_bytes = 0
        with trio.move_on_after(DISCARD_S):
            while not self.is_complete and size_bytes <= DISCARD_BYTES:
                size_bytes += len(await self._receive_part())

    async def _receive_part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.is_complete = not message.get("more_body", False)
        return message.get("body", b"")


def _too_large() -> HttpRefusal:
    return HttpRefusal(413, f"Request body too large. Maximum size: {BODY_LIMIT_BYTES} bytes")


# --- Event streams ---------------------------------------------------------------------------


async def send_events(events: EventStream, peer: Peer | None, receive: Receive, send: Send) -> None:
    """Send an event stream, until it ends or the client is gone; it is closed then.

    Args:
        events: the stream.
        peer: the other end of the connection, if it is known.
        receive: returns `http.disconnect` once the client is gone.
        send: takes the parts of the response.
    """
    whole = events.take_whole(WHOLE_BYTES)
    if whole is not None:
        with trio.move_on_after(SEND_S):
            await send(_start_of(events))
            await send({"type": "http.response.body", "body": whole})
        return
    events.peer = peer
    is_whole = False
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_disconnect, receive, nursery.cancel_scope)
            is_whole = await _write_events(events, send)
            nursery.cancel_scope.cancel("the stream has ended")
    finally:
        events.close()
    if is_whole:
        # Sent outside the nursery: servers report `http.disconnect` after the last byte too, and
        # a cancellation then would keep the server from closing the connection properly.
        with trio.move_on_after(SEND_S):
            await send({"type": "http.response.body", "body": b""})


def _start_of(events: EventStream) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": list(events.headers)}


async def _write_events(events: EventStream, send: Send) -> bool:
    """Send everything up to the end; return False if the client did not read in time."""
    start = _start_of(events)
    chunk: bytes | None = events.opening
    with trio.CancelScope(deadline=trio.current_time() + SEND_S) as scope:
        await send(start)
        while chunk is not None:
            scope.deadline = trio.current_time() + _longest_send_s(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            scope.deadline = math.inf  # the next event may take as long as it likes
            # Neither sending nor an event that is there already makes others wait for their turn.
            await trio.lowlevel.checkpoint()
            chunk = await events.next_chunk()
        return True
    _log_given_up()
    return False


def _longest_send_s(data: bytes) -> float:
    """Return how long the slowest client may take; the server may give it up earlier."""
    return SEND_S + len(data) / LEAST_BYTES_PER_S


def _log_given_up() -> None:
    log.info("gave up a client that did not read its answer")
