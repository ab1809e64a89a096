"""Listens on the local socket: MCP at `/mcp` and the places below it, the REST API everywhere else.

Where there are no Unix sockets, it listens on the local port instead.

Invariants:

- Nothing is imported for it before its first connection, and then in a worker thread. So it costs
  a start nothing, and a router that nobody asks nothing at all.
- Only processes of the router's own user, and root's, get an answer, where the system can tell,
  and none with a sandbox. On a port, only requests with its token do.
- It is up once the socket is this router's; another one that runs with the same `config.json` may
  have it until it ends.
- Its end is no failure of the router, and `/readyz` does not wait for it.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.access.admission import Admission
    from router.access.places import Places
    from router.access.refusals import Refusals
    from router.app.listening.local_port import LocalPort
    from router.app.listening.local_socket import LocalSocket
    from router.dispatch.actor import Inbound
    from transports.listen.serving.hosting.connection_counts import ConnectionCounts
    from transports.listen.serving.hosting.listener import Application, AsgiListener

LOCAL: Final = "local"
"""The name of the child that listens on the local socket."""

MAX_CONNECTIONS: Final = 1024
"""Connections of the commands and clients of one person: a bridge has one for each open call. With
few open files there are half as many as of another listener."""

TAKE_OVER_S: Final = 1.0
"""How often a router looks whether the one that has the socket has ended."""

_CREDENTIALS: Final = struct.Struct("3i")
"""`struct ucred` of unix(7): process, user, group."""


class LocalListener(Struct, frozen=True):
    """The local socket's listener, as a supervised child.

    Attributes:
        local: the socket or port; closed once the listener is told to stop.
        inbox: the dispatch actor's.
        places: the views that have a place of their own.
        refusals: reports the requests that are refused.
        is_draining: returns whether the router takes nothing new.
        load_rest: imports the REST API, and returns a function that makes its application for those
            who are admitted.
        connections: takes the counts of the connections, once there is one.
    """

    local: LocalSocket | LocalPort
    inbox: trio.MemorySendChannel[Inbound]
    places: Places
    refusals: Refusals
    is_draining: Callable[[], bool]
    load_rest: Callable[[Admission], Callable[[], Application]]
    connections: dict[str, ConnectionCounts]

    async def __call__(
        self, stopping: trio.Event, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Take the place, wait for a first connection, then serve; in the end, it is gone."""
        try:
            await self._take()
            task_status.started(self.local.address)
            await self._wait_for_connection(stopping)
            if not stopping.is_set():
                run = await trio.to_thread.run_sync(self._load)
                await run(stopping)
        finally:
            if stopping.is_set():
                self.local.close()

    async def _take(self) -> None:
        """Wait until the socket is this router's: until another one that has it has ended."""
        await trio.lowlevel.checkpoint()
        while True:
            with suppress(OSError):  # such as of a folder that is gone: its user has logged out
                if self.local.take():
                    return
            await trio.sleep(TAKE_OVER_S)

    async def _wait_for_connection(self, stopping: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when, stopping, nursery.cancel_scope)
            await trio.lowlevel.wait_readable(self.local.sock)
            nursery.cancel_scope.cancel("there is a connection")

    def _load(self) -> AsgiListener:
        # For start-up time: most of this is needed by no other listener.
        from router.access.local_admission import LocalAdmission, LocalPortAdmission
        from transports.listen.http.http_endpoint import PATH, HttpEndpoint
        from transports.listen.serving.asgi import AsgiApp
        from transports.listen.serving.by_path import ByPath
        from transports.listen.serving.hosting.connection_counts import ConnectionCounts
        from transports.listen.serving.hosting.listener import AsgiListener, connection_limit

        local = self.local
        if local.token:
            port = local.sock.getsockname()[1]
            admission = LocalPortAdmission.for_port(port, local.token, self.refusals)
        else:
            admission = LocalAdmission.reporting_to(self.refusals)
        admit = admission.admit_with("call")
        new_rest = self.load_rest(admission)

        def new_app() -> ByPath:
            endpoint = HttpEndpoint(
                self.inbox,
                admit,
                self.places,
                is_draining=self.is_draining,
                rules=lambda: admission.rules,
            )
            app = AsgiApp(self.places.register(endpoint))
            return ByPath(PATH, app, new_rest())

        return AsgiListener(
            local.sock,
            local.address,
            new_app,
            max_connections=min(MAX_CONNECTIONS, connection_limit() // 2),
            has_fast_lane=True,
            counts=self.connections.setdefault(LOCAL, ConnectionCounts()),
            admits=None if local.token else may_connect,
        )


def may_connect(stream: trio.SocketStream) -> bool:
    """Return whether the other end of a Unix socket is of this user or root, as far as is known.

    The modes of the socket and of its folder say the same on every system. They let in the
    processes of instances, and one with a sandbox would leave it here.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    found = stream.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    process, user, _ = _CREDENTIALS.unpack(found)
    return user in (0, os.geteuid()) and not _is_confined(process)


def _is_confined(process: int) -> bool:
    # For start-up time: it is needed by the first connection.
    from transports.connect.stdio.launching.confined_processes import is_confined

    return is_confined(process)


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel("the listener is to stop")
