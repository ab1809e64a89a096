"""Approvers: what they see, what they decide, and what they may not."""

import hashlib
from typing import Any

import pytest

from router.messages.commands import CallTool, DecideApproval, ListApprovals, Principal
from tests.router.core.approvals.asked import (
    APPROVER,
    CALLER,
    LOCAL,
    WAIT_S,
    asking,
    decides,
    listed,
    nothing_waits,
    waiting,
)
from tests.router.core.conversation import FakeSeal, raw

APPROVE: Any = frozenset({"approve"})


def test_an_approver_sees_what_would_be_sent() -> None:
    talk, _, _ = waiting()
    talk.time_passes(7)
    (row,) = listed(talk)
    arguments = b'{"path":"/x"}'
    assert bytes(row.pop("arguments")) == arguments
    assert len(row["id"]) == 8
    assert row == {
        "id": row["id"],
        "principal": "agent",
        "client": "",
        "instance": "a",
        "tool": "rm",
        "arguments_sha256": hashlib.sha256(arguments).hexdigest(),
        "waiting_s": 7.0,
        "expires_in_s": WAIT_S - 7,
    }


def test_a_yes_sends_the_call_and_tells_the_approver() -> None:
    talk, call, upstream = waiting()
    done = decides(talk, approve=True)
    assert done.answer | {"id": ""} == {"id": "", "instance": "a", "tool": "rm", "approved": True}
    sent = upstream.sees_one()
    assert sent["params"] == {"name": "rm", "arguments": {"path": "/x"}}
    upstream.answers(sent, {"content": []})
    assert call.result == {"content": []}
    assert nothing_waits(talk)


@pytest.mark.parametrize("principal", [APPROVER, CALLER])
def test_a_no_needs_no_digest(principal: Principal) -> None:
    talk, call, upstream = waiting()
    who = Principal(principal.name, APPROVE)
    assert not decides(talk, approve=False, principal=who, arguments_sha256=None).answer["approved"]
    assert call.tool_error == ("NOT_APPROVED", "not approved: the approver said no")
    assert upstream.sees() == []


@pytest.mark.parametrize("digest", [None, "", "0" * 64])
def test_a_yes_for_other_arguments_is_a_conflict(digest: str | None) -> None:
    talk, call, upstream = waiting()
    error = decides(talk, approve=True, arguments_sha256=digest).error
    assert error.string_code == "APPROVAL_CONFLICT"
    assert "mcp-router approvals" in error.message
    assert call.is_waiting
    assert upstream.sees() == []
    refused = decides(talk, approve=False, arguments_sha256="0" * 64)
    assert refused.error.string_code == "APPROVAL_CONFLICT"


def test_the_first_decision_is_the_only_one() -> None:
    talk, call, upstream = waiting()
    (row,) = listed(talk)
    decides(talk, approve=False)
    late = DecideApproval(row["id"], approve=True, arguments_sha256=row["arguments_sha256"])
    error = talk.admin_asks(late, APPROVER).error
    assert error.string_code == "APPROVAL_CONFLICT"
    assert error.message == f"Call {row['id']} waits no more: denied by 'ops' after 0.0 s"
    assert call.tool_error[0] == "NOT_APPROVED"
    assert upstream.sees() == []


def test_an_id_that_was_never_given_is_not_found() -> None:
    talk, _, _ = waiting()
    error = decides(talk, approve=True, id="12345678").error
    assert error.string_code == "APPROVAL_NOT_FOUND"


def test_nobody_approves_a_call_of_their_own() -> None:
    talk, call, upstream = waiting()
    error = decides(talk, approve=True, principal=Principal("agent")).error
    assert error.string_code == "SECURITY_ERROR"
    assert "'agent' made this call itself" in error.message
    assert "mcp-router approve" in error.message
    assert call.is_waiting
    assert upstream.sees() == []


def test_the_user_of_the_router_may_approve_calls_of_their_own() -> None:
    talk, _, upstream = asking()
    talk.admin_asks(CallTool("a", "rm", raw({})), LOCAL)
    assert decides(talk, approve=True, principal=LOCAL).answer["approved"] is True
    upstream.sees_one()


def test_a_call_by_rest_waits_and_gets_the_answer_of_its_server_or_an_error() -> None:
    talk, _, upstream = asking()
    good = talk.admin_asks(CallTool("a", "rm", raw({"n": 1})), CALLER)
    decides(talk, approve=True)
    upstream.answers(upstream.sees_one(), {"content": []})
    assert bytes(good.answer) == b'{"content":[]}'
    bad = talk.admin_asks(CallTool("a", "rm", raw({"n": 1})), CALLER)
    decides(talk, approve=False)
    assert bad.error.string_code == "NOT_APPROVED"
    assert bad.error.message == "not approved: the approver said no"


def test_an_approver_of_other_instances_sees_and_decides_nothing() -> None:
    talk, call, _ = waiting()
    (row,) = listed(talk)
    talk.with_instance("b", "echo")
    talk.configured(*(one.spec for one in talk.state.instances))
    stranger = Principal("of b", APPROVE, instances=frozenset({"b"}))
    assert listed(talk, stranger) == []
    what = DecideApproval(row["id"], approve=True, arguments_sha256=row["arguments_sha256"])
    assert talk.admin_asks(what, stranger).error.string_code == "APPROVAL_NOT_FOUND"
    decides(talk, approve=False)
    assert talk.admin_asks(what, stranger).error.string_code == "APPROVAL_NOT_FOUND"
    assert call.tool_error[0] == "NOT_APPROVED"


def test_what_a_client_is_asked_about_is_no_matter_of_an_approver() -> None:
    talk, client, upstream = asking()
    client.calls("a__rm")
    assert listed(talk) == []
    (row,) = talk.state.approvals.by_id.values()
    what = DecideApproval(row.id, approve=True, arguments_sha256=row.sha256)
    assert talk.admin_asks(what, APPROVER).error.string_code == "APPROVAL_NOT_FOUND"
    assert upstream.sees() == []


@pytest.mark.parametrize(
    ("principal", "problem"),
    [
        (Principal("agent", frozenset({"call", "read"})), "permission 'approve', which 'agent'"),
        (Principal("", frozenset({"call", "read"})), "mcp-router approve on the machine"),
    ],
)
def test_an_approver_needs_the_permission(principal: Principal, problem: str) -> None:
    talk, _, _ = waiting()
    for what in (ListApprovals(), DecideApproval("x", approve=False)):
        error = talk.admin_asks(what, principal).error
        assert error.code == -32016
        assert problem in error.message


def test_no_id_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    talk, client, _ = asking()
    keys = iter([1, 1, 1, 2])
    monkeypatch.setattr(FakeSeal, "seal", lambda *_: f"sealed-{next(keys)}")
    client.cancels(client.calls("a__rm"))
    client.calls("a__rm")
    assert len(talk.state.approvals.by_id | talk.state.approvals.decided) == 2


def test_old_decisions_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.core.state.waiting.approvals.DECIDED_KEPT", 2)
    talk, client, _ = asking()
    for _ in range(4):
        client.cancels(client.calls("a__rm"))
    assert len(talk.state.approvals.decided) == 2
