"""Recognises what an instance says on stderr again and again, over all its processes.

Pure: the caller passes the time.

Invariants: memory is bounded. What an instance says for the first time is never a repetition.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct, field

from transports.connect.stdio.rate_limit import TokenBucket

MAX_FORMS: Final = 500
"""Forms that are remembered: several tracebacks and all that a usual server ever says."""

AT_ONCE: Final = 3
PER_S: Final = 0.1
"""A line may come three times in a row, and one time in ten seconds in the long run."""

FORGOTTEN_AFTER_S: Final = 3600.0
"""What was not said for an hour is news."""

_CONTROL: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and movements of the cursor (ECMA-48, 5.4)
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles and links (ECMA-48, 8.3.89)
    r"|\x1b.|[\x00-\x08\x0b-\x1f\x7f]"
)

_TIME_OR_ADDRESS: Final = re.compile(
    r"\d{4}-\d\d-\d\d|\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?"
    r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"  # a UUID (RFC 9562)
    r"|0x[0-9a-fA-F]+"
)
"""These differ from one repetition to the next."""

_NUMBER: Final = re.compile(r"\d+")
"""Numbers, such as that of the process, differ from one start to the next. Later they may be what
a line is about."""

_CONTINUES: Final = re.compile(r"^[\s|+│]|Traceback \(most recent call last\)")


def plain(line: str) -> str:
    """Return what a terminal would show of a line in the end, without colours.

    Of a line that is written anew again and again (`\\r`), such as a progress bar, that is the last
    text. The indentation stays.
    """
    rewritten = [part for part in line.split("\r") if part.strip()]
    return _CONTROL.sub("", rewritten[-1] if rewritten else "").rstrip()


def continues(line: str) -> bool:
    """Return whether a line belongs to a block of several, such as the frames of a traceback."""
    return _CONTINUES.search(line) is not None


class _Form(Struct):
    """The form of a line: its text without what varies.

    Attributes:
        process: the number of the process of which it was shown last.
        block: the number of the block in which it was shown.
        said_s: the monotonic second at which it was said last.
        times: how often it was said.
        allowed: says how often it may be shown.
    """

    process: int
    block: int
    said_s: float
    times: int = 1
    allowed: TokenBucket = field(default_factory=lambda: TokenBucket(AT_ONCE, PER_S))


class SaidLines(Struct, eq=False):
    """The lines that an instance has said lately."""

    _forms: dict[int, _Form] = {}
    _process: int = 0
    _block: int = 0

    def begin_process(self) -> None:
        """Note that what comes now is said by another process."""
        self._process += 1
        self._block += 1

    def is_repetition(self, line: str, now_s: float, *, is_starting: bool) -> bool:
        """Note that a line was said, and return whether to show it again would tell nothing new.

        A line of a block is shown if no earlier block had it, so that the first traceback is whole.
        What a process says while it starts is not shown if an earlier one said it. Any other line
        is shown as often as `AT_ONCE` and `PER_S` allow.

        Args:
            line: the line.
            now_s: monotonic seconds.
            is_starting: True if its process has not been ready yet.
        """
        is_of_block = continues(line)
        self._block += not is_of_block
        form, is_new = self._note(_key(line), now_s)
        if is_of_block:
            return not is_new and form.block != self._block
        if is_starting:
            start, is_first = self._note(_start_key(line), now_s)
            if not is_first and start.process != self._process:
                return True
        if is_new:
            return False
        form.process = self._process
        return not form.allowed.take(1, now_s)

    def _note(self, key: int, now_s: float) -> tuple[_Form, bool]:
        """Return the form of a line that is said now, and whether it is new."""
        form = self._forms.pop(key, None)
        is_new = form is None or now_s - form.said_s > FORGOTTEN_AFTER_S
        if form is None or is_new:
            form = _Form(self._process, self._block, now_s)
            form.allowed.take(1, now_s)
        else:
            form.said_s, form.times = now_s, form.times + 1
        self._forms[key] = form  # as the newest: the dict keeps the order
        if len(self._forms) > MAX_FORMS:
            del self._forms[next(iter(self._forms))]
        return form, is_new

    def times(self, line: str) -> int:
        """Return how often a line like this one was said."""
        forms = (self._forms.get(key) for key in (_key(line), _start_key(line)))
        return max((form.times for form in forms if form is not None), default=0)


def _key(line: str) -> int:
    # Frames that differ in their line number are different frames.
    return hash(line if continues(line) else _TIME_OR_ADDRESS.sub("0", line))


def _start_key(line: str) -> int:
    return hash(("start", _NUMBER.sub("0", line)))
