"""Formats a snapshot for Prometheus, in the format that the request accepts.

The label of an instance is `mcp_instance`, because Prometheus itself has `instance` for the process
that it asks. The requests that reached no instance have an empty one.

Sources: Prometheus, Metric and label naming; OpenMetrics 1.0.

Invariants:

- Labels are instances, kinds, outcomes, codes, states, eras and listeners: few, and never a name
  that a client chooses.
- Each instance has its series from the start, with 0 for successful calls of tools, so that the
  first call is part of a rate.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder

from router.messages.observability.metrics import DURATION_BOUNDS_S, MethodMetrics
from transports.listen.rest.metrics.loop_lag import LAG_BOUNDS_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from router.messages.observability.metrics import InstanceMetrics
    from transports.listen.rest.metrics.snapshot import Snapshot

Samples: TypeAlias = "Iterable[tuple[Sequence[str], float]]"
"""Values of labels, and the number that they have."""

_INSTANCE: Final = "mcp_instance"


_NO_CALLS: Final = {
    "tools/call": MethodMetrics({("ok", ""): 0}, (0,) * (len(DURATION_BOUNDS_S) + 1), 0.0)
}


class _Families:
    """Stands in for a registry of the library, of which encoders need this method alone."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield InfoMetricFamily(
            "mcp_router", "The version of the router.", {"version": self._snapshot.version}
        )
        yield from _of_calls(self._snapshot)
        yield from _of_instances(self._snapshot)
        yield from _of_clients(self._snapshot)
        yield from _of_the_process(self._snapshot)
        # Without a registry: it is asked for here alone.
        yield from ProcessCollector(registry=None).collect()


def encode(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """Return the text for a request, and its content type. It reads `/proc`, so it may block.

    Args:
        snapshot: the numbers.
        accept: the `Accept` header; empty for the plain text format.
    """
    try:
        encoder, content_type = choose_encoder(accept)
        return encoder(_Families(snapshot)), content_type
    except TypeError:
        if not accept:
            raise
        # The library compares the words of a version with numbers.
        return encode(snapshot, "")


# --- Calls -----------------------------------------------------------------------------------


def _of_calls(snapshot: Snapshot) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "mcp_router_calls",
        "Requests that have ended, by kind, outcome (ok, error, cancelled, gone) and error code.",
        labels=(_INSTANCE, "method", "outcome", "code"),
    )
    durations = HistogramMetricFamily(
        "mcp_router_call_duration_seconds",
        "Time from the arrival of a request to its answer, waiting included.",
        labels=(_INSTANCE, "method"),
    )
    core = snapshot.core
    counted = [(one.name, _NO_CALLS | one.methods) for one in core.instances]
    for name, methods in (*counted, ("", core.own)):
        for method, counts in methods.items():
            for (outcome, code), number in counts.ends.items():
                ended.add_metric((name, method, outcome, code), number)
            _add_durations(durations, (name, method), counts)
    yield ended
    yield durations


def _add_durations(
    family: HistogramMetricFamily, labels: Sequence[str], counts: MethodMetrics
) -> None:
    buckets = _cumulative(DURATION_BOUNDS_S, counts.buckets)
    family.add_metric(labels, buckets, sum_value=counts.sum_s)


def _cumulative(bounds: Sequence[float], buckets: Sequence[int]) -> list[tuple[str, float]]:
    les = [*map(repr, bounds), "+Inf"]
    return list(zip(les, accumulate(buckets), strict=True))


# --- Instances -------------------------------------------------------------------------------


