"""Event streams: messages go to the line, the rest to the SDK.

Job: stand between the HTTP responses and the SDK. Neighbours: `client` uses these, the SDK's
transports read what they give, `line` takes the messages. Imports the HTTP client: loaded by
`sdk.load` only.

The SDK keeps track of sessions, reconnects and resumes, for which it needs the ids of events and
the end of answers. The messages themselves go round it, as the bytes they came in: its models
would lose what they cannot hold, and its limit of 1 MiB for an event cannot be set for HTTP+SSE.
"""

from __future__ import annotations

import logging
import socket
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
import httpx2
import trio

from transports.connect.remote.connection import Abandoned
from transports.connect.remote.failures import describe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from transports.connect.remote.connection import OutgoingMessage, RemoteConnection

T = TypeVar("T")

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""The frame limit, the same as on every wire."""

REST_S: Final = 1.0
"""Time for a server to end the stream of an answered request, so the connection can be kept."""

_QUIET: Final = b": \n\n"
_log: Final = logging.getLogger("mcp_router.upstream")


class Background(httpx2.AsyncByteStream):
    """The stream that belongs to no request, as the SDK gets to read it: without messages.

    A stream that breaks looks like one that ended, after which the SDK opens it again; unless
    there is nothing without it (`is_all`), as in HTTP+SSE.
    """

    def __init__(self, response: httpx2.Response, line: RemoteConnection, *, is_all: bool) -> None:
        self._response = response
        self._line = line
        self._is_all = is_all
        self._events = aiter(_source(response))
        self._open = True
        line.streams += 1
        _watch(response)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        event = await self._next()
        if event.event == "endpoint":
            self._check_endpoint(event)
            await trio.lowlevel.checkpoint()
            return b"event: endpoint\ndata: %b\n\n" % event.data.encode()
        await _pass_on(event, self._line, None)
        return progress(event.id, event.retry)

    async def _next(self) -> httpx2.ServerSentEvent:
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            self._end(self._line.endpoint.broke("its event stream ended"))
            raise
        except httpx2.RequestError as exc:
            self._end(describe(self._line.endpoint, exc))
            raise StopAsyncIteration from None

    def _end(self, why: str) -> None:
        _log.debug("%s", why)
        if self._is_all:
            self._line.lose(why)

    def _check_endpoint(self, event: httpx2.ServerSentEvent) -> None:
        here = self._response.request.url
        there = here.join(event.data)
        if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
            shown = self._line.endpoint.shown
            self._line.lose(f"{shown} wants its messages sent to another host, which is not done")

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._line.streams -= 1
        try:
            await unwind(self._events)
        finally:
            await self._response.aclose()


@attrs.define
class Followed:
    """How far the response stream of a request was read.

    Attributes:
        answered: the request needs no more.
        last_id, retry_ms: where and when the SDK may resume it.
    """

    answered: bool = False
    last_id: str = ""
    retry_ms: int | None = None


async def follow(
    response: httpx2.Response, line: RemoteConnection, exchange: OutgoingMessage
) -> Followed:
    """Read the response stream of a request to its end, which should come after its answer.

    Raises:
        httpx2.SSEError: it is no event stream, or an event is too large.
    """
    await trio.lowlevel.checkpoint()
    seen = Followed()
    line.streams += 1
    if exchange.is_stateless:  # There is no other stream that would notice.
        _watch(response)
    try:
        await exchange.wait(lambda: _follow(response, line, exchange, seen))
    except Abandoned:
        seen.answered = True
    except httpx2.SSEError:
        raise
    except httpx2.RequestError as exc:
        _log.debug("%s: answer broke off: %s", line.endpoint.shown, type(exc).__name__)
    finally:
        line.streams -= 1
    return seen


async def _follow(
    response: httpx2.Response, line: RemoteConnection, exchange: OutgoingMessage, seen: Followed
) -> None:
    async with unwinding(aiter(_source(response))) as source:
        async for event in source:
            seen.last_id = event.id or seen.last_id
            seen.retry_ms = event.retry if event.retry is not None else seen.retry_ms
            if await _pass_on(event, line, exchange):
                seen.answered = True
                # Its own end lets the connection be used again. A session must not wait for that.
                exchange.abandon(0 if exchange.is_initialize else REST_S)


async def _pass_on(
    event: httpx2.ServerSentEvent, line: RemoteConnection, asked: OutgoingMessage | None
) -> bool:
    if event.event != "message" or not event.data:
        await trio.lowlevel.checkpoint()
        return False
    return await line.read(event.data.encode(), asked)


@asynccontextmanager
async def unwinding(source: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T]]:
    """`unwind` the generators of `source` when they are left."""
    try:
        yield source
    finally:
        with trio.move_on_after(0, shield=True):
            await unwind(source)


async def unwind(source: AsyncIterator[object]) -> None:
    """End a stack of asynchronous generators at once, from within.

    To close the outermost would leave those beneath it to the garbage collector.
    """
    with trio.move_on_after(0, shield=True):
        with suppress(httpx2.RequestError):
            async for _ in source:
                pass
        await trio.lowlevel.checkpoint()


def progress(last_id: str, retry_ms: int | None) -> bytes:
    """An event without a message, for the SDK to know where to resume."""
    named = b"id: %b\n" % last_id.encode() if last_id else b""
    timed = b"retry: %d\n" % retry_ms if retry_ms is not None else b""
    return named + timed + b"\n" if named or timed else _QUIET


def _source(response: httpx2.Response) -> httpx2.EventSource:
    return httpx2.EventSource(response, max_event_size=MAX_MESSAGE_BYTES)


def _watch(response: httpx2.Response) -> None:
    """Have the system find out when the other machine is gone: a stream may be silent for days."""
    stream = response.extensions.get("network_stream")
    found = None if stream is None else stream.get_extra_info("socket")
    if found is None:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        # Gone after 30 s of silence and 3 unanswered probes.
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
