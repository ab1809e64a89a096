"""Nothing waits for a slow or broken output, and lost records are counted."""

from __future__ import annotations

import errno
import io
import threading
from typing import TYPE_CHECKING, Any

from router.logs import log_writer, logs
from tests.router.logs.log_setup import WAIT_S, log

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.router.logs.log_setup import Setup


def test_stderr_that_nobody_reads_holds_up_neither_the_file_nor_the_end(setup: Setup) -> None:
    setup.start()
    setup.console.may_write.clear()
    log.info("first")
    assert setup.console.hangs.wait(WAIT_S)
    for number in range(12):
        log.info("%d", number)
    assert len(setup.in_file()) == 13
    assert setup.console.lines() == []


def test_dropped_records_are_counted(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "QUEUE_RECORDS", 10)
    setup.start()
    setup.console.may_write.clear()
    log.info("first")
    assert setup.console.hangs.wait(WAIT_S)
    for number in range(12):
        log.info("%d", number)
    setup.console.may_write.set()
    first, *others, note = setup.on_stderr()
    assert first.endswith(" first")
    assert len(others) == 9
    assert note == "WARNING mcp_router.logs 3 records were dropped here: too many at once"


def test_what_waits_is_bounded_in_characters_too(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "QUEUE_CHARACTERS", 100)
    setup.start()
    setup.console.may_write.clear()
    log.info("x" * 200)
    assert setup.console.hangs.wait(WAIT_S)
    log.info("too much")
    setup.console.may_write.set()
    assert setup.on_stderr()[-1].endswith("1 records were dropped here: too many at once")


def test_full_disk_loses_records_and_says_so_afterwards(setup: Setup) -> None:
    setup.start()
    setup.console.error = OSError(errno.ENOSPC, "No space left on device")
    log.info("lost")
    assert setup.console.failed.wait(WAIT_S)
    setup.console.error = None
    log.info("back")
    note, line = setup.on_stderr()
    assert note == "WARNING mcp_router.logs 1 records were lost here: No space left on device"
    assert line == "INFO mcp_router.test back"
    assert len(setup.in_file()) == 2


def test_partial_writes_are_completed(setup: Setup) -> None:
    setup.console.bytes_at_once = 5
    setup.start()
    log.info("in small pieces")
    assert setup.on_stderr() == ["INFO mcp_router.test in small pieces"]


class FullDisk(io.FileIO):
    """A log file on a disk that fills up when the test says so."""

    is_full = False
    failed: threading.Event
    written: threading.Event

    def write(self, data: Any, /) -> int:
        if self.is_full:
            self.failed.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        done = super().write(data)
        self.written.set()
        return done


def test_log_file_on_a_full_disk_is_said_once_on_stderr_and_again_when_it_is_over(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(tmp_path / "log.txt", "ab")
    disk.failed, disk.written = threading.Event(), threading.Event()
    monkeypatch.setattr(logs, "open_log", lambda *_: disk)
    broadcast = setup.start(level="ERROR").broadcast
    disk.is_full = True
    for number in range(3):
        disk.failed.clear()
        log.error("lost %d", number)
        assert disk.failed.wait(WAIT_S)
    disk.is_full = False
    log.error("back")
    assert disk.written.wait(WAIT_S)
    shown = broadcast.follow(0, lambda: None)
    on_stderr = setup.on_stderr()
    begins, ends = [line for line in on_stderr if "mcp_router.logs" in line]
    assert begins == (
        f"WARNING mcp_router.logs The log in {setup.folder} cannot be written "
        "(No space left on device): records are lost there"
    )
    assert "can be written again; 3 records were lost there" in ends
    assert len(on_stderr) == 6
    assert begins in shown.take()
    note, back = (tmp_path / "log.txt").read_text().splitlines()
    assert "3 records were lost here: No space left on device" in note
    assert back.endswith("back")
