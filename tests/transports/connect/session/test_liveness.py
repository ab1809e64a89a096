"""A hung upstream is found out, and a busy one is left alone; on a mock clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from router.messages.events import SessionLost
from router.messages.frames import Notification, Request, Response
from tests.transports.connect.session.fake_upstream import (
    SPEC,
    SlowActor,
    call,
    log_notice,
    raw,
    refusal,
    start,
    stateless,
    with_tools,
)
from transports.connect.session.liveness import LEAST_LIMIT_S, PING_LIMIT_S

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.transports.connect.session.fake_upstream import Running

INTERVAL_S = 60.0


async def start_watched(
    nursery: trio.Nursery, upstream: Any, interval_s: float = INTERVAL_S, **more: Any
) -> Running:
    return await start(nursery, upstream, ping_interval_s=interval_s, **more)


def reason_of(running: Running) -> str:
    """Return why the session was lost; empty if it was not."""
    return next((one.reason for one in running.events() if isinstance(one, SessionLost)), "")


@pytest.mark.parametrize("answer", [raw({}), refusal("Method not found: ping")])
async def test_an_idle_upstream_that_answers_is_asked_again_and_again(
    autojump_clock: MockClock, nursery: trio.Nursery, answer: Any
) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = answer
    running = await start_watched(nursery, upstream)
    await trio.sleep(3 * INTERVAL_S + 1)
    assert len(upstream.asked("ping")) == 3
    assert not running.ended.is_set()


async def test_an_idle_upstream_that_hangs_is_lost(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = None
    running = await start_watched(nursery, upstream)
    began_at_s = trio.current_time()
    await running.ended.wait()
    assert trio.current_time() - began_at_s == pytest.approx(INTERVAL_S + PING_LIMIT_S)
    assert reason_of(running) == "hangs: it did not answer ping, and was silent for 90 s"


@pytest.mark.parametrize(("interval_s", "limit_s"), [(1.0, LEAST_LIMIT_S), (20.0, 20.0)])
async def test_a_shorter_interval_finds_out_sooner(
    autojump_clock: MockClock, nursery: trio.Nursery, interval_s: float, limit_s: float
) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = None
    running = await start_watched(nursery, upstream, interval_s)
    began_at_s = trio.current_time()
    await running.ended.wait()
    assert trio.current_time() - began_at_s == pytest.approx(interval_s + limit_s)


async def test_whatever_it_sends_is_a_sign_of_life(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = None
    running = await start_watched(nursery, upstream)
    for _ in range(5):
        await trio.sleep(INTERVAL_S - 1)
        upstream.say(log_notice("busy"))
    assert upstream.asked("ping") == []
    await trio.sleep(INTERVAL_S + PING_LIMIT_S / 2)
    upstream.say(log_notice("still busy"))
    await trio.sleep(PING_LIMIT_S)
    assert len(upstream.asked("ping")) == 1
    assert not running.ended.is_set()


async def test_a_server_that_is_read_slowly_does_not_hang(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = None
    running = await start_watched(nursery, upstream, interval_s=5.0)
    actor = SlowActor(0.02)
    nursery.start_soon(actor.run, running)
    upstream.say(*[log_notice("more")] * 1000)
    await trio.sleep(150)
    assert len(actor.taken) < 1000
    assert not running.ended.is_set()


async def test_a_question_that_was_passed_over_counts_for_nothing_later(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = None
    running = await start_watched(nursery, upstream)
    await trio.sleep(INTERVAL_S + 1)
    upstream.say(log_notice("here"))
    await trio.sleep(2 * INTERVAL_S + PING_LIMIT_S)
    assert running.ended.is_set()
    assert reason_of(running).startswith("hangs:")


async def test_an_answer_that_came_while_the_process_was_stopped_is_read_first(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = None
    running = await start_watched(nursery, upstream)
    await trio.sleep(INTERVAL_S + 1)
    autojump_clock.jump(10 * PING_LIMIT_S)
    await trio.sleep(1)
    upstream.say(Response(5, raw({})))
    await trio.sleep(1)
    assert not running.ended.is_set()


async def test_a_call_that_takes_long_is_not_cut_short(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = None
    running = await start_watched(nursery, upstream)
    running.session_inbox.send_nowait(call(2))
    await trio.sleep(600)
    assert not running.ended.is_set()
    upstream.say(Response(2, raw({})))
    await trio.sleep(INTERVAL_S / 2)
    assert not running.ended.is_set()


async def test_a_call_that_was_given_up_holds_up_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = None
    running = await start_watched(nursery, upstream)
    running.session_inbox.send_nowait(call(2))
    await trio.sleep(200)
    running.session_inbox.send_nowait(
        Notification("notifications/cancelled", raw({"requestId": 2}))
    )
    running.session_inbox.send_nowait(Notification("notifications/cancelled", raw([])))
    await running.ended.wait()
    assert reason_of(running).startswith("hangs:")


async def test_calls_that_come_after_the_question_do_not_keep_a_hung_upstream_alive(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = None
    running = await start_watched(nursery, upstream)
    await trio.sleep(INTERVAL_S + 1)
    running.session_inbox.send_nowait(call(2))
    await running.ended.wait()
    assert reason_of(running).startswith("hangs:")


@pytest.mark.parametrize("method", ["resources/subscribe", "logging/setLevel"])
async def test_a_request_that_nobody_gives_up_does_not_speak_for_a_hung_upstream(
    autojump_clock: MockClock, nursery: trio.Nursery, method: str
) -> None:
    upstream = with_tools()
    upstream.answers[method] = None
    running = await start_watched(nursery, upstream)
    running.session_inbox.send_nowait(Request(2, method))
    upstream.answers["ping"] = None
    await running.ended.wait()
    assert reason_of(running).startswith("hangs:")


async def test_a_subscription_is_no_call_in_flight(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    running = await start_watched(nursery, upstream, spec=attrs.evolve(SPEC, protocol="2026-07-28"))
    upstream.answers["server/discover"] = None
    await running.ended.wait()
    assert "did not answer server/discover" in reason_of(running)


async def test_a_remote_server_without_sessions_is_never_asked(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    spec = attrs.evolve(SPEC, type="http", protocol="2026-07-28")
    await start_watched(nursery, upstream, spec=spec)
    await trio.sleep(10 * INTERVAL_S)
    assert len(upstream.asked("server/discover")) == 1


async def test_a_remote_session_is_asked(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    upstream = with_tools()
    upstream.answers["ping"] = raw({})
    await start_watched(nursery, upstream, spec=attrs.evolve(SPEC, type="http"))
    await trio.sleep(INTERVAL_S + 1)
    assert len(upstream.asked("ping")) == 1


async def test_without_an_interval_nothing_is_asked(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools()
    await start(nursery, upstream)
    await trio.sleep(10 * INTERVAL_S)
    assert upstream.asked("ping") == []
