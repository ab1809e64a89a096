"""Upstreams log from the lowest level that any client set."""

from router.core.protocol.bridging import LOG_LEVEL_KEY
from tests.router.core.conversation import Conversation, spec


def test_the_lowest_level_any_client_set_is_sent_upstream() -> None:
    talk = Conversation()
    talk.configured(spec("a"), spec("mute"), spec("slow"))
    talk.starting("a")
    talk.starting("mute")
    upstream, mute = talk.up("a", capabilities={"logging": {}}), talk.up("mute")
    alice, bob = talk.client(), talk.client()

    def told() -> list[str]:
        return [one["params"]["level"] for one in upstream.sees()]

    assert alice.asks("logging/setLevel", {"level": "error"}).result == {}
    assert told() == ["error"]
    bob.asks("logging/setLevel", {"level": "debug"})
    assert told() == ["debug"]
    alice.asks("logging/setLevel", {"level": "warning"})
    assert told() == []
    bob.leaves()
    assert told() == ["warning"]
    alice.leaves()
    assert told() == []
    assert mute.sees() == []


def test_a_session_that_comes_up_later_is_told_the_level() -> None:
    talk = Conversation()
    alice = talk.client()
    alice.asks("logging/setLevel", {"level": "notice"})
    talk.configured(spec("a"))
    talk.starting("a")
    upstream = talk.up("a", capabilities={"logging": {}})
    asked = upstream.sees_one()
    assert (asked["method"], asked["params"]) == ("logging/setLevel", {"level": "notice"})
    upstream.answers(asked, {})
    assert talk.state.calls.by_id == {}


def test_an_unknown_level_is_refused() -> None:
    error = Conversation().client().asks("logging/setLevel", {"level": "loud"}).error
    assert error["code"] == -32602
    assert "debug, info, notice" in error["message"]


def test_a_request_without_a_session_sets_no_level() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    upstream = talk.up("a", capabilities={"logging": {}})
    lone = talk.client(one_shot=True)
    assert lone.asks("logging/setLevel", {"level": "debug"}).result == {}
    lone.leaves()
    assert upstream.sees() == []


def test_an_unknown_level_in_an_envelope_is_refused() -> None:
    client = Conversation().stateless_client()
    client.meta = {LOG_LEVEL_KEY: "loud"}
    assert client.asks("tools/list").error["code"] == -32602


def test_a_request_without_a_session_counts_until_it_is_over() -> None:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    upstream = talk.up("a", "echo", capabilities={"logging": {}})
    client = talk.stateless_client()
    client.meta = {LOG_LEVEL_KEY: "debug"}
    client.routes("echo")
    assert [one["method"] for one in upstream.sees()] == ["logging/setLevel", "tools/call"]
    client.leaves()
    upstream.sees()
    talk.client().asks("logging/setLevel", {"level": "error"})
    assert upstream.sees_one()["params"] == {"level": "error"}


def test_a_server_without_sessions_is_told_by_each_request_instead() -> None:
    talk = Conversation()
    upstream = talk.with_stateless_upstream()
    alice = talk.client()
    alice.asks("logging/setLevel", {"level": "debug"})
    assert upstream.sees() == []
    alice.routes("echo")
    assert upstream.sees_one()["params"]["_meta"][LOG_LEVEL_KEY] == "debug"
