"""Runs a child once, from its turn to start until its `run` has ended, for whatever reason.

The caller decides what the `Ending` means. `run` sees only the stop event and the task status.

Invariants:

- `_Life._call_run` alone catches the exceptions of `run`, so that an error in sending an event
  cannot look like an error of the child. A `BaseException` such as KeyboardInterrupt passes.
- `run_once` returns only when `run` has ended. A child that shields itself delays only its own end.
- A start slot is held from before `Starting` until started, ended, or stuck.
"""

import math
from collections.abc import Iterator
from typing import Any, Final, cast

import trio
from attrs import Factory, define, frozen

from supervisors.child import ChildEvent, ChildSpec, Starting, Stuck, Up

STUCK_AFTER_S: Final = 5.0
"""Between cancelling a run and reporting it as stuck.

Cleaning up after a cancellation is closing and killing, not talking to anybody: a run that takes
longer is not going to end soon.
"""


@frozen
class Ending:
    """The end of a life.

    Attributes:
        error: see `child.Down`.
        up_for_s: how long the child had been up; 0 if it never was.
    """

    error: Exception | None
    up_for_s: float


async def run_once(
    spec: ChildSpec,
    commanded: trio.Event,
    events: trio.MemorySendChannel[ChildEvent],
    start_slots: trio.CapacityLimiter,
) -> Ending:
    """Run a child once.

    Args:
        spec: the child.
        commanded: set to end the life: softly if the child is up, at once if it still waits for
            its turn or starting. A child that has not called `started` has promised nothing to
            anybody, so its own cleanup on cancellation is enough.
        events: receives `Starting`, `Up` and `Stuck`. Sending waits for the receiver.
        start_slots: the child holds one while it starts. The start timeout counts from then.

    Returns:
        The end of the life; `commanded` says whether it was asked for.

    Raises:
        BaseExceptionGroup: `run` raised something that is not an `Exception`, or `events` is
            broken.
    """
    async with trio.open_nursery() as nursery:
        life = _Life(spec, commanded, events, start_slots, nursery)
        nursery.start_soon(life.oversee)
        await life.run()
        ended_at_s = trio.current_time()
        life.oversight.cancel("the child has ended")
    # Leaving the nursery has waited until `Up` was received, however short the life.
    return life.ending(ended_at_s)


@define(eq=False)
class _Life:
    """The state of one life. It is also the `task_status` that its `run` is given."""

    spec: ChildSpec
    commanded: trio.Event
    events: trio.MemorySendChannel[ChildEvent]
    start_slots: trio.CapacityLimiter
    nursery: (
        trio.Nursery
    )  # opened by `run_once` for this life; here so that `started` can send `Up`

    stopping: trio.Event = Factory(trio.Event)
    run_scope: trio.CancelScope = Factory(trio.CancelScope)
    oversight: trio.CancelScope = Factory(trio.CancelScope)
    start_timer: trio.CancelScope = Factory(trio.CancelScope)
    holds_slot: bool = False
    up_since_s: float | None = None
    error: Exception | None = None

    async def run(self) -> None:
        with self.run_scope:
            await self.start_slots.acquire_on_behalf_of(self)
            self.holds_slot = True
            try:
                await self._call_run()
            finally:
                self._release_slot()

    async def _call_run(self) -> None:
        """Call `run` and keep its exception in `error`."""
        await self.events.send(Starting(self.spec.name))
        self.start_timer.deadline = trio.current_time() + self.spec.start_timeout_s
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
            self._release_slot()
            await self.events.send(Stuck(self.spec.name, trio.current_time() - asked_at_s))

    def started(self, value: Any = None) -> None:
        """Note that the child is up (trio calls this interface `TaskStatus`).

        A call that comes too late is ignored, as in a task whose `nursery.start` was cancelled.

        Raises:
            RuntimeError: when called twice.
        """
        if self.up_since_s is not None:
            raise RuntimeError("started() was called twice")
        if self.start_timer.cancel_called or self.run_scope.cancel_called:
            return
        self.up_since_s = trio.current_time()
        self.start_timer.deadline = math.inf
        self._release_slot()
        self.nursery.start_soon(self.events.send, Up(self.spec.name, value))

    def ending(self, ended_at_s: float) -> Ending:
        error = self._start_timeout() if self.start_timer.cancelled_caught else self.error
        up_for_s = 0.0 if self.up_since_s is None else ended_at_s - self.up_since_s
        return Ending(error, up_for_s)

    def _start_timeout(self) -> trio.TooSlowError:
        """Return the reason for the end; an error that `run` made of it is only its cause."""
        too_slow = trio.TooSlowError(f"not started within {self.spec.start_timeout_s:g} s")
        too_slow.__cause__ = self.error
        return too_slow

    def _release_slot(self) -> None:
        if self.holds_slot:
            self.holds_slot = False
            self.start_slots.release_on_behalf_of(self)


def plain_error(group: ExceptionGroup[Exception]) -> Exception:
    """Return the errors of an exception group without its nesting.

    Nurseries wrap an error once for each level, which tells a reader nothing. A single error is
    returned as it is; several become a flat group whose message names them all.
    """
    leaves = list(_leaves(group))
    if len(leaves) == 1:
        return leaves[0]
    return ExceptionGroup("; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in leaves), leaves)


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for inner in cast("ExceptionGroup[Exception]", error).exceptions:
        yield from _leaves(inner)
