"""The lines that were lost are counted from the start, for those who watch the router."""

import errno
import logging

from tests.router.logs.log_setup import WAIT_S, Setup

log = logging.getLogger("mcp_router.test")


def test_lines_that_a_full_disk_has_lost_stay_counted_when_it_is_over(setup: Setup) -> None:
    logs = setup.start()
    assert logs.lost_count() == 0
    setup.console.error = OSError(errno.ENOSPC, "No space left on device")
    log.info("lost")
    assert setup.console.failed.wait(WAIT_S)
    setup.console.error = None
    log.info("back")
    assert setup.on_stderr()[-1].endswith(" back")
    assert logs.lost_count() == 1


def test_logs_that_are_off_lose_nothing(setup: Setup) -> None:
    assert setup.start("OFF").lost_count() == 0
