"""Spans and metrics of records, as the SDK hands them to an exporter."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from router.messages.observability.records import CallRecord, TraceContext
from router.telemetry import semantics
from router.telemetry.otlp import Metering, OtlpExport, Tracing
from router.telemetry.variables import read_variables
from tests.router.telemetry.records import CLIENT_SPAN, ROUTER_SPAN, TRACE_ID, call, session

NOON_NS = 1_796_000_000 * 10**9
NOTHING = Resource({})


def spans_of(*records: CallRecord) -> list[ReadableSpan]:
    """The spans that are exported, each before those below it."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(NOTHING, exporter)
    for record in records:
        assert record.trace is not None
        attributes = semantics.metric_attributes(record)
        tracing.take_call(record, record.trace, attributes, NOON_NS)
    tracing.shut_down()
    return list(exporter.get_finished_spans())


def ids_of(span: ReadableSpan) -> tuple[str, str, str]:
    """The ids of trace and span, and that of the parent, in hex."""
    assert span.context is not None
    parent = "" if span.parent is None else f"{span.parent.span_id:016x}"
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", parent


# --- Traces ----------------------------------------------------------------------------------


def test_a_call_is_a_span_below_the_clients_and_the_sent_one_is_below_that() -> None:
    served, sent = spans_of(call())
    trace, served_id, parent = ids_of(served)
    assert (trace, parent) == (TRACE_ID, CLIENT_SPAN)
    assert ids_of(sent) == (TRACE_ID, ROUTER_SPAN, served_id)
    assert (served.kind, sent.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert {served.name, sent.name} == {"tools/call log"}


def test_spans_have_the_times_of_the_record() -> None:
    served, sent = spans_of(call())
    assert (served.start_time, served.end_time) == (NOON_NS - 250_000_000, NOON_NS)
    assert (sent.start_time, sent.end_time) == (NOON_NS - 150_000_000, NOON_NS)


def test_a_call_that_reached_no_server_is_one_span() -> None:
    record = call(sent_after_s=None, outcome="error", code=-32013)
    (served,) = spans_of(record)
    assert served.kind is SpanKind.SERVER
    assert served.status.status_code is StatusCode.ERROR
    assert ids_of(served)[1] != ROUTER_SPAN


def test_a_call_that_went_well_has_no_status() -> None:
    assert {span.status.status_code for span in spans_of(call())} == {StatusCode.UNSET}


def test_a_trace_that_begins_here_has_no_parent() -> None:
    served, sent = spans_of(call(trace=TraceContext(TRACE_ID, ROUTER_SPAN)))
    trace, served_id, parent = ids_of(served)
    assert (trace, parent) == (TRACE_ID, "")
    assert ids_of(sent) == (TRACE_ID, ROUTER_SPAN, served_id)


def test_spans_of_two_calls_are_not_mixed_up() -> None:
    other = TraceContext("a" * 32, "b" * 16, "c" * 16)
    first, first_sent, second, second_sent = spans_of(call(), call(trace=other))
    assert ids_of(first_sent)[:2] == (TRACE_ID, ROUTER_SPAN)
    assert ids_of(second_sent)[:2] == ("a" * 32, "b" * 16)
    assert ids_of(second)[2] == "c" * 16
    assert ids_of(first)[1] != ids_of(second)[1]


@pytest.mark.parametrize("is_random", [True, False])
@pytest.mark.parametrize("parent", ["", CLIENT_SPAN])
def test_flags_and_state_are_those_of_the_trace(parent: str, is_random: bool) -> None:
    state = "a=1,b=2" if parent else ""
    trace = TraceContext(TRACE_ID, ROUTER_SPAN, parent, is_random=is_random, state=state)
    for span in spans_of(call(trace=trace)):
        assert span.context is not None
        assert span.context.trace_flags == (3 if is_random else 1)
        assert span.context.trace_state.to_header() == state


def test_only_the_span_of_the_request_describes_the_client() -> None:
    served, sent = spans_of(call())
    shared = semantics.metric_attributes(call())
    assert served.attributes == shared | semantics.server_attributes(call())
    assert sent.attributes == shared


# --- Metrics ---------------------------------------------------------------------------------


class Counted:
    """A `Metering`, and what is read from it."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.metering = Metering(NOTHING, self._reader)

    def calls(self, record: CallRecord) -> None:
        self.metering.take_call(record, semantics.metric_attributes(record))

    def points(self) -> dict[str, list[Any]]:
        """The points of each metric."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        (of_resource,) = data.resource_metrics
        (of_scope,) = of_resource.scope_metrics
        return {metric.name: list(metric.data.data_points) for metric in of_scope.metrics}


@pytest.fixture
def counted() -> Iterator[Counted]:
    counted = Counted()
    yield counted
    counted.metering.shut_down()


def test_durations_are_counted_in_the_buckets_of_the_conventions(counted: Counted) -> None:
    counted.calls(call())
    points = counted.points()
    (served,) = points["mcp.server.operation.duration"]
    (sent,) = points["mcp.client.operation.duration"]
    assert (served.count, served.sum, sent.sum) == (1, 0.25, 0.15)
    assert served.explicit_bounds == semantics.DURATION_BOUNDARIES_S
    assert served.attributes == semantics.metric_attributes(call()) | {
        "mcp.protocol.version": "2025-11-25",
        "network.transport": "tcp",
        "network.protocol.name": "http",
    }
    assert sent.attributes == semantics.metric_attributes(call())


def test_a_call_that_reached_no_server_is_counted_on_one_side(counted: Counted) -> None:
    counted.calls(call(sent_after_s=None, outcome="error", code=-32013))
    ((served,),) = counted.points().values()
    assert served.attributes["error.type"] == "-32013"


def test_names_that_clients_think_up_make_no_series(counted: Counted) -> None:
    for number in range(50):
        counted.calls(call(target=f"made up {number}", outcome="tool_error"))
        counted.calls(call(target=f"made up {number}", outcome="error", code=-32602))
    counted.calls(call(target="log", outcome="ok"))
    counted.calls(call(target="log", outcome="tool_error"))
    named = [point.attributes for point in counted.points()["mcp.server.operation.duration"]]
    assert [one.get("gen_ai.tool.name") for one in named] == [None, None, "log", "log"]


def test_there_is_a_limit_to_the_names_that_are_told_apart(counted: Counted) -> None:
    for number in range(semantics.MAX_TARGETS + 3):
        counted.calls(call(target=f"tool {number}"))
    for points in counted.points().values():
        assert len(points) == semantics.MAX_TARGETS + 1


def test_sessions_are_counted_when_they_end(counted: Counted) -> None:
    counted.metering.take_session(session("s", is_open=True), NOON_NS)
    assert counted.points() == {}
    counted.metering.take_session(session("s", is_open=False), NOON_NS + 3 * 10**9)
    counted.metering.take_session(session("never begun", is_open=False), NOON_NS)
    ((point,),) = counted.points().values()
    assert (point.count, point.sum) == (1, 3.0)
    assert point.attributes == {"network.transport": "pipe"}


# --- Set-up ----------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Variables that ask for traces, which go nowhere."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    return monkeypatch


@pytest.mark.usefixtures("asked")
def test_calls_that_are_not_sampled_are_not_exported(caplog: pytest.LogCaptureFixture) -> None:
    export = OtlpExport(read_variables({"OTEL_TRACES_EXPORTER": "otlp"}))
    unsampled = TraceContext(TRACE_ID, ROUTER_SPAN, is_sampled=False)
    export.take_call(call(trace=unsampled), NOON_NS)
    export.take_call(call(trace=None), NOON_NS)
    export.shut_down()
    assert not caplog.records


def test_a_variable_that_the_sdk_refuses_ends_the_set_up(asked: pytest.MonkeyPatch) -> None:
    asked.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with pytest.raises(ValueError, match="max_queue_size must be a positive integer"):
        OtlpExport(read_variables({"OTEL_TRACES_EXPORTER": "otlp"}))
    assert logging.getLogger("opentelemetry").propagate


@pytest.mark.parametrize(
    ("variable", "complaint"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "Invalid timeout value 'soon'"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "Unsupported compression type: soon"),
    ],
)
def test_a_variable_that_an_exporter_complains_about_is_a_line_in_our_log(
    asked: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, complaint: str
) -> None:
    asked.setenv(variable, "soon")
    OtlpExport(read_variables({"OTEL_TRACES_EXPORTER": "otlp"})).shut_down()
    (line,) = caplog.messages
    assert line.startswith(f"OpenTelemetry: {complaint}")


def test_a_variable_that_the_sdk_complains_about_is_a_line_in_our_log(
    asked: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked.setenv("OTEL_BSP_SCHEDULE_DELAY", "soon")
    OtlpExport(read_variables({"OTEL_TRACES_EXPORTER": "otlp"})).shut_down()
    (line,) = caplog.messages
    assert line.startswith("OpenTelemetry: ")
    assert "OTEL_BSP_SCHEDULE_DELAY" in line
