"""How the program is told to stop, and how it ends when it cannot.

Job: signals, the exit status, and the last resort. Neighbours: `app` waits for `Stop.asked`,
asks for a stop itself when there is nothing left to do, and says what SIGHUP does.

Exit status: 0 after a stop that was asked for, also where something did not end in time of its
own; 1 after a failure, or where the last resort was needed; 128 + the number of the signal after
a second one, as a shell has it for a program ended by a signal: it was not a clean end.

Invariants: the first signal never interrupts anything; after the second, or when stopping takes
longer than it ever may, the process is gone, whatever its event loop does.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("mcp_router.stopping")

LAST_RESORT_S: Final = 2.0
"""After a second signal: cancelling is closing and killing, which takes milliseconds."""

STOP_MARGIN_S: Final = 30.0
"""What stopping may take beside waiting for calls in flight: listeners and streams (5 s),
sessions (12 s and 5 s more for those that are stuck), and as much again."""


def _signals(*names: str) -> frozenset[int]:
    """Those of them that this platform has."""
    return frozenset(getattr(signal, name) for name in names if hasattr(signal, name))


STOPPING: Final = _signals("SIGINT", "SIGTERM", "SIGBREAK")
RELOADING: Final = _signals("SIGHUP")


class LastResort:
    """Ends the process from a thread of its own, should it still be there by then."""

    def __init__(self, end: Callable[[int], Any] = os._exit) -> None:
        self._end = end
        self._disarmed = threading.Event()

    def arm(self, after_s: float, status: int) -> None:
        """End the process with `status` in `after_s`, if not before."""
        threading.Thread(target=self._wait, args=(after_s, status), daemon=True).start()

    def disarm(self) -> None:
        """It will end by itself."""
        self._disarmed.set()

    def _wait(self, after_s: float, status: int) -> None:
        if self._disarmed.wait(after_s):
            return
        log.critical("Something does not end; the process is ended")
        # Logging has its own thread, and this may be all the time it gets.
        self._disarmed.wait(0.1)
        self._end(status)


@attrs.define
class Stop:
    """Whether, why and how this program is to end.

    Attributes:
        drain_s: how long calls in flight will be waited for.
        scope: around the whole program; cancelled by a second signal.
        asked: set once it is to end.
        status: the exit status.
        last_resort: ends the process should it not end by itself.
    """

    drain_s: float
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    asked: trio.Event = attrs.field(factory=trio.Event)
    status: int = 0
    last_resort: LastResort = attrs.field(factory=LastResort, repr=False)
    _has_signalled: bool = attrs.field(default=False, init=False)

    def ask(self, why: str, status: int = 0) -> None:
        """Have it end, if it is not about to already."""
        if self.asked.is_set():
            return
        log.info("Stopping (%s)", why)
        self.status = status
        self.last_resort.arm(self.drain_s + STOP_MARGIN_S, 1)
        self.asked.set()

    def signal(self, number: int) -> None:
        """Take a signal to stop: the first is a request, the second an order."""
        if self._has_signalled:
            self._at_once(number)
        self._has_signalled = True
        self.ask(signal.Signals(number).name)

    def _at_once(self, number: int) -> None:
        log.warning("Stopping at once (%s)", signal.Signals(number).name)
        self.status = 128 + number
        self.last_resort.arm(LAST_RESORT_S, self.status)
        self.scope.cancel("a second signal")

    def ended(self) -> None:
        """It has ended, but for what the interpreter still does."""
        self.last_resort.disarm()


async def obey_signals(
    stop: Stop,
    on_hang_up: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Turn signals into `stop`, and SIGHUP into a call of `on_hang_up`, until cancelled."""
    with trio.open_signal_receiver(*STOPPING, *RELOADING) as numbers:
        task_status.started()
        async for number in numbers:
            if number in RELOADING:
                log.info("%s: reading config.json and data/ again", signal.Signals(number).name)
                on_hang_up()
            else:
                stop.signal(number)
