"""Takes stdin and stdout of this process for MCP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from router.messages.errors import ConfigError
from transports.listen.stdio.streams import open_stdio

if TYPE_CHECKING:
    from collections.abc import Sequence

    import trio

    from router.config.values import Mode


def take_stdio(
    modes: Sequence[Mode],
) -> tuple[trio.abc.ReceiveStream, trio.abc.SendStream] | None:
    """Take stdin and stdout for MCP if stdio is a mode; else return None.

    Raises:
        ConfigError: there is no stdin or stdout.
    """
    if "stdio" not in modes:
        return None
    # Python has None for what it was started without, although typeshed does not say so.
    if None in (sys.stdin, sys.stdout):
        raise ConfigError("stdio", "the router was started without stdin or stdout")
    return open_stdio()
