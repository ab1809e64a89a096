"""One snapshot of all numbers, which a thread formats while the router goes on. Data only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from router.messages.observability.metrics import CoreMetrics
    from transports.listen.rest.metric_sources import MetricSources
    from transports.listen.rest.metrics.loop_lag import LoopLag


class Connections(Struct, frozen=True):
    """The connections of one listener; see `ConnectionCounts`."""

    accepted: int
    open: int
    turned_away: int
    unread_bytes: int


class Snapshot(Struct, frozen=True):
    """All numbers at one moment.

    Attributes:
        version: of the router.
        core: those of the core.
        events, batches: see `ActorCounts`.
        inbox_depth: the events that wait for the actor.
        drops: kind -> the lines or records of it that were dropped.
        connections: listener -> its connections.
        lag_buckets, lag_sum_s: see `LoopLag`.
    """

    version: str
    core: CoreMetrics
    events: int
    batches: int
    inbox_depth: int
    drops: dict[str, int]
    connections: dict[str, Connections]
    lag_buckets: tuple[int, ...]
    lag_sum_s: float

    @classmethod
    def take(
        cls,
        version: str,
        core: CoreMetrics,
        sources: MetricSources,
        lag: LoopLag,
        inbox_depth: int,
    ) -> Snapshot:
        """Return the numbers of this moment; those of the core were taken just before."""
        return cls(
            version=version,
            core=core,
            events=sources.actor.events,
            batches=sources.actor.batches,
            inbox_depth=inbox_depth,
            drops={kind: count() for kind, count in sources.drops.items()},
            connections={
                listener: Connections(one.accepted, one.open, one.turned_away, one.unread_bytes)
                for listener, one in sources.connections.items()
            },
            lag_buckets=tuple(lag.buckets),
            lag_sum_s=lag.sum_s,
        )
