"""A bare ASGI application around an endpoint.

Job: read requests with limits and deadlines, write answers and event streams with a deadline,
notice when a client is gone. Neighbours: `exchange.Endpoint` decides everything; `hosting` serves
this, as any other ASGI 3 server could.

Invariants:

- A plain request costs no nursery. Its client's connection is watched from `PATIENCE_S` on, so
  that a disconnect is noticed well within a second; an event stream's is watched all the time.
- `Waiting.abandon` and `Events.leave` are called however a request ends.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final

import trio

from router.messages.errors import HttpRefusal
from transports.listen.serving.exchange import (
    KEEP_ALIVE_S,
    RETRY_AFTER,
    Answer,
    ClientGone,
    HttpRequest,
    Waiting,
    headers_of,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import TypeAlias

    from transports.listen.serving.exchange import Endpoint, Events

    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]

log = logging.getLogger("mcp_router.listen")

BODY_LIMIT_BYTES: Final = 10 * 1024 * 1024
BODY_S: Final = 30.0
"""A body has to arrive within this time; without a limit one dripped in stays open for ever."""

SEND_S: Final = 30.0
"""A client has to take what it is sent within this time, or it is given up."""

PATIENCE_S: Final = 0.25
"""Most answers are there by then, and watching a connection costs more than such an answer."""

DISCARD_BYTES: Final = 16 * 1024 * 1024
"""How much of the body of a refused request is read and thrown away.

Many clients read an answer only after they have sent all; closing while they send would cost
them the answer (RFC 9112 section 9.6).
"""

DISCARD_S: Final = 5.0

CLOSE: Final = (b"connection", b"close")


class AsgiApp:
    """An ASGI 3 application that serves one endpoint.

    Args:
        endpoint: what answers. It is run and ended by whoever serves this.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.run = endpoint.run
        self.end = endpoint.end

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI's, which for HTTP is one request."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        body = Body(receive)
        try:
            request: HttpRequest | Answer = _request_of(scope, body)
        except HttpRefusal as refused:
            request = refusal(refused)
        exchange = _Exchange(body, receive, send)
        try:
            await exchange.run(self._endpoint, request)
        except ClientGone:
            return
        finally:
            exchange.leave()


class _Exchange:
    """One request and its response.

    A cancel scope costs as much as parsing a request does, so all phases of a plain request share
    one: its deadline is moved from phase to phase.
    """

    __slots__ = ("_body", "_receive", "_send", "_timer", "_waiting")

    def __init__(self, body: Body, receive: Receive, send: Send) -> None:
        self._body = body
        self._receive = receive
        self._send = send
        self._timer = trio.CancelScope()
        self._waiting: Waiting | None = None  # to be abandoned, unless it comes to an outcome

    async def run(self, endpoint: Endpoint, request: HttpRequest | Answer) -> None:
        """Respond to a request, or to its refusal.

        Raises:
            ClientGone: there is nobody to respond to.
        """
        response: Answer | Events | None = None
        sending = False
        with self._timer:
            response = await self._respond(endpoint, request)
            # A deadline may have passed just when there was a response: then it is answered late.
            if isinstance(response, Answer) and not self._timer.cancel_called:
                sending = True
                await self._answer(response)
        if sending:
            self._note_end()
            return
        if response is None:
            response = await self._respond_late()
        if isinstance(response, Answer):
            await self._answer_late(response)
        else:
            await _send_events(response, self._receive, self._send)

    async def _respond(self, endpoint: Endpoint, request: HttpRequest | Answer) -> Answer | Events:
        if isinstance(request, Answer):
            return request
        self._timer.deadline = trio.current_time() + BODY_S
        response = await endpoint.respond(request)
        if isinstance(response, Waiting):
            self._waiting = response
            self._timer.deadline = trio.current_time() + PATIENCE_S
            response = await self._waiting.outcome()
            self._waiting = None
        return response

    async def _respond_late(self) -> Answer | Events:
        """What the response is after the first deadline has passed."""
        if self._waiting is None:
            return refusal(too_slow(self._body))
        response = await _wait_watched(self._waiting, self._receive)
        if response is None:
            raise ClientGone
        self._waiting = None
        return response

    async def _answer_late(self, answer: Answer) -> None:
        with trio.CancelScope() as self._timer:
            await self._answer(answer)
        self._note_end()

    def _note_end(self) -> None:
        if self._timer.cancelled_caught:
            _log_given_up()

    async def _answer(self, answer: Answer) -> None:
        headers = list(answer.headers)
        if answer.status != 204:
            headers.append((b"content-length", b"%d" % len(answer.body)))
        if not self._body.is_complete and CLOSE not in headers:
            await self._body.discard()
            if not self._body.is_complete:
                headers.append(CLOSE)
        self._timer.deadline = trio.current_time() + SEND_S
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": answer.body})

    def leave(self) -> None:
        """However it ended, nobody waits any more."""
        if self._waiting is not None:
            self._waiting.abandon()


