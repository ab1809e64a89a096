"""Takes over the listening sockets that the service manager (systemd) has opened.

The protocol is that of sd_listen_fds(3): `LISTEN_FDS` sockets from descriptor 3 on, meant for the
process `LISTEN_PID`, with names in `LISTEN_FDNAMES`.

Invariants:

- No process that this one starts inherits the sockets or the variables.
- Each socket is for one mode: for the one that is its name (`FileDescriptorName=` in the socket
  unit), else for the one with its port in `config.json`, else for the only mode that is left. A
  socket for which none of that decides is an error, since clients would wait in it for ever.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

import attrs

from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from router.config.values import Mode

FIRST_FD: Final = 3
"""`SD_LISTEN_FDS_START`."""

VARIABLES: Final = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
)
"""Variables that systemd sets for this process alone."""

_KEY: Final = "LISTEN_FDS"


def take_variables(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Remove the variables for this process alone, and return those that were set."""
    return {name: environ.pop(name) for name in VARIABLES if name in environ}


@attrs.frozen
class HandedOver:
    """A listening socket of the service manager.

    Attributes:
        name: the one in `LISTEN_FDNAMES`; empty without one.
        sock: the socket.
    """

    name: str
    sock: socket.socket

    @property
    def place(self) -> str:
        """The address for messages: `127.0.0.1:3000`, `[::1]:3000` or a path."""
        if self.port is None:
            return self.host or "an unnamed Unix socket"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def host(self) -> str:
        """The address that it is bound to: an IP address, or a path (`@` for an abstract one)."""
        if self.port is not None:
            return str(self.sock.getsockname()[0])
        path = self.sock.getsockname()
        text = os.fsdecode(path)
        return f"@{text[1:]}" if text.startswith("\0") else text

    @property
    def port(self) -> int | None:
        """The port; None for a Unix socket."""
        is_network = self.sock.family in (socket.AF_INET, socket.AF_INET6)
        return int(self.sock.getsockname()[1]) if is_network else None


def take_sockets(variables: Mapping[str, str], pid: int | None = None) -> tuple[HandedOver, ...]:
    """Return the sockets that were handed over to this process, in their order.

    Args:
        variables: of `take_variables`.
        pid: of this process.

    Raises:
        ConfigError: the variables cannot be understood, or what was handed over is no listening
            stream socket.
    """
    count, of_pid = variables.get(_KEY), variables.get("LISTEN_PID")
    if count is None or of_pid != str(os.getpid() if pid is None else pid):
        return ()  # they are for a parent process that has left them in the environment
    if not (count.isascii() and count.isdecimal() and len(count) <= 4):
        raise ConfigError(_KEY, f"expected a number of sockets, got {count!r}")
    names = variables.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (int(count) - len(names))
    return tuple(_take(FIRST_FD + number, names[number]) for number in range(int(count)))


def _take(fd: int, name: str) -> HandedOver:
    place = f"{_KEY}: descriptor {fd}"
    try:
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
    except OSError as exc:
        raise ConfigError(place, f"is no socket: {exc.strerror or exc}") from None
    problem = _problem_of(sock)
    if problem is not None:
        sock.close()
        raise ConfigError(place, problem)
    return HandedOver(name, sock)


def _problem_of(sock: socket.socket) -> str | None:
    families = (socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_UNIX", None))
    if sock.type != socket.SOCK_STREAM or sock.family not in families:
        return "is no stream socket; use ListenStream= in the socket unit"
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "does not listen; set Accept=no in the socket unit"
    return None


def assign(sockets: Sequence[HandedOver], ports: Mapping[Mode, int]) -> dict[Mode, HandedOver]:
    """Return the socket of each mode that gets one.

    Args:
        sockets: as they were handed over.
        ports: the modes that are to listen on the network, each with its port in `config.json`.

    Raises:
        ConfigError: a socket is for no mode that is to listen, or for one that has a socket.
    """
    assigned: dict[Mode, HandedOver] = {}
    left: list[HandedOver] = []
    for one in sockets:
        mode = _mode_by_name(one, ports)
        left.append(one) if mode is None else _assign(assigned, mode, one)
    unknown: list[HandedOver] = []
    for one in left:
        by_port: list[Mode] = [mode for mode in ports if one.port and ports[mode] == one.port]
        if len(by_port) == 1:
            _assign(assigned, by_port[0], one)
        else:
            unknown.append(one)
    modes_left: list[Mode] = [mode for mode in ports if mode not in assigned]
    if len(unknown) == len(modes_left) == 1:
        assigned[modes_left[0]] = unknown[0]
        return assigned
    for one in unknown:
        raise ConfigError(
            f"{_KEY}: {one.place}",
            "it is not clear which listener this socket is for; set FileDescriptorName= in its "
            f"unit to one of {', '.join(ports) or 'the modes'}",
        )
    return assigned


_MODES: Final = ("http", "sse", "api")


def _mode_by_name(one: HandedOver, ports: Mapping[Mode, int]) -> Mode | None:
    for mode in _MODES:
        if one.name != mode:
            continue
        if mode not in ports:
            way_out = "set api.enabled in config.json or " if mode == "api" else ""
            raise ConfigError(
                f"{_KEY}: {one.place}",
                f"is for {mode}, which is not to listen; {way_out}add --transport {mode}",
            )
        return mode
    return None


def _assign(assigned: dict[Mode, HandedOver], mode: Mode, one: HandedOver) -> None:
    if mode in assigned:
        both = f"{assigned[mode].place} and {one.place}"
        raise ConfigError(_KEY, f"{both} are both for {mode}, which has one socket; remove one")
    assigned[mode] = one
