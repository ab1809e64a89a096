"""How fast an upstream is read that says much unasked."""

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from router.messages.events import FromSession
from router.messages.frames import Response
from tests.transports.connect.session.fake_upstream import (
    SlowActor,
    call,
    log_notice,
    raw,
    start,
    with_tools,
)
from transports.connect.session.pacing import (
    BURST_S,
    FRAMES_PER_REQUEST,
    MAX_QUOTA,
    READ_S,
    SHARE,
    TURN_S,
    Pacing,
)

# --- The rule --------------------------------------------------------------------------------


def test_a_burst_costs_no_pause() -> None:
    pacing = Pacing()
    took_s = BURST_S / 10
    assert [pacing.pause_s(1, took_s, None, 0.0) for _ in range(9)] == [0.0] * 9
    assert pacing.pause_s(1, took_s, None, 0.0) > 0


def test_in_the_long_run_unasked_frames_take_their_share_of_the_time() -> None:
    pacing, now_s, took_s = Pacing(), 0.0, 0.0
    while now_s < 100:
        now_s += 0.002
        took_s += 0.002
        now_s += pacing.pause_s(16, 0.002, None, now_s)
    assert took_s / now_s == pytest.approx(SHARE, rel=0.1)


def test_quiet_time_gives_the_burst_back_and_no_more() -> None:
    pacing = Pacing()
    assert pacing.pause_s(1, 10 * BURST_S, None, 0.0) > 0
    assert pacing.pause_s(1, BURST_S / 2, None, 1000.0) == 0
    assert pacing.pause_s(1, BURST_S, None, 1000.0) > 0


def test_dear_frames_have_short_turns_and_cheap_ones_no_endless_turn() -> None:
    pacing = Pacing()
    pacing.pause_s(64, 64 * TURN_S / 4, None, 0.0)
    assert pacing.quota == 3
    pacing.pause_s(1, 1.0, None, 0.0)
    assert pacing.quota == 1
    pacing.pause_s(64, 0.0, None, 0.0)
    assert pacing.quota == min(MAX_QUOTA, int(TURN_S / READ_S))


def test_frames_that_come_one_by_one_are_charged_what_each_of_them_costs() -> None:
    pacing, now_s, took_s = Pacing(), 0.0, 0.0
    while now_s < 100:
        frames = pacing.quota
        now_s += frames * 0.0015
        took_s += frames * 0.001
        now_s += pacing.pause_s(frames, 0.0011, 0.001, now_s)
    assert took_s / now_s == pytest.approx(SHARE, rel=0.15)


def test_a_single_measurement_that_is_out_of_line_counts_for_little() -> None:
    pacing = Pacing()
    for _ in range(20):
        pacing.pause_s(64, 0.0, 10e-6, 0.0)
    assert pacing.pause_s(64, 0.0, BURST_S / 64, 0.0) == 0


def test_a_stop_of_the_whole_process_is_not_charged_in_full() -> None:
    pacing = Pacing()
    assert pacing.pause_s(1, 60.0, None, 60.0) == BURST_S / SHARE
    assert pacing.pause_s(1, 0.001, None, 60.0 + 2 * BURST_S / SHARE) == 0


# --- The session -----------------------------------------------------------------------------


async def test_a_server_that_never_stops_talking_is_read_in_its_share_of_the_time(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream)
    actor = SlowActor(0.001)
    nursery.start_soon(actor.run, running)
    for _ in range(900):
        upstream.say(*[log_notice("more")] * 50)
    await trio.sleep(60)
    share = len(actor.taken) * actor.event_s / 60
    assert SHARE / 2 < share < 1.2 * SHARE + BURST_S / 60
    (warning,) = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert warning == "fake says too much unasked; from now on it has to wait"


async def test_a_server_whose_frames_come_just_slower_than_they_are_handled_has_its_share_too(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream)
    actor = SlowActor(0.01)
    nursery.start_soon(actor.run, running)

    async def talk() -> None:
        while True:
            with suppress(trio.WouldBlock):  # then its pipe is full, and it waits
                upstream.say(log_notice("more"))
            await trio.sleep(0.015)

    nursery.start_soon(talk)
    await trio.sleep(60)
    assert SHARE / 2 < len(actor.taken) * actor.event_s / 60 < 1.2 * SHARE + BURST_S / 60


async def test_frames_are_handed_over_where_there_is_no_room_to_measure(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream, inbox_size=1)
    actor = SlowActor(0.0)
    nursery.start_soon(actor.run, running)
    upstream.say(*[log_notice("more")] * 3 * MAX_QUOTA)
    await trio.sleep(1)
    assert len(actor.taken) == 3 * MAX_QUOTA


async def test_answers_and_some_news_of_each_call_are_never_held_back(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    running = await start(nursery, upstream)
    actor = SlowActor(0.001)
    nursery.start_soon(actor.run, running)
    began_s = trio.current_time()
    for number in range(2, 402, 2):
        running.session_inbox.send_nowait(call(number))
        await wait_all_tasks_blocked()
        news = [log_notice("a step")] * (FRAMES_PER_REQUEST - 1)
        upstream.say(*news, Response(number, raw({})))
        await trio.sleep(FRAMES_PER_REQUEST * actor.event_s)
    took_s = trio.current_time() - began_s
    await trio.sleep(actor.event_s)
    assert all(isinstance(event, FromSession) for event in actor.taken)
    assert len(actor.taken) == 200 * FRAMES_PER_REQUEST
    assert took_s == pytest.approx(len(actor.taken) * actor.event_s)
