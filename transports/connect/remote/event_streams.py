"""Reads event streams: messages go to the connection, and everything else to the SDK.

The SDK keeps track of sessions, reconnects and resumes. For that it needs the ids of events and the
end of answers. The messages themselves bypass it, as the bytes they came in: its models would lose
members that they do not know, and its limit of 1 MiB for an event cannot be set for HTTP+SSE.

Imports the HTTP client, so only `sdk.load` loads this module.
"""

from __future__ import annotations

import logging
import socket
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeVar

import httpx2
import trio
from msgspec import Struct

from transports.connect.remote.connection import RequestAbandoned
from transports.connect.remote.failures import describe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from transports.connect.remote.connection import OutgoingMessage, RemoteConnection

T = TypeVar("T")

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""The longest message, the same as on every wire."""

STREAM_END_S: Final = 1.0
"""Time for a server to end the stream of an answered request, so the connection can be kept."""

_COMMENT: Final = b": \n\n"
"""An event stream line that means nothing (WHATWG HTML, Server-sent events)."""

log: Final = logging.getLogger("mcp_router.upstream")


class StandaloneStream(httpx2.AsyncByteStream):
    """The stream that belongs to no request (the GET stream), as the SDK reads it: no messages.

    A stream that breaks looks like a stream that ended, after which the SDK opens it again. In
    HTTP+SSE (`is_only_stream`) its end is the end of the connection.
    """

    def __init__(
        self, response: httpx2.Response, connection: RemoteConnection, *, is_only_stream: bool
    ) -> None:
        self._response = response
        self._connection = connection
        self._is_only_stream = is_only_stream
        self._events = aiter(_events_of(response))
        self._is_open = True
        connection.open_streams += 1
        _enable_keepalive(response)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        event = await self._next()
        if event.event == "endpoint":
            self._check_endpoint(event)
            await trio.lowlevel.checkpoint()
            return b"event: endpoint\ndata: %b\n\n" % event.data.encode()
        await _deliver(event, self._connection, None)
        return resumption_event(event.id, event.retry)

    async def _next(self) -> httpx2.ServerSentEvent:
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            self._end(self._connection.endpoint.broke("its event stream ended"))
            raise
        except httpx2.RequestError as exc:
            self._end(describe(self._connection.endpoint, exc))
            raise StopAsyncIteration from None

    def _end(self, why: str) -> None:
        log.debug("%s", why)
        if self._is_only_stream:
            self._connection.lose(why)

    def _check_endpoint(self, event: httpx2.ServerSentEvent) -> None:
        """End the connection if its messages would go to another host, with the credentials."""
        here = self._response.request.url
        there = here.join(event.data)
        if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
            shown = self._connection.endpoint.shown
            self._connection.lose(
                f"{shown} wants its messages sent to another host, which is not done"
            )

    async def aclose(self) -> None:
        if self._is_open:
            self._is_open = False
            self._connection.open_streams -= 1
        try:
            await close_generators(self._events)
        finally:
            await self._response.aclose()


class Progress(Struct):
    """The progress in the response stream of a request.

    Attributes:
        is_done: True if the request needs no more of the stream.
        last_id: the id of the last event, from which the SDK may resume; empty if there is none.
        retry_ms: the pause before that, if the server has named one.
    """

    is_done: bool = False
    last_id: str = ""
    retry_ms: int | None = None


async def read_response_stream(
    response: httpx2.Response, connection: RemoteConnection, message: OutgoingMessage
) -> Progress:
    """Read the response stream of a request to its end, which should come after the answer.

    Raises:
        httpx2.SSEError: the response is no event stream, or an event is too large.
    """
    await trio.lowlevel.checkpoint()
    progress = Progress()
    connection.open_streams += 1
    if message.is_stateless:  # without a session there is no other stream that would notice
        _enable_keepalive(response)
    try:
        await message.wait_unless_abandoned(
            lambda: _read_events(response, connection, message, progress)
        )
    except RequestAbandoned:
        progress.is_done = True
    except httpx2.SSEError:
        raise
    except httpx2.RequestError as exc:
        log.debug("%s: answer broke off: %s", connection.endpoint.shown, type(exc).__name__)
    finally:
        connection.open_streams -= 1
    return progress


async def _read_events(
    response: httpx2.Response,
    connection: RemoteConnection,
    message: OutgoingMessage,
    progress: Progress,
) -> None:
    async with closing_generators(aiter(_events_of(response))) as events:
        async for event in events:
            progress.last_id = event.id or progress.last_id
            progress.retry_ms = event.retry if event.retry is not None else progress.retry_ms
            if await _deliver(event, connection, message):
                progress.is_done = True
                # Only a stream that ends lets its HTTP connection be used again. The beginning of a
                # session does not wait for that.
                message.abandon(0 if message.is_initialize else STREAM_END_S)


async def _deliver(
    event: httpx2.ServerSentEvent, connection: RemoteConnection, message: OutgoingMessage | None
) -> bool:
    """Give the connection the message in an event, if any; return whether it answers `message`."""
    if event.event != "message" or not event.data:
        await trio.lowlevel.checkpoint()
        return False
    return await connection.receive_json(event.data.encode(), message)


@asynccontextmanager
async def closing_generators(source: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T]]:
    """Run `close_generators` on `source` at the end of the context."""
    try:
        yield source
    finally:
        with trio.move_on_after(0, shield=True):
            await close_generators(source)


async def close_generators(source: AsyncIterator[object]) -> None:
    """Close a stack of asynchronous generators at once, from within.

    Iterating in a cancelled scope raises inside the innermost generator, so all of them unwind.
    Closing only the outermost would leave the others to the garbage collector.
    """
    with trio.move_on_after(0, shield=True):
        with suppress(httpx2.RequestError):
            async for _ in source:
                pass
        await trio.lowlevel.checkpoint()


def resumption_event(last_id: str, retry_ms: int | None) -> bytes:
    """Return an event without a message, which tells the SDK where to resume."""
    id_line = b"id: %b\n" % last_id.encode() if last_id else b""
    retry_line = b"retry: %d\n" % retry_ms if retry_ms is not None else b""
    return id_line + retry_line + b"\n" if id_line or retry_line else _COMMENT


def _events_of(response: httpx2.Response) -> httpx2.EventSource:
    return httpx2.EventSource(response, max_event_size=MAX_MESSAGE_BYTES)


def _enable_keepalive(response: httpx2.Response) -> None:
    """Have the system notice that the other machine is gone: a stream may be silent for days."""
    stream = response.extensions.get("network_stream")
    found = None if stream is None else stream.get_extra_info("socket")
    if found is None:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        # The other machine is gone after 30 s of silence and 3 unanswered probes.
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
