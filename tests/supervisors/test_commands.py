"""Commands about known children, turns to start, and the end of the supervisor."""

import math

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from supervisors.child import (
    ChildEvent,
    ChildSpec,
    Command,
    Down,
    Queued,
    Restart,
    RestartChild,
    StartChild,
    Starting,
    StopChild,
    Up,
)
from supervisors.incarnation import STUCK_AFTER_S
from supervisors.policy import Backoff
from supervisors.start_limits import FixedLimit, RestartRate
from supervisors.start_slots import StartSlots
from supervisors.supervisor import supervise
from tests.supervisors.harness import (
    STARTING,
    STOPPED,
    UP,
    Supervised,
    TaskStatus,
    always,
    child,
    crash,
    failed,
    hang,
    ignore_stopping,
    quiet,
    script,
    shielded_for,
    slots,
    start_in,
    stay,
    stop_in,
    supervised,
    up_for,
)

# --- Commands about a known child ------------------------------------------------------------


async def test_starting_a_child_that_runs_restarts_it_with_the_new_spec(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(stop_in(4)))
    supervisor.said()
    await supervisor.tell(StartChild(child(up_for(math.inf))))
    await trio.sleep(100)
    assert supervisor.said() == [(4, Down("a", None, 0, 0.0)), (4, STARTING), (4, Up("a", None))]


@pytest.mark.parametrize("spec", [None, child(stay)])
async def test_restarting_a_child_that_waits_starts_it_at_once_with_its_failures_forgiven(
    nursery: trio.Nursery, spec: ChildSpec | None, autojump_clock: MockClock
) -> None:
    run = script(crash, crash, crash, crash)
    supervisor = await supervised(nursery, child(run))
    await trio.sleep(2)
    assert supervisor.said()[-1] == (1.5, failed(2, 2))
    await supervisor.tell(RestartChild("a", spec))
    again = [(2, UP)] if spec else [(2, failed(0, 0.5))]
    assert supervisor.said() == [(2, STARTING), *again]


async def test_restarting_a_child_that_was_given_up_starts_it_at_once(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    spec = child(script(crash, stay), max_restarts=1, cool_down=always(1000))
    supervisor = await supervised(nursery, spec)
    supervisor.said()
    await trio.sleep(5)
    await supervisor.tell(RestartChild("a"))
    assert supervisor.said() == [(5, STARTING), (5, UP)]


async def test_restarting_a_child_that_runs_stops_it_first(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(stop_in(4)))
    supervisor.said()
    await supervisor.tell(RestartChild("a"))
    await trio.sleep(100)
    assert supervisor.said() == [(4, Down("a", None, 0, 0.0)), (4, STARTING), (4, UP)]


async def test_restarting_an_unknown_child_starts_it_only_with_a_spec(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery)
    await supervisor.tell(RestartChild("a"))
    assert supervisor.said() == [(0, STOPPED)]
    await supervisor.tell(RestartChild("a", child(stay)))
    assert supervisor.said() == [(0, STARTING), (0, UP)]


async def test_child_that_has_ended_for_good_can_be_started_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(crash, restart=Restart.NEVER))
    assert supervisor.said() == [(0, STARTING), (0, failed(0, None))]
    await supervisor.tell(StartChild(child(stay)))
    assert supervisor.said() == [(0, STARTING), (0, UP)]


