"""Calls that wait for a yes: which do, how they are told of it, and how they end without one."""

from typing import Any

import pytest

from router.core.state.waiting.approvals import MAX_HELD, MAX_HELD_OF_PRINCIPAL
from router.messages.catalog import Item
from router.messages.commands import CallTool, Principal
from router.messages.instances.exposure import ArgumentExposure, Exposure, NameFilter, Profile
from router.messages.instances.run_policy import RunPolicy
from router.messages.observability.records import ApprovalRecord
from router.messages.rates import RateLimits
from tests.router.core.approvals.asked import (
    ASK_S,
    CALLER,
    FORM,
    NEEDS_YES,
    TOOLS,
    WAIT_S,
    YES,
    asking,
    decides,
    listed,
    nothing_waits,
    question_of,
    waiting,
)
from tests.router.core.conversation import Conversation, raw, spec

NO_ANSWER = "not approved: nobody answered within 120 s"


# --- Which calls wait ------------------------------------------------------------------------


def test_a_call_is_sent_once_its_client_says_yes() -> None:
    _, client, upstream = asking()
    call = client.calls("a__rm", {"path": "/x"})
    assert upstream.sees() == []
    client.answers(question_of(call), YES)
    sent = upstream.sees_one()
    assert sent["params"] == {"name": "rm", "arguments": {"path": "/x"}}
    upstream.answers(sent, {"content": []})
    assert call.result == {"content": []}


def test_a_tool_without_a_rule_is_called_at_once() -> None:
    _, client, upstream = asking()
    client.calls("a__read")
    assert upstream.sees_one()["params"] == {"name": "read"}


def test_the_next_call_of_the_same_kind_asks_again() -> None:
    _, client, upstream = asking()
    client.answers(question_of(client.calls("a__rm")), YES)
    upstream.sees_one()
    question_of(client.calls("a__rm"))
    assert upstream.sees() == []


@pytest.mark.parametrize(
    "way", ["direct name", "selected", "mcp.router.call", "transparent", "REST", "task"]
)
def test_no_way_of_calling_leads_around_the_question(way: str) -> None:
    talk, client, upstream = asking()
    match way:
        case "direct name":
            client.calls("a__rm")
        case "selected":
            client.uses("a")
            client.calls("rm")
        case "mcp.router.call":
            client.routes("rm")
        case "task":
            client.calls("a__rm", task={})
        case "transparent":
            lone = talk.client(view="a")
            lone.calls("rm")
        case _:
            talk.admin_asks(CallTool("a", "rm", raw({})))
    assert upstream.sees() == []
    assert len(talk.state.approvals.by_id) == 1


def test_a_new_name_of_a_tool_does_not_lead_around_a_rule_for_its_own() -> None:
    exposure = Exposure(tools=NameFilter(approve=("rm",)), rename={"rm": "tidy"})
    talk = Conversation()
    upstream = talk.with_instance("a", *TOOLS, exposure=exposure)
    client = talk.client()
    client.calls("a__tidy")
    assert upstream.sees() == []
    assert listed(talk)[0]["tool"] == "rm"


def test_a_tool_that_its_server_does_not_list_waits_where_there_are_rules() -> None:
    talk, client, upstream = asking()
    client.calls("a__RM")
    assert upstream.sees() == []
    assert len(talk.state.approvals.by_id) == 1


@pytest.mark.parametrize(
    ("expose", "pattern", "name"),
    [
        ("direct", "a__rm", "a__rm"),
        ("router", "*__rm", "a__rm"),
        ("transparent", "rm", "rm"),
    ],
)
def test_a_profile_has_rules_for_the_names_that_it_shows(
    expose: Any, pattern: str, name: str
) -> None:
    profile = Profile(expose, ("a",), NameFilter(approve=(pattern,)))
    talk = Conversation(profiles={"work": profile})
    upstream = talk.with_instance("a", *TOOLS)
    talk.client(view="work").calls(name)
    assert upstream.sees() == []
    talk.client().calls("a__rm")
    assert upstream.sees_one()["params"] == {"name": "rm"}


