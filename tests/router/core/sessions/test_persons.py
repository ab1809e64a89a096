"""Each person has a session of their own: whom it serves, what is shown of it, and its login."""

from typing import Any

import pytest

from router.core.sessions.client_sessions import LOGIN_PAGE_S
from router.core.state import instance_table
from router.core.state.session_rows import IDLE_EXPIRY_S
from router.messages.catalog import Catalog, KnownServer
from router.messages.commands import (
    CallTool,
    ListTools,
    Principal,
    ReadResource,
    RestartInstance,
    ShowMetrics,
    ShowStatus,
    ShowTools,
)
from router.messages.errors import NOT_ALLOWED, SESSION_LOST, TRANSPORT_ERROR, UNAVAILABLE, RpcError
from router.messages.events import (
    CataloguesRead,
    InstanceDown,
    LoginChanged,
    RequestFailed,
)
from router.messages.instances.exposure import Exposure, NameFilter
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.instances.oauth_login import OAuthLogin
from tests.router.core.approvals.asked import decides
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, raw, spec
from tests.router.core.fake_peers import SentRequest

ALICE, BOB, NOBODY = Principal("alice"), Principal("https://idp.example bob:1"), Principal()
URL = "https://router.example/oauth/login/ticket-1"
REASON = "https://there.example/mcp asks for a login"
URL_CLIENT: Any = {"elicitation": {"url": {}}}


def personal(name: str = "a", **changes: Any) -> InstanceSpec:
    """Return the configuration of an instance in which each person logs in."""
    remote = {"type": "http", "url": "https://there.example/mcp", "sessions": "per_client"}
    return spec(name, **remote | {"oauth": OAuthLogin(per_user=True)} | changes)


def talk_about(*specs: InstanceSpec, **settings: Any) -> Conversation:
    talk = Conversation(**settings)
    talk.configured(*(specs or (personal(),)))
    return talk


def client_of(talk: Conversation, principal: Principal, **declares: Any) -> FakeClient:
    client = talk.client(principal=principal)
    client.initializes(**declares)
    return client


def comes_up(talk: Conversation, name: str, *tools: str, **more: Any) -> FakeUpstream:
    talk.starting(name)
    return talk.up(name, *(tools or ("echo",)), **more)


def needs_login(talk: Conversation, name: str, url: str = URL) -> None:
    """Report that the server of a person's session asks for a login."""
    talk.happens(InstanceDown(name, REASON, 0, None, True, url))


def both_up(**settings: Any) -> tuple[Conversation, FakeClient, FakeUpstream, FakeUpstream]:
    """Begin with the sessions `a#1` of Alice and `a#2` of Bob.

    Returns:
        The conversation, a client of Alice, the server of Alice's session, and that of Bob's.
    """
    talk = talk_about(**settings)
    alice, bob = client_of(talk, ALICE), client_of(talk, BOB)
    alice.routes("echo")
    bob.routes("echo")
    of_alice = comes_up(talk, "a#1", "echo", "hers", resources=("file:///hers",))
    of_bob = comes_up(talk, "a#2", "echo", "his", resources=("file:///his",))
    for server in (of_alice, of_bob):
        server.answers(server.sees_one(), {"content": []})
    return talk, alice, of_alice, of_bob


# --- Whom a session serves -------------------------------------------------------------------


@pytest.mark.parametrize("grant", ["token_exchange", "id_jag"])
def test_grants_with_the_token_of_a_person_make_an_instance_personal(grant: Any) -> None:
    assert personal(oauth=OAuthLogin(grant=grant)).is_per_person
    assert not personal(oauth=OAuthLogin()).is_per_person
    assert not spec("stdio", oauth=OAuthLogin(per_user=True)).is_per_person


def test_all_clients_of_one_person_share_a_session_that_carries_the_person() -> None:
    talk = talk_about()
    calls = [client_of(talk, ALICE).routes("echo"), client_of(talk, ALICE).routes("echo")]
    calls += [talk.client(one_shot=True, principal=ALICE).routes("echo")]
    calls += [talk.stateless_client(ALICE).routes("echo")]
    assert [(one.name, one.person, one.client) for one in talk.started] == [("a#1", "alice", None)]
    upstream = comes_up(talk, "a#1")
    for request in upstream.sees():
        upstream.answers(request, {"content": []})
    assert [call.result["content"] for call in calls] == [[]] * 4


