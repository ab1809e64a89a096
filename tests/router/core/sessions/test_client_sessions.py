"""Each client has a session of its own: which one serves it, and what its server is told."""

from typing import Any

import pytest

from router.core.state.session_rows import IDLE_EXPIRY_S
from router.messages.catalog import Catalog, KnownServer
from router.messages.commands import MakeChange, Principal, SetActive, ShowStatus
from router.messages.events import CatalogChanged, CataloguesRead
from router.messages.instances.exposure import Exposure, NameFilter
from router.messages.instances.instance_spec import ClientIdentity
from tests.router.core.conversation import Conversation, FakeUpstream, raw, spec, value_of
from tests.router.core.fake_peers import tool
from tests.router.core.per_client import comes_up, initialized, per_client, ready_for, talk_about

ROOTS = "roots/list"
ROOTS_CHANGED = "notifications/roots/list_changed"


def identity(talk: Conversation, n: int = -1) -> tuple[Any, dict[str, Any]]:
    told = talk.started[n].client
    assert isinstance(told, ClientIdentity)
    return value_of(told.info), {key: value_of(one) for key, one in told.capabilities.items()}


# --- Which session ---------------------------------------------------------------------------


def test_nothing_is_started_before_a_client_needs_it() -> None:
    talk = talk_about()
    assert talk.started == []
    row = talk.list_row("a")
    assert (row["state"], row["connected"], row["sessions"]) == ("idle", False, [])


def test_two_clients_get_a_session_each_and_their_calls_never_cross() -> None:
    talk = talk_about()
    alice, bob = initialized(talk), initialized(talk)
    of_alice, of_bob = alice.routes("echo"), bob.routes("echo")
    assert [started.name for started in talk.started] == ["a#1", "a#2"]
    for_alice, for_bob = comes_up(talk, "a#1"), comes_up(talk, "a#2")
    for_bob.answers(for_bob.sees_one(), {"for": "bob"})
    assert of_alice.is_waiting
    for_alice.answers(for_alice.sees_one(), {"for": "alice"})
    assert (of_alice.result, of_bob.result) == ({"for": "alice"}, {"for": "bob"})


def test_all_calls_of_a_client_use_one_session() -> None:
    talk = talk_about()
    alice = initialized(talk)
    alice.routes("echo")
    alice.routes("echo")
    upstream = comes_up(talk, "a#1")
    alice.routes("echo")
    assert len(upstream.sees()) == 3
    assert len(talk.started) == 1


def test_lone_requests_of_one_principal_share_a_session_and_those_of_another_do_not() -> None:
    talk = talk_about()
    for name in ("p", "q", "p"):
        talk.client(one_shot=True, principal=Principal(name)).routes("echo")
    assert [started.name for started in talk.started] == ["a#1", "a#2"]


def test_requests_of_2026_share_a_session_as_far_as_they_are_of_one_program() -> None:
    talk = talk_about()
    for program in ("editor", "shell", "editor"):
        client = talk.stateless_client()
        client.meta["io.modelcontextprotocol/clientInfo"] = {"name": program, "version": "1"}
        client.routes("echo")
    assert [started.name for started in talk.started] == ["a#1", "a#2"]


def test_a_connection_has_one_session_for_both_eras() -> None:
    talk = talk_about()
    client = talk.stateless_connection()
    client.routes("echo")
    upstream = comes_up(talk, "a#1")
    client.routes("echo")
    assert len(upstream.sees()) == 2
    client.leaves()
    assert talk.stopped == ["a#1"]


def test_a_shared_instance_beside_it_is_as_before() -> None:
    talk = talk_about(per_client("a"), spec("b"))
    talk.starting("b")
    upstream = talk.up("b", "echo")
    initialized(talk).routes("echo", "b")
    initialized(talk).routes("echo", "b")
    assert len(upstream.sees()) == 2
    assert "sessions" not in talk.list_row("b")


# --- Limits ----------------------------------------------------------------------------------


