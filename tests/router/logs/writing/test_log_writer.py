"""Nothing waits for a slow or broken output, and lost records are counted."""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from router.logs import logs
from router.logs.writing import log_writer
from router.logs.writing.log_writer import LogWriter, OwnedFile
from tests.router.logs.log_setup import WAIT_S, log

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.logs.log_setup import Setup

posix = pytest.mark.skipif(os.name != "posix", reason="files of POSIX")


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
    assert note == "WARNING mcp_router.logs 3 records were lost here: too many at once"


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
    assert setup.on_stderr()[-1].endswith("1 records were lost here: too many at once")


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


def test_a_record_waits_for_others_to_be_written_with(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []

    class Writes:
        def write(self, data: memoryview) -> int:
            writes.append(bytes(data))
            return len(data)

    writer = LogWriter[str](Writes(), gather_s=9.0)
    pauses_s: list[float] = []

    def pause(seconds: float) -> None:
        pauses_s.append(seconds)
        writer.put("second\n", 7)
        writer.end()

    monkeypatch.setattr(log_writer.time, "sleep", pause)
    writer.put("first\n", 6)
    writer.start(lambda count, why: "")
    writer.join(time.monotonic() + WAIT_S)
    assert (writes, pauses_s) == ([b"first\nsecond\n"], [9.0])


class SmallDisk(io.FileIO):
    """A file on a disk with little room.

    Attributes:
        room_bytes: how many bytes can still be written.
        failed: a write has failed.
    """

    room_bytes = 0

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(path, mode)
        self.failed = threading.Event()

    def write(self, data: Any, /) -> int:
        if not self.room_bytes:
            self.failed.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        done = super().write(data[: self.room_bytes])
        self.room_bytes -= done
        return done


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


# --- Files that others move, cut and delete --------------------------------------------------


def _lines(path: Path) -> list[str]:
    return [line.rpartition(" ")[2] for line in path.read_text().splitlines()]


def _write_until_written(setup: Setup, path: Path, word: str) -> None:
    log.info("%s", word)
    ends_at_s = time.monotonic() + WAIT_S
    while word not in (path.read_text() if path.exists() else ""):
        assert time.monotonic() < ends_at_s


@posix
def test_file_that_was_moved_away_is_left_when_asked_and_not_before(setup: Setup) -> None:
    logs = setup.start()
    path = setup.folder / "latest-http.txt"
    log.info("one")
    logs.reopen_file()  # it is in its place
    _write_until_written(setup, path, "two")
    path.rename(setup.folder / "moved")
    log.info("three")
    logs.reopen_file()
    log.info("four")
    setup.end()
    assert _lines(setup.folder / "moved") == ["one", "two", "three"]
    assert _lines(path) == ["four"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@posix
def test_file_that_was_cut_to_nothing_has_no_hole(setup: Setup) -> None:
    setup.start()
    path = setup.folder / "latest-http.txt"
    _write_until_written(setup, path, "one")
    os.truncate(path, 0)
    log.info("two")
    assert setup.in_file() == ["INFO mcp_router.test two"]


@posix
def test_file_that_was_deleted_is_made_anew(setup: Setup) -> None:
    setup.start()
    path = setup.folder / "latest-http.txt"
    _write_until_written(setup, path, "one")
    path.unlink()
    log.info("two")
    assert setup.in_file() == ["INFO mcp_router.test two"]


@posix
def test_where_no_new_file_can_be_opened_the_old_one_goes_on(setup: Setup) -> None:
    logs = setup.start()
    path = setup.folder / "latest-http.txt"
    path.rename(setup.folder / "moved")
    os.mkfifo(path)
    logs.reopen_file()
    log.info("one")
    assert any("the old file goes on" in line for line in setup.on_stderr())
    assert _lines(setup.folder / "moved") == ["one"]


def test_line_that_a_full_disk_cut_off_is_completed(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "lines", "ab")
    told: list[str] = []
    writer: LogWriter[str] = LogWriter(OwnedFile(disk, lambda file: file))
    writer.tell_elsewhere = told.append
    disk.room_bytes = len("one\ntwo\nth")
    for word in ("one\n", "two\n", "three\n", "four\n"):
        writer.put(word, len(word))
    writer.start(lambda count, why: f"{count} lost: {why}")
    assert disk.failed.wait(WAIT_S)
    disk.room_bytes = 1000
    writer.put("five\n", 5)
    writer.end()
    writer.join(time.monotonic() + WAIT_S)
    lines = (tmp_path / "lines").read_text().splitlines()
    assert lines == ["one", "two", "three", "1 lost: No space left on device", "five"]
    assert writer.lost_count == 1
    assert [text.partition(" (")[0] for text in told] == [
        "cannot be written",
        "can be written again; 1 records were lost there",
    ]
