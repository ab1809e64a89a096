"""Turns signals into a stop, holds the exit status, and ends a process that does not end itself.

Exit status:

- 0 after a stop that was asked for, even if a part had to be cancelled.
- 1 after a failure, or if the last resort was needed.
- 128 + the number of the signal after a second signal, as a shell reports a program that a signal
  ended: the end was not clean.

Invariants: the first signal interrupts nothing. After a second signal, or when stopping takes
longer than it ever may, the process ends, whatever its event loop does.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("mcp_router.stopping")

LAST_RESORT_S: Final = 2.0
"""Time to end after a second signal: cancelling closes and kills, which takes milliseconds."""

STOP_MARGIN_S: Final = 30.0
"""Time to stop, beside the wait for calls in flight: listeners and streams take 5 s, sessions 12 s
and 5 s more if they are stuck; the sum is rounded up generously."""


def _signals(*names: str) -> frozenset[int]:
    """Return the numbers of these signals, as far as this platform has them."""
    return frozenset(getattr(signal, name) for name in names if hasattr(signal, name))


STOP_SIGNALS: Final = _signals("SIGINT", "SIGTERM", "SIGBREAK")
RELOAD_SIGNALS: Final = _signals("SIGHUP")


class LastResort:
    """A timer in a thread of its own that ends the process."""

    def __init__(self, end: Callable[[int], Any] = os._exit) -> None:
        self._end = end
        self._disarmed = threading.Event()

    def arm(self, after_s: float, status: int) -> None:
        """End the process with `status` in `after_s`, unless it is disarmed before."""
        threading.Thread(target=self._wait, args=(after_s, status), daemon=True).start()

    def disarm(self) -> None:
        """Let the process end by itself."""
        self._disarmed.set()

    def _wait(self, after_s: float, status: int) -> None:
        if self._disarmed.wait(after_s):
            return
        log.critical("Something does not end; the process is ended")
        # Logging has its own thread, and this may be all the time it gets.
        self._disarmed.wait(0.1)
        self._end(status)


class Stop(Struct, eq=False):
    """The stop of this program, asked for or not yet.

    Attributes:
        drain_s: the time that calls in flight get to end.
        scope: surrounds the whole program; a second signal cancels it.
        asked: set once the program is to stop.
        status: the exit status.
        asked_at_s: the monotonic second at which it was asked for.
        calls_finished: calls that were in flight then and have ended.
        calls_cut: calls that had not ended when their time was over.
        last_resort: ends the process if it does not end by itself.
    """

    drain_s: float
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    asked: trio.Event = field(default_factory=trio.Event)
    status: int = 0
    asked_at_s: float = 0.0
    calls_finished: int = 0
    calls_cut: int = 0
    last_resort: LastResort = field(default_factory=LastResort)
    _has_signalled: bool = False

    def ask(self, why: str, status: int = 0) -> None:
        """Ask for a stop; only the first one counts."""
        if self.asked.is_set():
            return
        log.info("Stopping (%s)", why)
        self.asked_at_s = time.monotonic()
        self.status = status
        self.last_resort.arm(self.drain_s + STOP_MARGIN_S, 1)
        self.asked.set()

    def signal(self, number: int) -> None:
        """Take a signal to stop: the first one asks, the second one cancels everything."""
        if self._has_signalled:
            self._at_once(number)
        self._has_signalled = True
        self.ask(signal.Signals(number).name)

    def _at_once(self, number: int) -> None:
        text = "Stopping at once (%s); calls still in flight are cut off, without a record"
        log.warning(text, signal.Signals(number).name)
        self.status = 128 + number
        self.last_resort.arm(LAST_RESORT_S, self.status)
        self.scope.cancel("a second signal")

    def summary(self) -> str:
        """Return the line at the end of a stop."""
        calls = f"{self.calls_finished} calls in flight finished, {self.calls_cut} cut off"
        return f"Stopped: {calls}, after {time.monotonic() - self.asked_at_s:.1f} s"

    def ended(self) -> None:
        """Note that only the interpreter has work left, so no last resort is needed."""
        self.last_resort.disarm()


async def obey_signals(
    stop: Stop,
    on_hang_up: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Turn signals into `stop`, and SIGHUP into a call of `on_hang_up`, until cancelled."""
    with trio.open_signal_receiver(*STOP_SIGNALS, *RELOAD_SIGNALS) as numbers:
        task_status.started()
        async for number in numbers:
            if number in RELOAD_SIGNALS:
                log.info("%s: reading config.json and data/ again", signal.Signals(number).name)
                on_hang_up()
            else:
                stop.signal(number)
