"""Searches: what the index is asked, and what clients are answered."""

from typing import Any

import pytest
from msgspec import Raw

from router.core.peers.own_tools import found_items
from router.core.peers.own_tools import searching as subject
from router.messages.catalog import Item
from router.messages.commands import Principal
from router.messages.errors import INTERNAL_ERROR, RpcError
from router.messages.instances.exposure import NameFilter, Profile
from router.messages.observability.records import CallRecord
from router.messages.own_tools.search import Found, ToolsFound
from tests.router.core.conversation import Conversation, SentRequest, raw, spec
from tests.router.core.fake_peers import EVERYTHING
from tests.router.core.peers.own_tools.searched import SCHEMA, item, searches, searching
from tests.router.core.per_client import comes_up, talk_about

LINE = "path: string, encoding?: string"


# --- The answer --------------------------------------------------------------------------------


def test_a_search_is_answered_with_what_the_index_has_found_in_its_order() -> None:
    talk = searching()
    asked = searches(talk.client())
    assert asked.is_waiting
    talk.found("url", "file")
    assert asked.text == {
        "found": "2 of 7 tools",
        "tools": [
            {"name": "a__url", "description": "Reads url.", "signature": LINE},
            {"name": "a__file", "description": "Reads file.", "signature": LINE},
        ],
    }
    assert "structuredContent" not in asked.result
    assert talk.state.searches.waiting == {}


def test_the_schema_of_the_first_comes_with_it_if_it_is_clearly_the_best() -> None:
    talk = searching()
    alice = talk.client()
    asked = searches(alice)
    talk.found("file", "url", is_clear=True)
    assert asked.text["schema"] == SCHEMA


def test_a_schema_that_is_long_is_left_to_describe() -> None:
    talk = searching(item("file", inputSchema={"description": "x" * subject.MAX_SCHEMA_BYTES}))
    asked = searches(talk.client())
    talk.found("file", is_clear=True)
    assert "schema" not in asked.text
    assert "mcp.router.describe shows it" in asked.text["hint"]


def test_arguments_that_would_take_long_to_read_are_left_to_describe() -> None:
    schema = {"properties": {f"argument{number}": {} for number in range(10_000)}}
    talk = searching(item("file", inputSchema=schema))
    asked = searches(talk.client())
    talk.found("file", is_clear=True)
    assert asked.text["tools"][0]["signature"] == "…"
    assert "mcp.router.describe shows it" in asked.text["hint"]


def test_the_index_is_asked_for_what_the_client_asks_and_sees() -> None:
    profile = Profile("search", ("a", "b"), NameFilter(deny=("*__rm",)))
    talk = Conversation(profiles={"work": profile})
    for name in ("a", "b", "c"):
        talk.with_instance(name, "echo")
    alice = talk.client(view="work")
    searches(alice, " read a file ", limit=3)
    searches(alice, "read", instance="b", kind="prompt", limit=None)
    first, second = talk.searches
    assert (first.query, first.rows, first.limit) == ("read a file", frozenset("ab"), 3)
    assert (first.kind, first.names) == ("tool", profile.tools)
    assert (second.rows, second.kind, second.limit) == (frozenset("b"), "prompt", 5)


def test_who_finds_nothing_is_told_what_can_be_done() -> None:
    talk = searching()
    alice = talk.client()
    asked = searches(alice)
    talk.found()
    assert asked.text == {
        "found": "0 of 7 tools",
        "tools": [],
        "hint": "Try other words for what is to be done, in English if these were not.",
    }
    talk.configured(spec("a"), spec("new"))
    asked = searches(alice)
    talk.found()
    starting = "Search again in some seconds; still starting: new."
    assert asked.text["hint"].endswith(starting)
    asked = searches(alice)
    talk.found("file")
    assert (asked.text["found"], asked.text["hint"]) == ("1 of 7 tools", starting)
    empty = searches(alice, kind="prompt")
    talk.happens(ToolsFound(talk.searches.pop().key))
    assert empty.text["hint"].startswith("No prompts are known. ")


def test_where_a_name_does_not_begin_with_its_server_that_is_told() -> None:
    talk = Conversation(view="search")
    talk.with_instance("高德地图", item("file"))
    asked = searches(talk.client())
    talk.found("file", row="高德地图")
    (shown,) = asked.text["tools"]
    assert shown["name"].startswith("______file_")
    assert list(shown.items())[1] == ("instance", "高德地图")


