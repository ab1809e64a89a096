"""The records of calls: one for each request, with who, what, and how it ended."""

import hashlib
from typing import Any

import pytest

from router.messages.commands import CallTool, Principal
from router.messages.errors import (
    INSTANCE_NOT_FOUND,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    NOT_ALLOWED,
    OVERLOADED,
    SESSION_LOST,
    TIMEOUT,
    UNAVAILABLE,
)
from router.messages.events import AdminCommand, ClientOpened
from router.messages.instances.exposure import Profile
from router.messages.observability.records import CallRecord, TraceContext
from tests.router.core.conversation import (
    T_S,
    Conversation,
    FakeClient,
    FakeUpstream,
    Mailbox,
    plain,
    raw,
    ready,
)
from tests.router.core.limits import limited

AUDIT: Any = {"records": frozenset({"audit"})}
DIGESTS: Any = {"records": frozenset({"audit", "digests"})}
READER = Principal("reader", frozenset({"read"}))
OK = {"content": [], "isError": False}


def recorded(**settings: Any) -> tuple[Conversation, FakeClient, FakeUpstream]:
    talk, client, upstream = ready(**AUDIT | settings)
    talk.records.clear()
    return talk, client, upstream


def the_record(talk: Conversation) -> CallRecord:
    (record,) = talk.call_records()
    return record


def test_a_call_is_recorded_when_it_is_answered() -> None:
    talk, alice, upstream = recorded()
    call = alice.routes("echo")
    talk.time_passes(2.5)
    assert talk.records == []
    upstream.answers(upstream.sees_one(), OK)
    record = the_record(talk)
    assert record == CallRecord(
        principal="all",
        address="",
        client=alice.id,
        request_id=call.id,
        method="tools/call",
        instance="a",
        target="echo",
        outcome="ok",
        code=0,
        began_s=talk.now_s - 2.5,
        duration_s=2.5,
        request_bytes=record.request_bytes,
        response_bytes=len(call.result_bytes),
        revision="2025-11-25",
        sent_after_s=0.0,
    )
    assert record.request_bytes > len('{"name":"mcp.router.call"}')


def test_without_a_reader_of_records_none_is_made() -> None:
    talk, alice, upstream = ready()
    alice.routes("echo")
    upstream.answers(upstream.sees_one(), OK)
    alice.leaves()
    assert talk.records == []


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"content": [], "isError": True}, "tool_error"),
        (b'{"isError" : true}', "tool_error"),
        ({"content": [{"type": "text", "text": '"isError": true'}]}, "ok"),
        ({"content": [], "structuredContent": {"isError": True}}, "ok"),
        (b'{"isError":tru', "ok"),
    ],
)
def test_the_result_of_a_tool_that_failed_is_a_tool_error(result: Any, outcome: str) -> None:
    talk, alice, upstream = recorded()
    alice.routes("echo")
    upstream.answers(upstream.sees_one(), result)
    record = the_record(talk)
    assert (record.outcome, record.code) == (outcome, 0)


@pytest.mark.parametrize(("error", "code"), [({"code": -7, "message": ""}, -7), ([], -32603)])
def test_the_error_of_a_server_is_recorded_with_its_code(error: Any, code: int) -> None:
    talk, alice, upstream = recorded()
    alice.routes("echo")
    upstream.fails(upstream.sees_one(), error)
    record = the_record(talk)
    assert (record.outcome, record.code, record.target) == ("error", code, "echo")


def test_the_routers_own_error_has_its_code_also_in_the_words_of_a_tool_result() -> None:
    talk, alice, upstream = recorded()
    alice.routes("echo")
    talk.time_passes(T_S)
    record = the_record(talk)
    assert (record.outcome, record.code, record.duration_s) == ("error", TIMEOUT, T_S)
    upstream.sees()
    alice.routes("echo")
    upstream.breaks()
    assert the_record(talk).code == SESSION_LOST
    talk.failed("a")
    alice.routes("echo")
    record = the_record(talk)
    assert (record.code, record.instance, record.target) == (UNAVAILABLE, "a", "echo")


def test_a_parked_call_that_expires_is_recorded_once() -> None:
    talk = Conversation(**AUDIT)
    talk.with_upstreams("a")[0].breaks()
    talk.down("a")
    talk.starting("a")
    alice = talk.client()
    alice.routes("echo")
    assert talk.call_records() == []
    talk.time_passes(T_S + 1)
    record = the_record(talk)
    assert (record.outcome, record.code, record.instance) == ("error", UNAVAILABLE, "a")
    assert record.duration_s == T_S


def test_a_call_that_waited_for_its_turn_began_when_it_came() -> None:
    talk, alice, upstream = limited.ready_with(limited.limited(), **AUDIT)
    talk.records.clear()
    limited.asks(alice, 1)
    talk.time_passes(1)
    limited.asks(alice, 2)
    limited.asks(alice, 3)  # Two waiting calls are one too many.
    assert the_record(talk).code == OVERLOADED
    talk.time_passes(2)
    limited.answers_oldest(upstream)
    talk.time_passes(3)
    limited.answers_oldest(upstream)
    assert [record.duration_s for record in talk.call_records()] == [3, 5]


