"""Makes the supervised child of each instance.

Invariant: the modules an instance needs are imported in a worker thread, before the actor hears of
the instance, so the first answers of the router wait for none of them.
"""

from __future__ import annotations

from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from router.messages.instance_spec import CLIENT_MARK
from router.reload.instance_store import MAX_INSTANCES
from router.version import VERSION
from supervisors.child import ChildSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager

    import trio

    from router.config.settings import McpClient
    from router.dispatch import Inbound
    from router.instance_files.entries import InstanceType
    from router.messages.frames import SessionId
    from router.messages.instance_spec import InstanceSpec
    from supervisors.child import Run
    from transports.connect.session.negotiation import ServerHistory
    from transports.connect.session.session import UpstreamSession
    from transports.connect.stdio.launching.launch import Launcher
    from transports.connect.wire import Wire

COMMANDS_SIZE: Final = 2 * MAX_INSTANCES
"""Commands that may wait for the supervisor of sessions: two for each instance."""


@attrs.define(eq=False)
class Upstreams:
    """Makes sessions of instances. Closing it ends the launcher of the stdio servers.

    Attributes:
        settings: the settings of the upstream side, as they were at the start.
        inbox: the dispatch actor's; the sessions send into it.
        data: the data folder.
    """

    settings: McpClient
    inbox: trio.MemorySendChannel[Inbound]
    data: Path = Path()
    _numbers: Iterator[SessionId] = attrs.field(factory=lambda: count(1))
    _histories: dict[str, tuple[object, ServerHistory]] = attrs.field(
        factory=dict[str, "tuple[object, ServerHistory]"]
    )
    _launcher: Launcher | None = attrs.field(init=False, default=None)

    def child_of(self, spec: InstanceSpec) -> ChildSpec:
        """Return the supervised child that is a session of this instance."""
        return ChildSpec(
            spec.name, self._session(spec), start_timeout_s=self.settings.start_timeout_s
        )

    def end_leftovers(self) -> None:
        """End what an earlier run has left that was killed. Blocks, for seconds at the most."""
        # For start-up time: it is needed once, later, and in a thread.
        from transports.connect.stdio.launching.leftovers import end_leftovers

        end_leftovers(self.data)

    async def aclose(self) -> None:
        """End the launcher. The sessions have ended before."""
        if self._launcher is not None:
            await self._launcher.aclose()

    def _session(self, spec: InstanceSpec) -> Run[object]:
        session = _session_class()(
            spec=spec,
            connect=self._connect(spec),
            inbox=self.inbox,
            new_id=partial(next, self._numbers),
            version=VERSION,
        )
        name, has_number, _ = spec.name.partition(CLIENT_MARK)
        if has_number:
            # Else the server would be asked anew for each client which revision it speaks, and a
            # server that does not answer that takes seconds.
            server = (spec.type, spec.command, spec.url)
            if self._histories.get(name, (None,))[0] != server:
                self._histories[name] = (server, session.history)
            return attrs.evolve(session, history=self._histories[name][1])
        return session

    def _connect(self, spec: InstanceSpec) -> Callable[[], AbstractAsyncContextManager[Wire]]:
        connect = partial(_connector(spec.type), spec)
        if spec.type != "stdio":
            return connect
        if self._launcher is None:
            self._launcher = _launcher_class()(self.data)
        return partial(connect, launcher=self._launcher)


def prepare(specs: Iterable[InstanceSpec]) -> None:
    """Import the modules these instances need; for a worker thread."""
    for spec in specs:
        _connector(spec.type)
        _session_class()


# --- For start-up time: `prepare` calls these in a thread first, so later they cost nothing ------


def _session_class() -> type[UpstreamSession]:
    from transports.connect.session.session import UpstreamSession

    return UpstreamSession


def _launcher_class() -> type[Launcher]:
    from transports.connect.stdio.launching.launch import Launcher

    return Launcher


def _connector(kind: InstanceType) -> Callable[..., AbstractAsyncContextManager[Wire]]:
    if kind == "stdio":
        from transports.connect.stdio.stdio_wire import connect_stdio

        return connect_stdio
    if kind == "http":
        from transports.connect.remote.connect import connect_http

        return connect_http
    from transports.connect.remote.connect import connect_sse

    return connect_sse