def test_prompts_and_resources_are_found_by_the_names_that_a_client_can_use() -> None:
    talk = Conversation(view="search")
    for name in ("a", "b"):
        offers: dict[str, Any] = {"resources": ["x:1", f"{name}:2"], "templates": ["x:{y}"]}
        talk.with_instance(name, prompts=["ask"], **offers)
    alice = talk.client()
    prompts = searches(alice, kind="prompt")
    talk.found("ask")
    assert prompts.text["prompts"] == [
        {"name": "a__ask", "description": "Asks for ask", "arguments": ""}
    ]
    resources = searches(alice, kind="resource")
    talk.found("a:2", "x:1", "x:{y}")
    assert resources.text["found"] == "3 of 7 resources"
    assert resources.text["resources"] == [
        {"uri": "a:2", "name": "at a:2"},
        {"uri": "mcp-router://a/x%3A1", "name": "at x:1"},
        {"uriTemplate": "mcp-router://a/x:{y}", "name": "like x:{y}"},
    ]


def test_a_resource_has_the_members_that_its_server_gives_it() -> None:
    talk = Conversation(view="search")
    given = {"uri": "x:1", "name": "one\nname", "description": "First. Second.", "mimeType": "a/b"}
    talk.with_instance("a", resources=[Item("x:1", raw(given))])
    asked = searches(talk.client(), kind="resource")
    talk.found("x:1", "x:gone")
    shown = {"name": "one name", "description": "First.", "mimeType": "a/b"}
    assert asked.text["resources"] == [{"uri": "x:1"} | shown]


def test_a_tool_that_says_nothing_has_its_title_and_what_nobody_can_read_has_no_arguments() -> None:
    talk = searching(item("file", description=None, title="A file", inputSchema="odd"))
    asked = searches(talk.client())
    talk.found("file")
    assert asked.text["tools"] == [{"name": "a__file", "description": "A file", "signature": ""}]
    assert found_items.decoded(Raw(b"[" * 1_000_000)) is None


def test_what_the_view_does_not_admit_any_more_when_the_answer_is_made_is_not_shown() -> None:
    profile = Profile("search", ("a",))
    talk = Conversation(profiles={"work": profile})
    talk.with_instance("a", "echo", "rm")
    talk.with_instance("b", "echo")
    asked = searches(talk.client(view="work"))
    denied = Profile("search", ("a",), NameFilter(deny=("*__rm",)))
    talk.settings_change(profiles={"work": denied})
    search = talk.searches.pop()
    found = (("a", "rm"), ("b", "echo"), ("a", "gone"), ("nowhere", "echo"), ("a", "echo"))
    results = tuple(Found(row, "tool", key) for row, key in found)
    talk.happens(ToolsFound(search.key, results, is_clear=True, total=4))
    assert [tool["name"] for tool in asked.text["tools"]] == ["a__echo"]
    assert "schema" not in asked.text  # The best one was another.


def test_a_search_in_a_view_of_another_kind_finds_by_the_names_that_can_be_called_there() -> None:
    talk = searching(view="router")
    asked = searches(talk.client())
    talk.found("file")
    assert asked.text["tools"][0]["name"] == "a__file"


def test_a_search_starts_the_session_of_a_client_of_which_nothing_is_known() -> None:
    talk = talk_about(view="search")
    alice = talk.client()
    asked = searches(alice)
    talk.found()
    assert asked.text["found"] == "0 of 7 tools"
    comes_up(talk, "a#1", item("file"))
    again = searches(alice)
    talk.found("file")
    assert again.text["tools"][0]["name"] == "a__file"


def test_clients_of_2026_07_28_search_as_well() -> None:
    talk = searching()
    for client in (talk.stateless_client(), talk.stateless_connection()):
        asked = searches(client)
        talk.found("file")
        assert asked.text["tools"][0]["name"] == "a__file"
        assert asked.result["resultType"] == "complete"
    assert len(talk.state.clients) == 2


# --- Errors ------------------------------------------------------------------------------------


def refused(talk: Conversation, asked: SentRequest) -> str:
    code, message = asked.tool_error
    assert talk.state.searches.waiting == {}
    return f"{code}: {message}"


def test_an_instance_that_is_not_there_is_named_with_those_that_are() -> None:
    talk = searching()
    error = refused(talk, searches(talk.client(), instance="b"))
    assert error == "INSTANCE_NOT_FOUND: Instance not found: b. Available instances: 'a'"


