"""The description of each view, in a handshake and without one."""

from typing import Any

import pytest

from router.core.protocol.bridging import SERVER_INFO_KEY
from router.core.protocol.extensions import APPS
from router.messages.instances.exposure import Profile
from tests.router.core.conversation import Conversation, FakeClient, spec

DIRECT = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "completions": {},
    "logging": {},
    "extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}},
}


def introductions(talk: Conversation, view: str | None = None) -> list[Any]:
    """Return what `initialize` and `server/discover` say at a place, both in one form."""
    shaken = talk.client(view=view).initializes().result
    found = [
        client.asks("server/discover").result
        for client in (talk.stateless_client(view=view), talk.stateless_connection(view=view))
    ]
    for one in found:
        one["serverInfo"] = one["_meta"][SERVER_INFO_KEY]
    keys = ("capabilities", "serverInfo", "instructions")
    return [{key: one[key] for key in keys} for one in (shaken, *found)]


def test_a_direct_view_declares_what_it_serves_and_says_what_its_servers_say() -> None:
    talk = Conversation(view="direct")
    talk.with_instance("a", "echo", instructions="  Ask me.\n")
    talk.with_instance("quiet", "echo")
    talk.with_instance("文件", instructions="读文件")
    for said in introductions(talk):
        declared = said["capabilities"]
        assert declared.keys() - {"tasks"} == DIRECT.keys()
        assert all(declared[name] == DIRECT[name] for name in DIRECT if name != "extensions")
        assert APPS in declared["extensions"]
        assert said["serverInfo"] == {"name": "mcp_router", "version": "9.9"}
        preamble, *parts = said["instructions"].split("\n\n")
        assert "{instance}__{name}" in preamble
        assert parts == ["## a", "Ask me.", "## 文件", "读文件"]


def test_a_profile_has_a_title_and_words_of_its_own() -> None:
    profile = Profile("direct", ("a",), instructions="For the team.", title="Work 😀")
    talk = Conversation(profiles={"work": profile})
    talk.with_instance("a", "echo", instructions="Ask me.")
    for said in introductions(talk, "work"):
        assert said["instructions"] == "For the team."
        assert said["serverInfo"]["title"] == "Work 😀"


def test_a_view_says_nothing_of_instances_that_it_does_not_show() -> None:
    talk = Conversation(profiles={"work": Profile("direct", ("b",))})
    talk.with_instance("a", "echo", instructions="Secret.")
    talk.with_instance("b", "echo", instructions="Ask me.")
    for said in introductions(talk, "work"):
        assert said["instructions"].endswith("## b\n\nAsk me.")
        assert "Secret" not in said["instructions"]


def test_a_router_profile_introduces_the_routers_own_tools() -> None:
    talk = Conversation(profiles={"plain": Profile("router", title="Plain")})
    for said in introductions(talk, "plain"):
        assert said["capabilities"] == {"tools": {"listChanged": True}, "logging": {}}
        assert "mcp.router.use" in said["instructions"]
        assert said["serverInfo"]["title"] == "Plain"


def test_a_direct_view_does_not_wait_for_its_instances() -> None:
    talk = Conversation(view="direct")
    talk.configured(spec("a"))
    for said in introductions(talk):
        assert "##" not in said["instructions"]


@pytest.mark.parametrize("view", ["work", "a", None])
def test_ping_and_log_levels_are_the_routers_own_in_every_view(view: str | None) -> None:
    talk = Conversation(profiles={"work": Profile()})
    upstream = talk.with_instance("a", "echo", capabilities={"logging": {}})
    alice = talk.client(view=view)
    assert alice.asks("ping", {"_meta": {"k": 1}}).result == {}
    assert upstream.sees() == []
    assert alice.asks("logging/setLevel", {"level": "warning"}).result == {}
    assert upstream.sees_one()["params"] == {"level": "warning"}
    assert alice.asks("logging/setLevel", {"level": "loud"}).error["code"] == -32602


@pytest.mark.parametrize(
    ("view", "level", "hears"),
    [("a", None, True), ("a", "error", False), ("direct", None, False), ("direct", "info", True)],
)
def test_logs_that_belong_to_no_call_are_for_those_who_asked_or_see_their_server_alone(
    view: str, level: str | None, hears: bool
) -> None:
    talk = Conversation(view=view)
    upstream = talk.with_instance("a", "echo", capabilities={"logging": {}})
    alice: FakeClient = talk.client()
    other = talk.with_instance("b", "echo")
    if level is not None:
        alice.asks("logging/setLevel", {"level": level})
    upstream.says("notifications/message", {"level": "info", "data": "x"})
    assert bool(alice.hears()) is hears
    other.says("notifications/message", {"level": "info", "data": "x"})
    assert bool(alice.hears()) is (hears and view == "direct")
