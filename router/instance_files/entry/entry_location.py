"""Says where an entry stands, and names places in it for messages. Pure."""

from __future__ import annotations

from msgspec import Struct


class EntryLocation(Struct, frozen=True):
    """The place of an entry, and the names that follow from it.

    Attributes:
        source: the file as messages name it, such as `data/github/mcp_settings.json`.
        path: in that file, such as `mcpServers.github`; empty for the flat form.
        folder: the provider, unless the entry names another.
        name: the instance's name, unless the entry names another.
    """

    source: str
    path: str
    folder: str
    name: str

    def place(self, step: str = "") -> str:
        """Return the entry, or a place in it, as messages name it."""
        path = f"{self.path}.{step}" if self.path and step else self.path or step
        return f"{self.source}: {path}" if path else self.source
