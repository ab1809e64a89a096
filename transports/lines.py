"""Splits a stream of bytes into lines, for both sides of newline-delimited MCP.

Invariants: a splitter never holds more than one line of its limit. Each byte is copied at most
once, however many chunks a line comes in. No I/O.
"""

from __future__ import annotations

from msgspec import Struct


class LineSplitter(Struct):
    """Turns chunks of bytes into lines (MCP 2025-11-25, Transports, stdio).

    Lines end at `\\n`. A `\\r` before that stays in the line, since it is white space in JSON. A
    chunk may end anywhere, even within a UTF-8 sequence.

    Attributes:
        limit_bytes: the length of the longest line, without its end.
    """

    limit_bytes: int
    _held: list[bytes] = []
    _held_bytes: int = 0
    _is_skipping: bool = False

    def feed(self, chunk: bytes) -> list[bytes | None]:
        """Return the lines that `chunk` completes, without their ends and without blank lines.

        None stands for a line longer than the limit. It is returned as soon as that is known, and
        the rest of the line is skipped.
        """
        *ends, rest = chunk.split(b"\n")
        lines: list[bytes | None] = []
        if ends and self._held_bytes:
            self._hold(ends.pop(0), lines)
            lines += self.finish()
        # The other lines begin and end in this chunk, so nothing needs to be held for them.
        for line in ends:
            if len(line) > self.limit_bytes:
                lines.append(None)
            elif line and not line.isspace():
                lines.append(line)
        self._hold(rest, lines)
        return lines

    def finish(self) -> list[bytes]:
        """Return the line that is held, if there is one, as if its end had come."""
        line = b"".join(self._held)
        self._held, self._held_bytes, self._is_skipping = [], 0, False
        return [line] if line and not line.isspace() else []

    def _hold(self, part: bytes, lines: list[bytes | None]) -> None:
        if self._is_skipping or not part:
            return
        self._held_bytes += len(part)
        if self._held_bytes <= self.limit_bytes:
            self._held.append(part)
        else:
            self._held, self._is_skipping = [], True
            lines.append(None)
