"""Keeps what negotiations with a server have shown, from one incarnation to the next."""

from __future__ import annotations

from msgspec import Struct


class ServerHistory(Struct, eq=False):
    """Memory of a server that lasts from one incarnation to the next.

    Attributes:
        has_initialized: the last `initialize` succeeded, so `server/discover` is not tried first.
        has_discovered: the last `server/discover` succeeded, so no process dies of it.
        was_lost_to_probe: the last incarnation ended before any answer to `server/discover` came,
            so perhaps because of it. The next incarnation goes without it.
        dies_either_way: an incarnation without `server/discover` was lost as well, so there is no
            hurry to start the next one.
    """

    has_initialized: bool = False
    has_discovered: bool = False
    was_lost_to_probe: bool = False
    dies_either_way: bool = False
