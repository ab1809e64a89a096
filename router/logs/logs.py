"""Logs: to stderr and to `logs/latest-{mode}.txt`, without ever holding up the event loop.

Job: set up the standard `logging` and undo it. Neighbours: `cli` sets it up; whoever learns of a
secret calls `hide`; everyone else just uses `logging.getLogger("mcp_router.…")`; `logfile` and
`broadcast` below.

Invariants:

- stdout is never written to: it belongs to MCP in stdio mode.
- A record is formatted where it is logged, and written by a thread for stderr and one for the
  file. The way there is a bounded queue: where stderr is a pipe that nobody reads, or the disk is
  full, lines are dropped and counted, and nothing waits for it: not whoever logs, not the other
  one of the two, not the end of the program.
- One record is one line, and a traceback is indented under it: what a peer sent cannot look like
  a record of ours. Known secrets are masked. On stderr tracebacks are for level DEBUG only; the
  file always has them.

The threads are our own, not `logging.handlers.QueueListener`: that module costs more to import
than the rest of this package, and its `stop` waits for ever when a write hangs.
"""

from __future__ import annotations

import logging
import queue
import re
import select
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, cast

from router.logs.broadcast import Broadcast
from router.logs.log_file import open_log
from router.logs.masks import Masks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from router.config.settings import Logging

QUEUE_SIZE: Final = 10_000
"""Records that may wait to be written: seconds of DEBUG at full load."""

QUEUE_CHARACTERS: Final = 8 * 1024 * 1024
"""What those may add up to, however long each is."""

LINE_LIMIT: Final = 16 * 1024
"""Characters of a message that are kept: what a peer sent may be megabytes long."""

BATCH_SIZE: Final = 500
"""Records for one write."""

CLOSE_TIMEOUT_S: Final = 2.0
"""How long the end of the program waits for the last lines to be written."""

OURS: Final = "mcp_router"
"""The root of our loggers."""

UNPRINTABLE: Final = re.compile(
    "[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\xad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2"
    "\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\U000110bd\\U000110cd"
    "\\U00013430-\\U0001343f\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0001-\\U000e007f]"
)
"""What moves the cursor or cannot be seen: Unicode's Cc but the tab, Cf, Zl and Zp."""

LEVEL_NUMBERS: Final = {
    "DEBUG": 10,
    "INFO": 20,
    "WARNING": 30,
    "ERROR": 40,
    "CRITICAL": 50,
    "OFF": 60,
}


class RawWriter(Protocol):
    """Unbuffered bytes out: `io.RawIOBase`, as far as it is needed here."""

    def write(self, data: memoryview, /) -> int | None:
        """Write some of `data`; how much, or None when it would block."""
        ...


class Logs:
    """What `from_settings` has set up; `close` undoes it. It is its own context manager.

    Attributes:
        broadcast: the last lines, and the next ones for those who follow.
    """

    def __init__(
        self, level: int, handler: logging.Handler, masks: Masks, broadcast: Broadcast
    ) -> None:
        self.broadcast = broadcast
        self._handler = handler
        self._masks = masks
        self._levels = _levels_at(level)

    @classmethod
    def from_settings(
        cls, settings: Logging, folder: Path, mode: str, console: RawWriter | None = None
    ) -> Logs:
        """Start to log.

        A folder that cannot be written to is a warning in the log, which goes to stderr alone.

        Args:
            settings: the level, and the format of a line.
            folder: where `latest-{mode}.txt` is to be.
            mode: what this router does, such as `http+sse`.
            console: where lines for people go; stderr if not given.
        """
        masks = Masks()
        level = LEVEL_NUMBERS[settings.level]
        if settings.level == "OFF":
            logs = cls(level, logging.NullHandler(), masks, Broadcast(str))
            logs._install()
            return logs
        file, problem = _try_to_open(folder, mode)
        outputs = [
            LogWriter(file, traces=True, owned=True),
            LogWriter(console or _stderr(), traces=level <= logging.DEBUG, owned=False),
        ]
        lines = RecordFormatter(logging.Formatter(settings.format), masks)
        handler = _Handler(lines, outputs)
        logs = cls(level, handler, masks, handler.broadcast)
        logs._install()
        if problem is not None:
            why = problem.strerror or problem
            logging.getLogger(f"{OURS}.logs").warning(
                "%s cannot be written (%s): logs go to stderr alone", folder, why
            )
        return logs

    def add_secrets(self, values: Iterable[str]) -> None:
        """Mask these values from now on, as they are and as JSON strings."""
        self._masks.add(values)

    def mask(self, text: str) -> str:
        """The text without the hidden values; also where nothing is logged."""
        return self._masks.mask(text)

    def set_level(self, name: str) -> None:
        """Log from this level on; where there were no logs at the start, there are none now."""
        for logger, level in _levels_at(LEVEL_NUMBERS[name]).items():
            logging.getLogger(logger).setLevel(level)

    def close(self) -> None:
        """Write what is still waiting, within `CLOSE_TIMEOUT_S`, and log no more."""
        self._uninstall()
        self._handler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _install(self) -> None:
        logging.getLogger().addHandler(self._handler)
        self._swap_levels()
        logging.captureWarnings(capture=True)

    def _uninstall(self) -> None:
        logging.captureWarnings(capture=False)
        self._swap_levels()
        logging.getLogger().removeHandler(self._handler)

    def _swap_levels(self) -> None:
        """Set our levels; the second time, set back those that were there before."""
        for name, level in self._levels.items():
            logger = logging.getLogger(name)
            self._levels[name] = logger.level
            logger.setLevel(level)


