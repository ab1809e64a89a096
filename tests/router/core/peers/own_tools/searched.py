"""A conversation about tools that are searched, with a search index that answers for the test."""

from typing import Any

from router.messages.catalog import Item
from tests.router.core.conversation import Conversation, FakeClient, SentRequest, raw

SCHEMA = {
    "type": "object",
    "properties": {"encoding": {"type": "string"}, "path": {"type": "string"}},
    "required": ["path"],
}


def item(name: str, **members: Any) -> Item:
    """Return a tool that reads something; `members` replace or add members of it."""
    usual = {"name": name, "description": f"Reads {name}. Slowly.", "inputSchema": SCHEMA}
    return Item(name, raw(usual | members))


def searching(*tools: str | Item, **settings: Any) -> Conversation:
    """Begin a conversation in a view that searches, with one instance, `a`, that is up."""
    talk = Conversation(**{"view": "search"} | settings)
    talk.with_instance("a", *(tools or (item("file"), item("url"))))
    return talk


def searches(client: FakeClient, query: str = "read", **arguments: Any) -> SentRequest:
    """Search."""
    return client.calls("mcp.router.search", {"query": query} | arguments)


def describes(client: FakeClient, *names: str) -> SentRequest:
    """Have these described."""
    return client.calls("mcp.router.describe", {"tools": list(names)})


def calls_by_name(client: FakeClient, name: str, arguments: Any = None, **more: Any) -> SentRequest:
    """Call a tool through `mcp.router.call_tool`; `more` are other members of `params`."""
    optional = {} if arguments is None else {"arguments": arguments}
    return client.calls("mcp.router.call_tool", {"name": name} | optional, **more)
