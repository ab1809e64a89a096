"""Numbers about the router, for those who watch it. Data only."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

DURATION_BOUNDS_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
"""The upper bounds of the buckets of durations, each inclusive; one more bucket has none."""


class MethodMetrics(Struct, frozen=True):
    """The requests of one kind that have ended.

    Attributes:
        ends: (outcome, code of the error) -> their number; see `call_counts`.
        buckets: the number of answered ones, by `DURATION_BOUNDS_S`.
        sum_s: the seconds that these took together.
    """

    ends: dict[tuple[str, str], int]
    buckets: tuple[int, ...]
    sum_s: float


class InstanceMetrics(Struct, frozen=True):
    """One instance; the counts are of the time since it was configured.

    Attributes:
        name: its name.
        methods: the kinds of requests -> those that have ended.
        shed: the requests that the router refused because too many were under way.
        retries: the calls that were sent once more after their session was lost.
        restarts: the ends of its sessions that nobody asked for and after which another one starts.
        ejections: how often its server was spared because it failed several times in a row.
        state: see `InstanceState` of the core.
        sessions: its sessions that are up.
        in_flight: the calls that wait for its server.
        waiting_for_start: the requests that wait until it is ready.
        waiting_for_turn: the requests that wait for their turn.
    """

    name: str
    methods: dict[str, MethodMetrics]
    shed: int
    retries: int
    restarts: int
    ejections: int
    state: str
    sessions: int
    in_flight: int
    waiting_for_start: int
    waiting_for_turn: int


class CoreMetrics(Struct, frozen=True):
    """The answer to `ShowMetrics`.

    Attributes:
        instances: those that its sender sees.
        own: the requests that reached no instance, by kind; empty if its sender sees only some
            instances.
        shed: those of them that the router refused because too many were under way.
        states: all states of an instance.
        client_sessions: era of their requests -> the number of open client sessions.
        lone_requests: the requests without a session that are not answered yet.
        awaiting_retry: the calls that wait until their client comes again with its input.
    """

    instances: tuple[InstanceMetrics, ...]
    own: dict[str, MethodMetrics]
    shed: int
    states: tuple[str, ...]
    client_sessions: dict[str, int]
    lone_requests: int
    awaiting_retry: int


class ActorCounts(Struct):
    """The work of the dispatch actor so far.

    Attributes:
        events: the events that it took out of its inbox.
        batches: how often it was woken for them.
    """

    events: int = 0
    batches: int = 0
