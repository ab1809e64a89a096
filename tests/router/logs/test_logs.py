"""The logs as they are set up: to stderr, to a file, and back to how logging was before."""

from __future__ import annotations

import logging
import os
import warnings
from typing import TYPE_CHECKING

import pytest

from tests.router.logs.log_setup import log

if TYPE_CHECKING:
    from router.config.values import Level
    from tests.router.logs.log_setup import Setup


def test_record_goes_to_stderr_and_to_the_file(setup: Setup) -> None:
    setup.start()
    log.info("hello %s", "you")
    assert setup.on_stderr() == setup.in_file() == ["INFO mcp_router.test hello you"]


def test_below_the_level_nothing_is_logged(setup: Setup) -> None:
    setup.start("WARNING")
    log.info("no")
    log.warning("yes")
    assert setup.in_file() == ["WARNING mcp_router.test yes"]


def test_level_can_change_while_logging(setup: Setup) -> None:
    logs = setup.start("WARNING")
    log.info("no")
    logs.set_level("INFO")
    log.info("yes")
    assert setup.in_file() == ["INFO mcp_router.test yes"]


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_pipe_in_the_place_of_the_file_is_reported_and_stderr_goes_on(setup: Setup) -> None:
    setup.folder.mkdir()
    os.mkfifo(setup.folder / "latest-http.txt")
    setup.start()
    log.info("hello")
    warning, hello = setup.on_stderr()
    assert "latest-http.txt is no regular file): logs go to stderr alone" in warning
    assert hello.endswith("hello")


def test_off_means_no_logs_and_no_files(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    setup.start("OFF")
    log.critical("no")
    logging.getLogger("somebody.else").critical("no")
    assert setup.on_stderr() == []
    assert not setup.folder.exists()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_chatter_of_libraries_is_left_out(setup: Setup, level: Level) -> None:
    setup.start(level)
    logging.getLogger("httpx").info("GET http://x/?key=secret")
    logging.getLogger("httpx").warning("trouble")
    assert setup.in_file() == ["WARNING httpx trouble"]


def test_warnings_of_python_are_logged(setup: Setup) -> None:
    setup.start()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line, *_) = setup.in_file()
    assert line.startswith("WARNING py.warnings ")
    assert "DeprecationWarning: old" in line


def test_closing_leaves_logging_as_it_was(setup: Setup) -> None:
    root, ours = logging.getLogger(), logging.getLogger("mcp_router")
    before = (root.level, ours.level, list(root.handlers))
    setup.start("DEBUG")
    setup.end()
    assert (root.level, ours.level, root.handlers) == before


def test_folder_that_cannot_be_made_is_a_warning_on_stderr(setup: Setup) -> None:
    setup.folder.write_text("a file")
    setup.start()
    log.info("goes on")
    warning, line = setup.on_stderr()
    assert warning.startswith(f"WARNING mcp_router.logs {setup.folder} cannot be written (")
    assert line == "INFO mcp_router.test goes on"


def test_as_a_context_manager_it_closes_itself(setup: Setup) -> None:
    with setup.start():
        log.info("x")
    assert setup.console.lines() == ["INFO mcp_router.test x"]


@pytest.mark.parametrize("level", ["INFO", "OFF"])
def test_text_for_somebody_else_is_masked_whatever_is_logged(setup: Setup, level: Level) -> None:
    logs = setup.start(level)
    logs.add_secrets(["sk-12345"])
    assert logs.mask("sk-12345 is wrong") == "*** is wrong"