def test_two_persons_never_share_one_whatever_way_they_come() -> None:
    talk, _, of_alice, of_bob = both_up()
    talk.client(one_shot=True, principal=BOB).routes("echo")
    talk.stateless_client(BOB).routes("echo")
    talk.stateless_connection(BOB).routes("echo")
    talk.admin_asks(CallTool("a", "echo", raw({})), BOB)
    talk.admin_asks(ReadResource("a", "file:///his"), BOB)
    assert len(of_bob.sees()) == 5
    assert of_alice.sees() == []
    assert [one.person for one in talk.started] == [ALICE.name, BOB.name]


def test_a_client_that_comes_again_gets_its_persons_session() -> None:
    talk, alice, of_alice, of_bob = both_up()
    alice.leaves()
    client_of(talk, ALICE).routes("echo")
    client_of(talk, BOB).routes("echo")
    assert (len(of_alice.sees()), len(of_bob.sees())) == (1, 1)
    assert len(talk.started) == 2


def test_tasks_of_two_persons_are_never_taken_for_one_another() -> None:
    talk, alice, _, _ = both_up()
    of_alice, of_bob = (talk.state.client_sessions.by_name[name] for name in ("a#1", "a#2"))
    assert of_alice.task_scope != of_bob.task_scope
    assert of_alice.listed_as.task_scope == of_alice.task_scope
    assert talk.state.row_at(of_alice.task_scope) is of_alice
    assert of_alice.serves(talk.state.clients[alice.id])
    assert not of_bob.serves(talk.state.clients[alice.id])


def test_names_that_look_alike_are_different_persons() -> None:
    talk = talk_about()
    names = ["a", "a:b", "a%3Ab", "a#1", "A"]
    for name in names:
        client_of(talk, Principal(name)).routes("echo")
    assert [one.person for one in talk.started] == names
    assert len({row.address for row in talk.state.client_sessions.by_name.values()}) == len(names)


def test_a_client_without_a_name_is_refused_and_shown_nothing() -> None:
    talk = talk_about(view="direct")
    comes_up_for_alice(talk)
    nobody = client_of(talk, NOBODY)
    assert nobody.lists() == []
    code, message = nobody.routes("echo").tool_error
    assert code == "SECURITY_ERROR"
    assert message.startswith("Instance 'a' has a session for each person, and this client has not")
    assert talk.admin_asks(CallTool("a", "echo", raw({})), NOBODY).error.code == NOT_ALLOWED
    assert len(talk.started) == 1


def comes_up_for_alice(talk: Conversation) -> FakeUpstream:
    client_of(talk, ALICE).routes("echo")
    return comes_up(talk, "a#1", "echo", "hers")


def test_there_are_no_more_sessions_than_configured() -> None:
    talk = talk_about(personal(max_sessions=1))
    client_of(talk, ALICE).routes("echo")
    code, message = client_of(talk, BOB).routes("echo").tool_error
    assert code == "OVERLOADED"
    assert "one for each person" in message


def test_a_session_ends_when_its_person_has_no_client_for_a_while() -> None:
    talk, alice, _, _ = both_up()
    alice.leaves()
    talk.time_passes(IDLE_EXPIRY_S + 1)
    assert talk.stopped == ["a#1"]


# --- Lists -----------------------------------------------------------------------------------


def test_each_person_is_listed_what_their_own_server_offers() -> None:
    talk, alice, _, _ = both_up(view="direct")
    bob = client_of(talk, BOB)
    assert alice.lists() == ["a__echo", "a__hers"]
    assert bob.lists() == ["a__echo", "a__his"]
    assert alice.lists("resources") == ["file:///hers"]
    assert bob.lists("resources") == ["file:///his"]
    assert [one["name"] for one in talk.admin_asks(ShowTools("a"), BOB).answer] == ["echo", "his"]
    assert list(talk.admin_asks(ListTools(), NOBODY).answer) == []


