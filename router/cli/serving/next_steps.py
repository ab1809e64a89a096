"""Says where to point a client, and what to do next, once a router runs.

Pure: lines of two columns, for whoever prints them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_LISTENERS: Final = {"http": "streamable HTTP", "sse": "HTTP+SSE"}


def next_steps(endpoints: Mapping[str, str], *, has_instances: bool) -> list[tuple[str, str]]:
    """Return rows of a heading and a text.

    Args:
        endpoints: listener -> its URL, as `GET /` of the REST API shows them.
        has_instances: any instance is configured.
    """
    rows: list[tuple[str, str]] = []
    for mode, name in _LISTENERS.items():
        if mode in endpoints:
            rows.append((f"Clients ({name})", endpoints[mode]))
    if "api" in endpoints:
        rows.append(("Dashboard", endpoints["api"].rstrip("/") + "/docs"))
    if not has_instances:
        rows.append(("Take servers over", "mcp-router import"))
        rows.append(("Add a server", "mcp-router add NAME -- COMMAND…"))
    rows.append(("Put it into clients", "mcp-router install CLIENT…"))
    if has_instances:
        rows.append(("Try a tool", "mcp-router tools"))
    return rows
