"""The wire to a remote upstream: one of the SDK's client transports with the router's HTTP client.

The SDK sees only ids and methods. The bytes of the messages bypass it: `http_client` puts them into
its HTTP requests and takes them out of the responses. So nothing is lost in its models. Imports the
SDK, so only `sdk.load` loads this module.
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

from router.messages.errors import SESSION_LOST, TRANSPORT_ERROR
from router.messages.frames import Notification, Request, Response
from router.messages.revisions import STATELESS_REVISION
from transports.connect.remote.connection import (
    OutgoingMessage,
    RemoteConnection,
    message_being_sent,
)
from transports.connect.remote.failures import CONNECT_S, describe_first
from transports.connect.remote.http_client import SseHttpxClient, StreamableHttpxClient
from transports.connect.remote.request_headers import VERSION_HEADER, RequestHeaders
from transports.connect.wire import Received, WireLost

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from mcp.client._transport import ReadStream, TransportStreams, WriteStream
    from mcp.shared._httpx_utils import McpHttpClientFactory
    from mcp_types import JSONRPCMessage

    from router.messages.catalog import Catalog
    from router.messages.frames import Frame
    from transports.connect.credentials import Credentials
    from transports.connect.remote.endpoint import Kind, RemoteEndpoint
    from transports.connect.remote.http_client import HttpxClient

INBOX_FRAMES: Final = 64
"""Frames that may wait for the session, before the upstream's streams are not read any further."""

OPEN_S: Final = CONNECT_S + 5.0
"""Time until an upstream takes the first message: in HTTP+SSE it first names the URL for that."""

_CLIENTS: Final = {"http": StreamableHttpxClient, "sse": SseHttpxClient}
_NAMES: Final = {"http": "streamable HTTP", "sse": "HTTP+SSE"}

# These libraries log URLs and payloads. The router logs in its own words what matters.
for _name in ("mcp", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
del _name


@asynccontextmanager
async def open_wire(
    endpoint: RemoteEndpoint,
    headers: Mapping[str, str],
    kinds: Sequence[Kind],
    credentials: Credentials | None = None,
) -> AsyncGenerator[RemoteWire]:
    """Yield a wire to `endpoint`, over the first of `kinds` that the upstream does not refuse.

    A configured `Authorization` is what the user wants, so `credentials` are not asked then.

    Resource handling:
        Leaving the context ends the session at the upstream, within `http_client.DELETE_S`. A
        cancellation or a lost wire ends the context at once.
    """
    _check_headers(headers)
    configured = frozenset(name.lower() for name in headers)
    if "authorization" in configured:
        credentials = None
    sender, receiver = trio.open_memory_channel[Received](INBOX_FRAMES)
    own = RequestHeaders(configured)
    wire = RemoteWire(endpoint, headers, kinds, credentials, sender, receiver, own)
    failed: Exception | None = None
    with receiver:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wire.run)
                try:
                    yield wire
                except Exception as exc:  # noqa: BLE001 - raised below, outside the nursery's group
                    failed = exc
                wire.hang_up()
        except* trio.Cancelled:  # noqa: ASYNC103 - raised again, or `failed` is
            # A session makes an error of being cancelled while it starts.
            if failed is None:
                raise
    if failed is not None:
        raise failed


