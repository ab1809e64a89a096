"""An instance whose server asks for a login: what it shows, answers, and what a login starts."""

from typing import Any

import pytest

from router.messages.commands import CallTool, ShowReadiness
from router.messages.errors import TRANSPORT_ERROR, RpcError
from router.messages.events import InstanceDown, LoginChanged, RequestFailed
from router.messages.instances.oauth_login import OAuthLogin
from router.messages.instances.run_policy import RunPolicy
from tests.router.core.conversation import Conversation, raw, ready, spec
from tests.router.core.lazy import comes_up, idle_talk, lazy, serves, state_of
from tests.router.core.per_client import initialized, per_client, talk_about

REASON = "https://there.example/mcp asks for a login"


def needs_login(talk: Conversation, name: str = "a", reason: str = REASON) -> None:
    """Report that a session ended because its server asks for a login."""
    talk.happens(InstanceDown(name, reason, 0, None, needs_login=True))


def asks_at_once(**more: Any) -> Conversation:
    """Begin with an instance whose first start ended so."""
    talk = Conversation(**more)
    talk.configured(spec("a"))
    talk.starting("a")
    needs_login(talk)
    return talk


def test_state_says_the_reason_and_plans_no_start() -> None:
    talk = asks_at_once()
    row = talk.list_row("a")
    assert (row["state"], row["connected"], row["last_error"]) == ("needs_login", False, REASON)
    assert "retry_in_s" not in row
    assert talk.core.next_deadline_s() is None


def test_calls_fail_at_once_with_the_reason_and_the_way_out() -> None:
    talk = asks_at_once()
    command = talk.admin_asks(CallTool("a", "echo", raw({})))
    said = f"Instance 'a' needs a login: {REASON}; run: mcp-router login a"
    assert command.error.message == said
    assert command.error.data["state"] == "needs_login"


def test_way_out_is_named_once() -> None:
    talk = asks_at_once()
    needs_login(talk, reason="401; run: mcp-router login a --person bo")
    command = talk.admin_asks(CallTool("a", "echo", raw({})))
    said = "Instance 'a' needs a login: 401; run: mcp-router login a --person bo"
    assert command.error.message == said


def test_nobody_is_sent_to_a_login_where_the_router_logs_in_by_itself() -> None:
    talk = Conversation()
    login = OAuthLogin(client_id="c", grant="client_credentials")
    talk.configured(spec("a", command=None, url="https://there.example/mcp", oauth=login))
    talk.starting("a")
    reason = "invalid_client; mend oauth of its entry, then run: mcp-router restart a"
    needs_login(talk, reason=reason)
    command = talk.admin_asks(CallTool("a", "echo", raw({})))
    assert command.error.message == f"Instance 'a' needs a login: {reason}"


def test_what_waited_for_the_start_is_answered_at_once() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    call = talk.client().routes("echo")
    assert call.is_waiting
    needs_login(talk)
    assert call.tool_error[0] == "UNAVAILABLE"
    assert "needs a login" in call.tool_error[1]


def test_calls_in_flight_are_answered_when_the_login_is_over() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    upstream.breaks(REASON)
    waiting = alice.routes("echo")
    needs_login(talk)
    assert call.tool_error[0] == "SESSION_LOST"
    assert waiting.tool_error[0] == "UNAVAILABLE"
    assert state_of(talk) == "needs_login"


def test_page_for_a_login_is_never_that_of_everybodys_session() -> None:
    talk, alice, upstream = ready()
    call = alice.routes("echo")
    page = {"login_url": "https://router.example/oauth/login/t1"}
    error = RpcError(TRANSPORT_ERROR, REASON, page)
    talk.happens(RequestFailed(upstream.session, upstream.sees_one()["id"], error, 401))
    upstream.breaks(REASON)
    talk.happens(InstanceDown("a", REASON, 0, None, True, page["login_url"]))
    shown = [call.tool_error, alice.routes("echo").tool_error]
    assert "login/t1" not in str(shown)


def test_last_known_lists_stay_shown() -> None:
    talk, alice, upstream = ready(view="direct")
    assert alice.lists() == ["a__echo"]
    upstream.breaks(REASON)
    needs_login(talk)
    assert alice.hears() == []
    assert alice.lists() == ["a__echo"]
    assert talk.list_row("a")["stale"] is True


def test_it_is_not_ready() -> None:
    talk = asks_at_once()
    answer = talk.admin_asks(ShowReadiness()).answer
    assert answer["not_ready"] == {"a": "needs_login"}
    assert answer["ready"] == 0


def test_a_login_starts_it_again() -> None:
    talk = asks_at_once()
    talk.happens(LoginChanged("a"))
    assert [started.name for started in talk.started] == ["a", "a"]
    call = talk.client().routes("echo")
    assert call.is_waiting
    serves(comes_up(talk), call)


def test_a_logout_starts_a_session_that_runs_anew() -> None:
    talk, alice, _ = ready()
    call = alice.routes("echo")
    talk.happens(LoginChanged("a"))
    assert call.tool_error == (
        "SESSION_LOST",
        "Instance 'a' was lost during the call: there was a login or a logout",
    )
    assert len(talk.started) == 2


def test_a_login_starts_no_instance_that_is_idle_or_off() -> None:
    talk = idle_talk(lazy("a"))
    talk.configured(lazy("a"), spec("off", is_active=False))
    for name in ("a", "off", "unknown"):
        talk.happens(LoginChanged(name))
    assert talk.started == []


def test_a_lazy_instance_is_started_by_the_login_that_its_first_use_missed() -> None:
    talk = idle_talk(lazy("a"))
    call = talk.client().routes("echo")
    talk.starting("a")
    needs_login(talk)
    assert call.tool_error[0] == "UNAVAILABLE"
    talk.happens(LoginChanged("a"))
    again = talk.client().routes("echo")
    serves(comes_up(talk), again)


@pytest.mark.parametrize("is_draining", [True, False])
def test_a_login_starts_all_replicas_again_unless_the_router_stops(is_draining: bool) -> None:
    talk = Conversation()
    talk.configured(spec("a", run_policy=RunPolicy(replicas=2)))
    for name in ("a#1", "a#2"):
        talk.starting(name)
        needs_login(talk, name)
    assert state_of(talk) == "needs_login"
    if is_draining:
        talk.drains()
    talk.happens(LoginChanged("a"))
    started = [] if is_draining else ["a#3", "a#4"]
    assert [one.name for one in talk.started[2:]] == started


def test_a_login_lets_each_client_have_its_session_again() -> None:
    talk = talk_about(per_client())
    alice = initialized(talk)
    alice.routes("echo")
    talk.starting("a#1")
    needs_login(talk, "a#1")
    assert alice.routes("echo").tool_error[0] == "UNAVAILABLE"
    talk.happens(LoginChanged("a"))
    assert talk.stopped == ["a#1"]
    assert alice.routes("echo").is_waiting
    assert [one.name for one in talk.started] == ["a#1", "a#2"]
