"""Sets up the standard `logging`: to stderr and to `logs/latest-{mode}.txt`.

Everyone else just uses `logging.getLogger("mcp_router.…")`.

Invariants:

- stdout is never written to: it belongs to MCP in stdio mode.
- Logging never waits. A record is formatted where it is logged, and written by a thread for
  stderr and another for the file (see `log_writer`). Neither holds up the other, a task that
  logs, or the end of the program.
- A file that cannot be written to is said on stderr and to those who follow, once.
- Tracebacks go to the file always, and to stderr at level DEBUG only.
- Known secrets are masked, and no record can look like several (see `record_text`).
"""

from __future__ import annotations

import logging
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, Self

from router.logs.broadcast import Broadcast
from router.logs.log_file import open_log
from router.logs.log_writer import LogWriter
from router.logs.masks import Masks
from router.logs.record_text import RecordFormatter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from router.config.settings import Logging, Settings
    from router.logs.log_writer import RawWriter

CLOSE_TIMEOUT_S: Final = 2.0
"""How long the end of the program waits for the last lines to be written."""

OURS: Final = "mcp_router"
"""The root of our loggers."""

LEVEL_NUMBERS: Final = {
    "DEBUG": 10,
    "INFO": 20,
    "WARNING": 30,
    "ERROR": 40,
    "CRITICAL": 50,
    "OFF": 60,
}
"""The levels of the settings, as in `logging`; no record reaches that of `OFF`."""


class Logs:
    """The logs of this process, set up by `from_settings`; a context manager that closes them.

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
            mode: of this router, such as `http+sse`.
            console: for lines that people read; stderr if not given.
        """
        masks = Masks()
        level = LEVEL_NUMBERS[settings.level]
        if settings.level == "OFF":
            logs = cls(level, logging.NullHandler(), masks, Broadcast(str))
            logs._install()
            return logs
        file, problem = _try_to_open(folder, mode)
        is_debugging = level <= logging.DEBUG
        handler = _Handler(
            RecordFormatter(logging.Formatter(settings.format), masks),
            LogWriter(file, has_tracebacks=True, is_owned=True),
            LogWriter(console or _stderr(), has_tracebacks=is_debugging, is_owned=False),
            f"The log in {folder}",
        )
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
        """Return the text without the known secrets; also at level `OFF`."""
        return self._masks.mask(text)

    def lost_count(self) -> int:
        """Return the lines that neither stderr nor the file has, or only one of them."""
        return self._handler.lost_count() if isinstance(self._handler, _Handler) else 0

    def set_level(self, name: str) -> None:
        """Log from this level on; a router that started without logs gets none."""
        for logger, level in _levels_at(LEVEL_NUMBERS[name]).items():
            logging.getLogger(logger).setLevel(level)

    def prepare(self, new: Settings) -> None:
        """Do nothing: new settings of the log cannot fail."""

    def apply(self, new: Settings) -> None:
        """Log at the level of these settings, and mask their secrets."""
        self.add_secrets(new.security.secrets)
        self.set_level(new.logging.level)

    def close(self) -> None:
        """Write what is still waiting, within `CLOSE_TIMEOUT_S`, and log no more."""
        logging.captureWarnings(capture=False)
        self._swap_levels()
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _install(self) -> None:
        logging.getLogger().addHandler(self._handler)
        self._swap_levels()
        logging.captureWarnings(capture=True)

    def _swap_levels(self) -> None:
        """Set our levels; the second time, set back those that were there before."""
        for name, level in self._levels.items():
            logger = logging.getLogger(name)
            self._levels[name] = logger.level
            logger.setLevel(level)


def _levels_at(level: int) -> dict[str | None, int]:
    """Return the level of each logger: of libraries (None, the root) only warnings are logged."""
    return {None: max(level, logging.WARNING), OURS: level}


def _try_to_open(folder: Path, mode: str) -> tuple[Any, OSError | None]:
    try:
        return open_log(folder, mode), None
    except OSError as exc:
        return None, exc


def _stderr() -> RawWriter | None:
    """Return the unbuffered stderr: a buffer's lock, held by a hanging thread, blocks the exit."""
    buffer = getattr(sys.stderr, "buffer", None)
    return getattr(buffer, "raw", buffer)


class _Handler(logging.Handler):
    """Formats records, and hands them to the writers and to those who follow.

    Args:
        formatter: makes the text of records.
        file: the writer of the log file.
        console: the writer of stderr.
        file_name: the file, as a person knows it.
    """

    def __init__(
        self, formatter: RecordFormatter, file: LogWriter, console: LogWriter, file_name: str
    ) -> None:
        super().__init__()
        self._record_formatter = formatter
        self._console = console
        self._file_name = file_name
        self._writers = (file, console)
        self.broadcast = Broadcast(self._note)
        file.tell_elsewhere = self._tell_of_file
        for writer in self._writers:
            writer.start(self._note)

    def emit(self, record: logging.LogRecord) -> None:
        formatter = self._record_formatter
        try:
            line, traceback = formatter.line(record), formatter.traceback(record)
            reason = formatter.reason(record) if traceback else ""
        except Exception as exc:  # noqa: BLE001 - whatever an argument's own code raises
            line = self._note(f"{record.name}: unusable record: {exc!r}")
            traceback = reason = ""
        for writer in self._writers:
            writer.put(line + (traceback if writer.has_tracebacks else reason) + "\n")
        # Followers count lines as records, so each record is one line for them.
        self.broadcast.put(record.levelno, line + reason)

    def lost_count(self) -> int:
        """Return the lines so far that one of the writers has lost."""
        return sum(writer.lost_count for writer in self._writers)

    def _tell_of_file(self, what: str) -> None:
        """Say on stderr what has become of the file; called in the thread that writes it."""
        line = self._note(f"{self._file_name} {what}")
        with self.lock or nullcontext():  # `put` is for one thread at a time
            self._console.put(line + "\n")
        self.broadcast.put(logging.WARNING, line)

    def close(self) -> None:
        ends_at_s = time.monotonic() + CLOSE_TIMEOUT_S
        for writer in self._writers:
            writer.end()
        for writer in self._writers:
            writer.join(ends_at_s)
        super().close()

    def _note(self, text: str) -> str:
        """Return a line about the log itself."""
        record = logging.LogRecord(f"{OURS}.logs", logging.WARNING, "", 0, text, None, None)
        return self._record_formatter.line(record)
