"""A record is one line, without secrets, and cannot pass for another."""

from __future__ import annotations

import logging
import sys
import unicodedata
from typing import TYPE_CHECKING

import pytest

from router.logs.record_text import LINE_LIMIT, one_line
from tests.router.logs.log_setup import log

if TYPE_CHECKING:
    from tests.router.logs.log_setup import Setup

# --- One record, one line --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\nERROR forged", r"a\nERROR forged"),
        ("a\r\x1b[31mb\x07", r"a\r\x1b[31mb\x07"),
        ("\u202eright to left\u2028next\x85", r"\u202eright to left\u2028next\x85"),
        ("tab\there, 中文 and é stay", "tab\there, 中文 and é stay"),
        ("half \ud800 of a pair", r"half \ud800 of a pair"),
    ],
)
def test_what_does_not_print_is_escaped(setup: Setup, text: str, escaped: str) -> None:
    setup.start()
    log.info("%s", text)
    assert setup.in_file() == [f"INFO mcp_router.test {escaped}"]


def test_long_message_is_cut(setup: Setup) -> None:
    setup.start()
    log.info("x" * (LINE_LIMIT + 7))
    (line,) = setup.in_file()
    assert line.endswith("xxx... (7 more characters)")


def test_arguments_that_do_not_fit_their_text_harm_nobody(setup: Setup) -> None:
    setup.start()
    # Given to our handler alone: that of pytest raises.
    record = logging.LogRecord(log.name, logging.INFO, __file__, 1, "%d", ("x",), None)
    logging.getLogger().handlers[-1].handle(record)
    log.info("next")
    unusable, following = setup.in_file()
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
    first, *rest = setup.in_file()
    assert first == "ERROR mcp_router.test it failed"
    assert all(line.startswith("    ") for line in rest)
    assert any("Traceback" in line for line in rest)
    assert setup.on_stderr() == [r"ERROR mcp_router.test it failed [ValueError: a\nb]"]


def test_at_debug_the_traceback_is_on_stderr_too(setup: Setup) -> None:
    setup.start("DEBUG")
    _log_failure()
    assert setup.on_stderr() == setup.in_file()


def test_nothing_invisible_is_printed_as_it_is() -> None:
    for letter in map(chr, range(sys.maxunicode + 1)):
        kind = unicodedata.category(letter)
        if kind in ("Cc", "Cf", "Zl", "Zp") and letter != "\t":
            assert one_line(letter).isascii(), hex(ord(letter))
        elif one_line(letter) != letter:
            assert kind == "Cn", hex(ord(letter))  # kept free for more of them


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
    (line,) = setup.in_file()
    assert "***" in line
    assert all(part not in line for part in secret.split())


def test_secret_is_masked_in_errors_and_tracebacks(setup: Setup) -> None:
    setup.start("INFO").add_secrets(["sk-12345"])
    log.error("x", exc_info=ValueError("with sk-12345 in it"))
    assert not any("12345" in line for line in setup.in_file() + setup.on_stderr())


def test_secret_that_begins_like_another_is_masked_whole(setup: Setup) -> None:
    setup.start().add_secrets(["secret", "secret-longer"])
    log.info("secret-longer")
    assert setup.in_file() == ["INFO mcp_router.test ***"]
