"""Calls to a server that fails are held back; its state says so, and a trial call ends that."""

from typing import Any

import pytest

from router.core.bounded.ejection import FAILURES_IN_A_ROW
from router.core.calls.resource_subscriptions import ACKNOWLEDGED, LISTEN_AGAIN_S
from router.core.protocol.bridging import SUBSCRIPTION_KEY
from router.messages.errors import SESSION_LOST, UNAVAILABLE
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, ready, spec
from tests.router.core.per_client import initialized, ready_for, talk_about


def a_call_fails(client: FakeClient, upstream: FakeUpstream, *failure: Any, **more: Any) -> None:
    call = client.routes("echo")
    upstream.fails_to_answer(upstream.sees_one(), *failure, **more)
    assert call.result["isError"]


def a_call_succeeds(client: FakeClient, upstream: FakeUpstream) -> None:
    call = client.routes("echo")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


def state_of(talk: Conversation, name: str = "a") -> tuple[Any, ...]:
    row = talk.list_row(name)
    return row["state"], row["connected"], row["last_error"], row["stale"]


READY = ("ready", True, None, False)


def test_server_that_fails_now_and_then_stays_ready() -> None:
    talk, alice, upstream = ready()
    for _ in range(3):
        for _ in range(4):
            a_call_fails(alice, upstream)
        a_call_succeeds(alice, upstream)
    assert state_of(talk) == READY
    assert not talk.state.ejections
    assert talk.logged == []


def test_server_that_fails_five_times_in_a_row_is_degraded_and_gets_no_calls() -> None:
    talk, alice, upstream = ready()
    for _ in range(5):
        a_call_fails(alice, upstream)
    assert state_of(talk) == ("degraded", True, "URL answered 503", False)
    assert talk.logged == ["a is degraded (URL answered 503); next try in 30.0 s"]
    talk.time_passes(10)
    refused = alice.routes("echo")
    assert refused.tool_error == (
        "UNAVAILABLE",
        "Instance 'a' is degraded: URL answered 503 (next try in 20.0 s)",
    )
    assert upstream.sees() == []


def test_refusal_says_when_to_try_again() -> None:
    talk, alice, upstream = ready()
    a_call_fails(alice, upstream, 429, 7.0)
    talk.time_passes(3)
    error = alice.calls("a__echo").error
    assert error["code"] == UNAVAILABLE
    assert error["data"] == {
        "state": "degraded",
        "last_error": "URL answered 503",
        "retry_in_s": pytest.approx(4.0),
    }
    assert upstream.sees() == []


def test_one_trial_call_is_let_through_and_its_success_ends_it() -> None:
    talk, alice, upstream = ready()
    a_call_fails(alice, upstream, 503, 7.0)
    talk.time_passes(7)
    trial = alice.routes("echo")
    seen = upstream.sees_one()
    assert "next try in 5.0 s" in alice.routes("echo").tool_error[1]
    upstream.answers(seen, {"content": []})
    assert trial.result == {"content": []}
    assert state_of(talk) == READY
    assert talk.logged[-1] == "a answers again"
    a_call_succeeds(alice, upstream)


def test_an_error_of_the_server_itself_shows_that_it_is_well() -> None:
    talk, alice, upstream = ready()
    a_call_fails(alice, upstream, 503, 7.0)
    talk.time_passes(7)
    alice.routes("echo")
    upstream.fails(upstream.sees_one(), {"code": -5, "message": "no"})
    assert state_of(talk) == READY


def test_a_refusal_that_is_no_sign_of_trouble_ends_it_too() -> None:
    talk, alice, upstream = ready()
    a_call_fails(alice, upstream, 503, 7.0)
    talk.time_passes(7)
    a_call_fails(alice, upstream, 404, reason="URL answered 404")
    assert state_of(talk) == READY


def test_trial_that_fails_degrades_it_for_longer() -> None:
    talk, alice, upstream = ready()
    for _ in range(5):
        a_call_fails(alice, upstream)
    talk.time_passes(30)
    a_call_fails(alice, upstream, reason="URL answered 500")
    assert "500 (next try in 60.0 s)" in alice.routes("echo").tool_error[1]
    talk.time_passes(59)
    assert "500 (next try in 1.0 s)" in alice.routes("echo").tool_error[1]


