"""Runs a child once, from its turn to start until its `run` has ended, for whatever reason.

The caller decides what the `Ending` means. `run` sees only the stop event and the task status.

Invariants:

- `_Life._call_run` alone catches the exceptions of `run`, so that an error in sending an event
  cannot look like an error of the child. A `BaseException` such as KeyboardInterrupt passes.
- `run_once` returns only when `run` has ended. A child that shields itself delays only its own end.
- A start slot is held from before `Starting` until started, ended, or stuck; but not while the
  start is queued for something else.
- Events are sent one after the other, in the order in which they came to be. Few can wait: an event
  replaces a `Delayed` that waits before it.
"""

import math
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import trio
from msgspec import Struct, field

from supervisors.child import (
    AsksToStayDown,
    AsksToWait,
    ChildEvent,
    ChildSpec,
    Delayed,
    Queued,
    Starting,
    Stuck,
    Up,
)
from supervisors.policy import Ending
from supervisors.start_slots import StartSlots

STUCK_AFTER_S: Final = 5.0
"""Between cancelling a run and reporting it as stuck.

Cleaning up after a cancellation is closing and killing, not talking to anybody: a run that takes
longer is not going to end soon.
"""


class Attempt(Struct, frozen=True):
    """A start, as far as it depends on those before it.

    Attributes:
        is_restart: whether it follows a failure without a command.
        patience: it may take this many times the usual time.
    """

    is_restart: bool = False
    patience: int = 1


async def run_once(
    spec: ChildSpec,
    commanded: trio.Event,
    events: trio.MemorySendChannel[ChildEvent],
    start_slots: StartSlots,
    attempt: Attempt,
) -> Ending:
    """Run a child once.

    Args:
        spec: the child.
        commanded: set to end the life: softly if the child is up, at once if it still waits for
            its turn or starting. A child that has not called `started` has promised nothing to
            anybody, so its own cleanup on cancellation is enough.
        events: receives `Queued`, `Starting`, `Delayed`, `Up` and `Stuck`. The run waits for the
            receiver of the first two only, the end of the life for that of all.
        start_slots: the child holds one while it starts. The start timeout counts from then.
        attempt: what follows from earlier failures.

    Returns:
        The end of the life; `commanded` says whether it was asked for.

    Raises:
        BaseExceptionGroup: `run` raised something that is not an `Exception`, or `events` is
            broken.
    """
    async with trio.open_nursery() as nursery:
        life = _Life(spec, commanded, events, start_slots, attempt, nursery)
        nursery.start_soon(life.oversee)
        await life.run()
        ended_at_s = trio.current_time()
        life.oversight.cancel("the child has ended")
    # Leaving the nursery has waited until all events were received, however short the life.
    return life.ending(ended_at_s)


