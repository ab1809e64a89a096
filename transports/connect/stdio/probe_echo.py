"""Tells apart what an older server says on stderr because it was asked `server/discover`.

Servers of older revisions complain about a request that they do not know, some in a hundred lines.
These lines are about the router's question, not about the server.

Pure: the caller passes the time. Invariant: each line comes out once, in order. Only the lines of a
block wait, until the next line or the end of the probe shows what the block is about.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from transports.connect.stdio.repeated_lines import continues

ECHO_S: Final = 1.0
"""How long after the answer a complaint may come: stderr is another pipe than stdout."""

HELD_LINES: Final = 200
"""The longest block that is held: the traceback of the oldest SDK has 70 lines."""

_COMPLAINT: Final = re.compile(
    r"server/discover|validation errors? for ClientRequest|Failed to validate request"
    r"|(?:unknown|unsupported|invalid|unhandled) (?:request )?method|method not found|-3260[12]"
    r"|request before initiali[sz]ation",
    re.IGNORECASE,
)


class Sorted(Struct, frozen=True):
    """A line, and whether it is a consequence of the probe."""

    line: str
    is_echo: bool


class ProbeEcho(Struct):
    """The lines of one process.

    Attributes:
        is_open: True from the probe on, until it is answered or of no interest any more.
    """

    is_open: bool = False
    _until_s: float = 0.0
    _is_complaining: bool = False
    _held: list[str] = []

    def begin(self) -> None:
        """Note that the server is asked now."""
        self.is_open, self._is_complaining = True, False

    def end(self, now_s: float) -> None:
        """Note that the server has answered, or shown otherwise what it speaks."""
        if self.is_open:
            self.is_open, self._until_s = False, now_s + ECHO_S

    def sort(self, line: str, now_s: float) -> list[Sorted]:
        """Return the lines that are known for what they are now that this one was said.

        Args:
            line: the line.
            now_s: monotonic seconds.
        """
        if self.is_over(now_s):
            return [*self.release(), Sorted(line, is_echo=False)]
        self._is_complaining = self._complains(line)
        if self._is_complaining:
            return [*self._take_held(is_echo=self._ends_held(line)), Sorted(line, is_echo=True)]
        if continues(line) and len(self._held) < HELD_LINES:
            self._held.append(line)
            return []
        return [*self._take_held(is_echo=False), Sorted(line, is_echo=False)]

    def release(self) -> list[Sorted]:
        """Return the lines that are held: nothing will show any more that they are an echo."""
        self._is_complaining = False
        return self._take_held(is_echo=False)

    def is_over(self, now_s: float) -> bool:
        """Return whether nothing that is said now is a consequence of the probe."""
        return not self.is_open and now_s >= self._until_s

    @property
    def holds_lines(self) -> bool:
        """True if lines wait to be sorted."""
        return bool(self._held)

    def _complains(self, line: str) -> bool:
        """Return whether a line is a complaint, or goes on with one."""
        if _COMPLAINT.search(line):
            return True
        # Of each field that it finds wrong, pydantic gives the path, and indented what is wrong.
        return self._is_complaining and (continues(line) or len(line.split()) == 1)

    def _ends_held(self, line: str) -> bool:
        """Return whether a line is the end of the traceback that is held."""
        return continues(line) or any("Traceback (most recent call" in one for one in self._held)

    def _take_held(self, *, is_echo: bool) -> list[Sorted]:
        held, self._held = self._held, []
        return [Sorted(line, is_echo) for line in held]
