"""The actor around the core, in memory and on a mock clock."""

import logging
import math
from typing import Any

import attrs
import pytest
import trio
from msgspec import Raw
from trio.testing import wait_all_tasks_blocked

from router.access.request_state_seal import ProcessSeal
from router.core.core import Core
from router.dispatch import BATCH_SIZE, Inbound, Mask, PureCore, dispatch
from router.messages.catalog import Catalog, Item
from router.messages.commands import RemoveInstance
from router.messages.core_settings import CoreSettings
from router.messages.effects import (
    CloseClient,
    CloseReply,
    Effect,
    Reply,
    SaveInstance,
    StartSession,
    StopSession,
    ToClient,
    ToSession,
)
from router.messages.errors import OVERLOADED, UNAVAILABLE
from router.messages.events import (
    ClientClosed,
    ClientOpened,
    ClientOverflowed,
    Drain,
    Event,
    FromClient,
    FromSession,
    InstanceDown,
    InstanceFailed,
    InstanceSaved,
    InstancesChanged,
    InstanceStarting,
    SessionLost,
    SessionOverflowed,
    SessionUp,
    Tick,
)
from router.messages.frames import Frame, Notification, Request, Response
from router.messages.instance_spec import InstanceSpec
from supervisors.child import ChildSpec, Command, Down, GaveUp, StartChild, Starting, StopChild
from supervisors.child import Stuck as StuckChild
from supervisors.child import Up as UpChild

SAID = Notification("said")
SPEC = InstanceSpec("a", "acme", command="a")
CALL = Raw(b'{"name":"mcp.router.call","arguments":{"instance_name":"a","tool_name":"echo"}}')


