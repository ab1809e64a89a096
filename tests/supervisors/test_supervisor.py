"""Children that start, fail, restart and stop, on a mock clock."""

from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from supervisors.child import (
    ChildEvent,
    Down,
    GaveUp,
    Restart,
    RestartChild,
    Run,
    StartChild,
    Starting,
    StopChild,
    Stuck,
    Up,
)
from supervisors.incarnation import STUCK_AFTER_S
from supervisors.policy import Backoff
from tests.supervisors.harness import (
    BOOM,
    BUSY,
    HOPELESS,
    STARTING,
    STOPPED,
    UP,
    HopelessError,
    TaskStatus,
    always,
    be_busy,
    child,
    crash,
    failed,
    give_up_hope,
    hang,
    ignore_stopping,
    quiet,
    script,
    shielded_for,
    start_in,
    stay,
    stop_in,
    supervised,
    up_for,
)

# --- Starting --------------------------------------------------------------------------------


async def test_child_is_up_with_its_value_once_it_has_started(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(start_in(3)))
    assert supervisor.said() == [(0, STARTING)]
    await trio.sleep(100)
    assert supervisor.said() == [(3, UP)]


async def test_children_start_at_the_same_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, *(child(start_in(3), str(n)) for n in range(10)))
    await trio.sleep(3)
    await quiet()
    assert [at_s for at_s, event in supervisor.log if isinstance(event, Up)] == [3] * 10


async def test_commands_are_accepted_before_any_child_is_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(hang, "slow"))
    await supervisor.tell(StartChild(child(stay)))
    assert supervisor.said() == [(0, STARTING), (0, UP)]


async def test_of_two_children_with_one_name_the_last_is_kept(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    first = script(stay)
    supervisor = await supervised(nursery, child(first), child(start_in(1)))
    await trio.sleep(2)
    assert supervisor.said() == [(0, STARTING), (1, UP)]
    assert first.incarnations == 0


async def test_child_that_does_not_start_in_time_is_cancelled_and_tried_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(script(hang, stay), start_timeout_s=20))
    await trio.sleep(100)
    (_, starting), (at_s, down), again, up = supervisor.said()
    assert (starting, at_s, again, up) == (STARTING, 20, (20.5, STARTING), (20.5, UP))
    assert isinstance(down, Down)
    assert isinstance(down.error, trio.TooSlowError)
    assert str(down.error) == "not started within 20 s"
    assert (down.restarts, down.retry_in_s) == (0, 0.5)


async def test_start_timeout_is_over_once_started(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(start_in(19), start_timeout_s=20))
    await trio.sleep(1000)
    assert supervisor.said() == [(0, STARTING), (19, UP)]


async def test_child_that_returns_before_it_has_started_has_failed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def give_up_quietly(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        await trio.lowlevel.checkpoint()

    supervisor = await supervised(nursery, child(give_up_quietly, restart=Restart.ON_FAILURE))
    _, (_, down) = supervisor.said()
    assert isinstance(down, Down)
    assert repr(down.error) == "RuntimeError('returned before it had started')"
    assert down.retry_in_s == 0.5


# --- Restarting ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restart", "error", "is_restarted"),
    [
        (Restart.ALWAYS, None, True),
        (Restart.ALWAYS, BOOM, True),
        (Restart.ON_FAILURE, None, False),
        (Restart.ON_FAILURE, BOOM, True),
        (Restart.NEVER, None, False),
        (Restart.NEVER, BOOM, False),
    ],
)
async def test_child_that_ended_is_restarted_as_its_kind_says(
    nursery: trio.Nursery,
    restart: Restart,
    error: Exception | None,
    is_restarted: bool,
    autojump_clock: MockClock,
) -> None:
    run = script(up_for(5, error), stay)
    supervisor = await supervised(nursery, child(run, restart=restart))
    await trio.sleep(100)
    retry_in_s = 0.5 if is_restarted else None
    before, after = supervisor.log[:3], supervisor.log[3:]
    assert before == [(0, STARTING), (0, Up("a", None)), (5, Down("a", error, 0, retry_in_s))]
    assert after == ([(5.5, STARTING), (5.5, UP)] if is_restarted else [])


async def test_waits_between_restarts_double_up_to_a_minute(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(crash, max_restarts=100))
    await trio.sleep(183)
    waits_s = (0.5, 1, 2, 4, 8, 16, 32, 60, 60)
    expected: list[tuple[float, ChildEvent]] = []
    at_s = 0.0
    for restarts, wait_s in enumerate(waits_s):
        expected += [(at_s, STARTING), (at_s, failed(restarts, wait_s))]
        at_s += wait_s
    assert supervisor.said() == expected


