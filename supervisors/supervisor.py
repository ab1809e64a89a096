"""Keeps children running: starts them, restarts those that fail, and stops them on command.

Each child has a keeper: one task that runs it again and again. A command only changes the wanted
spec of a child and wakes its keeper; the keeper does the waiting. So no command waits for another
child, and no commands queue up: a keeper that was busy, say with a slow stop, finds the latest
wanted spec. Commands for one child therefore take effect in order, but an incarnation that a later
command would have stopped at once is never started.

Invariants:

- `supervise` never awaits anything between two commands.
- A child is in `_Supervisor.children` exactly as long as its keeper runs. Between a keeper finding
  nothing wanted of it and its leaving there is no checkpoint, so no command can fall in between.
- Whatever happens to one child, the others do not notice. Only a `BaseException` that is no
  `Exception`, or the loss of the events' receiver, ends the supervisor.
"""

import random
import sys
from collections.abc import Callable, Iterable

import trio
from msgspec import Struct, field

from supervisors.child import (
    ChildEvent,
    ChildSpec,
    Command,
    Down,
    GaveUp,
    RestartChild,
    StartChild,
    StopChild,
)
from supervisors.incarnation import Attempt, run_once
from supervisors.policy import AlikeStarts, FailureHistory, RestartWindow, Verdict
from supervisors.start_limits import FixedLimit
from supervisors.start_slots import StartSlots


async def supervise(
    children: Iterable[ChildSpec],
    commands: trio.MemoryReceiveChannel[Command],
    events: trio.MemorySendChannel[ChildEvent],
    *,
    start_slots: StartSlots | None = None,
    rand: Callable[[], float] = random.random,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Start the children and keep them as commanded, until `commands` ends.

    When the last sender closes `commands`, this stops all children at the same time, each within
    its own grace period, and returns. Cancelling it cancels all of them, without further events.

    Args:
        children: the children to start at once. Of two with one name the last is kept.
        commands: commands for later. Those about one child take effect in order.
        events: receives the events of all children. Sending waits for the receiver, so the
            receiver must go on until this returns, and must never await the sending of a command.
        start_slots: says how many children may be starting at the same time; None for any number.
            The others wait for their turn, first come, first served. Children that come at the
            same moment, as `children` do, get their turns in any order.
        rand: returns a number in [0, 1), for the jitter.
        task_status: started as soon as commands are accepted, without waiting for any child.

    Resource handling:
        Both channel ends are closed when this ends: pass a clone of what is used elsewhere.

    Error handling:
        An `Exception` of a child becomes its `Down` or `GaveUp`. Any other exception of a child,
        such as KeyboardInterrupt, cancels all children and propagates, in a group.

    Raises:
        BaseExceptionGroup: see above. A `trio.BrokenResourceError` in it means that the receiver
            of the events is gone.
    """
    slots = StartSlots(FixedLimit(sys.maxsize)) if start_slots is None else start_slots
    with commands, events:
        async with trio.open_nursery() as nursery:
            supervisor = _Supervisor(nursery, events, slots, rand)
            for spec in children:
                supervisor.want(spec.name, spec)
            task_status.started()
            async for command in commands:
                supervisor.obey(command)
            for name in supervisor.children:
                supervisor.want(name, None)


class _Child(Struct, eq=False):
    """A child and its wanted state.

    Attributes:
        name: the child.
        wanted: the spec to run; None to stop.
        commanded: set when a command has changed `wanted`.
        restarts: see `child.Down`.
        error: see `child.Down`.
    """

    name: str
    wanted: ChildSpec | None
    commanded: trio.Event = field(default_factory=trio.Event)
    restarts: int = 0
    error: Exception | None = None

    def command(self, wanted: ChildSpec | None) -> None:
        self.wanted = wanted
        self.commanded.set()

    def take_up(self) -> ChildSpec | None:
        """Return the wanted spec; from here on, `commanded` is set by later changes only."""
        self.commanded = trio.Event()
        return self.wanted

    def down(self, retry_in_s: float | None) -> Down:
        return Down(self.name, self.error, self.restarts, retry_in_s)

    def failed(self, verdict: Verdict) -> Down | GaveUp:
        if verdict.gave_up:
            is_repeated = verdict.is_repeated
            return GaveUp(self.name, self.error, self.restarts, verdict.wait_s, is_repeated)
        return self.down(verdict.wait_s)


class _Supervisor(Struct, eq=False):
    nursery: trio.Nursery  # opened by `supervise` for the keepers, and only for them
    events: trio.MemorySendChannel[ChildEvent]
    start_slots: StartSlots
    rand: Callable[[], float]
    children: dict[str, _Child] = {}

    def obey(self, command: Command) -> None:
        match command:
            case StartChild(spec):
                self.want(spec.name, spec)
            case StopChild(name):
                self.want(name, None)
            case RestartChild(name, None):
                known = self.children.get(name)
                self.want(name, None if known is None else known.wanted)
            case _:
                self.want(command.name, command.spec)

    def want(self, name: str, spec: ChildSpec | None) -> None:
        """Tell the child's keeper. An unknown child gets a keeper, if only to send `Down`."""
        known = self.children.get(name)
        if known is not None:
            known.command(spec)
            return
        child = self.children[name] = _Child(name, spec)
        self.nursery.start_soon(self._keep, child)

    async def _keep(self, child: _Child) -> None:
        """Be the keeper of a child until the child has been stopped for good."""
        while True:
            while (spec := child.take_up()) is not None:
                await self._keep_running(child, spec)
            await self.events.send(child.down(retry_in_s=None))
            if not child.commanded.is_set():
                break
        del self.children[child.name]

    async def _keep_running(self, child: _Child, spec: ChildSpec) -> None:
        """Run a child again and again until a command comes, or until its end is for good."""
        child.restarts = 0
        history = FailureHistory(
            spec.backoff,
            RestartWindow(spec.max_restarts, spec.period_s),
            spec.cool_down,
            AlikeStarts(spec.max_alike_starts),
        )
        while True:
            attempt = Attempt(child.restarts > 0, history.patience)
            ending = await run_once(spec, child.commanded, self.events, self.start_slots, attempt)
            child.error = ending.error
            if child.commanded.is_set():
                break
            if ending.stays_down or not spec.restart.covers(ending.error):
                child.wanted = None
                return
            verdict = history.failed(trio.current_time(), ending, self.rand())
            await self.events.send(child.failed(verdict))
            with trio.move_on_after(verdict.wait_s):
                await child.commanded.wait()
            if child.commanded.is_set():
                return
            child.restarts += 1
        if child.wanted is not None:
            await self.events.send(child.down(retry_in_s=0.0))