def test_a_search_of_an_instance_whose_tools_are_not_known_waits_for_these() -> None:
    talk = searching()
    talk.configured(spec("a"), spec("b"))
    alice = talk.client()
    asked = searches(alice, instance="b")
    assert asked.is_waiting
    assert talk.searches == []
    talk.starting("b")
    talk.up("b", item("file"))
    talk.found("file", row="b")
    assert asked.text["tools"][0]["name"] == "b__file"
    talk.configured(spec("a"), spec("c", is_active=False))
    assert "Instance 'c' is not active" in refused(talk, searches(alice, instance="c"))


def test_a_problem_of_the_index_is_the_answer() -> None:
    talk = searching()
    asked = searches(talk.client())
    problem = RpcError(INTERNAL_ERROR, "The search index is broken")
    talk.happens(ToolsFound(talk.searches.pop().key, problem=problem))
    assert refused(talk, asked) == "INTERNAL_ERROR: The search index is broken"


def test_a_client_whose_view_is_gone_when_the_answer_is_made_is_told_so() -> None:
    talk = searching(profiles={"work": Profile("search")})
    asked = searches(talk.client(view="work"))
    talk.settings_change(profiles={})
    talk.found("file")
    assert refused(talk, asked) == "INSTANCE_NOT_FOUND: View not found: work"


def test_searches_beyond_a_limit_are_shed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_SEARCHING", 1)
    talk = searching()
    alice = talk.client()
    first, second = searches(alice), searches(alice)
    assert second.tool_error[0] == "OVERLOADED"
    talk.found("file")
    assert first.text["found"] == "1 of 7 tools"


def test_who_has_too_many_searches_wait_leaves_room_for_others() -> None:
    talk = searching()
    alice, bob = (talk.client(principal=Principal(name, EVERYTHING.permissions)) for name in "ab")
    asked = [searches(alice) for _ in range(subject.MAX_SEARCHING_OF_PRINCIPAL + 1)]
    assert asked.pop().tool_error[0] == "OVERLOADED"
    assert all(each.is_waiting for each in (*asked, searches(bob)))


@pytest.mark.parametrize("permission", ["read", "call", "admin"])
def test_who_may_read_or_call_may_search(permission: Any) -> None:
    talk = searching()
    alice = talk.client(principal=Principal("p", frozenset({permission})))
    asked = searches(alice)
    if permission == "admin":
        assert asked.tool_error[0] == "SECURITY_ERROR"
        return
    talk.found("file")
    assert asked.text["found"] == "1 of 7 tools"


# --- Waiting -----------------------------------------------------------------------------------


def test_a_search_that_was_cancelled_gets_no_answer() -> None:
    talk = searching()
    alice = talk.client()
    asked = searches(alice)
    alice.cancels(asked)
    again = alice.calls("mcp.router.search", {"query": "read"}, id=asked.id)
    talk.found("url")
    assert (asked.finals, again.finals) == ([], [])
    talk.found("file")
    assert again.text["tools"][0]["name"] == "a__file"


def test_a_search_of_a_client_that_left_is_forgotten() -> None:
    talk = searching()
    alice = talk.client()
    asked = searches(alice)
    alice.leaves()
    talk.found("file")
    assert asked.mailbox.closed
    assert talk.state.searches.waiting == {}


def test_an_id_is_taken_while_its_search_waits() -> None:
    talk = searching()
    alice = talk.client()
    asked = searches(alice)
    assert alice.asks("ping", id=asked.id).error["code"] == -32600
    talk.found("file")
    assert alice.asks("ping", id=asked.id).result == {}


def test_a_router_that_stops_waits_for_searches_and_begins_no_more() -> None:
    talk = searching()
    alice = talk.client()
    asked = searches(alice)
    stopped = talk.drains()
    assert searches(alice).tool_error[0] == "UNAVAILABLE"
    assert stopped.waiting == []
    talk.found("file")
    assert asked.text["found"] == "1 of 7 tools"
    assert stopped.waiting == [None]


def test_results_of_no_search_are_nothing() -> None:
    talk = searching()
    talk.happens(ToolsFound(99))
    assert talk.replies == []


def test_a_search_is_recorded_as_a_call_of_the_router() -> None:
    talk = searching(records=frozenset({"audit"}))
    alice = talk.client(principal=EVERYTHING)
    searches(alice)
    gone = searches(alice)
    alice.cancels(gone)
    assert len(talk.call_records()) == 1
    talk.found("file")
    (record,) = talk.call_records()
    assert isinstance(record, CallRecord)
    assert (record.target, record.instance, record.outcome) == ("mcp.router.search", "", "ok")
