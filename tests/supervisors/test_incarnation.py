"""One life of a child, without a supervisor."""

import traceback
from typing import Any

import pytest
import trio
import trio.testing
from attrs import Factory, define
from trio.testing import MockClock

from supervisors.child import ChildEvent, ChildSpec, Delayed, Queued, Run, Starting, Up
from supervisors.incarnation import Attempt, plain_error, run_once
from supervisors.policy import Ending
from supervisors.start_slots import StartSlots
from tests.supervisors.harness import (
    BOOM,
    BusyError,
    TaskStatus,
    be_busy,
    hang,
    ignore_stopping,
    slots,
    stay,
    up_for,
)


@define
class Life:
    """A child that runs once, and its recorded events."""

    run: Run[Any]
    said: list[ChildEvent] = Factory(list[ChildEvent])
    commanded: trio.Event = Factory(trio.Event)
    slots: StartSlots = Factory(lambda: slots(1))
    attempt: Attempt = Factory(Attempt)
    born_at_s: float = Factory(trio.current_time)

    async def lived(self) -> Ending:
        """Run the child to its end."""
        events_in, events_out = trio.open_memory_channel[ChildEvent](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, events_out)
            with events_in:
                spec = ChildSpec("a", self.run)
                ending = await run_once(spec, self.commanded, events_in, self.slots, self.attempt)
        return ending

    async def _listen(self, events: trio.MemoryReceiveChannel[ChildEvent]) -> None:
        async for event in events:
            self.said.append(event)


async def test_time_up_counts_from_started_to_the_end(autojump_clock: MockClock) -> None:
    assert await Life(up_for(7)).lived() == Ending(BOOM, up_for_s=7)
    assert (await Life(hang).lived()).up_for_s is None


