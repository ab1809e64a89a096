"""Logs: what a record looks like, where it goes, and that nothing ever waits for it."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import unicodedata
import warnings
from typing import TYPE_CHECKING, Final

import pytest

from router.config.settings import Level, Logging
from router.logs import logs as logs_module
from router.logs.logs import LINE_LIMIT, Logs, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT: Final = "%(levelname)s %(name)s %(message)s"
WAIT_S: Final = 10.0

log = logging.getLogger("mcp_router.test")


class Console:
    """A stderr that can be slow or broken."""

    def __init__(self) -> None:
        self.data = b""
        self.error: OSError | None = None
        self.at_once = 1 << 20
        self.may_write = threading.Event()
        self.may_write.set()
        self.hangs = threading.Event()
        self.failed = threading.Event()

    def write(self, data: memoryview) -> int:
        if not self.may_write.is_set():
            self.hangs.set()
            assert self.may_write.wait(WAIT_S)
        if self.error is not None:
            self.failed.set()
            raise self.error
        self.data += data[: self.at_once]
        return min(len(data), self.at_once)

    def lines(self) -> list[str]:
        return self.data.decode().splitlines()


class Setup:
    """Logs that a test has set up, and what came out of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console = Console()
        self.logs: Logs | None = None

    def start(self, level: Level = "INFO", text: str = FORMAT) -> Logs:
        settings = Logging(level=level, format=text)
        self.logs = Logs.from_settings(settings, self.folder, "http", self.console)
        return self.logs

    def end(self) -> None:
        if self.logs is not None:
            self.logs.close()
            self.logs = None

    def shown(self) -> list[str]:
        """Everything on stderr, when all is written."""
        self.end()
        return self.console.lines()

    def filed(self) -> list[str]:
        """Everything in the file, when all is written."""
        self.end()
        return (self.folder / "latest-http.txt").read_text().splitlines()


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    setup = Setup(tmp_path / "logs")
    yield setup
    setup.console.may_write.set()
    setup.end()


# --- Where it goes ---------------------------------------------------------------------------


def test_record_goes_to_stderr_and_to_the_file(setup: Setup) -> None:
    setup.start()
    log.info("hello %s", "you")
    assert setup.shown() == setup.filed() == ["INFO mcp_router.test hello you"]


def test_below_the_level_nothing_is_logged(setup: Setup) -> None:
    setup.start("WARNING")
    log.info("no")
    log.warning("yes")
    assert setup.filed() == ["WARNING mcp_router.test yes"]


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_pipe_in_the_place_of_the_file_is_told_and_stderr_goes_on(setup: Setup) -> None:
    setup.folder.mkdir()
    os.mkfifo(setup.folder / "latest-http.txt")
    setup.start()
    log.info("hello")
    told, hello = setup.shown()
    assert "latest-http.txt is no regular file): logs go to stderr alone" in told
    assert hello.endswith("hello")


def test_off_means_no_logs_and_no_files(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    setup.start("OFF")
    log.critical("no")
    logging.getLogger("somebody.else").critical("no")
    assert setup.shown() == []
    assert not setup.folder.exists()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_chatter_of_libraries_is_left_out(setup: Setup, level: Level) -> None:
    setup.start(level)
    logging.getLogger("httpx").info("GET http://x/?key=secret")
    logging.getLogger("httpx").warning("trouble")
    assert setup.filed() == ["WARNING httpx trouble"]


def test_warnings_of_python_are_logged(setup: Setup) -> None:
    setup.start()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line, *_) = setup.filed()
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
    warned, line = setup.shown()
    assert warned.startswith(f"WARNING mcp_router.logs {setup.folder} cannot be written (")
    assert line == "INFO mcp_router.test goes on"


def test_as_a_context_manager_it_closes_itself(setup: Setup) -> None:
    with setup.start():
        log.info("x")
    assert setup.console.lines() == ["INFO mcp_router.test x"]


# --- One record, one line --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nERROR forged", r"a\nERROR forged"),
        ("a\r\x1b[31mb\x07", r"a\r\x1b[31mb\x07"),
        ("\u202eright to left\u2028next\x85", r"\u202eright to left\u2028next\x85"),
        ("tab\there, 中文 and é stay", "tab\there, 中文 and é stay"),
        ("half \ud800 of a pair", r"half \ud800 of a pair"),
    ],
)
def test_what_does_not_print_is_escaped(setup: Setup, text: str, shown: str) -> None:
    setup.start()
    log.info("%s", text)
    assert setup.filed() == [f"INFO mcp_router.test {shown}"]


def test_long_message_is_cut(setup: Setup) -> None:
    setup.start()
    log.info("x" * (LINE_LIMIT + 7))
    (line,) = setup.filed()
    assert line.endswith("xxx... (7 more characters)")


def test_arguments_that_do_not_fit_their_text_harm_nobody(setup: Setup) -> None:
    setup.start()
    # Given to our handler alone: that of pytest raises.
    record = logging.LogRecord(log.name, logging.INFO, __file__, 1, "%d", ("x",), None)
    logging.getLogger().handlers[-1].handle(record)
    log.info("next")
    unusable, following = setup.filed()
    assert unusable.startswith(
        "WARNING mcp_router.logs mcp_router.test: unusable record: TypeError"
    )
    assert following == "INFO mcp_router.test next"