def test_a_tool_or_resource_of_another_person_is_asked_of_the_own_server_at_most() -> None:
    talk, alice, of_alice, of_bob = both_up(view="direct")
    alice.calls("a__his")
    assert of_alice.sees_one()["params"]["name"] == "his"
    alice.reads("file:///his")
    assert of_alice.sees_one()["params"]["uri"] == "file:///his"
    assert "his" not in str(alice.calls("mcp.router.help").result)
    assert of_bob.sees() == []
    assert talk.list_row("a")["tools_count"] == 0


def test_lists_of_a_person_are_asked_for_when_they_list_first() -> None:
    talk = talk_about(view="direct")
    bob, alice = client_of(talk, BOB), client_of(talk, ALICE)
    assert alice.lists() == []
    assert [one.person for one in talk.started] == ["alice"]
    comes_up(talk, "a#1", "hers")
    assert alice.hears() == ["notifications/tools/list_changed"]
    assert bob.hears() == []
    assert alice.lists() == ["a__hers"]


def test_changed_lists_are_told_to_their_person_alone() -> None:
    talk, alice, _, of_bob = both_up(view="direct")
    bob = client_of(talk, BOB)
    for client in (alice, bob):
        client.lists()
        client.hears()
    of_bob.lists("echo", "new")
    assert bob.hears() == ["notifications/tools/list_changed"]
    assert alice.hears() == []


def test_lists_are_neither_kept_on_disk_nor_taken_from_there() -> None:
    talk = Conversation(view="direct")
    old = KnownServer("2025-11-25", raw({}), raw({}), None, Catalog())
    talk.happens(CataloguesRead({"a": old}))
    talk.configured(personal())
    comes_up_for_alice(talk)
    assert talk.catalogues == []
    assert talk.state.instances.by_name["a"].known is None


def test_a_filter_of_the_configuration_holds_for_all_persons_at_once() -> None:
    talk, alice, _, _ = both_up(view="direct")
    bob = client_of(talk, BOB)
    for client in (alice, bob):
        client.lists()
        client.hears()
    talk.configured(personal(exposure=Exposure(tools=NameFilter(deny=("hers",)))))
    assert alice.hears() == ["notifications/tools/list_changed"]
    assert bob.hears() == []
    assert alice.lists() == ["a__echo"]
    assert len(talk.started) == 2


def test_a_removed_instance_is_gone_for_all_persons() -> None:
    talk, alice, _, _ = both_up(view="direct")
    alice.lists()
    alice.hears()
    talk.configured()
    assert alice.hears() == ["notifications/tools/list_changed"]
    assert alice.lists() == []
    assert sorted(talk.stopped) == ["a#1", "a#2"]


# --- Changes ---------------------------------------------------------------------------------


def test_a_changed_instance_starts_new_sessions_for_their_persons() -> None:
    talk, alice, _, _ = both_up()
    talk.configured(personal(url="https://elsewhere.example/mcp"))
    assert sorted(talk.stopped) == ["a#1", "a#2"]
    alice.routes("echo")
    assert (talk.started[-1].person, talk.started[-1].url) == (
        "alice",
        "https://elsewhere.example/mcp",
    )


def test_a_subscription_is_renewed_in_a_session_of_the_same_person() -> None:
    talk = talk_about(view="direct")
    alice = client_of(talk, ALICE)
    alice.routes("echo")
    more: dict[str, Any] = {"resources": ("file:///hers",), "capabilities": SUBSCRIBES}
    of_alice = comes_up(talk, "a#1", **more)
    of_alice.sees()
    subscribed = alice.asks("resources/subscribe", {"uri": "file:///hers"})
    of_alice.answers(of_alice.sees_one(), {})
    assert subscribed.result == {}
    talk.configured(personal(url="https://elsewhere.example/mcp"))
    assert (talk.started[-1].name, talk.started[-1].person) == ("a#2", "alice")
    again = comes_up(talk, "a#2", **more)
    assert again.sees_one()["method"] == "resources/subscribe"


SUBSCRIBES: Any = {"resources": {"subscribe": True}}


def test_an_instance_that_is_no_longer_personal_keeps_no_session_of_a_person() -> None:
    talk, alice, _, _ = both_up()
    talk.configured(personal(oauth=None))
    alice.routes("echo")
    assert (talk.started[-1].name, talk.started[-1].person) == ("a#3", None)


