"""Loads the part of the connector that stands on the MCP SDK, when the first instance needs it.

The import takes a second and holds up the task that does it, so a worker thread does it, once.
`IMPORTING` makes all others wait for it.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import trio

from transports.outbound.slow_imports import IMPORTING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from transports.connect.credentials import Credentials
    from transports.connect.remote.endpoint import Kind, RemoteEndpoint
    from transports.connect.wire import Wire


_ON_FIRST_USE: Final = ("anyio._backends._trio", "httpcore2._backends.trio")
"""Modules that the libraries would otherwise import later, in the middle of the event loop."""


class OpenWire(Protocol):
    """The type of `remote_wire.open_wire`."""

    def __call__(
        self,
        endpoint: RemoteEndpoint,
        headers: Mapping[str, str],
        kinds: Sequence[Kind],
        credentials: Credentials | None = None,
    ) -> AbstractAsyncContextManager[Wire]:
        """Open a wire over the first of `kinds` that the upstream does not refuse."""
        ...


async def load() -> OpenWire:
    """Import `open_wire` in a worker thread, and return it."""
    return await trio.to_thread.run_sync(_import, abandon_on_cancel=True)


def _import() -> OpenWire:
    with IMPORTING:
        for name in _ON_FIRST_USE:
            with suppress(ImportError):
                importlib.import_module(name)
        # Not at the top, because of the time it takes.
        from transports.connect.remote.remote_wire import open_wire

    return open_wire
