"""A listener on a real socket, whose application answers every request and accepts WebSockets."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from transports.listen.serving.hosting.listener import AsgiListener
from transports.listen.serving.unread_bytes import UnreadBytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMIT_S: Final = 30
"""No test takes a second; this is what makes a hang a failure."""


class App:
    """Answers every request with its protocol, and accepts every WebSocket when it may.

    Attributes:
        is_late: a request is answered only after its client has left.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heard: list[dict[str, Any]] = []
        self.news = trio.Event()
        self.may_accept = trio.Event()
        self.may_accept.set()
        self.is_late = False
        self.unread = UnreadBytes()
        self.endpoint = None
        self.own_paths: frozenset[str] = frozenset()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["type"])
        self.news.set()
        if scope["type"] == "http":
            while self.is_late and (await receive())["type"] != "http.disconnect":
                pass
            body = f"spoken: {scope['http_version']}".encode()
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await receive()
        await self.may_accept.wait()
        await send({"type": "websocket.accept"})
        while not self.has_left:
            self.heard.append(await receive())
            self.news.set()

    @property
    def has_left(self) -> bool:
        return self.heard[-1:] == [{"type": "websocket.disconnect", "code": 1006}]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    def end(self) -> None:
        self.may_accept.set()


@attrs.frozen
class Site:
    """A listener with that application on it."""

    port: int
    app: App

    async def say(self, data: bytes) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        await stream.send_all(data)
        return stream

    async def answer_to(self, data: bytes) -> bytes:
        """Everything that comes until the other side closes."""
        async with await self.say(data) as stream:
            return await rest_of(stream)


async def rest_of(stream: trio.SocketStream) -> bytes:
    try:
        return b"".join([bytes(chunk) async for chunk in stream])
    except trio.BrokenResourceError:
        return b""


@asynccontextmanager
async def serving(**more: Any) -> AsyncIterator[Site]:
    """Serve it; `more` are attributes of the listener."""
    app = App()
    with socket.socket() as sock, trio.fail_after(LIMIT_S):
        sock.bind(("127.0.0.1", 0))
        listener = AsgiListener(sock, "", lambda: app, **more)
        async with trio.open_nursery() as nursery:
            await nursery.start(listener, trio.Event())
            yield Site(sock.getsockname()[1], app)
            nursery.cancel_scope.cancel()


def request(*lines: str, version: str = "HTTP/1.1", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} / {version}", "Host: x", *lines, "", ""]).encode("latin-1")
