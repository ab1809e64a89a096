"""Wires to remote upstreams, over the SDK's client transports.

Job: run one of the SDK's transports with our HTTP client beneath it. Neighbours: `http` and `sse`
open these wires, `client` does the HTTP, `line` carries what comes. Imports the SDK: loaded by
`sdk.load` only.

The SDK is told only ids and methods. Our bytes go straight into its HTTP requests and out of its
responses (`client`, `events`), so nothing is lost in its models.
"""

from __future__ import annotations

import logging
import math
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import attrs
import httpx2
import trio
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import (
    CONNECTION_CLOSED,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from router.messages.errors import INTERNAL_ERROR, SESSION_LOST
from router.messages.frames import Notification, Request, Response
from router.messages.revisions import STATELESS_REVISION
from transports.connect.remote.connection import OutgoingMessage, RemoteConnection, sending
from transports.connect.remote.failures import CONNECT_S, describe
from transports.connect.remote.http_client import HttpClient, SseClient
from transports.connect.remote.request_headers import VERSION_HEADER, Routing
from transports.connect.wire import Received, WireLost

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from mcp.client._transport import ReadStream, TransportStreams, WriteStream
    from mcp.shared._httpx_utils import McpHttpClientFactory
    from mcp_types import JSONRPCMessage

    from router.messages.catalog import Catalog
    from router.messages.frames import Frame
    from transports.connect.remote.endpoint import Endpoint, Kind
    from transports.connect.remote.http_client import Client

INBOX_FRAMES: Final = 64
"""Frames that wait for the session. Beyond them the upstream's streams are not read on."""

OPEN_S: Final = CONNECT_S + 5.0
"""Time until an upstream can take the first message: HTTP+SSE first says where to send it."""

_CLIENTS: Final = {"http": HttpClient, "sse": SseClient}
_NAMES: Final = {"http": "streamable HTTP", "sse": "HTTP+SSE"}
_log: Final = logging.getLogger("mcp_router.upstream")

# These write URLs and payloads into the log. What matters is said here in words of our own.
for _name in ("mcp", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
del _name


@asynccontextmanager
async def open_wire(
    endpoint: Endpoint, headers: Mapping[str, str], kinds: Sequence[Kind]
) -> AsyncGenerator[RemoteWire]:
    """A wire to `endpoint`, over the first of `kinds` that it does not refuse.

    Leaving it says goodbye to the upstream, within `client.SAY_GOODBYE_S`; at once where it is
    left because of cancellation, or because the wire is lost.
    """
    _check(headers)
    sender, receiver = trio.open_memory_channel[Received](INBOX_FRAMES)
    wire = RemoteWire(endpoint, headers, kinds, sender, receiver)
    failed: Exception | None = None
    with receiver:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.run)
            try:
                yield wire
            except Exception as exc:  # noqa: BLE001 - raised below, outside the nursery's group
                failed = exc
            wire.hang_up()
    if failed is not None:
        raise failed


@attrs.define(eq=False)
class RemoteWire:
    """A `Wire` to an upstream that is reached over HTTP."""

    _endpoint: Endpoint
    _headers: Mapping[str, str] = attrs.field(repr=False)
    _kinds: Sequence[Kind]
    _sender: trio.MemorySendChannel[Received] = attrs.field(repr=False)
    _receiver: trio.MemoryReceiveChannel[Received] = attrs.field(repr=False)
    _ready: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)
    _hung_up: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)
    _lost: str | None = attrs.field(default=None, init=False)
    _line: RemoteConnection | None = attrs.field(default=None, init=False, repr=False)
    _client: Client | None = attrs.field(default=None, init=False, repr=False)
    _out: WriteStream[SessionMessage] | None = attrs.field(default=None, init=False, repr=False)
    _routing: Routing = attrs.field(factory=Routing, init=False, repr=False)
    _initialize: Frame | None = attrs.field(default=None, init=False, repr=False)

    async def send(self, frames: Sequence[Frame]) -> None:
        """Hand frames to the SDK, one by one; see `Wire.send`."""
        await self._ready.wait()
        for frame in frames:
            await self._send(frame)

    async def receive(self) -> Sequence[Received]:
        """Everything that has come in; see `Wire.receive`."""
        try:
            batch = [await self._receiver.receive()]
        except trio.EndOfChannel:
            raise self._gone() from None
        while self._receiver.statistics().current_buffer_used:
            batch.append(self._receiver.receive_nowait())
        return batch

    def set_revision(self, revision: str) -> None:
        """Name the revision in every request from now on (MCP, Transports, Protocol Version
        Header)."""
        self._routing.is_stateless = revision == STATELESS_REVISION
        if self._client is not None:
            self._client.headers[VERSION_HEADER] = revision

    def set_catalog(self, catalog: Catalog) -> None:
        """Calls of some tools repeat parts of their arguments in headers."""
        self._routing.set_catalog(catalog)

    def hang_up(self) -> None:
        """End the connection in good order."""
        self._hung_up.set()
        if self._line is not None and not self._ready.is_set():
            self._line.scope.cancel()

    async def run(self) -> None:
        """Keep the connection until `hang_up` or until it is lost."""
        try:
            await self._try_all()
        finally:
            self._out = None
            self._ready.set()
            self._sender.close()

    async def _try_all(self) -> None:
        await trio.lowlevel.checkpoint()
        refusals: list[str] = []
        for kind in self._kinds:
            line = await self._speak(kind)
            refusals.append(line.lost or "")
            if not line.refused:
                break
            self._ready = trio.Event()
        self._lost = _all_of(refusals, self._kinds)

    async def _speak(self, kind: Kind) -> RemoteConnection:
        """Speak one transport for as long as it lasts."""
        await trio.lowlevel.checkpoint()
        line = self._line = RemoteConnection(self._endpoint, self._sender)
        line.scope.deadline = trio.current_time() + OPEN_S
        if self._hung_up.is_set():
            line.scope.cancel()
        with line.scope:
            try:
                async with trio.open_nursery() as nursery:
                    await self._open(kind, line, nursery)
                    nursery.cancel_scope.cancel()
            except* (httpx2.HTTPError, httpx2.InvalidURL) as group:
                line.lose(_describe(self._endpoint, group))
            except* RuntimeError:
                # What the SDK makes of an event stream that ends before it tells its endpoint.
                if line.lost is None:
                    raise
        if line.lost is None and not self._hung_up.is_set():
            line.lose(self._endpoint.unreachable(f"it was not ready within {OPEN_S:g} s"))
        self._out = None
        return line

    async def _open(self, kind: Kind, line: RemoteConnection, nursery: trio.Nursery) -> None:
        client = await self._new_client(kind, line, nursery)
        async with _transport(kind, self._endpoint.url, client) as (read, out):
            line.scope.deadline = math.inf
            self._client, self._out = client, out
            self._ready.set()
            if self._initialize is not None:
                await self._send(self._initialize)
            await self._carry(read, line)

    async def _new_client(
        self, kind: Kind, line: RemoteConnection, nursery: trio.Nursery
    ) -> Client:
        make = partial(_CLIENTS[kind], line, self._headers, nursery)
        return await trio.to_thread.run_sync(make, abandon_on_cancel=True)

    async def _carry(
        self, read: ReadStream[SessionMessage | Exception], line: RemoteConnection
    ) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed, read, line)
            await self._hung_up.wait()
            nursery.cancel_scope.cancel()

    async def _send(self, frame: Frame) -> None:
        if self._out is None or self._line is None:
            raise self._gone()
        exchange = OutgoingMessage(frame, self._routing.headers_of(frame))
        if exchange.is_initialize:
            self._initialize = frame
        has_to_be_sent = self._line.start(exchange)
        if not has_to_be_sent or (self._routing.is_stateless and exchange.request is None):
            await trio.lowlevel.checkpoint()  # 2026-07-28 knows nothing but requests over HTTP.
            return
        token = sending.set(exchange)
        try:
            await self._out.send(SessionMessage(_envelope(frame)))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise self._gone() from None
        finally:
            sending.reset(token)

    def _gone(self) -> WireLost:
        lost = self._lost or (None if self._line is None else self._line.lost)
        return WireLost(lost or f"the connection to {self._endpoint.shown} was closed")


