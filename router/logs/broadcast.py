"""The last lines of the log, and whoever wants the next ones as they come.

Job: keep a backlog, and hand each line to those who follow. Neighbours: `logs` puts lines in, from
whatever thread logs; a listener follows (it is handed `Broadcast.follow`). No Trio here.

Invariants: `put` never waits for a follower: of one that reads too slowly the oldest lines are
dropped, and it is told how many. Both the backlog and what waits for a follower are bounded, in
lines and in characters.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

BACKLOG_LINES: Final = 200
"""What somebody who begins to follow sees of the past: some screens."""

QUEUE_LINES: Final = 1000
"""What may wait for one follower: seconds of a busy log, over a slow line."""

MAX_CHARACTERS: Final = 1024 * 1024
"""What the backlog, or the lines that wait for one follower, may add up to."""


@attrs.frozen
class LogLine:
    """One formatted record, without its end; `level` as in `logging`."""

    level: int
    text: str


class _Kept:
    """The newest lines, within bounds."""

    def __init__(self, max_lines: int) -> None:
        self._max_lines = max_lines
        self._characters = 0
        self.lines: deque[LogLine] = deque()

    def add(self, line: LogLine) -> int:
        """Keep it; how many older ones had to go."""
        self.lines.append(line)
        self._characters += len(line.text)
        dropped = 0
        while len(self.lines) > self._max_lines or self._characters > MAX_CHARACTERS:
            self._characters -= len(self.lines.popleft().text)
            dropped += 1
        return dropped

    def clear(self) -> None:
        self.lines.clear()
        self._characters = 0


class Following:
    """What one follower is still to read."""

    def __init__(self, owner: Broadcast, level: int, wake: Callable[[], None]) -> None:
        self._owner = owner
        self._kept = _Kept(QUEUE_LINES)
        self._dropped = 0
        self._is_told = False
        self._wake = wake
        self.level = level

    def add(self, line: LogLine) -> None:
        """Called by the owner, under its lock."""
        self._dropped += self._kept.add(line)
        if not self._is_told:
            self._is_told = True
            self._wake()

    def take(self) -> list[str]:
        """All lines that have come since the last time; `wake` is called for later ones."""
        with self._owner.lock:
            lines = [line.text for line in self._kept.lines]
            self._kept.clear()
            dropped, self._dropped = self._dropped, 0
            self._is_told = False
        if dropped:
            note = f"{dropped} records were dropped here: they were read too slowly"
            lines.insert(0, self._owner.note(note))
        return lines

    def close(self) -> None:
        """Follow no longer."""
        self._owner.leave(self)


class Broadcast:
    """The log as it is followed.

    Args:
        note: makes a line of a sentence about the log itself.
    """

    def __init__(self, note: Callable[[str], str]) -> None:
        self.note = note
        # Held for no longer than it takes to append to a few queues. Something may be logged in
        # the midst of that: garbage collection can run whatever warns.
        self.lock = threading.RLock()
        self._backlog = _Kept(BACKLOG_LINES)
        self._followers: set[Following] = set()

    def put(self, level: int, text: str) -> None:
        """A record was logged."""
        line = LogLine(level, text)
        with self.lock:
            self._backlog.add(line)
            for follower in self._followers:
                if level >= follower.level:
                    follower.add(line)

    def follow(self, level: int, wake: Callable[[], None]) -> Following:
        """Begin to follow; the backlog is the first that is to be read.

        Args:
            level: the lowest that is of interest, as in `logging`.
            wake: called from any thread when there are lines again, at most once between two
                calls of `take`. It must neither wait nor log.
        """
        following = Following(self, level, wake)
        with self.lock:
            for line in self._backlog.lines:
                if line.level >= level:
                    following.add(line)
            self._followers.add(following)
        return following

    def leave(self, following: Following) -> None:
        """The opposite; twice is once."""
        with self.lock:
            self._followers.discard(following)
