"""The listeners: their sockets, bound before anything else is started, and their children.

Job: from host and ports in the settings to listening sockets, or to one line that says why not;
from those to what `app` has supervised. Neighbours: `cli` binds, `app` runs the children; `auth`
says what may be bound and who may come in; `transports.listen` are what the children do.

Invariants: all sockets or none. A port that is taken is an error with the way out, unless that
listener may look for another one; then it is said which one it took.
"""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Final

import attrs
import trio

from router.auth import Admission, check_exposure
from router.errors import ConfigError
from supervisors.child import ChildSpec, Restart
from transports.listen.stdio import StdioListener
from transports.listen.stdio_streams import open_stdio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.dispatch import Inbound
    from router.settings import HttpListener, Mode, Settings, SseListener
    from supervisors.child import Run
    from transports.listen.http import HttpEndpoint
    from transports.listen.sse import SseEndpoint

PORTS_TRIED: Final = 100
"""How far `auto_find_port` looks upwards."""

BACKLOG: Final = 1024
"""Connections that may wait to be accepted; the system may allow fewer."""

STDIO: Final = "stdio"
"""The name of the child that is the stdio listener."""

GRACE_S: Final = 8.0
"""How long a listener may take to end; they bound their parts of it themselves, below this."""

_PATHS: Final[dict[Mode, str]] = {"http": "/mcp", "sse": "/sse"}
_HOST_KEY: Final = "config.json: server.host"


@attrs.frozen
class Bound:
    """Where one listener listens.

    Attributes:
        mode: `http` or `sse`.
        host: as configured.
        port: the real one.
        wanted_port: as configured; 0 is any.
        sock: listening, and open for as long as the program runs.
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


def bind(settings: Settings, modes: Sequence[Mode]) -> tuple[Bound, ...]:
    """Bind what these modes listen on; `stdio` needs nothing.

    Raises:
        ConfigError: an address cannot be bound, or must not be (see `check_exposure`).
    """
    server = settings.server
    wanted: list[tuple[Mode, HttpListener | SseListener]] = []
    if "http" in modes:
        wanted.append(("http", server.http))
    if "sse" in modes:
        wanted.append(("sse", server.sse))
    if wanted:
        check_exposure(server.host, settings.security)
    bound: list[Bound] = []
    try:
        # Fixed ports first, so that nobody who may choose takes them.
        for mode, listener in sorted(wanted, key=lambda one: one[1].auto_find_port):
            bound.append(_bind(mode, server.host, listener))
    except BaseException:
        for one in bound:
            one.sock.close()
        raise
    return tuple(sorted(bound, key=lambda one: modes.index(one.mode)))


def _bind(mode: Mode, host: str, listener: HttpListener | SseListener) -> Bound:
    family, where = _resolve(host)
    wanted = listener.port
    tried = PORTS_TRIED if listener.auto_find_port and wanted else 1
    for port in range(wanted, min(wanted + tried, 65536)):
        try:
            sock = _listen(family, where, port)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE and tried > 1:
                continue
            raise _refused(mode, host, port, exc) from None
        return Bound(mode, host, sock.getsockname()[1], wanted, sock)
    problem = f"already in use, and so are the ports above; set server.{mode}.port in config.json"
    raise ConfigError(address(host, wanted), problem)


def _refused(mode: Mode, host: str, port: int, exc: OSError) -> ConfigError:
    place = address(host, port)
    if exc.errno == errno.EADDRINUSE:
        return ConfigError(
            place,
            f"already in use. Stop what listens there, set another server.{mode}.port in "
            f"config.json, or set server.{mode}.auto_find_port to true",
        )
    return ConfigError(place, f"cannot listen there: {exc.strerror or exc}")


def address(host: str, port: int) -> str:
    """Host and port as in a URL (RFC 3986 section 3.2.2)."""
    bare = _bare(host)
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def _bare(host: str) -> str:
    return host.removeprefix("[").removesuffix("]")


def _resolve(host: str) -> tuple[socket.AddressFamily, str]:
    """The address a host stands for; of several, one of IPv4: `localhost` is 127.0.0.1."""
    try:
        found = socket.getaddrinfo(_bare(host), 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise ConfigError(_HOST_KEY, f'"{host}" is no address of this machine: {why}') from None
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


@attrs.frozen
class Listeners:
    """What the listeners are made of.

    Attributes:
        settings: all of them.
        bound: of the network.
        stdio: this process's streams, None where they are not for MCP.
    """

    settings: Settings
    bound: Sequence[Bound]
    stdio: tuple[trio.abc.ReceiveStream, trio.abc.SendStream] | None = None

    @classmethod
    def open(cls, settings: Settings, modes: Sequence[Mode], bound: Sequence[Bound]) -> Listeners:
        """Take stdin and stdout, where they are asked for.

        Raises:
            ConfigError: there is no stdin or stdout.
        """
        if "stdio" not in modes:
            return cls(settings, bound)
        # Python has None for what it was started without, although typeshed does not say so.
        if None in (sys.stdin, sys.stdout):
            raise ConfigError("stdio", "the router was started without stdin or stdout")
        return cls(settings, bound, open_stdio())

    def children(self, inbox: trio.MemorySendChannel[Inbound]) -> list[ChildSpec]:
        """The supervised children; they send into `inbox`."""
        server = self.settings.server
        admission = Admission.from_settings(server, self.settings.security)
        children = [
            ChildSpec(one.mode, _Network(one, inbox, admission), grace_s=GRACE_S)
            for one in self.bound
        ]
        if self.stdio is not None:
            run = StdioListener(inbox, *self.stdio, linger_s=server.drain_s)
            children.append(ChildSpec(STDIO, run, restart=Restart.NEVER, grace_s=GRACE_S))
        return children


@attrs.frozen
class _Network:
    """A listener for HTTP, with its parts imported beside whatever else is starting."""

    bound: Bound
    inbox: trio.MemorySendChannel[Inbound]
    admission: Admission

    async def __call__(
        self, stopping: trio.Event, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        run = await trio.to_thread.run_sync(self._load)
        await run(stopping, task_status=task_status)

    def _load(self) -> Run[str]:
        # For start-up time: Hypercorn is not needed on stdio, nor for the first answer there.
        from transports.listen.hosting import HttpListener

        endpoint_class = _endpoint_class(self.bound.mode)
        return HttpListener(
            self.bound.sock,
            self.bound.url,
            lambda: endpoint_class(self.inbox, self.admission.admit),
        )


def _endpoint_class(mode: Mode) -> type[HttpEndpoint | SseEndpoint]:
    # As in `_Network`.
    if mode == "http":
        from transports.listen.http import HttpEndpoint

        return HttpEndpoint
    from transports.listen.sse import SseEndpoint

    return SseEndpoint
