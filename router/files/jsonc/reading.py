"""Reads an object of the user's own files, which may have comments."""

from __future__ import annotations

from typing import Any, cast

from router.files.json_files import decode_object, kind_of
from router.messages.errors import ConfigError


def decode_commented_object(data: bytes, place: str) -> dict[str, Any]:
    """Return the object in JSON that may have comments, and a comma behind the last member.

    Args:
        data: the content of the file, without a byte order mark.
        place: its name in messages.

    Raises:
        ConfigError: as `decode_object`.
    """
    try:
        return decode_object(data, place)
    except ConfigError:
        # For start-up time: most files are plain JSON.
        from router.files.jsonc.document import has_comments, parse_jsonc

        if not has_comments(data):
            raise
        value = parse_jsonc(data, place).value
    if not isinstance(value, dict):
        raise ConfigError(place, f"expected an object, got {kind_of(value)}")
    return cast("dict[str, Any]", value)