def _fail() -> None:
    raise ExceptionGroup("tasks", [ValueError("a\nb")])


def _log_failure() -> None:
    try:
        _fail()
    except ExceptionGroup:
        log.exception("it failed")


def test_traceback_is_indented_in_the_file_and_a_few_words_on_stderr(setup: Setup) -> None:
    setup.start()
    _log_failure()
    first, *rest = setup.filed()
    assert first == "ERROR mcp_router.test it failed"
    assert all(line.startswith("    ") for line in rest)
    assert any("Traceback" in line for line in rest)
    assert setup.shown() == [r"ERROR mcp_router.test it failed [ValueError: a\nb]"]


def test_at_debug_the_traceback_is_on_stderr_too(setup: Setup) -> None:
    setup.start("DEBUG")
    _log_failure()
    assert setup.shown() == setup.filed()


# --- Secrets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "written"),
    [
        ("sk-12345", "Bearer sk-12345 sent"),
        ('quo"ted\\one', r'{"token": "quo\"ted\\one"}'),
        ("pässwort", r'{"token": "p\u00e4sswort"}'),
        ("-----BEGIN\nMIIEvQIBADANB\n", "its second line is MIIEvQIBADANB"),
        ("spanning\nlines", "all of spanning\nlines"),
    ],
)
def test_secret_is_masked_however_it_is_written(setup: Setup, secret: str, written: str) -> None:
    setup.start().add_secrets([secret])
    log.info("%s", written)
    (line,) = setup.filed()
    assert "***" in line
    assert all(part not in line for part in secret.split())


def test_nothing_invisible_is_printed_as_it_is() -> None:
    for letter in map(chr, range(sys.maxunicode + 1)):
        kind = unicodedata.category(letter)
        if kind in ("Cc", "Cf", "Zl", "Zp") and letter != "\t":
            assert one_line(letter).isascii(), hex(ord(letter))
        elif one_line(letter) != letter:
            assert kind == "Cn", hex(ord(letter))  # kept free for more of them


def test_secret_is_masked_in_errors_and_tracebacks(setup: Setup) -> None:
    setup.start("INFO").add_secrets(["sk-12345"])
    log.error("x", exc_info=ValueError("with sk-12345 in it"))
    assert not any("12345" in line for line in setup.filed() + setup.shown())


def test_secret_that_begins_like_another_is_masked_whole(setup: Setup) -> None:
    setup.start().add_secrets(["secret", "secret-longer"])
    log.info("secret-longer")
    assert setup.filed() == ["INFO mcp_router.test ***"]


@pytest.mark.parametrize("level", ["INFO", "OFF"])
def test_text_for_somebody_else_is_masked_whatever_is_logged(setup: Setup, level: Level) -> None:
    logs = setup.start(level)
    logs.add_secrets(["sk-12345"])
    assert logs.mask("sk-12345 is wrong") == "*** is wrong"


def test_short_values_are_not_masked(setup: Setup) -> None:
    setup.start().add_secrets(["", "true"])
    log.info("it is true")
    assert setup.filed() == ["INFO mcp_router.test it is true"]


# --- Nothing waits ---------------------------------------------------------------------------


def test_stderr_that_nobody_reads_holds_up_neither_the_file_nor_the_end(setup: Setup) -> None:
    setup.start()
    setup.console.may_write.clear()
    log.info("first")
    assert setup.console.hangs.wait(WAIT_S)
    for number in range(12):
        log.info("%d", number)
    assert len(setup.filed()) == 13
    assert setup.console.lines() == []


def test_dropped_records_are_counted(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_module, "QUEUE_SIZE", 10)
    setup.start()
    setup.console.may_write.clear()
    log.info("first")
    assert setup.console.hangs.wait(WAIT_S)
    for number in range(12):
        log.info("%d", number)
    setup.console.may_write.set()
    first, *others, note = setup.shown()
    assert first.endswith(" first")
    assert len(others) == 9
    assert note == "WARNING mcp_router.logs 3 records were dropped here: too many at once"


def test_what_waits_is_bounded_in_characters_too(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_module, "QUEUE_CHARACTERS", 100)
    setup.start()
    setup.console.may_write.clear()
    log.info("x" * 200)
    assert setup.console.hangs.wait(WAIT_S)
    log.info("too much")
    setup.console.may_write.set()
    assert setup.shown()[-1].endswith("1 records were dropped here: too many at once")


def test_full_disk_loses_records_and_says_so_afterwards(setup: Setup) -> None:
    setup.start()
    setup.console.error = OSError(errno.ENOSPC, "No space left on device")
    log.info("lost")
    assert setup.console.failed.wait(WAIT_S)
    setup.console.error = None
    log.info("back")
    note, line = setup.shown()
    assert note == "WARNING mcp_router.logs 1 records were lost here: No space left on device"
    assert line == "INFO mcp_router.test back"
    assert len(setup.filed()) == 2


def test_partial_writes_are_completed(setup: Setup) -> None:
    setup.console.at_once = 5
    setup.start()
    log.info("in small pieces")
    assert setup.shown() == ["INFO mcp_router.test in small pieces"]