async def test_life_is_over_only_when_its_up_was_received(autojump_clock: MockClock) -> None:
    events_in, events_out = trio.open_memory_channel[ChildEvent](0)
    endings: list[Ending] = []

    async def run() -> None:
        spec = ChildSpec("a", up_for(0))
        endings.append(await run_once(spec, trio.Event(), events_in, slots(1), Attempt()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(1000):
            assert await events_out.receive() == Starting("a")
            await trio.sleep(500)
            assert endings == []
            assert await events_out.receive() == Up("a", None)
    # Waiting for the receiver is no time that the child was up.
    assert endings == [Ending(BOOM, 0)]


async def test_starting_twice_is_an_error_of_the_child() -> None:
    async def start_twice(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        task_status.started(1)
        task_status.started(2)
        await trio.lowlevel.checkpoint()

    life = Life(start_twice)
    with trio.fail_after(5):
        ending = await life.lived()
    assert repr(ending.error) == "RuntimeError('started() was called twice')"
    assert life.said == [Starting("a"), Up("a", 1)]


async def test_starting_too_late_is_ignored(autojump_clock: MockClock) -> None:
    async def start_in_the_end(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        try:
            await trio.sleep_forever()
        finally:
            task_status.started()
            task_status.started()

    life = Life(start_in_the_end)
    ending = await life.lived()
    assert isinstance(ending.error, trio.TooSlowError)
    assert life.said == [Starting("a")]


async def test_what_a_slow_start_made_of_its_cancellation_is_kept_as_the_cause(
    autojump_clock: MockClock,
) -> None:
    async def fall_over(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise BOOM

    error = (await Life(fall_over).lived()).error
    assert isinstance(error, trio.TooSlowError)
    assert error.__cause__ is BOOM


async def test_child_told_to_stop_before_its_turn_is_never_called() -> None:
    life = Life(stay)
    endings: list[Ending] = []

    async def live_it() -> None:
        endings.append(await life.lived())

    with trio.fail_after(5):
        await life.slots.acquire("another")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(live_it)
            await trio.testing.wait_all_tasks_blocked()
            life.commanded.set()
    assert endings == [Ending(None, None)]
    assert life.said == [Queued("a")]
    assert (life.slots.held, life.slots.waiting) == (1, 0)


async def test_child_that_has_to_wait_for_its_turn_says_so(autojump_clock: MockClock) -> None:
    life = Life(up_for(1))
    life.slots.acquire_nowait("another")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.lived)
        await trio.sleep(5)
        assert life.said == [Queued("a")]
        life.slots.release("another")
    assert life.said == [Queued("a"), Starting("a"), Up("a", None)]


async def test_start_slot_is_given_back_once(autojump_clock: MockClock) -> None:
    one = slots(1)
    for run in (up_for(1), hang, stay):
        commanded = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Life(run, slots=one, commanded=commanded).lived)
            await trio.sleep(1000)
            assert one.held == 0
            commanded.set()


async def test_cancelling_it_cancels_the_child() -> None:
    life = Life(ignore_stopping)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.lived)
        await trio.testing.wait_all_tasks_blocked()
        assert life.said == [Starting("a"), Up("a", None)]
        nursery.cancel_scope.cancel()
    assert life.slots.held == 0


@pytest.mark.parametrize("received", [0, 1])
async def test_loss_of_the_events_receiver_is_no_error_of_the_child(received: int) -> None:
    events_in, events_out = trio.open_memory_channel[ChildEvent](0)

    async def leave() -> None:
        with events_out:
            await trio.lowlevel.checkpoint()
            for _ in range(received):
                await events_out.receive()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            with pytest.RaisesGroup(trio.BrokenResourceError, flatten_subgroups=True):
                spec = ChildSpec("a", stay)
                await run_once(spec, trio.Event(), events_in, slots(1), Attempt())


# --- Starts that take long for a reason ------------------------------------------------------


async def test_start_that_was_cut_off_tells_how_far_it_got(autojump_clock: MockClock) -> None:
    async def say_where(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("loading the model")

    ending = await Life(say_where).lived()
    assert str(ending.error) == "not started within 60 s; last: loading the model"
    assert ending.was_cut_off


async def test_error_of_a_start_that_was_cancelled_by_a_command_is_no_reason(
    nursery: trio.Nursery,
) -> None:
    async def say_where(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("loading the model")

    life = Life(say_where)
    with trio.fail_after(5):
        nursery.start_soon(stop_when_quiet, life)
        assert await life.lived() == Ending(None, None)


async def stop_when_quiet(life: Life) -> None:
    await trio.testing.wait_all_tasks_blocked()
    life.commanded.set()


async def test_patience_multiplies_the_time_that_a_start_may_take(
    autojump_clock: MockClock,
) -> None:
    life = Life(hang, attempt=Attempt(patience=4))
    ending = await life.lived()
    assert trio.current_time() - life.born_at_s == 240
    assert str(ending.error) == "not started within 240 s"


async def test_start_may_be_extended_from_within(autojump_clock: MockClock) -> None:
    async def install(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        await trio.sleep(50)
        task_status.extend_start(300, "installing")
        await trio.sleep_forever()

    life = Life(install)
    ending = await life.lived()
    assert trio.current_time() - life.born_at_s == 350
    assert str(ending.error) == "not started within 300 s"
    assert life.said == [Starting("a"), Delayed("a", "installing", 300)]


async def test_extension_is_multiplied_like_the_usual_time(autojump_clock: MockClock) -> None:
    async def install(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        task_status.extend_start(300)
        await trio.sleep_forever()

    life = Life(install, attempt=Attempt(is_restart=True, patience=2))
    await life.lived()
    assert trio.current_time() - life.born_at_s == 600
    assert life.said[-1] == Delayed("a", "", 600, is_restart=True)


async def test_start_that_is_queued_for_something_else_uses_up_neither_time_nor_its_slot(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def wait_first(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        async with task_status.queued_start("waiting for another"):
            assert life.slots.held == 0
            await trio.sleep(1000)
        assert life.slots.held == 1
        await trio.sleep_forever()

    life = Life(wait_first)
    ending = await life.lived()
    assert trio.current_time() - life.born_at_s == 1060
    assert ending.was_cut_off
    assert life.said == [Starting("a"), Delayed("a", "waiting for another", None)]
    assert life.slots.held == 0


async def test_start_that_was_queued_waits_for_its_turn_once_more(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    up_at_s: list[float] = []

    async def wait_first(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        async with task_status.queued_start():
            await life.slots.acquire("another")
        up_at_s.append(trio.current_time() - life.born_at_s)

    life = Life(wait_first)
    nursery.start_soon(life.lived)
    await trio.sleep(15)
    life.slots.release("another")
    await trio.testing.wait_all_tasks_blocked()
    assert up_at_s == [15]


async def test_error_while_queued_is_an_error_of_the_child(autojump_clock: MockClock) -> None:
    async def wait_first(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        async with task_status.queued_start():
            raise BOOM

    assert await Life(wait_first).lived() == Ending(BOOM, None)


async def test_child_that_is_up_can_delay_nothing(autojump_clock: MockClock) -> None:
    async def be_late(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        task_status.started()
        task_status.extend_start(1, "late")
        async with task_status.queued_start("late"):
            await trio.sleep(100)

    life = Life(be_late)
    assert await life.lived() == Ending(None, 100)
    assert life.said == [Starting("a"), Up("a", None)]


async def test_events_that_nobody_receives_do_not_pile_up(autojump_clock: MockClock) -> None:
    async def chatter(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        for n in range(1, 1000):
            task_status.extend_start(n)
        task_status.started()
        await trio.lowlevel.checkpoint()

    life = Life(chatter)
    await life.lived()
    assert life.said == [Starting("a"), Delayed("a", "", 1), Up("a", None)]


class Overthrown(BaseException):
    """Like KeyboardInterrupt, not an `Exception`."""


async def test_what_is_not_an_exception_passes_through() -> None:
    async def overthrow(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        await trio.lowlevel.checkpoint()
        raise BaseExceptionGroup("both", [BOOM, Overthrown()])

    with trio.fail_after(5), pytest.RaisesGroup(Overthrown, flatten_subgroups=True):
        await Life(overthrow).lived()


# --- Errors for a person ---------------------------------------------------------------------


def test_lone_error_is_taken_out_of_its_groups() -> None:
    assert plain_error(ExceptionGroup("1", [ExceptionGroup("2", [BOOM])])) is BOOM


def test_several_errors_become_one_flat_group_that_names_them() -> None:
    other = OSError("no space")
    plain = plain_error(ExceptionGroup("1", [ExceptionGroup("2", [BOOM]), other]))
    assert isinstance(plain, ExceptionGroup)
    assert plain.exceptions == (BOOM, other)
    assert plain.message == "ValueError: boom; OSError: no space"


async def test_error_of_a_child_that_has_a_nursery_is_its_own() -> None:
    async def nurse(stopping: trio.Event, *, task_status: TaskStatus) -> None:
        async with trio.open_nursery() as nursery:
            task_status.started()
            nursery.start_soon(trio.sleep_forever)
            raise BOOM

    with trio.fail_after(5):
        error = (await Life(nurse).lived()).error
    assert error is BOOM
    assert "nurse" in "".join(traceback.format_exception(error))


async def test_error_may_ask_for_a_pause_before_the_next_start(autojump_clock: MockClock) -> None:
    assert (await Life(be_busy).lived()).asked_s == 7
    assert (await Life(up_for(1, BusyError(9.0))).lived()).asked_s == 9
    assert (await Life(up_for(1, BusyError(None))).lived()).asked_s == 0
    several = ExceptionGroup("", [BusyError(3.0), ExceptionGroup("", [BusyError(5.0)]), BOOM])
    assert (await Life(up_for(1, several)).lived()).asked_s == 5
