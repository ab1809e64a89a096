"""OpenTelemetry on the real process: a client, a router, a server, and a collector."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, get_default_environment, stdio_client

from router.telemetry.variables import INSTALL
from tests.e2e.otlp_collector import OtlpCollector, ReceivedSpan, otlp_collector
from tests.e2e.ports import free_port
from tests.e2e.processes import RouterProcess
from tests.e2e.recording_upstream import recording_upstream
from tests.e2e.sdk_client import HANDSHAKE, Target, call, run, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = pytest.mark.e2e

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT_SPAN: Final = "00f067aa0ba902b7"
META: Final = {
    "traceparent": f"00-{TRACE}-{CLIENT_SPAN}-01",
    "tracestate": "congo=t61rcWkgMzE",
    "baggage": "userId=alice",
}
SECRET: Final = "canary-of-the-collector"

AT_ONCE: Final = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "200"}


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    with otlp_collector() as collector:
        yield collector


@pytest.fixture
def recorded(workspace: Workspace) -> Iterator[Workspace]:
    """A folder with a server that answers with the `params` it got."""
    with recording_upstream() as upstream:
        yield workspace.add("recording", type="http", url=upstream.url)


def serve(workspace: Workspace, **variables: str) -> RouterProcess:
    """Start a router with these variables besides those of this process."""
    words = ["serve", "--transport", "http", *workspace.words]
    return RouterProcess(words, dict(os.environ) | AT_ONCE | variables)


def call_recording(connect: Callable[[], AbstractAsyncContextManager[Client]], meta: Any) -> Any:
    """Call the server as a client of the SDK; return the `_meta` that the server got."""
    got: list[Any] = []

    async def scenario() -> None:
        async with connect() as client:
            result = await call(client, "recording", "echo", meta=meta)
            got.append(json.loads(text_of(result)).get("_meta", {}))

    run(scenario)
    return got[0]


def over_http(workspace: Workspace, router: RouterProcess, meta: Any) -> Any:
    """Do so with a router that listens."""
    return call_recording(Target("http", workspace, router).connect, meta)


def over_stdio(workspace: Workspace, **variables: str) -> Any:
    """Do so with a router that the client starts with these variables."""
    command, *args = workspace.stdio_command
    env = get_default_environment() | variables
    params = StdioServerParameters(command=command, args=args, env=env)
    with (workspace.path / "stderr.txt").open("w") as errlog:
        return call_recording(lambda: Client(stdio_client(params, errlog), mode=HANDSHAKE), {})


def spans_of_call(collector: OtlpCollector) -> tuple[ReceivedSpan, ReceivedSpan]:
    """The span of the client's request, and that of the request to the server."""
    collector.wait_until(lambda: len(collector.spans) >= 2)
    sent, served = sorted(collector.spans, key=lambda span: span.kind)
    return served, sent


def test_a_trace_goes_from_the_client_through_the_router_to_the_server(
    recorded: Workspace, collector: OtlpCollector
) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={SECRET}",
    }
    with serve(recorded, **variables) as router:
        got = over_http(recorded, router, META)
        served, sent = spans_of_call(collector)
        collector.wait_until(lambda: "mcp.client.operation.duration" in collector.metrics)
    assert got == META | {"traceparent": f"00-{TRACE}-{sent.span_id}-01"}
    assert (served.kind, served.trace_id, served.parent_id) == ("SERVER", TRACE, CLIENT_SPAN)
    assert (sent.kind, sent.trace_id, sent.parent_id) == ("CLIENT", TRACE, served.span_id)
    assert {served.name, sent.name} == {"tools/call echo"}
    assert served.attributes["mcp_router.instance"] == "recording"
    assert served.resource["service.name"] == "mcp-router"
    # No sessions: they are counted when they end, and this one may have ended meanwhile.
    (point,) = collector.metrics["mcp.server.operation.duration"]
    assert point.count == 1
    assert collector.headers[0]["x-key"] == SECRET
    assert SECRET not in router.stderr.text


def test_spans_of_a_short_run_on_stdio_are_exported_at_its_end(
    recorded: Workspace, collector: OtlpCollector
) -> None:
    got = over_stdio(
        recorded,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces",
        OTEL_SERVICE_NAME="mine",
        OTEL_BSP_SCHEDULE_DELAY="60000",
    )
    served, sent = spans_of_call(collector)
    assert got["traceparent"] == f"00-{served.trace_id}-{sent.span_id}-03"
    assert (served.parent_id, sent.parent_id) == ("", served.span_id)
    assert served.attributes["network.transport"] == "pipe"
    assert served.resource["service.name"] == "mine"


def test_without_a_collector_calls_go_on_and_the_log_says_it_once(recorded: Workspace) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
    with serve(recorded, **variables) as router:
        over_http(recorded, router, META)
        router.stderr.wait_for("spans cannot be exported to")
        router.stderr.wait_for("metrics cannot be exported to")
        assert over_http(recorded, router, META)["tracestate"] == META["tracestate"]
        assert router.stop() == 0
    lines = [line for line in router.stderr.text.splitlines() if "OpenTelemetry" in line]
    failures = [line for line in lines if "cannot be exported" in line]
    assert len(failures) == 2
    assert all(f"{url}: Connection refused" in line for line in failures)
    assert "spans could not be exported; " in router.stderr.text
    assert "Traceback" not in router.stderr.text


BLOCKER: Final = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == "opentelemetry.sdk":
            raise ModuleNotFoundError("No module named 'opentelemetry.sdk'", name=name)

sys.meta_path.insert(0, Blocker())
"""
"""Makes Python behave as if the extra were not installed."""


def test_without_the_extra_the_router_runs_and_says_how_to_install_it(
    recorded: Workspace, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BLOCKER)
    variables = {"OTEL_TRACES_EXPORTER": "otlp", "PYTHONPATH": str(site)}
    with serve(recorded, **variables) as router:
        said = router.stderr.wait_for(r"WARNING - (OTEL_TRACES_EXPORTER: .*)$")[1]
        got = over_http(recorded, router, META)
    assert said.endswith(f"to install it: {INSTALL}")
    assert got == META
