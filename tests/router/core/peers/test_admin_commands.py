"""Questions to the router itself."""

from typing import Any, Literal

import msgspec
import pytest

from router.messages.commands import (
    PERMISSIONS,
    CallTool,
    CountTools,
    GetPrompt,
    ListInstances,
    ListPrompts,
    ListResources,
    ListTools,
    MakeChange,
    Principal,
    ReadResource,
    RemoveInstance,
    RestartInstance,
    RouterCommand,
    ShowCosts,
    ShowDetails,
    ShowInstance,
    ShowProfileTools,
    ShowPrompts,
    ShowReadiness,
    ShowResources,
    ShowStatus,
    ShowTools,
    ShowViewCost,
    ShowViews,
)
from router.messages.errors import (
    INSTANCE_NOT_FOUND,
    INTERNAL_ERROR,
    NOT_ALLOWED,
    OVERLOADED,
    SESSION_LOST,
    TIMEOUT,
    TOOL_NOT_FOUND,
    UNAVAILABLE,
)
from router.messages.frames import NO_RAW, ErrorResponse
from router.messages.instances.exposure import Exposure, NameFilter, Profile
from tests.router.core.conversation import (
    Conversation,
    SentCommand,
    raw,
    ready,
    spec,
    value_of,
)

LIMITED = Principal("limited", instances=frozenset({"b"}))
CALL = CallTool("a", "echo", raw({"x": 1}))


def calls(talk: Conversation, **changes: Any) -> SentCommand:
    return talk.admin_asks(msgspec.structs.replace(CALL, **changes))


def named(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in rows]


# --- Who may ask -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "needed"),
    [
        (ListInstances(), "read"),
        (ShowInstance("a"), "read"),
        (ShowStatus(), "read"),
        (ShowReadiness(), "read"),
        (ListTools(), "read"),
        (ShowTools("a"), "read"),
        (ShowProfileTools("p"), "admin"),
        (CountTools(), "read"),
        (ShowCosts(), "read"),
        (ShowViewCost(None), "read"),
        (ShowViews(), "read"),
        (ShowDetails("a"), "read"),
        (ListResources(), "read"),
        (ShowResources("a"), "read"),
        (ListPrompts(), "read"),
        (ShowPrompts("a"), "read"),
        (CALL, "call"),
        (ReadResource("a", "file:///x"), "call"),
        (GetPrompt("a", "ask", NO_RAW), "call"),
        (MakeChange(RemoveInstance("a")), "admin"),
        (RestartInstance("a"), "admin"),
    ],
)
def test_every_command_needs_its_permission(what: RouterCommand, needed: Any) -> None:
    talk, _, _ = ready(profiles={"p": Profile()})
    upstream = talk.with_instance("a", "echo", prompts=("ask",))
    others = PERMISSIONS - {needed}
    refused = talk.admin_asks(what, Principal("t", others)).error
    assert refused.code == NOT_ALLOWED
    assert f"'{needed}'" in refused.message
    assert upstream.sees() == []
    allowed = talk.admin_asks(what, Principal("t", frozenset({needed})))
    assert allowed.is_waiting or allowed.answer is not None


@pytest.mark.parametrize("name", ["a", "acme"])
@pytest.mark.parametrize(
    "kind",
    [
        *(ShowInstance, ShowTools, ShowDetails, ShowResources, ShowPrompts, RestartInstance),
        *(CallTool, GetPrompt, ReadResource),
    ],
)
def test_what_is_not_among_its_instances_does_not_exist_for_a_principal(
    kind: Any, name: str
) -> None:
    talk = Conversation()
    talk.configured(spec("a"), spec("b", provider="other"))
    more = {CallTool: ("echo", NO_RAW), GetPrompt: ("ask", NO_RAW), ReadResource: ("x:y",)}
    what = kind(name, *more.get(kind, ()))
    error = talk.admin_asks(what, LIMITED).error
    assert error.code == INSTANCE_NOT_FOUND
    assert error.message == f"Instance not found: {name}. Available instances: 'b'"


def test_lists_hold_only_what_a_principal_may_see() -> None:
    talk = Conversation()
    talk.with_upstreams("a", "b")
    assert named(talk.admin_asks(ListInstances(), LIMITED).answer) == ["b"]
    assert named(talk.admin_asks(ShowStatus(), LIMITED).answer) == ["b"]
    assert list(talk.admin_asks(ListTools(), LIMITED).answer) == ["b"]
    assert named(talk.admin_asks(ListInstances()).answer) == ["a", "b"]


BOUND = Principal("bound", profile="work")


