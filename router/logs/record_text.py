"""Turns log records into texts that nothing in them can forge.

Invariants: each text is one line, so that text of a peer cannot look like a record of ours. Known
secrets are masked, and long messages are cut.
"""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct

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
    if text.isprintable():
        return text  # nearly always, and much faster than looking for each character
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class RecordText(Struct, frozen=True):
    """The texts of a record, without secrets; those of its traceback are printable.

    Attributes:
        message: as it was logged, but for its length.
        error: the record's error in a few words; empty without one.
        traceback: the lines of its traceback; empty without one.
    """

    message: str
    error: str = ""
    traceback: tuple[str, ...] = ()


def read_record(record: logging.LogRecord, masks: Masks) -> RecordText:
    """Return the texts of a record. The standard formatter would join them before masking.

    Raises:
        Exception: whatever the code of an argument raises when it is made a text.
    """
    message = masks.mask(record.getMessage())
    if len(message) > LINE_LIMIT:
        message = f"{message[:LINE_LIMIT]}... ({len(message) - LINE_LIMIT} more characters)"
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return RecordText(message)
    text = masks.mask("".join(traceback.format_exception(error)))
    return RecordText(
        message, one_line(masks.mask(_describe(error))), tuple(map(one_line, text.splitlines()))
    )


def _describe(error: BaseException) -> str:
    """Return type and text of an error; of a group, those of its members."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return "; ".join(map(_describe, group.exceptions))
    return f"{type(error).__name__}: {error}"
