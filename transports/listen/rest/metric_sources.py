"""The numbers that are not the core's: of the actor, of the listeners, and of what was dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from router.messages.observability.metrics import ActorCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from transports.listen.serving.hosting.connection_counts import ConnectionCounts


def _no_drops() -> dict[str, Callable[[], int]]:
    return {}


def _no_listeners() -> dict[str, ConnectionCounts]:
    return {}


class MetricSources(Struct, frozen=True):
    """The places of the numbers beside those of the core.

    Attributes:
        actor: what the dispatch actor has done.
        drops: kind, such as `audit` -> returns the lines or records of it that were dropped so far.
        connections: listener -> its connections.
    """

    actor: ActorCounts = field(default_factory=ActorCounts)
    drops: Mapping[str, Callable[[], int]] = field(default_factory=_no_drops)
    connections: Mapping[str, ConnectionCounts] = field(default_factory=_no_listeners)
