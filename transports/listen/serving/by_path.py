"""Serves two applications on one socket: one below a path, the other everywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from transports.listen.serving.asgi import path_of

if TYPE_CHECKING:
    from transports.listen.serving.asgi import Message, Receive, Send
    from transports.listen.serving.hosting.listener import Application


class _Outside(Struct, frozen=True):
    """All paths but one and those below it."""

    path: str

    def __contains__(self, path: object) -> bool:
        return not (path == self.path or str(path).startswith(f"{self.path}/"))


class ByPath:
    """An ASGI application that gives each request to one of two others.

    Args:
        path: the path of the first one, such as `/mcp`; it has those below as well.
        first: the application there. The connections of both are counted to what it has unread.
        other: the application of all other paths.

    Attributes:
        unread, endpoint: the first one's.
        own_paths: all paths of the other one.
    """

    def __init__(self, path: str, first: Application, other: Application) -> None:
        self._first = first
        self._other = other
        self.unread = first.unread
        self.endpoint = first.endpoint
        self.own_paths = _Outside(path)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        is_other = scope["type"] != "http" or path_of(scope) in self.own_paths
        await (self._other if is_other else self._first)(scope, receive, send)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do the background work of both until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._first.run)
            await nursery.start(self._other.run)
            task_status.started()

    def end(self) -> None:
        """End every stream and session of both."""
        self._first.end()
        self._other.end()
