"""Says where to point a client, and what to do next, once a router runs.

Pure: lines of two columns, for whoever prints them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_DOWN: Final = frozenset({"backoff", "degraded", "failed", "needs_login"})
"""States in which a person has to look."""

_LISTENERS: Final = {"http": "streamable HTTP", "sse": "HTTP+SSE"}


def next_steps(endpoints: Mapping[str, str], states: Collection[str]) -> list[tuple[str, str]]:
    """Return rows of a heading and a text.

    Args:
        endpoints: listener -> its URL, as `GET /` of the REST API shows them.
        states: of the instances.
    """
    rows: list[tuple[str, str]] = []
    for mode, name in _LISTENERS.items():
        if mode in endpoints:
            rows.append((f"Clients ({name})", endpoints[mode]))
    if "api" in endpoints:
        rows.append(("Dashboard", endpoints["api"].rstrip("/") + "/docs"))
    if not states:
        rows.append(("Take servers over", "mcp-router import"))
        rows.append(("Add a server", "mcp-router add NAME -- COMMAND…"))
    if not _DOWN.isdisjoint(states):
        rows.append(("Find what is wrong", "mcp-router doctor"))
    rows.append(("Put it into clients", "mcp-router install CLIENT…"))
    if states:
        rows.append(("Try a tool", "mcp-router tools"))
    return rows
