"""The instance that a URI leads to, and the URIs under which resources are listed."""

from typing import Any

import pytest

from router.core.names.resource_uris import shown_template, shown_uri
from router.core.views.resources import MAX_URI_CHARS
from router.messages.commands import Principal
from router.messages.instances.exposure import Exposure, NameFilter, Profile
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, SentRequest

ODD = ["文件://数据/😀", "x:a b", "x:" + "y" * 300, "x:\x00\n", "x:100%25", "a:b:c", "greeting"]


def with_servers(**resources: list[str]) -> tuple[Conversation, dict[str, FakeUpstream]]:
    """Instances of these names, each with these resources; their client sees a direct view."""
    talk = Conversation(view="direct")
    return talk, {
        name: talk.with_instance(name, resources=uris, capabilities={"resources": {}})
        for name, uris in resources.items()
    }


def leads(asked: SentRequest, upstreams: dict[str, FakeUpstream]) -> Any:
    """Return the instance that a request reached and the URI that it saw; else the error's code."""
    seen = [(name, up.sees_one()) for name, up in upstreams.items() if up.inbox.waiting]
    if not seen:
        return asked.error["code"]
    ((name, frame),) = seen
    return name, frame["params"]["uri"]


# --- Lists ---------------------------------------------------------------------------------------


def test_uris_are_listed_as_they_are_while_one_instance_alone_has_them() -> None:
    talk, upstreams = with_servers(a=["file:///x", *ODD], b=["file:///y"])
    alice = talk.client()
    assert alice.lists("resources") == ["file:///x", *ODD, "file:///y"]
    for uri in alice.lists("resources"):
        assert leads(alice.reads(uri), upstreams) == ("b" if uri == "file:///y" else "a", uri)


@pytest.mark.parametrize("uri", ["file:///x", *ODD])
def test_uris_that_two_instances_have_are_listed_with_their_instances(uri: str) -> None:
    talk, upstreams = with_servers(a=[uri], **{"文件 😀": [uri]})
    alice = talk.client()
    shown = alice.lists("resources")
    assert shown == [shown_uri("a", uri), shown_uri("文件 😀", uri)]
    assert [leads(alice.reads(one), upstreams) for one in shown] == [("a", uri), ("文件 😀", uri)]


@pytest.mark.parametrize("uri", ["ui://app/main.html", "mcp-router://b/file%3A%2F%2F%2Fx"])
def test_interfaces_of_apps_and_uris_like_the_routers_own_always_name_their_instance(
    uri: str,
) -> None:
    talk, upstreams = with_servers(a=[uri], b=["file:///x"])
    alice = talk.client()
    (shown, _) = alice.lists("resources")
    assert shown == shown_uri("a", uri)
    assert leads(alice.reads(shown), upstreams) == ("a", uri)


def test_a_list_changes_when_another_instance_comes_to_have_the_same_uri_and_back() -> None:
    talk, upstreams = with_servers(a=["x:1"], b=[])
    alice = talk.client()
    assert alice.lists("resources") == ["x:1"]
    upstreams["b"].lists(resources=["x:1"])
    assert alice.lists("resources") == [shown_uri("a", "x:1"), shown_uri("b", "x:1")]
    upstreams["b"].lists(resources=["x:2"])
    assert alice.lists("resources") == ["x:1", "x:2"]


def test_a_collision_outside_of_a_view_is_none_in_it() -> None:
    talk = Conversation(view="direct", profiles={"work": Profile("direct", ("a",))})
    for name in ("a", "b"):
        talk.with_instance(name, resources=["x:1"], templates=["y:{z}"])
    only_a = Principal("m", instances=frozenset({"a"}))
    for alice in (talk.client(view="work"), talk.client(principal=only_a)):
        assert (alice.lists("resources"), alice.lists("templates")) == (["x:1"], ["y:{z}"])


