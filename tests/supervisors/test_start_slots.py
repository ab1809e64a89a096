"""Turns to start: their order, their number, and what becomes of them."""

import math
from collections.abc import Callable

import pytest
import trio
import trio.lowlevel
import trio.testing
from attrs import Factory, define
from trio.testing import MockClock

from supervisors.start_limits import AdaptiveLimit, FixedLimit, RestartRate
from supervisors.start_slots import HELD_AT_MOST_S, StartSlots


@define
class Starts:
    """Starts that take a slot and write down when they got it.

    Attributes:
        slots: the slots.
        nursery: runs the starts.
        log: the time and the name of each start that has had its turn.
    """

    slots: StartSlots
    nursery: trio.Nursery
    log: list[tuple[float, str]] = Factory(list[tuple[float, str]])
    scopes: dict[str, trio.CancelScope] = Factory(dict[str, trio.CancelScope])
    _born_at_s: float = Factory(trio.current_time)

    async def come(self, name: str, duration_s: float = math.inf, *, again: bool = False) -> None:
        """Begin a start that takes so long, and wait until all tasks are blocked."""
        self.nursery.start_soon(self._start, name, duration_s, again)
        await trio.testing.wait_all_tasks_blocked()

    async def _start(self, name: str, duration_s: float, is_restart: bool) -> None:
        with trio.CancelScope() as self.scopes[name]:
            await self.slots.acquire(name, is_restart=is_restart)
            self.log.append((trio.current_time() - self._born_at_s, name))
            await trio.sleep(duration_s)
            self.slots.release(name)

    @property
    def served(self) -> str:
        return "".join(name for _, name in self.log)


async def test_first_come_first_served(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    starts = Starts(StartSlots(FixedLimit(2)), nursery)
    for name in "abcde":
        await starts.come(name, 3)
    await trio.sleep(10)
    assert sorted(starts.log) == [(0, "a"), (0, "b"), (3, "c"), (3, "d"), (6, "e")]
    assert (starts.slots.held, starts.slots.waiting) == (0, 0)


async def test_start_that_is_cancelled_while_it_waits_leaves_the_queue(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    starts = Starts(StartSlots(FixedLimit(1)), nursery)
    for name in "abc":
        await starts.come(name, 3)
    starts.scopes["b"].cancel()
    await trio.sleep(10)
    assert starts.log == [(0, "a"), (3, "c")]


@pytest.mark.parametrize("checkpoints", range(6))
async def test_start_that_is_cancelled_in_the_moment_of_its_turn_leaves_no_slot_behind(
    nursery: trio.Nursery, checkpoints: int, autojump_clock: MockClock
) -> None:
    starts = Starts(StartSlots(FixedLimit(2)), nursery)
    for name in "abcde":
        await starts.come(name)
    for holder in "ab":
        starts.slots.release(holder)
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    starts.scopes["d"].cancel()  # `c` and `d` are having their turn
    await trio.testing.wait_all_tasks_blocked()
    # A start that already has its slot is its own to give it back; here nobody does.
    has_started = "d" in starts.served
    assert sorted(starts.served) == sorted("abcd" if has_started else "abce")
    assert starts.slots.held == 2
    assert starts.slots.waiting == (1 if has_started else 0)


async def test_a_slot_is_not_taken_without_a_checkpoint() -> None:
    slots = StartSlots(FixedLimit(1))
    with trio.fail_after(5), trio.testing.assert_checkpoints():
        await slots.acquire("a")


async def test_slot_that_is_given_back_twice_is_given_back_once(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    starts = Starts(StartSlots(FixedLimit(1)), nursery)
    for name in "abc":
        await starts.come(name)
    starts.slots.release("a")
    starts.slots.release("a")
    await trio.testing.wait_all_tasks_blocked()
    assert starts.served == "ab"


async def test_start_that_takes_very_long_holds_nobody_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    starts = Starts(StartSlots(FixedLimit(1)), nursery)
    for name in "abc":
        await starts.come(name)
    await trio.sleep(3 * HELD_AT_MOST_S)
    assert starts.log == [(0, "a"), (HELD_AT_MOST_S, "b"), (2 * HELD_AT_MOST_S, "c")]


# --- A limit that changes --------------------------------------------------------------------


def adaptive(busy: Callable[[], float | None]) -> StartSlots:
    return StartSlots(AdaptiveLimit(1, busy))


async def test_more_start_at_the_same_time_while_the_machine_is_idle(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    starts = Starts(adaptive(lambda: 0.1), nursery)
    for name in "abcdef":
        await starts.come(name)
    await trio.sleep(1.1)
    assert starts.log == [(0, "a"), (0, "b"), (0.25, "c"), (0.5, "d"), (0.75, "e"), (1, "f")]


async def test_fewer_start_at_the_same_time_while_it_is_busy(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    starts = Starts(StartSlots(AdaptiveLimit(2, lambda: 1.0)), nursery)
    for name in "abcdefgh":
        await starts.come(name, 3)
    await trio.sleep(10)
    at_s = sorted(at_s for at_s, _ in starts.log)
    assert at_s == [0, 0, 0, 0, 3, 3, 6, 6]


async def test_nothing_is_measured_while_nobody_waits(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    measured: list[None] = []
    starts = Starts(adaptive(lambda: measured.append(None)), nursery)
    await starts.come("a", 1)
    await trio.sleep(1000)
    assert len(measured) == 1


# --- Restarts --------------------------------------------------------------------------------


async def test_restarts_wait_for_their_rate_and_first_starts_pass_them(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    starts = Starts(StartSlots(FixedLimit(10), RestartRate(per_s=2, burst=1)), nursery)
    for name in "abc":
        await starts.come(name, 0.1, again=True)
    await starts.come("x")
    await trio.sleep(10)
    assert starts.log == [(0, "a"), (0, "x"), (0.5, "b"), (1, "c")]


async def test_restart_that_nothing_limits_has_its_turn_like_others(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    starts = Starts(StartSlots(FixedLimit(1)), nursery)
    await starts.come("a", 1)
    await starts.come("b", 1, again=True)
    await starts.come("c", 1)
    await trio.sleep(10)
    assert starts.log == [(0, "a"), (1, "b"), (2, "c")]


async def test_restarts_wait_for_a_slot_too(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    starts = Starts(StartSlots(FixedLimit(1), RestartRate(per_s=2, burst=1)), nursery)
    await starts.come("a", 5)
    await starts.come("b", 5, again=True)
    await starts.come("c", 5, again=True)
    await trio.sleep(20)
    assert starts.log == [(0, "a"), (5, "b"), (10, "c")]


async def test_slot_is_had_at_once_only_if_it_is_free_and_nobody_waits(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    starts = Starts(StartSlots(FixedLimit(1), RestartRate(per_s=0.1, burst=1)), nursery)
    assert starts.slots.acquire_nowait("a", is_restart=True)
    assert not starts.slots.acquire_nowait("b")
    starts.slots.release("a")
    assert not starts.slots.acquire_nowait("c", is_restart=True)  # the rate holds it back
    assert (starts.slots.held, starts.slots.waiting) == (0, 0)
    await starts.come("d", again=True)
    assert starts.slots.waiting == 1
    assert not starts.slots.acquire_nowait("e")
    nursery.cancel_scope.cancel()
