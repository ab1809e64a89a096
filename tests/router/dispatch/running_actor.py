"""An actor that runs in memory, with a scripted core and the channels around it."""

from collections.abc import Callable
from typing import Any

import attrs
import trio
from msgspec import Raw
from trio.testing import wait_all_tasks_blocked

from router.dispatch.actor import Inbound, Mask, PureCore, dispatch
from router.dispatch.after_batch import AfterBatch
from router.dispatch.elsewhere import NOWHERE, Elsewhere
from router.messages.catalog import Catalog, Item
from router.messages.effects import Effect, SaveCatalogue, SaveInstance
from router.messages.events import Event, SessionUp, Tick
from router.messages.frames import Frame, Notification
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.observability.metrics import ActorCounts
from router.messages.observability.records import Record
from supervisors.child import ChildSpec, Command, StartChild, StopChild

SAID = Notification("said")
SPEC = InstanceSpec("a", "acme", command="a")


async def never_run(stopping: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
    """Stand for the session of an instance, which no supervisor runs here."""
    task_status.started()
    await stopping.wait()


def child_of(spec: InstanceSpec) -> ChildSpec:
    return ChildSpec(spec.name, never_run)


@attrs.define(eq=False)
class ScriptedCore:
    """A core that records its events and returns the effects that the test set for each type."""

    effects_of: dict[type[Any], list[Effect]] = attrs.field(factory=dict[type[Any], list[Effect]])
    events: list[tuple[float, Any]] = attrs.field(factory=list[tuple[float, Any]])
    deadline_s: float | None = None
    broken: bool = False

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        self.events.append((now_s, event))
        if self.broken:
            raise ValueError("a bug")
        if isinstance(event, Tick):
            self.deadline_s = None
        return self.effects_of.pop(type(event), [])

    def next_deadline_s(self) -> float | None:
        return self.deadline_s

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for _, event in self.events]


@attrs.define(eq=False)
class RunningActor:
    """A running actor with the channels around it."""

    inbox: trio.MemorySendChannel[Inbound]
    commands: trio.MemoryReceiveChannel[Command]
    saves: trio.MemoryReceiveChannel[SaveInstance]
    catalogues: trio.MemoryReceiveChannel[SaveCatalogue]
    ended: trio.Event
    scope: trio.CancelScope
    counts: ActorCounts = attrs.field(factory=ActorCounts)
    after_batch: AfterBatch = attrs.field(factory=AfterBatch)

    async def happens(self, *events: Inbound) -> None:
        """Put these into the inbox together, and wait until the actor is idle."""
        for event in events:
            self.inbox.send_nowait(event)
        await wait_all_tasks_blocked()

    def sent_commands(self) -> list[str]:
        """Return the commands to the supervisor since the last time, such as `StartChild a`."""
        sent: list[str] = []
        while True:
            try:
                command = self.commands.receive_nowait()
            except trio.WouldBlock:
                return sent
            assert isinstance(command, (StartChild, StopChild))
            name = command.spec.name if isinstance(command, StartChild) else command.name
            sent.append(f"{type(command).__name__} {name}")


async def start_actor(
    nursery: trio.Nursery,
    core: PureCore,
    *,
    commands: int = 8,
    mask: Mask = str,
    write_record: Callable[[Record], None] = lambda _: None,
    elsewhere: Elsewhere = NOWHERE,
) -> RunningActor:
    inbox_in, inbox_out = trio.open_memory_channel[Inbound](2000)
    commands_in, commands_out = trio.open_memory_channel[Command](commands)
    saves_in, saves_out = trio.open_memory_channel[SaveInstance](1)
    catalogues_in, catalogues_out = trio.open_memory_channel[SaveCatalogue](1)
    actor = RunningActor(
        inbox_in, commands_out, saves_out, catalogues_out, trio.Event(), trio.CancelScope()
    )

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with actor.scope:
            await dispatch(
                core,
                inbox_out,
                commands_in,
                child_of,
                saves_in,
                catalogues_in,
                mask,
                write_record,
                actor.counts,
                actor.after_batch,
                elsewhere=elsewhere,
                task_status=task_status,
            )
        actor.ended.set()

    await nursery.start(run)
    return actor


def mailbox(size: int = 10) -> tuple[trio.MemorySendChannel[Any], trio.MemoryReceiveChannel[Any]]:
    return trio.open_memory_channel[Any](size)


def content(channel: trio.MemoryReceiveChannel[Any]) -> list[Any]:
    found: list[Any] = []
    while True:
        try:
            found.append(channel.receive_nowait())
        except trio.WouldBlock:
            return found
        except trio.EndOfChannel:
            return [*found, "end"]


def session_up(inbox: trio.MemorySendChannel[Frame]) -> SessionUp:
    catalog = Catalog(tools=(Item("echo", Raw(b'{"name":"echo"}')),))
    return SessionUp("a", 1, inbox, "2025-11-25", Raw(b"{}"), Raw(b"{}"), None, catalog)