def test_templates_that_two_instances_have_name_their_instances() -> None:
    talk = Conversation(view="direct")
    upstreams = {
        name: talk.with_instance(name, templates=["file:///{path}", f"{name}:{{x}}", "ui://{v}"])
        for name in ("a", "b")
    }
    alice = talk.client()
    forms = [
        [shown_template(name, "file:///{path}"), f"{name}:{{x}}", shown_template(name, "ui://{v}")]
        for name in ("a", "b")
    ]
    assert alice.lists("templates") == forms[0] + forms[1]
    for name in ("a", "b"):
        expanded = shown_template(name, "file:///{path}").replace("{path}", "a%20b")
        assert leads(alice.reads(expanded), upstreams) == (name, "file:///a%20b")
        assert leads(alice.reads(f"{name}:1"), upstreams) == (name, f"{name}:1")


def test_other_members_of_what_is_renamed_stay() -> None:
    talk, upstreams = with_servers(a=["x:1"], b=["x:1"])
    alice = talk.client()
    listed = alice.asks("resources/list").result["resources"]
    assert listed[0] == {"uri": shown_uri("a", "x:1"), "name": "at x:1"}
    assert upstreams["a"].sees() == []


# --- One URI -------------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", ["file:///x", "never:listed", "ui://app/x", *ODD])
def test_a_uri_may_always_be_asked_for_with_its_instance(uri: str) -> None:
    talk, upstreams = with_servers(a=["file:///x"], b=["file:///x"], c=[])
    for alice in (talk.client(), talk.stateless_client(), talk.client(one_shot=True)):
        for name in ("a", "b", "c"):
            assert leads(alice.reads(shown_uri(name, uri)), upstreams) == (name, uri)


def test_a_uri_that_several_may_have_is_an_error_that_names_the_forms() -> None:
    talk, upstreams = with_servers(a=["x:1"], b=["x:1"], c=["y:1"])
    asked = talk.client().reads("x:1")
    assert leads(asked, upstreams) == -32602
    assert asked.error["message"] == (
        "Several servers may have x:1; ask for one of mcp-router://a/x%3A1, mcp-router://b/x%3A1"
    )


def test_an_expansion_of_two_templates_is_not_guessed() -> None:
    talk = Conversation(view="direct")
    upstreams = {"a": talk.with_instance("a", templates=["file:///{path}"])}
    upstreams["b"] = talk.with_instance("b", templates=["file:///{+path}"])
    alice = talk.client()
    assert leads(alice.reads("file:///x"), upstreams) == -32602
    assert leads(alice.reads("file:///x/y"), upstreams) == ("b", "file:///x/y")


def test_a_listed_uri_wins_over_a_template_of_another_instance() -> None:
    talk = Conversation(view="direct")
    upstreams = {"a": talk.with_instance("a", resources=["file:///x"])}
    upstreams["b"] = talk.with_instance("b", templates=["file:///{path}"])
    alice = talk.client()
    assert leads(alice.reads("file:///x"), upstreams) == ("a", "file:///x")
    assert leads(alice.reads("file:///y"), upstreams) == ("b", "file:///y")


def test_the_only_server_with_resources_is_asked_for_what_nobody_lists() -> None:
    talk, upstreams = with_servers(a=["x:1"])
    talk.with_instance("tools-only", "echo")
    alice = talk.client()
    assert leads(alice.reads("never:listed"), upstreams) == ("a", "never:listed")
    upstreams["b"] = talk.with_instance("b", capabilities={"resources": {}})
    asked = alice.reads("never:listed")
    assert leads(asked, upstreams) == -32002
    assert asked.error["data"] == {"uri": "never:listed"}


@pytest.mark.parametrize(
    ("declared", "code"), [("handshake", -32002), ("stateless", -32602), ("connection", -32602)]
)
def test_a_uri_that_leads_nowhere_has_the_code_of_the_clients_revision(
    declared: str, code: int
) -> None:
    talk, _ = with_servers(a=["x:1"], b=["x:2"])
    clients: dict[str, FakeClient] = {
        "handshake": talk.client(),
        "stateless": talk.stateless_client(),
        "connection": talk.stateless_connection(),
    }
    error = clients[declared].reads("nowhere:1").error
    assert (error["code"], error["data"]) == (code, {"uri": "nowhere:1"})