@attrs.define(eq=False)
class RemoteWire:
    """A `Wire` to an upstream that is reached over HTTP.

    `open_wire` runs `run` in a task of its own, beside the session's tasks that send and receive.
    """

    _endpoint: RemoteEndpoint
    _headers: Mapping[str, str] = attrs.field(repr=False)
    _kinds: Sequence[Kind]
    _credentials: Credentials | None = attrs.field(repr=False)
    _sender: trio.MemorySendChannel[Received] = attrs.field(repr=False)
    _receiver: trio.MemoryReceiveChannel[Received] = attrs.field(repr=False)
    _request_headers: RequestHeaders = attrs.field(repr=False)
    _ready: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)
    _hung_up: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)
    _lost: WireLost | None = attrs.field(default=None, init=False)
    _connection: RemoteConnection | None = attrs.field(default=None, init=False, repr=False)
    _client: HttpxClient | None = attrs.field(default=None, init=False, repr=False)
    _out: WriteStream[SessionMessage] | None = attrs.field(default=None, init=False, repr=False)
    _initialize: Frame | None = attrs.field(default=None, init=False, repr=False)
    _unsent: Sequence[Frame] = attrs.field(default=(), init=False, repr=False)

    def send_nowait(self, frames: Sequence[Frame]) -> bool:
        """Keep frames for `send`, because the SDK always has to wait; see `Wire.send_nowait`."""
        self._unsent = frames
        return False

    async def send(self, frames: Sequence[Frame]) -> None:
        """Hand frames to the SDK, one by one; see `Wire.send`."""
        await self._ready.wait()
        unsent, self._unsent = self._unsent, ()
        for frame in (*unsent, *frames):
            await self._send(frame)

    async def receive(self) -> Sequence[Received]:
        """Return all frames that have come in; see `Wire.receive`."""
        try:
            batch = [await self._receiver.receive()]
        except trio.EndOfChannel:
            raise self._wire_lost() from None
        while self._receiver.statistics().current_buffer_used:
            batch.append(self._receiver.receive_nowait())
        return batch

    def set_probing(self, is_probing: bool) -> None:
        """Do nothing: nobody hears what a remote server complains of."""

    def last_words(self) -> str:
        """Return nothing: everything that a remote server says is in its answers."""
        return ""

    def set_revision(self, revision: str) -> None:
        """Name the revision in every request from now on.

        MCP 2025-11-25, Transports, Protocol Version Header.
        """
        self._request_headers.is_stateless = revision == STATELESS_REVISION
        if self._client is not None:
            self._client.headers[VERSION_HEADER] = revision

    def set_catalog(self, catalog: Catalog) -> None:
        """Learn which tools repeat parts of their arguments in headers."""
        self._request_headers.set_catalog(catalog)

    def hang_up(self) -> None:
        """Have the connection ended in good order, or at once if it is not ready yet."""
        self._hung_up.set()
        if self._connection is not None and not self._ready.is_set():
            self._connection.scope.cancel()

    async def run(self) -> None:
        """Keep the connection until `hang_up` is called or it is lost."""
        try:
            await self._run_transports()
        finally:
            self._out = None
            self._ready.set()
            self._sender.close()

    async def _run_transports(self) -> None:
        await trio.lowlevel.checkpoint()
        refusals: list[str] = []
        last: WireLost | None = None
        for kind in self._kinds:
            connection = await self._run_transport(kind)
            refusals.append(connection.lost or "")
            last = connection.wire_lost()
            if not connection.is_refused:
                break
            self._ready = trio.Event()
        reason = _join_refusals(refusals, self._kinds)
        self._lost = last.again(reason) if last is not None and reason else None

    async def _run_transport(self, kind: Kind) -> RemoteConnection:
        """Run one of the SDK's transports for as long as it lasts."""
        await trio.lowlevel.checkpoint()
        connection = self._connection = RemoteConnection(self._endpoint, self._sender)
        connection.scope.deadline = trio.current_time() + OPEN_S
        if self._hung_up.is_set():
            connection.scope.cancel()
        with connection.scope:
            try:
                async with trio.open_nursery() as nursery:
                    await self._open(kind, connection, nursery)
                    nursery.cancel_scope.cancel()
            except* (httpx2.HTTPError, httpx2.InvalidURL) as group:
                connection.lose(*describe_first(self._endpoint, group))
            except* RuntimeError:
                # The SDK raises this if an event stream ends before it names its endpoint.
                if connection.lost is None:
                    raise
        if connection.lost is None and not self._hung_up.is_set():
            connection.lose(self._endpoint.unreachable(f"it was not ready within {OPEN_S:g} s"))
        self._out = None
        return connection

    async def _open(self, kind: Kind, connection: RemoteConnection, nursery: trio.Nursery) -> None:
        client = await self._new_client(kind, connection, nursery)
        async with _transport(kind, self._endpoint.url, client) as (read, out):
            connection.scope.deadline = math.inf
            self._client, self._out = client, out
            self._ready.set()
            if self._initialize is not None:  # another transport has refused it
                await self._send(self._initialize)
            await self._run_until_hang_up(read, connection)

    async def _new_client(
        self, kind: Kind, connection: RemoteConnection, nursery: trio.Nursery
    ) -> HttpxClient:
        make = partial(_CLIENTS[kind], connection, self._headers, self._credentials, nursery)
        return await trio.to_thread.run_sync(make, abandon_on_cancel=True)

    async def _run_until_hang_up(
        self, read: ReadStream[SessionMessage | Exception], connection: RemoteConnection
    ) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_follow_sdk, read, connection)
            await self._hung_up.wait()
            nursery.cancel_scope.cancel()

    async def _send(self, frame: Frame) -> None:
        if self._out is None or self._connection is None:
            raise self._wire_lost()
        own = self._request_headers
        message = OutgoingMessage(frame, own.headers_for(frame), own.forwarded_with(frame))
        if message.is_initialize:
            self._initialize = frame
        must_be_sent = self._connection.register(message)
        # Over HTTP, the only messages of 2026-07-28 are requests.
        if not must_be_sent or (self._request_headers.is_stateless and message.request is None):
            await trio.lowlevel.checkpoint()
            return
        token = message_being_sent.set(message)
        try:
            await self._out.send(SessionMessage(_sdk_message(frame)))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise self._wire_lost() from None
        finally:
            message_being_sent.reset(token)

    def _wire_lost(self) -> WireLost:
        if self._lost is not None:
            return self._lost.again()
        lost = None if self._connection is None else self._connection.wire_lost()
        return lost or WireLost(f"the connection to {self._endpoint.shown} was closed")


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not (name.isascii() and value.isascii()):
            raise WireLost(f"the header {name!r} of this instance is not plain ASCII")


