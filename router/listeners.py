"""The listeners: their sockets, bound before anything else is started, and their children.

Job: from hosts and ports in the settings to listening sockets, or to one line that says why not;
from those to what `app` has supervised. Neighbours: `cli` binds, `app` runs the children; `auth`
says what may be bound and who may come in; `transports.listen` are what the children do.

Invariants: all sockets or none. A port that is taken is an error with the way out, unless that
listener may look for another one; then it is said which one it took.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from router.auth import check_exposures
from router.described import masked
from router.errors import ConfigError
from router.gates import Gates
from router.version import VERSION
from supervisors.child import ChildSpec, Restart
from transports.listen.stdio import StdioListener
from transports.listen.stdio_streams import open_stdio

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

    from router.dispatch import Inbound
    from router.settings import Api, HttpListener, Mode, Settings, SseListener
    from supervisors.child import Run
    from transports.listen.http import HttpEndpoint
    from transports.listen.rest_logs import Follow
    from transports.listen.sse import SseEndpoint

log = logging.getLogger("mcp_router.listen")

PORTS_TRIED: Final = 100
"""How far `auto_find_port` looks upwards."""

BACKLOG: Final = 1024
"""Connections that may wait to be accepted; the system may allow fewer."""

STDIO: Final = "stdio"
"""The name of the child that is the stdio listener."""

GRACE_S: Final = 8.0
"""How long a listener may take to end; they bound their parts of it themselves, below this."""

_PATHS: Final[dict[Mode, str]] = {"http": "/mcp", "sse": "/sse", "api": ""}
_SECTIONS: Final[dict[Mode, str]] = {"http": "server.http", "sse": "server.sse", "api": "api"}


@attrs.frozen
class Bound:
    """Where one listener listens.

    Attributes:
        mode: `http`, `sse` or `api`.
        host: as configured.
        port: the real one.
        wanted_port: as configured; 0 is any.
        sock: listening, and open for as long as the listener is there.
    """

    mode: Mode
    host: str
    port: int
    wanted_port: int
    sock: socket.socket

    @property
    def url(self) -> str:
        """Where to point a client."""
        return f"http://{address(self.host, self.port)}{_PATHS[self.mode]}"


@attrs.frozen
class _Wanted:
    """One listener as it is configured."""

    mode: Mode
    host: str
    listener: HttpListener | SseListener | Api

    @property
    def host_key(self) -> str:
        return f"config.json: {'api' if self.mode == 'api' else 'server'}.host"

    @property
    def section(self) -> str:
        return _SECTIONS[self.mode]

    def is_at(self, bound: Bound) -> bool:
        """Is this where it is bound already?"""
        port = self.listener.port
        is_there = self.listener.auto_find_port or port in (0, bound.port)
        return is_there and (self.host, port) == (bound.host, bound.wanted_port)


def with_api(settings: Settings, modes: Sequence[Mode]) -> tuple[Mode, ...]:
    """The modes, and `api` where `api.enabled` puts it next to any other (contract: CLI)."""
    if settings.api.enabled and "api" not in modes:
        return (*modes, "api")
    return tuple(modes)


def bind(settings: Settings, modes: Sequence[Mode]) -> tuple[Bound, ...]:
    """Bind what these modes listen on, and the REST API where it is enabled.

    Raises:
        ConfigError: an address cannot be bound, or must not be (see `check_exposure`).
    """
    modes = with_api(settings, modes)
    bound = _bind_all(settings, list(_wanted(settings, modes)))
    return tuple(sorted(bound, key=lambda one: modes.index(one.mode)))


def rebind(settings: Settings, bound: Sequence[Bound]) -> tuple[Bound, ...]:
    """Bind anew those of `bound` that these settings have elsewhere.

    Raises:
        ConfigError: as `bind`; then none is.
    """
    at: dict[Mode, Bound] = {one.mode: one for one in bound}
    wanted = [one for one in _wanted(settings, tuple(at)) if not one.is_at(at[one.mode])]
    return tuple(_bind_all(settings, wanted, own={one.port for one in bound}))


def _bind_all(
    settings: Settings, wanted: Sequence[_Wanted], own: Container[int] = ()
) -> list[Bound]:
    """Bind all or none; `own` are ports that this router has already."""
    check_exposures({one.host_key: one.host for one in wanted}, settings.security)
    bound: list[Bound] = []
    try:
        # Fixed ports first, so that nobody who may choose takes them.
        for one in sorted(wanted, key=lambda one: one.listener.auto_find_port):
            bound.append(_bind(one, own))  # noqa: PERF401 - those before one that fails are closed
    except BaseException:
        for one in bound:
            one.sock.close()
        raise
    return bound


def _wanted(settings: Settings, modes: Sequence[Mode]) -> Iterator[_Wanted]:
    server, api = settings.server, settings.api
    if "http" in modes:
        yield _Wanted("http", server.host, server.http)
    if "sse" in modes:
        yield _Wanted("sse", server.host, server.sse)
    if "api" in modes:
        yield _Wanted("api", api.host, api)


def _bind(wanted: _Wanted, own: Container[int]) -> Bound:
    family, where = _resolve(wanted)
    listener, host = wanted.listener, wanted.host
    tried = PORTS_TRIED if listener.auto_find_port and listener.port else 1
    for port in range(listener.port, min(listener.port + tried, 65536)):
        try:
            sock = _listen(family, where, port)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE and port == listener.port and port in own:
                # The next port up would only be right until the next start.
                problem = "this router itself has that port; restart it to apply"
                raise ConfigError(address(host, port), problem) from None
            if exc.errno == errno.EADDRINUSE and tried > 1:
                continue
            raise _refused(wanted, port, exc) from None
        return Bound(wanted.mode, host, sock.getsockname()[1], listener.port, sock)
    section = wanted.section
    problem = f"already in use, and so are the ports above; set {section}.port in config.json"
    raise ConfigError(address(host, listener.port), problem)


def _refused(wanted: _Wanted, port: int, exc: OSError) -> ConfigError:
    place = address(wanted.host, port)
    if exc.errno == errno.EADDRINUSE:
        return ConfigError(
            place,
            f"already in use. Stop what listens there, set another {wanted.section}.port in "
            f"config.json, or set {wanted.section}.auto_find_port to true",
        )
    return ConfigError(place, f"cannot listen there: {exc.strerror or exc}")


def address(host: str, port: int) -> str:
    """Host and port as in a URL (RFC 3986 section 3.2.2)."""
    bare = _bare(host)
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def _bare(host: str) -> str:
    return host.removeprefix("[").removesuffix("]")


def _resolve(wanted: _Wanted) -> tuple[socket.AddressFamily, str]:
    """The address a host stands for; of several, one of IPv4: `localhost` is 127.0.0.1."""
    host = wanted.host
    try:
        found = socket.getaddrinfo(_bare(host), 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise ConfigError(
            wanted.host_key, f'"{host}" is no address of this machine: {why}'
        ) from None
    family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, str(where[0])


def _listen(family: socket.AddressFamily, where: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # There, SO_REUSEADDR would let two programs have one port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Connections of the program before this one may still be fading away.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` is every address of this machine, those of IPv4 too, on every platform.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(where != "::"))
        sock.bind((where, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


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
    gates: Gates = attrs.field(
        default=attrs.Factory(lambda self: Gates(self.settings), takes_self=True)
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
            section = _SECTIONS[bound.mode]
            log.warning(text, bound.wanted_port, bound.mode, bound.port, section)
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
        from transports.listen.hosting import HttpListener

        endpoint_class = _endpoint_class(self.bound.mode)
        gates = self.listeners.gates
        admit = gates.server.admit_with("call")
        return HttpListener(
            self.bound.sock,
            self.bound.url,
            lambda: gates.watched(endpoint_class(self.inbox, admit)),
        )

    def _load_api(self) -> Run[str]:
        # As in `_load`, and Quart takes twice as long as all the rest.
        from transports.listen import rest
        from transports.listen.hosting import AsgiListener

        listeners = self.listeners
        settings = listeners.current().api
        api = rest.Api(
            inbox=self.inbox,
            admit=listeners.gates.api.admit,
            version=VERSION,
            needs_token=listeners.gates.needs_token,
            knows=listeners.gates.api.knows,
            cors_origin=settings.cors_origin,
            about=listeners.about,
            config=listeners.config,
            follow=listeners.follow if settings.enable_realtime_logs else None,
        )
        return AsgiListener(self.bound.sock, self.bound.url, lambda: rest.RestApp(api))


def _endpoint_class(mode: Mode) -> type[HttpEndpoint | SseEndpoint]:
    # As in `_Network`.
    if mode == "http":
        from transports.listen.http import HttpEndpoint

        return HttpEndpoint
    from transports.listen.sse import SseEndpoint

    return SseEndpoint