def _check(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not (name.isascii() and value.isascii()):
            raise WireLost(f"the header {name!r} of this instance is not plain ASCII")


@asynccontextmanager
async def _transport(kind: Kind, url: str, client: Client) -> AsyncGenerator[TransportStreams]:
    """One of the SDK's client transports, over `client`, which is closed with it."""
    if kind == "sse":
        async with sse_client(url, httpx_client_factory=_always(client)) as streams:
            yield streams
    else:
        async with client, streamable_http_client(url, http_client=client) as streams:
            yield streams


def _always(client: Client) -> McpHttpClientFactory:
    def factory(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return client

    return factory


async def _heed(read: ReadStream[SessionMessage | Exception], line: RemoteConnection) -> None:
    """What the SDK has to say: that an answer came, or why none will."""
    async for heard in read:
        message = heard.message if isinstance(heard, SessionMessage) else None
        if isinstance(message, JSONRPCResponse):
            await line.release()
        elif isinstance(message, JSONRPCError):
            is_cut = message.error.code == CONNECTION_CLOSED
            code = SESSION_LOST if is_cut else INTERNAL_ERROR
            await line.give_up(message.id, message.error.message, code)
    line.lose(line.endpoint.broke("the transport ended"))


def _envelope(frame: Frame) -> JSONRPCMessage:
    """As much of a message as the SDK needs to know."""
    if isinstance(frame, Request):
        return JSONRPCRequest(jsonrpc="2.0", id=frame.id, method=frame.method)
    if isinstance(frame, Notification):
        return JSONRPCNotification(jsonrpc="2.0", method=frame.method)
    if isinstance(frame, Response):
        return JSONRPCResponse(jsonrpc="2.0", id=frame.id, result={})
    return JSONRPCError(jsonrpc="2.0", id=frame.id, error=ErrorData(code=0, message=""))


def _all_of(refusals: Sequence[str], kinds: Sequence[Kind]) -> str:
    if len(refusals) == 1:
        return refusals[0]
    named = [f"{_NAMES[kind]}: {why}" for kind, why in zip(kinds, refusals, strict=False)]
    return "; ".join(named)


def _describe(endpoint: Endpoint, group: BaseExceptionGroup[Exception]) -> str:
    for exc in _leaves(group):
        if isinstance(exc, httpx2.HTTPError):
            return describe(endpoint, exc)
        if isinstance(exc, httpx2.InvalidURL):
            return endpoint.unreachable("its url is no URL")
    return endpoint.broke("the transport failed")


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[BaseException]:
    for member in group.exceptions:
        if isinstance(member, BaseExceptionGroup):
            yield from _leaves(member)
        else:
            yield member