def test_a_restart_keeps_each_persons_lists_apart() -> None:
    talk, alice, _, _ = both_up(view="direct")
    talk.admin_asks(RestartInstance("a", wait_ready=False))
    assert alice.lists() == ["a__echo", "a__hers"]
    assert client_of(talk, BOB).lists() == ["a__echo", "a__his"]


def test_those_who_look_after_the_router_see_all_sessions() -> None:
    talk, _, _, _ = both_up()
    (row,) = talk.admin_asks(ShowStatus(), NOBODY).answer
    assert [(one["name"], one["client"]) for one in row["sessions"]] == [
        ("a#1", ALICE.name),
        ("a#2", BOB.name),
    ]
    assert (row["state"], row["calls"], row["tools_count"]) == ("ready", 2, 0)
    (numbers,) = talk.admin_asks(ShowMetrics(), NOBODY).answer.instances
    assert numbers.sessions == 2


def test_a_person_sees_their_own_session_alone() -> None:
    _, alice, _, _ = both_up()
    (row,) = alice.calls("mcp.router.list").text
    assert [one["name"] for one in row["sessions"]] == ["a#1"]


# --- The login of a person -------------------------------------------------------------------


def asks_for_login(talk: Conversation, client: FakeClient, **more: Any) -> SentRequest:
    """Have a client call a tool whose server asks for a login."""
    call = client.routes("echo", **more)
    talk.starting(talk.started[-1].name)
    needs_login(talk, talk.started[-1].name)
    return call


MESSAGE = f"Instance 'a' needs a login: {REASON}; log in at {URL}"


def test_a_client_that_opens_pages_is_sent_to_the_login() -> None:
    talk = talk_about()
    call = asks_for_login(talk, client_of(talk, ALICE, **URL_CLIENT))
    page = {"mode": "url", "elicitationId": "ticket-1", "url": URL, "message": MESSAGE}
    assert call.error == {"code": -32042, "message": MESSAGE, "data": {"elicitations": [page]}}


def test_a_client_without_sessions_that_opens_pages_is_asked_for_input() -> None:
    talk = talk_about()
    call = asks_for_login(talk, talk.stateless_client(ALICE, **URL_CLIENT))
    assert call.result["resultType"] == "input_required"
    params = {"mode": "url", "url": URL, "message": MESSAGE}
    asked = {"1": {"method": "elicitation/create", "params": params}}
    assert call.result["inputRequests"] == asked
    talk.happens(LoginChanged("a", "alice"))
    answers = {"1": {"action": "accept"}}
    again = talk.stateless_client(ALICE, **URL_CLIENT).routes("echo", inputResponses=answers)
    upstream = comes_up(talk, "a#1")
    upstream.answers(upstream.sees_one(), {"content": []})
    assert again.result["resultType"] == "complete"


@pytest.mark.parametrize("declares", [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}])
def test_other_clients_are_told_the_page_in_a_result(declares: Any) -> None:
    talk = talk_about(view="direct")
    alice = client_of(talk, ALICE, **declares)
    assert asks_for_login(talk, alice).tool_error == ("UNAVAILABLE", MESSAGE)
    assert alice.calls("a__echo").tool_error == ("UNAVAILABLE", MESSAGE)
    lone = talk.stateless_client(ALICE, **declares).calls("a__echo")
    assert lone.tool_error == ("UNAVAILABLE", MESSAGE)


def test_a_command_gets_the_page_with_the_error() -> None:
    talk = talk_about()
    asks_for_login(talk, client_of(talk, ALICE))
    error = talk.admin_asks(CallTool("a", "echo", raw({})), ALICE).error
    assert (error.code, error.message, error.data["login_url"]) == (UNAVAILABLE, MESSAGE, URL)


def test_the_page_of_one_person_is_shown_to_no_other() -> None:
    talk = talk_about()
    asks_for_login(talk, client_of(talk, ALICE))
    shown = talk.admin_asks(ShowStatus(), BOB).answer
    assert URL not in str(shown)
    assert client_of(talk, BOB).routes("echo").is_waiting


def test_without_a_page_the_command_is_named() -> None:
    talk = talk_about()
    alice = client_of(talk, ALICE, **URL_CLIENT)
    call = alice.routes("echo")
    talk.starting("a#1")
    needs_login(talk, "a#1", url="")
    assert call.tool_error[1].endswith("; run: mcp-router login a")