# --- Reading ---------------------------------------------------------------------------------


def _request_of(scope: Message, body: Body) -> HttpRequest:
    headers = headers_of(scope["headers"])
    body.expect(headers)
    root_path = scope.get("root_path", "")
    return HttpRequest(
        method=scope["method"],
        path=scope["path"].removeprefix(root_path),
        headers=headers,
        read_body=body.read,
        query=scope.get("query_string", b"").decode("latin-1"),
        root_path=root_path,
    )


def _length_of(headers: dict[str, str]) -> int:
    """The announced length of the body; 0 where none is announced.

    Raises:
        Refused: 400, it is no number, or two different ones (RFC 9112 section 6.3).
    """
    announced = headers.get("content-length")
    if announced is None:
        return 0
    if not announced.isascii() or not announced.isdigit() or len(announced) > 18:
        raise HttpRefusal(400, "Content-Length is not a number", (("Connection", "close"),))
    return int(announced)


class Body:
    """The body of one request, as it comes in."""

    __slots__ = ("_receive", "announced", "is_complete")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.announced = 0
        self.is_complete = False

    def expect(self, headers: dict[str, str]) -> None:
        """Learn from the head what is to come.

        Raises:
            Refused: 400, the head contradicts itself.
        """
        self.announced = _length_of(headers)
        self.is_complete = self.announced == 0 and "transfer-encoding" not in headers

    async def read(self) -> bytes:
        """See `exchange.HttpRequest.read_body`."""
        if self.announced > BODY_LIMIT_BYTES:
            raise _too_large()
        body = await self._receive_part()
        if self.is_complete:
            return body
        parts, size = [body], len(body)
        while not self.is_complete:
            part = await self._receive_part()
            size += len(part)
            if size > BODY_LIMIT_BYTES:
                raise _too_large()
            parts.append(part)
        return b"".join(parts)

    async def _receive_part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.is_complete = not message.get("more_body", False)
        return message.get("body", b"")

    async def discard(self) -> None:
        """Throw away what is still to come of it, if that does not take too much."""
        size = 0
        with trio.move_on_after(DISCARD_S):
            while not self.is_complete and size <= DISCARD_BYTES:
                size += len(await self._receive_part())


def too_slow(body: Body) -> HttpRefusal:
    """What kept a request from being taken in time: its own body, or a busy router."""
    if body.is_complete:
        return HttpRefusal(503, "The router is overloaded; try again later", RETRY_AFTER)
    return HttpRefusal(408, f"The request body did not arrive within {BODY_S:g} s")


def _too_large() -> HttpRefusal:
    return HttpRefusal(413, f"Request body too large. Maximum size: {BODY_LIMIT_BYTES} bytes")


# --- Waiting ---------------------------------------------------------------------------------


async def _wait_watched(waiting: Waiting, receive: Receive) -> Answer | Events | None:
    """What a response turns out to be; None when its client did not wait for it."""
    outcome = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_on_disconnect, receive, nursery.cancel_scope)
        with trio.move_on_after(KEEP_ALIVE_S - PATIENCE_S):
            outcome = await waiting.outcome()
        if outcome is None:
            outcome = waiting.commit() or await waiting.outcome()
        nursery.cancel_scope.cancel("there is an answer")
    return outcome


async def _cancel_on_disconnect(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel("the client is gone")


# --- Writing ---------------------------------------------------------------------------------


async def _send_events(events: Events, receive: Receive, send: Send) -> None:
    is_whole = False
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_disconnect, receive, nursery.cancel_scope)
            is_whole = await _write_events(events, send)
            nursery.cancel_scope.cancel("the stream has ended")
    finally:
        events.leave()
    if is_whole:
        # Not watched any more: servers say `http.disconnect` after the last byte too, and being
        # cancelled by that would keep them from closing the connection.
        with trio.move_on_after(SEND_S):
            await send({"type": "http.response.body", "body": b""})


async def _write_events(events: Events, send: Send) -> bool:
    """Send everything up to the end; False when the client took too long."""
    start = {"type": "http.response.start", "status": 200, "headers": list(events.headers)}
    chunk: bytes | None = events.opening
    with trio.CancelScope(deadline=trio.current_time() + SEND_S) as scope:
        await send(start)
        while chunk is not None:
            scope.deadline = trio.current_time() + SEND_S
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            scope.deadline = math.inf
            chunk = await events.next_chunk()
        return True
    _log_given_up()
    return False


def _log_given_up() -> None:
    log.info("gave up a client that did not read its answer for %g s", SEND_S)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
