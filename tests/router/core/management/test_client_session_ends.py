"""Sessions of single clients end: with their client, when idle, with their configuration."""

from router.core.management.reconfigure import LEAVE_WITHIN_S
from router.core.state.session_rows import IDLE_EXPIRY_S
from tests.router.core.conversation import Conversation, spec
from tests.router.core.per_client import comes_up, initialized, per_client, ready_for, talk_about


def nothing_is_left(talk: Conversation) -> bool:
    state = talk.state
    table = state.client_sessions
    rows = [row for one in state.instances for row in one.client_sessions.values()]
    return not (
        table.by_name
        or table.by_address
        or len(table.idle_due)
        or table._joined
        or rows
        or state.sessions
        or state.leaving
    )


# --- With the client -------------------------------------------------------------------------


def test_a_session_is_stopped_when_its_client_goes() -> None:
    talk = talk_about()
    alice = initialized(talk)
    upstream = ready_for(talk, alice)
    call = alice.routes("echo")
    upstream.sees()
    alice.leaves("closed the window")
    assert upstream.sees_one()["method"] == "notifications/cancelled"
    assert talk.stopped == ["a#1"]
    assert call.mailbox.closed
    assert nothing_is_left(talk)


def test_a_session_that_still_starts_is_stopped_when_its_client_goes() -> None:
    talk = talk_about()
    alice = initialized(talk)
    alice.routes("echo")
    alice.leaves()
    assert talk.stopped == ["a#1"]
    talk.starting("a#1")
    talk.up("a#1", "echo")
    talk.down("a#1", "", None)
    assert nothing_is_left(talk)


def test_a_client_that_reads_too_slowly_has_its_session_stopped() -> None:
    talk = talk_about()
    alice = initialized(talk)
    ready_for(talk, alice)
    alice.overflows()
    assert talk.stopped == ["a#1"]
    assert nothing_is_left(talk)


def test_a_client_that_comes_again_gets_another_session() -> None:
    talk = talk_about()
    for n in (1, 2):
        alice = initialized(talk)
        ready_for(talk, alice)
        assert talk.started[-1].name == f"a#{n}"
        alice.leaves()


# --- When idle -------------------------------------------------------------------------------


def test_a_session_of_lone_requests_ends_when_nobody_has_used_it_for_a_while() -> None:
    talk = talk_about()
    ready_for(talk, talk.client(one_shot=True))
    talk.time_passes(IDLE_EXPIRY_S - 1)
    assert talk.stopped == []
    talk.time_passes(2)
    assert talk.stopped == ["a#1"]
    assert nothing_is_left(talk)


def test_each_use_puts_the_end_off() -> None:
    talk = talk_about()
    upstream = ready_for(talk, talk.client(one_shot=True))
    for _ in range(3):
        talk.time_passes(IDLE_EXPIRY_S - 10)
        talk.client(one_shot=True).routes("echo")
        upstream.answers(upstream.sees_one(), {})
    assert talk.stopped == []
    talk.time_passes(IDLE_EXPIRY_S + 1)
    assert talk.stopped == ["a#1"]


def test_a_session_with_a_call_in_flight_is_not_idle() -> None:
    talk = talk_about(per_client(timeout_s=IDLE_EXPIRY_S))
    upstream = ready_for(talk, talk.client(one_shot=True))
    asked = talk.client(one_shot=True)
    call = asked.asks(
        "tools/call",
        {
            "name": "mcp.router.call",
            "arguments": {"instance_name": "a", "tool_name": "echo"},
            "_meta": {"progressToken": 1},
        },
    )
    request = upstream.sees_one()
    for _ in range(4):
        talk.time_passes(IDLE_EXPIRY_S / 2)
        upstream.says("notifications/progress", {"progressToken": request["id"], "progress": 1})
    upstream.answers(request, {})
    assert talk.stopped == []
    assert call.result == {}
    talk.time_passes(2 * IDLE_EXPIRY_S + 1)
    assert talk.stopped == ["a#1"]


def test_a_session_of_a_client_that_stays_never_expires() -> None:
    talk = talk_about()
    ready_for(talk, initialized(talk))
    talk.time_passes(10 * IDLE_EXPIRY_S)
    assert talk.stopped == []
    assert talk.core.next_deadline_s() is None


# --- With the configuration ------------------------------------------------------------------


def test_a_changed_configuration_ends_all_sessions_and_the_next_call_gets_the_new_one() -> None:
    talk = talk_about()
    alice, bob = initialized(talk), initialized(talk)
    ready_for(talk, alice)
    bob.routes("echo")
    talk.configured(per_client(command="other"))
    assert talk.stopped == ["a#1", "a#2"]
    assert nothing_is_left(talk)
    ready_for(talk, alice)
    assert (talk.started[-1].name, talk.started[-1].command) == ("a#3", "other")


