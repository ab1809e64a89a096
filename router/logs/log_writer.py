"""Writes the lines of the log to one place, in a thread of its own.

Invariants:

- Nothing that logs ever waits. The way to the thread is a bounded queue: where stderr is a pipe
  that nobody reads, or the disk is full, lines are dropped and counted, and the count is written
  as soon as writing works again. The beginning and the end of such a failure are told elsewhere.
- The end of the program waits for the last lines for a limited time only.

The thread is our own, not `logging.handlers.QueueListener`: that module costs more to import than
the rest of this package, and its `stop` waits for ever when a write hangs.
"""

from __future__ import annotations

import queue
import select
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUE_RECORDS: Final = 10_000
"""Records that may wait to be written: seconds of DEBUG at full load."""

QUEUE_CHARACTERS: Final = 8 * 1024 * 1024
"""Characters that the waiting records may add up to."""

BATCH_RECORDS: Final = 500
"""Records for one write."""

_NON_BLOCKING_RETRY_S: Final = 1.0


class RawWriter(Protocol):
    """Unbuffered bytes out: `io.RawIOBase`, as far as it is needed here."""

    def write(self, data: memoryview, /) -> int | None:
        """Write some of `data`; return how many bytes, or None when it would block."""
        ...


def _tell_nobody(_: str) -> None:
    """Do nothing: there is no other place."""


class LogWriter:
    """One place for lines, with its queue and its thread.

    `put` is called by one thread at a time, under the handler's lock; the counts of what is
    written are changed by the writing thread alone. So nothing here waits for a lock.

    Attributes:
        has_tracebacks: True if tracebacks are to be written here.
        tell_elsewhere: called from the thread with a sentence when writing fails, and when it works
            again; at most once each.
    """

    def __init__(self, raw: Any, *, has_tracebacks: bool, is_owned: bool) -> None:
        """Write to `raw` (None for nowhere), and close it at the end if it is owned."""
        self.has_tracebacks = has_tracebacks
        self.tell_elsewhere: Callable[[str], None] = _tell_nobody
        self._raw = raw
        self._is_owned = is_owned
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # None is the end
        self._thread: threading.Thread | None = None
        self._put_records = self._put_characters = self._dropped = 0
        self._written_records = self._written_characters = 0
        self._lost, self._lost_why, self._is_mid_line = 0, "", False
        self._lost_so_far = 0

    @property
    def lost_count(self) -> int:
        """The records that were lost so far."""
        return self._dropped + self._lost_so_far

    def start(self, note: Callable[[str], str]) -> None:
        """Begin to write; `note` makes a line of a sentence about the log itself."""
        if self._raw is not None:
            # A daemon: a write that hangs must not keep the process alive.
            self._thread = threading.Thread(target=self._run, args=(note,), daemon=True)
            self._thread.start()

    def put(self, text: str) -> None:
        """Queue a record, or drop and count it."""
        records = self._put_records - self._written_records
        characters = self._put_characters - self._written_characters
        if records >= QUEUE_RECORDS or characters >= QUEUE_CHARACTERS:
            self._dropped += 1
        elif self._raw is not None:
            self._put_records += 1
            self._put_characters += len(text)
            self._queue.put(text)

    def end(self) -> None:
        """Let the thread end once it has written the queue; nothing more may be put."""
        self._queue.put(None)

    def join(self, ends_at_s: float) -> None:
        """Wait until all is written, but not beyond that moment of the monotonic clock."""
        if self._thread is not None:
            self._thread.join(max(0.0, ends_at_s - time.monotonic()))

    # --- In the thread ---

    def _run(self, note: Callable[[str], str]) -> None:
        noted = 0  # of the dropped records
        ended = False
        while not ended:
            batch, ended = self._take()
            text, dropped = "".join(batch), self._dropped
            if dropped > noted:
                text += note(f"{dropped - noted} records were dropped here: too many at once")
                text += "\n"
                noted = dropped
            if text:
                self._try_to_write(text, len(batch), note)
            self._written_records += len(batch)
            self._written_characters += sum(map(len, batch))
        if self._is_owned:
            self._raw.close()

    def _take(self) -> tuple[list[str], bool]:
        """Wait for records; return them, and whether they were the last."""
        batch: list[str] = []
        text = self._queue.get()
        try:
            while text is not None and len(batch) < BATCH_RECORDS:
                batch.append(text)
                text = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        if text is not None:
            batch.append(text)
        return batch, text is None

    def _try_to_write(self, text: str, records: int, note: Callable[[str], str]) -> None:
        """Write, or count what a full disk or a closed pipe has lost, to say so later."""
        lost, why = self._lost, self._lost_why
        if lost:
            text = note(f"{lost} records were lost here: {why}") + f"\n{text}"
        try:
            self._write(text)
        except (OSError, ValueError) as exc:  # ValueError: somebody has closed it
            self._lost += records
            self._lost_so_far += records
            self._lost_why = getattr(exc, "strerror", None) or str(exc)
            if not lost:
                self.tell_elsewhere(f"cannot be written ({self._lost_why}): records are lost there")
            return
        if lost:
            self._lost = 0
            self.tell_elsewhere(f"can be written again; {lost} records were lost there ({why})")

    def _write(self, text: str) -> None:
        # After a line that was cut off by an error, the next record begins on a line of its own.
        data = (f"\n{text}" if self._is_mid_line else text).encode("utf-8", "backslashreplace")
        left = memoryview(data)
        while left:
            written = self._raw.write(left)
            if written is None:
                # Another process that shares the pipe has made it non-blocking.
                select.select([], [self._raw], [], _NON_BLOCKING_RETRY_S)
                continue
            self._is_mid_line = written < len(left)
            left = left[written:]
