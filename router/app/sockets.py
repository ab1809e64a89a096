"""Binds the sockets of the listeners before anything else is started.

Invariants:

- All sockets are bound, or none. A port that is taken is an error with the way out, unless that
  listener may look for another one; then the log says which one it took.
- A listener whose socket was handed over by the service manager binds nothing, now and later. What
  `config.json` says of its address does not matter; its real address decides about its exposure.
"""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.access.admission import check_exposures
from router.config.security.hosts import without_brackets
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from router.config.settings import Api, HttpListener, Settings, SseListener
    from router.config.values import Mode
    from router.service_manager.activation import HandedOver

PORTS_TRIED: Final = 100
"""The number of ports that `auto_find_port` tries, upwards from the configured one."""

BACKLOG: Final = 1024
"""Connections that may wait to be accepted; the system may allow fewer."""

_PATHS: Final[dict[Mode, str]] = {"http": "/mcp", "sse": "/sse", "api": ""}
_SECTIONS: Final[dict[Mode, str]] = {"http": "server.http", "sse": "server.sse", "api": "api"}


class Bound(Struct, frozen=True):
    """The address and socket of one listener.

    Attributes:
        mode: `http`, `sse` or `api`.
        host: the configured host.
        port: the port that was bound.
        wanted_port: the configured port; 0 means any.
        sock: the listening socket, open for as long as the listener exists.
        is_handed_over: the service manager opened it, and goes on listening after this process.
            `host` is then the address that it is bound to, and the path of a Unix socket, which has
            0 as its port.
    """

    mode: Mode
    host: str
    port: int
    wanted_port: int
    sock: socket.socket
    is_handed_over: bool = False

    @property
    def section(self) -> str:
        """The section of `config.json` that configures this listener."""
        return _SECTIONS[self.mode]

    @property
    def is_unix(self) -> bool:
        """True for a Unix socket; this process binds none itself."""
        return self.is_handed_over and self.sock.family not in (socket.AF_INET, socket.AF_INET6)

    @property
    def reach(self) -> str:
        """The host that tells who can reach this listener, and the `Host` that its clients send."""
        return "localhost" if self.is_unix else self.host

    @property
    def url(self) -> str:
        """The URL that clients use; that of a Unix socket is as nginx writes it."""
        if self.is_unix:
            return f"http://unix:{self.host}:{_PATHS[self.mode] or '/'}"
        return f"http://{address(self.host, self.port)}{_PATHS[self.mode]}"


class _Wanted(Struct, frozen=True):
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
        """Return whether the listener is bound there already."""
        port = self.listener.port
        is_there = self.listener.auto_find_port or port in (0, bound.port)
        return is_there and (self.host, port) == (bound.host, bound.wanted_port)


def with_api(settings: Settings, modes: Sequence[Mode]) -> tuple[Mode, ...]:
    """Return the modes, with `api` added if `api.enabled` is set."""
    if settings.api.enabled and "api" not in modes:
        return (*modes, "api")
    return tuple(modes)


def configured_at(settings: Settings, mode: Mode) -> tuple[str, int]:
    """Return host and port that these settings have for a mode with a port."""
    (wanted,) = _wanted(settings, (mode,))
    return wanted.host, wanted.listener.port


def bind(
    settings: Settings, modes: Sequence[Mode], handed_over: Sequence[HandedOver] = ()
) -> tuple[Bound, ...]:
    """Bind the sockets of these modes, and of the REST API if it is enabled.

    Args:
        settings: the settings in force.
        modes: the modes to listen on.
        handed_over: the sockets of the service manager, which are used in place of others.

    Raises:
        ConfigError: an address cannot be bound, or must not be (see `check_exposure`).
    """
    modes = with_api(settings, modes)
    wanted = list(_wanted(settings, modes))
    taken = _take_over(settings, wanted, handed_over) if handed_over else []
    at = {one.mode for one in taken}
    bound = _bind_all(settings, [one for one in wanted if one.mode not in at])
    return tuple(sorted([*taken, *bound], key=lambda one: modes.index(one.mode)))


def _take_over(
    settings: Settings, wanted: Sequence[_Wanted], handed_over: Sequence[HandedOver]
) -> list[Bound]:
    # For start-up time: only a service with a socket unit needs it.
    from router.service_manager.activation import assign

    assigned = assign(handed_over, {one.mode: one.listener.port for one in wanted})
    taken: list[Bound] = []
    for mode, one in assigned.items():
        port = one.port or 0
        taken.append(Bound(mode, one.host, port, port, one.sock, is_handed_over=True))
    reach = {f"LISTEN_FDS: the socket for {one.mode}": one.reach for one in taken}
    check_exposures(reach, settings.security)
    return taken


def rebind(settings: Settings, bound: Sequence[Bound]) -> tuple[Bound, ...]:
    """Bind sockets for the addresses that these settings change.

    Raises:
        ConfigError: as for `bind`; then none is bound.
    """
    at: dict[Mode, Bound] = {one.mode: one for one in bound if not one.is_handed_over}
    wanted = [one for one in _wanted(settings, tuple(at)) if not one.is_at(at[one.mode])]
    return tuple(_bind_all(settings, wanted, own={one.port for one in bound}))


def _bind_all(
    settings: Settings, wanted: Sequence[_Wanted], own: Container[int] = ()
) -> list[Bound]:
    """Bind all or none; `own` are the ports that this router listens on already."""
    check_exposures({one.host_key: one.host for one in wanted}, settings.security)
    bound: list[Bound] = []
    try:
        # Fixed ports first, so that no listener that may choose takes one of them.
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
            sock = listening_socket(family, where, port)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE and port == listener.port and port in own:
                # The next port up would be right only until the next start.
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
    """Return host and port as a URL has them (RFC 3986 section 3.2.2)."""
    bare = without_brackets(host)
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def _resolve(wanted: _Wanted) -> tuple[socket.AddressFamily, str]:
    """Return the address of a host; of several, an IPv4 one, so that `localhost` is 127.0.0.1."""
    host = wanted.host
    try:
        found = socket.getaddrinfo(
            without_brackets(host), 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise ConfigError(
            wanted.host_key, f'"{host}" is no address of this machine: {why}'
        ) from None
    family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, str(where[0])


def listening_socket(family: socket.AddressFamily, where: str, port: int) -> socket.socket:
    """Return a socket that listens at an address, which no other program can take.

    Raises:
        OSError: the address cannot be bound.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # On Windows, SO_REUSEADDR would let two programs share a port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Connections of an earlier program on this port may still be in TIME_WAIT.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` is to mean every address of this machine, IPv4 included, on every platform.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(where != "::"))
        sock.bind((where, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