def test_a_call_in_flight_may_end_before_its_session_leaves() -> None:
    talk = talk_about()
    alice = initialized(talk)
    upstream = ready_for(talk, alice)
    call = alice.routes("echo")
    talk.configured(per_client(command="other"))
    assert talk.stopped == []
    upstream.answers(upstream.sees_one(), {"late": True})
    assert call.result == {"late": True}
    assert talk.stopped == ["a#1"]
    assert nothing_is_left(talk)


def test_a_call_that_takes_too_long_is_lost_with_its_session() -> None:
    talk = talk_about(per_client(timeout_s=1000))
    alice = initialized(talk)
    ready_for(talk, alice)
    call = alice.routes("echo")
    talk.configured()
    talk.time_passes(LEAVE_WITHIN_S + 1)
    assert "its configuration changed" in call.tool_error[1]
    assert talk.stopped == ["a#1"]
    assert nothing_is_left(talk)


def test_a_call_that_waits_for_a_session_is_refused_when_the_instance_is_removed() -> None:
    talk = talk_about()
    call = initialized(talk).routes("echo")
    talk.configured()
    assert call.tool_error[1] == "Instance 'a' not connected: stopping"
    assert talk.stopped == ["a#1"]
    assert nothing_is_left(talk)


def test_an_instance_that_is_shared_from_now_on_runs_one_session_under_its_own_name() -> None:
    talk = talk_about()
    alice = initialized(talk)
    ready_for(talk, alice)
    talk.configured(spec("a"))
    assert (talk.stopped, talk.started[-1].name) == (["a#1"], "a")
    talk.starting("a")
    upstream = talk.up("a", "echo")
    alice.routes("echo")
    assert len(upstream.sees()) == 1
    assert nothing_is_left_but(talk, sessions=1)


def nothing_is_left_but(talk: Conversation, *, sessions: int) -> bool:
    return len(talk.state.sessions) == sessions and not talk.state.client_sessions.by_name


def test_an_instance_that_is_per_client_from_now_on_stops_the_shared_session() -> None:
    talk = Conversation()
    talk.with_upstreams("a")
    talk.configured(per_client("a"))
    assert talk.stopped == ["a"]
    alice = initialized(talk)
    ready_for(talk, alice)
    assert talk.started[-1].name == "a#1"


def test_other_settings_of_calls_reach_the_running_sessions() -> None:
    talk = talk_about()
    alice = initialized(talk)
    upstream = ready_for(talk, alice)
    talk.configured(per_client(timeout_s=2.0))
    call = alice.routes("echo")
    upstream.sees()
    talk.time_passes(3)
    assert call.tool_error == ("TIMEOUT", "Timeout exceeded: 2s")
    assert (len(talk.started), talk.stopped) == (1, [])


def test_lists_of_a_removed_instance_are_gone_and_its_clients_hear_of_it() -> None:
    talk = talk_about(view="direct")
    alice = initialized(talk)
    alice.lists()
    comes_up(talk, "a#1", "echo")
    alice.lists()
    alice.outbox.take()
    talk.configured()
    assert [frame["method"] for frame in alice.outbox.take()] == [
        "notifications/tools/list_changed"
    ]
    assert alice.lists() == []


def test_subscribers_get_a_session_of_the_changed_instance_at_once() -> None:
    talk = talk_about(view="a")
    alice = talk.client()
    alice.initializes()
    upstream = comes_up(talk, "a#1")
    alice.asks("resources/subscribe", {"uri": "file:///x"})
    upstream.answers(upstream.sees_one(), {})
    talk.configured(per_client(command="other"))
    assert talk.stopped == ["a#1"]
    assert [started.name for started in talk.started] == ["a#1", "a#2"]
    upstream = comes_up(talk, "a#2")
    assert upstream.sees_one()["params"] == {"uri": "file:///x"}
    alice.leaves()
    assert talk.stopped == ["a#1", "a#2"]
    assert nothing_is_left(talk)


def test_a_late_report_about_a_session_that_has_ended_finds_nothing() -> None:
    talk = talk_about()
    alice = initialized(talk)
    upstream = ready_for(talk, alice)
    alice.leaves()
    upstream.breaks()
    talk.down("a#1", "", None)
    talk.failed("a#1")
    talk.starting("a#1")
    talk.up("a#1", "echo")
    assert nothing_is_left(talk)
    assert talk.list_row("a")["state"] == "idle"
