"""JSON files of the user's: bounded reading with the place of an error, and atomic writing.

Job: the bytes of `config.json` and `mcp_settings.json`, and what JSON they are. Neighbours:
`settings` and `store` above, `folders` and `errors` below; it knows nothing of what the files mean.

Invariants:

- A file is read whole or not at all, up to a limit, and only where it is a regular file: a pipe
  or a device cannot make the program wait.
- A key that is there twice is an error.
- A file is replaced in one step (see `folders`).
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from router.files.safe_folder import Folder
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_TRUNCATED: Final = "Input data was truncated"
_BYTE: Final = re.compile(r" \(byte (\d+)\)$")
_BOM: Final = b"\xef\xbb\xbf"
_KINDS: Final[dict[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


def read_bytes(path: Path, place: str, limit_bytes: int) -> bytes:
    """The content of a regular file, without a UTF-8 byte order mark.

    Args:
        path: what to read.
        place: how messages name it.
        limit_bytes: how large it may be.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is too large, no regular file, or cannot be read.
    """
    try:
        data = _read(path, limit_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise ConfigError(place, f"cannot be read: {exc.strerror or exc}") from None
    return _without_bom(data, place, limit_bytes)


def read_in(folder: Folder, name: str, place: str, limit_bytes: int) -> bytes:
    """As `read_bytes`, but through no symbolic link.

    Raises:
        OSError: as `Folder.read`.
        ConfigError: it is too large.
    """
    return _without_bom(folder.read(name, limit_bytes + 1), place, limit_bytes)


def _without_bom(data: bytes, place: str, limit_bytes: int) -> bytes:
    if len(data) > limit_bytes:
        raise ConfigError(place, f"is larger than {limit_bytes // (1024 * 1024)} MB")
    return data.removeprefix(_BOM)


def decode_object(data: bytes, place: str) -> dict[str, Any]:
    """The JSON object in `data` (RFC 8259).

    Raises:
        ConfigError: it is no UTF-8, no JSON (with line and column), no object, or has a key twice.
    """
    value = _decode(data, place, Any)
    if not isinstance(value, dict):
        raise ConfigError(place, f"expected an object, got {kind_of(value)}")
    members = cast("dict[str, Any]", value)
    _check_repetition(data, members, place)
    return members


def _check_repetition(data: bytes, value: object, place: str) -> None:
    """Nobody is to believe in what stands under a key that another one of the same name hides."""
    if len(msgspec.json.encode(value)) == len(msgspec.json.format(data, indent=-1)):
        return  # nothing was left out
    # For start-up time: hardly any file is written so that this is needed to be sure.
    import json

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            key = next(key for key in keys if keys.count(key) > 1)
            raise ConfigError(place, f"the key {shown(key)} is there twice in one object")
        return found

    try:
        json.loads(data, object_pairs_hook=once, parse_int=str, parse_float=str)
    except RecursionError:
        raise ConfigError(place, "is nested too deeply") from None


def decode_members(data: bytes, place: str) -> dict[str, msgspec.Raw]:
    """The members of the JSON object in `data`, in their order and as they are written.

    Raises:
        ConfigError: as `decode_object`.
    """
    decode_object(data, place)
    return _decode(data, place, dict[str, msgspec.Raw])


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by a file that holds `data`, or leave it exactly as it was.

    Raises:
        OSError: as `Folder.write`.
    """
    with Folder.open(path.parent) as folder:
        folder.write(path.name, data)


def shown(value: object) -> str:
    """A value from a file as messages quote it: JSON, cut short; of an array, only that it is."""
    if isinstance(value, (dict, list)):
        return kind_of(cast("object", value))
    if isinstance(value, str):
        # Names of files may be no UTF-8; Python has lone surrogates for that.
        value = value.encode(errors="backslashreplace").decode()
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def path_step(key: str) -> str:
    """A key from a file as messages name it: as it is, unless it could forge a line."""
    return key if key.isprintable() else shown(key)


def kind_of(value: object) -> str:
    """What sort of JSON value this is, for where its content is not to be shown."""
    return _KINDS.get(type(value), "null")


def _read(path: Path, limit_bytes: int) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is no regular file")
        return file.read(limit_bytes)


def _decode(data: bytes, place: str, kind: Any) -> Any:
    try:
        data.decode("utf-8")
        return msgspec.json.decode(data, type=kind)
    except UnicodeDecodeError as exc:
        where = _where(data, exc.start)
        raise ConfigError(place, f"{where}: is not UTF-8; save it as UTF-8") from None
    except msgspec.DecodeError as exc:
        raise ConfigError(place, _explained(data, str(exc))) from None
    except RecursionError:
        raise ConfigError(place, "is nested too deeply") from None


def _explained(data: bytes, problem: str) -> str:
    """msgspec's words with line and column instead of a byte offset."""
    if problem == _TRUNCATED:
        return f"{_where(data, len(data))}: invalid JSON: it ends too early"
    found = _BYTE.search(problem)
    if found is None:
        return f"invalid JSON: {problem.partition(' - at ')[0]}"
    offset = min(int(found[1]), len(data))
    reason = _BYTE.sub("", problem).removeprefix("JSON is malformed: ")
    if data[offset : offset + 2] in (b"//", b"/*"):
        reason = "JSON knows no comments; remove this one"
    return f"{_where(data, offset)}: invalid JSON: {reason}"


def _where(data: bytes, offset: int) -> str:
    head = data[:offset].decode("utf-8", "replace")
    return f"line {head.count(chr(10)) + 1}, column {len(head) - head.rfind(chr(10))}"
