"""Logs the stderr of an upstream line by line, and finds the line that tells why it ended.

Pure except for the logging; `process` reads the pipe.

Invariant: memory and log stay bounded, whatever comes in and however fast.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from transports.connect.stdio.rate_limit import TokenBucket

if TYPE_CHECKING:
    import logging

LOGGED_LINE_BYTES: Final = 2_000
"""A longer line is cut: people read the log."""

LINES_AT_ONCE: Final = 200
"""More lines than any start or traceback has."""

LINES_PER_S: Final = 20.0
"""More than anybody reads. A day of it is some 100 MB of log, not 100 GB."""

REPORT_EVERY_S: Final = 5.0
"""How often the number of dropped lines is logged."""

KEPT_LINES: Final = 20
"""The last lines are kept, and searched for the reason when the process has ended."""

REASON_LIMIT_BYTES: Final = 300
"""Length of such a line in a reason."""

_ERROR_LINE: Final = re.compile(
    r"^\S.*(error|exception|fatal|panic|denied|failed|cannot|not found|no such)", re.IGNORECASE
)

_GROUP_EDGE: Final = re.compile(r"^(?:\s*\|)+ ?")
"""The frame that Python draws at the left of exception groups."""

_LAST_WORD: Final = re.compile(rb"(?<=[\s\"',;&?()\[\]{}<>])[^\s\"',;&?()\[\]{}<>]+\Z")


@attrs.define
class StderrLog:
    """The stderr of one process.

    Attributes:
        log: takes the lines at INFO.
        dropped_lines: the number of lines that were not logged, since the last report.
        dropping_since_s: the monotonic second of the first of those lines.
    """

    log: logging.Logger
    dropped_lines: int = 0
    dropping_since_s: float = 0.0
    _bucket: TokenBucket = attrs.field(factory=lambda: TokenBucket(LINES_AT_ONCE, LINES_PER_S))
    _partial: bytes = b""
    _last: deque[bytes] = attrs.field(factory=lambda: deque[bytes](maxlen=KEPT_LINES))

    def feed(self, data: bytes, now_s: float) -> None:
        """Log the lines that `data` completes; `now_s` is in monotonic seconds."""
        # Not by `LineSplitter`, which skips a line that is too long: the log shows its beginning.
        *lines, rest = (self._partial + data).split(b"\n")
        self._partial = rest[: LOGGED_LINE_BYTES + 1]
        self._take(lines, now_s)

    def end(self, now_s: float) -> None:
        """Log the unfinished line and the number of dropped lines; no more data will come."""
        self._take([self._partial], now_s)
        self._partial = b""
        self._report()

    def report_if_due(self, now_s: float) -> None:
        """Log the number of dropped lines, at most once in each `REPORT_EVERY_S`."""
        if now_s - self.dropping_since_s >= REPORT_EVERY_S:
            self._report()

    def likely_reason(self) -> str:
        """Return the line that most likely tells why the process ended, empty if there is none.

        The last line that speaks of an error wins, otherwise the last line. Node.js, for example,
        ends its tracebacks with its version.
        """
        shown = (_GROUP_EDGE.sub("", _readable(line, REASON_LIMIT_BYTES)) for line in self._last)
        lines = [line for line in shown if any(map(str.isalnum, line))]
        errors = [line for line in lines if _ERROR_LINE.search(line)]
        return (errors or lines or [""])[-1].strip()

    def _take(self, lines: list[bytes], now_s: float) -> None:
        lines = [line for line in lines if line.strip()]
        self._last.extend(line[: LOGGED_LINE_BYTES + 1] for line in lines[-KEPT_LINES:])
        allowed = self._bucket.take(len(lines), now_s)
        for line in lines[:allowed]:
            self.log.info("%s", _readable(line, LOGGED_LINE_BYTES))
        self._drop(len(lines) - allowed, now_s)
        self.report_if_due(now_s)

    def _drop(self, count: int, now_s: float) -> None:
        if not self.dropped_lines:
            self.dropping_since_s = now_s
        self.dropped_lines += count

    def _report(self) -> None:
        if self.dropped_lines:
            self.log.warning("%d lines on stderr were not logged: too many", self.dropped_lines)
            self.dropped_lines = 0


def cut_between_words(line: bytes, limit_bytes: int) -> bytes:
    """Return the line, cut to at most `limit_bytes`, without a word that would be cut in two.

    Log filters mask whole secrets, so half a secret would get past them.
    """
    return line if len(line) <= limit_bytes else _LAST_WORD.sub(b"", line[:limit_bytes])


def _readable(line: bytes, limit_bytes: int) -> str:
    text = cut_between_words(line, limit_bytes).decode("utf-8", "replace").rstrip()
    return text if len(line) <= limit_bytes else f"{text}…"