class _Life(Struct, eq=False):
    """The state of one life. It is also the `task_status` that its `run` is given."""

    spec: ChildSpec
    commanded: trio.Event
    events: trio.MemorySendChannel[ChildEvent]
    start_slots: StartSlots
    attempt: Attempt
    nursery: trio.Nursery  # opened by `run_once` for this life; here to send events from `def`s

    stopping: trio.Event = field(default_factory=trio.Event)
    run_scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    oversight: trio.CancelScope = field(default_factory=trio.CancelScope)
    start_timer: trio.CancelScope = field(default_factory=trio.CancelScope)
    start_limit_s: float = math.inf
    up_since_s: float | None = None
    error: Exception | None = None
    unsent: deque[ChildEvent] = field(default_factory=deque[ChildEvent])

    async def run(self) -> None:
        with self.run_scope:
            try:
                await self._wait_for_turn()
                await self._call_run()
            finally:
                self.start_slots.release(self)

    async def _wait_for_turn(self) -> None:
        await trio.lowlevel.checkpoint()  # in which a command is noticed that came meanwhile
        is_restart = self.attempt.is_restart
        if not self.start_slots.acquire_nowait(self, is_restart=is_restart):
            await self.events.send(Queued(self.spec.name))
            await self.start_slots.acquire(self, is_restart=is_restart)

    async def _call_run(self) -> None:
        """Call `run` and keep its exception in `error`."""
        await self.events.send(Starting(self.spec.name))
        self._allow(self.spec.start_timeout_s)
        try:
            await self.spec.run(self.stopping, task_status=self)
        except* Exception as group:  # noqa: BLE001 - this is the supervision boundary
            self.error = plain_error(group)
        else:
            if self.up_since_s is None and not self.stopping.is_set():
                self.error = RuntimeError("returned before it had started")

    async def oversee(self) -> None:
        """End the life when `commanded` is set, or when the child does not start in time."""
        with self.oversight:
            with self.start_timer:
                await self.commanded.wait()
            asked_at_s = trio.current_time()
            self.stopping.set()
            if self.up_since_s is not None:
                await trio.sleep(self.spec.grace_s)
            self.run_scope.cancel("hard stop")
            await trio.sleep(STUCK_AFTER_S)
            self.start_slots.release(self)
            self._tell(Stuck(self.spec.name, trio.current_time() - asked_at_s))

    # --- What `run` may say of its start (trio calls the first of these `TaskStatus`) ----------

    def started(self, value: Any = None) -> None:
        """Note that the child is up.

        A call that comes too late is ignored, as in a task whose `nursery.start` was cancelled.

        Raises:
            RuntimeError: when called twice.
        """
        if self.up_since_s is not None:
            raise RuntimeError("started() was called twice")
        if not self._is_starting:
            return
        self.up_since_s = trio.current_time()
        self.start_timer.deadline = math.inf
        self.start_slots.release(self)
        self._tell(Up(self.spec.name, value))

    def extend_start(self, limit_s: float, doing: str = "") -> None:
        """See `StartStatus`."""
        if self._is_starting:
            self._allow(limit_s)
            self._tell_delay(doing, self.start_limit_s)

    def _tell_delay(self, doing: str, limit_s: float | None) -> None:
        self._tell(Delayed(self.spec.name, doing, limit_s, self.attempt.is_restart))

    @asynccontextmanager
    async def queued_start(self, doing: str = "") -> AsyncGenerator[None]:
        """See `StartStatus`."""
        if self._is_starting:
            self.start_timer.deadline = math.inf
            self.start_slots.release(self)
            self._tell_delay(doing, None)
        yield
        if self._is_starting:
            await self.start_slots.acquire(self)
            self.start_timer.deadline = trio.current_time() + self.start_limit_s

    @property
    def _is_starting(self) -> bool:
        is_over = self.start_timer.cancel_called or self.run_scope.cancel_called
        return self.up_since_s is None and not is_over

    def _allow(self, limit_s: float) -> None:
        self.start_limit_s = limit_s * self.attempt.patience
        self.start_timer.deadline = trio.current_time() + self.start_limit_s

    def _tell(self, event: ChildEvent) -> None:
        if len(self.unsent) > 1 and isinstance(self.unsent[-1], Delayed):
            self.unsent.pop()
        self.unsent.append(event)
        if len(self.unsent) == 1:
            self.nursery.start_soon(self._send_events)

    async def _send_events(self) -> None:
        while True:
            await self.events.send(self.unsent[0])
            self.unsent.popleft()
            if not self.unsent:
                return

    def ending(self, ended_at_s: float) -> Ending:
        if self.up_since_s is not None:
            up_for_s = ended_at_s - self.up_since_s
            return _ending(self.error, up_for_s)
        if self.start_timer.cancelled_caught:
            return Ending(self._too_slow(), up_for_s=None, was_cut_off=True)
        # An error of a start that was cancelled by a command is no reason for anything.
        error = None if self.run_scope.cancel_called else self.error
        return _ending(error, None)

    def _too_slow(self) -> trio.TooSlowError:
        last = "" if self.error is None else f"; last: {self.error}"
        too_slow = trio.TooSlowError(f"not started within {self.start_limit_s:g} s{last}")
        too_slow.__cause__ = self.error
        return too_slow


def _ending(error: Exception | None, up_for_s: float | None) -> Ending:
    return Ending(error, up_for_s, asked_s=asked_s(error), stays_down=stays_down(error))


def plain_error(group: ExceptionGroup[Exception]) -> Exception:
    """Return the errors of an exception group without its nesting.

    Nurseries wrap an error once for each level, which tells a reader nothing. A single error is
    returned as it is; several become a flat group whose message names them all.
    """
    leaves = list(_leaves(group))
    if len(leaves) == 1:
        return leaves[0]
    return ExceptionGroup("; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in leaves), leaves)


def asked_s(error: Exception | None) -> float:
    """Return the longest wait that an error asks for, one of a group included; 0 for none."""
    if error is None:
        return 0.0
    asked = (leaf.retry_after_s for leaf in _leaves(error) if isinstance(leaf, AsksToWait))
    return max((seconds for seconds in asked if seconds is not None), default=0.0)


def stays_down(error: Exception | None) -> bool:
    """Return whether an error, or one of a group, says that no start is worth trying."""
    leaves = () if error is None else _leaves(error)
    return any(isinstance(leaf, AsksToStayDown) and leaf.stays_down for leaf in leaves)


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for inner in cast("ExceptionGroup[Exception]", error).exceptions:
        yield from _leaves(inner)
