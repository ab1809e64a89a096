"""Signals, and the end that comes even if nothing ends."""

from __future__ import annotations

import logging
import os
import queue
import signal
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from router.app.shutdown import LastResort, Stop, obey_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 10.0

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


class Ends:
    """Stands for the end of the process."""

    def __init__(self) -> None:
        self.statuses: queue.Queue[int] = queue.Queue()

    def __call__(self, status: int) -> None:
        self.statuses.put(status)


@pytest.fixture
def stop() -> Iterator[Stop]:
    stop = Stop(drain_s=1000.0, last_resort=LastResort(Ends()))
    yield stop
    stop.ended()  # The last resort is a thread that would speak up in a later test.


async def _signal(number: int) -> None:
    os.kill(os.getpid(), number)
    await trio.testing.wait_all_tasks_blocked(0.01)


def test_last_resort_ends_the_process() -> None:
    ends = Ends()
    LastResort(ends).arm(0.0, 7)
    assert ends.statuses.get(timeout=WAIT_S) == 7


def test_last_resort_is_not_needed_by_what_ends_by_itself() -> None:
    ends = Ends()
    last_resort = LastResort(ends)
    last_resort.disarm()
    last_resort.arm(0.0, 7)
    with pytest.raises(queue.Empty):
        ends.statuses.get(timeout=0.05)


def test_first_reason_to_stop_counts(stop: Stop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stop.ask("one", 1)
    stop.ask("two", 0)
    stop.ended()
    assert stop.asked.is_set()
    assert stop.status == 1
    assert caplog.messages == ["Stopping (one)"]


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_first_signal_asks_and_the_second_cancels(
    stop: Stop, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "mcp_router")
    with trio.fail_after(WAIT_S), stop.scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(obey_signals, stop, lambda: None)
            os.kill(os.getpid(), number)
            await stop.asked.wait()
            assert (stop.status, stop.scope.cancel_called) == (0, False)
            os.kill(os.getpid(), number)
            await trio.sleep_forever()
    stop.ended()
    assert stop.scope.cancelled_caught
    assert stop.status == 128 + number
    assert caplog.messages == [
        f"Stopping at once ({number.name}); calls still in flight are cut off, without a record"
    ]


@posix
async def test_first_signal_is_polite_even_if_it_was_stopping_already(stop: Stop) -> None:
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(obey_signals, stop, lambda: None)
            stop.ask("the client is gone")
            await _signal(signal.SIGTERM)
            assert not stop.scope.cancel_called
            nursery.cancel_scope.cancel()
    stop.ended()
    assert stop.status == 0


@posix
async def test_hang_up_reloads_and_stops_nothing(
    stop: Stop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reloads: list[str] = []
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(obey_signals, stop, lambda: reloads.append("now"))
            await _signal(signal.SIGHUP)
            nursery.cancel_scope.cancel()
    assert not stop.asked.is_set()
    assert reloads == ["now"]
    assert caplog.messages == ["SIGHUP: reading config.json and data/ again"]
