"""Calls that a server failed to answer: one shape for all, with the cause."""

from typing import Any

import pytest

from router.messages.errors import SESSION_LOST, TRANSPORT_ERROR
from tests.router.core.conversation import Conversation, FakeUpstream, ready, spec

CAUSE = "URL answered 503 Service Unavailable"


@pytest.mark.parametrize(
    ("code", "name"), [(TRANSPORT_ERROR, "TRANSPORT_ERROR"), (SESSION_LOST, "SESSION_LOST")]
)
def test_call_through_the_routers_tool_fails_with_a_tool_result(code: int, name: str) -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo")
    upstream.fails_to_answer(upstream.sees_one(), reason=CAUSE, code=code)
    assert call.tool_error == (name, f"Instance 'a' failed during the call: {CAUSE}")


def test_call_by_a_direct_name_fails_with_the_same_error_in_json_rpc() -> None:
    _, alice, upstream = ready()
    call = alice.calls("a__echo")
    upstream.fails_to_answer(upstream.sees_one(), reason=CAUSE)
    assert call.error == {
        "code": TRANSPORT_ERROR,
        "message": f"Instance 'a' failed during the call: {CAUSE}",
    }


def test_call_to_a_server_without_sessions_fails_alike() -> None:
    talk = Conversation()
    upstream = talk.with_stateless_upstream()
    call = talk.stateless_client().routes("echo")
    upstream.fails_to_answer(upstream.sees_one(), reason=CAUSE)
    assert call.tool_error[0] == "TRANSPORT_ERROR"


def test_error_of_the_server_itself_reaches_the_client_as_it_is() -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo")
    own = {"code": -32021, "message": "no", "data": {"x": 1}}
    upstream.fails_to_answer(upstream.sees_one(), 400, own_error=own)
    assert call.error == own


def test_late_failure_of_a_call_that_timed_out_is_dropped() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    (seen,) = upstream.sees()
    talk.time_passes(100)
    upstream.fails_to_answer(seen)
    assert call.tool_error[0] == "TIMEOUT"


def with_resources(revision: str) -> tuple[Conversation, Any, FakeUpstream]:
    talk = Conversation(view="direct")
    talk.configured(spec("a"))
    talk.starting("a")
    capabilities = {"resources": {"subscribe": True}}
    upstream = talk.up(
        "a", "echo", resources=["file:///x"], revision=revision, capabilities=capabilities
    )
    client = talk.client()
    client.initializes()
    return talk, client, upstream


def test_subscription_that_failed_is_none() -> None:
    talk, alice, upstream = with_resources("2025-11-25")
    uri = alice.lists("resources")[0]
    asked = alice.asks("resources/subscribe", {"uri": uri})
    upstream.fails_to_answer(upstream.sees_one())
    assert asked.error["code"] == TRANSPORT_ERROR
    assert not talk.state.subscribers


def test_subscription_whose_stream_failed_is_none() -> None:
    talk, alice, upstream = with_resources("2026-07-28")
    uri = alice.lists("resources")[0]
    asked = alice.asks("resources/subscribe", {"uri": uri})
    (listen,) = upstream.sees()
    assert listen["method"] == "subscriptions/listen"
    upstream.fails_to_answer(listen, None, reason="reset", code=SESSION_LOST)
    assert asked.error["code"] == SESSION_LOST
    assert not talk.state.subscribers
    talk.time_passes(60)
    assert upstream.sees() == []