def test_beyond_max_sessions_a_client_is_told_the_limit_and_the_key() -> None:
    talk = talk_about(per_client(max_sessions=2))
    first = initialized(talk)
    for client in (first, initialized(talk)):
        client.routes("echo")
    code, message = initialized(talk).routes("echo").tool_error
    assert code == "OVERLOADED"
    assert message == (
        "Instance 'a' has 2 of 2 sessions already, one for each client; try again when one "
        "has gone, or raise its max_sessions"
    )
    assert len(talk.started) == 2
    first.leaves()
    assert initialized(talk).routes("echo").is_waiting
    assert [started.name for started in talk.started] == ["a#1", "a#2", "a#3"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"is_active": False}, "is not active"), ({"problem": "no command"}, "no command")],
)
def test_an_instance_that_cannot_run_starts_nothing_and_says_why(
    changes: dict[str, Any], code: str
) -> None:
    talk = talk_about(per_client(**changes))
    assert code in initialized(talk).routes("echo").tool_error[1]
    assert talk.started == []


def test_nothing_is_started_while_the_router_stops() -> None:
    talk = talk_about(view="direct")
    alice = initialized(talk)
    talk.drains()
    alice.asks("tools/list")
    assert alice.calls("a__echo").error["message"] == "The router is stopping"
    assert talk.started == []


def test_a_call_that_waits_for_its_session_is_refused_when_the_router_stops() -> None:
    talk = talk_about()
    call = initialized(talk).routes("echo")
    talk.drains()
    assert call.tool_error[1] == "The router is stopping"


# --- What the server is told -----------------------------------------------------------------


def test_the_server_is_told_of_the_client_itself() -> None:
    talk = talk_about()
    initialized(talk, "editor", roots={"listChanged": True}, sampling={"tools": {}}).routes("echo")
    assert identity(talk) == (
        {"name": "editor", "version": "1"},
        {"roots": {"listChanged": True}, "sampling": {"tools": {}}},
    )


def test_the_server_is_told_only_what_the_clients_revision_has() -> None:
    talk = talk_about()
    alice = talk.client()
    alice.initializes("2025-03-26", sampling={"tools": {}}, elicitation={}, roots={}, tasks={})
    alice.routes("echo")
    assert identity(talk) == (None, {"roots": {}, "sampling": {}})


def test_a_lone_request_declares_nothing_that_it_could_not_answer() -> None:
    talk = talk_about()
    talk.client(one_shot=True).routes("echo")
    assert identity(talk) == (None, {})


def test_a_client_in_a_transparent_view_is_told_of_to_its_server_and_hears_of_it() -> None:
    talk = talk_about(view="a")
    alice = talk.client()
    asked = alice.initializes(roots={})
    comes_up(talk, "a#1", capabilities={"tools": {}})
    assert identity(talk)[1] == {"roots": {}}
    assert asked.result["serverInfo"]["name"] == "a#1"
    assert asked.result["capabilities"] == {"tools": {}}


# --- Questions -------------------------------------------------------------------------------


def test_clients_that_call_at_the_same_time_each_get_their_own_questions() -> None:
    talk = talk_about()
    alice, bob = initialized(talk, roots={}), initialized(talk, roots={})
    for_alice, for_bob = ready_for(talk, alice), ready_for(talk, bob)
    of_alice, of_bob = alice.routes("echo"), bob.routes("echo")
    for upstream in (for_alice, for_bob):
        upstream.sees()
        upstream.asks(ROOTS, id="q")
    (question,) = of_bob.mailbox.take()
    bob.answers(question, {"of": "bob"})
    assert for_bob.sees_one()["result"] == {"of": "bob"}
    (question,) = of_alice.mailbox.take()
    alice.answers(question, {"of": "alice"})
    assert for_alice.sees_one()["result"] == {"of": "alice"}


def test_a_question_without_a_call_goes_to_the_client_of_the_session() -> None:
    talk = talk_about()
    alice, bob = initialized(talk, roots={}), initialized(talk, roots={})
    upstream = ready_for(talk, alice)
    ready_for(talk, bob)
    upstream.asks(ROOTS, id="q")
    (question,) = alice.outbox.take()
    assert question["method"] == ROOTS
    alice.answers(question, {"roots": []})
    assert upstream.sees_one() == {"id": "q", "result": {"roots": []}}
    assert bob.outbox.take() == []


def test_a_question_without_a_call_that_the_client_cannot_answer_is_refused() -> None:
    talk = talk_about()
    upstream = ready_for(talk, initialized(talk))
    upstream.asks(ROOTS, id="q")
    assert upstream.sees_one()["error"]["message"] == "The client does not support roots/list"


