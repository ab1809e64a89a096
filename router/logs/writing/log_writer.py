"""Writes lines to one place, in a thread of its own: those of the log, or of the audit log.

Invariants:

- Nothing that puts a record here ever waits. The way to the thread is a bounded queue: where stderr
  is a pipe that nobody reads, or the disk is full, records are lost and counted, and the count is
  written as soon as writing works again. The beginning and the end of such a failure are told
  elsewhere.
- A line that a full disk has cut off is completed before anything else is written.
- A file that was moved away is left at `reopen` and not before. So every record is in one of the
  two files, and each line is whole.
- The end of the program waits for the last records for a limited time only.

The thread is our own, not `logging.handlers.QueueListener`: that module costs more to import than
the rest of this package, and its `stop` waits for ever when a write hangs.
"""

from __future__ import annotations

import os
import queue
import select
import threading
import time
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Note: TypeAlias = Callable[[int, str], str]
    """Makes a line, without its end, of the number of records that were lost and the reason."""

QUEUE_RECORDS: Final = 10_000
"""Records that may wait to be written: seconds of DEBUG at full load."""

QUEUE_CHARACTERS: Final = 8 * 1024 * 1024
"""Characters that the waiting records may add up to."""

BATCH_RECORDS: Final = 500
"""Records for one write."""

TOO_MANY: Final = "too many at once"

_NON_BLOCKING_RETRY_S: Final = 1.0

R = TypeVar("R")


class RawWriter(Protocol):
    """Unbuffered bytes out: `io.RawIOBase`, as far as it is needed here."""

    def write(self, data: memoryview, /) -> int | None:
        """Write some of `data`; return how many bytes, or None when it would block."""
        ...


class OwnedFile(Struct, frozen=True):
    """A file that belongs to its writer, which closes it at the end.

    Attributes:
        raw: the file, unbuffered, open to append to.
        reopen: called in the thread with the file; returns the one to go on with, which is the same
            while that is in its place. Raises `OSError` where no other can be opened.
    """

    raw: Any
    reopen: Callable[[Any], Any]


class _Order(Enum):
    """An order to the thread, which stands in the queue behind the records that came before."""

    END = "end"
    REOPEN = "reopen"


def _tell_nobody(_: str) -> None:
    """Do nothing: there is no other place."""