async def test_waits_are_jittered(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    spec = child(crash, backoff=Backoff(initial_s=8, jitter=0.5))
    supervisor = await supervised(nursery, spec, rand=lambda: 0.5)
    await trio.sleep(7)
    assert supervisor.said() == [
        (0, STARTING),
        (0, failed(0, 6)),
        (6, STARTING),
        (6, failed(1, 12)),
    ]


async def test_child_that_asks_for_a_pause_gets_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(script(be_busy, stay)))
    await trio.sleep(100)
    assert supervisor.said() == [
        (0, STARTING),
        (0, Down("a", BUSY, 0, 7.0)),
        (7, STARTING),
        (7, UP),
    ]


@pytest.mark.parametrize("fails", [give_up_hope, up_for(5, HOPELESS)])
async def test_child_that_asks_to_stay_down_does_until_a_command_starts_it(
    nursery: trio.Nursery, autojump_clock: MockClock, fails: Run[Any]
) -> None:
    spec = child(script(crash, fails, stay), backoff=always(1))
    supervisor = await supervised(nursery, spec)
    await trio.sleep(1000)
    assert supervisor.said()[-1][1] == Down("a", HOPELESS, 1, None)
    await supervisor.tell(RestartChild("a", spec))
    assert [event for _, event in supervisor.said()] == [STARTING, UP]


async def test_child_that_does_not_insist_on_staying_down_is_started_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    spec = child(up_for(5, HopelessError(stays_down=False)), backoff=always(1))
    supervisor = await supervised(nursery, spec)
    await trio.sleep(7)
    assert [type(event) for _, event in supervisor.said()] == [Starting, Up, Down, Starting, Up]


async def test_one_of_several_errors_that_asks_to_stay_down_suffices(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(up_for(5, ExceptionGroup("", [BOOM, HOPELESS]))))
    await trio.sleep(1000)
    *_, (at_s, last) = supervisor.said()
    assert isinstance(last, Down)
    assert (at_s, last.retry_in_s) == (5, None)


async def test_too_many_failures_are_given_up_and_then_probed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    spec = child(crash, max_restarts=3, period_s=60, backoff=always(1), cool_down=always(100))
    supervisor = await supervised(nursery, spec)
    await trio.sleep(250)
    assert supervisor.said() == [
        (0, STARTING),
        (0, failed(0, 1)),
        (1, STARTING),
        (1, failed(1, 1)),
        (2, STARTING),
        (2, GaveUp("a", BOOM, 2, 100)),
        (102, STARTING),
        (102, GaveUp("a", BOOM, 3, 100, is_repeated=True)),
        (202, STARTING),
        (202, GaveUp("a", BOOM, 4, 100, is_repeated=True)),
    ]


async def test_child_whose_starts_fail_alike_is_given_up_before_it_was_ever_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    spec = child(crash, max_alike_starts=3, cool_down=always(100))
    supervisor = await supervised(nursery, spec)
    await trio.sleep(50)
    assert supervisor.said()[1::2] == [
        (0, failed(0, 0.5)),
        (0.5, failed(1, 1)),
        (1.5, GaveUp("a", BOOM, 2, 100)),
    ]


async def test_each_start_that_is_cut_off_gives_the_next_one_twice_the_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    spec = child(hang, start_timeout_s=20, backoff=always(1))
    supervisor = await supervised(nursery, spec)
    await trio.sleep(620)
    reasons = [str(event.error) for _, event in supervisor.said() if isinstance(event, Down)]
    assert reasons == [f"not started within {limit_s} s" for limit_s in (20, 40, 80, 160, 160)]


async def test_command_ends_the_patience_with_a_slow_start(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(hang, start_timeout_s=20))
    await trio.sleep(100)
    supervisor.said()
    await supervisor.tell(StartChild(child(hang, start_timeout_s=20)))
    await trio.sleep(25)
    reasons = [str(event.error) for _, event in supervisor.said() if isinstance(event, Down)]
    assert reasons == ["None", "not started within 20 s"]


async def test_failures_outside_the_window_are_not_given_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    spec = child(up_for(20), max_restarts=3, period_s=60, backoff=Backoff(initial_s=10, factor=1))
    supervisor = await supervised(nursery, spec)
    await trio.sleep(3000)
    assert {type(event) for _, event in supervisor.log} == {Starting, Up, Down}


async def test_probe_that_stays_up_ends_the_giving_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    run = script(crash, up_for(60), stay)
    spec = child(run, max_restarts=1, cool_down=always(100))
    supervisor = await supervised(nursery, spec)
    await trio.sleep(500)
    assert supervisor.said() == [
        (0, STARTING),
        (0, GaveUp("a", BOOM, 0, 100)),
        (100, STARTING),
        (100, Up("a", None)),
        # One failure is too many for this child, but it is the first after a healthy run.
        (160, GaveUp("a", BOOM, 1, 100)),
        (260, STARTING),
        (260, UP),
    ]


