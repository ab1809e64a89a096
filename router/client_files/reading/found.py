"""A server as it was found in the file of a client, in the router's own keys. Data only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from pathlib import Path

    from router.client_files.clients.client import Scope


def _no_entry() -> dict[str, Any]:
    return {}


@attrs.frozen
class FoundServer:
    """One server of one table.

    Two servers that are reached in the same way have equal entries, whatever the client.

    Attributes:
        name: a name that an instance may have.
        entry: as in `mcp_settings.json`, with the keys in a fixed order and without a name. It
            may hold secrets.
        client: the client's name; empty for a file that belongs to none.
        path: the file.
        scope: "user" for all projects, "project" for one.
        place: of the server in the file, such as `mcpServers.github`.
        needs: the secrets that have to be set, in the place of what the client would ask for.
        notes: sentences about what is different here.
        problem: the reason why it cannot be imported; None if it can.
    """

    name: str
    entry: dict[str, Any] = attrs.field(factory=_no_entry, repr=False)
    client: str = ""
    path: Path | None = None
    scope: Scope = "user"
    place: str = ""
    needs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None