def test_a_question_without_a_call_in_a_session_of_lone_requests_is_refused() -> None:
    talk = talk_about()
    upstream = ready_for(talk, talk.client(one_shot=True))
    upstream.asks(ROOTS, id="q")
    assert upstream.sees_one()["error"]["code"] == -32017


def open_question() -> tuple[Conversation, Any, FakeUpstream, dict[str, Any]]:
    talk = talk_about()
    alice = initialized(talk, roots={})
    upstream = ready_for(talk, alice)
    upstream.asks(ROOTS, id="q")
    (question,) = alice.outbox.take()
    return talk, alice, upstream, question


def test_a_question_without_a_call_is_cancelled_when_its_session_is_lost() -> None:
    _, alice, upstream, question = open_question()
    upstream.breaks()
    (cancelled,) = alice.outbox.take()
    assert cancelled["method"] == "notifications/cancelled"
    assert cancelled["params"]["requestId"] == question["id"]
    alice.answers(question, {})
    assert upstream.sees() == []


def test_a_question_without_a_call_is_cancelled_by_its_server() -> None:
    _, alice, upstream, question = open_question()
    upstream.says("notifications/cancelled", {"requestId": "another"})
    assert alice.outbox.take() == []
    upstream.says("notifications/cancelled", {"requestId": "q"})
    (cancelled,) = alice.outbox.take()
    assert cancelled["params"]["requestId"] == question["id"]


def test_a_question_without_a_call_is_unanswerable_once_its_client_has_left() -> None:
    _, alice, upstream, _ = open_question()
    alice.leaves()
    assert upstream.sees_one()["error"]["message"] == "The client is gone"


def test_unanswered_questions_without_a_call_are_bounded() -> None:
    talk, alice, upstream, _ = open_question()
    for n in range(127):
        upstream.asks(ROOTS, id=n)
    assert upstream.sees() == []
    upstream.asks(ROOTS, id="one too many")
    assert upstream.sees_one()["error"]["code"] == -32015
    assert len(alice.outbox.take()) == 127
    alice.leaves()
    assert len(upstream.sees()) == 128
    assert talk.state.clients == {}


# --- Logs and notifications ------------------------------------------------------------------


def test_a_log_without_a_call_goes_to_the_client_of_the_session_alone() -> None:
    talk = talk_about()
    alice, bob = initialized(talk), initialized(talk)
    upstream = ready_for(talk, alice)
    ready_for(talk, bob)
    upstream.says("notifications/message", {"level": "info", "data": "hello"})
    assert [frame["params"]["data"] for frame in alice.outbox.take()] == ["hello"]
    assert bob.outbox.take() == []


def test_a_log_level_reaches_sessions_of_all_clients() -> None:
    talk = talk_about()
    alice = initialized(talk)
    upstream = ready_for(talk, alice, capabilities={"logging": {}})
    alice.asks("logging/setLevel", {"level": "debug"})
    assert upstream.sees_one()["params"] == {"level": "debug"}
    later = ready_for(talk, initialized(talk), capabilities={"logging": {}})
    assert later.sees() == []
    assert talk.state.log_level == "debug"


def test_a_client_says_to_its_own_servers_alone_that_its_roots_have_changed() -> None:
    talk = talk_about()
    alice, bob = initialized(talk, roots={}), initialized(talk, roots={})
    for_alice, for_bob = ready_for(talk, alice), ready_for(talk, bob)
    alice.says(ROOTS_CHANGED)
    assert for_alice.sees_one() == {"method": ROOTS_CHANGED}
    assert for_bob.sees() == []


def test_an_unknown_notification_reaches_and_leaves_a_transparent_view() -> None:
    talk = talk_about(view="a")
    alice, bob = talk.client(), talk.client()
    alice.initializes()
    for_alice = comes_up(talk, "a#1")
    bob.initializes()
    for_bob = comes_up(talk, "a#2")
    alice.says("notifications/acme", {"n": 1})
    assert for_alice.sees_one() == {"method": "notifications/acme", "params": {"n": 1}}
    assert for_bob.sees() == []
    for_bob.says("notifications/acme")
    assert bob.outbox.take()[-1] == {"method": "notifications/acme"}
    assert "notifications/acme" not in [frame["method"] for frame in alice.outbox.take()]


