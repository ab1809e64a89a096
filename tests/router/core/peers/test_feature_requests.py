"""Prompts, resources and completions in views of several instances."""

from typing import Any

import pytest

from router.core.names.direct_names import direct_name
from router.core.names.resource_uris import shown_template, shown_uri
from router.messages.commands import Principal
from router.messages.instances.exposure import Exposure, NameFilter
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, spec

LONG = "a prompt " + "with a long name " * 20
NAMES = ["ask", "文 😀", LONG, "a:b/c", "x\n\x00", "100%25", "mcp.router.list"]


def serving(*prompts: str, view: str = "direct", **more: Any) -> tuple[Conversation, FakeUpstream]:
    talk = Conversation(view=view)
    upstream = talk.with_instance("a", prompts=prompts or ("ask",), **more)
    talk.with_instance("文件", prompts=["ask"])
    return talk, upstream


def clients_of(talk: Conversation) -> list[FakeClient]:
    return [
        talk.client(),
        talk.client(one_shot=True),
        talk.stateless_client(),
        talk.stateless_connection(),
    ]


# --- Prompts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_is_got_by_the_name_that_is_listed(name: str) -> None:
    talk, upstream = serving(name)
    for client in clients_of(talk):
        shown = client.lists("prompts")[0]
        assert shown == direct_name("a", name, 48)
        asked = client.asks("prompts/get", {"name": shown, "arguments": {"x": "1"}, "odd": 1})
        seen = upstream.sees_one()
        assert seen["params"] | {"_meta": 0} == {
            "name": name,
            "arguments": {"x": "1"},
            "odd": 1,
            "_meta": 0,
        }
        upstream.answers(seen, {"messages": [], "odd": [1.5]})
        assert (asked.result["messages"], asked.result["odd"]) == ([], [1.5])


def test_prompts_of_the_same_name_are_told_apart() -> None:
    talk, upstream = serving()
    alice = talk.client()
    other = direct_name("文件", "ask", 48)
    assert alice.lists("prompts") == ["a__ask", other]
    alice.asks("prompts/get", {"name": other})
    assert upstream.sees() == []


def test_prompts_are_got_by_direct_name_in_a_router_view_as_well() -> None:
    talk, upstream = serving(view="router")
    talk.client().asks("prompts/get", {"name": "a__ask"})
    assert upstream.sees_one()["params"] == {"name": "ask"}


@pytest.mark.parametrize("name", ["ask", "b__ask", "mcp.router.list", "", "x" * 1_000_000])
def test_an_unknown_prompt_is_an_error(name: str) -> None:
    talk, upstream = serving()
    talk.down("文件", retry_in_s=None)
    for client in clients_of(talk):
        error = client.asks("prompts/get", {"name": name}).error
        assert error["code"] == -32602
        assert error["message"].startswith("Unknown prompt: ")
    assert upstream.sees() == []


def test_an_unknown_prompt_is_answered_with_the_nearest() -> None:
    talk = Conversation(view="direct")
    talk.with_instance("a", prompts=["review", "explain"])
    error = talk.client().asks("prompts/get", {"name": "b__reveiw"}).error
    assert error["message"] == "Unknown prompt: b__reveiw. Did you mean 'a__review', 'a__explain'?"


def test_a_prompt_that_a_ready_server_does_not_list_is_its_own_to_know() -> None:
    talk, upstream = serving()
    talk.client().asks("prompts/get", {"name": "a__never"})
    assert upstream.sees_one()["params"] == {"name": "never"}


def test_a_prompt_that_a_filter_leaves_out_is_unknown() -> None:
    exposure = Exposure(prompts=NameFilter(deny=("hide",)))
    talk, upstream = serving("ask", "hide", exposure=exposure)
    alice = talk.client()
    ref = {"type": "ref/prompt", "name": "a__hide"}
    for method, params in (
        ("prompts/get", {"name": "a__hide"}),
        ("completion/complete", {"ref": ref, "argument": {}}),
    ):
        error = alice.asks(method, params).error
        assert (error["code"], "hide'" in error["message"]) == (-32602, False)
    assert upstream.sees() == []


def test_a_prompt_waits_for_its_instance() -> None:
    talk = Conversation(view="direct")
    talk.configured(spec("a"))
    asked = talk.client().asks("prompts/get", {"name": "a__ask"})
    talk.starting("a")
    upstream = talk.up("a", prompts=["ask"])
    assert upstream.sees_one()["params"] == {"name": "ask"}
    assert asked.is_waiting


@pytest.mark.parametrize(
    "params", [{}, {"name": 5}, {"name": "a__ask", "Name": "x"}, {"name": "a__ask", "_META": {}}]
)
def test_a_prompt_that_is_asked_for_in_no_clear_way_is_refused(params: Any) -> None:
    talk, upstream = serving()
    assert talk.client().asks("prompts/get", params).error["code"] == -32602
    assert upstream.sees() == []


# --- Errors across eras --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "sent", "to_session", "to_stateless"),
    [
        ("2025-11-25", -32002, -32002, -32602),
        ("2025-11-25", -32602, -32602, -32602),
        ("2026-07-28", -32602, -32002, -32602),
        ("2026-07-28", -32601, -32601, -32601),
    ],
)
@pytest.mark.parametrize("view", ["direct", "a"])
def test_a_missing_resource_has_the_code_of_the_clients_era(
    view: str, revision: str, sent: int, to_session: int, to_stateless: int
) -> None:
    talk = Conversation(view=view)
    upstream = talk.with_instance("a", resources=["x:1"], revision=revision)
    error = {"code": sent, "message": "no", "data": {"uri": "x:1"}}
    for client, code in ((talk.client(), to_session), (talk.stateless_client(), to_stateless)):
        asked = client.reads("x:1")
        upstream.fails(upstream.sees_one(), error)
        assert asked.error == error | {"code": code}


