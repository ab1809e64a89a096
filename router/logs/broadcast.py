"""Keeps the last lines of the log, and hands each new line to those who follow the log.

Lines are put in from any thread that logs, and taken by the REST API's listener.

Invariants: `put` never waits for a follower: if one reads too slowly, its oldest lines are dropped
and counted. Both the backlog and the queue of a follower are bounded, in lines and in characters.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

BACKLOG_LINES: Final = 200
"""Lines of the past that a new follower gets: some screens."""

QUEUE_LINES: Final = 1000
"""Lines that may wait for one follower: seconds of a busy log, over a slow connection."""

MAX_CHARACTERS: Final = 1024 * 1024
"""Characters that the backlog, or the queue of one follower, may add up to."""


class LogLine(Struct, frozen=True):
    """One formatted record, without its end; `level` as in `logging`."""

    level: int
    text: str


class _NewestLines:
    """The newest lines, within bounds."""

    def __init__(self, max_lines: int) -> None:
        self._max_lines = max_lines
        self._characters = 0
        self.lines: deque[LogLine] = deque()

    def add(self, line: LogLine) -> int:
        """Add a line, and return how many older lines were dropped for it."""
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


class Follower:
    """The queue of one reader of the log.

    Attributes:
        level: the lowest that is queued, as in `logging`.
    """

    def __init__(self, owner: Broadcast, level: int, wake: Callable[[], None]) -> None:
        self._owner = owner
        self._queue = _NewestLines(QUEUE_LINES)
        self._dropped = 0
        self._is_woken = False
        self._wake = wake
        self.level = level

    def add(self, line: LogLine) -> None:
        """Queue a line; called by the owner, under its lock."""
        self._dropped += self._queue.add(line)
        if not self._is_woken:
            self._is_woken = True
            self._wake()

    def take(self) -> list[str]:
        """Return all lines since the last call; `wake` is called for later ones."""
        with self._owner.lock:
            lines = [line.text for line in self._queue.lines]
            self._queue.clear()
            dropped, self._dropped = self._dropped, 0
            self._is_woken = False
        if dropped:
            note = f"{dropped} records were dropped here: they were read too slowly"
            lines.insert(0, self._owner.note(note))
        return lines

    def close(self) -> None:
        """Follow no longer; a second call does nothing."""
        self._owner.leave(self)


class Broadcast:
    """The log as others follow it.

    Attributes:
        note: makes a line of a sentence about the log itself.
        lock: guards the backlog and all queues.
    """

    def __init__(self, note: Callable[[str], str]) -> None:
        self.note = note
        # Held for no longer than it takes to append to a few queues. Reentrant, because something
        # may be logged in the midst of that: garbage collection can run whatever warns.
        self.lock = threading.RLock()
        self._backlog = _NewestLines(BACKLOG_LINES)
        self._followers: set[Follower] = set()

    def put(self, level: int, text: str) -> None:
        """Hand a record's line to the followers, and keep it in the backlog."""
        line = LogLine(level, text)
        with self.lock:
            self._backlog.add(line)
            for follower in self._followers:
                if level >= follower.level:
                    follower.add(line)

    def follow(self, level: int, wake: Callable[[], None]) -> Follower:
        """Begin to follow; the backlog is queued first.

        Args:
            level: the lowest that is wanted, as in `logging`.
            wake: called from any thread when there are lines again, at most once between two
                calls of `take`; must neither wait nor log.
        """
        follower = Follower(self, level, wake)
        with self.lock:
            for line in self._backlog.lines:
                if line.level >= level:
                    follower.add(line)
            self._followers.add(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Queue no more lines for a follower."""
        with self.lock:
            self._followers.discard(follower)