# --- Subscriptions ---------------------------------------------------------------------------

UPDATED = "notifications/resources/updated"


def test_an_update_reaches_the_client_whose_server_announced_it() -> None:
    talk = talk_about(view="a")
    clients = [talk.client(), talk.client()]
    upstreams: list[FakeUpstream] = []
    for n, client in enumerate(clients, 1):
        client.initializes()
        upstreams.append(comes_up(talk, f"a#{n}", capabilities={"resources": {}}))
        client.asks("resources/subscribe", {"uri": "file:///x"})
        upstreams[-1].answers(upstreams[-1].sees_one(), {})
    for client in clients:
        client.outbox.take()
    upstreams[0].says(UPDATED, {"uri": "file:///x"})
    assert [frame["method"] for frame in clients[0].outbox.take()] == [UPDATED]
    assert clients[1].outbox.take() == []
    clients[0].asks("resources/unsubscribe", {"uri": "file:///x"})
    assert upstreams[0].sees_one()["method"] == "resources/unsubscribe"
    assert list(talk.state.subscribers) == [f"a#client:{clients[1].id}"]


def test_a_restarted_session_has_the_subscriptions_of_its_client() -> None:
    talk = talk_about(view="a")
    alice = talk.client()
    alice.initializes()
    upstream = comes_up(talk, "a#1")
    alice.asks("resources/subscribe", {"uri": "file:///x"})
    upstream.breaks()
    talk.down("a#1")
    upstream = comes_up(talk, "a#1")
    assert upstream.sees_one()["params"] == {"uri": "file:///x"}


def test_a_subscription_of_2026_keeps_its_session_going() -> None:
    talk = talk_about(view="a")
    client = talk.stateless_client()
    wanted = {"notifications": {"resourceSubscriptions": ["file:///x"]}}
    opened = client.asks("subscriptions/listen", wanted)
    upstream = comes_up(talk, "a#1")
    assert upstream.sees_one()["params"] == {"uri": "file:///x"}
    talk.time_passes(2000)
    assert talk.stopped == []
    upstream.says(UPDATED, {"uri": "file:///x"})
    assert opened.mailbox.take()[-1]["params"]["uri"] == "file:///x"
    client.leaves()
    talk.time_passes(1201)
    assert talk.stopped == ["a#1"]


# --- Lists -----------------------------------------------------------------------------------


def test_the_first_client_that_lists_has_the_lists_made_known_to_all() -> None:
    talk = talk_about(view="direct")
    alice, bob = initialized(talk), initialized(talk)
    assert (alice.lists(), bob.lists()) == ([], [])
    assert [started.name for started in talk.started] == ["a#1"]
    comes_up(talk, "a#1", "echo")
    for client in (alice, bob):
        assert [frame["method"] for frame in client.outbox.take()] == [
            "notifications/tools/list_changed"
        ]
        assert client.lists() == ["a__echo"]
    assert len(talk.started) == 1


def test_the_lists_stay_when_the_last_session_has_ended() -> None:
    talk = talk_about(view="direct")
    alice, bob = initialized(talk), initialized(talk)
    alice.lists()
    comes_up(talk, "a#1", "echo")
    bob.lists()
    bob.outbox.take()
    alice.leaves()
    assert bob.outbox.take() == []
    assert bob.lists() == ["a__echo"]
    call = bob.calls("a__echo")
    upstream = comes_up(talk, "a#2", "echo")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert call.result == {"content": []}


def test_changed_lists_are_news_to_all_and_only_announced_ones_to_the_client_concerned() -> None:
    talk = talk_about(view="direct")
    alice, bob = initialized(talk), initialized(talk)
    upstream = None
    for n, client in enumerate((alice, bob), 1):
        client.calls("a__echo")
        started = comes_up(talk, f"a#{n}", "echo")
        upstream = upstream or started
    assert upstream is not None
    for client in (alice, bob):
        assert client.lists() == ["a__echo"]
        client.outbox.take()
    upstream.lists("echo", "more")
    assert [len(client.outbox.take()) for client in (alice, bob)] == [1, 1]
    assert alice.lists() == bob.lists() == ["a__echo", "a__more"]
    bob.asks("prompts/list")
    alice.asks("prompts/list")
    tools = talk.state.client_sessions.by_name["a#1"].offers.catalog.tools
    announced = CatalogChanged(upstream.session, Catalog(tools=tools), frozenset({"prompts"}))
    talk.happens(announced)
    assert [len(client.outbox.take()) for client in (alice, bob)] == [1, 0]


