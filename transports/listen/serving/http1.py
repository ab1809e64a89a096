"""HTTP/1.1 as Hypercorn speaks it, without what we do not want of it.

Job: the protocol of one connection. Neighbours: `hosting` serves connections with it; Hypercorn's
protocol is beneath it.

Invariants, for every peer, whether it knows a token or not:

- There is no HTTP/2. Nobody speaks it without TLS; its streams, windows and compressed heads
  would get round the limits that `asgi` and `hosting` set to requests and connections.
- A handshake that is no WebSocket's (RFC 6455 section 4.2.1) is 400, and the connection closes.
  Hypercorn would keep it open for ever, or fail over its bytes and log a page for each.
- A WebSocket's client has next to nothing to say, so it may not say much, nor say it compressed:
  a few kB could become hundreds of MB.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import h11
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import FrameTooLargeError, Handshake, WSStream
from hypercorn.trio.tcp_server import TCPServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.protocol import ProtocolWrapper
    from wsproto.events import Message

HEARD_BYTES: Final = 64 * 1024
"""Characters and bytes of messages that a WebSocket's client may send in its whole life."""

_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
"""16 bytes in base64."""

_BODY_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})


class Http1Server(TCPServer):
    """One connection; Hypercorn's server with a protocol of our choice."""

    @property
    def protocol(self) -> Any:
        """What is spoken on it."""
        return self._protocol

    @protocol.setter
    def protocol(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, usual: ProtocolWrapper
    ) -> None:
        """Take the place of Hypercorn's choice, which is between two versions of HTTP."""
        stream: Any = self.stream
        self._protocol = Http1(usual, stream.cut)


class Http1(H11Protocol):
    """HTTP/1.1 on one connection.

    Args:
        like: has what Hypercorn gives every protocol.
        cut: closes the connection at once.
    """

    def __init__(self, like: ProtocolWrapper, cut: Callable[[], None]) -> None:
        super().__init__(
            like.app, like.config, like.context, like.task_group, like.state,
            like.ssl, like.client, like.server, like.send,
        )  # fmt: skip
        self._cut = cut

    async def handle(self, event: Event) -> None:
        """Take what has come in, or note the end."""
        if isinstance(event, RawData) and event.data and self._is_shaking_hands():
            # RFC 6455 section 4.1: nothing is sent before the handshake is over.
            self._cut()
            event = Closed()
        await super().handle(event)

    def _is_shaking_hands(self) -> bool:
        stream = self.stream
        return isinstance(stream, WSStream) and not stream.handshake.accepted

    async def _check_protocol(self, event: h11.Request) -> None:
        """Switch to no other protocol: who offers `h2c` is answered in this one."""

    async def _create_stream(self, request: h11.Request) -> None:
        if not request.http_version.startswith(b"1."):
            await self._refuse(505)
        elif not _is_handshake(request):
            await super()._create_stream(request)
        elif self.connection.trailing_data[0] or not _is_sound(request):
            await self._refuse(400)
        else:
            await super()._create_stream(_without_extensions(request))
            hearing: Any = Hearing(self._cut)
            cast("WSStream", self.stream).buffer = hearing

    async def _refuse(self, status: int) -> None:
        await self._send_error_response(status)
        await self.send(Closed())


class Hearing:
    """What a WebSocket's client says is counted and forgotten.

    It has what Hypercorn uses of its own `WebsocketBuffer`.
    """

    def __init__(self, cut: Callable[[], None]) -> None:
        """Call `cut` when it is too much."""
        self._left_bytes = HEARD_BYTES
        self._cut = cut

    def extend(self, event: Message[Any]) -> None:
        """Hear a piece of a message.

        Raises:
            FrameTooLargeError: that was too much.
        """
        self._left_bytes -= len(event.data)
        if self._left_bytes < 0:
            self._cut()
            raise FrameTooLargeError

    def to_message(self) -> dict[str, Any]:
        """What the application is told of it."""
        return {"type": "websocket.receive", "bytes": b"", "text": None}

    def clear(self) -> None:
        """There is nothing to forget."""


def _is_handshake(request: h11.Request) -> bool:
    """Will Hypercorn take it for that of a WebSocket?"""
    if request.method.upper() != b"GET":
        return False
    headers = dict(request.headers)
    tokens = headers.get(b"connection", b"").lower().split(b",")
    is_offered = headers.get(b"upgrade", b"").strip().lower() == b"websocket"
    return is_offered and b"upgrade" in map(bytes.strip, tokens)


def _is_sound(request: h11.Request) -> bool:
    headers = dict(request.headers)
    if not _KEY.fullmatch(headers.get(b"sec-websocket-key", b"")) or headers.keys() & _BODY_HEADERS:
        return False
    try:
        version = request.http_version.decode()
        return Handshake(list(_without_extensions(request).headers), version).is_valid()
    except UnicodeDecodeError:
        return False


def _without_extensions(request: h11.Request) -> h11.Request:
    """The request without the WebSocket extensions it offers, the only one being compression."""
    kept = [pair for pair in request.headers if pair[0] != b"sec-websocket-extensions"]
    return h11.Request(
        method=request.method,
        target=request.target,
        headers=kept,
        http_version=request.http_version,
    )
