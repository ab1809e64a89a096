"""Nothing waits for a slow or broken output, and lost records are counted."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from router.logs import log_writer
from tests.router.logs.log_setup import WAIT_S, log

if TYPE_CHECKING:
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
