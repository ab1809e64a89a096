"""A lazy instance is started by its first use; what needs only its lists does not start it."""

import pytest

from router.core.sessions.lazy_starts import START_WITHIN_S
from router.messages.commands import CallTool, ListTools, MakeChange, UpdateInstance
from tests.router.core.conversation import T_S, Conversation, raw
from tests.router.core.lazy import comes_up, idle_talk, known, lazy, runs, serves, state_of


def test_a_hundred_lazy_instances_are_listed_and_none_is_started() -> None:
    talk = idle_talk(*(lazy(f"i{n}") for n in range(100)), view="direct")
    alice = talk.client()
    alice.initializes()
    assert len(alice.lists()) == 100
    assert talk.started == []
    row = talk.list_row("i7")
    assert (row["state"], row["active"], row["connected"]) == ("idle", True, False)
    assert (row["tools_count"], row["stale"], row["last_error"]) == (1, True, None)


def test_the_first_call_starts_it_and_waits_and_is_served() -> None:
    talk = idle_talk()
    call = talk.client().routes("echo")
    assert [started.name for started in talk.started] == ["a"]
    assert call.is_waiting
    assert state_of(talk) == "starting"
    serves(comes_up(talk), call)
    assert state_of(talk) == "ready"


def test_calls_that_come_while_it_starts_share_the_start() -> None:
    talk = idle_talk()
    calls = [talk.client().routes("echo") for _ in range(3)]
    assert len(talk.started) == 1
    upstream = comes_up(talk)
    for request in upstream.sees():
        upstream.answers(request, {"content": []})
    assert all(call.result == {"content": []} for call in calls)


def test_nobody_is_told_of_changed_lists_when_it_is_started() -> None:
    talk = idle_talk(runs(start="lazy", more={"catalogue_cache": False}), view="direct")
    alice = talk.client()
    alice.initializes()
    alice.lists()
    alice.calls("a__echo")
    assert alice.lists() == ["a__echo"]
    comes_up(talk)
    assert alice.hears() == []


def test_the_default_of_the_settings_holds_where_an_instance_does_not_say() -> None:
    talk = idle_talk(runs("a"), runs("b", start="eager"), start="lazy")
    assert [started.name for started in talk.started] == ["b"]
    assert (state_of(talk, "a"), state_of(talk, "b")) == ("idle", "starting")


# --- The wait --------------------------------------------------------------------------------


def test_the_first_call_waits_longer_than_its_timeout_which_counts_from_when_it_is_ready() -> None:
    talk = idle_talk()
    call = talk.client().routes("echo")
    talk.time_passes(T_S + 10)
    assert call.is_waiting
    upstream = comes_up(talk)
    talk.time_passes(T_S - 1)
    assert call.is_waiting
    serves(upstream, call)


@pytest.mark.parametrize(
    ("start_timeout_s", "limit_s"), [(None, START_WITHIN_S), (1.0, START_WITHIN_S), (400.0, 400.0)]
)
def test_the_first_call_does_not_wait_for_ever(
    start_timeout_s: float | None, limit_s: float
) -> None:
    talk = idle_talk(lazy(start_timeout_s=start_timeout_s))
    call = talk.client().routes("echo")
    talk.time_passes(limit_s + T_S - 1)
    assert call.is_waiting
    talk.time_passes(2)
    assert call.tool_error == ("UNAVAILABLE", "Instance 'a' not connected: starting")


def test_a_call_to_an_eager_instance_that_starts_waits_for_its_own_timeout() -> None:
    talk = Conversation()
    talk.configured(runs("a"))
    call = talk.client().routes("echo")
    talk.time_passes(T_S + 1)
    assert call.tool_error[0] == "UNAVAILABLE"


