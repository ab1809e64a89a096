"""Finds the servers of a client that the router makes superfluous there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from router.client_files.importing.itself import is_router_itself
from router.client_files.importing.plan import plan_import
from router.client_files.installing.entries import ENTRY_NAME
from router.client_files.installing.plans import read_target
from router.client_files.reading.tables import servers_in
from router.files.jsonc.values import find_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.client_files.importing.itself import OwnAddresses
    from router.client_files.importing.plan import Known
    from router.client_files.installing.targets import Target
    from router.client_files.reading.found import FoundServer


def servers_to_move(target: Target, known: Known) -> tuple[str, ...]:
    """Return the names of servers, as the client has them, that the client does not need any more.

    These are servers that an instance is the same as, and other entries for this router.

    Args:
        target: the client's file. Blocks on disk to read it.
        known: has the instances of the router.

    Raises:
        ConfigError: the file cannot be read.
    """
    return tuple(
        name
        for name, server in _servers_of(target)
        if plan_import((server,), known)[0].state in ("same", "equivalent", "itself")
    )


def other_entries_of_router(target: Target, own: OwnAddresses) -> tuple[str, ...]:
    """Return the names of entries for this router that have another name than its own.

    Raises:
        ConfigError: the file cannot be read.
    """
    return tuple(
        name
        for name, server in _servers_of(target)
        if server.problem is None and is_router_itself(server.entry, own)
    )


def _servers_of(target: Target) -> Iterator[tuple[str, FoundServer]]:
    """Yield the servers of a client by the names that they have there, but for the router's."""
    _, document, servers_at = read_target(target)
    file = next(file for file in target.tables if file.servers_at == servers_at)
    table = cast("dict[str, Any]", find_value(document.value, servers_at) or {})
    for name, server in zip(table, servers_in(document.value, file), strict=True):
        if name != ENTRY_NAME:
            yield name, server
