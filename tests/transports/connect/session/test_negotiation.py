"""The negotiation of the revision with servers of either era, in memory and on a mock clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from router.messages.frames import ErrorResponse, Notification, Request, Response
from router.messages.instances.instance_spec import ClientIdentity
from tests.transports.connect.session.fake_upstream import (
    AUTO,
    HANDSHAKE,
    FakeUpstream,
    discovery,
    hello,
    load,
    raw,
    refusal,
    run_once,
    session_with,
    start,
    stateless,
    tool_names,
    unsupported,
    with_tools,
)
from transports.connect.session.negotiation import PROBE_S, REMOTE_PROBE_S

if TYPE_CHECKING:
    from trio.testing import MockClock

    from router.messages.instances.instance_spec import InstanceSpec

NEWEST = attrs.evolve(AUTO, protocol="2026-07-28")
LEGACY = attrs.evolve(AUTO, protocol="legacy")

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {
        "name": "mcp-router",
        "title": "MCP Router",
        "version": "2.0",
    },
}


async def reason(upstream: FakeUpstream, spec: InstanceSpec) -> str:
    return str(await run_once(session_with(upstream, spec)))


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
    assert upstream.probing == ([True, False] if spec is AUTO else [])


async def test_each_request_of_the_session_names_its_client(
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


async def test_a_server_need_not_send_its_name(
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
async def test_any_other_answer_to_discover_leads_to_a_handshake(
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


@pytest.mark.parametrize("spec", [AUTO, NEWEST], ids=["auto", "newest"])
async def test_a_server_that_refuses_the_revision_and_names_it_is_asked_once_more(
    nursery: trio.Nursery, spec: InstanceSpec
) -> None:
    answers = [unsupported("2026-07-28"), discovery("tools")]
    upstream = with_tools("a")
    upstream.answers["server/discover"] = lambda _: answers.pop(0)
    running = await start(nursery, upstream, spec=spec)
    assert upstream.methods[:2] == ["server/discover"] * 2
    assert running.up is not None
    assert running.up.revision == "2026-07-28"


async def test_a_server_that_refuses_it_again_is_tried_with_a_handshake(
    nursery: trio.Nursery,
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = unsupported("2026-07-28")
    running = await start(nursery, upstream, spec=AUTO)
    assert upstream.methods == ["server/discover", "server/discover", *HANDSHAKE, "tools/list"]
    assert running.up is not None
    assert running.up.revision == "2025-11-25"


async def test_a_server_that_refuses_the_revision_and_then_is_silent_is_tried_with_a_handshake(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    answers = iter([unsupported("2026-07-28"), None])
    upstream.answers["server/discover"] = lambda _: next(answers)
    running = await start(nursery, upstream, spec=AUTO)
    assert running.up is not None
    assert running.up.revision == "2025-11-25"


async def test_a_server_that_does_not_answer_is_tried_with_a_handshake_in_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = None
    began_at_s = trio.current_time()
    running = await start(nursery, upstream, spec=AUTO)
    assert trio.current_time() - began_at_s == pytest.approx(PROBE_S)
    cancelled = "notifications/cancelled"
    assert upstream.methods == ["server/discover", *HANDSHAKE, cancelled, "tools/list"]
    assert upstream.probing == [True]
    told = upstream.frames[3]
    assert isinstance(told, Notification)
    assert load(told.params)["requestId"] == 1
    assert running.up is not None
    assert running.up.revision == "2025-11-25"


async def test_a_late_answer_to_discover_is_dropped(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = None
    tools = raw({"tools": []})
    upstream.answers["tools/list"] = lambda _: (
        upstream.say(Response(1, discovery("tools"))),
        tools,
    )[1]
    running = await start(nursery, upstream, spec=AUTO)
    assert running.up is not None
    assert running.up.revision == "2025-11-25"
    assert running.events() == []


async def test_a_slow_server_that_refuses_initialize_is_sent_discover_again(
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
        "initialize",
        "notifications/cancelled",
        "server/discover",
    ]


def slow_server_of_both_eras(*, answers_in_order: bool = True) -> FakeUpstream:
    """Return a server that answers its first requests only when the second of them is there."""
    upstream = stateless("a")
    upstream.answers["server/discover"] = None

    def answer_both(_: Any) -> Any:
        late = Response(1, discovery("tools")), Response(3, hello("tools"))
        upstream.say(*(late if answers_in_order else reversed(late)))

    upstream.answers["initialize"] = answer_both
    return upstream


@pytest.mark.parametrize("answers_in_order", [True, False])
async def test_a_slow_server_of_both_eras_is_met_in_the_new_one(
    autojump_clock: MockClock, nursery: trio.Nursery, answers_in_order: bool
) -> None:
    upstream = slow_server_of_both_eras(answers_in_order=answers_in_order)
    running = await start(nursery, upstream, spec=AUTO)
    assert running.up is not None
    assert running.up.revision == "2026-07-28"
    # The specification of the older revisions forbids to cancel `initialize`.
    assert upstream.methods[:3] == ["server/discover", "initialize", "tools/list"]
    assert running.events() == []


async def test_a_slow_server_that_refuses_the_question_is_met_with_the_handshake_under_way(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = None

    def answer_both(_: Any) -> Any:
        upstream.say(ErrorResponse(1, raw({"code": -32601, "message": "no"})))
        upstream.say(Response(3, hello("tools")))

    upstream.answers["initialize"] = answer_both
    running = await start(nursery, upstream, spec=AUTO)
    assert running.up is not None
    assert running.up.revision == "2025-11-25"
    assert upstream.methods == ["server/discover", *HANDSHAKE, "tools/list"]


async def test_a_remote_server_is_given_longer_and_then_asked_one_thing_at_a_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    upstream.answers["server/discover"] = None
    began_at_s = trio.current_time()
    await start(nursery, upstream, spec=attrs.evolve(AUTO, type="http"))
    assert trio.current_time() - began_at_s == pytest.approx(REMOTE_PROBE_S)
    cancelled = "notifications/cancelled"
    assert upstream.methods == ["server/discover", cancelled, *HANDSHAKE, "tools/list"]


async def test_a_ping_before_the_era_is_known_is_answered(
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
async def test_a_refusal_of_the_only_revision_names_the_way_out(
    autojump_clock: MockClock, answer: Any, said: str
) -> None:
    upstream = with_tools()
    upstream.answers["server/discover"] = answer
    way_out = 'set "protocol" to "auto" for this instance, to speak an older revision with it'
    assert await reason(upstream, NEWEST) == said.replace("WAY_OUT", way_out)
    assert upstream.methods == ["server/discover"]


async def test_a_slow_server_is_waited_for_if_no_other_revision_is_allowed(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = stateless("a")
    upstream.answers["server/discover"] = None
    nursery.start_soon(start_newest, nursery, upstream)
    await trio.sleep(5 * PROBE_S)
    assert upstream.methods == ["server/discover"]


async def start_newest(nursery: trio.Nursery, upstream: FakeUpstream) -> None:
    await start(nursery, upstream, spec=NEWEST)


async def test_a_server_of_unknown_revisions_gets_no_handshake(
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


async def test_a_server_that_refuses_initialize_and_is_silent_again_is_quoted(
    autojump_clock: MockClock,
) -> None:
    upstream = stateless()
    upstream.answers["server/discover"] = None
    assert await reason(upstream, AUTO) == "initialize was refused: Unsupported"


async def test_what_a_server_said_on_stderr_is_a_part_of_the_reason(
    autojump_clock: MockClock,
) -> None:
    upstream = FakeUpstream({"initialize": refusal("Internal error")}, last_words="no licence")
    assert (
        await reason(upstream, AUTO) == "initialize was refused: Internal error; last: no licence"
    )


# --- Initialize alone ----------------------------------------------------------------------


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


# --- Of whom a server is told ----------------------------------------------------------------


async def test_a_session_that_clients_share_is_the_routers_own(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    await start(nursery, upstream, spec=LEGACY)
    (told,) = upstream.asked("initialize")
    assert told["capabilities"] == {"roots": {}, "sampling": {}, "elicitation": {}}
    assert told["clientInfo"]["name"] == "mcp-router"


async def test_a_session_of_one_client_is_begun_in_the_name_of_that_client(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    info = {"name": "editor", "version": "3", "x": [1]}
    client = ClientIdentity(raw(info), {"roots": raw({"listChanged": True})})
    await start(nursery, upstream, spec=attrs.evolve(LEGACY, client=client))
    (told,) = upstream.asked("initialize")
    assert (told["clientInfo"], told["capabilities"]) == (info, {"roots": {"listChanged": True}})


async def test_a_session_of_a_client_without_a_name_is_begun_in_the_routers_name(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    upstream = with_tools("a")
    await start(nursery, upstream, spec=attrs.evolve(LEGACY, client=ClientIdentity()))
    (told,) = upstream.asked("initialize")
    assert (told["clientInfo"]["name"], told["capabilities"]) == ("mcp-router", {})
