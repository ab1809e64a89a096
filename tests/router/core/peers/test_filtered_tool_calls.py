"""Calls of tools that a profile or a filter leaves out, and of tools that a filter changes."""

from typing import Any

import pytest

from router.messages.commands import CallTool, Principal
from router.messages.instances.exposure import ArgumentExposure, Exposure, NameFilter, Profile
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, SentRequest, raw

TOOLS = ("read", "rm", "rm_all")


# --- Tools that a profile leaves out ---------------------------------------------------------


def filtered(expose: Any, *deny: str) -> tuple[Conversation, FakeClient, FakeUpstream]:
    """A client of a profile that leaves out some tools of `a`, and that server."""
    profile = Profile(expose, ("a",), NameFilter(deny=deny))
    talk = Conversation(profiles={"work": profile})
    upstream = talk.with_instance("a", *TOOLS)
    return talk, talk.client(view="work"), upstream


UNKNOWN = "Unknown tool: a__rm. Did you mean 'a__read'?"
NOT_FOUND = "Tool 'rm' not found in instance 'a'. Did you mean 'read'?"


@pytest.mark.parametrize("expose", ["router", "direct"])
def test_a_tool_that_a_profile_leaves_out_is_not_there_however_it_is_called(expose: str) -> None:
    _, alice, upstream = filtered(expose, "*__rm*")
    assert alice.calls("a__rm").error == {"code": -32602, "message": UNKNOWN}
    assert alice.routes("rm").tool_error == ("TOOL_NOT_FOUND", NOT_FOUND)
    assert alice.uses().text["tools"] == ["read"]
    assert alice.calls("rm").error == {"code": -32014, "message": NOT_FOUND}
    assert upstream.sees() == []
    alice.calls("read")
    alice.calls("a__read")
    alice.routes("read")
    assert [seen["params"]["name"] for seen in upstream.sees()] == ["read"] * 3


def test_a_transparent_profile_leaves_tools_out_by_their_own_names() -> None:
    _, alice, upstream = filtered("transparent", "rm*", "a__read")
    assert alice.lists() == ["read"]
    assert alice.calls("rm").error == {"code": -32014, "message": NOT_FOUND}
    assert upstream.sees() == []
    alice.calls("read")
    assert upstream.sees_one()["params"] == {"name": "read"}


@pytest.mark.parametrize("expose", ["router", "direct"])
def test_the_routers_own_tools_show_nothing_that_a_profile_leaves_out(expose: str) -> None:
    talk, alice, _ = filtered(expose, "*__rm*")
    shown = alice.calls("mcp.router.help").text["a"]["tools"]
    assert [tool["name"] for tool in shown] == ["read"]
    hidden = alice.calls("mcp.router.help", {"tool_name": "rm"}).tool_error
    assert hidden[1] == "Tool 'rm' not found in any connected instance. Did you mean 'read'?"
    lone = talk.client(one_shot=True, view="work")
    used = lone.uses().text
    assert used["tools"] == ["read"]
    assert [tool["name"] for tool in used["direct"]] == ["a__read"]


def test_a_call_of_what_a_profile_leaves_out_is_refused_after_the_start_as_well() -> None:
    talk = Conversation(profiles={"work": Profile("direct", tools=NameFilter(deny=("*__rm",)))})
    talk.with_instance("a", "rm").breaks()
    alice = talk.client(view="work")
    asked = [alice.calls("a__rm"), alice.routes("rm")]
    talk.starting("a")
    upstream = talk.up("a", "rm")
    assert asked[0].error["code"] == -32602
    assert asked[1].tool_error[0] == "TOOL_NOT_FOUND"
    assert upstream.sees() == []


def test_deny_wins_over_allow_and_what_is_not_allowed_is_not_there() -> None:
    talk = Conversation(
        profiles={"work": Profile("direct", tools=NameFilter(("*__r*",), ("*__rm",)))}
    )
    talk.with_instance("a", "read", "rm", "write")
    assert talk.client(view="work").lists() == ["a__read"]


def test_a_profile_does_not_take_away_the_routers_own_tools() -> None:
    _, alice, _ = filtered("direct", "*")
    assert alice.lists() == []
    assert alice.calls("mcp.router.list").text[0]["name"] == "a"


def test_instances_outside_of_a_view_are_not_there_however_they_are_called() -> None:
    talk = Conversation(profiles={"work": Profile("router", ("a",))})
    talk.with_instance("a", "echo")
    other = talk.with_instance("b", "echo")
    alice = talk.client(view="work")
    assert alice.calls("b__echo").error["code"] == -32602
    missing = ("INSTANCE_NOT_FOUND", "Instance not found: b. Available instances: 'a'")
    assert alice.routes("echo", "b").tool_error == missing
    assert alice.uses("b").tool_error == missing
    assert alice.calls("mcp.router.help", {"instance_name": "b"}).tool_error == missing
    assert [row["name"] for row in alice.calls("mcp.router.list").text] == ["a"]
    assert other.sees() == []


# --- Tools that an instance's own filter changes ---------------------------------------------

WAYS = ["direct", "router.call", "selected", "transparent", "stateless", "command"]