def _levels_at(level: int) -> dict[str | None, int]:
    """The level of each logger: everybody else is only heard when there is something wrong."""
    return {None: max(level, logging.WARNING), OURS: level}


def _try_to_open(folder: Path, mode: str) -> tuple[Any, OSError | None]:
    try:
        return open_log(folder, mode), None
    except OSError as exc:
        return None, exc


def _stderr() -> RawWriter | None:
    """The unbuffered stderr: a thread that hangs in it holds no lock that the exit waits for."""
    buffer = getattr(sys.stderr, "buffer", None)
    return getattr(buffer, "raw", buffer)


# --- From a record to text -------------------------------------------------------------------


class RecordFormatter:
    """Records as text, with secrets masked and nothing in them that could pass for another."""

    def __init__(self, formatter: logging.Formatter, masks: Masks) -> None:
        self._formatter = formatter
        self._masks = masks

    def head(self, record: logging.LogRecord) -> str:
        """The record's line, without its end."""
        message = self._masks.mask(record.getMessage())
        if len(message) > LINE_LIMIT:
            message = f"{message[:LINE_LIMIT]}... ({len(message) - LINE_LIMIT} more characters)"
        record.message = message
        if self._formatter.usesTime():
            record.asctime = self._formatter.formatTime(record, self._formatter.datefmt)
        return one_line(self._formatter.formatMessage(record))

    def trace(self, record: logging.LogRecord) -> str:
        """The record's traceback, indented; empty where it has none."""
        if record.exc_info is None or record.exc_info[0] is None:
            return ""
        text = self._masks.mask(self._formatter.formatException(record.exc_info))
        return "".join(f"\n    {one_line(line)}" for line in text.splitlines())

    def reason(self, record: logging.LogRecord) -> str:
        """What stands for the traceback where there is no place for it."""
        error = record.exc_info[1] if record.exc_info else None
        return "" if error is None else one_line(self._masks.mask(f" [{_described(error)}]"))


def _described(error: BaseException) -> str:
    """An error in one line; a group is what is in it."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return "; ".join(map(_described, group.exceptions))
    return f"{type(error).__name__}: {error}"


def one_line(text: str) -> str:
    """The text with what does not print escaped, as in a Python string."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


# --- From text to bytes ----------------------------------------------------------------------


