"""Defines the names and values that secrets may have.

Invariant: no message quotes a value.
"""

from __future__ import annotations

import re
from typing import Final

from router.files.json_files import quote_value
from router.messages.errors import ConfigError

SECRET_LIMIT_BYTES: Final = 64 * 1024
"""The longest value in UTF-8, as that of `${file:}` (`references.secret_files`)."""

NAME_RULE: Final = "a letter or _, and then letters, digits, _, . and -, at most 100"

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")


def is_secret_name(text: str) -> bool:
    """Return whether a secret may have this name; `NAME_RULE` says it in words."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> None:
    """Check the name of a secret.

    Raises:
        ConfigError: no secret may have it.
    """
    if not is_secret_name(name):
        raise ConfigError("the name of a secret", f"has to be {NAME_RULE}; got {quote_value(name)}")


def check_value(value: str) -> None:
    """Check the value of a secret.

    Raises:
        ConfigError: no secret may have it.
    """
    if not value:
        raise ConfigError("the value", "is empty")
    if "\0" in value:
        raise ConfigError("the value", "has a NUL character, which no variable can hold")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ConfigError("the value", "is not UTF-8 text") from None
    if size > SECRET_LIMIT_BYTES:
        raise ConfigError("the value", f"is larger than {SECRET_LIMIT_BYTES // 1024} kB")
