"""The lists of an upstream, as a session reads them at its start and after changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.lowlevel
import trio.testing

from router.messages.events import CatalogChanged
from router.messages.frames import Notification, Request, Response
from tests.transports.connect.session.fake_upstream import (
    FakeUpstream,
    SlowActor,
    changed,
    hello,
    load,
    raw,
    refusal,
    start,
    tool_names,
    with_tools,
)
from transports.connect.session.lists.relisting import (
    MAX_RELIST_PAUSE_S,
    RELIST_LIMIT_S,
    RELIST_PAUSE_S,
)
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw
    from trio.testing import MockClock


# --- Listing ---------------------------------------------------------------------------------


async def test_only_what_is_declared_is_listed(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = FakeUpstream({"initialize": hello("resources", "completions")})
    upstream.answers["resources/list"] = raw({"resources": [{"uri": "a://b", "name": "n"}]})
    upstream.answers["resources/templates/list"] = raw(
        {"resourceTemplates": [{"uriTemplate": "a://{x}"}]}
    )
    running = await start(nursery, upstream)
    methods = [frame.method for frame in upstream.frames if isinstance(frame, Request)]
    assert methods == ["initialize", "resources/list", "resources/templates/list"]
    assert running.up is not None
    catalog = running.up.catalog
    assert [item.key for item in catalog.resources + catalog.templates] == ["a://b", "a://{x}"]
    assert load(catalog.resources[0].raw) == {"uri": "a://b", "name": "n"}


def _pages(next_cursor: Callable[[int], str | None]) -> Callable[[Any], Raw]:
    def answer(params: Any) -> Raw:
        number = int(params.get("cursor", "0"))
        page = {"tools": [{"name": f"t{number}"}], "nextCursor": next_cursor(number)}
        return raw(page)

    return answer


async def test_all_pages_are_read(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    upstream = with_tools()
    upstream.answers["tools/list"] = _pages(lambda n: str(n + 1) if n < 2 else None)
    running = await start(nursery, upstream)
    assert running.up is not None
    assert tool_names(running.up) == ["t0", "t1", "t2"]


@pytest.mark.parametrize(
    ("next_cursor", "pages"), [(lambda n: "1", 2), (lambda n: str(n + 1), 1000)]
)
async def test_a_list_without_end_is_cut(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
    next_cursor: Callable[[int], str],
    pages: int,
) -> None:
    upstream = with_tools()
    upstream.answers["tools/list"] = _pages(next_cursor)
    running = await start(nursery, upstream)
    assert running.up is not None
    assert len(running.up.catalog.tools) == pages
    cut = f"tools/list does not end: it was cut after {pages} pages with {pages} items"
    assert f"fake: {cut}" in caplog.messages
    assert running.up.catalog.problems == (cut,)
    upstream.answers["tools/list"] = raw({"tools": []})
    upstream.say(changed("tools"))
    await trio.testing.wait_all_tasks_blocked()
    (event,) = running.events()
    assert isinstance(event, CatalogChanged)
    assert event.catalog.problems == ()


async def test_a_refused_list_of_prompts_is_logged_and_left_empty(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = with_tools("a")
    upstream.answers["initialize"] = hello("prompts", "tools")
    running = await start(nursery, upstream)
    assert running.up is not None
    assert tool_names(running.up) == ["a"]
    assert not running.up.catalog.prompts
    assert "fake: prompts/list was refused: Method not found: prompts/list" in caplog.messages


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refusal("no"), "tools/list was refused: no"),
        (raw({}), 'tools/list was refused: the answer is no list: there is no "tools" in it'),
        (
            raw({"tools": {}}),
            "tools/list was refused: the answer is no list: Expected `array`, got `object`",
        ),
    ],
)
async def test_without_its_list_of_tools_it_does_not_start(
    autojump_clock: MockClock, answer: Any, reason: str
) -> None:
    upstream = with_tools()
    upstream.answers["tools/list"] = answer
    with pytest.RaisesGroup(pytest.RaisesExc(WireLost, check=lambda lost: str(lost) == reason)):
        async with trio.open_nursery() as nursery:
            await start(nursery, upstream)


async def test_items_without_a_name_are_skipped_and_logged(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = with_tools()
    items = [{"title": "no name"}, {"name": "a"}, 5, {"name": 6}, {"name": ""}, {"name": "b"}]
    upstream.answers["tools/list"] = raw({"tools": items})
    running = await start(nursery, upstream)
    assert running.up is not None
    assert tool_names(running.up) == ["a", "b"]
    (message,) = caplog.messages
    assert message.startswith("fake: skipped 4 of the items of tools/list, which have no name")


# --- Re-listing ------------------------------------------------------------------------------


async def test_a_changed_list_is_read_again_and_told(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    upstream.answers |= {
        "initialize": hello("tools", "prompts"),
        "prompts/list": raw({"prompts": [{"name": "p"}]}),
    }
    running = await start(nursery, upstream)
    upstream.answers["tools/list"] = raw({"tools": [{"name": "b"}]})
    upstream.say(changed("tools"))
    await trio.testing.wait_all_tasks_blocked()
    (event,) = running.events()
    assert isinstance(event, CatalogChanged)
    assert event.session == 7
    assert tool_names(event) == ["b"]
    assert [item.key for item in event.catalog.prompts] == ["p"]
    assert len(upstream.asked("prompts/list")) == 1


async def test_changes_during_a_listing_cause_one_more(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    running = await start(nursery, upstream)
    listing = upstream.answers["tools/list"]
    upstream.answers["tools/list"] = None
    upstream.say(changed("tools"))
    await trio.testing.wait_all_tasks_blocked()
    upstream.say(*[changed("tools")] * 10)
    await trio.testing.wait_all_tasks_blocked()
    assert len(upstream.asked("tools/list")) == 2
    upstream.answers["tools/list"] = listing
    upstream.answer(_last_request(upstream))
    await trio.sleep(10 * RELIST_PAUSE_S)
    assert len(upstream.asked("tools/list")) == 3
    assert len(running.events()) == 2


async def test_a_server_whose_lists_change_all_the_time_is_listed_more_and_more_rarely(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    nursery.start_soon(SlowActor().run, await start(nursery, upstream))
    for _ in range(600):
        upstream.say(changed("tools"))
        await trio.sleep(RELIST_PAUSE_S / 2)
    while_changing = len(upstream.asked("tools/list"))
    assert while_changing < 2 + 8 + 60 / MAX_RELIST_PAUSE_S
    await trio.sleep(2 * MAX_RELIST_PAUSE_S)
    assert len(upstream.asked("tools/list")) == while_changing + 1  # the last change counts
    upstream.say(changed("tools"))
    await trio.sleep(RELIST_PAUSE_S / 2)
    assert len(upstream.asked("tools/list")) == while_changing + 2


def _last_request(upstream: FakeUpstream) -> Request:
    return [frame for frame in upstream.frames if isinstance(frame, Request)][-1]


async def test_a_refused_re_listing_keeps_what_was_known(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = with_tools("a")
    running = await start(nursery, upstream)
    upstream.answers["tools/list"] = refusal("not now")
    upstream.say(changed("tools"))
    await trio.sleep(1)
    assert running.events() == []
    assert "fake: tools/list was refused: not now" in caplog.messages


async def test_a_re_listing_that_takes_too_long_is_cancelled_and_the_next_one_works(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = with_tools("a")
    running = await start(nursery, upstream)
    upstream.answers["tools/list"] = None
    upstream.say(changed("tools"))
    await trio.sleep(RELIST_LIMIT_S + 1)
    assert "fake: listing again took too long; kept the old" in caplog.messages
    cancelled = upstream.frames[-1]
    assert isinstance(cancelled, Notification)
    assert cancelled.method == "notifications/cancelled"
    late = _last_request(upstream)
    assert load(cancelled.params)["requestId"] == late.id
    upstream.say(Response(late.id, raw({"tools": []})))
    upstream.answers["tools/list"] = raw({"tools": [{"name": "b"}]})
    upstream.say(changed("tools"))
    await trio.sleep(1)
    (event,) = running.events()
    assert isinstance(event, CatalogChanged)
    assert tool_names(event) == ["b"]


async def test_a_change_of_what_was_not_declared_means_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    running = await start(nursery, upstream)
    upstream.say(changed("prompts"))
    await trio.sleep(1)
    assert running.events() == []
    assert upstream.asked("prompts/list") == []
