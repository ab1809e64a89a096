"""Makes the supervised child of each instance.

Invariant: the modules an instance needs are imported in a worker thread, before the actor hears of
the instance, so the first answers of the router wait for none of them.
"""

from __future__ import annotations

from functools import partial
from itertools import count
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
    from transports.connect.session.server_history import ServerHistory
    from transports.connect.session.session import UpstreamSession
    from transports.connect.wire import Wire

COMMANDS_SIZE: Final = 2 * MAX_INSTANCES
"""Commands that may wait for the supervisor of sessions: two for each instance."""


@attrs.frozen
class Upstreams:
    """Makes sessions of instances.

    Attributes:
        settings: the settings of the upstream side, as they were at the start.
        inbox: the dispatch actor's; the sessions send into it.
    """

    settings: McpClient
    inbox: trio.MemorySendChannel[Inbound]
    _numbers: Iterator[SessionId] = attrs.field(factory=lambda: count(1))
    _histories: dict[str, tuple[object, ServerHistory]] = attrs.field(
        factory=dict[str, "tuple[object, ServerHistory]"]
    )

    def child_of(self, spec: InstanceSpec) -> ChildSpec:
        """Return the supervised child that is a session of this instance."""
        return ChildSpec(
            spec.name, self._session(spec), start_timeout_s=self.settings.start_timeout_s
        )

    def _session(self, spec: InstanceSpec) -> Run[object]:
        asked_every_s = spec.run_policy.ping_interval_s
        session = _session_class()(
            spec=spec,
            connect=partial(_connector(spec.type), spec),
            inbox=self.inbox,
            new_id=partial(next, self._numbers),
            version=VERSION,
            ping_interval_s=self.settings.ping_interval_s
            if asked_every_s is None
            else asked_every_s,
        )
        # Kept, because the server would be asked anew at each start on command, and for each
        # client, which revision it speaks; a server that does not answer that takes seconds.
        name, number, _ = spec.name.partition(CLIENT_MARK)
        args = None if number else spec.args  # The root of a client may be among them.
        server = (spec.type, spec.command, args, spec.url)
        if self._histories.get(name, (None,))[0] != server:
            self._histories[name] = (server, session.history)
        return attrs.evolve(session, history=self._histories[name][1])


def prepare(specs: Iterable[InstanceSpec]) -> None:
    """Import the modules these instances need; for a worker thread."""
    for spec in specs:
        _connector(spec.type)
        _session_class()


# --- For start-up time: `prepare` calls these in a thread first, so later they cost nothing ------


def _session_class() -> type[UpstreamSession]:
    from transports.connect.session.session import UpstreamSession

    return UpstreamSession


def _connector(
    kind: InstanceType,
) -> Callable[[InstanceSpec], AbstractAsyncContextManager[Wire]]:
    if kind == "stdio":
        from transports.connect.stdio.stdio_wire import connect_stdio

        return connect_stdio
    if kind == "http":
        from transports.connect.remote.connect import connect_http

        return connect_http
    from transports.connect.remote.connect import connect_sse

    return connect_sse
