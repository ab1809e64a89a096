"""The stdout of the bridge: messages for the client, one a line.

Invariants:

- Whoever has a message waits until it is written. So a client that does not read holds up what
  comes from the router, and nothing is held for it here.
- A line is written whole, whoever is cancelled meanwhile, until `cut`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec import Struct, field

from transports.json_rpc import encode_line

if TYPE_CHECKING:
    from router.messages.frames import Frame


class ClientGone(Exception):
    """The client does not read stdout any more."""


class ClientOutput(Struct, eq=False):
    """Writes messages for the client.

    Attributes:
        stdout: the stream that it reads.
    """

    stdout: trio.abc.SendStream
    _turn: trio.Lock = field(default_factory=trio.Lock)
    _writing: trio.CancelScope = field(default_factory=lambda: trio.CancelScope(shield=True))

    async def send(self, *frames: Frame) -> None:
        """Write messages.

        Raises:
            ClientGone: the client does not read any more.
        """
        lines = b"".join(map(encode_line, frames))
        async with self._turn:
            if self._writing.cancel_called:
                raise ClientGone
            self._writing = trio.CancelScope(shield=True)
            with self._writing:
                try:
                    await self.stdout.send_all(lines)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    raise ClientGone from None
            if self._writing.cancelled_caught:
                raise ClientGone

    async def flush(self) -> None:
        """Wait until what is being written is written."""
        async with self._turn:
            pass

    def cut(self) -> None:
        """Write nothing more, not even the rest of a line."""
        self._writing.cancel("the bridge ends")
