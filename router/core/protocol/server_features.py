"""Describes the router, or the one server of a transparent view, as `initialize` does.

Sources: MCP 2025-11-25, Lifecycle, Initialization; MCP 2026-07-28, Discovery.

Invariant: a view declares only what it serves. A `direct` view declares every kind of list, since
servers come and go while its clients stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.protocol import extensions
from router.core.protocol.bridging import has_tasks, is_stateless
from router.core.protocol.own_tools import router_tools
from router.core.text.sentences import cut_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from msgspec import Raw

    from router.core.names.client_names import Spelling
    from router.messages.core_settings import CoreSettings
    from router.messages.instances.exposure import Expose, Profile

_DIRECT_CAPABILITIES: Final[dict[str, Any]] = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "completions": {},
    "logging": {},
}

_TASKS: Final[dict[str, Any]] = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
"""The `capabilities.tasks` of a `direct` view (MCP 2025-11-25, Tasks, Capabilities)."""

MAX_INSTRUCTIONS_CHARS: Final = 16_000
"""Of a view; a model reads them before its first word."""

MAX_OF_SERVER_CHARS: Final = 2_000
"""Of one server among several."""

_DIRECT_PREAMBLE: Final = (
    "This server stands in front of several MCP servers. Their tools and prompts are named "
    "{instance}__{name}."
)

_IF_SEARCHED: Final = " If they are not listed, mcp.router.search finds them."


def capabilities(profile: Profile, revision: str) -> dict[str, Any]:
    """Return the capabilities of a `router` or `direct` view.

    Args:
        profile: the view.
        revision: the revision of the client.
    """
    if profile.expose == "router":
        return router_tools.CAPABILITIES
    as_extension = is_stateless(revision)
    shown = _DIRECT_CAPABILITIES | {"extensions": extensions.declared(is_stateless=as_extension)}
    return shown if as_extension or not has_tasks(revision) else shown | {"tasks": _TASKS}


def capabilities_of_server(
    declared: dict[str, Raw], server_revision: str, client_revision: str
) -> dict[str, Raw]:
    """Return the capabilities of the server of a transparent view, as far as a client can use them.

    Tasks have another form in each era, and do not get from one to the other.
    """
    if server_revision == client_revision:
        return declared
    is_same_era = is_stateless(server_revision) == is_stateless(client_revision)
    shown = extensions.declared_by_server(declared, is_same_era=is_same_era)
    return {name: raw for name, raw in shown.items() if name != "tasks"}


def server_info(settings: CoreSettings, profile: Profile) -> dict[str, str]:
    """Return the `Implementation` of a `router` or `direct` view."""
    info = router_tools.server_info(settings)
    return info if profile.title is None else info | {"title": profile.title}


def instructions(
    profile: Profile,
    servers: Iterable[tuple[str, str | None]],
    spelling: Spelling,
    listed_as: Expose | None = None,
) -> str:
    """Return the instructions of a view for the model.

    Args:
        profile: its own instructions replace all others.
        servers: the name and the instructions of each instance of the view.
        spelling: of the router's own tools.
        listed_as: the kind of list of tools that the client gets, "auto" if that is open; None for
            that of the view.
    """
    if profile.instructions is not None:
        return profile.instructions
    listed = listed_as or profile.expose
    if listed == "router":
        return router_tools.instructions(spelling)
    if listed in ("search", "code"):
        # For start-up time: few views search.
        from router.core.protocol.own_tools import search_tools

        return router_tools.spelled(search_tools.INSTRUCTIONS[listed], spelling)
    text = _DIRECT_PREAMBLE
    if listed == "auto":
        text += router_tools.spelled(_IF_SEARCHED, spelling)
    for name, said in servers:
        if said and said.strip():
            text += f"\n\n## {name}\n\n{cut_to(said.strip(), MAX_OF_SERVER_CHARS)}"
    return cut_to(text, MAX_INSTRUCTIONS_CHARS)