class Way:
    """One way to call a tool of `a`, and to see what came for it."""

    def __init__(self, way: str, exposure: Exposure, *tools: Any) -> None:
        self.talk = Conversation()
        self.upstream = self.talk.with_instance("a", *tools, exposure=exposure)
        self.way = way

    def calls(self, tool: str, **arguments: Any) -> SentRequest:
        """Call the tool that the instance lists under this name."""
        client = self.talk.client(view="a" if self.way == "transparent" else None)
        if self.way == "direct":
            return client.calls(f"a__{tool}", arguments)
        if self.way == "stateless":
            return self.talk.stateless_client(view="a").calls(tool, arguments)
        if self.way == "router.call":
            routed = {"instance_name": "a", "tool_name": tool, "arguments": arguments}
            return client.calls("mcp.router.call", routed)
        if self.way == "selected":
            client.uses()
        return client.calls(tool, arguments)

    def code(self, tool: str) -> object:
        """Call a tool and return the code of the error."""
        if self.way == "command":
            return self.talk.admin_asks(CallTool("a", tool, raw({}))).error.code
        sent = self.calls(tool)
        return sent.tool_error[0] if self.way == "router.call" else sent.error["code"]


@pytest.mark.parametrize("name", WAYS)
def test_a_tool_that_is_hidden_is_not_there_however_it_is_called(name: str) -> None:
    way = Way(name, Exposure(NameFilter(deny=("rm*",))), *TOOLS)
    unlisted = {"direct": -32602, "router.call": "TOOL_NOT_FOUND"}.get(name, -32014)
    assert [way.code(tool) for tool in ("rm", "rm_all", "nothing")] == [unlisted] * 3
    assert way.upstream.sees() == []


@pytest.mark.parametrize("name", WAYS[:-1])
def test_a_renamed_tool_is_called_by_its_new_name_alone(name: str) -> None:
    way = Way(name, Exposure(rename={"read": "look"}), *TOOLS)
    way.calls("look", x=1)
    assert way.upstream.sees_one()["params"]["name"] == "read"
    way.code("read")
    assert way.upstream.sees() == []


@pytest.mark.parametrize("name", WAYS[:-1])
def test_two_tools_may_swap_their_names(name: str) -> None:
    way = Way(name, Exposure(rename={"read": "rm", "rm": "read"}), *TOOLS)
    way.calls("rm")
    assert way.upstream.sees_one()["params"]["name"] == "read"
    way.calls("read")
    assert way.upstream.sees_one()["params"]["name"] == "rm"


@pytest.mark.parametrize("name", WAYS[:-1])
def test_a_fixed_argument_is_put_into_every_call_whatever_the_client_sends(name: str) -> None:
    fixed = {"read": {"enc": ArgumentExposure(is_fixed=True, fixed={"名": [None]})}}
    way = Way(name, Exposure(arguments=fixed, rename={"read": "look"}), *TOOLS)
    way.calls("look", path="x", enc="mine")
    arguments = way.upstream.sees_one()["params"]["arguments"]
    assert arguments == {"path": "x", "enc": {"名": [None]}}
    way.calls("rm", enc="mine")
    assert way.upstream.sees_one()["params"]["arguments"] == {"enc": "mine"}


@pytest.mark.parametrize("name", WAYS[:-1])
def test_a_key_like_a_fixed_argument_in_another_case_is_refused(name: str) -> None:
    fixed = {"read": {"enc": ArgumentExposure(is_fixed=True, fixed=1)}}
    way = Way(name, Exposure(arguments=fixed), *TOOLS)
    sent = way.calls("read", ENC=2)
    said = sent.tool_error[1] if name == "router.call" else sent.error["message"]
    assert said == "arguments: 'ENC' differs from a known key in case"
    assert way.upstream.sees() == []


@pytest.mark.parametrize("name", ["direct", "transparent", "stateless"])
def test_a_tool_that_is_not_listed_is_its_servers_to_know_while_nothing_is_hidden(
    name: str,
) -> None:
    fixed = {"secret": {"enc": ArgumentExposure(is_fixed=True, fixed=1)}}
    way = Way(name, Exposure(arguments=fixed), "read")
    way.calls("secret")
    params = way.upstream.sees_one()["params"]
    assert (params["name"], params["arguments"]) == ("secret", {"enc": 1})


def test_a_filter_that_changes_holds_for_the_next_call() -> None:
    way = Way("transparent", Exposure(), *TOOLS)
    (row,) = way.talk.state.instances
    way.calls("rm")
    way.talk.configured(type(row.spec)("a", "acme", command="a", exposure=Exposure(NameFilter(()))))
    assert way.code("rm") == -32014
    assert len(way.upstream.sees()) == 1


def test_a_token_that_may_not_call_calls_nothing_in_any_view() -> None:
    talk = Conversation(profiles={"work": Profile()})
    upstream = talk.with_instance("a", "echo")
    reader = Principal("r", permissions=frozenset({"read"}))
    for view, name in (("a", "echo"), ("work", "a__echo"), (None, "a__echo")):
        assert talk.client(principal=reader, view=view).calls(name).error["code"] == -32016
        lone = talk.stateless_client(reader, view=view)
        assert lone.calls(name).error["code"] == -32016
    assert upstream.sees() == []
