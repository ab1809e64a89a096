"""Speaks HTTP/1.1 on one connection: Hypercorn's protocol without the parts that do harm here.

Invariants, for every peer, with or without a token:

- There is no HTTP/2. Nobody speaks HTTP/2 without TLS, and its streams, windows and compressed
  heads would get round the limits that `asgi` and `hosting` set.
- An invalid WebSocket handshake (RFC 6455 section 4.2.1) is answered with 400, and the connection
  closes. Hypercorn would keep it open for ever, or log a traceback for each.
- A WebSocket's client may send little, and nothing compressed: a few kB could become hundreds of
  MB, and the router needs none of it.
- A connection ends as soon as its client closes, or once the response to it has ended.
- Its memory is free at once, without a garbage collection.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import h11
import trio.lowlevel
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import FrameTooLargeError, Handshake, WSStream
from hypercorn.trio.tcp_server import TCPServer

from transports.listen.serving.hosting.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.protocol import ProtocolWrapper
    from wsproto.events import Message

    from transports.listen.serving.hosting.connection import Connection

WEBSOCKET_INPUT_BYTES: Final = 64 * 1024
"""Payload that a WebSocket's client may send in its whole life, in characters and bytes.

Clients only read the log here; a client that says a few words nevertheless is not cut.
"""

_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
"""A `Sec-WebSocket-Key`: 16 bytes in base64."""

_BODY_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})


class Http1Server(TCPServer):
    """Hypercorn's server of one connection, with `Http1` as its protocol."""

    _has_left = False

    @property
    def protocol(self) -> Any:
        """The protocol of this connection."""
        return self._protocol

    @protocol.setter
    def protocol(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, replaced: ProtocolWrapper
    ) -> None:
        """Take `Http1` where Hypercorn sets its wrapper around two versions of HTTP."""
        stream: Any = self.stream
        self._protocol = Http1(replaced, stream)

    async def run(self) -> None:
        """Serve the connection until it is closed."""
        try:
            await super().run()
        finally:
            # It has a method of this object. Both would be there until a garbage collection, and
            # thousands of connections may come before that.
            self._protocol = None

    async def protocol_send(self, event: Event) -> None:
        """Send data, close, or learn that the connection is idle."""
        if self._has_left and isinstance(event, Updated):
            # An answer that came too late must not begin the idle time again.
            await trio.lowlevel.checkpoint()
        else:
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        await super()._read_data()
        # The client has closed. Hypercorn would still wait the idle time for another request, and
        # clients that come and leave again and again would take all the places.
        self._has_left = True
        await self.idle_task.stop()


class Http1(H11Protocol):
    """HTTP/1.1 on one connection.

    Args:
        replaced: the protocol that Hypercorn would have used; everything is taken over from it.
        connection: is cut where a client breaks the rules, and is told its phase.
    """

    def __init__(self, replaced: ProtocolWrapper, connection: Connection) -> None:
        super().__init__(
            replaced.app, replaced.config, replaced.context, replaced.task_group, replaced.state,
            replaced.ssl, replaced.client, replaced.server, replaced.send,
        )  # fmt: skip
        self._accepted = connection
        self._cut = connection.cut

    async def handle(self, event: Event) -> None:
        """Process received data, or the end of the connection."""
        if isinstance(event, RawData) and event.data and self._is_in_handshake():
            # RFC 6455 section 4.1: a client sends nothing before the handshake is over.
            self._cut()
            event = Closed()
        await super().handle(event)

    def _is_in_handshake(self) -> bool:
        stream = self.stream
        return isinstance(stream, WSStream) and not stream.handshake.accepted

    async def _check_protocol(self, event: h11.Request) -> None:
        """Never switch protocols: a client that offers `h2c` is answered in HTTP/1.1."""

    async def _create_stream(self, request: h11.Request) -> None:
        self._accepted.enter(Phase.ASKED)
        if not request.http_version.startswith(b"1."):
            await self._refuse(505)
        elif not _asks_for_websocket(request):
            await super()._create_stream(request)
        elif self.connection.trailing_data[0] or not _is_valid_handshake(request):
            await self._refuse(400)
        else:
            await super()._create_stream(_without_extensions(request))
            buffer: Any = CountingBuffer(self._cut)
            cast("WSStream", self.stream).buffer = buffer

    async def _maybe_recycle(self) -> None:
        # Before, because a request that was sent already begins meanwhile.
        self._accepted.enter(Phase.IDLE)
        await super()._maybe_recycle()

    async def _refuse(self, status: int) -> None:
        await self._send_error_response(status)
        await self.send(Closed())


class CountingBuffer:
    """Counts the data of a WebSocket's client and forgets it.

    This has the methods that Hypercorn uses of its own `WebsocketBuffer`.

    Args:
        cut: closes the connection; called when the client has sent too much.
    """

    def __init__(self, cut: Callable[[], None]) -> None:
        self._left_bytes = WEBSOCKET_INPUT_BYTES
        self._cut = cut

    def extend(self, event: Message[Any]) -> None:
        """Count a piece of a message.

        Raises:
            FrameTooLargeError: the client has sent too much.
        """
        self._left_bytes -= len(event.data)
        if self._left_bytes < 0:
            self._cut()
            raise FrameTooLargeError

    def to_message(self) -> dict[str, Any]:
        """Return the ASGI event for a message: an empty one."""
        return {"type": "websocket.receive", "bytes": b"", "text": None}

    def clear(self) -> None:
        """Do nothing: no data is kept."""


def _asks_for_websocket(request: h11.Request) -> bool:
    """Return whether Hypercorn would take this request for a WebSocket handshake."""
    if request.method.upper() != b"GET":
        return False
    headers = dict(request.headers)
    tokens = headers.get(b"connection", b"").lower().split(b",")
    is_offered = headers.get(b"upgrade", b"").strip().lower() == b"websocket"
    return is_offered and b"upgrade" in map(bytes.strip, tokens)


def _is_valid_handshake(request: h11.Request) -> bool:
    headers = dict(request.headers)
    if not _KEY.fullmatch(headers.get(b"sec-websocket-key", b"")) or headers.keys() & _BODY_HEADERS:
        return False
    try:
        version = request.http_version.decode()
        return Handshake(list(_without_extensions(request).headers), version).is_valid()
    except UnicodeDecodeError:
        return False


def _without_extensions(request: h11.Request) -> h11.Request:
    """Return the request without offers of WebSocket extensions; the only one is compression."""
    kept = [pair for pair in request.headers if pair[0] != b"sec-websocket-extensions"]
    return h11.Request(
        method=request.method,
        target=request.target,
        headers=kept,
        http_version=request.http_version,
    )
