"""The actor around the core, in memory and on a mock clock."""

import logging
import math
from typing import Any

import pytest
import trio
from msgspec import Raw
from trio.testing import wait_all_tasks_blocked

from router.dispatch.actor import BATCH_SIZE, CATCH_UP_S, LATE_S
from router.messages.catalog import Catalog, KnownServer
from router.messages.commands import RemoveInstance
from router.messages.effects import (
    CloseClient,
    CloseReply,
    Effect,
    LogLine,
    PinTools,
    Reply,
    SaveCatalogue,
    SaveInstance,
    StartSession,
    StopSession,
    ToClient,
    ToSession,
    WriteRecord,
)
from router.messages.errors import OVERLOADED, UNAVAILABLE, RpcError
from router.messages.events import (
    Barrier,
    ClientOverflowed,
    Drain,
    Event,
    InstanceDelayed,
    InstanceDown,
    InstanceFailed,
    InstanceQueued,
    InstanceSaved,
    InstanceStarting,
    RequestFailed,
    SessionLost,
    SessionOverflowed,
    Tick,
)
from router.messages.frames import Notification
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.observability.records import ChangeRecord, Record
from supervisors.child import Delayed, Down, GaveUp, Queued, Starting
from supervisors.child import Stuck as StuckChild
from supervisors.child import Up as UpChild
from tests.router.dispatch.running_actor import (
    SAID,
    SPEC,
    ScriptedCore,
    content,
    mailbox,
    start_actor,
)

KNOWN = KnownServer("2025-11-25", Raw(b"{}"), Raw(b"{}"), None, Catalog())

# --- Living and ending -----------------------------------------------------------------------


