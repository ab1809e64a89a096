"""One JSON object for each record, without secrets, of bounded length, on one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from router.audit.audit_lines import VALUE_LIMIT, dropped_line, line_of, size_of
from router.logs.masks import Masks
from router.messages.observability.records import (
    ApprovalRecord,
    CallRecord,
    ChangeRecord,
    RefusalRecord,
    SessionRecord,
    ToolRecord,
    TraceContext,
)

if TYPE_CHECKING:
    from router.messages.observability.records import Record

CALL = CallRecord(
    principal="alice",
    address="10.0.0.7",
    client="c1",
    request_id=7,
    method="tools/call",
    instance="files",
    target="read_file",
    outcome="ok",
    code=0,
    began_s=5.0,
    duration_s=0.0123456,
    request_bytes=100,
    response_bytes=2000,
    revision="2025-06-18",
)
CHANGE = ChangeRecord("alice", "10.0.0.7", "add_instance", "files")
OPENED = SessionRecord("alice", "10.0.0.7", "c1", is_open=True, client_info="raw 1")
CLOSED = SessionRecord("alice", "10.0.0.7", "c1", is_open=False, client_info="raw 1", reason="gone")
CHANGED_TOOL = ToolRecord("mail", "send_mail", "ab" * 32, "cd" * 32, is_quarantined=True)
REFUSED = RefusalRecord("10.0.0.9", 401, "/mcp", "Invalid bearer token", 3)

DOCUMENT = Path(__file__).parents[3] / "docs" / "deploy.md"

WALL_S = 1_796_023_859.1239


def _read(record: Record, masks: Masks | None = None) -> dict[str, Any]:
    line = line_of(record, WALL_S, (masks or Masks()).mask)
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    return json.loads(line)


def test_call_says_who_did_what_with_which_outcome() -> None:
    assert _read(CALL) == {
        "time": "2026-11-30T07:30:59.123+00:00",
        "event": "call",
        "principal": "alice",
        "address": "10.0.0.7",
        "client": "c1",
        "request_id": 7,
        "method": "tools/call",
        "instance": "files",
        "target": "read_file",
        "outcome": "ok",
        "code": 0,
        "duration_ms": 12.346,
        "request_bytes": 100,
        "response_bytes": 2000,
        "revision": "2025-06-18",
    }


def test_digest_and_trace_are_there_where_they_are_known() -> None:
    record = msgspec.structs.replace(
        CALL, arguments_sha256="ab" * 32, trace=TraceContext("cd" * 16, "ef" * 8)
    )
    shown = _read(record)
    assert shown["arguments_sha256"] == "ab" * 32
    assert shown["trace_id"] == "cd" * 16


def test_a_call_that_needed_a_yes_says_who_was_asked_and_who_decided() -> None:
    approval = ApprovalRecord("approver", "approved", "ops", 3.25)
    shown = _read(msgspec.structs.replace(CALL, approval=approval))
    assert {key: value for key, value in shown.items() if key.startswith("approval")} == {
        "approval_asked": "approver",
        "approval": "approved",
        "approval_by": "ops",
        "approval_after_ms": 3250.0,
    }


def test_change_says_whether_it_was_done() -> None:
    assert _read(CHANGE) == {
        "time": "2026-11-30T07:30:59.123+00:00",
        "event": "change",
        "principal": "alice",
        "address": "10.0.0.7",
        "action": "add_instance",
        "name": "files",
        "outcome": "ok",
        "problem": "",
    }
    failed = _read(msgspec.structs.replace(CHANGE, problem="no such instance"))
    assert (failed["outcome"], failed["problem"]) == ("error", "no such instance")


def test_session_has_a_line_for_its_begin_and_one_for_its_end() -> None:
    opened, closed = _read(OPENED), _read(CLOSED)
    assert (opened.pop("event"), closed.pop("event")) == ("session_opened", "session_closed")
    assert closed.pop("reason") == "gone"
    assert opened == closed


def test_refusal_says_how_many_it_stands_for() -> None:
    shown = _read(REFUSED)
    assert (shown["event"], shown["status"], shown["path"], shown["count"]) == (
        "refused",
        401,
        "/mcp",
        3,
    )


def test_what_was_dropped_is_a_line_with_its_number() -> None:
    assert json.loads(dropped_line(12, "too many at once", WALL_S)) == {
        "time": "2026-11-30T07:30:59.123+00:00",
        "event": "dropped",
        "count": 12,
        "reason": "too many at once",
    }


@pytest.mark.parametrize("record", [CALL, CHANGE, OPENED, CLOSED, REFUSED, CHANGED_TOOL])
def test_text_of_others_cannot_forge_a_line_nor_make_a_long_one(record: Record) -> None:
    nasty = '\n{"event":"call"}\x1b[2J\u2028\ud800' + "x" * 10_000
    for name in msgspec.structs.asdict(record):
        if isinstance(getattr(record, name), str) and name not in ("method", "outcome"):
            changed = msgspec.structs.replace(record, **{name: nasty})
            shown = _read(changed)
            assert all(len(str(value)) < VALUE_LIMIT + 100 for value in shown.values())


@pytest.mark.parametrize("record", [CALL, CHANGE, OPENED, CLOSED, REFUSED, CHANGED_TOOL])
def test_secrets_are_masked_in_every_value(record: Record) -> None:
    masks = Masks()
    masks.add(["sk-12345"])
    for name in msgspec.structs.asdict(record):
        if isinstance(getattr(record, name), str):
            changed = msgspec.structs.replace(record, **{name: "with sk-12345 in it"})
            assert "12345" not in line_of(changed, WALL_S, masks.mask)


def test_size_counts_what_a_client_can_make_long() -> None:
    for record, name in [
        (CALL, "target"),
        (CALL, "request_id"),
        (CALL, "method"),
        (CHANGE, "name"),
        (OPENED, "client_info"),
        (REFUSED, "path"),
        (CHANGED_TOOL, "tool"),
    ]:
        assert size_of(msgspec.structs.replace(record, **{name: "x" * 10_000})) > 10_000


@pytest.mark.parametrize("record", [CALL, CHANGE, OPENED, CLOSED, REFUSED, CHANGED_TOOL])
def test_documented_line_has_the_members_of_a_real_one(record: Record) -> None:
    real = _read(record)
    assert list(_documented(real["event"])) == list(real)


def test_documented_line_about_dropped_records_has_the_members_of_a_real_one() -> None:
    assert list(_documented("dropped")) == list(json.loads(dropped_line(1, "x", WALL_S)))


def _documented(event: str) -> dict[str, Any]:
    """Return the line of an event in docs/deploy.md."""
    lines = [
        json.loads(line)
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if line.startswith("{") and f'"event":"{event}"' in line
    ]
    (line,) = lines
    return line
