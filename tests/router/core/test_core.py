"""The beginnings and ends of clients, sessions and instances; stopping; deadlines."""

import pytest

from router.messages.frames import NO_RAW, Request
from tests.router.core.conversation import Conversation, ready, spec

# --- Clients ---------------------------------------------------------------------------------


def test_initialize_is_answered_while_every_instance_still_starts() -> None:
    talk = Conversation()
    talk.configured(spec("a"), spec("b"))
    assert talk.client().initializes().result["protocolVersion"] == "2025-11-25"


def test_a_handshake_needs_instances_where_its_view_is_one_or_may_be_one() -> None:
    talk = Conversation(view="a")
    client = talk.client()
    assert talk.core.needs_instances(client.id)
    talk.configured(spec("a"))
    assert talk.core.needs_instances(client.id)
    assert not talk.core.needs_instances("nobody")
    direct = Conversation(view="direct")
    assert not direct.core.needs_instances(direct.client().id)


def test_a_client_that_leaves_has_its_calls_cancelled_upstream_and_its_replies_ended() -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    alice.leaves("closed the window")
    cancelled = upstream.sees_one()
    assert cancelled["method"] == "notifications/cancelled"
    assert cancelled["params"] == {"requestId": seen["id"], "reason": "closed the window"}
    assert call.mailbox.closed
    assert call.finals == []


def test_the_answer_for_a_client_that_left_is_dropped() -> None:
    talk, alice, upstream = ready()
    alice.routes("echo")
    alice.leaves()
    upstream.answers(upstream.sees()[0], {})
    assert repr(talk.core) == "<Core clients=0 calls=0 parked=0 sessions=1>"


def test_a_client_that_leaves_while_its_call_is_parked_has_its_reply_ended() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    alice = talk.client()
    call = alice.routes("echo")
    alice.leaves()
    assert call.mailbox.closed
    talk.starting("a")
    assert talk.up("a", "echo").sees() == []


def test_a_client_that_leaves_leaves_its_upstreams_question_unanswerable() -> None:
    talk, _, upstream = ready()
    bob = talk.client()
    bob.initializes(roots={})
    bob.routes("echo")
    upstream.asks("roots/list", id="q")
    upstream.sees()
    bob.leaves()
    refusal, cancelled = upstream.sees()
    assert (refusal["id"], refusal["error"]["message"]) == ("q", "The client is gone")
    assert cancelled["method"] == "notifications/cancelled"


def test_a_client_that_reads_too_slowly_is_closed_and_its_replies_are_ended() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    alice.overflows()
    assert talk.closed == {alice.id: "The client reads too slowly"}
    assert alice.outbox.closed
    assert call.mailbox.closed
    assert upstream.sees()[-1]["method"] == "notifications/cancelled"


def test_a_client_with_one_channel_is_closed_once() -> None:
    talk = Conversation()
    upstream = talk.with_upstreams("a")[0]
    alice = talk.client(one_channel=True)
    alice.routes("echo")
    alice.leaves()
    assert not alice.outbox.closed  # Its listener said that it left: that is the listener's to do.
    assert upstream.sees()[-1]["method"] == "notifications/cancelled"


def test_overflow_and_end_of_an_unknown_client_are_ignored() -> None:
    talk = Conversation()
    alice = talk.client()
    alice.leaves()
    alice.leaves()
    alice.overflows()
    assert talk.closed == {}


def test_a_request_of_a_client_closed_meanwhile_has_its_reply_ended() -> None:
    _, alice, _ = ready()
    alice.overflows()
    late = alice.asks("ping")
    assert late.mailbox.closed
    alice.says("notifications/cancelled", {"requestId": 1})


# --- Sessions --------------------------------------------------------------------------------


def test_calls_in_flight_on_a_session_that_breaks_get_session_lost() -> None:
    _, alice, upstream = ready()
    routed = alice.routes("echo")
    upstream.breaks("exit code -9")
    message = "Instance 'a' was lost during the call: exit code -9"
    assert routed.tool_error == ("SESSION_LOST", message)


def test_a_direct_call_on_a_session_that_breaks_gets_the_error_code() -> None:
    _, alice, upstream = ready()
    alice.uses()
    direct = alice.calls("echo", {})
    upstream.breaks()
    assert direct.error["code"] == -32012


