"""A collector of OpenTelemetry: takes OTLP over HTTP, and keeps the spans and metrics that it gets.

It runs in threads of the test's own process.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import attrs
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.threaded_server import serving_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S: Final = 30.0


@attrs.frozen
class ReceivedSpan:
    """One span; ids are in hex, and a span without a parent has an empty one."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]


def _plain(attributes: Any) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value")
        for one in attributes
    }


class OtlpCollector(ThreadingHTTPServer):
    """The server.

    Attributes:
        spans: all spans so far, in the order in which they came.
        metrics: the points of each metric, as they were last sent.
        headers: those of each request.
        status: the status of the answers.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.spans: list[ReceivedSpan] = []
        self.metrics: dict[str, list[Any]] = {}
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self._news = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something that came makes a condition true."""
        with self._news:
            assert self._news.wait_for(is_so, WAIT_S), (self.spans, self.metrics)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        with self._news:
            self.headers.append(headers)
            if path == "/v1/traces":
                self._take_spans(body)
            elif path == "/v1/metrics":
                self._take_metrics(body)
            self._news.notify_all()

    def _take_spans(self, body: bytes) -> None:
        request: Any = ExportTraceServiceRequest()
        request.ParseFromString(body)
        for of_resource in request.resource_spans:
            resource = _plain(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += [
                    ReceivedSpan(
                        span.name,
                        {2: "SERVER", 3: "CLIENT"}[span.kind],
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        _plain(span.attributes),
                        resource,
                    )
                    for span in of_scope.spans
                ]

    def _take_metrics(self, body: bytes) -> None:
        request: Any = ExportMetricsServiceRequest()
        request.ParseFromString(body)
        for of_resource in request.resource_metrics:
            for of_scope in of_resource.scope_metrics:
                for metric in of_scope.metrics:
                    self.metrics[metric.name] = list(metric.histogram.data_points)


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: OtlpCollector  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            self.server.take(self.path, dict(self.headers), body)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - as the base class has it
        """Say nothing."""


@contextmanager
def otlp_collector() -> Iterator[OtlpCollector]:
    """Run a collector."""
    with serving_in_thread(OtlpCollector()) as server:
        yield server
