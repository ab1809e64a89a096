"""A conversation about pinned tools, with a store of pins that works when the test says so."""

from typing import Any

from router.core.pinning.digests import digest_of
from router.core.pinning.hidden_text import hidden_text
from router.messages.catalog import ApprovedTool, Item
from router.messages.errors import RpcError
from router.messages.instances.pin_events import PinsRead, ToolsPinned
from tests.router.core.conversation import Conversation, raw

FULL: dict[str, Any] = {
    "name": "send",
    "title": "Send",
    "description": "Sends a letter",
    "inputSchema": {"type": "object", "properties": {"to": {"type": "string"}}},
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": False},
    "icons": [{"src": "https://example.com/icon.png"}],
    "execution": {"taskSupport": "forbidden"},
    "_meta": {"example.com/x": 1},
    "of-the-future": True,
}
"""A tool with every member that there is, and one that nobody knows."""


def item(**changes: Any) -> Item:
    """Return `FULL` with other members; None takes one away."""
    members = {key: value for key, value in (FULL | changes).items() if value is not None}
    return Item(members["name"], raw(members))


def pinning(mode: str = "block", pins: Any = None, **settings: Any) -> Conversation:
    """Begin a conversation in which tools are pinned; `pins` is what the file has."""
    talk = Conversation(pinning=mode, **settings)
    talk.happens(PinsRead(pins or {}))
    return talk


def store_works(talk: Conversation, problem: RpcError | None = None, *, once: bool = False) -> None:
    """Have the store do all that it was given, or one batch."""
    while talk.batches:
        batch = talk.batches.pop(0)
        digests = {one: digest_of(one) for one in batch.to_digest}
        flags = {one: found for one in batch.to_digest if (found := hidden_text(one))}
        talk.happens(ToolsPinned(batch.key, digests, flags, problem))
        if once:
            return


def file_of(*items: Item, instance: str = "a") -> dict[str, dict[str, ApprovedTool]]:
    """Return a file in which these tools of an instance are approved."""
    approved = {one.key: ApprovedTool(digest_of(bytes(one.raw)), one.raw) for one in items}
    return {instance: approved}
