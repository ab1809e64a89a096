"""The subscription of a session with a server of 2026-07-28, on a mock clock."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from router.messages.events import CatalogChanged, SessionLost
from router.messages.frames import Notification, Request, Response
from tests.transports.connect.session.fake_upstream import (
    AUTO,
    changed,
    discovery,
    load,
    raw,
    refusal,
    start,
    stateless,
    tool_names,
    with_tools,
)
from transports.connect.session.lists.relisting import RELIST_PAUSE_S
from transports.connect.session.lists.subscription import (
    ACKNOWLEDGED,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    STEADY_S,
    capabilities_with_list_changed,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.transports.connect.session.fake_upstream import FakeUpstream, Running


def listening(upstream: FakeUpstream) -> list[Request]:
    """All requests for a subscription."""
    return [
        frame
        for frame in upstream.frames
        if isinstance(frame, Request) and frame.method == "subscriptions/listen"
    ]


def acknowledge(upstream: FakeUpstream) -> None:
    subscription = {"io.modelcontextprotocol/subscriptionId": listening(upstream)[-1].id}
    params = {"notifications": {"toolsListChanged": True}, "_meta": subscription}
    upstream.say(Notification(ACKNOWLEDGED, raw(params)))


def end(upstream: FakeUpstream) -> None:
    upstream.say(Response(listening(upstream)[-1].id, raw({"resultType": "complete"})))


async def begin(nursery: trio.Nursery, upstream: FakeUpstream) -> Running:
    """A session whose subscription is acknowledged, and whose lists were read again after that."""
    running = await start(nursery, upstream, spec=AUTO)
    acknowledge(upstream)
    await trio.sleep(2 * RELIST_PAUSE_S)
    assert len(upstream.asked("tools/list")) == 2
    return running


async def test_the_subscription_names_the_lists_that_may_change(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    capabilities = {"tools": {"listChanged": True}, "prompts": {}, "resources": {}, "logging": {}}
    members = load(discovery()) | {"capabilities": capabilities}
    upstream.answers["server/discover"] = raw(members)
    await start(nursery, upstream, spec=AUTO)
    (params,) = upstream.asked("subscriptions/listen")
    assert params["notifications"] == {"toolsListChanged": True}


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({}, ()),
        ({"tools": None, "prompts": 1, "resources": {"listChanged": None}}, ()),
        ({"tools": {"listChanged": False}, "prompts": {"listChanged": "yes"}}, ()),
        ({"resources": {"listChanged": True}, "tools": {"listChanged": True}}, "tools resources"),
        ({"completions": {"listChanged": True}, "prompts": {"listChanged": True}}, "prompts"),
    ],
)
def test_only_what_is_declared_is_announced(capabilities: dict[str, Any], expected: Any) -> None:
    raws = {name: raw(value) for name, value in capabilities.items()}
    assert " ".join(capabilities_with_list_changed(raws)) == (expected or "")


async def test_a_change_is_read_and_told_and_nothing_else_of_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    running = await begin(nursery, upstream)
    assert running.events() == []
    upstream.answers["tools/list"] = raw({"tools": [{"name": "b"}]})
    upstream.say(changed("tools"), related=5)
    await trio.testing.wait_all_tasks_blocked()
    (event,) = running.events()
    assert isinstance(event, CatalogChanged)
    assert tool_names(event) == ["b"]
    assert upstream.listed == [["a"], ["b"]]


async def test_a_server_whose_lists_do_not_change_is_not_listened_to(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless()
    upstream.answers["server/discover"] = discovery()
    await start(nursery, upstream, spec=AUTO)
    await trio.sleep(LONGEST_PAUSE_S)
    assert listening(upstream) == []


async def test_an_ended_subscription_is_opened_again_and_its_lists_are_read(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    running = await begin(nursery, upstream)
    upstream.answers["tools/list"] = raw({"tools": [{"name": "b"}]})
    end(upstream)
    await trio.sleep(FIRST_PAUSE_S / 2)
    assert len(listening(upstream)) == 1
    await trio.sleep(FIRST_PAUSE_S)
    assert len(listening(upstream)) == 2
    assert len(upstream.asked("tools/list")) == 2
    acknowledge(upstream)
    await trio.sleep(FIRST_PAUSE_S)
    (event,) = running.events()
    assert isinstance(event, CatalogChanged)
    assert tool_names(event) == ["b"]


async def test_what_changed_before_it_was_open_is_read(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    running = await start(nursery, upstream, spec=AUTO)
    upstream.answers["tools/list"] = raw({"tools": [{"name": "b"}]})
    acknowledge(upstream)
    await trio.testing.wait_all_tasks_blocked()
    (event,) = running.events()
    assert isinstance(event, CatalogChanged)
    assert tool_names(event) == ["b"]


@pytest.mark.parametrize("answer", [raw({}), refusal("overloaded", -32603)])
async def test_a_subscription_that_does_not_last_is_opened_ever_more_rarely(
    autojump_clock: MockClock, nursery: trio.Nursery, answer: Any
) -> None:
    upstream = stateless("a")
    times_s: list[float] = []
    upstream.answers["subscriptions/listen"] = lambda _: (
        times_s.append(trio.current_time()),
        answer,
    )[1]
    await start(nursery, upstream, spec=AUTO)
    await trio.sleep(2000)
    pauses_s = [after_s - before_s for before_s, after_s in pairwise(times_s)]
    assert pauses_s[:9] == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256])
    assert set(pauses_s[9:]) == {LONGEST_PAUSE_S}


async def test_a_subscription_that_lasted_long_is_opened_again_soon(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    await start(nursery, upstream, spec=AUTO)
    for opened in range(1, 8):
        assert len(listening(upstream)) == opened
        await trio.sleep(STEADY_S + 1)
        end(upstream)
        await trio.sleep(FIRST_PAUSE_S + 0.1)


@pytest.mark.parametrize(
    "answer", [refusal("no such thing"), refusal("Method not found", -32603)], ids=["code", "words"]
)
async def test_a_server_that_does_not_know_the_method_is_asked_once(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
    answer: Any,
) -> None:
    caplog.set_level(logging.INFO)
    upstream = stateless("a")
    upstream.answers["subscriptions/listen"] = answer
    running = await start(nursery, upstream, spec=AUTO)
    await trio.sleep(10 * LONGEST_PAUSE_S)
    assert len(listening(upstream)) == 1
    assert any("does not tell when its lists change" in message for message in caplog.messages)
    assert not running.ended.is_set()


async def test_a_session_does_not_wait_for_it_to_end(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    running = await begin(nursery, stateless("a"))
    began_at_s = trio.current_time()
    running.stopping.set()
    await running.ended.wait()
    assert trio.current_time() == began_at_s
    assert running.error is None
    assert running.events() == [SessionLost(7, "it was stopped")]


async def test_a_session_with_a_handshake_has_none(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    running = await start(nursery, upstream)
    unexpected = Notification(ACKNOWLEDGED, raw({}))
    upstream.say(unexpected)
    await trio.testing.wait_all_tasks_blocked()
    assert listening(upstream) == []
    (event,) = running.events()
    assert getattr(event, "frame", None) == unexpected


async def test_the_acknowledgement_of_another_subscription_is_the_actors(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    running = await begin(nursery, upstream)
    params = {"_meta": {"io.modelcontextprotocol/subscriptionId": 2}, "notifications": {}}
    foreign = Notification(ACKNOWLEDGED, raw(params))
    upstream.say(foreign)
    await trio.sleep(2 * RELIST_PAUSE_S)
    assert [getattr(event, "frame", None) for event in running.events()] == [foreign]
    assert len(upstream.asked("tools/list")) == 2
