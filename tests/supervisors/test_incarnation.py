"""One life of a child, without a supervisor."""

import traceback
from typing import Any

import pytest
import trio
import trio.testing
from attrs import Factory, define
from trio.testing import MockClock

from supervisors.child import ChildEvent, ChildSpec, Run, Starting, Up
from supervisors.incarnation import Ending, plain_error, run_once
from tests.supervisors.harness import BOOM, TaskStatus, hang, ignore_stopping, stay, up_for


@define
class Life:
    """A child that runs once, and its recorded events."""

    run: Run[Any]
    said: list[ChildEvent] = Factory(list[ChildEvent])
    commanded: trio.Event = Factory(trio.Event)
    slots: trio.CapacityLimiter = Factory(lambda: trio.CapacityLimiter(1))

    async def lived(self) -> Ending:
        """Run the child to its end."""
        events_in, events_out = trio.open_memory_channel[ChildEvent](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, events_out)
            with events_in:
                ending = await run_once(
                    ChildSpec("a", self.run), self.commanded, events_in, self.slots
                )
        return ending

    async def _listen(self, events: trio.MemoryReceiveChannel[ChildEvent]) -> None:
        async for event in events:
            self.said.append(event)


async def test_time_up_counts_from_started_to_the_end(autojump_clock: MockClock) -> None:
    assert await Life(up_for(7)).lived() == Ending(BOOM, up_for_s=7)
    assert (await Life(hang).lived()).up_for_s == 0


async def test_life_is_over_only_when_its_up_was_received(autojump_clock: MockClock) -> None:
    events_in, events_out = trio.open_memory_channel[ChildEvent](0)
    endings: list[Ending] = []

    async def run() -> None:
        spec = ChildSpec("a", up_for(0))
        endings.append(await run_once(spec, trio.Event(), events_in, trio.CapacityLimiter(1)))

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
        async with life.slots, trio.open_nursery() as nursery:
            nursery.start_soon(live_it)
            await trio.testing.wait_all_tasks_blocked()
            life.commanded.set()
    assert endings == [Ending(None, 0)]
    assert life.said == []
    assert life.slots.borrowed_tokens == 0


async def test_start_slot_is_given_back_once(autojump_clock: MockClock) -> None:
    slots = trio.CapacityLimiter(1)
    for run in (up_for(1), hang, stay):
        commanded = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Life(run, slots=slots, commanded=commanded).lived)
            await trio.sleep(1000)
            assert slots.borrowed_tokens == 0
            commanded.set()


async def test_cancelling_it_cancels_the_child() -> None:
    life = Life(ignore_stopping)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.lived)
        await trio.testing.wait_all_tasks_blocked()
        assert life.said == [Starting("a"), Up("a", None)]
        nursery.cancel_scope.cancel()
    assert life.slots.borrowed_tokens == 0


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
                slots = trio.CapacityLimiter(1)
                await run_once(ChildSpec("a", stay), trio.Event(), events_in, slots)


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