def test_a_filter_that_changes_shows_other_lists_and_restarts_nothing() -> None:
    talk = talk_about(view="direct")
    alice = initialized(talk)
    alice.lists()
    comes_up(talk, "a#1", "echo", "secret")
    hidden = Exposure(tools=NameFilter(deny=("secret",)))
    talk.configured(per_client(exposure=hidden, max_sessions=3))
    assert alice.lists() == ["a__echo"]
    assert (len(talk.started), talk.stopped) == (1, [])


def test_help_and_use_start_a_session_and_know_its_tools() -> None:
    talk = talk_about()
    alice = initialized(talk)
    used = alice.uses("a")
    comes_up(talk, "a#1", "echo")
    assert used.text == {"instance": "a", "tools": ["echo"], "active": True}
    helped = alice.calls("mcp.router.help", {"instance_name": "a"})
    assert [tool["name"] for tool in helped.text["a"]["tools"]] == ["echo"]


# --- States ----------------------------------------------------------------------------------


def test_the_state_of_an_instance_sums_up_its_sessions() -> None:
    talk = talk_about()
    alice, bob = initialized(talk, "editor"), initialized(talk, "shell")
    alice.routes("echo")
    assert talk.list_row("a")["state"] == "starting"
    comes_up(talk, "a#1")
    bob.routes("echo")
    talk.starting("a#2")
    talk.time_passes(2)
    talk.down("a#2", "it crashed", restarts=3)
    row = talk.list_row("a")
    assert (row["state"], row["connected"], row["restarts"]) == ("ready", True, 3)
    assert row["last_error"] is None
    assert row["sessions"] == [
        {
            "name": "a#1",
            "client": "all",
            "state": "ready",
            "in_state_s": 2.0,
            "restarts": 0,
            "last_error": None,
        },
        {
            "name": "a#2",
            "client": "all",
            "state": "backoff",
            "in_state_s": 0.0,
            "restarts": 3,
            "last_error": "it crashed",
            "retry_in_s": 1.0,
        },
    ]
    alice.leaves()
    row = talk.list_row("a")
    assert (row["state"], row["last_error"]) == ("backoff", "it crashed")
    talk.failed("a#2", "too often")
    assert talk.list_row("a")["state"] == "failed"
    bob.leaves()
    row = talk.list_row("a")
    assert (row["state"], row["last_error"], row["sessions"]) == ("idle", "too often", [])


def test_a_client_without_a_principal_is_named_by_its_program() -> None:
    talk = talk_about()
    client = talk.client(principal=Principal())
    info = {"name": "ed\u202eitor", "version": "1"}
    client.asks("initialize", {"protocolVersion": "2025-11-25", "clientInfo": info})
    client.routes("echo")
    (session,) = talk.list_row("a")["sessions"]
    assert session["client"].startswith("ed")


def test_a_session_that_fails_is_named_as_it_was_configured_in_messages() -> None:
    talk = talk_about()
    alice = initialized(talk)
    call = alice.routes("echo")
    talk.starting("a#1")
    talk.down("a#1", "no such command")
    assert call.tool_error[1].startswith("Instance 'a' not connected: backoff: no such command")
    upstream = comes_up(talk, "a#1")
    call = alice.routes("echo")
    upstream.breaks("it broke")
    assert call.tool_error[1] == "Instance 'a' was lost during the call: it broke"


def test_a_session_that_came_back_serves_the_calls_that_waited() -> None:
    talk = talk_about()
    alice = initialized(talk)
    ready_for(talk, alice).breaks()
    talk.down("a#1")
    call = alice.routes("echo")
    assert call.is_waiting
    upstream = comes_up(talk, "a#1")
    upstream.answers(upstream.sees_one(), {})
    assert call.result == {}


def test_calls_are_counted_for_the_instance() -> None:
    talk = talk_about()
    alice, bob = initialized(talk), initialized(talk)
    ready_for(talk, alice)
    ready_for(talk, bob)
    alice.routes("echo")
    bob.routes("echo")
    (row,) = talk.admin_asks(ShowStatus()).answer
    assert (row["calls"], row["in_flight"]) == (4, 2)