def test_a_login_starts_the_session_of_this_person_alone() -> None:
    talk, alice, _, of_bob = both_up()
    needs_login(talk, "a#1")
    in_flight = client_of(talk, BOB).routes("echo")
    talk.happens(LoginChanged("a", "alice"))
    assert [one.person for one in talk.started[2:]] == ["alice"]
    call = alice.routes("echo")
    upstream = comes_up(talk, "a#1")
    upstream.answers(upstream.sees_one(), {"content": []})
    of_bob.answers(of_bob.sees_one(), {"content": []})
    assert call.result == in_flight.result == {"content": []}


def test_a_logout_ends_what_ran_with_the_login() -> None:
    talk, alice, of_alice, _ = both_up()
    call = alice.routes("echo")
    talk.happens(LoginChanged("a", "alice"))
    assert call.tool_error[0] == "SESSION_LOST"
    assert talk.started[-1].person == "alice"
    of_alice.sees()
    waiting = alice.routes("echo")
    needs_login(talk, "a#1")  # of the former incarnation: it says nothing of the new one
    assert waiting.is_waiting
    talk.starting("a#1")
    needs_login(talk, "a#1")
    assert not waiting.is_waiting


def test_a_page_that_may_have_expired_is_asked_for_anew() -> None:
    talk = talk_about()
    alice = client_of(talk, ALICE)
    asks_for_login(talk, alice)
    assert not alice.routes("echo").is_waiting
    talk.time_passes(LOGIN_PAGE_S)
    again = alice.routes("echo")
    assert again.is_waiting
    assert len(talk.started) == 2
    talk.starting("a#1")
    needs_login(talk, "a#1", "https://router.example/oauth/login/ticket-2")
    assert again.tool_error[1].endswith("/ticket-2")


def test_a_login_that_ends_during_a_call_brings_the_page_with_the_answer() -> None:
    talk, _, of_alice, _ = both_up()
    call = client_of(talk, ALICE, **URL_CLIENT).routes("echo")
    error = RpcError(TRANSPORT_ERROR, REASON, {"login_url": URL})
    talk.happens(RequestFailed(of_alice.session, of_alice.sees_one()["id"], error, 401))
    assert call.error["code"] == -32042
    assert call.error["data"]["elicitations"][0]["url"] == URL


def test_model_reads_the_page_of_a_login_that_ended_during_its_call() -> None:
    talk, alice, of_alice, _ = both_up()
    call = alice.routes("echo")
    error = RpcError(TRANSPORT_ERROR, REASON, {"login_url": URL})
    talk.happens(RequestFailed(of_alice.session, of_alice.sees_one()["id"], error, 401))
    said = f"Instance 'a' failed during the call: {REASON}; log in at {URL}"
    assert call.tool_error[1] == said


def test_calls_in_flight_of_another_person_go_on() -> None:
    talk, alice, of_alice, of_bob = both_up()
    call, other = alice.routes("echo"), client_of(talk, BOB).routes("echo")
    of_alice.breaks(REASON)
    needs_login(talk, "a#1")
    assert call.tool_error[0] == RpcError(SESSION_LOST, "").string_code
    of_bob.answers(of_bob.sees_one(), {"content": []})
    assert other.result == {"content": []}


# --- Approval ----------------------------------------------------------------------------------


def test_a_reload_of_something_else_leaves_a_persons_call_waiting_for_its_yes() -> None:
    talk, alice, of_alice, _ = both_up()
    talk.configured(personal(exposure=Exposure(tools=NameFilter(approve=("echo",)))))
    call = alice.routes("echo")
    talk.configured(*(row.spec for row in talk.state.instances), spec("b"))
    talk.settings_change(tool_names="dotted")
    assert call.is_waiting
    decides(talk, approve=True)
    assert of_alice.sees_one()["params"]["name"] == "echo"


def test_a_person_who_was_forgotten_among_many_is_listed_the_own_tools_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instance_table, "MAX_PERSONS", 1)
    talk = talk_about(view="direct")
    alice, bob = client_of(talk, ALICE), client_of(talk, BOB)
    for client in (alice, bob):
        client.calls("mcp.router.list")
    assert talk.started == []
    alice.routes("echo")
    comes_up(talk, "a#1", "echo", "hers")
    assert alice.lists() == ["a__echo", "a__hers"]