async def test_healthy_run_forgives_the_failures_before_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    run = script(crash, crash, crash, up_for(60), stay)
    supervisor = await supervised(nursery, child(run, max_restarts=4))
    await trio.sleep(100)
    downs = [event for _, event in supervisor.said() if isinstance(event, Down)]
    assert downs == [failed(0, 0.5), failed(1, 1), failed(2, 2), failed(3, 0.5)]


async def test_one_flapping_child_does_not_touch_ten_healthy_ones(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    healthy = [child(stay, str(n)) for n in range(10)]
    supervisor = await supervised(nursery, child(crash, max_restarts=10**6), *healthy)
    await trio.sleep(10_000)
    assert len(supervisor.said()) > 300
    assert len(supervisor.log) == 20
    assert {(at_s, event.name, type(event)) for at_s, event in supervisor.log} == {
        (0, str(n), kind) for n in range(10) for kind in (Starting, Up)
    }


# --- Stopping --------------------------------------------------------------------------------


async def test_stopped_child_may_take_its_grace_period(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(stop_in(9), grace_s=10))
    supervisor.said()
    await supervisor.tell(StopChild("a"))
    await trio.sleep(100)
    assert supervisor.said() == [(9, STOPPED)]


@pytest.mark.parametrize("grace_s", [0, 10])
async def test_child_that_does_not_stop_is_cancelled_at_the_end_of_its_grace(
    nursery: trio.Nursery, grace_s: float, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(ignore_stopping, grace_s=grace_s))
    supervisor.said()
    await supervisor.tell(StopChild("a"))
    await trio.sleep(100)
    assert supervisor.said() == [(grace_s, STOPPED)]


async def test_child_that_has_not_started_is_stopped_at_once(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(hang))
    await supervisor.tell(StopChild("a"))
    assert supervisor.said() == [(0, STARTING), (0, STOPPED)]


async def test_child_that_is_not_ended_by_cancelling_it_is_reported_stuck(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery, child(shielded_for(100), grace_s=10))
    await supervisor.tell(StopChild("a"))
    await trio.sleep(1000)
    assert supervisor.said() == [
        (0, STARTING),
        (0, UP),
        (10 + STUCK_AFTER_S, Stuck("a", 10 + STUCK_AFTER_S)),
        (100, STOPPED),
    ]


async def test_child_that_neither_starts_nor_ends_is_reported_stuck_and_tried_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    run = script(shielded_for(100, starts=False), stay)
    supervisor = await supervised(nursery, child(run, start_timeout_s=20))
    await trio.sleep(1000)
    kinds = [(at_s, type(event)) for at_s, event in supervisor.said()]
    assert kinds == [(0, Starting), (25, Stuck), (100, Down), (100.5, Starting), (100.5, Up)]


async def test_error_while_stopping_is_told(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def fall_over(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        await stay(stopping, task_status=task_status)
        raise BOOM

    supervisor = await supervised(nursery, child(fall_over))
    await supervisor.tell(StopChild("a"))
    assert supervisor.said()[-1] == (0, failed(0, None))


async def test_stopping_a_child_that_is_unknown_is_answered(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(nursery)
    await supervisor.tell(StopChild("a"))
    assert supervisor.said() == [(0, STOPPED)]
    await supervisor.tell(StopChild("a"), StopChild("a"))
    assert {event for _, event in supervisor.said()} == {STOPPED}


async def test_child_is_stopped_while_it_waits_for_its_restart(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    run = script(crash)
    supervisor = await supervised(nursery, child(run, backoff=Backoff(initial_s=30)))
    await trio.sleep(10)
    await supervisor.tell(StopChild("a"))
    await trio.sleep(1000)
    assert supervisor.said() == [(0, STARTING), (0, failed(0, 30)), (10, failed(0, None))]
    assert run.incarnations == 1


async def test_children_stop_at_the_same_time_when_the_commands_end(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    supervisor = await supervised(
        nursery,
        *(child(stop_in(stop_s), str(stop_s), grace_s=60) for stop_s in (0, 3, 7)),
        child(hang, "starting"),
        child(crash, "waiting", backoff=Backoff(initial_s=1000, max_s=1000)),
    )
    supervisor.log.clear()
    supervisor.commands.close()
    await trio.sleep(100)
    assert [(at_s, event.name) for at_s, event in supervisor.log[-2:]] == [(3, "3"), (7, "7")]
    assert {event.name for at_s, event in supervisor.log if at_s == 0} == {
        "0",
        "starting",
        "waiting",
    }
    assert all(isinstance(e, Down) and e.retry_in_s is None for _, e in supervisor.log)
    assert supervisor.returned_at_s == 7
