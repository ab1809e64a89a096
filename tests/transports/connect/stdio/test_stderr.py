"""The stderr of an upstream in the log, and as the reason of its end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import pytest

from transports.connect.stdio.stderr import (
    EXAMINED_AT_ONCE,
    LINES_AT_ONCE,
    LINES_PER_S,
    LOGGED_LINE_BYTES,
    REASON_LIMIT_BYTES,
    RECENT_S,
    REPORT_EVERY_S,
    StderrLog,
)

if TYPE_CHECKING:
    from transports.connect.stdio.repeated_lines import SaidLines

LOG: Final = logging.getLogger("mcp_router.upstream.test")

TRACEBACK: Final = """\
Traceback (most recent call last):
  File "server.py", line 9, in <module>
    main()
  File "server.py", line 5, in main
    key = os.environ["API_KEY"]
KeyError: 'API_KEY'
"""


@pytest.fixture
def stderr(caplog: pytest.LogCaptureFixture) -> StderrLog:
    caplog.set_level(logging.DEBUG, LOG.name)
    return StderrLog(LOG)


@pytest.fixture
def ready(stderr: StderrLog) -> StderrLog:
    """The stderr of a process that works."""
    stderr.is_ready = True
    return stderr


def levels(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The level and the text of each line in the log."""
    return [(record.levelname, record.message) for record in caplog.records]


def unlike(count: int, start: int = 0) -> bytes:
    """Return lines of which each has a form of its own."""
    return b"".join(b"line %b\n" % _letters(start + n) for n in range(count))


def _letters(number: int) -> bytes:
    return bytes(97 + int(digit) for digit in str(number))


# --- Lines -----------------------------------------------------------------------------------


