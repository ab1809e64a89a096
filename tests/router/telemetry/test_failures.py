"""The lines in the log about exports that fail, and about what the SDK says."""

import logging
from contextlib import closing

import pytest

from router.telemetry.failures import ExportState, SdkLog

EXPORTER = "opentelemetry.exporter.otlp"


# --- Exports ---------------------------------------------------------------------------------


def test_an_export_that_goes_on_failing_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    state = ExportState("spans", "http://c:4318")
    for _ in range(3):
        state.failed(4, "Connection refused")
    (line,) = caplog.messages
    assert line.startswith(
        "OpenTelemetry: spans cannot be exported to http://c:4318: Connection refused."
    )
    state.ended()
    assert caplog.messages[1:] == ["OpenTelemetry: spans could not be exported; 12 were lost"]


def test_the_end_of_a_failure_is_told_with_what_was_lost(caplog: pytest.LogCaptureFixture) -> None:
    state = ExportState("spans", "http://c:4318")
    state.worked()
    state.failed(4, "")
    state.worked()
    state.worked()
    assert caplog.messages[1:] == ["OpenTelemetry: spans are exported again; 4 were lost"]
    state.failed(1, "")
    state.ended()
    assert caplog.messages[3:] == ["OpenTelemetry: spans could not be exported; 1 were lost"]


def test_an_export_that_works_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    state = ExportState("metrics", "http://c:4318")
    state.worked()
    state.ended()
    assert not caplog.messages


def test_where_nothing_is_lost_no_number_is_told(caplog: pytest.LogCaptureFixture) -> None:
    state = ExportState("metrics", "http://c:4318")
    state.failed(0, "Not Found")
    state.worked()
    assert caplog.messages[1:] == ["OpenTelemetry: metrics are exported again"]


# --- The SDK ---------------------------------------------------------------------------------
# An `SdkLog` of a fixture would be there before pytest looks for loggers that it does not see.


def test_the_sdk_says_each_thing_once(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("opentelemetry.sdk.x")
    with closing(SdkLog()):
        for number in range(3):
            logger.warning("Queue full, dropping %s.", number)
        logger.info("nothing to worry about")
    assert caplog.messages == ["OpenTelemetry: Queue full, dropping 0."]


def test_an_error_of_the_sdk_is_told_without_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closing(SdkLog()):
        try:
            raise ValueError("no number")
        except ValueError:
            logging.getLogger("opentelemetry.sdk.x").exception("Bad variable")
    (record,) = caplog.records
    assert record.getMessage() == "OpenTelemetry: Bad variable (no number)"
    assert record.exc_info is None


def test_an_exporter_gives_the_reason_in_the_words_of_the_system(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger(EXPORTER)
    refused = ConnectionRefusedError(111, "Connection refused")
    inner = OSError("failed to connect")
    inner.__cause__ = refused
    outer = RuntimeError(inner)
    with closing(SdkLog()) as sdk_log:
        logger.warning("Transient error %s encountered, retrying in %.2fs.", outer, 1.0)
        logger.error("Failed to export %s batch due to timeout.", "spans")
    assert sdk_log.take_reason(EXPORTER) == "Connection refused"
    assert sdk_log.take_reason(EXPORTER) == ""
    assert not caplog.messages


def test_each_exporter_has_reasons_of_its_own() -> None:
    with closing(SdkLog()) as sdk_log:
        logging.getLogger(f"{EXPORTER}.spans").error("Failed")
    assert sdk_log.take_reason(f"{EXPORTER}.metrics") == ""
    assert sdk_log.take_reason(f"{EXPORTER}.spans") == "Failed"


def test_an_answer_of_the_collector_is_a_reason() -> None:
    logger = logging.getLogger(EXPORTER)
    with closing(SdkLog()) as sdk_log:
        logger.error("Failed to export %s batch code: %s, reason: %s", "spans", 404, "Not Found")
    assert (
        sdk_log.take_reason(EXPORTER) == "Failed to export spans batch code: 404, reason: Not Found"
    )


def test_afterwards_the_sdk_logs_as_before(caplog: pytest.LogCaptureFixture) -> None:
    SdkLog().close()
    logging.getLogger("opentelemetry.sdk.x").warning("Hello")
    assert caplog.messages == ["Hello"]
