"""HTTP/1.1 towards a router: one request at a time on each connection, a few kept for the next.

Invariants:

- A caller knows whether a request may have been carried out. `NotSent` is raised only while nothing
  of it was sent; after that, `BrokenOff` is. No request is ever sent twice here.
- A kept connection is used again only within `KEEP_S`, long before a router closes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import httptools
import trio
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

KEEP_S: Final = 4.0
"""How long a connection without a request is kept; the router closes it after 30 s."""

KEPT_CONNECTIONS: Final = 4

RECEIVE_BYTES: Final = 64 * 1024

SILENCE_S: Final = 60.0
"""A router that says nothing for so long is gone: it sends a sign of life every 15 s."""

BODY_LIMIT_BYTES: Final = 64 * 1024 * 1024
"""The largest body that is read as a whole, such as a list of very many tools."""

HEAD_LIMIT_BYTES: Final = 64 * 1024

CLOSE_S: Final = 1.0


class NotSent(Exception):
    """The router could not be reached, so nothing was sent."""


class BrokenOff(Exception):
    """The connection ended after something was sent and before the whole response had come."""


class HttpConnection:
    """A connection, and what is received of the response to its present request."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.kept_since_s = 0.0
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.headers: dict[str, str] = {}
        self.has_head = False
        self.is_complete = False
        self.is_reusable = False
        self._chunks: list[bytes] = []
        self._head_bytes = 0

    # --- As the parser sees it ---

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note that the head is complete."""
        self.has_head = True

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        self._chunks.append(data)

    def on_message_complete(self) -> None:
        """Note that the response is complete."""
        self.is_complete = True
        self.is_reusable = self._parser.should_keep_alive()

    # --- As its user sees it ---

    @property
    def is_usable(self) -> bool:
        """Return whether a kept connection is young and silent; what it says now is its end."""
        found = getattr(self._stream, "socket", None)
        is_silent = found is None or not found.is_readable()
        return is_silent and trio.current_time() - self.kept_since_s < KEEP_S

    async def request(self, data: bytes) -> None:
        """Send a request, and wait for the head of its response.

        Raises:
            BrokenOff: the connection ended before.
        """
        self._begin()
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise BrokenOff(str(exc)) from None
        while not self.has_head:
            await self._receive()

    @property
    def status(self) -> int:
        """The status of the response."""
        return self._parser.get_status_code()

    async def next_chunk(self) -> bytes:
        """Return the next part of the body; empty at the end.

        Raises:
            BrokenOff: the connection ended before the body did.
        """
        await trio.lowlevel.checkpoint()
        while not self._chunks and not self.is_complete:
            await self._receive()
        data, self._chunks = b"".join(self._chunks), []
        return data

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            BrokenOff: the connection ended before the body did, or it is too large.
        """
        parts: list[bytes] = []
        size_bytes = 0
        while part := await self.next_chunk():
            parts.append(part)
            size_bytes += len(part)
            if size_bytes > BODY_LIMIT_BYTES:
                raise BrokenOff(f"its answer is larger than {BODY_LIMIT_BYTES} bytes")
        return b"".join(parts)

    async def _receive(self) -> None:
        try:
            with trio.fail_after(SILENCE_S):
                data = await self._stream.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise BrokenOff(str(exc)) from None
        except trio.TooSlowError:
            raise BrokenOff(f"it said nothing for {SILENCE_S:g} s") from None
        if not data:
            if self._ends_with_connection():
                self.is_complete = True
                return
            raise BrokenOff("it closed the connection")
        self._head_bytes += 0 if self.has_head else len(data)
        try:
            self._parser.feed_data(bytes(data))
        except httptools.HttpParserError as exc:
            raise BrokenOff(f"it speaks no HTTP: {exc}") from None
        if not self.has_head and self._head_bytes > HEAD_LIMIT_BYTES:
            raise BrokenOff("its answer has too large a head")

    def _ends_with_connection(self) -> bool:
        """Return whether the end of the connection is that of the body (RFC 9112 section 6.3)."""
        return self.has_head and not self.headers.keys() & {"content-length", "transfer-encoding"}

    async def aclose(self) -> None:
        """Close the connection at once."""
        await trio.aclose_forcefully(self._stream)


class Router(Struct, eq=False):
    """The router as an HTTP server.

    Attributes:
        connect: opens a connection, for which it may set `authority` and `headers` anew; raises
            `OSError`.
        authority: the value of `Host`.
        headers: sent with each request, such as that of a token.
    """

    connect: Callable[[], Awaitable[trio.abc.Stream]]
    authority: str
    headers: Mapping[str, str] = {}
    _kept: list[HttpConnection] = []

    async def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Exchange:
        """Send a request; return its response, whose head has come.

        Raises:
            NotSent: the router cannot be reached.
            BrokenOff: the connection ended before the head of the response.
        """
        connection = await self._connection()
        try:
            lines = [f"{method} {target} HTTP/1.1", f"Host: {self.authority}"]
            both = (*self.headers.items(), *headers.items())
            lines += [f"{name}: {value}" for name, value in both]
            if method == "POST":
                lines.append(f"Content-Length: {len(body)}")
            data = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
            await connection.request(data)
        except BaseException:
            await connection.aclose()
            raise
        return Exchange(self, connection)

    async def _connection(self) -> HttpConnection:
        await trio.lowlevel.checkpoint()
        while self._kept:
            connection = self._kept.pop()
            if connection.is_usable:
                return connection
            await connection.aclose()
        try:
            return HttpConnection(await self.connect())
        except OSError as exc:
            raise NotSent(exc.strerror or str(exc)) from None

    async def give_back(self, connection: HttpConnection) -> None:
        """Keep a connection whose response is complete, or close it."""
        await trio.lowlevel.checkpoint()
        if connection.is_reusable and len(self._kept) < KEPT_CONNECTIONS:
            connection.kept_since_s = trio.current_time()
            self._kept.append(connection)
        else:
            await connection.aclose()

    async def forget_connections(self) -> None:
        """Close the connections that are kept, since the router behind them is gone."""
        await trio.lowlevel.checkpoint()
        while self._kept:
            await self._kept.pop().aclose()


class Exchange(Struct, frozen=True):
    """A response, as an asynchronous context manager; what is unread at its end is given up."""

    router: Router
    connection: HttpConnection

    @property
    def status(self) -> int:
        """The status."""
        return self.connection.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with names in lower case."""
        return self.connection.headers

    async def read(self) -> bytes:
        """Return the whole body; raises `BrokenOff`."""
        return await self.connection.read()

    async def next_chunk(self) -> bytes:
        """Return the next part of the body, empty at the end; raises `BrokenOff`."""
        return await self.connection.next_chunk()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with trio.move_on_after(CLOSE_S, shield=True):  # closing waits for nothing
            if self.connection.is_complete:
                await self.router.give_back(self.connection)
            else:
                await self.connection.aclose()
