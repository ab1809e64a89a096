"""The audit log as a file: nothing waits for it, nothing is lost silently."""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

from router.audit import audit_log
from router.audit.audit_log import FILE_NAME, AuditLog
from router.logs.writing import log_writer
from router.messages.errors import ConfigError
from tests.router.audit.test_audit_lines import CALL, CHANGE

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 10.0

posix = pytest.mark.skipif(os.name != "posix", reason="modes and files of POSIX")


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Disk:
    """A disk that hangs or is full when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_write = threading.Event()
        self.may_write.set()
        self.hangs = threading.Event()
        self.is_full = False
        self.failed = threading.Event()
        real = log_writer.LogWriter._write
        disk = self

        class Raw:
            def __init__(self, raw: Any) -> None:
                self.raw = raw

            def write(self, data: memoryview) -> int:
                if not disk.may_write.is_set():
                    disk.hangs.set()
                    assert disk.may_write.wait(WAIT_S)
                if disk.is_full:
                    disk.failed.set()
                    raise OSError(errno.ENOSPC, "No space left on device")
                return self.raw.write(data)

        def write(writer: Any, data: bytes) -> bytes:
            raw, writer._raw = writer._raw, Raw(writer._raw)
            try:
                return real(writer, data)
            finally:
                writer._raw = raw

        monkeypatch.setattr(log_writer.LogWriter, "_write", write)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def test_records_are_appended_to_what_is_there(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with AuditLog.open(tmp_path, str) as audit:
            audit.put(CHANGE)
            assert audit.dropped_count() == 0, name
    assert [line["event"] for line in _read(tmp_path / FILE_NAME)] == ["change", "change"]


@posix
async def test_file_and_folder_are_for_their_user_alone(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "logs", str):
        pass
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "logs" / FILE_NAME).stat().st_mode) == 0o600


async def test_call_has_the_moment_at_which_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000_100.25)
    monkeypatch.setattr(trio, "current_time", lambda: CALL.began_s + 100)
    with AuditLog.open(tmp_path, str) as audit:
        audit.put(CALL)
    (line,) = _read(tmp_path / FILE_NAME)
    assert line["time"] == "2001-09-09T01:46:40.250+00:00"


@posix
@pytest.mark.parametrize("kind", ["folder is a file", "pipe"])
def test_file_that_cannot_be_written_is_an_error_with_its_place(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "logs"
    if kind == "pipe":
        folder.mkdir()
        os.mkfifo(folder / FILE_NAME)
    else:
        folder.write_text("")
    with pytest.raises(ConfigError) as refused:
        AuditLog.open(folder, str)
    assert str(refused.value).startswith(
        f"config.json: logging.audit: {folder / FILE_NAME} cannot be written ("
    )


async def test_what_comes_too_fast_is_counted_said_in_the_log_and_in_the_file(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_writer, "QUEUE_RECORDS", 10)
    disk.may_write.clear()
    with AuditLog.open(tmp_path, str) as audit:
        audit.put(CHANGE)
        assert disk.hangs.wait(WAIT_S)
        for _ in range(12):
            audit.put(CHANGE)
        assert audit.dropped_count() == 3
        disk.may_write.set()
    *written, dropped = _read(tmp_path / FILE_NAME)
    assert [line["event"] for line in written] == ["change"] * 10
    assert (dropped["event"], dropped["count"]) == ("dropped", 3)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR]
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "1 records were dropped",
        "2 records were dropped",
    ]


async def test_full_disk_is_said_once_in_the_log_and_then_in_the_file(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.is_full = True
    with AuditLog.open(tmp_path, str) as audit:
        for _ in range(3):
            disk.failed.clear()
            audit.put(CHANGE)
            assert disk.failed.wait(WAIT_S)
        disk.is_full = False
        audit.put(CALL)
    lost, call = _read(tmp_path / FILE_NAME)
    assert (lost["event"], lost["count"]) == ("dropped", 3)
    assert lost["reason"] == "No space left on device"
    assert call["event"] == "call"
    assert audit.dropped_count() == 3
    begins, ends = caplog.messages
    path = tmp_path / FILE_NAME
    assert begins.startswith(f"The audit log {path} cannot be written (No space left on device)")
    assert ends.startswith(f"The audit log {path} can be written again; 3 records were lost there")


async def test_disk_that_hangs_does_not_hold_up_the_end_and_that_is_said(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit_log, "CLOSE_TIMEOUT_S", 0.0)
    disk.may_write.clear()
    with AuditLog.open(tmp_path, str) as audit:
        audit.put(CHANGE)
        assert disk.hangs.wait(WAIT_S)
        audit.put(CHANGE)
    assert caplog.messages == [f"2 records were not written to {tmp_path / FILE_NAME} in time"]
    disk.may_write.set()


@posix
async def test_file_that_was_moved_away_is_left_when_asked(tmp_path: Path) -> None:
    with AuditLog.open(tmp_path, str) as audit:
        audit.put(CHANGE)
        (tmp_path / FILE_NAME).rename(tmp_path / "audit.jsonl.1")
        audit.put(CHANGE)
        audit.reopen()
        audit.put(CALL)
    assert len(_read(tmp_path / "audit.jsonl.1")) == 2
    assert [line["event"] for line in _read(tmp_path / FILE_NAME)] == ["call"]