@pytest.mark.parametrize("expose", ["direct", "router", "transparent"])
def test_a_token_that_is_bound_to_a_profile_reaches_nothing_else(expose: Any) -> None:
    denied = "b__erase" if expose != "transparent" else "erase"
    work = Profile(expose, ("b",), NameFilter(deny=(denied,)))
    talk = Conversation(profiles={"work": work})
    _, b = talk.with_upstreams("a", "b", tools=("echo", "erase"))
    assert named(talk.admin_asks(ListInstances(), BOUND).answer) == ["b"]
    assert named(talk.admin_asks(ShowStatus(), BOUND).answer) == ["b"]
    shown = talk.admin_asks(ListTools(), BOUND).answer
    assert {name: named(tools) for name, tools in shown.items()} == {"b": ["echo"]}
    assert named(talk.admin_asks(ShowTools("b"), BOUND).answer) == ["echo"]
    for what in (ShowInstance("a"), ShowTools("a"), CALL):
        assert talk.admin_asks(what, BOUND).error.code == INSTANCE_NOT_FOUND
    assert talk.admin_asks(CallTool("b", "erase", raw({})), BOUND).error.code == TOOL_NOT_FOUND
    called = talk.admin_asks(CallTool("b", "echo", raw({})), BOUND)
    b.answers(b.sees_one(), {"content": []})
    assert value_of(called.answer) == {"content": []}


def test_a_token_that_is_bound_to_a_profile_changes_nothing_else() -> None:
    talk = Conversation(profiles={"work": Profile("direct", ("b",))})
    talk.with_upstreams("a", "b")
    refused = talk.admin_asks(MakeChange(RemoveInstance("a")), BOUND)
    assert (refused.error.code, talk.saves) == (INSTANCE_NOT_FOUND, [])
    talk.admin_asks(MakeChange(RemoveInstance("b")), BOUND)
    assert [save.change for save in talk.saves] == [RemoveInstance("b")]


def test_a_provider_of_which_one_instance_is_seen_names_that_one() -> None:
    talk = Conversation()
    talk.with_upstreams("a", "b")
    assert talk.admin_asks(ShowInstance("acme"), LIMITED).answer["name"] == "b"


IN_PROFILE = Principal("limited", profile="some")
SOME = {
    "direct": Profile(instances=("b",), tools=NameFilter(deny=("*__drop",))),
    "router": Profile("router", instances=("b",), tools=NameFilter(deny=("*__drop",))),
    "transparent": Profile("transparent", ("b",), tools=NameFilter(deny=("drop",))),
}


@pytest.mark.parametrize("kind", SOME)
def test_a_principal_with_a_profile_sees_and_calls_what_that_shows(kind: str) -> None:
    talk = Conversation(profiles={"some": SOME[kind]})
    _, upstream = talk.with_upstreams("a", "b", tools=("echo", "drop"))
    for what in (ListInstances(), ShowStatus()):
        assert named(talk.admin_asks(what, IN_PROFILE).answer) == ["b"]
    assert list(talk.admin_asks(ListTools(), IN_PROFILE).answer) == ["b"]
    assert named(talk.admin_asks(ShowTools("b"), IN_PROFILE).answer) == ["echo"]
    for other in (ShowInstance("a"), ShowTools("a"), CALL):
        assert talk.admin_asks(other, IN_PROFILE).error.code == INSTANCE_NOT_FOUND
    dropped = talk.admin_asks(CallTool("b", "drop", NO_RAW), IN_PROFILE).error
    assert dropped.code == TOOL_NOT_FOUND
    assert dropped.message == "Tool 'drop' not found in instance 'b'. Did you mean 'echo'?"
    called = talk.admin_asks(CallTool("b", "echo", NO_RAW), IN_PROFILE)
    upstream.answers(upstream.sees_one(), {"content": []})
    assert value_of(called.answer) == {"content": []}


# --- Answers from the state ------------------------------------------------------------------


def test_an_instance_is_shown_as_its_tool_shows_it() -> None:
    talk, alice, _ = ready("b")
    rows = talk.admin_asks(ListInstances()).answer
    listed = alice.calls("mcp.router.list").text
    assert rows == [row | {"warnings": []} for row in listed]
    assert talk.admin_asks(ShowInstance("a")).answer == rows[0]


def test_the_status_tells_of_calls_and_of_what_comes_next() -> None:
    talk, alice, upstream = ready("b")
    alice.routes("echo")
    upstream.answers(upstream.sees_one(), {})
    alice.routes("echo")
    talk.down("b", "it ended", retry_in_s=2.0, restarts=3)
    talk.time_passes(1.5)
    a, b = talk.admin_asks(ShowStatus()).answer
    assert (a["calls"], a["in_flight"], a["since_s"], a["retry_in_s"]) == (2, 1, 1.5, None)
    assert (b["calls"], b["in_flight"], b["since_s"], b["retry_in_s"]) == (0, 0, 1.5, 0.5)
    assert (b["state"], b["restarts"], b["last_error"]) == ("backoff", 3, "it ended")