def test_a_name_that_is_cut_does_not_escape_a_rule_for_its_end() -> None:
    profile = Profile("direct", ("a",), NameFilter(approve=("*_delete",)))
    talk = Conversation(profiles={"work": profile})
    tool = f"{'x' * 60}_delete"
    upstream = talk.with_instance("a", tool)
    client = talk.client(view="work")
    (shown,) = [name for name in client.lists() if name.startswith("a__")]
    assert len(shown) == 48
    client.calls(shown)
    assert upstream.sees() == []


# --- What is shown is what is sent -----------------------------------------------------------


def test_the_server_gets_the_arguments_that_were_shown() -> None:
    talk, client, upstream = asking()
    arguments = b'{"path": "/x", "o": {"force": false, "force": true}, "n": 1.00}'
    call = client.calls("a__rm", raw(arguments))
    message = question_of(call)["params"]["message"]
    assert message.endswith(
        'Arguments:\n{\n  "path": "/x",\n  "o": {"force":true},\n  "n": 1.00\n}'
    )
    (row,) = talk.state.approvals.by_id.values()
    client.answers({"id": row.question}, YES)
    (frame,) = upstream.inbox.waiting
    assert b'{"path":"/x","o":{"force":true},"n":1.00}' in bytes(frame.params)


def test_fixed_arguments_are_shown_as_well() -> None:
    exposure = Exposure(
        tools=NameFilter(approve=("rm",)),
        arguments={"rm": {"dry": ArgumentExposure(is_fixed=True, fixed=True)}},
    )
    talk = Conversation()
    upstream = talk.with_instance("a", *TOOLS, exposure=exposure)
    client = talk.client()
    client.initializes(**FORM)
    call = client.calls("a__rm", {"dry": False})
    question = question_of(call)
    assert '"dry": true' in question["params"]["message"]
    client.answers(question, YES)
    assert upstream.sees_one()["params"]["arguments"] == {"dry": True}


def test_arguments_that_nobody_could_read_are_refused() -> None:
    talk, client, upstream = asking()
    call = client.calls("a__rm", {"text": "x" * 1024 * 1024})
    problem = "not approved: its arguments are larger than 1,048,576 bytes"
    assert call.tool_error == ("NOT_APPROVED", problem)
    lone = client.calls("a__rm", raw(rb'{"text": "\ud800"}'))
    assert lone.error["code"] == -32602
    assert upstream.sees() == []
    assert nothing_waits(talk)


# --- How a call waits ------------------------------------------------------------------------


def test_the_timeout_of_a_call_counts_from_the_yes() -> None:
    talk, client, upstream = asking(timeout_s=30.0)
    call = client.calls("a__rm")
    question = question_of(call)
    talk.time_passes(100)
    client.answers(question, YES)
    talk.time_passes(29)
    assert call.is_waiting
    talk.time_passes(2)
    assert call.error["code"] == -32011
    assert upstream.sees()[-1]["method"] == "notifications/cancelled"


def test_a_client_that_wants_progress_hears_that_its_call_waits() -> None:
    talk, _, upstream = asking()
    client = talk.client()
    call = client.calls("a__rm", _meta={"progressToken": "t"})
    talk.time_passes(25)
    told = [frame["params"] for frame in call.mailbox.take()]
    assert [one["message"] for one in told] == ["Waiting for approval"] * 3
    assert {one["progressToken"] for one in told} == {"t"}
    assert sorted(one["progress"] for one in told) == [one["progress"] for one in told]
    decides(talk, approve=True)
    sent = upstream.sees_one()
    upstream.says("notifications/progress", {"progressToken": sent["id"], "progress": 1})
    assert told[-1]["progress"] < call.mailbox.take()[0]["params"]["progress"]


