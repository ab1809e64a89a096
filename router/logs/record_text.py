"""Turns log records into text that nothing in them can forge.

Invariants: a record is one line, and a traceback is indented under it, so that text of a peer
cannot look like a record of ours. Known secrets are masked, and long messages are cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import logging

    from router.logs.masks import Masks

LINE_LIMIT: Final = 16 * 1024
"""Characters of a message that are kept: a peer may send megabytes."""

UNPRINTABLE: Final = re.compile(
    "[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\xad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2"
    "\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\U000110bd\\U000110cd"
    "\\U00013430-\\U0001343f\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0001-\\U000e007f]"
)
"""Characters that move the cursor or are invisible: Unicode's Cc but the tab, Cf, Zl and Zp."""


def one_line(text: str) -> str:
    """Return the text with unprintable characters escaped, as in a Python string."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class RecordFormatter:
    """Formats the parts of a record; the standard formatter would join them before masking."""

    def __init__(self, formatter: logging.Formatter, masks: Masks) -> None:
        self._formatter = formatter
        self._masks = masks

    def line(self, record: logging.LogRecord) -> str:
        """Return the record's line, without its end."""
        message = self._masks.mask(record.getMessage())
        if len(message) > LINE_LIMIT:
            message = f"{message[:LINE_LIMIT]}... ({len(message) - LINE_LIMIT} more characters)"
        record.message = message
        if self._formatter.usesTime():
            record.asctime = self._formatter.formatTime(record, self._formatter.datefmt)
        return one_line(self._formatter.formatMessage(record))

    def traceback(self, record: logging.LogRecord) -> str:
        """Return the record's traceback, each line of it indented; empty where it has none."""
        if record.exc_info is None or record.exc_info[0] is None:
            return ""
        text = self._masks.mask(self._formatter.formatException(record.exc_info))
        return "".join(f"\n    {one_line(line)}" for line in text.splitlines())

    def reason(self, record: logging.LogRecord) -> str:
        """Return the record's error in a few words, for outputs without tracebacks."""
        error = record.exc_info[1] if record.exc_info else None
        return "" if error is None else one_line(self._masks.mask(f" [{_describe(error)}]"))


def _describe(error: BaseException) -> str:
    """Return type and text of an error; of a group, those of its members."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return "; ".join(map(_describe, group.exceptions))
    return f"{type(error).__name__}: {error}"