def test_trial_without_an_answer_is_followed_by_another() -> None:
    talk, alice, upstream = ready()
    a_call_fails(alice, upstream, 503, 7.0)
    talk.time_passes(7)
    alice.cancels(alice.routes("echo"))
    assert next(frame["method"] for frame in upstream.sees()) == "tools/call"
    talk.time_passes(5)
    a_call_succeeds(alice, upstream)


def test_answers_to_calls_that_were_sent_before_do_not_end_it() -> None:
    talk, alice, upstream = ready()
    early = [alice.routes("echo") for _ in range(3)]
    first, second, third = upstream.sees()
    upstream.fails_to_answer(first, 429, 7.0)
    upstream.answers(second, {"content": []})
    upstream.fails_to_answer(third, 429, 9.0)
    assert early[1].result == {"content": []}
    assert talk.list_row("a")["state"] == "degraded"
    assert "next try in 9.0 s" in alice.routes("echo").tool_error[1]


def test_broken_connections_count_as_failures() -> None:
    talk, alice, upstream = ready()
    for _ in range(5):
        a_call_fails(alice, upstream, None, reason="reset", code=SESSION_LOST)
    assert state_of(talk)[0] == "degraded"


def test_subscriptions_that_proxies_cut_do_not() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    more = {"capabilities": {"resources": {"subscribe": True}}, "resources": ["file:///x"]}
    upstream = talk.up("a", "echo", revision="2026-07-28", **more)
    alice = talk.client()
    alice.initializes()
    alice.asks("resources/subscribe", {"uri": "file:///x"})
    for _ in range(2 * FAILURES_IN_A_ROW):
        (listening,) = upstream.sees()
        assert listening["method"] == "subscriptions/listen"
        upstream.says(ACKNOWLEDGED, {"_meta": {SUBSCRIPTION_KEY: listening["id"]}})
        upstream.fails_to_answer(listening, None, code=SESSION_LOST)
        talk.time_passes(LISTEN_AGAIN_S + 1)
    assert state_of(talk) == READY


def test_lists_of_a_degraded_instance_are_shown_and_chosen_without_a_call() -> None:
    talk, alice, upstream = ready()
    a_call_fails(alice, upstream, 503, 7.0)
    assert alice.uses().text["active"]
    assert "echo" in alice.lists()
    assert alice.calls("mcp.router.help", {"instance_name": "a"}).text
    talk.time_passes(7)
    alice.uses()
    a_call_succeeds(alice, upstream)


def test_others_are_called_meanwhile() -> None:
    talk, alice, upstream = ready("b")
    a_call_fails(alice, upstream, 503, 7.0)
    assert alice.routes("echo", "b").is_waiting
    assert state_of(talk, "b") == READY


def test_a_new_session_begins_anew() -> None:
    talk, alice, upstream = ready()
    a_call_fails(alice, upstream, 503, 7.0)
    upstream.breaks("gone")
    assert state_of(talk)[:3] == ("backoff", False, "gone")
    talk.down("a", "gone")
    talk.starting("a")
    again = talk.up("a", "echo")
    assert state_of(talk) == READY
    a_call_succeeds(alice, again)
    assert not talk.state.ejections


def test_failure_of_a_session_that_is_gone_is_ignored() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    upstream.breaks("gone")
    upstream.fails_to_answer(seen, 503, 7.0)
    assert call.tool_error[0] == "SESSION_LOST"
    assert not talk.state.ejections


def test_session_of_one_client_is_degraded_alone() -> None:
    talk = talk_about()
    alice, bob = initialized(talk, "alice"), initialized(talk, "bob")
    of_alice, of_bob = ready_for(talk, alice), ready_for(talk, bob)
    a_call_fails(alice, of_alice, 503, 7.0)
    assert "is degraded" in alice.routes("echo").tool_error[1]
    assert state_of(talk)[:3] == ("ready", True, None)
    a_call_fails(bob, of_bob, 503, 9.0)
    assert state_of(talk)[:3] == ("degraded", True, "URL answered 503")
    talk.time_passes(7)
    a_call_succeeds(alice, of_alice)
    assert state_of(talk) == READY
