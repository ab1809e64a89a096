"""Reads and rewrites raw JSON objects, one level at a time, as `dict[str, Raw]`.

Invariants, so that no peer reads into a message what the router did not (CVE-2026-27896):

- An object that was looked into is written anew from its dict, so duplicate keys are gone.
- A key that differs from a known key only in case is refused: a peer might take it for that key.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.frames import NO_RAW

_text: Final = msgspec.json.Decoder(str)
_id: Final = msgspec.json.Decoder(int | str)
_encode: Final = msgspec.json.encode

EMPTY_OBJECT: Final = Raw(b"{}")

_OBJECT_START: Final = ord("{")


def raw_of(value: Any) -> Raw:
    """Encode any JSON value, which may hold raw parts; non-ASCII characters are kept."""
    return Raw(_encode(value))


def printable(text: str) -> str:
    """Return the text with lone surrogates escaped, which UTF-8 cannot encode.

    The system's error messages hold them where they quote a path or variable that is no UTF-8.
    """
    return text.encode(errors="backslashreplace").decode()


def check_key_case(
    members: dict[str, Raw], names: frozenset[str], place: str = "params"
) -> dict[str, Raw]:
    """Return the same members; refuse a key that is one of `names` in another case.

    Args:
        members: the members of an object; unknown keys are allowed.
        names: the keys that the router reads.
        place: names the object in the error.

    Raises:
        RpcError: -32602, with the key.
    """
    if not members.keys() <= names:
        folded = {name.casefold() for name in names}
        for key in members.keys() - names:
            if key.casefold() in folded:
                raise RpcError(INVALID_PARAMS, f"{place}: {key!r} differs from a known key in case")
    return members


def text_of(members: dict[str, Raw], key: str, place: str = "params") -> str:
    """Return the string at `key`.

    Raises:
        RpcError: -32602, it is missing or no string.
    """
    raw = members.get(key)
    if raw is None:
        raise RpcError(INVALID_PARAMS, f"{place}.{key} is missing")
    try:
        return _text.decode(raw)
    except msgspec.MsgspecError:
        raise RpcError(INVALID_PARAMS, f"{place}.{key} must be a string") from None


def optional_text_of(members: dict[str, Raw], key: str) -> str | None:
    """Return the string at `key`; None when it is missing or of another type."""
    found = request_id_of(members, key)
    return found if isinstance(found, str) else None


def is_object(raw: Raw) -> bool:
    """Return whether this raw JSON holds an object; no space may surround it."""
    return bool(raw) and memoryview(raw)[0] == _OBJECT_START


def request_id_of(members: dict[str, Raw], key: str) -> int | str | None:
    """Return the request id or progress token at `key`; None if missing or of another type."""
    return id_of(members.get(key, NO_RAW))


def id_of(raw: Raw) -> int | str | None:
    """Return a request id or progress token; None when it is absent or of another type."""
    try:
        return _id.decode(raw) if raw else None
    except msgspec.MsgspecError:
        return None
