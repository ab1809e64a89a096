"""Headers of a client that an instance forwards: which server gets them, and with which request."""

from typing import Any

import pytest

from router.messages.events import FromClient
from router.messages.frames import Request, RequestWithHeaders
from router.messages.instances.exposure import Exposure, NameFilter
from router.messages.params import Params
from tests.router.core.approvals.asked import FORM as FORMS
from tests.router.core.approvals.asked import YES, decides, question_of
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, raw, spec
from tests.router.core.fake_peers import Mailbox, SentRequest

SENT = {"x-tenant": "t1", "x-other": "o1"}
FORM: Any = {
    "method": "elicitation/create",
    "params": {"message": "?", "requestedSchema": {"type": "object", "properties": {}}},
}


def talk_about(revision: str = "2025-11-25", **more: Any) -> tuple[Conversation, FakeUpstream]:
    """Begin with an instance `a` that forwards `x-tenant`, and is up."""
    talk = Conversation()
    talk.configured(spec("a", forward_headers=("x-tenant",), **more), spec("plain"))
    for name in ("a", "plain"):
        talk.starting(name)
    talk.up("plain", "echo")
    return talk, talk.up("a", "echo", revision=revision, capabilities={"tools": {}})


def calls(
    talk: Conversation, client: FakeClient, headers: dict[str, str] | None, instance: str = "a"
) -> SentRequest:
    """Call a tool in an HTTP request with these headers that some instance forwards."""
    mailbox = Mailbox()
    arguments = {"instance_name": instance, "tool_name": "echo", "arguments": {}}
    params = raw({"name": "mcp.router.call", "arguments": arguments})
    request = Request(next(talk.ids), "tools/call", params)
    event = FromClient(client.id, request, mailbox, Params(params, forwarded=headers))
    talk.happens(event)
    return SentRequest(request.id, mailbox)


def initialized(talk: Conversation, **declares: Any) -> FakeClient:
    client = talk.client()
    client.initializes(**declares)
    return client


def test_a_call_brings_the_headers_that_its_instance_names() -> None:
    talk, upstream = talk_about()
    alice, bob = initialized(talk), initialized(talk)
    calls(talk, alice, SENT)
    calls(talk, bob, {"x-tenant": "t2"})
    of_alice, of_bob = upstream.inbox.waiting
    assert isinstance(of_alice, RequestWithHeaders)
    assert of_alice.headers == {"x-tenant": "t1"}
    assert of_bob.headers == {"x-tenant": "t2"}


def test_another_instance_gets_none() -> None:
    talk, _ = talk_about()
    calls(talk, initialized(talk), SENT, "plain")
    (row,) = [one for one in talk.state.instances if one.name == "plain"]
    assert row.session is not None
    (sent,) = row.session.inbox.waiting  # type: ignore[attr-defined]
    assert type(sent) is Request


@pytest.mark.parametrize("headers", [None, {"x-other": "o1"}])
def test_a_client_that_sends_none_brings_none(headers: dict[str, str] | None) -> None:
    talk, upstream = talk_about()
    calls(talk, initialized(talk), headers)
    assert type(upstream.inbox.waiting[0]) is Request


def test_a_call_that_waited_for_its_instance_brings_them() -> None:
    talk = Conversation()
    talk.configured(spec("a", forward_headers=("x-tenant",)))
    calls(talk, initialized(talk), SENT)
    talk.starting("a")
    upstream = talk.up("a", "echo")
    assert upstream.inbox.waiting[0].headers == {"x-tenant": "t1"}


def test_a_call_that_is_sent_again_with_input_brings_them_again() -> None:
    talk, upstream = talk_about("2026-07-28")
    alice = initialized(talk, elicitation={})
    call = calls(talk, alice, SENT)
    (first,) = upstream.inbox.waiting
    needed = {"resultType": "input_required", "inputRequests": {"k": FORM}}
    upstream.answers(upstream.sees_one(), needed)
    question = call.mailbox.take()[0]
    alice.answers(question, {"action": "accept", "content": {}})
    (second,) = upstream.inbox.waiting
    assert first.headers == second.headers == {"x-tenant": "t1"}


@pytest.mark.parametrize(("forwards", "scope"), [(("x-tenant",), "private"), ((), "public")])
def test_what_depends_on_the_headers_of_a_client_is_cached_for_it_alone(
    forwards: tuple[str, ...], scope: str
) -> None:
    talk = Conversation()
    talk.configured(spec("a", forward_headers=forwards))
    talk.starting("a")
    more: Any = {"resources": ("file:///x",), "capabilities": {"resources": {}}}
    upstream = talk.up("a", revision="2026-07-28", **more)
    read = talk.stateless_client(view="a").reads("file:///x")
    public = {"contents": [], "ttlMs": 60_000, "cacheScope": "public", "resultType": "complete"}
    upstream.answers(upstream.sees()[-1], public)
    assert read.result["cacheScope"] == scope
    assert read.result["ttlMs"] == 60_000


@pytest.mark.parametrize("way", ["form", "stateless form", "approver"])
def test_a_call_that_waited_for_a_yes_brings_them(way: str) -> None:
    talk, upstream = talk_about(exposure=Exposure(tools=NameFilter(approve=("echo",))))
    if way == "stateless form":
        client = talk.stateless_client(elicitation={})
        client.forwards = SENT
        client.retries(client.routes("echo"), {"mcp-router-approval": YES})
    else:
        client = initialized(talk, **(FORMS if way == "form" else {}))
        call = calls(talk, client, SENT)
        if way == "form":
            client.answers(question_of(call), YES)
        else:
            decides(talk, approve=True)
    (sent,) = upstream.inbox.waiting
    assert isinstance(sent, RequestWithHeaders)
    assert sent.headers == {"x-tenant": "t1"}
