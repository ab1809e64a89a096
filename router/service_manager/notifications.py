"""Tells the service manager (systemd) how the router is: ready, reloading, stopping, alive.

The protocol is that of sd_notify(3): one datagram of lines `NAME=value` to the socket that
`NOTIFY_SOCKET` names. Without that variable nothing of this module is loaded.

Invariants:

- The router is ready once its sockets are bound and its settings are read. It waits for no
  upstream.
- The watchdog is pinged only if a barrier has gone round through the inbox of the dispatch actor
  since the ping before. So the pings stop when the event loop or the actor is stuck. The state of
  upstreams does not matter.
- A message that cannot be sent is lost and said once in the log; it holds up nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING, Final

import attrs
import trio
import trio.lowlevel

from router.messages.commands import Principal, ShowReadiness
from router.messages.errors import ConfigError
from router.messages.events import AdminCommand, Barrier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any

    from router.dispatch.actor import Inbound

log = logging.getLogger("mcp_router.systemd")

SEND_S: Final = 2.0
"""How long the service manager may take to make room for a message."""

STATUS_S: Final = 1.0
"""The status is compared with the last one so often, and sent if it is another one."""

ANSWER_S: Final = 1.0
"""How long a message waits for the actor to say how many upstreams are ready."""

STATUS_LENGTH: Final = 200
"""Characters of the status: `systemctl status` shows it on one line."""


# --- The socket ------------------------------------------------------------------------------


class NotifySocket:
    """The socket of the service manager.

    Args:
        address: as in `NOTIFY_SOCKET`: an absolute path, or `@` and an abstract name.

    Raises:
        ConfigError: the address is of another kind.
    """

    def __init__(self, address: str) -> None:
        if not address.startswith(("/", "@")) or len(address) < 2:
            raise ConfigError("NOTIFY_SOCKET", f"expected /path or @name, got {address!r}")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._has_failed = False

    async def send(self, *lines: str) -> None:
        """Send one message; each line is `NAME=value`."""
        data = "\n".join(lines).encode()
        await trio.lowlevel.checkpoint()
        try:
            with trio.move_on_after(SEND_S) as scope:
                # A new socket each time: the manager may have been replaced since. It is connected,
                # since only then the system tells when the receiver has room.
                with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                    await sock.connect(self._address)
                    await sock.send(data)
            problem = "it takes no messages" if scope.cancelled_caught else None
        except OSError as exc:
            problem = exc.strerror or str(exc)
        if problem is not None and not self._has_failed:
            log.warning("The service manager was not told %s: %s", lines[0], problem)
        self._has_failed = problem is not None


# --- The messages ----------------------------------------------------------------------------


@attrs.frozen
class RouterState:
    """The parts of a router that the service manager is told of.

    Attributes:
        inbox: the dispatch actor's.
        all_are_up: set once all listeners are up.
        stopping: set once the router is to stop.
        stop_limit_s: seconds that the stop takes at most.
        reloaded: waits until every reload that was asked for has been carried out.
        problems: returns the reasons why parts of `config.json` are not in force.
    """

    inbox: trio.MemorySendChannel[Inbound]
    all_are_up: trio.Event
    stopping: trio.Event
    stop_limit_s: float
    reloaded: Callable[[], Awaitable[None]]
    problems: Callable[[], Sequence[str]]


@attrs.define(eq=False)
class ServiceManager:
    """The service manager that started this process.

    Attributes:
        notify: its socket.
        watchdog_s: it ends this process after so many seconds without a ping; None for never.
    """

    notify: NotifySocket
    watchdog_s: float | None = None
    _status: str = attrs.field(init=False, default="")
    _hung_up: trio.Event = attrs.field(init=False, factory=trio.Event)
    _hung_up_at_us: int = attrs.field(init=False, default=0)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pid: int | None = None) -> ServiceManager:
        """Return the manager that these variables describe, `NOTIFY_SOCKET` among them.

        Raises:
            ConfigError: they cannot be understood.
        """
        notify = NotifySocket(environ["NOTIFY_SOCKET"])
        return cls(notify, _watchdog_s(environ, os.getpid() if pid is None else pid))

    def hang_up(self) -> None:
        """Take a signal to reload; the request itself was made before."""
        self._hung_up_at_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._hung_up.set()

    async def keep_informed(self, router: RouterState) -> None:
        """Tell the manager all that it wants to know, until cancelled."""
        async with trio.open_nursery() as nursery:
            if self.watchdog_s is not None:
                nursery.start_soon(self._ping, router, self.watchdog_s / 2)
            nursery.start_soon(self._tell_stop, router)
            await router.all_are_up.wait()
            await self._tell_ready(router)
            nursery.start_soon(self._tell_reloads, router)
            while True:
                await trio.sleep(STATUS_S)
                before = self._status
                await self._ask_status(router)
                if self._status != before:
                    await self.notify.send(f"STATUS={self._status}")

    async def _ping(self, router: RouterState, period_s: float) -> None:
        while True:
            went_round = trio.Event()
            await router.inbox.send(Barrier(went_round.set))
            await went_round.wait()
            await self.notify.send("WATCHDOG=1")
            await trio.sleep(period_s)

    async def _tell_stop(self, router: RouterState) -> None:
        await router.stopping.wait()
        limit_us = round(router.stop_limit_s * 1_000_000)
        await self.notify.send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={limit_us}", "STATUS=Stopping")

    async def _tell_ready(self, router: RouterState) -> None:
        await self._ask_status(router)
        if not router.stopping.is_set():
            await self.notify.send("READY=1", f"STATUS={self._status}")

    async def _tell_reloads(self, router: RouterState) -> None:
        while True:
            await self._hung_up.wait()
            self._hung_up = trio.Event()
            await self.notify.send("RELOADING=1", f"MONOTONIC_USEC={self._hung_up_at_us}")
            await router.reloaded()
            if not router.stopping.is_set():
                await self._tell_ready(router)

    async def _ask_status(self, router: RouterState) -> None:
        """Ask the actor; an actor that does not answer leaves the status as it was."""
        answer_in, answers = trio.open_memory_channel["dict[str, Any]"](1)
        with answer_in, answers, trio.move_on_after(ANSWER_S):
            await router.inbox.send(AdminCommand(Principal(), ShowReadiness(), answer_in))
            readiness = await answers.receive()
            is_stopping = router.stopping.is_set()
            self._status = status_line(readiness, router.problems(), is_stopping=is_stopping)


def status_line(readiness: Mapping[str, Any], problems: Sequence[str], *, is_stopping: bool) -> str:
    """Return the status for `systemctl status`.

    Args:
        readiness: the answer to `ShowReadiness`.
        problems: the reasons why parts of `config.json` are not in force; the first one is shown.
        is_stopping: the router finishes the calls in flight.
    """
    if is_stopping:
        return f"Stopping; calls in flight: {readiness['in_flight']}"
    line = f"{readiness['ready']}/{readiness['total']} upstreams ready"
    if problems:
        line += f"; {problems[0]}"
    # A line break would begin another variable.
    shown = "".join(character if character.isprintable() else " " for character in line)
    return shown if len(shown) <= STATUS_LENGTH else shown[: STATUS_LENGTH - 1] + "…"


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Return the limit of the watchdog (sd_watchdog_enabled(3)); None if there is none."""
    limit_us, of_pid = environ.get("WATCHDOG_USEC"), environ.get("WATCHDOG_PID")
    if limit_us is None or (of_pid is not None and of_pid != str(pid)):
        return None
    if not (limit_us.isascii() and limit_us.isdecimal() and int(limit_us[:20]) > 0):
        raise ConfigError("WATCHDOG_USEC", f"expected microseconds, got {limit_us!r}")
    return int(limit_us[:20]) / 1_000_000
