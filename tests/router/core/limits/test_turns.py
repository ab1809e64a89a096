"""An instance with `max_in_flight`: who is let in, who waits, and how waiting ends."""

from typing import Any

import attrs
import pytest

from router.messages.commands import CallTool, Principal, ShowStatus
from router.messages.errors import INSTANCE_NOT_FOUND, OVERLOADED
from router.messages.events import ClientClosed
from tests.router.core.conversation import raw, spec
from tests.router.core.limits.limited import answers_oldest, asks, limited, marks, ready_with
from tests.router.core.per_client import comes_up

# --- Let in, and made to wait ----------------------------------------------------------------


def test_no_more_calls_are_sent_than_may_be_in_flight() -> None:
    _, alice, upstream = ready_with(limited(at_a_time=2))
    calls = [asks(alice, number) for number in range(4)]
    assert marks(upstream) == [0, 1]
    answers_oldest(upstream)
    assert marks(upstream) == [1, 2]
    for _ in range(3):
        answers_oldest(upstream)
    assert [call.result["mark"] for call in calls] == [0, 1, 2, 3]


def test_an_instance_without_a_limit_takes_everything() -> None:
    _, alice, upstream = ready_with(spec("a"))
    for number in range(50):
        asks(alice, number)
    assert marks(upstream) == list(range(50))


def test_an_error_frees_the_place_as_well() -> None:
    _, alice, upstream = ready_with(limited())
    asks(alice, 0)
    asks(alice, 1)
    upstream.fails(upstream.sees_one(), {"code": 1, "message": "no"})
    assert marks(upstream) == [1]


def test_a_call_that_did_not_fit_into_the_session_frees_its_place() -> None:
    _, alice, upstream = ready_with(limited())
    asks(alice, 0)
    asks(alice, 1)
    (sent,) = upstream.inbox.waiting
    upstream.overflows(sent)
    assert marks(upstream) == [0, 1]


@pytest.mark.parametrize("view", ["router", "direct", "a"])
def test_calls_of_all_views_wait(view: str) -> None:
    _, client, upstream = ready_with(limited(), view=view)
    asked = [client.calls("a__echo" if view != "a" else "echo", {"mark": n}) for n in range(2)]
    assert marks(upstream) == [0]
    assert asked[1].is_waiting


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("prompts/get", {"name": "a__say"}),
        ("resources/read", {"uri": "file:///x"}),
        (
            "completion/complete",
            {"ref": {"type": "ref/resource", "uri": "file:///x"}, "argument": {}},
        ),
    ],
)
def test_prompts_and_resources_wait_as_well(method: str, params: Any) -> None:
    talk, alice, _ = ready_with(limited())
    talk.starting("a")
    upstream = talk.up("a", "echo", prompts=["say"], resources=["file:///x"])
    asks(alice, 0)
    asked = alice.asks(method, params)
    answers_oldest(upstream)
    request = upstream.sees_one()
    assert request["method"] == method
    upstream.answers(request, {"contents": []})
    assert asked.result == {"contents": []}


def test_the_routers_own_answers_wait_for_nothing() -> None:
    talk, alice, upstream = ready_with(limited())
    asks(alice, 0)
    assert alice.uses("a").result
    assert alice.calls("mcp.router.help", {"instance_name": "a"}).result
    transparent = talk.client(view="a")
    assert transparent.initializes().result
    transparent.asks("tools/list")
    assert upstream.sees()[-1]["method"] == "tools/list"


def test_a_call_over_rest_waits_as_well() -> None:
    talk, alice, upstream = ready_with(limited())
    asks(alice, 0)
    command = talk.admin_asks(CallTool("a", "echo", raw({"mark": "rest"})))
    assert command.is_waiting
    answers_oldest(upstream)
    answers_oldest(upstream)
    assert bytes(command.answer) == b'{"mark":"rest"}'


# --- Too many --------------------------------------------------------------------------------


def test_beyond_as_many_waiting_calls_the_next_is_refused_with_the_numbers() -> None:
    talk, _, _ = ready_with(limited(at_a_time=2))
    client = talk.client(view="a")
    client.initializes()
    asked = [client.calls("echo", {"mark": number}) for number in range(5)]
    assert [call.is_waiting for call in asked] == [True] * 4 + [False]
    assert asked[4].error == {
        "code": OVERLOADED,
        "message": "Instance 'a' is overloaded: 2 of 2 calls are in flight and 2 of 2 wait for "
        "their turn; try again later, or raise its max_in_flight",
        "data": {"max_in_flight": 2},
    }


