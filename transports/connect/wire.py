"""A wire: frames to and from one upstream, whatever carries them.

Job: name what `session` needs of a connector. Neighbours: `connect.*` makes wires, `session` uses
them; `router.messages` below. No I/O.

Invariants, for every wire:

- It belongs to one incarnation of a session. When it is lost it stays lost; the supervisor starts
  another incarnation with another wire.
- `connect()` is a context manager: leaving it ends the connection and everything behind it, within
  a bounded time; at once where it is left because of cancellation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from router.messages.catalog import Catalog
    from router.messages.frames import Frame, RequestId


class Received(Struct, frozen=True, gc=False):
    """A frame from an upstream.

    `related` is the id of our request on whose response stream it came, where the wire can tell
    (streamable HTTP), else None.
    """

    frame: Frame
    related: RequestId | None = None


@attrs.frozen
class WireLost(Exception):
    """The upstream cannot be reached (any more); `reason` is one sentence for the user."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Wire(Protocol):
    """Frames to and from one upstream. One task sends and one task receives, at the same time."""

    async def send(self, frames: Sequence[Frame]) -> None:
        """Send frames in order, in one write where that is possible.

        Raises:
            WireLost: the connection is gone.
        """
        ...

    async def receive(self) -> Sequence[Received]:
        """Everything that has come in, in order; at least one frame.

        Raises:
            WireLost: the connection is gone and everything before that was received.
        """
        ...

    def set_revision(self, revision: str) -> None:
        """This protocol revision is spoken from now on."""
        ...

    def set_catalog(self, catalog: Catalog) -> None:
        """The upstream offers this; some requests of MCP 2026-07-28 need to know over HTTP."""
        ...


Connect: TypeAlias = "Callable[[], AbstractAsyncContextManager[Wire]]"
"""Opens the wire of one incarnation.

Raises:
    WireLost: there is no connection to be had, with the reason.
"""
