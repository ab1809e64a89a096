"""Keeps the audit log: a line for each call, change, session and refused request.

Resource handling: `open` opens the file and starts a thread; `close` writes what still waits.

Invariants:

- `put` never waits. What cannot be written is counted, said in the log, and said in the audit log
  itself as soon as that can be written again.
- The file is only ever appended to, a line at a time, so several routers may share it.
- Nothing here is imported unless `logging.audit` asks for it.
"""

from __future__ import annotations

import logging
import math
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import trio

from router.audit.audit_lines import dropped_line, line_of, size_of
from router.logs.writing.append_file import (
    is_in_place,
    make_folder,
    open_descriptor,
    unbuffered,
)
from router.logs.writing.log_writer import LogWriter, OwnedFile
from router.messages.errors import ConfigError
from router.messages.observability.records import CallRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from typing import TypeAlias

    from router.messages.observability.records import Record

    Timed: TypeAlias = tuple[Record, float]
    """A record, and its moment in seconds since 1970."""

log = logging.getLogger("mcp_router.audit")

FILE_NAME: Final = "audit.jsonl"

CLOSE_TIMEOUT_S: Final = 2.0
"""How long the end of the program waits for the last lines to be written."""

GATHER_S: Final = 0.02
"""Time in which the records of a busy router gather for one write."""

WARN_EVERY_S: Final = 60.0
"""The least time between two warnings about records that were dropped."""


class AuditLog:
    """The audit log of this router; a context manager that closes it.

    Args:
        file: opened by `open`.
        mask: returns a text without the secrets that are known.
    """

    def __init__(self, file: FileIO, mask: Callable[[str], str]) -> None:
        self._path = Path(file.name)
        self._mask = mask
        self._untold_drops = 0
        self._warn_at_s = -math.inf
        self._writer: LogWriter[Timed] = LogWriter(
            OwnedFile(file, _reopen), self._text_of, gather_s=GATHER_S
        )
        self._writer.tell_elsewhere = partial(log.error, "%s %s", f"The audit log {self._path}")
        self._writer.start(_note)

    @classmethod
    def open(cls, folder: Path, mask: Callable[[str], str]) -> AuditLog:
        """Open `audit.jsonl` in the folder of the logs, which is made if it is missing.

        Raises:
            ConfigError: the file cannot be written. Who asked for an audit log would not want a
                router without one.
        """
        path = folder / FILE_NAME
        try:
            make_folder(folder)
            return cls(_open(path), mask)
        except OSError as exc:
            problem = f"{path} cannot be written ({exc.strerror or exc})"
            way_out = "Let this user write there, or set logging.directory or logging.audit"
            raise ConfigError("config.json: logging.audit", f"{problem}. {way_out}") from exc

    def dropped_count(self) -> int:
        """Return the records so far that are in no file."""
        return self._writer.lost_count

    def put(self, record: Record) -> None:
        """Have a record written; called in the event loop."""
        wall_s = time.time()
        if isinstance(record, CallRecord):
            wall_s -= trio.current_time() - record.began_s
        if not self._writer.put((record, wall_s), size_of(record)):
            self._untold_drops += 1
            if trio.current_time() >= self._warn_at_s:
                self._warn_at_s = trio.current_time() + WARN_EVERY_S
                self._tell_drops()

    def reopen(self) -> None:
        """Go on in a new file, if somebody has moved the present one away."""
        self._writer.reopen()

    def close(self) -> None:
        """Write what is still waiting, within `CLOSE_TIMEOUT_S`."""
        self._writer.end()
        self._writer.join(time.monotonic() + CLOSE_TIMEOUT_S)
        self._tell_drops()
        if left := self._writer.waiting_count:
            log.error("%d records were not written to %s in time", left, self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell_drops(self) -> None:
        if self._untold_drops:
            text = "%d records were dropped, because %s is written too slowly"
            log.error(text, self._untold_drops, self._path)
            self._untold_drops = 0

    # --- In the thread of the writer ---

    def _text_of(self, timed: Timed) -> str:
        return line_of(*timed, self._mask)


def _open(path: Path) -> FileIO:
    return unbuffered(open_descriptor(path), path)


def _reopen(file: Any) -> FileIO:
    if is_in_place(file):
        return file
    path = Path(file.name)
    make_folder(path.parent)
    fresh = _open(path)
    file.close()
    return fresh


def _note(count: int, why: str) -> str:
    return dropped_line(count, why, time.time())
