"""Restarts on command: sessions end and start anew, whatever state their instance is in."""

from __future__ import annotations

import pytest

from router.messages.commands import Principal, RestartInstance
from router.messages.errors import UNAVAILABLE
from router.messages.instances.run_policy import RunPolicy
from router.messages.observability.records import ChangeRecord
from tests.router.core.conversation import Conversation, ready, spec


def test_a_session_is_started_anew_and_its_calls_fail() -> None:
    talk, alice, upstream = ready()
    talk.started.clear()
    call = alice.routes("echo")
    upstream.sees_one()
    assert talk.admin_asks(RestartInstance("a")).answer == "a"
    assert call.text["code"] == "SESSION_LOST"
    assert "was restarted on command" in call.text["error"]
    assert [one.name for one in talk.started] == ["a"]
    assert talk.list_row("a")["state"] == "starting"
    talk.down("a", "", 0.0)  # The report on the session that ended changes nothing.
    talk.starting("a")
    again = talk.up("a", "echo")
    later = alice.routes("echo")
    again.answers(again.sees_one(), {"content": []})
    assert later.result == {"content": []}


def test_a_failed_instance_is_tried_at_once() -> None:
    talk, _, _ = ready()
    talk.failed("a", "broken")
    talk.started.clear()
    asked = talk.admin_asks(RestartInstance("a", wait_ready=True))
    assert asked.is_waiting
    assert [one.name for one in talk.started] == ["a"]
    talk.starting("a")
    talk.up("a", "echo")
    assert asked.answer == "a"


def test_who_waits_for_a_restart_hears_why_it_fails() -> None:
    talk, _, _ = ready()
    asked = talk.admin_asks(RestartInstance("a", wait_ready=True))
    talk.starting("a")
    talk.down("a", "exited with status 3", 1.0)
    assert asked.error.code == UNAVAILABLE
    assert "exited with status 3" in asked.error.message


def test_calls_that_waited_for_the_instance_wait_for_the_new_session() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    client = talk.client()
    client.initializes()
    call = client.routes("echo")
    talk.admin_asks(RestartInstance("a"))
    assert call.is_waiting
    talk.starting("a")
    upstream = talk.up("a", "echo")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_all_replicas_are_started_anew() -> None:
    talk = Conversation()
    talk.configured(spec("a", run_policy=RunPolicy(replicas=2)))
    for name in [one.name for one in talk.started]:
        talk.starting(name)
        talk.up(name, "echo")
    before = [one.name for one in talk.started]
    talk.started.clear()
    talk.admin_asks(RestartInstance("a"))
    assert len(talk.started) == 2
    assert set(talk.stopped) == set(before)
    assert talk.list_row("a")["state"] == "starting"


def test_an_idle_instance_is_started() -> None:
    talk, _, _ = ready(start="lazy", idle_stop_s=5.0)
    talk.time_passes(6)
    assert talk.stopped == ["a"]
    talk.down("a", "", None)
    assert talk.list_row("a")["state"] == "idle"
    talk.started.clear()
    talk.admin_asks(RestartInstance("a"))
    assert [one.name for one in talk.started] == ["a"]


def test_sessions_of_clients_end_and_the_next_use_starts_another() -> None:
    talk = Conversation()
    talk.configured(spec("a", sessions="per_client"))
    client = talk.client()
    client.initializes()
    call = client.routes("echo")
    (started,) = talk.started
    talk.starting(started.name)
    first = talk.up(started.name, "echo")
    first.answers(first.sees_one(), {"content": []})
    assert call.result == {"content": []}
    talk.admin_asks(RestartInstance("a"))
    assert talk.stopped == [started.name]
    client.routes("echo")
    assert len(talk.started) == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"is_active": False}, "is not active"), ({"problem": "no such"}, "no such")],
)
def test_what_cannot_be_started_is_not_restarted(changes: dict[str, object], says: str) -> None:
    talk = Conversation()
    talk.configured(spec("a", **changes))
    error = talk.admin_asks(RestartInstance("a")).error
    assert error.code == UNAVAILABLE
    assert says in error.message
    assert talk.started == []


def test_a_restart_leaves_a_record_and_so_does_one_that_is_refused() -> None:
    talk, _, _ = ready(records=frozenset({"audit"}))
    talk.records.clear()
    talk.admin_asks(RestartInstance("a"))
    talk.admin_asks(RestartInstance("a"), Principal("r", frozenset({"read"})))
    made, refused = (one for one in talk.records if isinstance(one, ChangeRecord))
    assert (made.principal, made.action, made.name, made.problem) == (
        "all",
        "restart_instance",
        "a",
        "",
    )
    assert (refused.principal, refused.action) == ("r", "restart_instance")
    assert "'admin'" in refused.problem


def test_lists_stay_while_an_instance_restarts() -> None:
    talk, _, _ = ready()
    talk.admin_asks(RestartInstance("a"))
    assert talk.list_row("a")["tools_count"] == 1
    assert talk.list_row("a")["stale"]
