"""Logs for clients of MCP 2026-07-28, which belong to requests."""

import pytest

from router.core.protocol.bridging import LOG_LEVEL_KEY
from tests.router.core.conversation import Conversation, FakeUpstream, spec
from tests.router.core.fake_peers import FakeClient


def logging_upstream() -> tuple[Conversation, FakeUpstream]:
    talk = Conversation()
    talk.configured(spec("a"))
    talk.starting("a")
    return talk, talk.up("a", "echo", capabilities={"logging": {}})


def test_logs_come_to_those_who_ask_for_them_with_their_request() -> None:
    talk, upstream = logging_upstream()
    client = talk.stateless_client()
    quiet = client.routes("echo")
    call = upstream.sees_one()
    upstream.says("notifications/message", {"level": "error", "data": "x"}, related=call["id"])
    assert quiet.mailbox.take() == []
    client.leaves()
    client.meta = {LOG_LEVEL_KEY: "warning"}
    loud = client.routes("echo")
    _, set_level, call = upstream.sees()
    assert set_level["params"] == {"level": "warning"}
    upstream.says("notifications/message", {"level": "info", "data": "x"}, related=call["id"])
    upstream.says("notifications/message", {"level": "error", "data": "y"}, related=call["id"])
    upstream.says("notifications/message", {"level": "error", "data": "z"})
    assert [one["params"]["data"] for one in loud.mailbox.take()] == ["y", "z"]


@pytest.mark.parametrize("is_related", [True, False])
def test_a_log_comes_once_to_a_connection_in_the_view_of_its_server(is_related: bool) -> None:
    talk = Conversation(view="a")
    talk.configured(spec("a"))
    talk.starting("a")
    upstream = talk.up("a", "echo", capabilities={"logging": {}})
    client = talk.stateless_connection()
    client.meta = {LOG_LEVEL_KEY: "info"}
    client.calls("echo")
    call = upstream.sees()[-1]
    related = call["id"] if is_related else None
    upstream.says("notifications/message", {"level": "error", "data": "x"}, related=related)
    assert [one["params"]["data"] for one in client.outbox.take()] == ["x"]


def test_only_after_a_handshake_a_connection_is_sent_what_belongs_to_no_request() -> None:
    talk = Conversation(view="a")
    talk.configured(spec("a"))
    talk.starting("a")
    upstream = talk.up("a", "echo", capabilities={"logging": {}})
    client = talk.stateless_connection()
    news = ["notifications/message", "notifications/acme/news"]
    for method in news:
        upstream.says(method, {"level": "error"})
    assert client.outbox.take() == []
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}}
    FakeClient.asks(client, "initialize", hello).mailbox.take()
    for method in news:
        upstream.says(method, {"level": "error"})
    assert [one["method"] for one in client.outbox.take()] == news


def test_a_log_that_may_belong_to_another_call_is_dropped() -> None:
    talk, upstream = logging_upstream()
    client = talk.stateless_client()
    client.meta = {LOG_LEVEL_KEY: "debug"}
    first, second = client.routes("echo"), client.routes("echo")
    upstream.says("notifications/message", {"level": "error", "data": "x"})
    assert first.mailbox.take() == second.mailbox.take() == []
