"""Formats records for one place: for people, as JSON, and for the journal of systemd.

Invariant: a record is one line, except for a traceback in a format for people, which is indented
under it. So nothing in a record can look like another one.
"""

from __future__ import annotations

import logging
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from router.config.settings import Logging
from router.config.values import JSON_FORMAT
from router.logs.journal import with_priority
from router.logs.masks import Masks
from router.logs.record_text import RecordText, one_line
from router.logs.utc_time import utc_time

DEFAULT_FORMAT: Final = Logging().format
UNTIMED_FORMAT: Final = DEFAULT_FORMAT.removeprefix("%(asctime)s - ")
"""The default format for the journal, which has a time of its own for each line."""

FIELDS: Final = ("instance", "principal", "request_id", "duration_s")
"""The members of JSON lines that the code that logs may give in `extra`, in their order."""


class LineFormat(Protocol):
    """The lines of one place."""

    def lines_of(self, record: logging.LogRecord, text: RecordText) -> str:
        """Return a record as it is written, with the end of its last line."""
        ...


class TextFormat:
    """Lines for people, by a format of the standard `logging`.

    Args:
        text: the format, with `%`.
        has_tracebacks: False for a few words in the place of each.
    """

    def __init__(self, text: str, *, has_tracebacks: bool = False) -> None:
        self._formatter = logging.Formatter(text)
        self._has_tracebacks = has_tracebacks

    def lines_of(self, record: logging.LogRecord, text: RecordText) -> str:
        """See `LineFormat`."""
        line = self.line_of(record, text)
        if not self._has_tracebacks:
            return f"{line}{_in_brackets(text)}\n"
        return "".join((line, *(f"\n    {one}" for one in text.traceback), "\n"))

    def line_of(self, record: logging.LogRecord, text: RecordText) -> str:
        """Return the line without its end, and without the error."""
        record.message = text.message
        if self._formatter.usesTime():
            record.asctime = self._formatter.formatTime(record, self._formatter.datefmt)
        return one_line(self._formatter.formatMessage(record))

    def short_line_of(self, record: logging.LogRecord, text: RecordText) -> str:
        """Return the line without its end, with the error in a few words."""
        return self.line_of(record, text) + _in_brackets(text)


def _in_brackets(text: RecordText) -> str:
    return f" [{text.error}]" if text.error else ""


class JsonFormat(Struct, frozen=True):
    """One JSON object a line.

    Attributes:
        masks: the known secrets.
    """

    masks: Masks

    def lines_of(self, record: logging.LogRecord, text: RecordText) -> str:
        """See `LineFormat`."""
        members: dict[str, Any] = {
            "time": utc_time(record.created),
            "level": record.levelname,
            "logger": _printable(record.name),
            "message": _printable(text.message),
        }
        for field in FIELDS:
            value = getattr(record, field, None)
            if value not in (None, ""):
                is_text = isinstance(value, str)
                members[field] = _printable(self.masks.mask(value)) if is_text else value
        if text.traceback:
            members["exception"] = _encodable("\n".join(text.traceback))
        return f"{msgspec.json.encode(members).decode()}\n"


def _printable(text: str) -> str:
    return _encodable(one_line(text))


def _encodable(text: str) -> str:
    """Return the text with lone surrogates escaped, which UTF-8 cannot have."""
    return text.encode("utf-8", "backslashreplace").decode()


class JournalFormat(Struct, frozen=True):
    """The lines of another format, each with the prefix of its priority."""

    inner: LineFormat

    def lines_of(self, record: logging.LogRecord, text: RecordText) -> str:
        """See `LineFormat`."""
        return with_priority(self.inner.lines_of(record, text), record.levelno)


def file_format(text: str, masks: Masks) -> LineFormat:
    """Return the format of the log file, where `logging.format` is `text`."""
    return JsonFormat(masks) if text == JSON_FORMAT else TextFormat(text, has_tracebacks=True)


def console_format(
    text: str, masks: Masks, *, has_tracebacks: bool, is_journal: bool
) -> LineFormat:
    """Return the format of stderr, where `logging.format` is `text`."""
    if is_journal:
        shown = UNTIMED_FORMAT if text == DEFAULT_FORMAT else text
        return JournalFormat(
            console_format(shown, masks, has_tracebacks=has_tracebacks, is_journal=False)
        )
    return (
        JsonFormat(masks)
        if text == JSON_FORMAT
        else TextFormat(text, has_tracebacks=has_tracebacks)
    )


def follower_format(text: str) -> TextFormat:
    """Return the format of the lines for those who follow, who are people: it is never JSON."""
    return TextFormat(DEFAULT_FORMAT if text == JSON_FORMAT else text)


def error_lines(program: str, text: str, log_format: str, *, is_journal: bool) -> str:
    """Return the errors of a program that does not log, or not yet, as they are on stderr.

    Args:
        program: the name of the program.
        text: one error a line.
        log_format: `logging.format`, or empty if it is not known.
        is_journal: stderr is the journal.
    """
    lines: list[str] = []
    for line in text.splitlines():
        if log_format == JSON_FORMAT:
            record = logging.LogRecord("mcp_router.cli", logging.ERROR, "", 0, line, None, None)
            lines.append(JsonFormat(Masks()).lines_of(record, RecordText(line)))
        else:
            lines.append(f"{program}: {one_line(line)}\n")
    written = "".join(lines)
    return with_priority(written, logging.ERROR) if is_journal else written
