"""A supervisor whose events are recorded with their times, and children for it to run."""

import math
from collections.abc import Callable
from typing import Any

import trio
import trio.testing
from attrs import define, field

from supervisors.child import ChildEvent, ChildSpec, Command, Down, Run, Starting, StartStatus, Up
from supervisors.policy import Backoff
from supervisors.start_limits import FixedLimit
from supervisors.start_slots import StartSlots
from supervisors.supervisor import supervise

BOOM = ValueError("boom")
STARTING = Starting("a")
UP = Up("a", "value")
STOPPED = Down("a", None, 0, None)
TaskStatus = StartStatus[Any]


@define
class Supervised:
    """A supervisor that runs in the test's nursery.

    Attributes:
        commands: takes its commands.
        log: its events, each with the seconds since its start.
        returned_at_s: the time at which `supervise` returned, in the same seconds.
        scope: cancels it.
    """

    commands: trio.MemorySendChannel[Command]
    log: list[tuple[float, ChildEvent]] = field(factory=list[tuple[float, ChildEvent]])
    returned_at_s: float | None = None
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    _born_at_s: float = field(factory=trio.current_time)

    @property
    def now_s(self) -> float:
        return trio.current_time() - self._born_at_s

    def said(self, name: str = "a") -> list[tuple[float, ChildEvent]]:
        """Return the events of one child, and remove them from the log."""
        said = [(at_s, event) for at_s, event in self.log if event.name == name]
        self.log = [(at_s, event) for at_s, event in self.log if event.name != name]
        return said

    async def tell(self, *commands: Command) -> None:
        """Send commands without a checkpoint between them, and wait until all tasks are blocked."""
        for command in commands:
            self.commands.send_nowait(command)
        await trio.testing.wait_all_tasks_blocked()

    async def run(
        self,
        children: tuple[ChildSpec, ...],
        commands: trio.MemoryReceiveChannel[Command],
        *,
        start_slots: StartSlots | None,
        rand: Callable[[], float],
        task_status: trio.TaskStatus[None],
    ) -> None:
        events_in, events_out = trio.open_memory_channel[ChildEvent](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_down, events_out)
            with self.scope:
                await supervise(
                    children,
                    commands,
                    events_in,
                    start_slots=start_slots,
                    rand=rand,
                    task_status=task_status,
                )
            self.returned_at_s = self.now_s

    async def _write_down(self, events: trio.MemoryReceiveChannel[ChildEvent]) -> None:
        with events:
            async for event in events:
                self.log.append((self.now_s, event))


async def supervised(
    nursery: trio.Nursery,
    *children: ChildSpec,
    start_slots: StartSlots | None = None,
    rand: Callable[[], float] = lambda: 0.0,
) -> Supervised:
    """Start a supervisor, and wait until all tasks wait for the clock or for a command."""
    commands_in, commands_out = trio.open_memory_channel[Command](100)
    supervisor = Supervised(commands_in)

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await supervisor.run(
            children, commands_out, start_slots=start_slots, rand=rand, task_status=task_status
        )

    await nursery.start(run)
    await trio.testing.wait_all_tasks_blocked()
    return supervisor


@define
class Script:
    """A child whose incarnations play one act each; the last act is repeated."""

    acts: list[Run[Any]]
    incarnations: int = 0

    async def __call__(self, stopping: trio.Event, *, task_status: TaskStatus) -> None:
        act = self.acts[min(self.incarnations, len(self.acts) - 1)]
        self.incarnations += 1
        await act(stopping, task_status=task_status)


def script(*acts: Run[Any]) -> Script:
    return Script(list(acts))


async def stay(stopping: trio.Event, *, task_status: TaskStatus) -> None:
    """Be up at once, and stop as soon as asked."""
    task_status.started("value")
    await stopping.wait()


async def crash(stopping: trio.Event, *, task_status: TaskStatus) -> None:
    raise BOOM


@define
class BusyError(Exception):
    """An error that asks for a pause."""

    retry_after_s: float | None


BUSY = BusyError(7.0)


async def be_busy(stopping: trio.Event, *, task_status: TaskStatus) -> None:
    """Fail, and ask for a pause of seven seconds."""
    raise BUSY


@define
class HopelessError(Exception):
    """An error after which no start is worth trying."""

    stays_down: bool = True


HOPELESS = HopelessError()


async def give_up_hope(stopping: trio.Event, *, task_status: TaskStatus) -> None:
    """Fail, and ask for no further start."""
    raise HOPELESS


async def hang(stopping: trio.Event, *, task_status: TaskStatus) -> None:
    """Never start, and ignore being asked to stop."""
    await trio.sleep_forever()


async def ignore_stopping(stopping: trio.Event, *, task_status: TaskStatus) -> None:
    task_status.started()
    await trio.sleep_forever()


def start_in(delay_s: float) -> Run[Any]:
    """Be up after a while."""

    async def run(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        await trio.sleep(delay_s)
        await stay(stopping, task_status=task_status)

    return run


def up_for(duration_s: float, error: Exception | None = BOOM) -> Run[Any]:
    """Be up at once, and end after a while."""

    async def run(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        task_status.started()
        await trio.sleep(duration_s)
        if error is not None:
            raise error

    return run


def stop_in(delay_s: float) -> Run[Any]:
    """Take a while to stop."""

    async def run(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        await stay(stopping, task_status=task_status)
        await trio.sleep(delay_s)

    return run


def shielded_for(duration_s: float = math.inf, *, starts: bool = True) -> Run[Any]:
    """Ignore even cancellation, for a while."""

    async def run(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        if starts:
            task_status.started("value")
        with trio.CancelScope(shield=True):
            await trio.sleep(duration_s)
        if not starts:
            task_status.started("too late")

    return run


# --- Short forms ----------------------------------------------------------------------------


def always(wait_s: float) -> Backoff:
    """Return waits that are all of the same length."""
    return Backoff(initial_s=wait_s, factor=1, max_s=wait_s)


def slots(size: int) -> StartSlots:
    return StartSlots(FixedLimit(size))


def child(run: Run[Any], name: str = "a", **how: Any) -> ChildSpec:
    """Return a spec. Starts that fail alike are not given up for that, unless a test says so."""
    quick: dict[str, Any] = {"grace_s": 10.0, "start_timeout_s": 30.0, "max_alike_starts": 100}
    return ChildSpec(name, run, **quick | how)


def failed(restarts: int, retry_in_s: float | None) -> Down:
    return Down("a", BOOM, restarts, retry_in_s)


async def quiet() -> None:
    await trio.testing.wait_all_tasks_blocked()