@pytest.mark.parametrize("form", ["x:1", shown_uri("b", "x:1"), shown_uri("nobody", "x:1")])
def test_a_principal_reaches_no_instance_but_its_own(form: str) -> None:
    talk, upstreams = with_servers(a=["y:1"], b=["x:1"], c=["z:1"])
    mallory = talk.client(principal=Principal("m", instances=frozenset({"a", "c"})))
    assert leads(mallory.reads(form), upstreams) == -32002
    view = Conversation(profiles={"work": Profile("direct", ("a", "c"))})
    others = {name: view.with_instance(name, resources=[f"{name}:1"]) for name in "abc"}
    assert leads(view.client(view="work").reads(shown_uri("b", "b:1")), others) == -32002


def test_what_a_filter_leaves_out_cannot_be_read_in_any_form() -> None:
    talk = Conversation(view="direct")
    exposure = Exposure(resources=NameFilter(deny=("file:///secret*",)))
    uris = ["file:///secret", "file:///x"]
    upstreams = {"a": talk.with_instance("a", resources=uris, exposure=exposure)}
    alice, inside = talk.client(), talk.client(view="a")
    assert alice.lists("resources") == inside.lists("resources") == ["file:///x"]
    for uri in ("file:///secret", "file:///secret/2", shown_uri("a", "file:///secret")):
        assert leads(alice.reads(uri), upstreams) == -32002
    assert leads(inside.reads("file:///secret"), upstreams) == -32002
    assert leads(alice.reads("file:///y"), upstreams) == ("a", "file:///y")


def test_in_a_router_view_the_selected_instance_is_asked_for_what_its_results_link_to() -> None:
    talk = Conversation()
    names = ("a", "b")
    upstreams = {n: talk.with_instance(n, capabilities={"resources": {}}) for n in names}
    alice = talk.client()
    assert leads(alice.reads("never:listed"), upstreams) == -32002
    alice.uses("b")
    assert leads(alice.reads("never:listed"), upstreams) == ("b", "never:listed")
    assert leads(alice.reads(shown_uri("a", "x:1")), upstreams) == ("a", "x:1")
    upstreams["a"].lists(resources=["x:1"])
    upstreams["b"].lists(resources=["x:1"])
    assert leads(alice.reads("x:1"), upstreams) == -32602


def test_in_a_transparent_view_every_uri_is_its_servers_own() -> None:
    talk, upstreams = with_servers(a=["x:1"], b=["x:1"])
    alice = talk.client(view="b")
    for uri in ("x:1", "never:listed", shown_uri("a", "x:1"), "ui://b/ui%3A%2F%2Fx", ""):
        assert leads(alice.reads(uri), upstreams) == ("b", uri)


def test_reading_waits_for_an_instance_that_is_named_and_starts() -> None:
    talk, upstreams = with_servers(a=["x:1"])
    upstreams.pop("a").breaks()
    alice = talk.client()
    asked = alice.reads(shown_uri("a", "x:1"))
    assert asked.is_waiting
    talk.starting("a")
    upstreams["a"] = talk.up("a", resources=["x:1"])
    assert leads(asked, upstreams) == ("a", "x:1")
    talk.failed("a", "it crashed")
    assert alice.reads(shown_uri("a", "x:1")).error["code"] == -32013


@pytest.mark.parametrize("params", [{}, {"uri": 5}, {"uri": "x:1", "URI": "y"}])
def test_a_request_that_makes_no_sense_is_refused(params: Any) -> None:
    talk, upstreams = with_servers(a=["x:1"])
    for method in ("resources/read", "resources/subscribe", "resources/unsubscribe"):
        assert talk.client().asks(method, params).error["code"] == -32602
    assert upstreams["a"].sees() == []


def test_a_uri_that_takes_long_to_take_apart_is_refused() -> None:
    talk, upstreams = with_servers(a=["x:1"])
    longest = "x:" + "y" * (MAX_URI_CHARS - 2)
    assert leads(talk.client().reads(longest), upstreams) == ("a", longest)
    assert leads(talk.client().reads(f"mcp-router://a/{'%' * MAX_URI_CHARS}"), upstreams) == -32602
