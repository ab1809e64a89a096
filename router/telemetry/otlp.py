"""Turns records into spans and metrics with the OpenTelemetry SDK, which exports them by OTLP.

The only module that imports the SDK. Everything here is called by one thread (see `telemetry`).

A request of a client is a span of kind SERVER. If it was sent to a server, that is a span of kind
CLIENT below it, and this one is the parent that the server was told. Both are made after the fact,
with the ids and times of the record.

Invariants:

- The SDK's global providers stay as they are: only what is exported here is exported.
- The calls that the core has sampled are exported, and no others: there is no sampling here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from msgspec import Struct
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from router.telemetry import semantics
from router.telemetry.failures import ExportState, SdkLog
from router.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.metrics import Histogram
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData
    from opentelemetry.sdk.trace.export import SpanExporter

    from router.messages.observability.records import CallRecord, SessionRecord, TraceContext
    from router.telemetry.variables import Variables

SERVICE: Final = "mcp-router"
SCOPE: Final = "mcp-router"
"""The name of the instrumentation scope."""

_RANDOM_FLAG: Final = 0b10
_UNSET: Final = Status()
_FAILED: Final = Status(StatusCode.ERROR)

_NS: Final = 1_000_000_000

MAX_SESSIONS: Final = 20_000
"""Open sessions whose begin is kept; the listeners hold fewer."""


class OtlpExport:
    """The providers of the SDK, with what is exported by them."""

    def __init__(self, variables: Variables) -> None:
        """Set up the export of these signals; the SDK reads the other variables itself.

        Raises:
            Exception: the SDK refuses the value of a variable.
        """
        self._sdk_log = SdkLog()
        self._sdk_log.is_setting_up = True
        self._exporters: list[_SpanExporter | _MetricExporter] = []
        self._tracing: Tracing | None = None
        self._metering: Metering | None = None
        resource = _resource()
        try:
            if "traces" in variables.signals:
                state = ExportState("spans", variables.places["traces"])
                spans = _SpanExporter(state, self._sdk_log)
                self._exporters.append(spans)
                self._tracing = Tracing(resource, spans)
            if "metrics" in variables.signals:
                state = ExportState("metrics", variables.places["metrics"])
                points = _MetricExporter(state, self._sdk_log)
                self._exporters.append(points)
                self._metering = Metering(resource, PeriodicExportingMetricReader(points))
        except BaseException:
            self._sdk_log.close()
            raise
        self._sdk_log.is_setting_up = False

    def take_call(self, record: CallRecord, ended_ns: int) -> None:
        """Export a call that ended at this nanosecond of the epoch."""
        attributes = semantics.metric_attributes(record)
        if self._metering is not None:
            self._metering.take_call(record, attributes)
        trace = record.trace
        if self._tracing is not None and trace is not None and trace.is_sampled:
            self._tracing.take_call(record, trace, attributes, ended_ns)

    def take_session(self, record: SessionRecord, at_ns: int) -> None:
        """Export the time that a session took, at its end."""
        if self._metering is not None:
            self._metering.take_session(record, at_ns)

    def shut_down(self) -> None:
        """Export the rest. It blocks for as long as the collector takes; call it once."""
        for exporter in self._exporters:
            exporter.give_up_if_failing()
        if self._tracing is not None:
            self._tracing.shut_down()
        if self._metering is not None:
            self._metering.shut_down()
        for exporter in self._exporters:
            exporter.state.ended()
        self._sdk_log.close()


def _resource() -> Resource:
    """Return what the variables say of this service, and what they leave to us."""
    said = OTELResourceDetector().detect().attributes
    ours = {
        "service.name": SERVICE,
        "service.version": VERSION,
        "service.instance.id": str(uuid4()),
    }
    return Resource.create({name: value for name, value in ours.items() if name not in said})


# --- Exporters that tell how it goes ---------------------------------------------------------


class _SpanExporter(OTLPSpanExporter):
    def __init__(self, state: ExportState, sdk_log: SdkLog) -> None:
        super().__init__()
        self.state, self._sdk_log = state, sdk_log

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        reason = self._sdk_log.take_reason(OTLPSpanExporter.__module__)
        if result is SpanExportResult.SUCCESS:
            self.state.worked()
        else:
            self.state.failed(len(spans), reason)
        return result

    def give_up_if_failing(self) -> None:
        """Give up the batches that would only be tried again and again."""
        if self.state.is_failing:
            self.shutdown()


class _MetricExporter(OTLPMetricExporter):
    def __init__(self, state: ExportState, sdk_log: SdkLog) -> None:
        super().__init__()
        self.state, self._sdk_log = state, sdk_log

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        # The SDK leaves the type of `kwargs` open.
        result = super().export(  # pyright: ignore[reportUnknownMemberType]
            metrics_data, timeout_millis, **kwargs
        )
        reason = self._sdk_log.take_reason(OTLPMetricExporter.__module__)
        if result is MetricExportResult.SUCCESS:
            self.state.worked()
        else:
            # None is lost: the numbers of the next export have those of this one in them.
            self.state.failed(0, reason)
        return result

    def give_up_if_failing(self) -> None:
        """Give up the batches that would only be tried again and again."""
        if self.state.is_failing:
            self.shutdown()  # pyright: ignore[reportUnknownMemberType] - as `export`


# --- Traces ----------------------------------------------------------------------------------


class Tracing:
    """Turns calls into spans.

    They are made whole, not begun and ended: a span of the SDK's tracer costs eight times as much.
    """

    def __init__(self, resource: Resource, exporter: SpanExporter) -> None:
        """Export them by `exporter`, in batches, from a thread of the SDK."""
        self._resource, self._scope = resource, InstrumentationScope(SCOPE, VERSION)
        self._processor = BatchSpanProcessor(exporter)
        self._ids = RandomIdGenerator()

    def take_call(
        self,
        record: CallRecord,
        trace: TraceContext,
        attributes: semantics.Attributes,
        ended_ns: int,
    ) -> None:
        """Add the spans of a call that was sampled.

        Args:
            record: the call.
            trace: its place in the trace.
            attributes: those of `semantics.metric_attributes`.
            ended_ns: the nanosecond of the epoch at which it ended.
        """
        began_ns = ended_ns - round(record.duration_s * _NS)
        state = TraceState.from_header([trace.state]) if trace.state else None
        place = _Place(int(trace.trace_id, 16), TraceFlags(_flags(trace)), state)
        served = place.span(self._ids.generate_span_id())
        parent = place.span(int(trace.parent_id, 16), is_remote=True) if trace.parent_id else None

        def add(
            kind: SpanKind,
            context: SpanContext,
            parent: SpanContext | None,
            more: semantics.Attributes,
            began_ns: int,
        ) -> None:
            span = ReadableSpan(
                semantics.span_name(record),
                context,
                parent,
                self._resource,
                attributes | more,
                kind=kind,
                status=_UNSET if semantics.error_type(record) is None else _FAILED,
                start_time=began_ns,
                end_time=ended_ns,
                instrumentation_scope=self._scope,
            )
            self._processor.on_end(span)

        add(SpanKind.SERVER, served, parent, semantics.server_attributes(record), began_ns)
        if record.sent_after_s is not None:
            sent = place.span(int(trace.span_id, 16))
            sent_ns = began_ns + round(record.sent_after_s * _NS)
            add(SpanKind.CLIENT, sent, served, semantics.client_attributes(record), sent_ns)

    def shut_down(self) -> None:
        """Export the spans that wait."""
        self._processor.shutdown()


class _Place(Struct, frozen=True):
    """The parts that the contexts of all spans of a call have in common."""

    trace_id: int
    flags: TraceFlags
    state: TraceState | None

    def span(self, span_id: int, *, is_remote: bool = False) -> SpanContext:
        return SpanContext(self.trace_id, span_id, is_remote, self.flags, self.state)


def _flags(trace: TraceContext) -> int:
    return TraceFlags.SAMPLED | (trace.is_random * _RANDOM_FLAG)


# --- Metrics ---------------------------------------------------------------------------------


class Metering:
    """Counts the durations of calls and sessions."""

    def __init__(self, resource: Resource, reader: MetricReader) -> None:
        """Have them read by `reader`."""
        self._provider = MeterProvider((reader,), resource, shutdown_on_exit=False)
        self._server = self._histogram(
            semantics.SERVER_DURATION, "From the request of a client to its answer"
        )
        self._client = self._histogram(
            semantics.CLIENT_DURATION, "From the request to a server to its answer"
        )
        self._session = self._histogram(semantics.SESSION_DURATION, "Of the sessions of clients")
        self._targets = semantics.KnownTargets()
        self._began_ns: dict[str, int] = {}

    def _histogram(self, name: str, description: str) -> Histogram:
        return self._provider.get_meter(SCOPE, VERSION).create_histogram(
            name,
            "s",
            description,
            explicit_bucket_boundaries_advisory=semantics.DURATION_BOUNDARIES_S,
        )

    def take_call(self, record: CallRecord, attributes: semantics.Attributes) -> None:
        """Count a call with these attributes, those of `semantics.metric_attributes`."""
        attributes = self._targets.without_others(record, attributes)
        transport = semantics.transport_attributes(record.principal, record.revision)
        self._server.record(record.duration_s, attributes | transport)
        if record.sent_after_s is not None:
            self._client.record(record.duration_s - record.sent_after_s, attributes)

    def take_session(self, record: SessionRecord, at_ns: int) -> None:
        """Note the begin of a session, or count it at its end."""
        if record.is_open:
            if len(self._began_ns) < MAX_SESSIONS:
                self._began_ns[record.client] = at_ns
            return
        began_ns = self._began_ns.pop(record.client, None)
        if began_ns is not None:
            transport = semantics.transport_attributes(record.principal)
            self._session.record((at_ns - began_ns) / _NS, transport)

    def shut_down(self) -> None:
        """Have the reader read for the last time."""
        self._provider.shutdown()
