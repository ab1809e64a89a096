"""Records as JSON and for the journal: one object a line, with what is known of it."""

from __future__ import annotations

import json
import logging
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from router.config.settings import Logging
from router.logs.early_records import EarlyRecords
from router.logs.journal import VARIABLE, is_journal
from router.logs.line_formats import FIELDS, error_lines
from tests.router.logs.log_setup import log

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.logs.log_setup import Setup

JSON = "json"
DEFAULT = Logging().format


def _objects(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.logs.logs.is_journal", lambda _: True)


# --- JSON ------------------------------------------------------------------------------------


def test_record_is_one_object_on_stderr_and_in_the_file(setup: Setup) -> None:
    setup.start(text=JSON)
    log.warning("hello %s", "you")
    assert setup.on_stderr() == setup.in_file()
    (line,) = _objects(setup.in_file())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line == {"level": "WARNING", "logger": "mcp_router.test", "message": "hello you"}


def test_what_is_known_of_a_line_are_members_and_the_rest_is_left_out(setup: Setup) -> None:
    setup.start(text=JSON)
    log.info("x", extra={"instance": "files", "request_id": 7, "duration_s": 0.5, "other": 1})
    (line,) = _objects(setup.in_file())
    assert {key: line[key] for key in FIELDS if key in line} == {
        "instance": "files",
        "request_id": 7,
        "duration_s": 0.5,
    }
    assert "other" not in line


def test_error_of_a_record_is_a_member_with_its_traceback(setup: Setup) -> None:
    setup.start(text=JSON)
    try:
        raise ValueError("first\nERROR forged")
    except ValueError:
        log.exception("it failed")
    (line,) = _objects(setup.on_stderr())
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ERROR forged")


@pytest.mark.parametrize("text", ['a\n{"level": "ERROR"}', "\x1b[2J\u2028\u202e", "half \ud800 of"])
def test_no_record_can_look_like_several(setup: Setup, text: str) -> None:
    setup.start(text=JSON)
    log.info("%s", text, extra={"instance": text})
    (line,) = setup.in_file()
    assert line.isprintable()
    shown = json.loads(line)
    assert shown["message"] == shown["instance"]
    assert shown["message"].isprintable()


def test_secrets_are_masked_in_every_member(setup: Setup) -> None:
    setup.start(text=JSON).add_secrets(["sk-12345"])
    error = ValueError("sk-12345")
    log.error("with sk-12345", exc_info=error, extra={"principal": "sk-12345"})
    (line,) = setup.in_file()
    assert "12345" not in line
    assert json.loads(line)["principal"] == "***"


def test_notes_about_the_log_itself_are_objects_too(setup: Setup) -> None:
    setup.folder.write_text("a file")
    setup.start(text=JSON)
    (line,) = _objects(setup.on_stderr())
    assert (line["level"], line["logger"]) == ("WARNING", "mcp_router.logs")
    assert "logs go to stderr alone" in line["message"]


def test_those_who_follow_read_text(setup: Setup) -> None:
    follower = setup.start(text=JSON).broadcast.follow(logging.DEBUG, lambda: None)
    log.info("hello")
    (line,) = follower.take()
    assert line.endswith(" - mcp_router.test - INFO - hello")


# --- The journal -----------------------------------------------------------------------------


@pytest.mark.usefixtures("journal")
def test_journal_gets_priorities_and_no_second_time(setup: Setup) -> None:
    setup.start("DEBUG", DEFAULT)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        log.log(level, "x")
    setup.end()
    assert setup.console.lines() == [
        "<7>mcp_router.test - DEBUG - x",
        "<6>mcp_router.test - INFO - x",
        "<4>mcp_router.test - WARNING - x",
        "<3>mcp_router.test - ERROR - x",
        "<2>mcp_router.test - CRITICAL - x",
    ]
    assert all(re.match(r"\d{4}-", line) for line in setup.in_file())


@pytest.mark.usefixtures("journal")
def test_each_line_of_a_traceback_has_its_priority(setup: Setup) -> None:
    setup.start("DEBUG", DEFAULT)
    log.error("x", exc_info=ValueError("y"))
    first, *rest = setup.on_stderr()
    assert first == "<3>mcp_router.test - ERROR - x"
    assert rest
    assert all(line.startswith("<3>    ") for line in rest)


@pytest.mark.usefixtures("journal")
def test_format_of_the_user_stays_behind_the_priority(setup: Setup) -> None:
    setup.start(text="%(asctime)s %(message)s")
    log.info("x")
    (line,) = setup.on_stderr()
    assert re.fullmatch(r"<6>\d{4}-\d\d-\d\d .* x", line)


@pytest.mark.usefixtures("journal")
def test_json_stands_behind_the_priority(setup: Setup) -> None:
    setup.start(text=JSON)
    log.warning("x")
    (line,) = setup.on_stderr()
    assert line.startswith("<4>{")
    assert json.loads(line[3:])["message"] == "x"


def test_journal_is_known_by_device_and_inode(tmp_path: Path) -> None:
    with open(tmp_path / "stream", "w") as stream:
        status = os.fstat(stream.fileno())
        named = {VARIABLE: f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(named, stream.fileno())
        assert not is_journal({VARIABLE: f"{status.st_dev}:{status.st_ino + 1}"}, stream.fileno())
        assert not is_journal({}, stream.fileno())
    assert not is_journal(named, 9999)


# --- Before there are logs -------------------------------------------------------------------


def test_errors_of_the_start_are_in_the_format_of_the_log() -> None:
    text = "config.json: one\nconfig.json: two"
    assert error_lines("p", text, DEFAULT, is_journal=False).splitlines() == [
        "p: config.json: one",
        "p: config.json: two",
    ]
    assert error_lines("p", "x", "", is_journal=True) == "<3>p: x\n"
    first, second = _objects(error_lines("p", text, JSON, is_journal=False).splitlines())
    assert (first["level"], first["message"]) == ("ERROR", "config.json: one")
    assert second["message"] == "config.json: two"


def test_what_was_logged_before_the_logs_is_their_first_line(setup: Setup) -> None:
    with EarlyRecords() as early:
        log.warning("early")
        setup.start(early=early)
        log.info("then")
    assert setup.on_stderr() == setup.in_file()
    assert setup.in_file() == ["WARNING mcp_router.test early", "INFO mcp_router.test then"]


def test_without_logs_it_is_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with EarlyRecords():
        log.warning("early")
    assert capsys.readouterr().err == "early\n"
