"""Shows what a client of a profile would be listed, and about what that costs a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.core.state.clients import Client
from router.core.views import instance_views, listings
from router.messages.errors import INSTANCE_NOT_FOUND, RpcError
from router.messages.revisions import LATEST_HANDSHAKE_REVISION

if TYPE_CHECKING:
    from router.core.state.routing_state import RoutingState
    from router.messages.events import AdminCommand

BYTES_A_TOKEN: Final = 4
"""Bytes of JSON in English that make about one token of a language model."""


def profile_tools(state: RoutingState, event: AdminCommand, name: str) -> dict[str, Any]:
    """Return the answer to `ShowProfileTools`: the very list that a client would get.

    It is that of the last handshake revision.

    Raises:
        RpcError: -32010, there is no such profile.
    """
    profiles = state.settings.profiles
    if name not in profiles:
        available = ", ".join(f"'{each}'" for each in profiles) or "none"
        problem = f"Profile not found: {name}. Available profiles: {available}"
        raise RpcError(INSTANCE_NOT_FOUND, problem)
    client = Client(
        f"command-{state.next_key()}",
        event.reply_to,
        event.principal,
        one_shot=True,
        place=name,
        revision=LATEST_HANDSHAKE_REVISION,
    )
    tools: list[dict[str, Any]] = []
    for row, item in listings.tools_for(state, client):
        tool = instance_views.tool_view(item)
        # Rounded up. Clients give a model these members, and most leave out the others.
        tokens = -(-len(msgspec.json.encode(tool)) // BYTES_A_TOKEN)
        tools.append(tool | {"instance": None if row is None else row.name, "tokens": tokens})
    return {"tools": tools, "total_tokens": sum(tool["tokens"] for tool in tools)}
