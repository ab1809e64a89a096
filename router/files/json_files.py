"""Reads the user's JSON files within limits, names the place of an error, and writes atomically.

Invariants:

- A file is read whole or not at all, up to a limit, and only where it is a regular file: a pipe
  or a device cannot make the program wait.
- A key that occurs twice in an object is an error.
- A file is replaced in one step (see `safe_folder`).

What the files mean is decided by `config` and `instance_files`.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from router.files.safe_folder import SafeFolder
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TRUNCATED: Final = "Input data was truncated"
_BYTE_OFFSET: Final = re.compile(r" \(byte (\d+)\)$")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_QUOTED_CHARACTERS: Final = 60
"""Longest value that a message quotes; messages stay on one line of a terminal."""

_KINDS: Final[dict[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


# --- Reading ---------------------------------------------------------------------------------


def read_bytes(path: Path, place: str, limit_bytes: int) -> bytes:
    """Return the content of a regular file, without a UTF-8 byte order mark.

    Args:
        path: the file.
        place: the file's name in messages.
        limit_bytes: the largest size that is read.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: the file is too large, not a regular file, or cannot be read.
    """
    # Opening a pipe would wait for a writer without O_NONBLOCK; regular files do not care.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(place, "cannot be read: it is no regular file")
            data = file.read(limit_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise ConfigError(place, f"cannot be read: {exc.strerror or exc}") from None
    return _checked_content(data, place, limit_bytes)


def read_bytes_in(folder: SafeFolder, name: str, place: str, limit_bytes: int) -> bytes:
    """Return the same as `read_bytes`, but follow no symbolic link.

    Raises:
        OSError: as `SafeFolder.read`.
        ConfigError: the file is too large.
    """
    return _checked_content(folder.read(name, limit_bytes + 1), place, limit_bytes)


def _checked_content(data: bytes, place: str, limit_bytes: int) -> bytes:
    if len(data) > limit_bytes:
        kilobytes = limit_bytes // 1024
        limit = f"{kilobytes} kB" if kilobytes < 1024 else f"{kilobytes // 1024} MB"
        raise ConfigError(place, f"is larger than {limit}")
    return data.removeprefix(_BYTE_ORDER_MARK)


# --- Decoding --------------------------------------------------------------------------------


def decode_object(data: bytes, place: str) -> dict[str, Any]:
    """Return the JSON object in `data` (RFC 8259).

    Raises:
        ConfigError: `data` is not UTF-8, not JSON (with line and column), not an object, nested
            too deeply, or has a key twice in one object.
    """
    value = _decode(data, place, Any)
    if not isinstance(value, dict):
        raise ConfigError(place, f"expected an object, got {kind_of(value)}")
    members = cast("dict[str, Any]", value)
    _refuse_repeated_keys(data, members, place)
    return members


def decode_members(data: bytes, place: str) -> dict[str, msgspec.Raw]:
    """Return the members of the JSON object in `data`, in their order and as they are written.

    Raises:
        ConfigError: as `decode_object`.
    """
    decode_object(data, place)
    return _decode(data, place, dict[str, msgspec.Raw])


def _refuse_repeated_keys(data: bytes, value: object, place: str) -> None:
    """Raise if a key hides another of the same name: its author would believe in both."""
    # Decoding keeps the last of two equal keys: where encoding gives the file back, there were
    # none. Numbers and escapes that are written unusually come back differently, too.
    if msgspec.json.encode(value) == msgspec.json.format(data, indent=-1):
        return
    # For start-up time: few files get here.
    import json

    def refuse_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            key = next(key for key in keys if keys.count(key) > 1)
            raise ConfigError(place, f"the key {quote_value(key)} is there twice in one object")
        return found

    try:
        # Numbers stay text: `int` refuses very long ones, and their value does not matter here.
        json.loads(data, object_pairs_hook=refuse_repetition, parse_int=str, parse_float=str)
    except RecursionError:
        raise ConfigError(place, "is nested too deeply") from None


def _decode(data: bytes, place: str, json_type: Any) -> Any:
    try:
        data.decode("utf-8")  # msgspec would count from the start of a string, not of the file
        return msgspec.json.decode(data, type=json_type)
    except UnicodeDecodeError as exc:
        where = line_and_column(data, exc.start)
        raise ConfigError(place, f"{where}: is not UTF-8; save it as UTF-8") from None
    except msgspec.DecodeError as exc:
        raise ConfigError(place, _locate_problem(data, str(exc))) from None
    except RecursionError:
        raise ConfigError(place, "is nested too deeply") from None


def _locate_problem(data: bytes, problem: str) -> str:
    """Return msgspec's words with line and column instead of a byte offset."""
    if problem == _TRUNCATED:
        return f"{line_and_column(data, len(data))}: invalid JSON: it ends too early"
    found = _BYTE_OFFSET.search(problem)
    if found is None:
        return f"invalid JSON: {problem.partition(' - at ')[0]}"
    offset = min(int(found[1]), len(data))
    reason = _BYTE_OFFSET.sub("", problem).removeprefix("JSON is malformed: ")
    if data[offset : offset + 2] in (b"//", b"/*"):
        reason = "JSON knows no comments; remove this one"
    return f"{line_and_column(data, offset)}: invalid JSON: {reason}"


def line_and_column(data: bytes, offset: int) -> str:
    """Return a place in a file in words, counted from 1, with columns in characters."""
    before = data[:offset].decode("utf-8", "replace")
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


# --- Words for messages ----------------------------------------------------------------------


def quote_value(value: object) -> str:
    """Return a value from a file as messages quote it: JSON, cut short.

    Of arrays and objects only their kind is told, because they may hold secrets.
    """
    if isinstance(value, (dict, list)):
        return kind_of(cast("object", value))
    if isinstance(value, str):
        # File names that are not UTF-8 hold lone surrogates, which JSON cannot encode.
        value = value.encode(errors="backslashreplace").decode()
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[: _QUOTED_CHARACTERS - 3]}..."


def quote_key(key: str) -> str:
    """Return a key from a file as messages name it: unchanged, unless it could forge a line."""
    return key if key.isprintable() else quote_value(key)


def kind_of(value: object) -> str:
    """Return the kind of a JSON value in words, for messages that must not show its content."""
    return _KINDS.get(type(value), "null")


def strings_in(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield all strings in a JSON value, each with its path, which begins with `path`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, part in cast("dict[str, Any]", value).items():
            yield from strings_in(part, f"{path}.{quote_key(key)}" if path else quote_key(key))
    elif isinstance(value, list):
        for index, part in enumerate(cast("list[Any]", value)):
            yield from strings_in(part, f"{path}[{index}]")


# --- Writing ---------------------------------------------------------------------------------


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by a file that holds `data`, or leave it exactly as it was.

    Raises:
        OSError: as `SafeFolder.write`.
    """
    with SafeFolder.open(path.parent) as folder:
        folder.write(path.name, data)
