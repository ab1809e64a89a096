"""What an upstream says on stderr: into the log, at a limited rate, the last of it kept.

Job: split it into lines, log them under the upstream's name, and say in the end which line tells
why it died. Neighbours: `process` reads the pipe and feeds this. Pure but for the logging.

Invariant: whatever comes in, and however fast, it takes a bounded amount of memory and of log.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from transports.connect.stdio.rate_limit import Allowance

if TYPE_CHECKING:
    import logging

LINE_LIMIT_BYTES: Final = 2_000
"""What is longer is cut: a log line is for reading."""

LINES_AT_ONCE: Final = 200
"""More than any start or traceback says."""

LINES_PER_S: Final = 20.0
"""More than anybody reads; and a day of it is some 100 MB of log, not 100 GB."""

REPORT_EVERY_S: Final = 5.0
"""How often the number of lines that were left out is logged."""

KEPT_LINES: Final = 20
"""The last lines, among which to look for the reason of an end."""

REASON_LIMIT: Final = 300
"""Characters of such a line in a reason."""

_TELLING: Final = re.compile(
    r"^\S.*(error|exception|fatal|panic|denied|failed|cannot|not found|no such)", re.IGNORECASE
)

_GROUP_EDGE: Final = re.compile(r"^(?:\s*\|)+ ?")

_PART_OF_WORD: Final = re.compile(rb"(?<=[\s\"',;&?()\[\]{}<>])[^\s\"',;&?()\[\]{}<>]+\Z")


@attrs.define
class StderrLog:
    """The stderr of one process.

    Attributes:
        log: where its lines go, at INFO.
        left_out: lines that were not logged, since that was last reported.
        left_out_since_s: monotonic second of the first of them.
    """

    log: logging.Logger
    left_out: int = 0
    left_out_since_s: float = 0.0
    _allowance: Allowance = attrs.field(factory=lambda: Allowance(LINES_AT_ONCE, LINES_PER_S))
    _partial: bytes = b""
    _last: deque[bytes] = attrs.field(factory=lambda: deque[bytes](maxlen=KEPT_LINES))

    def feed(self, data: bytes, now_s: float) -> None:
        """Take what has come in; `now_s` is in monotonic seconds."""
        *lines, rest = (self._partial + data).split(b"\n")
        self._partial = rest[: LINE_LIMIT_BYTES + 1]
        self._take(lines, now_s)

    def end(self, now_s: float) -> None:
        """Nothing more will come."""
        self._take([self._partial], now_s)
        self._partial = b""
        self._report()

    def report_if_due(self, now_s: float) -> None:
        """Log how many lines were left out, once for each `REPORT_EVERY_S`."""
        if now_s - self.left_out_since_s >= REPORT_EVERY_S:
            self._report()

    def last_words(self) -> str:
        """The line that most likely tells why the process ended; empty if it said nothing.

        That is the last one, unless an earlier one speaks of an error: Node.js ends its
        tracebacks with its version, and Python draws a frame around those of exception groups.
        """
        shown = (_GROUP_EDGE.sub("", _readable(line, REASON_LIMIT)) for line in self._last)
        lines = [line for line in shown if any(map(str.isalnum, line))]
        telling = [line for line in lines if _TELLING.search(line)]
        return (telling or lines or [""])[-1].strip()

    def _take(self, lines: list[bytes], now_s: float) -> None:
        lines = [line for line in lines if line.strip()]
        self._last.extend(line[: LINE_LIMIT_BYTES + 1] for line in lines[-KEPT_LINES:])
        allowed = self._allowance.take(len(lines), now_s)
        for line in lines[:allowed]:
            self.log.info("%s", _readable(line, LINE_LIMIT_BYTES))
        self._leave_out(len(lines) - allowed, now_s)
        self.report_if_due(now_s)

    def _leave_out(self, count: int, now_s: float) -> None:
        if not self.left_out:
            self.left_out_since_s = now_s
        self.left_out += count

    def _report(self) -> None:
        if self.left_out:
            self.log.warning("%d lines on stderr were not logged: too many", self.left_out)
            self.left_out = 0


def beginning(line: bytes, limit: int) -> bytes:
    """The line, cut after `limit` bytes where it is longer, and then before the word it was cut in.

    Half a secret would pass by whoever masks whole ones.
    """
    return line if len(line) <= limit else _PART_OF_WORD.sub(b"", line[:limit])


def _readable(line: bytes, limit: int) -> str:
    text = beginning(line, limit).decode("utf-8", "replace").rstrip()
    return text if len(line) <= limit else f"{text}…"