async def never_run(stopping: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
    """Stand for the session of an instance, which no supervisor runs here."""
    task_status.started()
    await stopping.wait()


def child_of(spec: InstanceSpec) -> ChildSpec:
    return ChildSpec(spec.name, never_run)


@attrs.define(eq=False)
class Script:
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
class Acting:
    """A running actor with the channels around it."""

    inbox: trio.MemorySendChannel[Inbound]
    commands: trio.MemoryReceiveChannel[Command]
    saves: trio.MemoryReceiveChannel[SaveInstance]
    ended: trio.Event
    scope: trio.CancelScope

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


async def acting(
    nursery: trio.Nursery, core: PureCore, *, commands: int = 8, mask: Mask = str
) -> Acting:
    inbox_in, inbox_out = trio.open_memory_channel[Inbound](2000)
    commands_in, commands_out = trio.open_memory_channel[Command](commands)
    saves_in, saves_out = trio.open_memory_channel[SaveInstance](1)
    actor = Acting(inbox_in, commands_out, saves_out, trio.Event(), trio.CancelScope())

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with actor.scope:
            await dispatch(
                core, inbox_out, commands_in, child_of, saves_in, mask, task_status=task_status
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


# --- Living and ending -----------------------------------------------------------------------


async def test_actor_ends_when_every_sender_has_closed(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = Script()
    actor = await acting(nursery, core)
    other = actor.inbox.clone()
    actor.inbox.close()
    await other.send(InstanceStarting("a"))
    await wait_all_tasks_blocked()
    assert not actor.ended.is_set()
    other.send_nowait(InstanceStarting("b"))
    other.close()
    with trio.fail_after(1):
        await actor.ended.wait()
    assert core.kinds == ["InstanceStarting", "InstanceStarting"]
    assert content(actor.commands) == ["end"]
    assert content(actor.saves) == ["end"]


async def test_cancelled_actor_closes_its_channels(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    actor = await acting(nursery, Script(deadline_s=math.inf))
    await wait_all_tasks_blocked()
    actor.scope.cancel()
    with trio.fail_after(1):
        await actor.ended.wait()
    with pytest.raises(trio.BrokenResourceError):
        actor.inbox.send_nowait(Tick())
    assert content(actor.commands) == ["end"]
    assert content(actor.saves) == ["end"]


async def test_an_event_on_which_the_core_fails_is_logged_and_skipped(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    core = Script(broken=True)
    actor = await acting(nursery, core)
    await actor.happens(InstanceStarting("a"))
    core.broken = False
    await actor.happens(InstanceStarting("b"))
    assert core.kinds == ["InstanceStarting", "InstanceStarting"]
    assert "skipped InstanceStarting: the core failed on it" in caplog.text
    assert "ValueError: a bug" in caplog.text


async def test_a_burst_is_handled_in_one_go_and_in_order(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = Script()
    actor = await acting(nursery, core)
    handled_when_others_ran: list[int] = []

    async def other() -> None:
        await trio.lowlevel.checkpoint()
        handled_when_others_ran.append(len(core.events))

    for n in range(BATCH_SIZE):
        actor.inbox.send_nowait(InstanceStarting(str(n)))
    nursery.start_soon(other)
    await wait_all_tasks_blocked()
    assert handled_when_others_ran[0] in (0, BATCH_SIZE)
    assert [event.instance for _, event in core.events] == [str(n) for n in range(BATCH_SIZE)]


# --- Deadlines -------------------------------------------------------------------------------


async def test_actor_wakes_at_the_deadline(nursery: trio.Nursery, autojump_clock: Any) -> None:
    start_s = trio.current_time()
    core = Script(deadline_s=start_s + 5)
    await acting(nursery, core)
    await trio.sleep(10)
    assert core.events == [(start_s + 5, Tick())]


async def test_a_deadline_that_moved_later_wakes_the_actor_for_nothing_once(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    start_s = trio.current_time()
    core = Script(deadline_s=start_s + 5)
    actor = await acting(nursery, core)
    await wait_all_tasks_blocked()
    core.deadline_s = start_s + 20
    await actor.happens(InstanceStarting("a"))
    await trio.sleep(10)
    assert core.kinds == ["InstanceStarting"]
    await trio.sleep(15)
    assert core.events[1:] == [(start_s + 20, Tick())]


async def test_a_deadline_that_moved_earlier_is_kept(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    start_s = trio.current_time()
    core = Script(deadline_s=start_s + 20)
    actor = await acting(nursery, core)
    await wait_all_tasks_blocked()
    core.deadline_s = start_s + 5
    await actor.happens(InstanceStarting("a"))
    await trio.sleep(10)
    assert core.events[1:] == [(start_s + 5, Tick())]


async def test_a_deadline_is_kept_although_the_inbox_is_never_empty(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = Script()

    class Endless(Script):
        def handle(self, event: Event, now_s: float) -> list[Effect]:
            if len(core.events) < 10 * BATCH_SIZE:
                actor.inbox.send_nowait(InstanceStarting("more"))
            core.deadline_s = now_s if len(core.events) == BATCH_SIZE else core.deadline_s
            return core.handle(event, now_s)

        def next_deadline_s(self) -> float | None:
            return core.next_deadline_s()

    actor = await acting(nursery, Endless())
    await actor.happens(InstanceStarting("first"))
    assert BATCH_SIZE < core.kinds.index("Tick") <= 2 * BATCH_SIZE + 2


async def test_no_event_is_lost_to_a_deadline(nursery: trio.Nursery, autojump_clock: Any) -> None:
    core = Script(deadline_s=trio.current_time() - 1)
    actor = await acting(nursery, core)
    await actor.happens(InstanceStarting("a"))
    assert sorted(core.kinds) == ["InstanceStarting", "Tick"]


# --- Effects ---------------------------------------------------------------------------------


async def test_effects_are_performed_in_order(nursery: trio.Nursery, autojump_clock: Any) -> None:
    (box, read), (reply, got), (ended, seen) = mailbox(), mailbox(), mailbox()
    effects: list[Effect] = [
        ToClient("c", box, SAID),
        ToSession(1, box, Notification("up")),
        Reply(reply, "value"),
        CloseReply(ended),
        CloseClient("c", box, "enough"),
        StartSession(SPEC),
    ]
    actor = await acting(nursery, Script({Tick: effects}))
    await actor.happens(Tick())
    assert content(read) == [SAID, Notification("up"), "end"]
    assert (content(got), content(seen)) == (["value"], ["end"])
    assert actor.sent_commands() == ["StartChild a"]


async def test_a_client_without_room_for_a_frame_is_ended_and_reported(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    (full, read), (fine, got) = mailbox(0), mailbox()
    effects: list[Effect] = [ToClient("slow", full, SAID), ToClient("fine", fine, SAID)]
    core = Script({Tick: effects})
    actor = await acting(nursery, core)
    await actor.happens(Tick())
    assert content(read) == ["end"]
    assert content(got) == [SAID]
    assert [event for _, event in core.events] == [Tick(), ClientOverflowed("slow")]


async def test_a_session_without_room_is_reported_after_all_effects(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    (full, _), (fine, got), (gone, reader) = mailbox(0), mailbox(), mailbox()
    reader.close()
    effects: list[Effect] = [
        ToSession(1, full, SAID),
        ToSession(2, gone, SAID),
        ToSession(3, fine, SAID),
    ]
    core = Script({Tick: effects, SessionOverflowed: [ToSession(3, fine, Notification("then"))]})
    actor = await acting(nursery, core)
    await actor.happens(Tick())
    assert content(got) == [SAID, Notification("then")]
    assert [event for _, event in core.events[1:]] == [
        SessionOverflowed(1, SAID),
        SessionOverflowed(2, SAID, lost=True),
    ]


async def test_frames_for_readers_that_are_gone_are_dropped(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    (gone, reader), (closed, _), (full, _) = mailbox(), mailbox(), mailbox(0)
    reader.close()
    closed.close()
    effects: list[Effect] = [ToClient("c", gone, SAID), ToClient("c", closed, SAID)]
    effects += [Reply(gone, 1), Reply(closed, 1), Reply(full, 1), ToSession(1, closed, SAID)]
    core = Script({Tick: effects})
    actor = await acting(nursery, core)
    await actor.happens(Tick())
    assert core.kinds == ["Tick", "SessionOverflowed"]


async def test_commands_that_do_not_fit_wait_and_the_last_for_each_instance_is_sent(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    specs = [InstanceSpec(name, "acme") for name in "abc"]
    starts: list[Effect] = [StartSession(spec) for spec in specs]
    core = Script({Tick: starts, InstanceStarting: [StopSession("b")]})
    actor = await acting(nursery, core, commands=1)
    await actor.happens(Tick())
    await actor.happens(Starting("x"))
    assert actor.sent_commands() == ["StartChild a"]
    for expected in ("StartChild c", "StopChild b"):
        await actor.happens(Starting("x"))
        assert actor.sent_commands() == [expected]
    await actor.happens(Starting("x"))
    assert actor.sent_commands() == []


async def test_commands_to_a_supervisor_that_is_gone_are_dropped(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = Script({Tick: [StartSession(SPEC), StopSession("b")]})
    actor = await acting(nursery, core)
    actor.commands.close()
    await actor.happens(Tick())
    await actor.happens(Tick())
    assert core.kinds == ["Tick", "Tick"]


# --- The supervisor's events -----------------------------------------------------------------


async def test_a_change_that_does_not_fit_is_refused_and_the_others_are_saved(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    saves = [SaveInstance(key, RemoveInstance("a"), SPEC) for key in (1, 2)]
    core = Script({Tick: list(saves)})
    actor = await acting(nursery, core)
    await actor.happens(Tick())
    assert content(actor.saves) == [saves[0]]
    assert core.kinds == ["Tick", "InstanceSaved"]
    refused = core.events[1][1]
    assert isinstance(refused, InstanceSaved)
    assert (refused.key, refused.specs) == (2, None)
    assert refused.problem is not None
    assert refused.problem.code == OVERLOADED


async def test_without_an_instance_store_a_change_is_refused(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = Script({Tick: [SaveInstance(7, RemoveInstance("a"), SPEC)]})
    actor = await acting(nursery, core)
    actor.saves.close()
    await actor.happens(Tick())
    problem = core.events[1][1].problem
    assert problem is not None
    assert problem.code == UNAVAILABLE


def session_up(inbox: trio.MemorySendChannel[Frame]) -> SessionUp:
    catalog = Catalog(tools=(Item("echo", Raw(b'{"name":"echo"}')),))
    return SessionUp("a", 1, inbox, "2025-11-25", Raw(b"{}"), Raw(b"{}"), None, catalog)


async def test_reports_of_the_supervisor_are_translated_for_the_core(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    core, up = Script(), session_up(mailbox()[0])
    actor = await acting(nursery, core)
    await actor.happens(
        Starting("a"),
        UpChild("a", up),
        UpChild("listener", "http://127.0.0.1:3000/mcp"),
        Down("a", OSError("it ended"), 1, 0.5),
        Down("a", None, 1, None),
        Down("a", None, 1, 0.0),
        GaveUp("a", OSError("again"), 5, 60.0),
        StuckChild("a", 17.0),
    )
    assert [event for _, event in core.events] == [
        InstanceStarting("a"),
        up,
        InstanceDown("a", "it ended", 1, 0.5),
        InstanceDown("a", "", 1, None),
        InstanceDown("a", "", 1, 0.0),
        InstanceFailed("a", "again", 5, 60.0),
    ]
    assert "a is down (it ended); next try in 0.5 s" in caplog.text
    assert "a is started anew" in caplog.text
    assert "a failed (again); next probe in 60 s" in caplog.text
    assert "a does not stop" in caplog.text


async def test_secret_in_a_reason_is_masked_for_the_core_and_for_the_log(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    core = Script()
    actor = await acting(nursery, core, mask=lambda text: text.replace("secret", "***"))
    await actor.happens(
        SessionLost(7, "secret is bad"),
        Down("a", OSError("secret is bad"), 1, 0.5),
        GaveUp("a", OSError("secret is bad"), 5, 60.0),
    )
    assert [event for _, event in core.events] == [
        SessionLost(7, "*** is bad"),
        InstanceDown("a", "*** is bad", 1, 0.5),
        InstanceFailed("a", "*** is bad", 5, 60.0),
    ]
    assert "secret" not in caplog.text


# --- With the real core ----------------------------------------------------------------------


async def test_a_call_goes_through_and_times_out_on_time(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    (inbox, upstream), (outbox, _), (reply, answers) = mailbox(), mailbox(), mailbox()
    actor = await acting(nursery, Core(CoreSettings("1", timeout_s=30.0), ProcessSeal()))
    await actor.happens(
        InstancesChanged((SPEC,)),
        Starting("a"),
        UpChild("a", session_up(inbox)),
        ClientOpened("c", outbox),
        FromClient("c", Request(1, "tools/call", CALL), reply),
    )
    assert actor.sent_commands() == ["StartChild a"]
    (sent,) = content(upstream)
    await actor.happens(FromSession(1, Response(sent.id, Raw(b"{}"))))
    assert content(answers) == [Response(1, Raw(b"{}"))]
    await actor.happens(FromClient("c", Request(2, "tools/call", CALL), reply))
    sent_at_s = trio.current_time()
    with trio.fail_after(60):
        answer = await answers.receive()
    assert answer.id == 2
    assert b"Timeout exceeded: 30s" in bytes(answer.result)
    assert 30.0 <= trio.current_time() - sent_at_s <= 30.25
    assert [frame.method for frame in content(upstream)] == [
        "tools/call",
        "notifications/cancelled",
    ]


async def test_a_slow_reader_is_closed_and_its_calls_are_cancelled_after_they_were_sent(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    (inbox, upstream), (outbox, listener), (full, waiting) = mailbox(), mailbox(), mailbox(0)
    actor = await acting(nursery, Core(CoreSettings("1"), ProcessSeal()))
    use = Raw(b'{"name":"mcp.router.use","arguments":{"instance_name":"a"}}')
    await actor.happens(
        InstancesChanged((SPEC,)),
        ClientOpened("c", outbox),
        FromClient("c", Request(1, "tools/call", use), full),
        FromClient("c", Request(2, "tools/call", CALL), mailbox()[0]),
        Starting("a"),
        UpChild("a", session_up(inbox)),
    )
    assert [frame.method for frame in content(upstream)] == [
        "tools/call",
        "notifications/cancelled",
    ]
    assert content(waiting) == ["end"]
    assert content(listener)[-1] == "end"


async def test_drain_is_answered_when_the_last_client_is_gone(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    (inbox, _), (outbox, _), (reply, _), (drained, got) = (mailbox() for _ in range(4))
    actor = await acting(nursery, Core(CoreSettings("1"), ProcessSeal()))
    await actor.happens(
        InstancesChanged((SPEC,)),
        Starting("a"),
        UpChild("a", session_up(inbox)),
        ClientOpened("c", outbox),
        FromClient("c", Request(1, "tools/call", CALL), reply),
        Drain(drained),
    )
    assert content(got) == []
    await actor.happens(ClientClosed("c"))
    assert content(got) == [None]
