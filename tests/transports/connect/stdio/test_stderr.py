"""The stderr of an upstream in the log, and as the reason of its end."""

from __future__ import annotations

import logging

import pytest

from transports.connect.stdio.stderr import (
    LINES_AT_ONCE,
    LINES_PER_S,
    LOGGED_LINE_BYTES,
    REPORT_EVERY_S,
    StderrLog,
)


@pytest.fixture
def stderr(caplog: pytest.LogCaptureFixture) -> StderrLog:
    caplog.set_level(logging.INFO)
    return StderrLog(logging.getLogger("mcp_router.upstream.test"))


def test_each_line_is_logged_once_it_is_whole(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.feed("one\r\n\n  two ü".encode()[:-1], 0.0)
    assert caplog.messages == ["one"]
    stderr.feed("ü".encode()[1:] + b"\nthree", 0.0)
    assert caplog.messages == ["one", "  two ü"]
    stderr.end(0.0)
    assert caplog.messages == ["one", "  two ü", "three"]
    assert {record.name for record in caplog.records} == {"mcp_router.upstream.test"}


def test_invalid_utf_8_is_replaced(stderr: StderrLog, caplog: pytest.LogCaptureFixture) -> None:
    stderr.feed(b"a\xffb\n", 0.0)
    assert caplog.messages == ["a\ufffdb"]


def test_a_long_line_is_cut_however_it_comes_in(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.feed(b"x" * 100_000 + b"\n", 0.0)
    for _ in range(100):
        stderr.feed(b"x" * 1_000, 0.0)
    stderr.feed(b"\nnext\n", 0.0)
    assert caplog.messages == ["x" * LOGGED_LINE_BYTES + "…"] * 2 + ["next"]


@pytest.mark.parametrize("before", ["", "Bearer ", "x" * 1_980 + " ", "x" * 1_980 + ' token="'])
def test_no_part_of_a_word_is_left_where_a_line_is_cut(
    before: str, stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "s3cret/0123456789+abcdef.0123456789-abcdef=="
    stderr.feed(f"{before}{secret} {'y' * LOGGED_LINE_BYTES}\n".encode(), 0.0)
    assert caplog.messages[0].endswith("…")
    assert caplog.messages[0].count("s3cret") == caplog.messages[0].count(secret)


GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "server.py", line 9, in <module>
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "server.py", line 5, in send
    |     raise BrokenResourceError("the stream is closed")
    | BrokenResourceError: the stream is closed
    +------------------------------------
"""


def test_a_flood_is_counted_instead_of_logged(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.feed(b"line\n" * (LINES_AT_ONCE + 50), 0.0)
    assert caplog.messages == ["line"] * LINES_AT_ONCE
    caplog.clear()
    stderr.feed(b"line\n" * 1_000, 1.0)
    assert caplog.messages == ["line"] * int(LINES_PER_S)
    caplog.clear()
    stderr.report_if_due(REPORT_EVERY_S - 0.1)
    assert caplog.messages == []
    stderr.report_if_due(REPORT_EVERY_S)
    assert caplog.messages == [
        f"{50 + 1_000 - int(LINES_PER_S)} lines on stderr were not logged: too many"
    ]
    caplog.clear()
    stderr.report_if_due(10 * REPORT_EVERY_S)
    assert caplog.messages == []


def test_what_was_left_out_is_reported_at_the_end(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.feed(b"line\n" * (LINES_AT_ONCE + 1), 0.0)
    stderr.end(0.0)
    assert caplog.messages[-1] == "1 lines on stderr were not logged: too many"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("", ""),
        ("starting\nchaos: the licence has expired\n\n", "chaos: the licence has expired"),
        ("Traceback:\n  File x\nKeyError: 'API_KEY'\n", "KeyError: 'API_KEY'"),
        ("Error: Cannot find module '/x.js'\n    at error (x)\n\nNode.js v20\n", "Error: Cannot "),
        ("last" + "\nflood" * 100_000, "flood"),
        ("no end", "no end"),
        (GROUP, "BrokenResourceError: the stream is closed"),
        ("it begins\n+-----------\n", "it begins"),
    ],
)
def test_the_likely_reason_is_the_last_line_that_tells_of_an_error(
    stderr: StderrLog, said: str, words: str
) -> None:
    stderr.feed(said.encode(), 0.0)
    stderr.end(0.0)
    assert stderr.likely_reason().startswith(words)
    assert bool(stderr.likely_reason()) == bool(words)