def test_each_line_is_logged_once_it_is_whole(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.feed("one\r\n\n\x1b[2K\r\n  two ü".encode()[:-1], 0.0)
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


def test_the_log_shows_a_line_as_a_terminal_would(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.feed(b"\x1b[31mred\x1b[0m\n10%\r 50%\r100%\r\n", 0.0)
    assert caplog.messages == ["red", "100%"]


# --- Too many lines --------------------------------------------------------------------------


def test_a_flood_is_counted_instead_of_logged(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.feed(unlike(LINES_AT_ONCE + 50), 0.0)
    assert len(caplog.messages) == LINES_AT_ONCE
    caplog.clear()
    stderr.feed(unlike(1_000, start=1_000), 1.0)
    assert len(caplog.messages) == int(LINES_PER_S)
    caplog.clear()
    stderr.report_if_due(REPORT_EVERY_S - 0.1)
    assert caplog.messages == []
    assert stderr.has_unreported
    stderr.report_if_due(REPORT_EVERY_S)
    assert caplog.messages == [
        f"{50 + 1_000 - int(LINES_PER_S)} lines on stderr were not logged: too many"
    ]
    assert not stderr.has_unreported
    caplog.clear()
    stderr.report_if_due(10 * REPORT_EVERY_S)
    assert caplog.messages == []


def test_what_was_left_out_is_reported_at_the_end(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.feed(unlike(LINES_AT_ONCE + 1), 0.0)
    stderr.end(0.0)
    assert caplog.messages[-1] == "1 lines on stderr were not logged: too many"


def test_the_end_of_a_flood_is_known_although_nobody_looked_at_it(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.feed(b"flood\n" * EXAMINED_AT_ONCE * 10 + b"fatal: the disk is full\n", 0.0)
    stderr.end(0.0)
    assert stderr.last_words(0.0) == "flood | fatal: the disk is full"
    assert caplog.messages[-1] == (
        f"{EXAMINED_AT_ONCE * 9 + 1} lines on stderr were not logged: too many"
    )


# --- The same again and again ----------------------------------------------------------------


def test_a_traceback_is_logged_once_and_then_its_last_line(
    ready: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    ready.feed(TRACEBACK.encode(), 0.0)
    assert caplog.messages == TRACEBACK.splitlines()
    caplog.clear()
    ready.feed(TRACEBACK.encode(), 60.0)
    assert caplog.messages == ["… 5 more lines like before", "KeyError: 'API_KEY'"]


def test_a_line_that_comes_again_and_again_is_counted(
    ready: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(20):
        ready.feed(b"12:00:%02d the server is away\n" % n, 0.0)
    assert caplog.messages == [f"12:00:{n:02} the server is away" for n in range(3)]
    caplog.clear()
    ready.report_if_due(REPORT_EVERY_S)
    assert caplog.messages == [
        "… 17 more lines like before; the last, said 20 times so far: 12:00:19 the server is away"
    ]


def test_the_number_of_repeated_lines_comes_before_the_next_new_line(
    ready: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    ready.feed(b"tick\n" * 5 + b"tock\n", 0.0)
    assert caplog.messages == [
        *["tick"] * 3,
        "… 2 more lines like before; the last, said 5 times so far: tick",
        "tock",
    ]


def test_a_single_line_like_before_is_logged_itself(
    ready: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    ready.feed(b"tick\n" * 4, 0.0)
    ready.end(0.0)
    assert caplog.messages == ["tick"] * 4


def restarted(said: SaidLines) -> StderrLog:
    """The stderr of the next process of the same instance."""
    return StderrLog(LOG, said)


def test_the_traceback_of_each_restart_is_logged_once(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    said = f"reading the configuration\n{TRACEBACK}".encode()
    stderr.feed(said, 0.0)
    stderr.end(0.0)
    caplog.clear()
    for n in (2, 3):
        again = restarted(stderr.said)
        again.feed(said, 60.0 * n)
        again.end(60.0 * n)
        assert again.last_words(60.0 * n) == "reading the configuration | KeyError: 'API_KEY'"
        count = f"… 7 more lines like before; the last, said {n} times so far: KeyError: 'API_KEY'"
        assert levels(caplog) == [("DEBUG", count)]
        caplog.clear()


def test_repetitions_count_as_news_once_there_is_something_new_or_the_process_is_ready(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    said = b"process 7 reads\nno licence\n"
    stderr.feed(said, 0.0)
    stderr.end(0.0)
    caplog.clear()
    for news in (b"no network\n", b""):
        again = restarted(stderr.said)
        again.is_ready = not news
        again.feed(news, 60.0)
        again.is_ready = False
        again.feed(said.replace(b"7", b"8"), 60.0)
        again.is_ready = not news
        again.end(60.0)
    count = "… 2 more lines like before; the last, said {} times so far: no licence"
    assert levels(caplog) == [
        ("INFO", "no network"),
        ("INFO", count.format(2)),
        ("INFO", count.format(3)),
    ]


def test_count_of_a_line_does_not_depend_on_the_numbers_in_it(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (41, 42):
        process = restarted(stderr.said)
        process.feed(b"reading\nno licence for process %d\n" % number, 0.0)
        process.end(0.0)
    assert caplog.messages[-1].endswith("said 2 times so far: no licence for process 42")


# --- What the probe makes it say -------------------------------------------------------------

COMPLAINT: Final = """\
Failed to validate request: 2 validation errors for ClientRequest
PingRequest.method
  Input should be 'ping' [type=literal_error, input_value='server/discover', input_type=str]
"""


def test_a_complaint_about_the_probe_is_logged_at_debug(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.probe.begin()
    stderr.feed(f"server is running\n{COMPLAINT}".encode(), 0.0)
    stderr.probe.end(0.1)
    stderr.feed(b"CompleteRequest.params.ref\n", 0.2)
    stderr.feed(b"at work\n", 0.3)
    assert levels(caplog) == [
        ("INFO", "server is running"),
        *[("DEBUG", line) for line in COMPLAINT.splitlines()],
        ("DEBUG", "CompleteRequest.params.ref"),
        ("INFO", "at work"),
    ]


def test_a_complaint_is_no_reason_once_the_probe_was_answered(stderr: StderrLog) -> None:
    stderr.probe.begin()
    stderr.feed(COMPLAINT.encode(), 0.0)
    assert stderr.last_words(0.0).startswith("Failed to validate request")
    stderr.probe.end(0.0)
    assert stderr.last_words(0.0) == ""


def test_a_block_that_is_held_is_reported_when_the_probe_is_over(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.probe.begin()
    stderr.feed(b"  indented\n", 0.0)
    stderr.report_if_due(60.0)
    assert caplog.messages == []
    assert stderr.has_unreported
    stderr.probe.end(60.0)
    stderr.report_if_due(70.0)
    assert levels(caplog) == [("INFO", "  indented")]


def test_a_block_that_is_held_at_the_end_is_logged(
    stderr: StderrLog, caplog: pytest.LogCaptureFixture
) -> None:
    stderr.probe.begin()
    stderr.feed(b"  indented", 0.0)
    stderr.end(0.0)
    assert levels(caplog) == [("INFO", "  indented")]
    assert stderr.last_words(0.0) == "indented"


# --- Its last words --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("", ""),
        ("starting\nthe licence has expired\n\n", "starting | the licence has expired"),
        (TRACEBACK, "KeyError: 'API_KEY'"),
        ("last" + "\nflood" * 100_000, "flood"),
        ("no end", "no end"),
    ],
)
def test_the_last_words_are_in_one_line(stderr: StderrLog, said: str, words: str) -> None:
    stderr.feed(said.encode(), 0.0)
    stderr.end(0.0)
    assert stderr.last_words(0.0) == words


def test_last_words_are_cut_between_words(stderr: StderrLog) -> None:
    stderr.feed(b"it failed: " + b"ab " * 100 + b"s3cret" * 100, 0.0)
    stderr.end(0.0)
    words = stderr.last_words(0.0)
    assert words.startswith("it failed: ab ab")
    assert words.endswith("ab…")
    assert len(words) <= REASON_LIMIT_BYTES + 1


def test_what_a_process_said_long_ago_is_no_reason_for_its_end(ready: StderrLog) -> None:
    ready.feed(b"running on stdio\n", 0.0)
    assert ready.last_words(RECENT_S) == "running on stdio"
    assert ready.last_words(RECENT_S + 0.1) == ""
    ready.feed(b"out of memory\n", 3_600.0)
    assert ready.last_words(3_600.5) == "out of memory"


def test_of_a_process_that_was_never_ready_all_that_it_said_counts(stderr: StderrLog) -> None:
    stderr.feed(b"waiting for the database\n", 0.0)
    assert stderr.last_words(60.0) == "waiting for the database"


# --- Strays on stdout ------------------------------------------------------------------------


def test_what_was_printed_to_stdout_is_the_reason_if_stderr_says_nothing(stderr: StderrLog) -> None:
    stderr.note_stray(b"usage: server [-h]")
    stderr.note_stray(b"server: error: unknown option")
    reason = "usage: server [-h] | server: error: unknown option"
    assert stderr.last_words(1.0) == f"on stdout, which is for MCP alone: {reason}"
    stderr.feed(b"the key is wrong\n", 2.0)
    assert stderr.last_words(3.0) == "the key is wrong"


def test_what_was_printed_to_stdout_is_no_reason_once_the_process_works(
    stderr: StderrLog,
) -> None:
    stderr.note_stray(b"Listening")
    stderr.is_ready = True
    stderr.note_stray(b"a call came")
    assert not stderr.last_words(1.0)


def test_of_a_long_line_on_stdout_only_the_beginning_is_kept(stderr: StderrLog) -> None:
    stderr.note_stray(b"word " * 1_000_000)
    assert len(stderr.last_words(1.0)) < 2 * REASON_LIMIT_BYTES
