"""Logs the stderr of an upstream line by line, and finds the lines that tell why it ended.

Pure except for the logging; `process` reads the pipe.

A line is logged at INFO, unless it is a consequence of the router's own probe (`probe_echo`), then
at DEBUG; or a repetition (`repeated_lines`), then it is counted; or one of too many. A process that
was not ready yet and says only what others said before it has no news, not even a count. So a
server that stays failed leaves no line at each probe.

Invariants: memory and log stay bounded, whatever comes in and however fast. The last lines are kept
in any case.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from typing import Final

from msgspec import Struct, field

from transports.connect.stdio.probe_echo import ProbeEcho
from transports.connect.stdio.rate_limit import TokenBucket
from transports.connect.stdio.repeated_lines import SaidLines, continues, plain

LOGGED_LINE_BYTES: Final = 2_000
"""A longer line is cut: people read the log."""

LINES_AT_ONCE: Final = 200
"""More lines than any start or traceback has."""

LINES_PER_S: Final = 20.0
"""More than anybody reads. A day of it is some 100 MB of log, not 100 GB."""

EXAMINED_AT_ONCE: Final = 10 * LINES_AT_ONCE
EXAMINED_PER_S: Final = 10 * LINES_PER_S
"""Only so many lines are looked at one by one, so that a flood costs no time."""

REPORT_EVERY_S: Final = 5.0
"""How often the numbers of dropped and of repeated lines are logged."""

KEPT_STRAY_LINES: Final = 10
"""More than an error message has."""

KEPT_LINES: Final = 100
"""The last lines are kept, and searched for the reason when the process has ended."""

REASON_LIMIT_BYTES: Final = 300
"""Length of such a line in a reason."""

RECENT_S: Final = 5.0
"""A process that was ready once ends because of what happened now: what it said earlier is about
something else."""

_LAST_WORD: Final = re.compile(rb"(?<=[\s\"',;&?()\[\]{}<>])[^\s\"',;&?()\[\]{}<>]+\Z")


class _Kept(Struct, frozen=True):
    """A line that may be a reason.

    Attributes:
        line: cut to the length of a reason.
        said_s: the monotonic second at which it came.
        is_echo: True if it is a consequence of the probe.
    """

    line: str
    said_s: float
    is_echo: bool


class StderrLog(Struct, eq=False):
    """The stderr of one process.

    Attributes:
        log: takes the lines.
        said: the lines that the instance has said before, also by earlier processes.
        probe: tells which lines are a consequence of the probe.
        is_ready: True once the process works as an upstream.
        dropped_lines: the number of lines that were not logged, since the last report.
        reported_s: the monotonic second of the last report, or of the first line since then that
            was not logged.
    """

    log: logging.Logger | logging.LoggerAdapter[logging.Logger]
    said: SaidLines = field(default_factory=SaidLines)
    probe: ProbeEcho = field(default_factory=ProbeEcho)
    is_ready: bool = False
    dropped_lines: int = 0
    reported_s: float = 0.0
    _has_news: bool = False
    _repeated_lines: int = 0
    _last_repeated: str = ""
    _examined: TokenBucket = field(
        default_factory=lambda: TokenBucket(EXAMINED_AT_ONCE, EXAMINED_PER_S)
    )
    _logged: TokenBucket = field(default_factory=lambda: TokenBucket(LINES_AT_ONCE, LINES_PER_S))
    _partial: bytes = b""
    _last: deque[_Kept] = field(default_factory=lambda: deque[_Kept](maxlen=KEPT_LINES))
    _stray: deque[str] = field(default_factory=lambda: deque[str](maxlen=KEPT_STRAY_LINES))

    def __post_init__(self) -> None:
        self.said.begin_process()

    def feed(self, data: bytes, now_s: float) -> None:
        """Log the lines that `data` completes; `now_s` is in monotonic seconds."""
        # Not by `LineSplitter`, which skips a line that is too long: the log shows its beginning.
        *lines, rest = (self._partial + data).split(b"\n")
        self._partial = rest[: LOGGED_LINE_BYTES + 1]
        self._take(lines, now_s)

    def end(self, now_s: float) -> None:
        """Log the unfinished line, and what else is to be said; no more data will come."""
        self._take([self._partial], now_s)
        self._partial = b""
        self._release(now_s)
        self._report()

    def report_if_due(self, now_s: float) -> None:
        """Log the numbers of dropped and repeated lines, at most once in each `REPORT_EVERY_S`."""
        if self.probe.is_over(now_s):
            self._release(now_s)
        if now_s - self.reported_s >= REPORT_EVERY_S:
            self._report()

    def note_stray(self, line: bytes) -> None:
        """Keep a line on stdout that is no message: programs print why they do not start there."""
        if not self.is_ready:
            self._stray.append(_cut_for_reason(_readable(line)))

    @property
    def has_unreported(self) -> bool:
        """True if there is something to report when that is due."""
        return bool(self.dropped_lines or self._repeated_lines or self.probe.holds_lines)

    def last_words(self, now_s: float) -> str:
        """Return what the process said last, in one line; empty if it said nothing of interest.

        If it said nothing on stderr, what it wrongly wrote to stdout before it got ready counts.
        What a process said more than `RECENT_S` ago counts only if it never got ready, and what it
        said because of the probe only if it has not answered that.

        Args:
            now_s: monotonic seconds; of the end of the process, if it has ended.
        """
        # For start-up time: see there.
        from transports.connect.stdio.last_words import last_words

        since_s = now_s - RECENT_S if self.is_ready else 0.0
        lines = [
            kept.line
            for kept in self._last
            if kept.said_s >= since_s and (self.probe.is_open or not kept.is_echo)
        ]
        if words := last_words(lines):
            return " | ".join(words)
        stray = () if self.is_ready else last_words(self._stray)
        return f"on stdout, which is for MCP alone: {' | '.join(stray)}" if stray else ""

    # --- One line after the other ------------------------------------------------------------

    def _take(self, lines: list[bytes], now_s: float) -> None:
        lines = [line for line in lines if line.strip()]
        allowed = self._examined.take(len(lines), now_s)
        for line in filter(None, map(_readable, lines[:allowed])):  # some only move the cursor
            for one in self.probe.sort(line, now_s):
                self._log(one.line, now_s, is_echo=one.is_echo)
        for line in lines[max(allowed, len(lines) - KEPT_LINES) :]:
            self._keep(_readable(line), now_s, is_echo=False)
        self._drop(len(lines) - allowed, now_s)
        self.report_if_due(now_s)

    def _release(self, now_s: float) -> None:
        for one in self.probe.release():
            self._log(one.line, now_s, is_echo=one.is_echo)

    def _log(self, line: str, now_s: float, *, is_echo: bool) -> None:
        self._keep(line, now_s, is_echo=is_echo)
        if not is_echo and self.said.is_repetition(line, now_s, is_starting=not self.is_ready):
            self._repeat(line, now_s)
        elif self._logged.take(1, now_s):
            self._has_news |= not is_echo
            self._report_repeated()
            self.log.log(logging.DEBUG if is_echo else logging.INFO, "%s", line)
        else:
            self._drop(1, now_s)

    def _keep(self, line: str, now_s: float, *, is_echo: bool) -> None:
        self._last.append(_Kept(_cut_for_reason(line), now_s, is_echo))

    # --- What is not logged ------------------------------------------------------------------

    def _drop(self, count: int, now_s: float) -> None:
        if count and not self.has_unreported:
            self.reported_s = now_s
        self.dropped_lines += count

    def _repeat(self, line: str, now_s: float) -> None:
        if not self.has_unreported:
            self.reported_s = now_s
        self._repeated_lines += 1
        if self._repeated_lines == 1 or not continues(line):
            self._last_repeated = line

    def _report(self) -> None:
        self._report_repeated()
        if self.dropped_lines:
            self.log.warning("%d lines on stderr were not logged: too many", self.dropped_lines)
            self.dropped_lines = 0

    def _report_repeated(self) -> None:
        count, last = self._repeated_lines, self._last_repeated
        self._repeated_lines, self._last_repeated = 0, ""
        level = logging.INFO if self._has_news or self.is_ready else logging.DEBUG
        if count == 1:
            self.log.log(level, "%s", last)
        elif continues(last):
            self.log.log(level, "… %d more lines like before", count)
        elif count:
            times = self.said.times(last)
            text = "… %d more lines like before; the last, said %d times so far: %s"
            self.log.log(level, text, count, times, last)


def cut_between_words(line: bytes, limit_bytes: int) -> bytes:
    """Return the line, cut to at most `limit_bytes`, without a word that would be cut in two.

    Log filters mask whole secrets, so half a secret would get past them.
    """
    return line if len(line) <= limit_bytes else _LAST_WORD.sub(b"", line[:limit_bytes])


def _cut_for_reason(line: str) -> str:
    cut = cut_between_words(line.encode(), REASON_LIMIT_BYTES).decode("utf-8", "replace")
    return cut if cut == line else f"{cut.rstrip()}…"


def _readable(line: bytes) -> str:
    cut = cut_between_words(line, LOGGED_LINE_BYTES)
    text = plain(cut.decode("utf-8", "replace"))
    return text if len(cut) == len(line) else f"{text}…"