def test_capabilities_that_are_no_objects_are_not_passed_on() -> None:
    talk = talk_about()
    alice = talk.client()
    params = raw(b'{"protocolVersion":"2025-11-25","capabilities":{"roots":null,"sampling":[]}}')
    alice.asks("initialize", bytes(params))
    alice.routes("echo")
    assert identity(talk) == (None, {})


# --- Changes that wait -----------------------------------------------------------------------


def test_an_instance_that_is_waited_for_is_tried_with_a_session() -> None:
    talk = talk_about(per_client(is_active=False))
    change = talk.admin_asks(MakeChange(SetActive("a", is_active=True), wait_ready=True))
    talk.change_saved(per_client())
    assert change.is_waiting
    comes_up(talk, "a#1")
    assert change.answer == "a"
    talk.time_passes(IDLE_EXPIRY_S + 1)
    assert talk.stopped == ["a#1"]


def test_an_instance_that_depends_on_roots_is_not_waited_for() -> None:
    talk = talk_about(per_client(is_active=False))
    change = talk.admin_asks(MakeChange(SetActive("a", is_active=True), wait_ready=True))
    talk.change_saved(per_client(cwd="${roots.0}"))
    assert change.answer == "a"
    assert talk.started == []


# --- Lists that are kept ---------------------------------------------------------------------


def known(*tools: str) -> KnownServer:
    catalog = Catalog(tools=tuple(map(tool, tools)))
    return KnownServer("2025-11-25", raw({}), raw({"name": "kept"}), None, catalog)


def test_kept_lists_are_shown_without_a_session_and_start_none() -> None:
    talk = Conversation(view="direct")
    talk.happens(CataloguesRead({"a": known("echo")}))
    talk.configured(per_client())
    alice = initialized(talk)
    assert alice.lists() == ["a__echo"]
    assert talk.started == []
    row = talk.list_row("a")
    assert (row["state"], row["stale"], row["tools_count"]) == ("idle", True, 1)
    alice.calls("a__echo")
    comes_up(talk, "a#1", "echo")
    assert talk.list_row("a")["stale"] is False
    assert alice.outbox.take() == []


def test_the_lists_of_a_client_are_kept_for_the_instance() -> None:
    talk = talk_about()
    ready_for(talk, initialized(talk))
    (kept,) = talk.catalogues
    assert kept.spec.name == "a"
    assert [item.key for item in kept.known.catalog.tools] == ["echo"]


def test_a_failing_session_of_one_client_hides_nothing_from_the_others() -> None:
    talk = talk_about(view="direct")
    alice, bob = initialized(talk), initialized(talk)
    alice.lists()
    comes_up(talk, "a#1", "echo")
    assert bob.lists() == ["a__echo"]
    bob.outbox.take()
    talk.failed("a#1")
    assert bob.outbox.take() == []
    assert bob.lists() == ["a__echo"]


# --- Tasks -----------------------------------------------------------------------------------


def test_a_task_belongs_to_the_session_of_its_client() -> None:
    talk = talk_about(view="a")
    declared = {"tools": {}, "tasks": {"list": {}, "requests": {"tools": {"call": {}}}}}
    alice = talk.client()
    alice.initializes()
    upstream = comes_up(talk, "a#1", capabilities=declared)
    call = alice.calls("echo", {}, task={})
    upstream.answers(upstream.sees_one(), {"task": {"taskId": "t1", "status": "working"}})
    handle = call.result["task"]["taskId"]
    assert handle != "t1"
    alice.asks("tasks/get", {"taskId": handle})
    assert upstream.sees_one()["params"] == {"taskId": "t1"}
    listed = alice.asks("tasks/list")
    upstream.answers(upstream.sees_one(), {"tasks": [{"taskId": "t1"}, {"taskId": "other"}]})
    assert listed.result["tasks"] == [{"taskId": handle}]
    bob = talk.client(principal=Principal("bob"))
    bob.initializes()
    of_bob = comes_up(talk, "a#2", capabilities=declared)
    assert bob.asks("tasks/get", {"taskId": handle}).error["message"] == "Task not found"
    assert of_bob.sees() == []