def _of_instances(snapshot: Snapshot) -> Iterator[Metric]:
    instances = snapshot.core.instances
    yield _counter(
        "mcp_router_calls_shed",
        "Requests that the router refused because too many were under way (-32015).",
        (_INSTANCE,),
        [*_each(instances, "shed"), (("",), snapshot.core.shed)],
    )
    yield _counter(
        "mcp_router_call_retries",
        "Calls that were sent once more after their session was lost.",
        (_INSTANCE,),
        _each(instances, "retries"),
    )
    yield _counter(
        "mcp_router_instance_restarts",
        "Unexpected ends of an instance's sessions, after each of which another one is started.",
        (_INSTANCE,),
        _each(instances, "restarts"),
    )
    yield _counter(
        "mcp_router_instance_ejections",
        "How often a server was spared for a while because it failed several times in a row.",
        (_INSTANCE,),
        _each(instances, "ejections"),
    )
    yield _gauge(
        "mcp_router_instance_state",
        "1 for the state that an instance is in, 0 for the others.",
        (_INSTANCE, "state"),
        [
            ((one.name, state), float(one.state == state))
            for one in instances
            for state in snapshot.core.states
        ],
    )
    yield _gauge(
        "mcp_router_instance_sessions",
        "Sessions of an instance that are up.",
        (_INSTANCE,),
        _each(instances, "sessions"),
    )
    yield _gauge(
        "mcp_router_calls_in_flight",
        "Calls that wait for the answer of their server.",
        (_INSTANCE,),
        _each(instances, "in_flight"),
    )
    waiting = (("start", "waiting_for_start"), ("turn", "waiting_for_turn"))
    yield _gauge(
        "mcp_router_calls_waiting",
        "Requests that are kept in the router: until their instance is ready, or for their turn.",
        (_INSTANCE, "waits_for"),
        [
            ((*labels, waits_for), number)
            for waits_for, attribute in waiting
            for labels, number in _each(instances, attribute)
        ],
    )


def _each(instances: Sequence[InstanceMetrics], attribute: str) -> list[tuple[list[str], float]]:
    return [([one.name], getattr(one, attribute)) for one in instances]


# --- Clients ---------------------------------------------------------------------------------


def _of_clients(snapshot: Snapshot) -> Iterator[Metric]:
    core, connections = snapshot.core, snapshot.connections
    yield _gauge(
        "mcp_router_client_sessions",
        "Open client sessions; a connection on stdio may be of either era.",
        ("era",),
        [((era,), number) for era, number in core.client_sessions.items()],
    )
    yield _gauge(
        "mcp_router_lone_requests",
        "Requests without a session that are not answered yet.",
        (),
        [((), core.lone_requests)],
    )
    yield _gauge(
        "mcp_router_calls_awaiting_retry",
        "Calls that wait until their client comes again with the input that the server needs.",
        (),
        [((), core.awaiting_retry)],
    )
    listener = ("listener",)
    yield _gauge(
        "mcp_router_connections",
        "Open connections of a listener.",
        listener,
        [((name,), one.open) for name, one in connections.items()],
    )
    yield _counter(
        "mcp_router_connections_accepted",
        "Connections of a listener that got a place.",
        listener,
        [((name,), one.accepted) for name, one in connections.items()],
    )
    yield _counter(
        "mcp_router_connections_turned_away",
        "Connections of a listener for which there was no place.",
        listener,
        [((name,), one.turned_away) for name, one in connections.items()],
    )
    yield _gauge(
        "mcp_router_unread_bytes",
        "Bytes that a listener holds for clients that have yet to read them.",
        listener,
        [((name,), one.unread_bytes) for name, one in connections.items()],
    )


# --- The process -----------------------------------------------------------------------------


def _of_the_process(snapshot: Snapshot) -> Iterator[Metric]:
    yield _counter(
        "mcp_router_actor_events",
        "Events that the dispatch actor has handled.",
        (),
        [((), snapshot.events)],
    )
    yield _counter(
        "mcp_router_actor_batches",
        "Wake-ups of the dispatch actor; events by wake-ups are the size of a batch.",
        (),
        [((), snapshot.batches)],
    )
    yield _gauge(
        "mcp_router_actor_inbox_depth",
        "Events that wait for the dispatch actor.",
        (),
        [((), snapshot.inbox_depth)],
    )
    lag = HistogramMetricFamily(
        "mcp_router_event_loop_lag_seconds",
        "How late the event loop woke a task, once a second since the first scrape.",
    )
    lag.add_metric((), _cumulative(LAG_BOUNDS_S, snapshot.lag_buckets), snapshot.lag_sum_s)
    yield lag
    yield _counter(
        "mcp_router_records_dropped",
        "Lines of the log, or records of the audit log, that could not be written.",
        ("log",),
        [((kind,), number) for kind, number in snapshot.drops.items()],
    )


# --- Families --------------------------------------------------------------------------------


def _counter(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family