async def test_of_commands_during_a_slow_stop_only_the_last_is_carried_out(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    never, last = script(stay), script(stay)
    supervisor = await supervised(nursery, child(stop_in(4)))
    supervisor.said()
    await supervisor.tell(StopChild("a"))
    await supervisor.tell(StartChild(child(never)), StopChild("a"), StartChild(child(last)))
    await trio.sleep(100)
    assert supervisor.said() == [(4, Down("a", None, 0, 0.0)), (4, STARTING), (4, UP)]
    assert (never.incarnations, last.incarnations) == (0, 1)


async def test_stopping_after_a_start_leaves_nothing_running(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery)
    await supervisor.tell(StartChild(child(stay)), StopChild("a"))
    assert supervisor.said()[-1] == (0, STOPPED)
    supervisor.commands.close()
    await quiet()
    assert supervisor.returned_at_s == 0


async def test_slow_stop_of_one_child_delays_no_command_for_another(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(stop_in(9), "slow"))
    await supervisor.tell(StopChild("slow"), StartChild(child(stay)))
    assert supervisor.said() == [(0, STARTING), (0, UP)]


async def test_command_that_comes_while_an_event_is_not_received_is_not_lost(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    commands_in, commands_out = trio.open_memory_channel[Command](10)
    events_in, events_out = trio.open_memory_channel[ChildEvent](0)
    spec = child(crash, backoff=Backoff(initial_s=1000, max_s=1000))
    nursery.start_soon(supervise, [spec], commands_out, events_in)
    with trio.fail_after(1):
        assert await events_out.receive() == STARTING
        await quiet()  # the keeper now waits for its `Down` to be received
        commands_in.send_nowait(StopChild("a"))
        await quiet()
        first, second = await events_out.receive(), await events_out.receive()
    assert isinstance(first, Down)
    assert first.retry_in_s is not None
    assert second == failed(0, None)


async def test_command_that_comes_while_the_last_event_is_not_received_is_not_lost(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    commands_in, commands_out = trio.open_memory_channel[Command](10)
    events_in, events_out = trio.open_memory_channel[ChildEvent](0)
    nursery.start_soon(supervise, (), commands_out, events_in)
    with trio.fail_after(1):
        commands_in.send_nowait(StopChild("a"))
        await quiet()  # the keeper now waits for its last `Down` to be received
        commands_in.send_nowait(StartChild(child(stay)))
        await quiet()
        assert [await events_out.receive() for _ in range(3)] == [STOPPED, STARTING, UP]


# --- How many start at the same time ---------------------------------------------------------


def ups(supervisor: Supervised) -> list[tuple[float, str]]:
    return [(at_s, event.name) for at_s, event in supervisor.log if isinstance(event, Up)]


async def test_children_take_turns_to_start_in_order(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, start_slots=slots(2))
    for name in "abcde":
        await supervisor.tell(StartChild(child(start_in(3), name)))
    await trio.sleep(100)
    assert sorted(ups(supervisor)) == [(3, "a"), (3, "b"), (6, "c"), (6, "d"), (9, "e")]


async def test_start_timeout_counts_from_the_turn(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    children = [child(start_in(20), name, start_timeout_s=30) for name in "abc"]
    supervisor = await supervised(nursery, *children, start_slots=slots(1))
    await trio.sleep(100)
    assert [at_s for at_s, _ in ups(supervisor)] == [20, 40, 60]


async def test_turn_passes_on_when_a_child_ends_before_it_has_started(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    slow = child(crash, "slow", backoff=Backoff(initial_s=50))
    supervisor = await supervised(nursery, slow, start_slots=slots(1))
    await supervisor.tell(StartChild(child(stay)))
    assert ups(supervisor) == [(0, "a")]


async def test_turn_passes_on_when_a_child_is_stuck(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stuck = child(shielded_for(1000, starts=False), "stuck", start_timeout_s=10)
    supervisor = await supervised(nursery, stuck, start_slots=slots(1))
    await supervisor.tell(StartChild(child(stay)))
    await trio.sleep(100)
    assert ups(supervisor) == [(10 + STUCK_AFTER_S, "a")]


async def test_child_stopped_before_its_turn_never_starts(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    run = script(stay)
    supervisor = await supervised(nursery, child(hang, "b"), start_slots=slots(1))
    await supervisor.tell(StartChild(child(run)))
    await supervisor.tell(StopChild("a"))
    assert supervisor.said() == [(0, Queued("a")), (0, STOPPED)]
    await supervisor.tell(StopChild("b"), StartChild(child(stay, "c")))
    assert ups(supervisor) == [(0, "c")]
    assert run.incarnations == 0


async def test_restarts_of_many_children_are_limited_but_their_first_starts_are_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    few = StartSlots(FixedLimit(1000), RestartRate(per_s=4, burst=8))
    children = [child(crash, str(n), max_restarts=10**6) for n in range(100)]
    supervisor = await supervised(nursery, *children, start_slots=few)
    starts_at_s = [at_s for at_s, event in supervisor.log if isinstance(event, Starting)]
    assert starts_at_s == [0] * 100
    supervisor.log.clear()
    await trio.sleep(100)
    restarts = [event for _, event in supervisor.log if isinstance(event, Starting)]
    assert 380 <= len(restarts) <= 410


# --- The end of the supervisor ---------------------------------------------------------------


async def test_cancelling_it_cancels_all_children_without_further_events(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(
        nursery, child(ignore_stopping, "b"), child(hang, "c"), child(crash, "d"), child(stay)
    )
    supervisor.log.clear()
    supervisor.scope.cancel()
    await trio.sleep(0.25)
    assert supervisor.log == []
    assert supervisor.returned_at_s == 0


async def test_its_channel_ends_are_closed_at_the_end(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    commands_in, commands_out = trio.open_memory_channel[Command](1)
    events_in, events_out = trio.open_memory_channel[ChildEvent](1)
    with trio.fail_after(1):
        commands_in.close()
        await supervise([], commands_out, events_in)
        with pytest.raises(trio.EndOfChannel):
            await events_out.receive()
    with pytest.raises(trio.ClosedResourceError):
        commands_out.receive_nowait()


async def test_losing_the_receiver_of_its_events_ends_the_supervisor(
    autojump_clock: MockClock,
) -> None:
    _, commands_out = trio.open_memory_channel[Command](1)
    events_in, events_out = trio.open_memory_channel[ChildEvent](0)
    events_out.close()
    with (
        trio.fail_after(1),
        pytest.RaisesGroup(trio.BrokenResourceError, flatten_subgroups=True),
    ):
        await supervise([child(stay)], commands_out, events_in)


class Overthrown(BaseException):
    """Like KeyboardInterrupt, not an `Exception`."""


async def test_what_is_not_an_exception_cancels_all_children_and_propagates(
    autojump_clock: MockClock,
) -> None:
    async def overthrow(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        await trio.sleep(5)
        raise Overthrown

    _, commands_out = trio.open_memory_channel[Command](1)
    events_in, events_out = trio.open_memory_channel[ChildEvent](100)
    others = [child(ignore_stopping, str(n)) for n in range(3)]
    with (
        events_out,
        trio.fail_after(6),
        pytest.RaisesGroup(Overthrown, flatten_subgroups=True),
    ):
        await supervise([child(overthrow), *others], commands_out, events_in)
