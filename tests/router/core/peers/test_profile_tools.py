"""The tools that clients of a profile are listed, asked for by somebody else."""

from typing import Any

import msgspec
import pytest

from router.core.views.profile_tools import BYTES_A_TOKEN
from router.messages.commands import Principal, ShowProfileTools
from router.messages.errors import INSTANCE_NOT_FOUND
from router.messages.events import ClientOpened
from router.messages.instances.exposure import NameFilter, Profile
from tests.router.core.conversation import Conversation, FakeClient, raw, value_of

PROFILES = {
    "all": Profile(),
    "some": Profile(instances=("a*",), tools=NameFilter(deny=("*__drop",))),
    "empty": Profile(instances=("nothing-*",)),
    "one": Profile("transparent", ("a",)),
    "old": Profile("router"),
}


def talking(**settings: Any) -> Conversation:
    """Begin a conversation with two instances, whose tools have the same names."""
    talk = Conversation(profiles=PROFILES, **settings)
    talk.with_upstreams("a", "b", tools=("echo", "drop"))
    return talk


def shown(talk: Conversation, name: str, **limits: Any) -> Any:
    asked = talk.admin_asks(ShowProfileTools(name), Principal("admin", **limits))
    return value_of(raw(asked.answer))


def listed(talk: Conversation, place: str) -> list[dict[str, Any]]:
    """Return the tools that a client at a place is listed."""
    client = FakeClient(talk, f"client-{next(talk.ids)}")
    talk.happens(ClientOpened(client.id, client.outbox, view=place))
    client.initializes()
    return client.asks("tools/list").result["tools"]


@pytest.mark.parametrize("name", ["all", "some", "empty", "old"])  # There the server itself lists.
@pytest.mark.parametrize("settings", [{}, {"allow_instance_management": True}])
def test_it_is_the_list_that_a_client_gets(name: str, settings: dict[str, Any]) -> None:
    talk = talking(**settings)
    usual = ("name", "description", "inputSchema")
    tools = [{key: tool[key] for key in usual} for tool in shown(talk, name)["tools"]]
    assert tools == [{key: tool[key] for key in usual} for tool in listed(talk, name)]


def test_each_tool_names_its_instance() -> None:
    talk = talking(allow_instance_management=True)
    assert {(tool["instance"], tool["name"]) for tool in shown(talk, "some")["tools"]} >= {
        ("a", "a__echo"),
        (None, "mcp.router.add"),
    }
    assert [(tool["instance"], tool["name"]) for tool in shown(talk, "one")["tools"]] == [
        ("a", "echo"),
        ("a", "drop"),
    ]


def test_tokens_are_the_bytes_of_what_is_shown_of_a_tool_by_four_rounded_up() -> None:
    answer = shown(talking(), "all")
    for tool in answer["tools"]:
        seen = {key: tool[key] for key in ("name", "description", "inputSchema")}
        size_bytes = len(msgspec.json.encode(seen))
        assert 0 <= tool["tokens"] * BYTES_A_TOKEN - size_bytes < BYTES_A_TOKEN
    assert answer["total_tokens"] == sum(tool["tokens"] for tool in answer["tools"])
    assert answer["total_tokens"] > 0
    assert shown(talking(), "empty") == {"tools": [], "total_tokens": 0}


@pytest.mark.parametrize("name", ["a", "direct", "router", "some*", ""])
def test_only_a_profile_is_one(name: str) -> None:
    error = talking().admin_asks(ShowProfileTools(name)).error
    available = "'all', 'some', 'empty', 'one', 'old'"
    assert error.code == INSTANCE_NOT_FOUND
    assert error.message == f"Profile not found: {name}. Available profiles: {available}"


def test_instances_that_the_asker_may_not_see_are_left_out() -> None:
    tools = shown(talking(), "all", instances=frozenset({"b"}))["tools"]
    assert [tool["name"] for tool in tools] == ["b__echo", "b__drop"]


def test_nothing_of_the_asker_stays() -> None:
    talk = talking()
    before = talk.state.clients.copy()
    shown(talk, "all")
    assert talk.state.clients == before