def test_readiness_names_the_enabled_instances_that_are_not_ready() -> None:
    talk, alice, _ = ready("b")
    talk.configured(
        spec("a"), spec("b"), spec("off", is_active=False), spec("own", sessions="per_client")
    )
    alice.routes("echo")
    talk.down("b", "it ended", retry_in_s=2.0, restarts=3)
    found = talk.admin_asks(ShowReadiness()).answer
    assert found == {"ready": 2, "total": 3, "not_ready": {"b": "backoff"}, "in_flight": 1}
    limited = talk.admin_asks(ShowReadiness(), LIMITED).answer
    assert (limited["ready"], limited["total"]) == (0, 1)


def test_tools_are_shown_by_instance() -> None:
    talk, _, _ = ready()
    talk.configured(spec("a"), spec("off", is_active=False))
    shown = value_of(raw(talk.admin_asks(ListTools()).answer))
    schema = {"type": "object", "properties": {}}
    echo = {"name": "echo", "description": "Does echo", "inputSchema": schema}
    assert shown == {"a": [echo]}
    assert value_of(raw(talk.admin_asks(ShowTools("a")).answer)) == [echo]
    assert talk.admin_asks(ShowTools("off")).answer == []


def test_a_mistake_in_an_entry_that_works_is_a_warning_in_its_row() -> None:
    talk = Conversation()
    talk.configured(spec("a", warnings=("data/a: idle_stop: unknown key",)))
    for answer in (talk.admin_asks(ListInstances()).answer, talk.admin_asks(ShowStatus()).answer):
        assert answer[0]["warnings"] == ["data/a: idle_stop: unknown key"]


def test_a_name_in_a_filter_that_the_server_lacks_is_a_warning_once_that_is_known() -> None:
    talk = Conversation()
    filtered = Exposure(tools=NameFilter(("ehco", "other*")), describe={"echo": "x"})
    talk.configured(spec("a", exposure=filtered))
    assert talk.admin_asks(ShowInstance("a")).answer["warnings"] == []
    talk.starting("a")
    talk.up("a", "echo")
    warnings = ["tools.allow: the server offers no tool 'ehco'; did you mean 'echo'?"]
    assert talk.admin_asks(ShowInstance("a")).answer["warnings"] == warnings
    (listed,) = talk.admin_asks(ListInstances()).answer
    (status,) = talk.admin_asks(ShowStatus()).answer
    assert listed["warnings"] == status["warnings"] == warnings


# --- Calls -----------------------------------------------------------------------------------


def test_a_call_is_answered_with_the_upstreams_own_bytes() -> None:
    talk, _, upstream = ready()
    called = talk.admin_asks(CALL)
    seen = upstream.sees_one()
    assert seen["method"] == "tools/call"
    assert seen["params"] == {"name": "echo", "arguments": {"x": 1}}
    assert called.is_waiting
    upstream.answers(seen, b'{"isError": true,  "x": 1.0}')
    assert bytes(called.answer) == b'{"isError": true,  "x": 1.0}'
    assert talk.state.asking == {}
    assert talk.state.clients.keys() == {"client-2"}


def test_a_call_without_arguments_has_empty_ones() -> None:
    talk, _, upstream = ready()
    calls(talk, arguments=NO_RAW)
    assert upstream.sees_one()["params"]["arguments"] == {}


def test_a_tool_may_be_called_as_one_of_ours_is() -> None:
    talk = Conversation()
    upstream = talk.with_upstreams("a", tools=("mcp.router.list",))[0]
    called = calls(talk, tool="mcp.router.list")
    upstream.answers(upstream.sees_one(), {"theirs": True})
    assert value_of(called.answer) == {"theirs": True}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tool": "x"}, TOOL_NOT_FOUND),
        ({"instance": "x"}, INSTANCE_NOT_FOUND),
        ({"arguments": raw([])}, -32602),
    ],
)
def test_a_call_of_nothing_is_an_error(changes: dict[str, Any], code: int) -> None:
    talk, _, upstream = ready()
    assert calls(talk, **changes).error.code == code
    assert upstream.sees() == []
    assert talk.state.asking == {}


def test_an_error_of_the_upstream_comes_as_it_is() -> None:
    talk, _, upstream = ready()
    called = talk.admin_asks(CALL)
    upstream.fails(upstream.sees_one(), {"code": -1, "message": "no", "data": {"k": [1]}})
    error = called.error
    assert (error.code, error.message, error.data) == (-1, "no", {"k": [1]})
    assert error.string_code == "TRANSPORT_ERROR"


def test_an_error_of_the_upstream_that_makes_no_sense_is_one_too() -> None:
    talk, _, upstream = ready()
    called = talk.admin_asks(CALL)
    upstream.sends(ErrorResponse(upstream.sees_one()["id"], raw({"code": "x"})))
    assert called.error.code == INTERNAL_ERROR


