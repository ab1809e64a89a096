"""Finds the servers of a client that the router makes superfluous there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs

from router.client_files.importing.itself import is_router_itself
from router.client_files.importing.plan import plan_import
from router.client_files.installing.entries import ENTRY_NAME
from router.client_files.installing.plans import read_target
from router.client_files.reading.tables import servers_in
from router.files.jsonc.values import find_value
from router.messages.instances.exposure import matches_any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.client_files.importing.itself import OwnAddresses
    from router.client_files.importing.plan import Known, Row
    from router.client_files.installing.targets import Target
    from router.client_files.reading.found import FoundServer


def servers_to_move(
    target: Target, known: Known, seen: tuple[str, ...] = ("*",)
) -> tuple[str, ...]:
    """Return the names of servers, as the client has them, that the client does not need any more.

    These are servers that an instance is the same as, and other entries for this router. An
    instance that is switched off, that lacks a secret, or that the client will not see, makes no
    server superfluous.

    Args:
        target: the client's file. Blocks on disk to read it.
        known: has the instances of the router.
        seen: patterns of the names of the instances that the client will see.

    Raises:
        ConfigError: the file cannot be read.
    """
    instances = tuple(
        one
        for one in known.present.instances
        if one.entry.get("isActive") is not False and matches_any(one.name, seen)
    )
    known = attrs.evolve(known, present=attrs.evolve(known.present, instances=instances))
    return tuple(
        name
        for name, server in _servers_of(target)
        if _is_superfluous(plan_import((server,), known)[0])
    )


def _is_superfluous(row: Row) -> bool:
    has_secrets = not any(missing.startswith("secret ") for missing in row.missing)
    return row.state in ("same", "equivalent", "itself") and has_secrets


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