class LogWriter(Generic[R]):
    """One place for records, with its queue and its thread.

    `put` is called by one thread at a time; the counts of what is written are changed by the
    writing thread alone. So nothing here waits for a lock.

    Attributes:
        tell_elsewhere: called from the thread with a sentence when writing fails, and when it works
            again; at most once each.
    """

    def __init__(
        self,
        place: OwnedFile | RawWriter | None,
        to_text: Callable[[R], str] = str,
        *,
        gather_s: float = 0.0,
    ) -> None:
        """Write to `place`.

        Args:
            place: a file of its own, or an output that is left open; None for nowhere.
            to_text: makes the text of a record, with its end, in the thread; it must not raise.
            gather_s: how long the first record waits for others to be written with. To wake the
                thread for each costs a busy event loop more than all the rest.
        """
        self.tell_elsewhere: Callable[[str], None] = _tell_nobody
        self._file = place if isinstance(place, OwnedFile) else None
        self._raw: Any = place.raw if isinstance(place, OwnedFile) else place
        self._to_text = to_text
        self._gather_s = gather_s
        self._queue: queue.SimpleQueue[tuple[R, int] | _Order] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._put_records = self._put_characters = self._dropped = 0
        self._written_records = self._written_characters = self._lost = 0
        self._noted_drops = 0
        self._unsaid, self._why = 0, ""  # the lost records of which no note tells yet
        self._is_failing = False
        self._cut_line, self._cut = b"", b""  # a line that was written in part, and its rest

    @property
    def lost_count(self) -> int:
        """The records that were lost so far."""
        return self._dropped + self._lost

    @property
    def waiting_count(self) -> int:
        """The records that are not written yet."""
        return self._put_records - self._written_records

    def start(self, note: Note) -> None:
        """Begin to write; `note` makes the lines about what was lost."""
        if self._raw is not None:
            # A daemon: a write that hangs must not keep the process alive.
            self._thread = threading.Thread(target=self._run, args=(note,), daemon=True)
            self._thread.start()

    def put(self, record: R, characters: int) -> bool:
        """Queue a record of about this size; return False if it was dropped, and counted."""
        characters_waiting = self._put_characters - self._written_characters
        if self.waiting_count >= QUEUE_RECORDS or characters_waiting >= QUEUE_CHARACTERS:
            self._dropped += 1
            return False
        if self._raw is not None:
            self._put_records += 1
            self._put_characters += characters
            self._queue.put((record, characters))
        return True

    def reopen(self) -> None:
        """Look for the file in its place again, once everything before is written."""
        if self._file is not None:
            self._queue.put(_Order.REOPEN)

    def end(self) -> None:
        """Let the thread end once it has written the queue; nothing more may be put."""
        self._queue.put(_Order.END)

    def join(self, ends_at_s: float) -> None:
        """Wait until all is written, but not beyond that moment of the monotonic clock."""
        if self._thread is not None:
            self._thread.join(max(0.0, ends_at_s - time.monotonic()))

    # --- In the thread ---

    def _run(self, note: Note) -> None:
        order = None
        while order is not _Order.END:
            batch, order = self._take()
            self._write_batch([record for record, _ in batch], note)
            self._written_records += len(batch)
            self._written_characters += sum(characters for _, characters in batch)
            if order is _Order.REOPEN:
                self._reopen()
        if self._file is not None:
            self._raw.close()

    def _take(self) -> tuple[list[tuple[R, int]], _Order | None]:
        """Wait for records; return them, and the order that came behind them."""
        batch: list[tuple[R, int]] = []
        found = self._queue.get()
        has_time = not isinstance(found, _Order) and self._queue.qsize() < BATCH_RECORDS
        if self._gather_s and has_time:
            time.sleep(self._gather_s)
        try:
            while not isinstance(found, _Order):
                batch.append(found)
                if len(batch) >= BATCH_RECORDS:
                    return batch, None
                found = self._queue.get_nowait()
        except queue.Empty:
            return batch, None
        return batch, found

    def _write_batch(self, records: Sequence[R], note: Note) -> None:
        """Write records; before and behind them, write how many others were lost there."""
        dropped = self._dropped
        self._say_lost(note)
        begun = 0 if self._unsaid else self._try_to_write([*map(self._to_text, records)])
        if self._queue.empty():
            dropped = self._dropped  # otherwise, what was dropped meanwhile comes later
        lost = len(records) - begun
        self._lost += lost
        self._unsaid += lost
        if dropped > self._noted_drops:
            self._unsaid += dropped - self._noted_drops
            self._noted_drops = dropped
            if not self._is_failing:
                self._why = TOO_MANY
                self._say_lost(note)

    def _say_lost(self, note: Note) -> None:
        if self._unsaid and self._try_to_write([f"{note(self._unsaid, self._why)}\n"]):
            self._unsaid = 0

    def _try_to_write(self, texts: Sequence[str]) -> int:
        """Write texts, unless writing fails.

        Returns:
            How many of them were begun: all of them, or those before the failure. A line that was
            begun is completed as soon as writing works again.
        """
        if not texts:
            return 0
        parts = [text.encode("utf-8", "backslashreplace") for text in texts]
        try:
            if self._file is not None and os.fstat(self._raw.fileno()).st_nlink == 0:
                self._go_on_in(self._file.reopen(self._raw))  # somebody has deleted the file
        except OSError as exc:
            self._note_failure(exc)
            return 0
        self._cut = self._write(self._cut)
        if self._cut:
            return 0
        left = self._write(b"".join(parts))
        if not left and self._is_failing:
            self._note_recovery()
        return self._begun(parts, len(left))

    def _write(self, data: bytes) -> bytes:
        """Write, and return what is left if that fails."""
        left = memoryview(data)
        try:
            while left:
                written = self._raw.write(left)
                if written is None:
                    # Another process that shares the pipe has made it non-blocking.
                    select.select([], [self._raw], [], _NON_BLOCKING_RETRY_S)
                    continue
                left = left[written:]
        except (OSError, ValueError) as exc:  # ValueError: somebody has closed it
            self._note_failure(exc)
        return bytes(left)

    def _begun(self, parts: Sequence[bytes], left_bytes: int) -> int:
        """Return how many of the parts were begun; keep the one that was cut off."""
        begun = len(parts)
        while begun and left_bytes >= len(parts[begun - 1]):
            begun -= 1
            left_bytes -= len(parts[begun])
        if left_bytes:
            self._cut_line = parts[begun - 1]
            self._cut = self._cut_line[-left_bytes:]
        return begun

    def _note_failure(self, error: Exception) -> None:
        self._why = _reason(error)
        if not self._is_failing:
            self._is_failing = True
            self.tell_elsewhere(f"cannot be written ({self._why}): records are lost there")

    def _note_recovery(self) -> None:
        self._is_failing = False
        lost = f"; {self._unsaid} records were lost there ({self._why})" if self._unsaid else ""
        self.tell_elsewhere(f"can be written again{lost}")

    def _reopen(self) -> None:
        assert self._file is not None
        try:
            self._go_on_in(self._file.reopen(self._raw))
        except OSError as exc:
            self.tell_elsewhere(f"cannot be opened anew ({_reason(exc)}): the old file goes on")

    def _go_on_in(self, raw: Any) -> None:
        if raw is not self._raw:
            self._raw = raw
            if self._cut:
                self._cut = self._cut_line  # its rest alone would be no line in another file


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