async def test_actor_ends_when_every_sender_has_closed(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = ScriptedCore()
    actor = await start_actor(nursery, core)
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
    assert content(actor.catalogues) == ["end"]


async def test_cancelled_actor_closes_its_channels(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    actor = await start_actor(nursery, ScriptedCore(deadline_s=math.inf))
    await wait_all_tasks_blocked()
    actor.scope.cancel()
    with trio.fail_after(1):
        await actor.ended.wait()
    with pytest.raises(trio.BrokenResourceError):
        actor.inbox.send_nowait(Tick())
    assert content(actor.commands) == ["end"]
    assert content(actor.saves) == ["end"]
    assert content(actor.catalogues) == ["end"]


async def test_an_event_on_which_the_core_fails_is_logged_and_skipped(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    core = ScriptedCore(broken=True)
    actor = await start_actor(nursery, core)
    await actor.happens(InstanceStarting("a"))
    core.broken = False
    await actor.happens(InstanceStarting("b"))
    assert core.kinds == ["InstanceStarting", "InstanceStarting"]
    assert "skipped InstanceStarting: the core failed on it" in caplog.text
    assert "ValueError: a bug" in caplog.text


async def test_an_outbox_that_fails_ends_nobody_else(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def send_nowait(self, value: object, /) -> None:
            raise trio.WouldBlock

        def close(self) -> None:
            raise ValueError("a bug")

    outbox, got = mailbox()
    effects = [
        ToClient("slow", Broken(), Notification("x")),
        ToClient("c", outbox, Notification("y")),
    ]
    core = ScriptedCore({InstanceStarting: list(effects)})
    actor = await start_actor(nursery, core)
    await actor.happens(InstanceStarting("a"))
    assert content(got) == [Notification("y")]
    assert "could not perform ToClient" in caplog.text
    assert not actor.ended.is_set()


async def test_records_are_handed_on(nursery: trio.Nursery, autojump_clock: Any) -> None:
    record, kept = ChangeRecord("operator", "", "remove_instance", "a"), list[Record]()
    core = ScriptedCore({InstanceStarting: [WriteRecord(record)]})
    actor = await start_actor(nursery, core, write_record=kept.append)
    await actor.happens(InstanceStarting("a"))
    assert kept == [record]


async def test_events_and_wake_ups_are_counted(nursery: trio.Nursery, autojump_clock: Any) -> None:
    actor = await start_actor(nursery, ScriptedCore())
    await actor.happens(*(InstanceStarting(name) for name in "abc"))
    assert (actor.counts.events, actor.counts.batches) == (3, 1)
    await actor.happens(*(InstanceStarting("a") for _ in range(BATCH_SIZE + 2)))
    assert (actor.counts.events, actor.counts.batches) == (BATCH_SIZE + 5, 3)


async def test_a_burst_is_handled_in_one_go_and_in_order(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = ScriptedCore()
    actor = await start_actor(nursery, core)
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
    core = ScriptedCore(deadline_s=start_s + 5)
    await start_actor(nursery, core)
    await trio.sleep(10)
    assert core.events == [(start_s + 5, Tick())]


async def test_a_deadline_that_moved_later_wakes_the_actor_for_nothing_once(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    start_s = trio.current_time()
    core = ScriptedCore(deadline_s=start_s + 5)
    actor = await start_actor(nursery, core)
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
    core = ScriptedCore(deadline_s=start_s + 20)
    actor = await start_actor(nursery, core)
    await wait_all_tasks_blocked()
    core.deadline_s = start_s + 5
    await actor.happens(InstanceStarting("a"))
    await trio.sleep(10)
    assert core.events[1:] == [(start_s + 5, Tick())]


async def test_a_deadline_is_kept_although_the_inbox_is_never_empty(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = ScriptedCore()

    class Endless(ScriptedCore):
        def handle(self, event: Event, now_s: float) -> list[Effect]:
            if len(core.events) < 10 * BATCH_SIZE:
                actor.inbox.send_nowait(InstanceStarting("more"))
            core.deadline_s = now_s if len(core.events) == BATCH_SIZE else core.deadline_s
            return core.handle(event, now_s)

        def next_deadline_s(self) -> float | None:
            return core.next_deadline_s()

    actor = await start_actor(nursery, Endless())
    await actor.happens(InstanceStarting("first"))
    assert BATCH_SIZE < core.kinds.index("Tick") <= 2 * BATCH_SIZE + 2


async def test_no_event_is_lost_to_a_deadline(nursery: trio.Nursery, autojump_clock: Any) -> None:
    core = ScriptedCore(deadline_s=trio.current_time() - LATE_S / 2)
    actor = await start_actor(nursery, core)
    await actor.happens(InstanceStarting("a"))
    assert sorted(core.kinds) == ["InstanceStarting", "Tick"]


@pytest.mark.parametrize("is_awake", [True, False])
async def test_what_came_in_while_the_process_was_stopped_comes_before_a_deadline_of_that_time(
    nursery: trio.Nursery, autojump_clock: Any, is_awake: bool
) -> None:
    stopped_until_s = trio.current_time()
    core = ScriptedCore(deadline_s=stopped_until_s - 3)
    actor = await start_actor(nursery, core)
    if is_awake:
        actor.inbox.send_nowait(InstanceStarting("of others"))
    await trio.sleep(CATCH_UP_S / 2)  # in which a session reads what is in its pipe
    actor.inbox.send_nowait(InstanceStarting("the answer"))
    await trio.sleep(CATCH_UP_S)
    assert core.kinds[is_awake:] == ["InstanceStarting", "Tick"]
    assert core.events[-1][0] == stopped_until_s + CATCH_UP_S


async def test_deadlines_are_kept_however_late_each_is_noticed(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = ScriptedCore(deadline_s=trio.current_time() - 3)
    actor = await start_actor(nursery, core)
    for _ in range(3):
        await trio.sleep(2 * CATCH_UP_S)
        core.deadline_s = trio.current_time() - 3
        await actor.happens(InstanceStarting("a"))
    await trio.sleep(2 * CATCH_UP_S)
    assert core.kinds.count("Tick") == 4


async def test_commands_of_a_deadline_are_sent_although_nothing_else_happens(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = ScriptedCore({Tick: [StopSession("a")]}, deadline_s=trio.current_time() + 5)
    actor = await start_actor(nursery, core)
    await trio.sleep(10)
    assert actor.sent_commands() == ["StopChild a"]


async def test_each_stop_of_the_process_has_its_time_to_catch_up(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = ScriptedCore(deadline_s=trio.current_time() - 3)
    actor = await start_actor(nursery, core)
    await wait_all_tasks_blocked()
    core.deadline_s = None  # The answer was in the pipe.
    await actor.happens(InstanceStarting("the answer"))
    await trio.sleep(10)
    core.deadline_s = trio.current_time() - 3
    await actor.happens(InstanceStarting("after another stop"))
    assert "Tick" not in core.kinds
    await trio.sleep(2 * CATCH_UP_S)
    assert core.kinds.count("Tick") == 1


# --- Barriers --------------------------------------------------------------------------------


async def test_a_barrier_is_passed_on_when_what_came_before_it_is_handled(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = ScriptedCore()
    actor = await start_actor(nursery, core)
    seen: list[list[str]] = []
    barrier = Barrier(lambda: seen.append(core.kinds))
    await actor.happens(InstanceStarting("a"), barrier, InstanceStarting("b"))
    assert seen == [["InstanceStarting"]]
    assert core.kinds == ["InstanceStarting", "InstanceStarting"]


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
    actor = await start_actor(nursery, ScriptedCore({Tick: effects}))
    await actor.happens(Tick())
    assert content(read) == [SAID, Notification("up"), "end"]
    assert (content(got), content(seen)) == (["value"], ["end"])
    assert actor.sent_commands() == ["StartChild a"]


async def test_a_client_without_room_for_a_frame_is_ended_and_reported(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    (full, read), (fine, got) = mailbox(0), mailbox()
    effects: list[Effect] = [ToClient("slow", full, SAID), ToClient("fine", fine, SAID)]
    core = ScriptedCore({Tick: effects})
    actor = await start_actor(nursery, core)
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
    core = ScriptedCore(
        {Tick: effects, SessionOverflowed: [ToSession(3, fine, Notification("then"))]}
    )
    actor = await start_actor(nursery, core)
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
    core = ScriptedCore({Tick: effects})
    actor = await start_actor(nursery, core)
    await actor.happens(Tick())
    assert core.kinds == ["Tick", "SessionOverflowed"]


async def test_commands_that_do_not_fit_wait_and_the_last_for_each_instance_is_sent(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    specs = [InstanceSpec(name, "acme") for name in "abc"]
    starts: list[Effect] = [StartSession(spec) for spec in specs]
    core = ScriptedCore({Tick: starts, InstanceStarting: [StopSession("b")]})
    actor = await start_actor(nursery, core, commands=1)
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
    core = ScriptedCore({Tick: [StartSession(SPEC), StopSession("b")]})
    actor = await start_actor(nursery, core)
    actor.commands.close()
    await actor.happens(Tick())
    await actor.happens(Tick())
    assert core.kinds == ["Tick", "Tick"]


async def test_a_change_that_does_not_fit_is_refused_and_the_others_are_saved(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    saves = [SaveInstance(key, RemoveInstance("a"), SPEC) for key in (1, 2)]
    core = ScriptedCore({Tick: list(saves)})
    actor = await start_actor(nursery, core)
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
    core = ScriptedCore({Tick: [SaveInstance(7, RemoveInstance("a"), SPEC)]})
    actor = await start_actor(nursery, core)
    actor.saves.close()
    await actor.happens(Tick())
    problem = core.events[1][1].problem
    assert problem is not None
    assert problem.code == UNAVAILABLE


async def test_a_catalogue_that_does_not_fit_is_dropped_and_the_core_goes_on(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    saves = [SaveCatalogue(InstanceSpec(name, "acme"), KNOWN) for name in ("a", "b")]
    core = ScriptedCore({Tick: [*saves, StopSession("c")]})
    actor = await start_actor(nursery, core)
    await actor.happens(Tick())
    assert content(actor.catalogues) == [saves[0]]
    assert actor.sent_commands() == ["StopChild c"]
    assert core.kinds == ["Tick"]


async def test_without_a_catalogue_store_a_catalogue_is_dropped(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    core = ScriptedCore({Tick: [SaveCatalogue(SPEC, KNOWN), StopSession("c")]})
    actor = await start_actor(nursery, core)
    actor.catalogues.close()
    await actor.happens(Tick())
    assert actor.sent_commands() == ["StopChild c"]
    assert caplog.messages == []


async def test_effects_that_tasks_of_their_own_perform_go_to_these(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    batch = PinTools(7, frozenset({b"{}"}), {})
    core = ScriptedCore({Tick: [batch]})
    pins_in, pins = mailbox(1)
    actor = await start_actor(nursery, core, elsewhere={PinTools: pins_in})
    await actor.happens(Tick())
    assert content(pins) == [batch]
    pins.close()
    core.effects_of[Tick] = [batch, StopSession("c")]
    await actor.happens(Tick())
    assert actor.sent_commands() == ["StopChild c"]
    assert caplog.messages == []
    actor.inbox.close()
    await actor.ended.wait()


# --- Reports of the supervisor ---------------------------------------------------------------


async def test_reports_of_the_supervisor_are_translated_for_the_core(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    core = ScriptedCore()
    actor = await start_actor(nursery, core)
    await actor.happens(
        Starting("a"),
        UpChild("a", None),
        UpChild("listener", "http://127.0.0.1:3000/mcp"),
        Down("a", OSError("it ended"), 1, 0.5),
        Down("a", None, 1, None),
        Down("a", None, 1, 0.0),
        GaveUp("a", OSError("again"), 5, 60.0),
        GaveUp("a", OSError("no news"), 6, 60.0, is_repeated=True),
        StuckChild("a", 17.0),
    )
    assert [event for _, event in core.events] == [
        InstanceStarting("a"),
        InstanceDown("a", "it ended", 1, 0.5),
        InstanceDown("a", "", 1, None),
        InstanceDown("a", "", 1, 0.0),
        InstanceFailed("a", "again", 5, 60.0),
        InstanceFailed("a", "no news", 6, 60.0),
    ]
    assert "no news" not in caplog.text
    assert "a is ready" in caplog.text
    assert "a is down (it ended); next try in 0.5 s" in caplog.text
    assert "a is started anew" in caplog.text
    assert "a failed (again); next probe in 60 s" in caplog.text
    assert "a does not stop" in caplog.text


class NeedsLoginError(Exception):
    """An error of a connection."""

    needs_login = True
    login_url = "https://router.example/oauth/login/t1"


async def test_need_of_a_login_is_told_to_the_core_and_its_page_is_not_logged(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    core = ScriptedCore()
    actor = await start_actor(nursery, core)
    error, url = NeedsLoginError("who are you?"), NeedsLoginError.login_url
    await actor.happens(
        Down("a", error, 0, None),
        Down("b", ExceptionGroup("both", [OSError("it ended"), error]), 1, None),
        Down("c", error, 0, 0.0),
    )
    assert [event for _, event in core.events] == [
        InstanceDown("a", "who are you?", 0, None, True, url),
        InstanceDown("b", "both (2 sub-exceptions)", 1, None, True, url),
        InstanceDown("c", "who are you?", 0, 0.0),
    ]
    assert "a needs a login: who are you?" in caplog.text
    assert "login/t1" not in caplog.text


async def test_wait_for_a_turn_to_start_is_told_to_the_core(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = ScriptedCore()
    actor = await start_actor(nursery, core)
    await actor.happens(Queued("a"), Starting("a"))
    assert [event for _, event in core.events] == [InstanceQueued("a"), InstanceStarting("a")]


async def test_delay_of_a_start_is_logged(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    core = ScriptedCore()
    actor = await start_actor(nursery, core)
    delays = Delayed("a", "installing", 300), Delayed("b", "", 60), Delayed("c", "waiting", None)
    again = Delayed("a", "installing", 300, is_restart=True)
    await actor.happens(*delays, again)
    assert [event for _, event in core.events] == [
        InstanceDelayed("a", "installing"),
        InstanceDelayed("b", ""),
        InstanceDelayed("c", "waiting"),
        InstanceDelayed("a", "installing"),
    ]
    assert caplog.messages == [
        "a: installing; it has 300 s for that",
        "b: takes longer to start; it has 60 s for that",
        "c: waiting",
    ]


async def test_log_sums_up_once_who_is_up_after_the_start(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    specs = [InstanceSpec(name, "acme") for name in "ab"]
    core = ScriptedCore({Tick: [StartSession(spec) for spec in specs]})
    actor = await start_actor(nursery, core)
    await actor.happens(Tick(), Starting("a"), Starting("b"), UpChild("a", None))
    await trio.sleep(100)
    await actor.happens(UpChild("b", None), Down("b", OSError("it ended"), 0, 0.5))
    await trio.sleep(100)
    await actor.happens(UpChild("b", None))
    await trio.sleep(100)
    assert [line for line in caplog.messages if "instances" in line] == [
        "1 of 2 instances are up; not up: b (starting)",
        "All 2 instances are up",
    ]


async def test_log_says_nothing_of_who_is_up_once_the_router_stops(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    core = ScriptedCore({Tick: [StartSession(InstanceSpec(name, "acme")) for name in "ab"]})
    actor = await start_actor(nursery, core)
    replies, _ = trio.open_memory_channel[Any](1)
    await actor.happens(Tick(), UpChild("a", None), Drain(replies), Down("b", None, 0, None))
    await trio.sleep(100)
    assert not [line for line in caplog.messages if "instance" in line]


async def test_sessions_of_clients_are_no_instances_in_the_log(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    specs = InstanceSpec("a", "acme"), InstanceSpec("b#1", "acme", sessions="per_client")
    core = ScriptedCore({Tick: [StartSession(spec) for spec in specs]})
    actor = await start_actor(nursery, core)
    await actor.happens(Tick(), UpChild("a", None), GaveUp("b#1", OSError("it ended"), 3, 15))
    await trio.sleep(100)
    assert [line for line in caplog.messages if "instance" in line] == ["The only instance is up"]


async def test_secret_in_the_reason_of_a_failed_request_is_masked_for_the_core(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    core = ScriptedCore()
    actor = await start_actor(nursery, core, mask=lambda text: text.replace("secret", "***"))
    await actor.happens(RequestFailed(7, 2, RpcError(-32009, "secret is bad"), 503, 7.0))
    ((_, event),) = core.events
    assert (event.request, event.status, event.retry_after_s) == (2, 503, 7.0)
    assert event.error.message == "*** is bad"


async def test_line_of_the_core_is_logged_as_it_is(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    core = ScriptedCore({Tick: [LogLine(logging.WARNING, "100 % of a is degraded", "a")]})
    actor = await start_actor(nursery, core)
    await actor.happens(Tick())
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("WARNING", "100 % of a is degraded")
    ]


async def test_secret_in_a_reason_is_masked_for_the_core_and_for_the_log(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    core = ScriptedCore()
    actor = await start_actor(nursery, core, mask=lambda text: text.replace("secret", "***"))
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
