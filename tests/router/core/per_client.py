"""A conversation about an instance whose clients each have a session of their own."""

from typing import Any

from router.messages.catalog import Item
from tests.router.core.conversation import Conversation, FakeClient, FakeUpstream, spec


def per_client(name: str = "a", **changes: Any) -> Any:
    """Return the configuration of such an instance."""
    return spec(name, sessions="per_client", **changes)


def talk_about(*specs: Any, **settings: Any) -> Conversation:
    """Begin a conversation in which these are configured; `a` alone by default."""
    talk = Conversation(**settings)
    talk.configured(*(specs or (per_client(),)))
    return talk


def comes_up(talk: Conversation, name: str, *tools: str | Item, **more: Any) -> FakeUpstream:
    """Have a session that the core started become ready."""
    assert name in [started.name for started in talk.started]
    talk.starting(name)
    return talk.up(name, *(tools or ("echo",)), **more)


def initialized(talk: Conversation, name: str | None = None, **capabilities: Any) -> FakeClient:
    """Return a client that has a session, and calls its program `name` if that is given."""
    client = talk.client()
    params: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": capabilities}
    if name is not None:
        params["clientInfo"] = {"name": name, "version": "1"}
    client.asks("initialize", params)
    return client


def ready_for(
    talk: Conversation, client: FakeClient, *tools: str | Item, **more: Any
) -> FakeUpstream:
    """Have the session of a client started by a call, become ready and answer the call."""
    call = client.routes("echo")
    upstream = comes_up(talk, talk.started[-1].name, *tools, **more)
    upstream.answers(upstream.sees()[-1], {"content": []})
    assert call.result == {"content": []}
    return upstream