def test_a_yes_while_the_server_is_away_waits_for_it() -> None:
    talk, _, upstream = waiting()
    talk.down("a")
    decides(talk, approve=True)
    again = talk.up("a", *TOOLS)
    assert again.sees_one()["params"]["name"] == "rm"
    assert upstream.sees() == []


def test_a_call_that_was_approved_is_not_sent_a_second_time() -> None:
    annotated = {"name": "rm", "inputSchema": {}, "annotations": {"idempotentHint": True}}
    talk = Conversation()
    talk.configured(spec("a", exposure=NEEDS_YES, run_policy=RunPolicy(retry_safe_calls=True)))
    talk.starting("a")
    upstream = talk.up("a", Item("rm", raw(annotated)))
    client = talk.client()
    call = client.calls("a__rm")
    decides(talk, approve=True)
    upstream.sees_one()
    upstream.breaks()
    talk.down("a")
    assert call.error["code"] == -32012


def test_a_call_that_waits_counts_for_the_limit_of_its_token() -> None:
    limits = RateLimits(concurrent_calls=1)
    talk, call, _ = waiting(rates={"agent": limits})
    other = talk.client(principal=CALLER)
    assert other.calls("a__rm").error["data"]["limit"] == "concurrent_calls"
    decides(talk, approve=False)
    assert call.tool_error[0] == "NOT_APPROVED"
    assert other.calls("a__read").is_waiting


# --- How a call ends without a yes -----------------------------------------------------------


def test_no_answer_is_a_no() -> None:
    talk, client, upstream = asking()
    call = client.calls("a__rm")
    question = question_of(call)
    talk.time_passes(ASK_S + 1)
    assert call.tool_error == ("NOT_APPROVED", NO_ANSWER)
    withdrawn = call.mailbox.take()[0]
    assert withdrawn["params"]["requestId"] == question["id"]
    client.answers(question, YES)
    assert upstream.sees() == []
    assert nothing_waits(talk)


def test_an_approver_has_a_time_of_its_own() -> None:
    talk, call, upstream = waiting(approval_timeout_s=WAIT_S)
    talk.time_passes(WAIT_S - 1)
    assert call.is_waiting
    talk.time_passes(2)
    assert call.tool_error[1] == "not approved: nobody answered within 300 s"
    assert upstream.sees() == []


@pytest.mark.parametrize("has_form", [True, False])
def test_a_call_that_its_client_cancels_waits_no_more(has_form: bool) -> None:
    talk, client, upstream = asking()
    if not has_form:
        client = talk.client()
    call = client.calls("a__rm")
    client.cancels(call)
    assert not call.finals
    assert call.mailbox.closed
    assert nothing_waits(talk)
    assert upstream.sees() == []


def test_a_client_that_leaves_takes_its_calls_along() -> None:
    talk, client, upstream = asking()
    call = client.calls("a__rm")
    client.leaves()
    assert call.mailbox.closed
    assert nothing_waits(talk)
    assert upstream.sees() == []


def test_an_asker_by_rest_that_waits_no_more_takes_its_call_along() -> None:
    talk, _, _ = asking()
    command = talk.admin_asks(CallTool("a", "rm", raw({})), CALLER)
    command.abandons()
    assert nothing_waits(talk)


def test_a_router_that_stops_refuses_what_waits() -> None:
    talk, client, upstream = asking()
    call = client.calls("a__rm")
    other = talk.client().calls("a__rm")
    drained = talk.drains()
    refused = ("NOT_APPROVED", "not approved: the router is stopping")
    assert call.tool_error == other.tool_error == refused
    assert drained.waiting == [None]
    assert nothing_waits(talk)
    assert upstream.sees() == []