def test_a_client_with_many_waiting_calls_makes_room_for_another_client() -> None:
    talk, greedy, upstream = ready_with(limited(at_a_time=2))
    flood = [asks(greedy, number) for number in range(10)]
    call = asks(talk.client(), "bob")
    code, message = flood[3].tool_error
    assert code == "OVERLOADED"
    assert message.endswith("the place of this call went to a client with fewer of them")
    answers_oldest(upstream)
    assert marks(upstream) == [1, "bob"]
    assert call.is_waiting


def test_a_client_with_ten_thousand_calls_does_not_hold_up_another_one() -> None:
    talk, greedy, upstream = ready_with(limited(at_a_time=5000))
    for number in range(10_000):
        asks(greedy, number)
    assert len(upstream.inbox.waiting) == 5000
    asks(talk.client(), "bob")
    answers_oldest(upstream)
    assert marks(upstream)[-1] == "bob"


# --- Fair turns ------------------------------------------------------------------------------


def test_the_next_turn_is_that_of_the_client_with_the_fewest_calls_in_flight() -> None:
    talk, greedy, upstream = ready_with(limited(at_a_time=3))
    for number in range(6):
        asks(greedy, number)
    bob, carol = talk.client(), talk.client()
    asks(bob, "bob")
    asks(carol, "carol")
    for _ in range(3):
        answers_oldest(upstream)
    assert marks(upstream) == ["bob", "carol", 3]


def test_where_all_have_as_many_in_flight_they_take_turns() -> None:
    talk, alice, upstream = ready_with(limited(at_a_time=2))
    asks(alice, 0)
    asks(alice, 1)
    asks(alice, "alice")
    asks(talk.client(), "bob")
    talk.configured(limited(at_a_time=1))
    answers_oldest(upstream)
    assert marks(upstream) == [1]
    answers_oldest(upstream)
    assert marks(upstream) == ["alice"]
    answers_oldest(upstream)
    assert marks(upstream) == ["bob"]


def test_a_call_that_another_request_waits_for_now_still_counts_for_its_client() -> None:
    talk, alice, upstream = ready_with(limited(at_a_time=2))
    http = talk.stateless_client(elicitation={})
    held = http.routes("echo")
    request = upstream.sees_one()
    asks(alice, 0)
    asks(talk.client(), 1)
    asks(talk.client(), 2)
    answers_oldest(upstream)
    upstream.asks("elicitation/create", {"message": "?"}, id="q", related=request["id"])
    http.meta = {"io.modelcontextprotocol/clientInfo": {"name": "other", "version": "1"}}
    again = http.retries(held, {})
    upstream.answers(request, {"content": []})
    assert again.result["resultType"] == "input_required"
    for _ in range(2):
        answers_oldest(upstream)
    assert not talk.state.calls.loads


def test_sessions_are_clients_of_their_own_and_requests_over_http_one_for_each_program() -> None:
    talk, alice, upstream = ready_with(limited(at_a_time=4))
    for number in range(4):
        asks(alice, number)
    http = talk.stateless_client(principal=Principal("lone"))
    other = talk.stateless_client(principal=Principal("other"))
    for number in range(2):
        asks(http, f"http {number}")
    asks(other, "other")
    asks(alice, "alice")
    for _ in range(4):
        answers_oldest(upstream)
    assert marks(upstream) == ["http 0", "other", "alice", "http 1"]


def test_requests_of_one_connection_are_one_client() -> None:
    talk, alice, upstream = ready_with(limited(at_a_time=3))
    asks(alice, 0)
    connection = talk.stateless_connection()
    for number in range(4):
        asks(connection, f"connection {number}")
    asks(alice, 1)
    answers_oldest(upstream)
    assert marks(upstream)[-1] == 1


# --- The ends of waiting ---------------------------------------------------------------------


def test_a_waiting_call_can_be_cancelled() -> None:
    _, alice, upstream = ready_with(limited())
    asks(alice, 0)
    cancelled, kept = asks(alice, 1), None
    alice.cancels(cancelled)
    assert cancelled.mailbox.closed
    kept = asks(alice, 2)
    assert [frame["method"] for frame in upstream.sees()] == ["tools/call"]
    assert kept.is_waiting


