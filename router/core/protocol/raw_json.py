"""Reading and rewriting the few members of `params` that routing needs.

Job: raw JSON object <-> `dict[str, Raw]`, one level at a time. Neighbours: every module of the
core. Pure.

Invariant: what is read here is also what goes out. An object that was looked into is written
anew from its dict, so duplicate keys are gone, and a key that differs from a known one only in
case is refused (CVE-2026-27896), because a peer might read it as that one.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.frames import NO_RAW
from router.messages.params import given as given
from router.messages.params import object_of as object_of

_text: Final = msgspec.json.Decoder(str)
_id: Final = msgspec.json.Decoder(int | str)
_encode: Final = msgspec.json.encode

EMPTY_OBJECT: Final = Raw(b"{}")

_OBJECT_START: Final = ord("{")


def raw_of(value: Any) -> Raw:
    """Any JSON value (or a dict holding raw parts) as raw JSON; non-ASCII is kept."""
    return Raw(_encode(value))


def printable(text: str) -> str:
    """The text with lone surrogates escaped, which UTF-8 has no place for.

    The system's error messages have them where they quote a path or variable that is no UTF-8.
    """
    return text.encode(errors="backslashreplace").decode()


def known(members: dict[str, Raw], names: frozenset[str], place: str = "params") -> dict[str, Raw]:
    """The same members, none of which is a known name in other case.

    Args:
        names: the known ones.

    Raises:
        RpcError: -32602, naming the key.
    """
    if not members.keys() <= names:
        folded = {name.casefold() for name in names}
        for key in members.keys() - names:
            if key.casefold() in folded:
                raise RpcError(INVALID_PARAMS, f"{place}: {key!r} differs from a known key in case")
    return members


def text_of(members: dict[str, Raw], key: str, place: str = "params") -> str:
    """The string at `key`.

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
    """The string at `key`; None when it is missing or of another type."""
    found = request_id_of(members, key)
    return found if isinstance(found, str) else None


def is_object(raw: Raw) -> bool:
    """Does this raw JSON (without space around it) hold an object?"""
    return bool(raw) and memoryview(raw)[0] == _OBJECT_START


def request_id_of(members: dict[str, Raw], key: str) -> int | str | None:
    """A request id or progress token at `key`; None when it is missing or of another type."""
    return id_of(members.get(key, NO_RAW))


def id_of(raw: Raw) -> int | str | None:
    """A request id or progress token; None when it is absent or of another type."""
    try:
        return _id.decode(raw) if raw else None
    except msgspec.MsgspecError:
        return None
