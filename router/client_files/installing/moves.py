"""Finds the servers of a client that the router has as well, so that the client needs only it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from router.client_files.formats.values import find_value
from router.client_files.importing.plan import plan_import
from router.client_files.installing.plans import read_target
from router.client_files.reading.tables import servers_in

if TYPE_CHECKING:
    from router.client_files.importing.plan import Known
    from router.client_files.installing.targets import Target


def servers_to_move(target: Target, known: Known) -> tuple[str, ...]:
    """Return the names of servers, as the client has them, that an instance is the same as.

    Args:
        target: the client's file. Blocks on disk to read it.
        known: has the instances of the router.

    Raises:
        ConfigError: the file cannot be read.
    """
    _, document, servers_at = read_target(target)
    file = next(file for file in target.tables if file.servers_at == servers_at)
    table = cast("dict[str, Any]", find_value(document.value, servers_at) or {})
    found = servers_in(document.value, file)
    return tuple(
        name
        for name, server in zip(table, found, strict=True)
        if plan_import((server,), known)[0].state in ("same", "equivalent")
    )
