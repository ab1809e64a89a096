"""Chooses the file and the table of a client into which the router is put. Blocks on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from router.client_files.clients.folders import (
    application_support,
    local_application_data,
    xdg_config,
)
from router.client_files.clients.table import files_of
from router.client_files.reading.tables import has_version_2

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from router.client_files.clients.client import Client, ClientFile, Machine


class Target(Struct, frozen=True):
    """The place of a client's servers for all projects.

    Attributes:
        client: the client.
        tables: the tables that the file may have, the usual one first.
        folder: the client's own folder, which shows that the client is there.
    """

    client: Client
    tables: tuple[ClientFile, ...]
    folder: Path

    @property
    def path(self) -> Path:
        """The file as the client knows it; it need not exist, and may be a link."""
        return self.tables[0].path

    @property
    def is_here(self) -> bool:
        """Whether the client seems to be installed."""
        return self.folder.is_dir() or self.path.exists()

    def servers_at(self, members: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the keys that lead to the servers in a file with these members."""
        usual, *others = self.tables
        if others and has_version_2(members.get("mcp")):
            return others[0].servers_at
        return usual.servers_at


def target_of(client: Client, machine: Machine) -> Target:
    """Return the file to write to: of the client's files for all projects, the first that exists.

    Where none exists, it is the first of them.
    """
    files = [file for file in files_of(client, machine) if file.scope == "user"]
    first = files[0]
    usual = [file for file in files if file.servers_at == first.servers_at]
    chosen = next((file for file in usual if file.path.exists()), first)
    tables = tuple(file for file in files if file.path == chosen.path)
    return Target(client, tables, _folder_of(chosen.path, machine))


def _folder_of(path: Path, machine: Machine) -> Path:
    """Return the folder below one for all programs that leads to a client's file.

    For a file in the user's home folder itself, it is the folder of the same name beside it, as
    `~/.claude` is beside `~/.claude.json`.
    """
    bases = {
        machine.home,
        xdg_config(machine),
        application_support(machine),
        local_application_data(machine),
    }
    around = [base for base in bases if base in path.parents]
    if not around:
        return path.parent
    base = max(around, key=lambda base: len(base.parts))
    steps = path.relative_to(base).parts
    return base / steps[0] if len(steps) > 1 else path.with_suffix("")
