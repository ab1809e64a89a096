"""The MCP SDK, when it is needed.

Job: import the part of `connect` that stands on the SDK. Neighbours: `http` and `sse` ask for it.

The import takes a second and holds up whoever does it, so a worker thread does it, once, when the
first remote instance connects. Python's own lock for the module makes the others wait for it.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from transports.connect.remote.endpoint import Endpoint, Kind
    from transports.connect.wire import Wire


_ON_FIRST_USE: Final = ("anyio._backends._trio", "httpcore2._backends.trio")
"""What the libraries themselves would import later, in the middle of the event loop."""


class OpenWire(Protocol):
    """`remote.open_wire`."""

    def __call__(
        self, endpoint: Endpoint, headers: Mapping[str, str], kinds: Sequence[Kind]
    ) -> AbstractAsyncContextManager[Wire]:
        """A wire to `endpoint`, over the first of `kinds` that it does not refuse."""
        ...


async def load() -> OpenWire:
    """Import it, without holding up anything else."""
    return await trio.to_thread.run_sync(_import, abandon_on_cancel=True)


def _import() -> OpenWire:
    for name in _ON_FIRST_USE:
        with suppress(ImportError):
            importlib.import_module(name)
    # Not at the top: see above.
    from transports.connect.remote.remote_wire import open_wire

    return open_wire