def test_the_place_of_a_client_that_goes_is_free() -> None:
    talk, alice, upstream = ready_with(limited())
    asks(alice, 0)
    bob = talk.client()
    asks(bob, 1)
    asks(talk.client(), 2)
    bob.leaves()
    alice.leaves()
    assert marks(upstream) == [0]
    asks(talk.client(), 3)
    assert marks(upstream) == [0, 3]


def test_the_place_of_a_lone_request_that_goes_is_free() -> None:
    talk, alice, upstream = ready_with(limited())
    asks(alice, 0)
    http = talk.stateless_client()
    asks(http, 1)
    talk.happens(ClientClosed(http.id, "gone"))
    answers_oldest(upstream)
    assert marks(upstream) == []


def test_the_time_in_which_a_call_waited_counts_and_the_error_says_so() -> None:
    talk, alice, upstream = ready_with(limited(timeout_s=30.0))
    asks(alice, 0)
    asked = asks(alice, 1)
    talk.time_passes(20)
    answers_oldest(upstream)
    assert marks(upstream) == [1]
    talk.time_passes(9.5)
    assert asked.is_waiting
    talk.time_passes(1)
    message = "Timeout exceeded: 30s, of which 20.0 s waiting for its turn"
    assert asked.tool_error == ("TIMEOUT", message)


def test_progress_gives_a_call_that_waited_its_whole_time_again() -> None:
    talk, alice, upstream = ready_with(limited(timeout_s=30.0))
    asks(alice, 0)
    routed = {"instance_name": "a", "tool_name": "echo", "arguments": {"mark": 1}}
    asked = alice.calls("mcp.router.call", routed, _meta={"progressToken": 1})
    talk.time_passes(20)
    answers_oldest(upstream)
    upstream.says(
        "notifications/progress", {"progressToken": upstream.sees_one()["id"], "progress": 1}
    )
    talk.time_passes(29)
    assert asked.is_waiting


def test_a_call_that_waits_all_its_time_is_never_sent() -> None:
    talk, alice, upstream = ready_with(limited(timeout_s=30.0))
    talk.client()
    asks(alice, 0)
    talk.time_passes(15)
    upstream.says("notifications/progress", {"progressToken": upstream.sees_one()["id"]})
    progressing = talk.state.calls.by_id
    for call in progressing.values():
        talk.state.calls.extend(call, talk.now_s)
    asked = asks(alice, 1)
    for call in progressing.values():
        talk.state.calls.deadlines.arm(call.id, talk.now_s + 100)
    talk.time_passes(31)
    assert asked.tool_error == (
        "TIMEOUT",
        "Timeout exceeded: 30s; the call waited for its turn all the time, because instance 'a' "
        "takes 1 at a time (max_in_flight)",
    )
    assert upstream.sees() == []


# --- The instance changes --------------------------------------------------------------------


def test_waiting_calls_go_to_the_session_after_one_that_was_lost() -> None:
    talk, alice, upstream = ready_with(limited())
    lost, waiting = asks(alice, 0), asks(alice, 1)
    upstream.breaks()
    assert lost.tool_error[0] == "SESSION_LOST"
    assert waiting.is_waiting
    talk.down("a")
    talk.starting("a")
    after = talk.up("a", "echo")
    assert marks(after) == [1]


def test_the_time_before_a_restart_counts_as_well() -> None:
    talk, alice, upstream = ready_with(limited(timeout_s=30.0))
    for number in range(2):
        asks(alice, number)
    bob = talk.client()
    talk.configured(limited(at_a_time=2, timeout_s=30.0))
    waiting = [asks(bob, number) for number in range(2)]
    talk.time_passes(10)
    talk.configured(limited(at_a_time=1, timeout_s=30.0))
    upstream.breaks()
    talk.starting("a")
    after = talk.up("a", "echo")
    assert marks(after) == [0]
    talk.time_passes(10)
    answers_oldest(after)
    assert marks(after) == [1]
    talk.time_passes(10.5)
    message = "Timeout exceeded: 30s, of which 20.0 s waiting for its turn"
    assert waiting[1].tool_error == ("TIMEOUT", message)


def test_waiting_calls_fail_with_an_instance_that_will_not_come_back() -> None:
    talk, alice, upstream = ready_with(limited())
    asks(alice, 0)
    waiting = asks(alice, 1)
    upstream.breaks()
    talk.failed("a", "too often")
    assert waiting.tool_error[0] == "UNAVAILABLE"
    assert not talk.state.queues


