"""Responses that wait: those that take long are interrupted, the others are left alone."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from transports.listen.http.posts.unwatched import Unwatched
from transports.listen.serving.exchange import UNWATCHED_S


class Waiting:
    """A response that notes when it was interrupted, and then waits in another way."""

    def __init__(self, unwatched: Unwatched) -> None:
        self._unwatched = unwatched
        self.began_s = trio.current_time()
        self.interrupted_after_s: list[float] = []

    def interrupt(self) -> None:
        self.interrupted_after_s.append(trio.current_time() - self.began_s)
        self._unwatched.discard(self)


@pytest.fixture
async def unwatched(nursery: trio.Nursery) -> Unwatched:
    unwatched = Unwatched()
    nursery.start_soon(unwatched.run)
    await trio.testing.wait_all_tasks_blocked()
    return unwatched


@pytest.mark.parametrize("after_s", [0.0, 0.1, 3.33])
async def test_response_that_takes_long_is_interrupted_once(
    autojump_clock: trio.testing.MockClock, unwatched: Unwatched, after_s: float
) -> None:
    unwatched.add(Waiting(unwatched))
    await trio.sleep(after_s)
    response = Waiting(unwatched)
    unwatched.add(response)
    await trio.sleep(10 * UNWATCHED_S)
    (interrupted_after_s,) = response.interrupted_after_s
    assert UNWATCHED_S <= interrupted_after_s <= 2 * UNWATCHED_S


@pytest.mark.parametrize("after_s", [0.0, 1.2 * UNWATCHED_S])
async def test_response_that_is_decided_is_left_alone(
    autojump_clock: trio.testing.MockClock, unwatched: Unwatched, after_s: float
) -> None:
    response = Waiting(unwatched)
    unwatched.add(response)
    await trio.sleep(after_s)
    unwatched.discard(response)
    await trio.sleep(10 * UNWATCHED_S)
    assert response.interrupted_after_s == []


async def test_nothing_runs_while_nothing_waits(
    autojump_clock: trio.testing.MockClock, unwatched: Unwatched
) -> None:
    unwatched.add(Waiting(unwatched))
    await trio.sleep(10 * UNWATCHED_S)
    assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")
