"""Describes the router, or the one server of a transparent view, as `initialize` does.

Sources: MCP 2025-11-25, Lifecycle, Initialization; MCP 2026-07-28, Discovery.

Invariant: a view declares only what it serves. A `direct` view declares every kind of list, since
servers come and go while its clients stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.protocol import extensions, router_tools
from router.core.protocol.sentences import cut_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.core.protocol.client_names import Spelling
    from router.messages.core_settings import CoreSettings
    from router.messages.exposure import Profile

_DIRECT_CAPABILITIES: Final[dict[str, Any]] = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "completions": {},
    "logging": {},
    "extensions": extensions.DECLARED,
}

MAX_INSTRUCTIONS_CHARS: Final = 16_000
"""Of a view; a model reads them before its first word."""

MAX_OF_SERVER_CHARS: Final = 2_000
"""Of one server among several."""

_DIRECT_PREAMBLE: Final = (
    "This server stands in front of several MCP servers. Their tools and prompts are named "
    "{instance}__{name}."
)


def capabilities(profile: Profile) -> dict[str, Any]:
    """Return the capabilities of a `router` or `direct` view."""
    return _DIRECT_CAPABILITIES if profile.expose == "direct" else router_tools.CAPABILITIES


def server_info(settings: CoreSettings, profile: Profile) -> dict[str, str]:
    """Return the `Implementation` of a `router` or `direct` view."""
    info = router_tools.server_info(settings)
    return info if profile.title is None else info | {"title": profile.title}


def instructions(
    profile: Profile, servers: Iterable[tuple[str, str | None]], spelling: Spelling
) -> str:
    """Return the instructions of a `router` or `direct` view for the model.

    Args:
        profile: its own instructions replace all others.
        servers: the name and the instructions of each instance of the view.
        spelling: of the router's own tools.
    """
    if profile.instructions is not None:
        return profile.instructions
    if profile.expose == "router":
        return router_tools.instructions(spelling)
    text = _DIRECT_PREAMBLE
    for name, said in servers:
        if said and said.strip():
            text += f"\n\n## {name}\n\n{cut_to(said.strip(), MAX_OF_SERVER_CHARS)}"
    return cut_to(text, MAX_INSTRUCTIONS_CHARS)