class _Handler(logging.Handler):
    """Formats records and hands them on; it never waits."""

    def __init__(self, lines: RecordFormatter, outputs: Sequence[LogWriter]) -> None:
        super().__init__()
        self._lines = lines
        self._outputs = outputs
        self.broadcast = Broadcast(self._note)
        for output in outputs:
            output.start(self._note)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            head, trace = self._lines.head(record), self._lines.trace(record)
            reason = self._lines.reason(record) if trace else ""
        except Exception as exc:  # noqa: BLE001 - whatever an argument's own code raises
            head, trace, reason = self._note(f"{record.name}: unusable record: {exc!r}"), "", ""
        for output in self._outputs:
            output.put(head + (trace if output.traces else reason) + "\n")
        self.broadcast.put(record.levelno, head + reason)

    def close(self) -> None:
        ends_at_s = time.monotonic() + CLOSE_TIMEOUT_S
        for output in self._outputs:
            output.end()
        for output in self._outputs:
            output.join(ends_at_s)
        super().close()

    def _note(self, text: str) -> str:
        """A line of our own, about the log."""
        record = logging.LogRecord(f"{OURS}.logs", logging.WARNING, "", 0, text, None, None)
        return self._lines.head(record)


class LogWriter:
    """One place where lines go, with its queue and its thread.

    `put` is called by one thread at a time, under the handler's lock, and what the writing thread
    counts is changed by that thread alone, so that nothing here waits for a lock.
    """

    def __init__(self, raw: Any, *, traces: bool, owned: bool) -> None:
        """Write to `raw` (None for nowhere), and close it at the end if it is `owned`."""
        self.traces = traces
        self._raw = raw
        self._owned = owned
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._put_records = self._put_characters = self._dropped = 0
        self._done_records = self._done_characters = 0
        self._lost, self._lost_why, self._broke_off = 0, "", False

    def start(self, note: Callable[[str], str]) -> None:
        """Begin to write; `note` makes a line of a sentence about the log itself."""
        if self._raw is not None:
            self._thread = threading.Thread(target=self._run, args=(note,), daemon=True)
            self._thread.start()

    def put(self, text: str) -> None:
        """Queue a record, or drop and count it."""
        records = self._put_records - self._done_records
        characters = self._put_characters - self._done_characters
        if records >= QUEUE_SIZE or characters >= QUEUE_CHARACTERS:
            self._dropped += 1
        elif self._raw is not None:
            self._put_records += 1
            self._put_characters += len(text)
            self._queue.put(text)

    def end(self) -> None:
        """Nothing more will be put."""
        self._queue.put(None)

    def join(self, ends_at_s: float) -> None:
        """Wait until all is written, but not beyond that monotonic second."""
        if self._thread is not None:
            self._thread.join(max(0.0, ends_at_s - time.monotonic()))

    def _run(self, note: Callable[[str], str]) -> None:
        told = 0
        ended = False
        while not ended:
            batch, ended = self._take()
            text, dropped = "".join(batch), self._dropped
            if dropped > told:
                text += note(f"{dropped - told} records were dropped here: too many at once")
                text += "\n"
                told = dropped
            if text:
                self._try_to_write(text, len(batch), note)
            self._done_records += len(batch)
            self._done_characters += sum(map(len, batch))
        if self._owned:
            self._raw.close()

    def _take(self) -> tuple[list[str], bool]:
        """Wait for records; returns them, and whether they were the last."""
        batch: list[str] = []
        text = self._queue.get()
        try:
            while text is not None and len(batch) < BATCH_SIZE:
                batch.append(text)
                text = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        if text is not None:
            batch.append(text)
        return batch, text is None

    def _try_to_write(self, text: str, records: int, note: Callable[[str], str]) -> None:
        """A full disk or a closed pipe loses lines, and says so once it can."""
        if self._lost:
            text = note(f"{self._lost} records were lost here: {self._lost_why}") + f"\n{text}"
        try:
            self._write(text)
            self._lost = 0
        except (OSError, ValueError) as exc:  # ValueError: somebody has closed it
            self._lost += records
            self._lost_why = getattr(exc, "strerror", None) or str(exc)

    def _write(self, text: str) -> None:
        # After a line that was cut off by an error, the next one begins on a line of its own.
        data = (f"\n{text}" if self._broke_off else text).encode("utf-8", "backslashreplace")
        left = memoryview(data)
        while left:
            written = self._raw.write(left)
            if written is None:
                select.select([], [self._raw], [], 1.0)  # its other users made it non-blocking
                continue
            self._broke_off = written < len(left)
            left = left[written:]