def test_a_start_that_fails_answers_with_its_reason() -> None:
    talk = idle_talk(view="direct")
    alice = talk.client()
    alice.initializes()
    call = alice.routes("echo")
    talk.starting("a")
    talk.down("a", "no such file", 0.5)
    message = "Instance 'a' not connected: backoff: no such file (next try in 0.5 s)"
    assert call.tool_error == ("UNAVAILABLE", message)
    assert talk.list_row("a")["last_error"] == "no such file"


def test_a_client_that_goes_waits_no_more() -> None:
    talk = idle_talk()
    alice = talk.client()
    alice.routes("echo")
    alice.leaves()
    assert comes_up(talk).sees() == []
    assert not len(talk.state.parked)


def test_a_router_that_stops_starts_nothing() -> None:
    talk = idle_talk()
    talk.drains()
    assert talk.client().routes("echo").tool_error == ("UNAVAILABLE", "The router is stopping")
    assert talk.client().uses("a").tool_error == ("UNAVAILABLE", "The router is stopping")
    assert talk.started == []


# --- What starts it, and what does not -------------------------------------------------------


def test_what_needs_a_session_starts_it() -> None:
    server = known("echo", prompts=["ask"], resources=["file:///x"])
    asking = {
        "tools/call": {"name": "a__echo"},
        "prompts/get": {"name": "a__ask"},
        "resources/read": {"uri": "file:///x"},
        "resources/subscribe": {"uri": "file:///x"},
        "completion/complete": {
            "ref": {"type": "ref/prompt", "name": "a__ask"},
            "argument": {"name": "x", "value": ""},
        },
    }
    for method, params in asking.items():
        talk = idle_talk(server=server, view="direct")
        client = talk.client()
        client.initializes()
        assert client.asks(method, params).is_waiting, method
        assert [started.name for started in talk.started] == ["a"], method
        upstream = comes_up(talk, prompts=["ask"], resources=["file:///x"])
        assert upstream.sees_one()["method"] == method