def test_a_call_times_out_and_is_cancelled_upstream() -> None:
    talk, _, upstream = ready()
    called = talk.admin_asks(CALL)
    talk.time_passes(30.3)
    assert (called.error.code, called.error.message) == (TIMEOUT, "Timeout exceeded: 30s")
    assert upstream.sees()[-1]["method"] == "notifications/cancelled"


def test_a_call_is_lost_with_its_session() -> None:
    talk, _, upstream = ready()
    called = talk.admin_asks(CALL)
    upstream.breaks()
    assert called.error.code == SESSION_LOST


def test_a_call_that_does_not_fit_is_shed() -> None:
    talk, _, upstream = ready()
    called = talk.admin_asks(CALL)
    upstream.overflows(upstream.inbox.waiting[0])
    assert called.error.code == OVERLOADED


def test_a_call_waits_while_its_instance_starts() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    called = talk.admin_asks(CALL)
    talk.starting("a")
    assert called.is_waiting
    upstream = talk.up("a", "echo")
    upstream.answers(upstream.sees_one(), {"ok": 1})
    assert value_of(called.answer) == {"ok": 1}


def test_a_call_whose_instance_does_not_start_says_why() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    called = talk.admin_asks(CALL)
    talk.starting("a")
    talk.down("a", "no such file", retry_in_s=None)
    assert called.error.code == UNAVAILABLE
    assert called.error.data == {
        "state": "failed",
        "last_error": "no such file",
        "retry_in_s": None,
    }


def test_what_an_upstream_says_besides_is_for_nobody() -> None:
    talk, _, upstream = ready()
    called = talk.admin_asks(CALL)
    seen = upstream.sees_one()
    upstream.says("notifications/message", {"level": "error"}, related=seen["id"])
    upstream.asks("roots/list", id="q", related=seen["id"])
    assert upstream.sees_one()["error"]["code"] == -32601
    assert called.is_waiting
    upstream.answers(seen, {})
    assert value_of(called.answer) == {}


def test_an_abandoned_call_is_cancelled_upstream_and_answered_no_more() -> None:
    talk, _, upstream = ready()
    kept, called = talk.admin_asks(CALL), talk.admin_asks(CALL)
    first, second = upstream.sees()
    called.abandons()
    assert upstream.sees_one()["params"]["requestId"] == second["id"]
    upstream.answers(second, {})
    upstream.answers(first, {})
    assert called.mailbox.waiting == []
    assert not kept.is_waiting
    called.abandons()


def test_drain_takes_no_new_calls_and_waits_for_those_in_flight() -> None:
    talk, _, upstream = ready()
    called = talk.admin_asks(CALL)
    drained = talk.drains()
    assert talk.admin_asks(CALL).error.code == UNAVAILABLE
    assert drained.waiting == []
    upstream.answers(upstream.sees_one(), {})
    assert not called.is_waiting
    assert drained.waiting == [None]


def test_other_clients_are_answered_as_ever_while_somebody_asks() -> None:
    talk, alice, upstream = ready()
    called = talk.admin_asks(CALL)
    routed = alice.routes("echo")
    _, seen = upstream.sees()
    upstream.answers(seen, {"for": "alice"})
    assert routed.result == {"for": "alice"}
    assert called.is_waiting


# --- Tokens that are bound to a profile ------------------------------------------------------


@pytest.mark.parametrize("expose", ["direct", "router", "transparent"])
def test_a_token_of_a_profile_reaches_what_the_profile_shows_and_nothing_else(
    expose: Literal["direct", "router", "transparent"],
) -> None:
    denied = "sing" if expose == "transparent" else "a__sing"
    profile = Profile(expose, ("a",), NameFilter(deny=(denied,)))
    talk = Conversation(profiles={"work": profile})
    upstream = talk.with_instance("a", "echo", "sing")
    talk.with_instance("b", "echo")
    bound = Principal("bound", PERMISSIONS, profile="work")
    assert [row["name"] for row in talk.admin_asks(ListInstances(), bound).answer] == ["a"]
    for what in (ShowInstance("b"), ShowTools("b"), CallTool("b", "echo", NO_RAW)):
        assert talk.admin_asks(what, bound).error.code == INSTANCE_NOT_FOUND
    assert talk.admin_asks(CallTool("a", "sing", NO_RAW), bound).error.code == TOOL_NOT_FOUND
    call = talk.admin_asks(CallTool("a", "echo", NO_RAW), bound)
    upstream.answers(upstream.sees_one(), {"content": []})
    assert value_of(call.answer) == {"content": []}
    talk.settings_change(profiles={})
    assert talk.admin_asks(ListInstances(), bound).answer == []