def test_a_session_that_breaks_leaves_others_alone() -> None:
    talk = Conversation()
    broken, sound = talk.with_upstreams("a", "b")
    alice = talk.client()
    lost, kept = alice.routes("echo", "a"), alice.routes("echo", "b")
    broken.breaks()
    sound.answers(sound.sees_one(), {"ok": True})
    assert lost.tool_error[0] == "SESSION_LOST"
    assert kept.result == {"ok": True}


def test_a_session_whose_end_only_the_supervisor_saw_fails_its_calls_as_well() -> None:
    talk, alice, _ = ready()
    down = alice.routes("echo")
    talk.down("a", "it crashed")
    assert down.tool_error == ("SESSION_LOST", "Instance 'a' was lost during the call: it crashed")
    talk.starting("a")
    talk.up("a", "echo")
    failed = alice.routes("echo")
    talk.failed("a", "again")
    assert failed.tool_error == ("SESSION_LOST", "Instance 'a' was lost during the call: again")
    talk.starting("a")
    talk.up("a", "echo")
    anew = alice.routes("echo")
    talk.starting("a")
    assert anew.tool_error[0] == "SESSION_LOST"
    assert talk.state.sessions == {}


def test_a_session_that_is_lost_at_once_fails_the_calls_that_waited_for_it() -> None:
    """A start timeout can pass while `SessionUp` is on its way; then `SessionLost` follows it."""
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    waiting = talk.client().routes("echo")
    talk.up("a", "echo").breaks("it was stopped")
    talk.down("a", "not started within 60 s", retry_in_s=1.0)
    assert waiting.tool_error[0] == "SESSION_LOST"
    assert talk.list_row("a")["state"] == "backoff"
    assert talk.list_row("a")["last_error"] == "not started within 60 s"
    assert talk.state.sessions == {}


def test_the_loss_of_a_session_that_was_never_up_changes_nothing() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    talk.up("b", session=7).breaks()
    assert talk.list_row("a")["state"] == "starting"


def test_a_session_of_a_removed_instance_is_ignored() -> None:
    talk = Conversation()
    assert talk.up("a", "echo").sees() == []
    talk.starting("a")
    talk.down("a")
    talk.failed("a")
    assert talk.state.sessions == {}


def test_a_frame_that_did_not_fit_is_an_overload_for_its_call_alone() -> None:
    _, alice, upstream = ready()
    first, second = alice.routes("echo"), alice.routes("echo")
    frame = upstream.inbox.waiting[1]
    upstream.overflows(frame)
    assert second.tool_error == ("OVERLOADED", "Instance 'a' is overloaded; try again later")
    assert first.is_waiting


def test_a_frame_for_a_dead_incarnation_is_a_lost_session() -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo")
    upstream.overflows(upstream.inbox.waiting[0], lost=True)
    message = "Instance 'a' was lost before the call was sent"
    assert call.tool_error == ("SESSION_LOST", message)


def test_a_notification_or_an_ended_call_that_did_not_fit_is_dropped() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    frame = upstream.inbox.waiting[0]
    alice.cancels(call)
    upstream.overflows(upstream.inbox.waiting[1])
    upstream.overflows(frame)
    assert call.finals == []
    assert talk.state.calls.by_id == {}


def test_an_overflow_cannot_end_the_call_of_another_session() -> None:
    _, alice, upstream = ready()
    call = alice.routes("echo")
    seen = upstream.sees_one()
    upstream.session += 1
    upstream.overflows(Request(seen["id"], "tools/call", NO_RAW))
    assert call.is_waiting


def test_a_catalog_of_a_session_that_is_gone_is_ignored() -> None:
    talk, alice, upstream = ready()
    upstream.breaks()
    upstream.lists("sing")
    assert [item.key for item in talk.state.instances.by_name["a"].offers.catalog.tools] == ["echo"]
    alice.uses()


# --- Instances -------------------------------------------------------------------------------


def test_instances_are_started_together_and_listed_in_the_order_of_configuration() -> None:
    talk = Conversation()
    talk.configured(spec("z"), spec("off", is_active=False), spec("bad", problem="no"), spec("a"))
    assert [one.name for one in talk.started] == ["z", "a"]
    talk.configured(spec("a"), spec("new"), spec("z"))
    assert [row["name"] for row in talk.client().calls("mcp.router.list").text] == ["a", "new", "z"]
    assert [one.name for one in talk.started] == ["z", "a", "new"]