@asynccontextmanager
async def _transport(kind: Kind, url: str, client: HttpxClient) -> AsyncGenerator[TransportStreams]:
    """Open one of the SDK's client transports over `client`, and close `client` with it."""
    if kind == "sse":
        async with sse_client(url, httpx_client_factory=_factory_of(client)) as streams:
            yield streams
    else:
        async with client, streamable_http_client(url, http_client=client) as streams:
            yield streams


def _factory_of(client: HttpxClient) -> McpHttpClientFactory:
    def factory(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return client

    return factory


async def _follow_sdk(
    read: ReadStream[SessionMessage | Exception], connection: RemoteConnection
) -> None:
    """Learn from the SDK that an answer has come, or why none will."""
    async for item in read:
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, JSONRPCResponse):
            await connection.release_held_answer()
        elif isinstance(message, JSONRPCError):
            is_cut = message.error.code == CONNECTION_CLOSED
            code = SESSION_LOST if is_cut else TRANSPORT_ERROR
            await connection.fail_request(message.id, message.error.message, code)
    connection.lose(connection.endpoint.broke("the transport ended"))


def _sdk_message(frame: Frame) -> JSONRPCMessage:
    """Return a message for the SDK with the id and the method alone."""
    if isinstance(frame, Request):
        return JSONRPCRequest(jsonrpc="2.0", id=frame.id, method=frame.method)
    if isinstance(frame, Notification):
        return JSONRPCNotification(jsonrpc="2.0", method=frame.method)
    if isinstance(frame, Response):
        return JSONRPCResponse(jsonrpc="2.0", id=frame.id, result={})
    return JSONRPCError(jsonrpc="2.0", id=frame.id, error=ErrorData(code=0, message=""))


def _join_refusals(refusals: Sequence[str], kinds: Sequence[Kind]) -> str:
    if len(refusals) == 1:
        return refusals[0]
    named = [f"{_NAMES[kind]}: {why}" for kind, why in zip(kinds, refusals, strict=False)]
    return "; ".join(named)
