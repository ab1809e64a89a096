"""The text for Prometheus: families, labels and values of one snapshot."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from router.messages.observability.metrics import (
    DURATION_BOUNDS_S,
    ActorCounts,
    CoreMetrics,
    InstanceMetrics,
    MethodMetrics,
)
from transports.listen.rest.metric_sources import MetricSources
from transports.listen.rest.metrics.exposition import encode
from transports.listen.rest.metrics.loop_lag import LoopLag
from transports.listen.rest.metrics.snapshot import Snapshot
from transports.listen.serving.hosting.connection_counts import ConnectionCounts
from transports.listen.serving.unread_bytes import Holding, UnreadBytes

NO_DURATIONS = (0,) * (len(DURATION_BOUNDS_S) + 1)
CALLS = MethodMetrics({("ok", ""): 2, ("error", "-32011"): 1}, (0, 3, *NO_DURATIONS[2:]), 0.005)
FILES = InstanceMetrics(
    name="文件",
    methods={"tools/call": CALLS},
    shed=4,
    retries=5,
    restarts=6,
    ejections=7,
    state="degraded",
    sessions=1,
    in_flight=8,
    waiting_for_start=9,
    waiting_for_turn=10,
)
CORE = CoreMetrics(
    instances=(FILES,),
    own={"router": MethodMetrics({("ok", ""): 11}, NO_DURATIONS, 0.0)},
    shed=12,
    states=("ready", "degraded"),
    client_sessions={"handshake": 13, "either": 0},
    lone_requests=14,
    awaiting_retry=15,
)


def unread(size_bytes: int) -> UnreadBytes:
    held = UnreadBytes()
    holding = Holding("p", size_bytes, 0.0, lambda: None)
    held.sources += [lambda: [holding], lambda: [holding]]
    return held


def samples(core: CoreMetrics = CORE, accept: str = "") -> dict[tuple[str, ...], float]:
    """Return the values by the name of the sample and the values of its sorted labels."""
    listener = ConnectionCounts(accepted=16, open=17, turned_away=18, unread=unread(10))
    sources = MetricSources(
        ActorCounts(19, 20), {"audit": lambda: 21}, {"http": listener, "sse": ConnectionCounts()}
    )
    lag = LoopLag()
    lag.note(0.003)
    lag.note(9.0)
    text, _ = encode(Snapshot.take("1.2", core, sources, lag, inbox_depth=22), accept)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.value and not family.name.startswith("process_")
    }


def test_every_number_has_its_sample() -> None:
    found = samples()
    buckets = {key: value for key, value in found.items() if key[0].endswith("_bucket")}
    assert {key: value for key, value in found.items() if key not in buckets} == {
        ("mcp_router_info", "1.2"): 1,
        ("mcp_router_calls_total", "", "文件", "tools/call", "ok"): 2,
        ("mcp_router_calls_total", "-32011", "文件", "tools/call", "error"): 1,
        ("mcp_router_calls_total", "", "", "router", "ok"): 11,
        ("mcp_router_call_duration_seconds_count", "文件", "tools/call"): 3,
        ("mcp_router_call_duration_seconds_sum", "文件", "tools/call"): 0.005,
        ("mcp_router_calls_shed_total", "文件"): 4,
        ("mcp_router_calls_shed_total", ""): 12,
        ("mcp_router_call_retries_total", "文件"): 5,
        ("mcp_router_instance_restarts_total", "文件"): 6,
        ("mcp_router_instance_ejections_total", "文件"): 7,
        ("mcp_router_instance_state", "文件", "degraded"): 1,
        ("mcp_router_instance_sessions", "文件"): 1,
        ("mcp_router_calls_in_flight", "文件"): 8,
        ("mcp_router_calls_waiting", "文件", "start"): 9,
        ("mcp_router_calls_waiting", "文件", "turn"): 10,
        ("mcp_router_client_sessions", "handshake"): 13,
        ("mcp_router_lone_requests",): 14,
        ("mcp_router_calls_awaiting_retry",): 15,
        ("mcp_router_connections", "http"): 17,
        ("mcp_router_connections_accepted_total", "http"): 16,
        ("mcp_router_connections_turned_away_total", "http"): 18,
        ("mcp_router_unread_bytes", "http"): 20,
        ("mcp_router_actor_events_total",): 19,
        ("mcp_router_actor_batches_total",): 20,
        ("mcp_router_actor_inbox_depth",): 22,
        ("mcp_router_event_loop_lag_seconds_count",): 2,
        ("mcp_router_event_loop_lag_seconds_sum",): 9.003,
        ("mcp_router_records_dropped_total", "audit"): 21,
    }


def test_buckets_are_cumulative() -> None:
    found = samples()
    name = "mcp_router_call_duration_seconds_bucket"
    les = {key[1]: value for key, value in found.items() if key[0] == name}
    assert "0.001" not in les  # none was as fast
    assert (les["0.0025"], les["300.0"], les["+Inf"]) == (3, 3, 3)
    lag = {key[1]: value for key, value in found.items() if key[0].endswith("lag_seconds_bucket")}
    assert (lag["0.005"], lag["5.0"], lag["+Inf"]) == (1, 1, 2)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
        ("text/html;;;q=x, application/openmetrics-text", "application/openmetrics-text"),
        ("application/openmetrics-text; version=latest", "text/plain; version=0.0.4"),
        ("text/plain; version=1.0.x", "text/plain"),
    ],
)
def test_the_format_is_one_that_is_accepted(accept: str, content_type: str) -> None:
    snapshot = Snapshot.take("1", CORE, MetricSources(), LoopLag(), 0)
    text, shown = encode(snapshot, accept)
    assert shown.startswith(content_type)
    assert text.endswith(b"# EOF\n") == ("openmetrics" in content_type)


def test_an_instance_without_calls_has_its_series_already() -> None:
    quiet: Any = dict.fromkeys(("shed", "retries", "restarts", "ejections"), 0)
    quiet |= {"sessions": 0, "in_flight": 0, "waiting_for_start": 0, "waiting_for_turn": 0}
    instance = InstanceMetrics(name="quiet", methods={}, state="ready", **quiet)
    core = CoreMetrics((instance,), {}, 0, ("ready",), {}, 0, 0)
    text, _ = encode(Snapshot.take("1", core, MetricSources(), LoopLag(), 0), "")
    for line in (
        'mcp_router_calls_total{code="",mcp_instance="quiet",method="tools/call",outcome="ok"} 0.0',
        'mcp_router_call_duration_seconds_count{mcp_instance="quiet",method="tools/call"} 0.0',
        'mcp_router_instance_restarts_total{mcp_instance="quiet"} 0.0',
    ):
        assert line.encode() in text