def test_an_unchanged_instance_keeps_its_session() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    talk.configured(spec("a"), spec("b"))
    assert call.is_waiting
    assert talk.stopped == []
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_keys_that_are_only_shown_change_without_a_restart() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    talk.configured(spec("a", metadata={"k": 1}, provider="other", timeout_s=5.0, source="f"))
    assert (len(talk.started), talk.stopped) == (1, [])
    assert talk.list_row("a")["display_name"] == "a (provider: other)"
    upstream.answers(upstream.sees_one(), {})
    assert call.result == {}


@pytest.mark.parametrize(
    "change",
    [{"command": "other"}, {"env": {"K": "v"}}, {"args": ("-v",)}, {"type": "http", "url": "u"}],
    ids=str,
)
def test_a_reconfigured_instance_is_started_anew(change: dict[str, object]) -> None:
    talk, _, _ = ready()
    talk.configured(spec("a", **change))
    assert len(talk.started) == 2
    assert talk.stopped == []  # To start it is to restart it.
    assert talk.state.sessions == {}


def test_late_reports_about_the_former_incarnation_do_not_reach_the_new_row() -> None:
    talk, alice, _ = ready()
    talk.configured(spec("a", command="other"))
    parked = alice.routes("echo")
    assert parked.is_waiting
    talk.down("a", "", retry_in_s=0.0)
    talk.failed("a")
    old = talk.up("a", "old")
    assert parked.is_waiting
    assert old.sees() == []
    talk.starting("a")
    new = talk.up("a", "echo")
    new.answers(new.sees_one(), {"ok": True})
    assert parked.result == {"ok": True}


@pytest.mark.parametrize("remove", [True, False], ids=["removed", "disabled"])
def test_an_instance_taken_away_is_stopped_and_its_tools_are_gone(remove: bool) -> None:
    talk, alice, _ = ready()
    alice.uses()
    alice.outbox.take()
    alice.lists()
    talk.configured(*([] if remove else [spec("a", is_active=False)]))
    assert talk.stopped == ["a"]
    assert len(alice.outbox.take()) == 1
    assert alice.lists() == alice.lists()[:4]
    talk.down("a", "", None)
    talk.starting("a")
    if not remove:
        assert talk.list_row("a")["state"] == "disabled"


def test_parked_calls_fail_when_their_instance_is_taken_away() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    alice = talk.client()
    parked = alice.routes("echo")
    talk.configured()
    assert parked.tool_error == ("UNAVAILABLE", "Instance 'a' not connected: stopping")


def test_an_instance_that_never_ran_is_not_stopped() -> None:
    talk = Conversation()
    talk.configured(spec("a", is_active=False), spec("b", problem="no command"))
    talk.configured(spec("a", is_active=False, command="x"))
    assert (talk.started, talk.stopped) == ([], [])


# --- Stopping --------------------------------------------------------------------------------


def test_drain_is_answered_at_once_when_nothing_is_in_flight() -> None:
    talk = Conversation()
    assert talk.drains().waiting == [None]


def test_drain_waits_for_the_last_call_and_is_answered_once() -> None:
    talk, alice, upstream = ready()
    first, second = alice.routes("echo"), alice.routes("echo")
    drained = talk.drains()
    one, two = upstream.sees()
    upstream.answers(one, {})
    assert drained.waiting == []
    upstream.answers(two, {})
    assert drained.waiting == [None]
    alice.asks("ping")
    assert (first.result, second.result, talk.replies) == ({}, {}, [None])


def test_while_draining_new_calls_are_refused_and_parked_ones_fail() -> None:
    talk, alice, _ = ready()
    talk.configured(spec("a"), spec("b"))
    parked = alice.routes("echo", "b")
    talk.drains()
    assert parked.tool_error == ("UNAVAILABLE", "The router is stopping")
    assert alice.routes("echo").tool_error == ("UNAVAILABLE", "The router is stopping")
    assert alice.uses().tool_error == ("UNAVAILABLE", "The router is stopping")
    assert alice.asks("ping").result == {}


# --- Time ------------------------------------------------------------------------------------


def test_without_calls_there_is_no_deadline() -> None:
    assert Conversation().core.next_deadline_s() is None


def test_the_next_deadline_is_the_earlier_of_calls_and_parked() -> None:
    talk, alice, _ = ready()
    talk.configured(spec("a"), spec("slow", timeout_s=5.0), spec("slower", timeout_s=60.0))
    alice.routes("echo", "slower")
    assert talk.core.next_deadline_s() == 1060.0
    alice.routes("echo", "a")
    assert talk.core.next_deadline_s() == 1030.0
    alice.routes("echo", "slow")
    assert talk.core.next_deadline_s() == 1005.0