def test_a_subscription_of_a_stateless_client_starts_it() -> None:
    talk = idle_talk(server=known("echo", resources=["file:///x"]), view="direct")
    client = talk.stateless_client()
    client.asks("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["file:///x"]}})
    upstream = comes_up(talk, resources=["file:///x"])
    assert upstream.sees_one()["method"] == "resources/subscribe"


def test_a_command_to_call_a_tool_starts_it() -> None:
    talk = idle_talk()
    sent = talk.admin_asks(CallTool("a", "echo", raw({})))
    assert sent.is_waiting
    upstream = comes_up(talk)
    upstream.answers(upstream.sees_one(), {"content": []})
    assert not sent.is_waiting


def test_lists_and_help_and_use_do_not_start_it() -> None:
    talk = idle_talk(server=known("echo", instructions="Sings."))
    alice = talk.client()
    alice.initializes()
    used = alice.uses("a").text
    assert (used["tools"], used["active"]) == (["echo"], True)
    assert "echo" in alice.lists()
    helped = alice.calls("mcp.router.help", {"instance_name": "a"}).text
    assert "echo" in str(helped)
    assert "echo" in str(alice.calls("mcp.router.help").text)
    assert talk.list_row("a")["summary"] == "Sings."
    assert [one["name"] for one in talk.admin_asks(ListTools()).answer["a"]] == ["echo"]
    assert talk.started == []
    alice.calls("echo")
    assert len(talk.started) == 1


def test_the_handshake_of_a_transparent_view_does_not_start_it() -> None:
    talk = idle_talk(server=known("echo", instructions="Sings."))
    alice = talk.client(view="a")
    assert alice.initializes().result["instructions"] == "Sings."
    assert alice.lists() == ["echo"]
    result = talk.stateless_client(view="a").asks("server/discover").result
    assert result["instructions"] == "Sings."
    assert talk.started == []
    alice.calls("echo")
    assert len(talk.started) == 1


def test_a_tool_that_is_not_listed_is_asked_of_the_server_that_may_have_it_by_now() -> None:
    talk = idle_talk(view="direct")
    call = talk.client().calls("a__sing")
    serves(comes_up(talk, "a", "echo", "sing"), call)


# --- Nothing is known ------------------------------------------------------------------------


def test_an_unknown_instance_is_started_once_to_be_listed() -> None:
    talk = Conversation(view="direct")
    talk.configured(lazy())
    comes_up(talk)
    alice = talk.client()
    alice.initializes()
    assert alice.lists() == ["a__echo"]
    talk.time_passes(3600)
    assert (talk.stopped, state_of(talk)) == (["a"], "idle")
    assert alice.lists() == ["a__echo"]
    assert alice.hears() == []


def test_an_unknown_instance_that_fails_is_tried_again_until_it_is_listed() -> None:
    talk = Conversation()
    talk.configured(lazy())
    talk.starting("a")
    talk.failed("a", "no route to host")
    talk.time_passes(3600)
    assert (talk.stopped, state_of(talk)) == ([], "failed")
    assert talk.list_row("a")["last_error"] == "no route to host"


# --- Changes ---------------------------------------------------------------------------------


def test_an_instance_that_becomes_eager_is_started() -> None:
    talk = idle_talk()
    talk.configured(runs(start="eager"))
    assert [started.name for started in talk.started] == ["a"]
    comes_up(talk)
    talk.time_passes(3600)
    assert (talk.stopped, state_of(talk)) == ([], "ready")


def test_an_instance_that_was_eager_for_a_while_and_was_not_used_is_stopped_again() -> None:
    talk = idle_talk()
    talk.settings_change(help_limit_bytes=1000)
    talk.configured(runs(start="eager"))
    comes_up(talk)
    talk.configured(lazy())
    talk.time_passes(3600)
    assert (talk.stopped, state_of(talk)) == (["a"], "idle")


def test_instances_are_started_when_the_default_becomes_eager() -> None:
    talk = idle_talk(runs("a"), lazy("b"), start="lazy")
    talk.settings_change(start="eager")
    assert [started.name for started in talk.started] == ["a"]


def test_an_instance_that_becomes_lazy_is_stopped_if_nobody_has_used_it() -> None:
    talk = Conversation()
    talk.configured(runs("a"), runs("b"))
    for name in "ab":
        talk.starting(name)
    upstreams = {name: talk.up(name, "echo") for name in "ab"}
    serves(upstreams["a"], talk.client().routes("echo", "a"))
    talk.settings_change(start="lazy")
    talk.time_passes(3600)
    assert talk.stopped == ["b"]
    assert (state_of(talk, "a"), state_of(talk, "b")) == ("ready", "idle")


def test_another_command_of_an_idle_instance_is_started_to_be_listed() -> None:
    talk = idle_talk()
    talk.configured(runs(start="lazy", more={"command": "other"}))
    assert [started.command for started in talk.started] == ["other"]


def test_a_change_that_waits_until_its_instance_is_ready_does_not_start_an_idle_one() -> None:
    talk = idle_talk()
    change = UpdateInstance("a", {"metadata": {}})
    sent = talk.admin_asks(MakeChange(change, wait_ready=True))
    talk.change_saved(runs(start="lazy", more={"metadata": {}}))
    assert sent.answer == "a"
    assert talk.started == []


@pytest.mark.parametrize("what", ["disabled", "removed"])
def test_an_idle_instance_can_be_switched_off(what: str) -> None:
    talk = idle_talk(view="direct")
    alice = talk.client()
    alice.initializes()
    alice.lists()
    off = runs(start="lazy", more={"is_active": False})
    talk.configured(*([off] if what == "disabled" else []))
    assert alice.lists() == []
    assert alice.hears() == ["notifications/tools/list_changed"]
    assert alice.routes("echo").tool_error[0] in ("UNAVAILABLE", "INSTANCE_NOT_FOUND")
    talk.down("a", "", None)
    assert talk.started == []