def test_what_a_client_cancels_and_what_it_leaves_behind_differ() -> None:
    talk, alice, upstream = recorded()
    alice.cancels(alice.routes("echo"))
    record = the_record(talk)
    assert (record.outcome, record.code, record.target) == ("cancelled", 0, "echo")
    alice.routes("echo")
    upstream.breaks()
    talk.down("a", retry_in_s=1.0)
    talk.call_records()
    parked = alice.routes("echo")
    assert parked.is_waiting
    alice.leaves()
    assert [(one.outcome, one.request_id) for one in talk.call_records()] == [("gone", parked.id)]


def test_refused_requests_are_recorded_with_what_they_asked_for() -> None:
    talk, _, _ = recorded()
    alice = talk.client(principal=READER)
    alice.routes("echo")
    alice.calls("nothing")
    alice.asks("tools/call", {"name": 5})
    alice.asks("tools/call", [])
    alice.asks("prompts/get", {"name": "p"})
    alice.asks("resources/read", {"uri": "file:///x"})
    alice.asks("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}})
    alice.asks("completion/complete", {"ref": 1})
    seen = [(one.principal, one.code, one.target) for one in talk.call_records()]
    assert seen == [
        ("reader", NOT_ALLOWED, "echo"),
        ("reader", NOT_ALLOWED, "nothing"),
        ("reader", INVALID_PARAMS, ""),
        ("reader", INVALID_PARAMS, ""),
        ("reader", NOT_ALLOWED, "p"),
        ("reader", NOT_ALLOWED, "file:///x"),
        ("reader", NOT_ALLOWED, "p"),
        ("reader", NOT_ALLOWED, ""),
    ]


def test_a_request_whose_id_is_in_use_is_recorded_beside_the_one_that_has_it() -> None:
    talk, alice, upstream = recorded()
    alice.routes("echo", id=7)
    alice.routes("echo", id=7)
    assert the_record(talk).code == INVALID_REQUEST
    upstream.answers(upstream.sees_one(), OK)
    assert the_record(talk).outcome == "ok"


def test_the_routers_own_tools_are_recorded_by_their_canonical_names() -> None:
    talk, alice, _ = recorded()
    alice.calls("mcp_router_list")
    alice.uses("a")
    alice.calls("mcp.router.help", {"instance_name": "gone"})
    seen = [(one.target, one.outcome, one.code) for one in talk.call_records()]
    assert seen == [
        ("mcp.router.list", "ok", 0),
        ("mcp.router.use", "ok", 0),
        ("mcp.router.help", "error", INSTANCE_NOT_FOUND),
    ]


def test_what_asks_nothing_of_an_instance_is_not_recorded() -> None:
    talk, alice, _ = recorded()
    alice.asks("ping")
    alice.lists()
    assert alice.asks("acme/anything").error["code"] == METHOD_NOT_FOUND
    assert talk.records == []


def test_targets_are_the_servers_own_names() -> None:
    talk = Conversation(view="direct", **AUDIT)
    upstream = talk.with_instance("a", "echo", prompts=["p"], resources=["file:///x"])
    alice = talk.client()
    alice.calls("a__echo")
    alice.asks("prompts/get", {"name": "a__p"})
    alice.reads("file:///x")
    alice.asks("resources/subscribe", {"uri": "file:///x"})
    for request in upstream.sees():
        upstream.answers(request, {})
    alice.asks("resources/unsubscribe", {"uri": "file:///x"})
    assert [(one.method, one.target, one.instance) for one in talk.call_records()] == [
        ("tools/call", "echo", "a"),
        ("prompts/get", "p", "a"),
        ("resources/read", "file:///x", "a"),
        ("resources/subscribe", "file:///x", "a"),
        ("resources/unsubscribe", "file:///x", ""),
    ]


def test_what_a_transparent_view_forwards_is_recorded() -> None:
    talk = Conversation(view="lone", profiles={"lone": Profile("transparent", ("a",))}, **AUDIT)
    upstream = talk.with_upstreams("a")[0]
    alice = talk.client()
    alice.initializes()
    alice.asks("acme/anything", {"name": "n"})
    alice.asks("tools/list")
    for request in upstream.sees():
        upstream.answers(request, {"tools": []})
    seen = [(one.method, one.target, one.instance) for one in talk.call_records()]
    assert seen == [("acme/anything", "n", "a"), ("tools/list", "", "a")]


def test_a_request_without_a_session_is_recorded_with_its_connection() -> None:
    talk, _, upstream = recorded()
    principal = Principal("p")
    address = "192.0.2.7"
    talk.happens(ClientOpened("conn", Mailbox(), principal, era="either", address=address))
    client = talk.stateless_connection()
    client.id = "conn"
    client.routes("echo")
    upstream.answers(upstream.sees_one(), OK)
    record = the_record(talk)
    assert (record.client, record.address, record.principal) == ("conn", address, "p")
    assert record.revision == "2026-07-28"


def test_a_request_that_needs_input_and_its_retry_are_two_requests() -> None:
    talk, _, upstream = recorded()
    client = talk.stateless_client(elicitation={"form": {}})
    form = {"mode": "form", "message": "?", "requestedSchema": {"type": "object"}}
    call = client.routes("echo")
    sent = upstream.sees_one()
    talk.time_passes(1)
    upstream.asks("elicitation/create", form, id="q", related=sent["id"])
    first = the_record(talk)
    assert (first.outcome, first.duration_s, first.target) == ("ok", 1, "echo")
    talk.time_passes(1)
    client.retries(call, {key: {"action": "decline"} for key in call.result["inputRequests"]})
    talk.time_passes(3)
    upstream.answers(sent, OK)
    second = the_record(talk)
    assert (second.outcome, second.duration_s, second.instance) == ("ok", 3, "a")
    assert second.target == "echo"


def test_an_outcome_that_waited_for_the_retry_is_recorded_with_it() -> None:
    talk, _, upstream = recorded()
    client = talk.stateless_client(roots={})
    call = client.routes("echo")
    sent = upstream.sees_one()
    upstream.asks("roots/list", id="q", related=sent["id"])
    talk.call_records()
    upstream.answers(sent, {"content": [], "isError": True})
    assert talk.records == []
    client.retries(call, {})
    record = the_record(talk)
    assert (record.outcome, record.instance, record.target) == ("tool_error", "a", "echo")


def test_the_failure_of_a_call_that_waited_for_its_retry_is_recorded_with_the_retry() -> None:
    talk, _, upstream = recorded()
    client = talk.stateless_client(roots={})
    call = client.routes("echo")
    upstream.asks("roots/list", id="q", related=upstream.sees_one()["id"])
    upstream.breaks()
    talk.call_records()
    client.retries(call, {})
    record = the_record(talk)
    assert (record.outcome, record.code, record.instance) == ("error", SESSION_LOST, "a")


def test_digests_are_of_the_arguments_of_the_tool_as_they_came() -> None:
    talk, alice, upstream = recorded(**DIGESTS)
    arguments = b'{ "x":1.0 }'
    routed = b'{"instance_name":"a","tool_name":"echo","arguments":' + arguments + b"}"
    alice.asks("tools/call", b'{"name":"mcp.router.call","arguments":' + routed + b"}")
    alice.asks("tools/call", b'{"name":"a__echo","arguments":' + arguments + b"}")
    alice.calls("a__echo")
    for request in upstream.sees():
        upstream.answers(request, OK)
    alice.calls("mcp.router.call", {"instance_name": 5})
    digest = hashlib.sha256(arguments).hexdigest()
    assert [one.arguments_sha256 for one in talk.call_records()] == [digest, digest, "", ""]


def test_long_texts_of_a_client_are_cut() -> None:
    talk, alice, _ = recorded()
    alice.calls("x" * 5000, id="y" * 5000)
    record = the_record(talk)
    assert record.target == "x" * 1024 + "…"
    assert record.request_id == "y" * 1024 + "…"


def test_the_trace_of_a_draft_stands_in_the_record() -> None:
    talk, alice, upstream = recorded()
    call = alice.routes("echo")
    trace = TraceContext("1" * 32, "2" * 16)
    draft = talk.state.clients[alice.id].calls[call.id].draft
    assert draft is not None
    draft.trace = trace
    upstream.answers(upstream.sees_one(), OK)
    assert the_record(talk).trace is trace


# --- Calls by REST ---------------------------------------------------------------------------


def asks_by_rest(talk: Conversation, instance: str, principal: Principal) -> None:
    what = CallTool(instance, "echo", raw({"x": 1}))
    talk.happens(AdminCommand(principal, what, Mailbox(), "192.0.2.7"))


def test_a_call_by_rest_is_recorded_whether_it_reached_an_instance_or_not() -> None:
    talk, _, upstream = recorded()
    operator = Principal("operator")
    asks_by_rest(talk, "a", operator)
    upstream.answers(upstream.sees_one(), OK)
    asks_by_rest(talk, "gone", operator)
    asks_by_rest(talk, "a", READER)
    records = talk.call_records()
    assert [(one.principal, one.instance, one.outcome, one.code) for one in records] == [
        ("operator", "a", "ok", 0),
        ("operator", "", "error", INSTANCE_NOT_FOUND),
        ("reader", "", "error", NOT_ALLOWED),
    ]
    assert {(one.address, one.target, one.method) for one in records} == {
        ("192.0.2.7", "echo", "tools/call")
    }
    assert all(one.request_bytes for one in records)


def test_a_call_by_rest_that_nobody_waits_for_any_more_is_gone() -> None:
    talk, _, upstream = recorded()
    talk.admin_asks(CallTool("a", "echo", raw({}))).abandons()
    assert the_record(talk).outcome == "gone"
    assert [frame.get("method") for frame in map(plain, upstream.inbox.waiting)] == [
        "tools/call",
        "notifications/cancelled",
    ]