def test_of_other_methods_invalid_params_stay_that() -> None:
    talk, upstream = serving(revision="2026-07-28")
    asked = talk.client().asks("prompts/get", {"name": "a__ask"})
    upstream.fails(upstream.sees_one(), {"code": -32602, "message": "no"})
    assert asked.error == {"code": -32602, "message": "no"}


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_what_is_read_says_how_long_it_may_be_kept_where_the_revision_has_that(
    revision: str,
) -> None:
    talk = Conversation(view="direct")
    upstream = talk.with_instance("a", resources=["x:1"], revision=revision)
    answer = {"contents": [], "ttlMs": 5000, "cacheScope": "public", "resultType": "complete"}
    alice, lone = talk.client().reads("x:1"), talk.stateless_client().reads("x:1")
    for request in upstream.sees():
        upstream.answers(request, answer)
    if revision == "2026-07-28":
        assert alice.result == {"contents": []}
        assert (lone.result["ttlMs"], lone.result["cacheScope"]) == (5000, "public")
    else:
        assert (lone.result["ttlMs"], lone.result["cacheScope"]) == (0, "private")


# --- Completions ---------------------------------------------------------------------------------

ARGUMENT = {"name": "x", "value": "文"}


def test_a_completion_is_about_the_servers_own_prompt_or_template() -> None:
    talk = Conversation(view="direct")
    upstream = talk.with_instance("a", prompts=["ask"], templates=["x:{y}", "z:{y}"])
    talk.with_instance("b", templates=["z:{y}"])
    forms = {
        ("ref/prompt", "name", "a__ask"): "ask",
        ("ref/resource", "uri", "x:{y}"): "x:{y}",
        ("ref/resource", "uri", shown_template("a", "z:{y}")): "z:{y}",
        ("ref/resource", "uri", shown_uri("a", "x:1")): "x:1",
    }
    for client in clients_of(talk):
        for (kind, member, shown), own in forms.items():
            ref = {"type": kind, member: shown, "title": "T"}
            params = {"ref": ref, "argument": ARGUMENT, "context": {"arguments": {}}}
            asked = client.asks("completion/complete", params)
            seen = upstream.sees_one()
            assert seen["params"]["ref"] == ref | {member: own}
            assert (seen["params"]["argument"], "context" in seen["params"]) == (ARGUMENT, True)
            upstream.answers(seen, {"completion": {"values": ["文"]}})
            assert asked.result["completion"] == {"values": ["文"]}


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        (None, -32602),
        (5, -32602),
        ({}, -32602),
        ({"type": "ref/odd"}, -32602),
        ({"type": "ref/prompt"}, -32602),
        ({"type": "ref/prompt", "name": "nothing"}, -32602),
        ({"type": "ref/resource", "uri": 5}, -32602),
        ({"type": "ref/resource", "uri": "nowhere:1"}, -32002),
    ],
)
def test_a_completion_of_nothing_is_refused(ref: Any, code: int) -> None:
    talk, upstream = serving()
    assert talk.client().asks("completion/complete", {"ref": ref}).error["code"] == code
    assert upstream.sees() == []


def test_a_completion_with_a_key_like_a_known_one_is_refused() -> None:
    talk, upstream = serving()
    for params in ({"ref": {"type": "ref/prompt", "name": "a__ask", "Name": "x"}}, {"Ref": {}}):
        assert talk.client().asks("completion/complete", params).error["code"] == -32602
    assert upstream.sees() == []


# --- Permissions, and the end --------------------------------------------------------------------

ASKED = [
    ("prompts/get", {"name": "a__ask"}),
    ("resources/read", {"uri": shown_uri("a", "x:1")}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "a__ask"}}),
]


@pytest.mark.parametrize(("method", "params"), ASKED)
def test_a_token_that_may_not_call_gets_nothing_of_a_server(
    method: str, params: dict[str, Any]
) -> None:
    talk, upstream = serving()
    reader = Principal("r", permissions=frozenset({"read"}))
    for client in (talk.client(principal=reader), talk.stateless_client(reader)):
        assert client.asks(method, params).error["code"] == -32016
        assert client.lists("prompts")[0] == "a__ask"
    assert upstream.sees() == []


@pytest.mark.parametrize(("method", "params"), ASKED)
def test_a_token_reaches_no_instance_but_its_own(method: str, params: dict[str, Any]) -> None:
    talk, upstream = serving()
    mallory = talk.client(principal=Principal("m", instances=frozenset({"文件"})))
    error = mallory.asks(method, params).error
    assert error["code"] in (-32602, -32002)
    assert "'a" not in error["message"]
    assert upstream.sees() == []


@pytest.mark.parametrize(("method", "params"), ASKED)
def test_a_router_that_stops_takes_no_more(method: str, params: dict[str, Any]) -> None:
    talk, upstream = serving()
    talk.drains()
    for client in clients_of(talk):
        assert client.asks(method, params).error["code"] == -32013
        assert client.lists("prompts")[0] == "a__ask"
    assert upstream.sees() == []


@pytest.mark.parametrize(("method", "params"), ASKED)
def test_requests_are_lost_with_their_session(method: str, params: dict[str, Any]) -> None:
    talk, upstream = serving()
    asked = talk.client().asks(method, params)
    upstream.breaks()
    assert asked.error["code"] == -32012