@pytest.mark.parametrize("change", ["rule", "removed", "profile", "profile gone"])
def test_a_reload_refuses_the_calls_that_it_concerns(change: str) -> None:
    rules = Profile("direct", ("*",), NameFilter(approve=("b__rm",)))
    talk = Conversation(profiles={"work": rules})
    talk.with_instance("a", *TOOLS, exposure=NEEDS_YES)
    talk.with_instance("b", *TOOLS)
    client = talk.client(view="work")
    of_instance, of_profile = client.calls("a__rm"), client.calls("b__rm")
    talk.configured(*(row.spec for row in talk.state.instances))
    assert of_instance.is_waiting
    assert of_profile.is_waiting
    match change:
        case "rule":
            talk.configured(spec("a"), spec("b"))
        case "removed":
            talk.configured(spec("b"))
        case "profile":
            talk.settings_change(profiles={"work": Profile("direct")})
        case _:
            talk.settings_change(profiles={})
    refused = of_profile if change.startswith("profile") else of_instance
    name = "b" if change.startswith("profile") else "a"
    problem = f"not approved: the configuration of '{name}' or of its profile changed meanwhile"
    assert refused.tool_error == ("NOT_APPROVED", problem)
    assert of_profile.is_waiting or change.startswith("profile")


def test_a_tool_that_is_gone_when_the_yes_comes_is_not_called() -> None:
    _, client, upstream = asking()
    client.uses("a")
    call = client.calls("rm")
    upstream.lists("read")
    client.answers(question_of(call), YES)
    assert call.error["code"] == -32014
    assert upstream.sees() == []


# --- Limits ----------------------------------------------------------------------------------


def test_calls_that_wait_are_bounded_for_each_principal_and_in_all() -> None:
    talk, client, _ = asking()
    for _ in range(MAX_HELD_OF_PRINCIPAL):
        client.calls("a__rm")
    refused = client.calls("a__rm")
    assert refused.error["code"] == -32015
    for number in range(1, MAX_HELD // MAX_HELD_OF_PRINCIPAL):
        other = talk.client(principal=Principal(f"token-{number}"))
        for _ in range(MAX_HELD_OF_PRINCIPAL):
            other.calls("a__rm")
    assert len(talk.state.approvals.by_id) == MAX_HELD
    assert talk.client().calls("a__rm").error["message"].startswith("Too many calls wait")


# --- What is told of it ----------------------------------------------------------------------


def test_the_log_says_that_a_call_waits_and_the_command_for_it() -> None:
    talk, _, _ = waiting()
    (row,) = listed(talk)
    line = f"a: A call of rm by 'agent' waits for approval: mcp-router approve {row['id']}"
    assert talk.logged == [line]
    talk.time_passes(3)
    decides(talk, approve=True)
    assert talk.logged[-1] == "a: A call of rm by 'agent': approved by 'ops' after 3.0 s"


@pytest.mark.parametrize("approve", [True, False])
def test_the_record_of_a_call_tells_who_decided(approve: bool) -> None:
    talk, _, upstream = waiting(records=frozenset({"audit"}))
    talk.time_passes(3)
    decides(talk, approve=approve)
    if approve:
        upstream.answers(upstream.sees_one(), {"content": []})
    (record,) = talk.call_records()
    decision = "approved" if approve else "denied"
    assert record.approval == ApprovalRecord("approver", decision, "ops", 3.0)
    assert (record.instance, record.target) == ("a", "rm")
    assert (record.outcome, record.code) == (("ok", 0) if approve else ("error", -32008))


def test_the_record_tells_how_a_call_ended_that_nobody_decided_about() -> None:
    talk, client, _ = asking(records=frozenset({"audit"}))
    client.calls("a__rm")
    talk.time_passes(ASK_S)
    client.cancels(client.calls("a__rm"))
    ends = [(one.outcome, one.approval) for one in talk.call_records() if one.approval]
    assert ends == [
        ("error", ApprovalRecord("client", "expired", "", ASK_S)),
        ("cancelled", ApprovalRecord("client", "ended")),
    ]
