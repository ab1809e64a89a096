"""Sets up the standard `logging`: to stderr and to `logs/latest-{mode}.txt`.

Everyone else just uses `logging.getLogger("mcp_router.…")`.

Invariants:

- stdout is never written to: it belongs to MCP in stdio mode.
- Logging never waits. A record is formatted where it is logged, and written by a thread for
  stderr and another for the file (see `log_writer`). Neither holds up the other, a task that
  logs, or the end of the program.
- A file that cannot be written to is said on stderr and to those who follow, once.
- Tracebacks go to the file always. To stderr they go as JSON, or at level DEBUG.
- Known secrets are masked, and no record can look like several (see `record_text`).
- With `logging.format: "json"`, everything on stderr and in the file is one JSON object a line.
  Those who follow are people, and read text.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from router.logs.broadcast import Broadcast
from router.logs.journal import is_journal
from router.logs.line_formats import console_format, file_format, follower_format
from router.logs.log_file import open_log, reopen_log
from router.logs.masks import Masks
from router.logs.record_text import RecordText, read_record
from router.logs.writing.log_writer import LogWriter, OwnedFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from router.config.settings import Logging, Settings
    from router.logs.early_records import EarlyRecords
    from router.logs.line_formats import LineFormat, TextFormat
    from router.logs.writing.log_writer import RawWriter

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
        cls,
        settings: Logging,
        folder: Path,
        mode: str,
        console: RawWriter | None = None,
        early: EarlyRecords | None = None,
    ) -> Logs:
        """Start to log.

        A folder that cannot be written to is a warning in the log, which goes to stderr alone.

        Args:
            settings: the level, and the format of a line.
            folder: where `latest-{mode}.txt` is to be.
            mode: of this router, such as `http+sse`.
            console: in the place of stderr.
            early: holds what was logged before, which is logged first.
        """
        masks = Masks()
        level = LEVEL_NUMBERS[settings.level]
        if settings.level == "OFF":
            logs = cls(level, logging.NullHandler(), masks, Broadcast(str))
            logs._install(early)
            return logs
        file, problem = _try_to_open(folder, mode)
        text = settings.format
        console_lines = console_format(
            text,
            masks,
            has_tracebacks=level <= logging.DEBUG,
            is_journal=is_journal(os.environ),
        )
        handler = _Handler(
            masks,
            _Place(file, file_format(text, masks)),
            _Place(console or unbuffered_stderr(), console_lines),
            follower_format(text),
            f"The log in {folder}",
        )
        logs = cls(level, handler, masks, handler.broadcast)
        logs._install(early)
        if problem is not None:
            why = problem.strerror or problem
            logging.getLogger(f"{OURS}.logs").warning(
                "%s cannot be written (%s): logs go to stderr alone", folder, why
            )
        return logs

    def add_secrets(self, values: Iterable[str]) -> None:
        """Mask these values from now on, as they are and as JSON strings."""
        self._masks.add(values)

    def add_token(self, token: str) -> None:
        """Mask a token that is renewed now and then; see `Masks.add_token`."""
        self._masks.add_token(token)

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

    def reopen_file(self) -> None:
        """Go on in a new file, if somebody has moved the present one away."""
        if isinstance(self._handler, _Handler):
            self._handler.file.reopen()

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

    def _install(self, early: EarlyRecords | None) -> None:
        logging.getLogger().addHandler(self._handler)
        self._swap_levels()
        if early is not None:
            early.replay(self._handler)
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


def _try_to_open(folder: Path, mode: str) -> tuple[OwnedFile | None, OSError | None]:
    try:
        return OwnedFile(open_log(folder, mode), partial(reopen_log, mode=mode)), None
    except OSError as exc:
        return None, exc


def unbuffered_stderr() -> RawWriter | None:
    """Return the unbuffered stderr: a buffer's lock, held by a hanging thread, blocks the exit."""
    buffer = getattr(sys.stderr, "buffer", None)
    return getattr(buffer, "raw", buffer)


class _Place(LogWriter[str]):
    """A place for lines, in a format of its own."""

    def __init__(self, place: OwnedFile | RawWriter | None, line_format: LineFormat) -> None:
        super().__init__(place)
        self._format = line_format

    def write(self, record: logging.LogRecord, text: RecordText) -> None:
        """Have a record written."""
        lines = self._format.lines_of(record, text)
        self.put(lines, len(lines))

    def note_lost(self, count: int, why: str) -> str:
        """Return a line about records that were lost here."""
        note = RecordText(f"{count} records were lost here: {why}")
        return self._format.lines_of(_record_of(note), note).removesuffix("\n")


class _Handler(logging.Handler):
    """Formats records, and hands them to the writers and to those who follow.

    Args:
        masks: the known secrets.
        file: the log file.
        console: stderr.
        followers: the format for those who follow.
        file_name: the file, as a person knows it.
    """

    def __init__(
        self, masks: Masks, file: _Place, console: _Place, followers: TextFormat, file_name: str
    ) -> None:
        super().__init__()
        self._masks = masks
        self.file = file
        self._console = console
        self._followers = followers
        self._file_name = file_name
        self._places = (file, console)
        self.broadcast = Broadcast(self._note)
        file.tell_elsewhere = self._tell_of_file
        for place in self._places:
            place.start(place.note_lost)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = read_record(record, self._masks)
        except Exception as exc:  # noqa: BLE001 - whatever an argument's own code raises
            text = RecordText(self._masks.mask(f"{record.name}: unusable record: {exc!r}"))
            record = _record_of(text)
        for place in self._places:
            place.write(record, text)
        # Followers count lines as records, so each record is one line for them.
        self.broadcast.put(record.levelno, self._followers.short_line_of(record, text))

    def lost_count(self) -> int:
        """Return the lines so far that one of the places has lost."""
        return sum(place.lost_count for place in self._places)

    def _tell_of_file(self, what: str) -> None:
        """Say on stderr what has become of the file; called in the thread that writes it."""
        text = RecordText(f"{self._file_name} {what}")
        record = _record_of(text)
        with self.lock or nullcontext():  # `put` is for one thread at a time
            self._console.write(record, text)
        self.broadcast.put(logging.WARNING, self._followers.short_line_of(record, text))

    def close(self) -> None:
        began_s = time.monotonic()
        # One after the other, since the end of the file may be a line on stderr. Meanwhile stderr
        # is written as well, so a file that hangs takes nothing from it.
        self.file.end()
        self.file.join(began_s + CLOSE_TIMEOUT_S / 2)
        self._console.end()
        self._console.join(began_s + CLOSE_TIMEOUT_S)
        super().close()

    def _note(self, sentence: str) -> str:
        """Return a line about the log itself, for those who follow."""
        text = RecordText(sentence)
        return self._followers.line_of(_record_of(text), text)


def _record_of(text: RecordText) -> logging.LogRecord:
    """Return a record about the log itself."""
    return logging.LogRecord(f"{OURS}.logs", logging.WARNING, "", 0, text.message, None, None)