@pytest.mark.parametrize("limit", [3, None])
def test_a_greater_limit_or_none_lets_waiting_calls_in_at_once(limit: int | None) -> None:
    talk, alice, upstream = ready_with(limited())
    asks(alice, 0)
    asks(alice, 1)
    talk.configured(limited(at_a_time=limit))
    assert marks(upstream) == [0, 1]


def test_a_smaller_limit_holds_from_the_next_call_on() -> None:
    talk, alice, upstream = ready_with(limited(at_a_time=3))
    for number in range(5):
        asks(alice, number)
    talk.configured(limited(at_a_time=1))
    _, message = asks(alice, 5).tool_error
    assert "3 of 1 calls are in flight and 2 of 1 wait" in message
    for _ in range(2):
        answers_oldest(upstream)
        assert len(marks(upstream)) < 3
    answers_oldest(upstream)
    assert marks(upstream) == [3]


def test_a_limit_that_is_new_holds_for_the_next_call() -> None:
    talk, alice, upstream = ready_with(spec("a"))
    asks(alice, 0)
    talk.configured(limited(at_a_time=1))
    asks(alice, 1)
    assert marks(upstream) == [0]
    answers_oldest(upstream)
    assert marks(upstream) == [1]


def test_waiting_calls_wait_for_the_changed_instance() -> None:
    talk, alice, upstream = ready_with(limited())
    asks(alice, 0)
    waiting = asks(alice, 1)
    talk.configured(limited(command="other"))
    talk.time_passes(20)
    assert waiting.is_waiting
    answers_oldest(upstream)
    talk.starting("a")
    after = talk.up("a", "echo")
    assert marks(after) == [1]
    talk.time_passes(20)
    assert waiting.is_waiting


def test_waiting_calls_of_a_removed_instance_say_that_it_is_not_there() -> None:
    talk, alice, _ = ready_with(limited(), limited("b"))
    asks(alice, 0)
    waiting = asks(alice, 1)
    talk.configured(limited("b"))
    assert waiting.tool_error[0] == "INSTANCE_NOT_FOUND"


def test_a_waiting_call_over_rest_of_a_removed_instance_says_that_it_is_not_there() -> None:
    talk, alice, _ = ready_with(limited())
    asks(alice, 0)
    command = talk.admin_asks(CallTool("a", "echo", raw({})))
    talk.configured()
    assert command.error.code == INSTANCE_NOT_FOUND


def test_waiting_calls_of_a_disabled_instance_say_that_it_is_not_active() -> None:
    talk, alice, _ = ready_with(limited())
    asks(alice, 0)
    waiting = asks(alice, 1)
    talk.configured(attrs.evolve(limited(), is_active=False))
    assert waiting.tool_error == ("UNAVAILABLE", "Instance 'a' is not active")


def test_a_router_that_stops_refuses_what_waits() -> None:
    talk, alice, upstream = ready_with(limited())
    asks(alice, 0)
    waiting = asks(alice, 1)
    stopped = talk.drains()
    assert waiting.tool_error == ("UNAVAILABLE", "The router is stopping")
    answers_oldest(upstream)
    assert stopped.waiting == [None]


def test_each_session_of_a_client_has_the_limit_for_itself() -> None:
    talk, alice, _ = ready_with(limited("b"), limited(sessions="per_client"))
    bob = talk.client()
    bob.initializes()
    asks(alice, 0)
    asks(bob, 1)
    first, second = (comes_up(talk, name) for name in ("a#1", "a#2"))
    asks(alice, 2)
    assert (marks(first), marks(second)) == ([0], [1])
    answers_oldest(first)
    assert marks(first) == [2]
    talk.configured(limited("b"), limited(at_a_time=2, sessions="per_client"))
    asks(bob, 3)
    assert marks(second) == [1, 3]


def test_a_waiting_call_of_a_client_with_its_own_session_waits_for_the_next_one() -> None:
    talk, alice, _ = ready_with(limited("b"), limited(sessions="per_client"))
    asks(alice, 0)
    before = comes_up(talk, "a#1")
    asks(alice, 1)
    talk.configured(limited("b"), limited(sessions="per_client", command="other"))
    answers_oldest(before)
    assert marks(comes_up(talk, "a#2")) == [1]


# --- What is shown ---------------------------------------------------------------------------


def test_the_status_counts_what_is_in_flight_and_what_waits() -> None:
    talk, alice, _ = ready_with(limited())
    asks(alice, 0)
    asks(alice, 1)
    (row,) = talk.admin_asks(ShowStatus()).answer
    assert (row["in_flight"], row["waiting"]) == (1, 1)
