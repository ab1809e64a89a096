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
import trio
import trio.lowlevel
from msgspec import Struct, field

from router.app.first_starts import INSTALL_S
from router.messages.instances.instance_spec import CLIENT_MARK
from router.reload.instance_store import MAX_INSTANCES
from router.version import VERSION
from supervisors.child import ChildSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager

    from router.app.first_starts import FirstStarts
    from router.config.settings import McpClient
    from router.dispatch.actor import Inbound
    from router.instance_files.entry.entries import InstanceType
    from router.messages.frames import SessionId
    from router.messages.instances.instance_spec import InstanceSpec
    from supervisors.child import Run
    from transports.connect.credentials import Credentials
    from transports.connect.session.server_history import ServerHistory
    from transports.connect.session.session import UpstreamSession
    from transports.connect.stdio.launching.launch import Launcher
    from transports.connect.stdio.package_commands import PackageCommand
    from transports.connect.stdio.repeated_lines import SaidLines
    from transports.connect.wire import Connect, Wire

COMMANDS_SIZE: Final = 2 * MAX_INSTANCES
"""Commands that may wait for the supervisor of sessions: two for each instance."""


class Upstreams(Struct, eq=False):
    """Makes sessions of instances. Closing it ends the launcher of the stdio servers.

    Attributes:
        settings: the settings of the upstream side, as they were at the start.
        inbox: the dispatch actor's; the sessions send into it.
        data: the data folder.
        first_starts: gives the first start of a package its turn; None to treat all starts alike.
        after_batch: has the actor call a function after its batch of events; None if it cannot.
        credentials: returns the credentials for the sessions of a remote instance, of everybody or
            of one person (the name of a principal); None if nothing logs in.
    """

    settings: McpClient
    inbox: trio.MemorySendChannel[Inbound]
    data: Path = Path()
    first_starts: FirstStarts | None = None
    after_batch: Callable[[Callable[[], None]], None] | None = None
    credentials: Callable[[InstanceSpec, str | None], Credentials] | None = None
    _numbers: Iterator[SessionId] = field(default_factory=lambda: count(1))
    _histories: dict[str, tuple[object, ServerHistory]] = {}
    _launcher: Launcher | None = None

    def child_of(self, spec: InstanceSpec) -> ChildSpec:
        """Return the supervised child that is a session of this instance."""
        own_s = spec.run_policy.start_timeout_s
        limit_s = self.settings.start_timeout_s if own_s is None else own_s
        run = self._session(spec)
        if spec.type == "stdio" and self.first_starts is not None:
            command = _package_command(spec)
            if command is not None:
                install_s = max(INSTALL_S, limit_s) if own_s is None else own_s
                run = self.first_starts.child(command, run, start_s=limit_s, install_s=install_s)
        return ChildSpec(spec.name, run, start_timeout_s=limit_s)

    def end_leftovers(self) -> None:
        """End what an earlier run has left that was killed. Blocks, for seconds at the most."""
        # For start-up time: it is needed once, later, and in a thread.
        from transports.connect.stdio.launching.leftovers import end_leftovers

        end_leftovers(self.data)

    async def aclose(self) -> None:
        """End the launcher. The sessions have ended before."""
        if self._launcher is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._launcher.aclose()

    def _session(self, spec: InstanceSpec) -> Run[object]:
        asked_every_s = spec.run_policy.ping_interval_s
        session = _session_class()(
            spec=spec,
            connect=self._connect(spec),
            inbox=self.inbox,
            new_id=partial(next, self._numbers),
            version=VERSION,
            ping_interval_s=self.settings.ping_interval_s
            if asked_every_s is None
            else asked_every_s,
            after_batch=self.after_batch,
        )
        # Kept, because the server would be asked anew at each start on command, and for each
        # client, which revision it speaks; a server that does not answer that takes seconds.
        name, number, _ = spec.name.partition(CLIENT_MARK)
        args = None if number else spec.args  # The root of a client may be among them.
        server = (spec.type, spec.command, args, spec.url)
        if self._histories.get(name, (None,))[0] != server:
            self._histories[name] = (server, session.history)
        return attrs.evolve(session, history=self._histories[name][1])

    def _connect(self, spec: InstanceSpec) -> Connect:
        """Return what opens the wire of each incarnation of a session."""
        connect = partial(_connector(spec.type), spec)
        if spec.type != "stdio":
            if self.credentials is None or not spec.may_log_in:
                return connect
            return partial(connect, credentials=self.credentials(spec, spec.person))
        if self._launcher is None:
            self._launcher = _launcher_class()(self.data)
        # What a process says on stderr is compared with what those before it said.
        return partial(connect, launcher=self._launcher, said=_said_lines())


def prepare(specs: Iterable[InstanceSpec]) -> None:
    """Import the modules these instances need; for a worker thread."""
    for spec in specs:
        _connector(spec.type)
        _session_class()
        if spec.type == "stdio":
            _launcher_class()
            _said_lines()
            _package_command(spec)


# --- For start-up time: `prepare` calls these in a thread first, so later they cost nothing ------


def _session_class() -> type[UpstreamSession]:
    from transports.connect.session.session import UpstreamSession

    return UpstreamSession


def _package_command(spec: InstanceSpec) -> PackageCommand | None:
    from transports.connect.stdio.package_commands import package_command

    return package_command(spec.command, spec.args)


def _said_lines() -> SaidLines:
    from transports.connect.stdio.repeated_lines import SaidLines

    return SaidLines()


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
