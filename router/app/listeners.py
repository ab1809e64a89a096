"""The listeners: their sockets, bound before anything else is started, and their children.

Job: from hosts and ports in the settings to listening sockets, or to one line that says why not;
from those to what `app` has supervised. Neighbours: `cli` binds, `app` runs the children; `auth`
says what may be bound and who may come in; `transports.listen` are what the children do.

Invariants: all sockets or none. A port that is taken is an error with the way out, unless that
listener may look for another one; then it is said which one it took.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from router.access.live_admission import LiveAdmission
from router.config.redacted import masked
from router.messages.errors import ConfigError
from router.version import VERSION
from supervisors.child import ChildSpec, Restart
from transports.listen.stdio.listener import StdioListener
from transports.listen.stdio.streams import open_stdio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.app.sockets import Bound
    from router.config.settings import Mode, Settings
    from router.dispatch import Inbound
    from supervisors.child import Run
    from transports.listen.http.http_endpoint import HttpEndpoint
    from transports.listen.http.sse_endpoint import SseEndpoint
    from transports.listen.rest.log_stream import Follow

log = logging.getLogger("mcp_router.listen")


STDIO: Final = "stdio"
"""The name of the child that is the stdio listener."""

GRACE_S: Final = 8.0
"""How long a listener may take to end; they bound their parts of it themselves, below this."""


# --- The children that listen ----------------------------------------------------------------


def _no_problems() -> Sequence[str]:
    return ()


@attrs.define(eq=False)
class Listeners:
    """What the listeners are made of.

    Attributes:
        settings: all of them, as they were at the start.
        bound: of the network, where they are now.
        stdio: this process's streams, None where they are not for MCP.
        follow: the log; None where there is none to be followed.
        current: the settings as they are now, for `GET /api/config`.
        problems: what is wrong in the files now, for the same.
        gates: who may come in.
    """

    settings: Settings
    bound: Sequence[Bound]
    stdio: tuple[trio.abc.ReceiveStream, trio.abc.SendStream] | None = None
    follow: Follow | None = None
    current: Callable[[], Settings] = attrs.field(
        default=attrs.Factory(lambda self: lambda: self.settings, takes_self=True)
    )
    problems: Callable[[], Sequence[str]] = _no_problems
    gates: LiveAdmission = attrs.field(
        default=attrs.Factory(lambda self: LiveAdmission(self.settings), takes_self=True)
    )

    @classmethod
    def open(
        cls, settings: Settings, modes: Sequence[Mode], bound: Sequence[Bound], **more: Any
    ) -> Listeners:
        """Take stdin and stdout, where they are asked for; `more` are other attributes.

        Raises:
            ConfigError: there is no stdin or stdout.
        """
        if "stdio" not in modes:
            return cls(settings, bound, **more)
        # Python has None for what it was started without, although typeshed does not say so.
        if None in (sys.stdin, sys.stdout):
            raise ConfigError("stdio", "the router was started without stdin or stdout")
        return cls(settings, bound, open_stdio(), **more)

    def children(self, inbox: trio.MemorySendChannel[Inbound]) -> list[ChildSpec]:
        """The supervised children; they send into `inbox`."""
        children = [self.child_of(one, inbox) for one in self.bound]
        if self.stdio is not None:
            run = StdioListener(inbox, *self.stdio, linger_s=self.settings.server.drain_s)
            children.append(ChildSpec(STDIO, run, restart=Restart.NEVER, grace_s=GRACE_S))
        return children

    def child_of(self, bound: Bound, inbox: trio.MemorySendChannel[Inbound]) -> ChildSpec:
        """The supervised child that listens there."""
        if bound.wanted_port not in (0, bound.port):
            text = "Port %d is taken, so %s listens on %d, as %s.auto_find_port allows"
            log.warning(text, bound.wanted_port, bound.mode, bound.port, bound.section)
        return ChildSpec(bound.mode, _Network(bound, inbox, self), grace_s=GRACE_S)

    def about(self) -> dict[str, Any]:
        """Where this router listens, for everybody who asks the REST API what it is."""
        return {"endpoints": {one.mode: one.url for one in self.bound}}

    def config(self) -> dict[str, Any]:
        """What `GET /api/config` says besides the instances."""
        return {"settings": masked(self.current()), "problems": list(self.problems())}


@attrs.frozen
class _Network:
    """A listener for HTTP, with its parts imported beside whatever else is starting."""

    bound: Bound
    inbox: trio.MemorySendChannel[Inbound]
    listeners: Listeners

    async def __call__(
        self, stopping: trio.Event, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        run = await trio.to_thread.run_sync(self._load)
        await run(stopping, task_status=task_status)

    def _load(self) -> Run[str]:
        # For start-up time: Hypercorn is not needed on stdio, nor for the first answer there.
        if self.bound.mode == "api":
            return self._load_api()
        from transports.listen.serving.asgi import AsgiApp
        from transports.listen.serving.hosting import AsgiListener

        endpoint_class = _endpoint_class(self.bound.mode)
        gates = self.listeners.gates
        admit = gates.server.admit_with("call")
        return AsgiListener(
            self.bound.sock,
            self.bound.url,
            lambda: AsgiApp(gates.watched(endpoint_class(self.inbox, admit))),
        )

    def _load_api(self) -> Run[str]:
        # As in `_load`, and Quart takes twice as long as all the rest.
        from transports.listen.rest.backend import RestBackend
        from transports.listen.rest.rest_app import RestApp
        from transports.listen.serving.hosting import AsgiListener

        listeners = self.listeners
        settings = listeners.current().api
        backend = RestBackend(
            inbox=self.inbox,
            admit=listeners.gates.api.admit,
            version=VERSION,
            needs_token=listeners.gates.needs_token,
            is_known=listeners.gates.api.knows,
            cors_origin=settings.cors_origin,
            about=listeners.about,
            config=listeners.config,
            follow=listeners.follow if settings.enable_realtime_logs else None,
        )
        return AsgiListener(self.bound.sock, self.bound.url, lambda: RestApp(backend))


def _endpoint_class(mode: Mode) -> type[HttpEndpoint | SseEndpoint]:
    # As in `_Network`.
    if mode == "http":
        from transports.listen.http.http_endpoint import HttpEndpoint

        return HttpEndpoint
    from transports.listen.http.sse_endpoint import SseEndpoint

    return SseEndpoint
