"""The way of records to the export: a queue that never waits, and a thread."""

import logging
import threading
from typing import Any

import pytest
from attrs import define, field

from router.messages.observability.records import ChangeRecord, Record
from router.telemetry import telemetry as module
from router.telemetry.telemetry import Telemetry
from router.telemetry.variables import INSTALL, Variables, read_variables
from tests.router.telemetry.records import call, session

WAIT_S = 30.0
VARIABLES = Variables(frozenset({"traces", "metrics"}))


@define
class FakeExport:
    """An export that keeps what it gets; it can be held up."""

    taken: list[Record] = field(factory=list[Record])
    is_shut_down: bool = False
    go_on: threading.Event = field(factory=threading.Event)
    first: threading.Event = field(factory=threading.Event)

    def open(self, _: Variables) -> "FakeExport":
        return self

    def take_call(self, record: Any, _: int) -> None:
        if record.target == "breaks":
            raise ValueError(record.target)
        self.taken.append(record)
        self.first.set()
        assert self.go_on.wait(WAIT_S)

    def take_session(self, record: Any, _: int) -> None:
        self.taken.append(record)

    def shut_down(self) -> None:
        self.is_shut_down = True


@pytest.fixture(autouse=True)
def warnings_only(caplog: pytest.LogCaptureFixture) -> None:
    """Hear only of what is wrong, unless a test says otherwise."""
    caplog.set_level(logging.WARNING, "mcp_router")


@pytest.fixture
def export() -> FakeExport:
    export = FakeExport()
    export.go_on.set()
    return export


def test_records_from_before_the_start_are_exported(export: FakeExport) -> None:
    telemetry = Telemetry(VARIABLES, export.open)
    records = [call(), session("s", is_open=True), call(request_id=8)]
    for record in records:
        telemetry.write(record)
    telemetry.start()
    telemetry.close()
    assert export.taken == records
    assert export.is_shut_down


def test_a_router_that_ends_before_its_export_has_begun_loses_nothing(export: FakeExport) -> None:
    telemetry = Telemetry(VARIABLES, export.open)
    telemetry.write(call())
    telemetry.close()
    assert export.taken == [call()]


def test_no_secret_is_exported_that_a_server_has_put_into_a_name(export: FakeExport) -> None:
    telemetry = Telemetry(VARIABLES, export.open, lambda text: text.replace("canary", "***"))
    uri = "https://files.test/?key=canary"
    telemetry.write(call(method="resources/read", target=uri, request_id="canary"))
    telemetry.close()
    shown = {"target": "https://files.test/?key=***", "request_id": "***"}
    assert export.taken == [call(method="resources/read", **shown)]


def test_changes_are_nobodys_span(export: FakeExport) -> None:
    telemetry = Telemetry(VARIABLES, export.open)
    telemetry.write(ChangeRecord("team", "", "add_instance", "git"))
    telemetry.close()
    assert export.taken == []


def test_a_record_that_cannot_be_exported_costs_no_other(
    export: FakeExport, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = Telemetry(VARIABLES, export.open)
    telemetry.write(call(target="breaks"))
    telemetry.write(call())
    telemetry.close()
    assert export.taken == [call()]
    assert caplog.messages == ["OpenTelemetry: skipped a record"]


def test_what_does_not_fit_is_dropped_and_counted(
    export: FakeExport, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "QUEUE_RECORDS", 2)
    telemetry = Telemetry(VARIABLES, export.open)
    for number in range(5):
        telemetry.write(call(request_id=number))
    telemetry.close()
    assert export.taken == [call(request_id=0), call(request_id=1)]
    assert caplog.messages[-1] == "OpenTelemetry: 3 calls were not exported"


def test_an_export_that_hangs_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.01)
    export = FakeExport()
    telemetry = Telemetry(VARIABLES, export.open)
    telemetry.write(call())
    telemetry.start()
    assert export.first.wait(WAIT_S)
    telemetry.close()
    assert caplog.messages == [
        "OpenTelemetry: the collector has not taken the last of it within 0.01 s"
    ]
    export.go_on.set()


def test_an_export_that_cannot_be_set_up_leaves_calls_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")

    def refuse(_: Variables) -> FakeExport:
        raise ValueError("max_queue_size must be   a positive integer.")

    telemetry = Telemetry(VARIABLES, refuse)
    assert telemetry.tracer.begin(None) is not None
    telemetry.close()
    assert telemetry.tracer.begin(None) is None
    telemetry.write(call())
    assert caplog.messages == [
        "OpenTelemetry cannot be set up, so nothing is exported: "
        "max_queue_size must be a positive integer. (one of OTEL_BSP_MAX_QUEUE_SIZE)"
    ]


# --- From the environment --------------------------------------------------------------------


def test_variables_decide_what_is_exported() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=secret-1",
    }
    telemetry = Telemetry.from_environ(environ)
    assert telemetry.signals == {"metrics"}
    assert telemetry.secrets == ("secret-1",)


def test_what_is_wrong_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry.from_environ({"OTEL_TRACES_EXPORTER": "console"})
    assert telemetry.signals == frozenset()
    assert caplog.messages == [
        "OTEL_TRACES_EXPORTER: there is no exporter 'console' here; use 'otlp'"
    ]


def test_the_log_says_where_it_exports_to(
    export: FakeExport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_router")
    found = read_variables(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces",
        }
    )
    telemetry = Telemetry(found, export.open)
    telemetry.close()
    assert caplog.messages == [
        "OpenTelemetry: exports metrics to http://127.0.0.1:1 "
        "and traces to http://127.0.0.1:1/v1/traces"
    ]


def test_without_the_packages_a_line_says_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "is_installed", lambda: False)
    telemetry = Telemetry.from_environ({"OTEL_TRACES_EXPORTER": "otlp"})
    assert telemetry.signals == frozenset()
    assert caplog.messages == [
        "OTEL_TRACES_EXPORTER: OpenTelemetry is not installed, so nothing is exported; "
        f"to install it: {INSTALL}"
    ]


def test_packages_are_found_without_being_imported() -> None:
    assert module.is_installed()
