"""Loads the models of the MCP SDK for OAuth, when the first login needs them.

The import takes a second or two and holds up the task that does it, so a worker thread does it.
Afterwards, an import inside a function costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Final

import trio

from transports.outbound.slow_imports import IMPORTING

_MODULES: Final = ("mcp.shared.auth", "mcp.client.auth.utils")


async def load() -> None:
    """Import the models, unless that was done before."""
    await trio.to_thread.run_sync(_import, abandon_on_cancel=True)


def _import() -> None:
    with IMPORTING:
        for name in _MODULES:
            importlib.import_module(name)
