"""Records go to every keeper, and a keeper that fails keeps none from the others."""

import logging
from typing import Any

import msgspec
import pytest

from router.app.records import Records, log_call
from router.messages.observability.records import ChangeRecord, Record
from tests.router.audit.test_audit_lines import CALL

RECORD = ChangeRecord("operator", "", "remove_instance", "a")


def test_each_keeper_gets_each_record() -> None:
    kept: list[list[Record]] = [[], []]
    Records([one.append for one in kept]).write(RECORD)
    assert kept == [[RECORD], [RECORD]]


def test_a_keeper_that_fails_does_so_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Any) -> None:
        raise ValueError("a bug")

    kept: list[Record] = []
    with caplog.at_level(logging.ERROR):
        Records([fails, kept.append]).write(RECORD)
    assert kept == [RECORD]
    assert caplog.messages == ["a record was not kept"]


def test_call_is_a_line_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mcp_router.calls")
    log_call(CALL)
    log_call(msgspec.structs.replace(CALL, method="ping", instance="", target=""))
    assert caplog.messages == ["tools/call files read_file: ok in 12.3 ms", "ping: ok in 12.3 ms"]
    shown = vars(caplog.records[0])
    fields = ("instance", "principal", "request_id", "duration_s")
    assert [shown[field] for field in fields] == ["files", "alice", 7, 0.012346]


def test_other_records_and_other_levels_leave_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mcp_router.calls")
    log_call(CALL)
    caplog.set_level(logging.DEBUG, "mcp_router.calls")
    log_call(ChangeRecord("alice", "", "remove_instance", "files"))
    assert caplog.messages == []
