"""How a session begins: with servers of either era, in memory and on a mock clock."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from router.messages.frames import Notification, Request, Response
from tests.transports.connect.session.fake_upstream import (
    AUTO,
    FakeUpstream,
    discovery,
    hello,
    load,
    raw,
    refusal,
    start,
    stateless,
    tool_names,
    unsupported,
    with_tools,
)
from transports.connect.session.negotiation import PROBE_S
from transports.connect.session.session import UpstreamSession
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw
    from trio.testing import MockClock

    from router.messages.instance_spec import InstanceSpec

NEWEST = attrs.evolve(AUTO, protocol="2026-07-28")
LEGACY = attrs.evolve(AUTO, protocol="legacy")
REMOTE = attrs.evolve(AUTO, type="http", url="http://there/")

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {
        "name": "mcp-router",
        "title": "MCP Router",
        "version": "2.0",
    },
}
HANDSHAKE = ["initialize", "notifications/initialized"]


async def incarnation(session: UpstreamSession) -> WireLost | None:
    """Run the session once, to its end; told to stop once it is up."""
    stopping = trio.Event()

    class Up:
        def started(self, value: object = None) -> None:
            stopping.set()

    try:
        await session(stopping, task_status=Up())
    except WireLost as lost:
        return lost
    return None


def session_with(upstream: FakeUpstream, spec: InstanceSpec = AUTO) -> UpstreamSession:
    inbox, _ = trio.open_memory_channel[Any](100)
    return UpstreamSession(spec, upstream.connect, inbox, lambda: 1, "2.0")


async def reason(upstream: FakeUpstream, spec: InstanceSpec) -> str:
    return str(await incarnation(session_with(upstream, spec)))


# --- Without sessions ------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [AUTO, NEWEST], ids=["auto", "newest"])
async def test_a_server_that_discovers_itself_gets_no_handshake(
    autojump_clock: MockClock, nursery: trio.Nursery, spec: InstanceSpec
) -> None:
    upstream = stateless("a")
    running = await start(nursery, upstream, spec=spec)
    assert upstream.methods == ["server/discover", "tools/list", "subscriptions/listen"]
    assert upstream.agreed == ("2026-07-28", 1)
    up = running.up
    assert up is not None
    assert (up.revision, up.is_stateless, up.instructions) == ("2026-07-28", True, "Ask nicely")
    assert load(up.server_info) == {"name": "fake", "version": "2"}
    assert load(up.capabilities) == {"tools": {"listChanged": True}}
    assert tool_names(up) == ["a"]


async def test_each_request_of_our_own_says_who_asks(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    pages = iter([raw({"tools": [], "nextCursor": "c"}), raw({"tools": []})])
    upstream.answers["tools/list"] = lambda _: next(pages)
    await start(nursery, upstream, spec=AUTO)
    assert upstream.asked("server/discover") == [{"_meta": ENVELOPE}]
    assert upstream.asked("tools/list") == [{"_meta": ENVELOPE}, {"cursor": "c", "_meta": ENVELOPE}]
    (listening,) = upstream.asked("subscriptions/listen")
    assert listening["_meta"] == ENVELOPE


async def test_a_server_need_not_say_what_it_is_called(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless()
    upstream.answers["server/discover"] = raw(
        {"supportedVersions": ["2026-07-28"], "capabilities": {}}
    )
    running = await start(nursery, upstream, spec=AUTO)
    assert running.up is not None
    assert load(running.up.server_info) == {}
    assert upstream.methods == ["server/discover"]


# --- Falling back ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        refusal("Method not found"),
        refusal("not initialized", -32600),
        refusal("Bad Request", -32000),
        unsupported("2025-11-25", "2025-06-18"),
        unsupported("2026-07-28"),
        unsupported(),
        refusal("no data", -32022),
        Exception('"just no"'),
        discovery("tools", supported=["2025-11-25"]),
        discovery("tools", supported=["2199-01-01"]),
        raw({}),
        raw([]),
        raw({"supportedVersions": "2026-07-28", "capabilities": {}}),
    ],
)
async def test_whatever_is_no_sign_of_the_newest_revision_leads_to_a_handshake(
    autojump_clock: MockClock, nursery: trio.Nursery, answer: Any
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = answer
    running = await start(nursery, upstream, spec=AUTO)
    assert upstream.methods == ["server/discover", *HANDSHAKE, "tools/list"]
    assert upstream.agreed == ("2025-11-25", 2)
    assert running.up is not None
    assert running.up.revision == "2025-11-25"
    assert upstream.asked("tools/list") == [{}]
    assert trio.current_time() < PROBE_S


async def test_a_server_that_does_not_answer_is_tried_with_a_handshake_in_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = None
    began_at_s = trio.current_time()
    running = await start(nursery, upstream, spec=AUTO)
    assert trio.current_time() - began_at_s == pytest.approx(PROBE_S)
    cancelled = "notifications/cancelled"
    assert upstream.methods == ["server/discover", cancelled, *HANDSHAKE, "tools/list"]
    told = upstream.frames[1]
    assert isinstance(told, Notification)
    assert load(told.params)["requestId"] == 1
    assert running.up is not None
    assert running.up.revision == "2025-11-25"


async def test_what_it_answers_after_that_is_dropped(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = None
    upstream.answers["initialize"] = lambda _: (
        upstream.say(Response(1, discovery("tools"))),
        hello("tools"),
    )[1]
    running = await start(nursery, upstream, spec=AUTO)
    assert running.up is not None
    assert running.up.revision == "2025-11-25"
    assert running.events() == []


async def test_a_slow_server_that_took_the_question_for_the_beginning_is_asked_again(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    answers = iter([None, discovery("tools")])
    upstream.answers["server/discover"] = lambda _: next(answers)
    running = await start(nursery, upstream, spec=AUTO)
    assert running.up is not None
    assert running.up.revision == "2026-07-28"
    assert upstream.methods[:4] == [
        "server/discover",
        "notifications/cancelled",
        "initialize",
        "server/discover",
    ]


async def test_what_is_said_before_the_era_is_known_is_answered_as_with_a_handshake(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")

    def ask_first(_: Any) -> Exception:
        upstream.say(Request("p", "ping"))
        return refusal("no")

    upstream.answers["server/discover"] = ask_first
    await start(nursery, upstream, spec=AUTO)
    assert Response("p", raw({})) in upstream.frames


# --- Refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            refusal("Method not found"),
            "server/discover was refused: Method not found; WAY_OUT",
        ),
        (
            raw({}),
            "server/discover was answered with something else: "
            "Object missing required field `supportedVersions`; WAY_OUT",
        ),
        (
            discovery(supported=["2025-11-25", "2199-01-01"]),
            "does not speak 2026-07-28 but 2025-11-25, 2199-01-01; WAY_OUT",
        ),
        (
            discovery(supported=[]),
            "does not speak 2026-07-28 but none that it names; WAY_OUT",
        ),
    ],
)
async def test_who_insists_on_the_newest_revision_is_told_the_way_out(
    autojump_clock: MockClock, answer: Any, said: str
) -> None:
    upstream = with_tools()
    upstream.answers["server/discover"] = answer
    way_out = 'set "protocol" to "auto" for this instance, to speak an older revision with it'
    assert await reason(upstream, NEWEST) == said.replace("WAY_OUT", way_out)
    assert upstream.methods == ["server/discover"]


async def test_a_slow_server_is_waited_for_where_nothing_else_will_do(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    upstream.answers["server/discover"] = None
    nursery.start_soon(start_newest, nursery, upstream)
    await trio.sleep(5 * PROBE_S)
    assert upstream.methods == ["server/discover"]


async def start_newest(nursery: trio.Nursery, upstream: FakeUpstream) -> None:
    await start(nursery, upstream, spec=NEWEST)


async def test_a_server_of_other_revisions_only_is_said_to_be_one(
    autojump_clock: MockClock,
) -> None:
    upstream = with_tools()
    upstream.answers["server/discover"] = unsupported("2199-01-01", "2200-01-01")
    said = "speaks protocol revision 2199-01-01, 2200-01-01, which is not spoken here"
    assert await reason(upstream, AUTO) == said
    assert upstream.methods == ["server/discover"]


@pytest.mark.parametrize("spec", [AUTO, LEGACY], ids=["auto", "legacy"])
async def test_a_server_that_wants_neither_is_quoted(
    autojump_clock: MockClock, spec: InstanceSpec
) -> None:
    upstream = FakeUpstream({"initialize": refusal("no licence")})
    assert await reason(upstream, spec) == "initialize was refused: no licence"


async def test_a_server_that_takes_no_question_twice_is_quoted(autojump_clock: MockClock) -> None:
    upstream = stateless()
    upstream.answers["server/discover"] = None
    assert await reason(upstream, AUTO) == "initialize was refused: Unsupported"


# --- What is not probed ----------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["auto", "2026-07-28"])
async def test_http_and_sse_is_always_begun_with_a_handshake(
    autojump_clock: MockClock, nursery: trio.Nursery, protocol: Any
) -> None:
    upstream = with_tools("a")
    spec = attrs.evolve(AUTO, type="sse", protocol=protocol)
    await start(nursery, upstream, spec=spec)
    assert upstream.methods == [*HANDSHAKE, "tools/list"]


async def test_a_legacy_instance_is_begun_with_a_handshake(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    await start(nursery, upstream, spec=LEGACY)
    assert upstream.methods == [*HANDSHAKE, "tools/list"]


# --- What is remembered ----------------------------------------------------------------------


def die(upstream: FakeUpstream) -> Callable[[Any], Raw | None]:
    return lambda _: upstream.lose("exited with status 1")


@pytest.mark.parametrize("answer", [refusal("no"), None], ids=["refused", "unanswered"])
async def test_a_handshake_after_a_vain_question_is_the_beginning_from_then_on(
    autojump_clock: MockClock, answer: Any
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = answer
    session = session_with(upstream)
    for _ in range(3):
        assert await incarnation(session) is None
    assert len(upstream.asked("server/discover")) == 1
    assert len(upstream.asked("initialize")) == 3


def die_once(upstream: FakeUpstream, then: Raw) -> Callable[[Any], Raw | None]:
    answers = iter([lambda: upstream.lose("exited with status 1")])
    return lambda _: next(answers, lambda: then)()


async def test_a_process_that_dies_of_the_question_is_started_again_without_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    upstream = with_tools("a")
    upstream.answers["server/discover"] = die(upstream)
    session = session_with(upstream)
    for _ in range(2):
        assert await incarnation(session) is None
    assert upstream.methods == ["server/discover", *(2 * [*HANDSHAKE, "tools/list"])]
    said = "fake: exited with status 1 (when asked whether it speaks 2026-07-28)"
    assert [one for one in caplog.messages if one.startswith(said)] == [
        f"{said}; started again, for a handshake"
    ]


async def test_a_process_that_dies_of_it_only_when_it_is_no_longer_waited_for_is_the_same(
    autojump_clock: MockClock,
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = None
    upstream.answers["initialize"] = die_once(upstream, hello("tools"))
    session = session_with(upstream)
    assert await incarnation(session) is None
    assert len(upstream.asked("server/discover")) == 1


async def test_a_process_that_hangs_of_it_until_it_is_given_up_is_the_same(
    autojump_clock: MockClock,
) -> None:
    upstream = with_tools("a")
    upstream.answers |= {"server/discover": None, "initialize": None}
    session = session_with(upstream)
    with trio.move_on_after(60):
        await incarnation(session)
    upstream.answers["initialize"] = hello("tools")
    assert await incarnation(session) is None
    assert len(upstream.asked("server/discover")) == 1


async def test_a_process_that_dies_of_anything_is_asked_again_in_the_end(
    autojump_clock: MockClock,
) -> None:
    upstream = stateless("a")
    answers = upstream.answers
    upstream.answers = {"server/discover": die(upstream), "initialize": die(upstream)}
    session = session_with(upstream)
    assert str(await incarnation(session)) == "exited with status 1"
    upstream.answers = answers
    assert await incarnation(session) is None
    assert upstream.agreed is not None
    assert upstream.agreed[0] == "2026-07-28"


async def test_a_server_that_no_longer_shakes_hands_is_asked_again(
    autojump_clock: MockClock,
) -> None:
    upstream = with_tools("a")
    session = session_with(upstream)
    assert await incarnation(session) is None
    upstream.answers = stateless("a").answers
    assert str(await incarnation(session)) == "initialize was refused: Unsupported"
    assert await incarnation(session) is None
    assert upstream.agreed is not None
    assert upstream.agreed[0] == "2026-07-28"


async def test_a_process_that_dies_later_is_still_known_to_shake_hands(
    autojump_clock: MockClock,
) -> None:
    upstream = with_tools("a")
    session = session_with(upstream)
    assert await incarnation(session) is None
    upstream.answers["initialize"] = die(upstream)
    assert str(await incarnation(session)) == "exited with status 1"
    upstream.answers["initialize"] = hello("tools")
    assert await incarnation(session) is None
    assert len(upstream.asked("server/discover")) == 1


async def test_an_outage_of_a_remote_server_says_nothing_of_what_it_speaks(
    autojump_clock: MockClock,
) -> None:
    upstream = stateless("a")
    upstream.answers["server/discover"] = die(upstream)
    session = session_with(upstream, REMOTE)
    assert str(await incarnation(session)) == "exited with status 1"
    upstream.answers["server/discover"] = discovery("tools")
    assert await incarnation(session) is None
    assert upstream.asked("initialize") == []
