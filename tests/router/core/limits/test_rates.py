"""A token with a rate: which requests count, what refusals say, and what other limits change."""

from __future__ import annotations

from typing import Any

import pytest

from router.messages.commands import CallTool, Principal
from router.messages.errors import OVERLOADED, RpcError
from router.messages.events import ClientClosed
from router.messages.rates import RateLimits
from tests.router.core.conversation import T_S, Conversation, FakeUpstream, raw, spec
from tests.router.core.limits.limited import answers_oldest, asks, limited, marks

CI = Principal("ci")
OTHER = Principal("other")
ONE_A_MINUTE = RateLimits(1)
ONE_AT_A_TIME = RateLimits(concurrent_calls=1)


def talk_with(limits: RateLimits, **settings: Any) -> tuple[Conversation, FakeUpstream]:
    """Begin a conversation in which the token `ci` has these limits."""
    talk = Conversation(rates={"ci": limits}, **settings)
    talk.configured(limited("a", at_a_time=None))
    talk.starting("a")
    return talk, talk.up("a", "echo", prompts=["say"], resources=["file:///x"])


def is_refused(asked: Any) -> bool:
    return not asked.is_waiting and asked.error["code"] == OVERLOADED


# --- The calls of a minute -------------------------------------------------------------------


def test_refusal_says_limit_and_time_whatever_tool_was_called() -> None:
    talk, _ = talk_with(ONE_A_MINUTE)
    alice = talk.client(principal=CI)
    asks(alice, 0)
    for refused in (asks(alice, 1), alice.calls("a__echo", {"mark": 2})):
        assert refused.error == {
            "code": OVERLOADED,
            "message": "Token 'ci' makes calls faster than 1 a minute with a burst of 1 "
            "(security.tokens.ci.rate.calls_per_minute); try again in 60.0 s",
            "data": {"limit": "calls_per_minute", "retry_in_s": 60.0},
        }


def test_refusal_is_recorded_with_the_instance_and_is_no_overload_of_it() -> None:
    talk, _ = talk_with(ONE_A_MINUTE, records=frozenset({"audit"}))
    alice = talk.client(principal=CI)
    alice.asks("resources/subscribe", {"uri": "file:///x"})
    asks(alice, 1)
    alice.asks("resources/subscribe", {"uri": "file:///x"})
    assert [(one.instance, one.code) for one in talk.call_records()] == [("a", OVERLOADED)] * 2
    counts = talk.state.counts.of("a")
    assert counts.methods["tools/call"].ends == {("error", str(OVERLOADED)): 1}
    assert (counts.shed, talk.state.counts.own.shed) == (0, 0)


def test_all_sessions_of_a_token_and_its_calls_by_rest_count_together() -> None:
    talk, upstream = talk_with(RateLimits(60, burst=3))
    asks(talk.client(principal=CI), 0)
    asks(talk.client(principal=CI), 1)
    command = CallTool("a", "echo", raw({"mark": 2}))
    talk.admin_asks(command, CI)
    refused = talk.admin_asks(command, CI)
    (error,) = refused.mailbox.waiting
    assert isinstance(error, RpcError)
    assert error.code == OVERLOADED
    assert is_refused(asks(talk.client(principal=CI), 3))
    asks(talk.client(principal=OTHER), 4)
    assert marks(upstream) == [0, 1, 2, 4]


def test_requests_of_2026_count_with_those_of_sessions() -> None:
    talk, _ = talk_with(ONE_A_MINUTE, view="direct")
    client = talk.stateless_client(CI)
    client.calls("a__echo", {"mark": 0})
    assert is_refused(client.calls("a__echo", {"mark": 1}))
    assert is_refused(talk.client(principal=CI).calls("a__echo", {"mark": 2}))


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("prompts/get", {"name": "a__say"}),
        ("resources/read", {"uri": "file:///x"}),
        ("resources/subscribe", {"uri": "file:///x"}),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "a__say"}, "argument": {}},
        ),
    ],
)
def test_everything_that_goes_to_a_server_counts(method: str, params: Any) -> None:
    talk, _ = talk_with(ONE_A_MINUTE, view="direct")
    alice = talk.client(principal=CI)
    alice.asks(method, params)
    assert is_refused(alice.calls("a__echo", {}))


def test_everything_that_a_transparent_view_passes_on_counts_but_its_lists() -> None:
    talk, _ = talk_with(ONE_A_MINUTE, view="a")
    alice = talk.client(principal=CI)
    alice.asks("tools/list")
    alice.asks("custom/method")
    assert is_refused(alice.calls("echo", {}))


