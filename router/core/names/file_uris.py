"""Reads a client's root, a `file://` URI, into an absolute path (MCP 2025-11-25, Roots; RFC 8089).

Invariant: a path that is returned is absolute, normal (no `.`, no `..`, no double slash), and holds
no control character. It may go into the arguments of a process: as it begins with a slash, it
cannot be taken for an option.
"""

from __future__ import annotations

import posixpath
import re
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_PATH_CHARS: Final = 4096
"""The most that Linux takes in one path (PATH_MAX)."""

_FILE_URI: Final = re.compile(
    r"file:(?://(?P<host>[^/?#]*)|(?!//))(?P<path>/[^?#]*)", re.IGNORECASE
)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9a-fA-F]{2})")
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")


def path_of(uri: str) -> str:
    """Return the path of a `file` URI.

    Raises:
        ValueError: it is no `file` URI of this machine, or its path is not plain; with a reason.
    """
    found = _FILE_URI.fullmatch(uri)
    if found is None:
        raise ValueError("is no file URI with an absolute path")
    if (found["host"] or "localhost").lower() != "localhost":
        raise ValueError("names another machine")
    if _BAD_ESCAPE.search(found["path"]):
        raise ValueError("has a % that begins no escape")
    try:
        path = unquote_to_bytes(found["path"]).decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    if _CONTROL_CHARACTER.search(path):
        raise ValueError("has a control character")
    if ".." in path.split("/"):
        raise ValueError("has a part ..")
    if len(path) > MAX_PATH_CHARS:
        raise ValueError(f"is longer than {MAX_PATH_CHARS:,} characters")
    # Two slashes at the beginning would mean something else (POSIX.1-2017, 4.13).
    return posixpath.normpath("/" + path.lstrip("/"))