def test_the_router_itself_answers_without_counting() -> None:
    talk, _ = talk_with(ONE_A_MINUTE)
    alice = talk.client(principal=CI)
    alice.initializes()
    for _ in range(5):
        alice.asks("ping")
        alice.asks("tools/list")
        for tool in ("mcp.router.list", "mcp.router.help"):
            assert not alice.calls(tool).is_waiting
    assert asks(alice, 0).is_waiting


def test_a_call_that_waits_for_its_instance_counts_once() -> None:
    talk, _ = talk_with(RateLimits(60, burst=2))
    talk.configured(spec("a"), spec("b"))
    talk.starting("b")
    alice = talk.client(principal=CI)
    asked = asks(alice, 0, "b")
    talk.up("b", "echo")
    assert asked.is_waiting
    assert asks(alice, 1).is_waiting
    assert is_refused(asks(alice, 2))


# --- Calls in flight -------------------------------------------------------------------------


def test_an_answer_makes_room_for_the_next_call() -> None:
    talk, upstream = talk_with(ONE_AT_A_TIME)
    alice, bob = talk.client(principal=CI), talk.client(principal=CI)
    asks(alice, 0)
    refused = asks(bob, 1)
    assert refused.error["data"] == {"limit": "concurrent_calls", "retry_in_s": 1.0}
    assert "has 1 calls in flight, as many as it may" in refused.error["message"]
    answers_oldest(upstream)
    assert asks(bob, 2).is_waiting


def test_a_call_that_waits_for_its_instance_is_in_flight() -> None:
    talk, _ = talk_with(ONE_AT_A_TIME)
    talk.configured(spec("a"), spec("b"))
    talk.starting("b")
    alice = talk.client(principal=CI)
    asks(alice, 0, "b")
    assert is_refused(asks(alice, 1))
    upstream = talk.up("b", "echo")
    assert is_refused(asks(alice, 2))
    answers_oldest(upstream)
    assert asks(alice, 3).is_waiting


def test_however_a_call_ends_it_is_in_flight_no_more() -> None:
    talk, upstream = talk_with(ONE_AT_A_TIME)
    alice = talk.client(principal=CI)
    asks(alice, 0)
    upstream.fails(upstream.sees_one(), {"code": 1, "message": "no"})
    cancelled = asks(alice, 1)
    alice.cancels(cancelled)
    asks(alice, 2)
    talk.time_passes(T_S + 1)
    asks(talk.client("gone", principal=CI), 3)
    talk.happens(ClientClosed("gone"))
    asks(alice, 4)
    upstream.breaks()
    assert talk.state.usages["ci"].in_flight == 0


def test_call_is_in_flight_while_its_client_is_away_and_the_retry_is_no_other_call() -> None:
    talk, upstream = talk_with(RateLimits(60, burst=1, concurrent_calls=1))
    client = talk.stateless_client(CI, roots={})
    asked = client.routes("echo")
    upstream.asks("roots/list", None, id="q", related=upstream.sees_one()["id"])
    assert asked.result["resultType"] == "input_required"
    assert talk.state.usages["ci"].in_flight == 1
    answers = {key: {"roots": []} for key in asked.result["inputRequests"]}
    retry = client.retries(asked, answers)
    assert retry.is_waiting
    assert talk.state.usages["ci"].in_flight == 1
    upstream.inbox.waiting.clear()
    talk.time_passes(100 * T_S)
    assert talk.state.usages["ci"].in_flight == 0


# --- Changes, and the log --------------------------------------------------------------------


def test_other_limits_hold_from_the_next_call_on() -> None:
    talk, _ = talk_with(ONE_A_MINUTE)
    alice = talk.client(principal=CI)
    asks(alice, 0)
    assert is_refused(asks(alice, 1))
    talk.settings_change(rates={"ci": RateLimits(600, burst=60)})
    assert is_refused(asks(alice, 2))
    talk.time_passes(1)
    assert asks(alice, 3).is_waiting
    talk.settings_change(rates={})
    assert talk.state.usages == {}
    assert all(asks(alice, number).is_waiting for number in range(4, 100))


def test_log_tells_of_the_first_refused_call_and_then_of_all_in_a_minute() -> None:
    talk, _ = talk_with(RateLimits(concurrent_calls=1))
    alice = talk.client(principal=CI)
    asks(alice, 0)
    for number in range(1, 100):
        asks(alice, number)
    assert talk.logged == ["Token 'ci' has reached its concurrent_calls; a call is refused"]
    talk.time_passes(61)
    asks(alice, 100)
    asks(alice, 101)
    assert talk.logged[1:] == ["Token 'ci' has reached its concurrent_calls; 99 calls were refused"]
