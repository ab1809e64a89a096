"""Compares the entries of found servers with each other and with those of instances. Pure.

Two entries are the same if they reach the same server in the same way. What the router's user has
added to an instance, such as filters or a switch, is no difference.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from router.client_files.importing.secret_values import MASK, masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REACHED_BY: Final = ("type", "command", "args", "env", "cwd", "url", "headers")
"""Keys that say how a server is reached."""

_NO_DIFFERENCE: Final = ("isActive", "metadata")
_SECRET: Final = re.compile(r"\$\{secret:([^{}]+)\}")


def resolved(entry: Mapping[str, Any], look_up: Callable[[str], str | None]) -> dict[str, Any]:
    """Return an entry with the values of its secrets, to be compared and never to be shown."""

    def value_of(found: re.Match[str]) -> str:
        value = look_up(found[1])
        return found[0] if value is None else value

    return {key: _in_texts(value, value_of) for key, value in entry.items()}


def hidden(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with all its secrets hidden, and the references to secrets as well."""
    return resolved(masked(entry), lambda _: MASK)


def _in_texts(value: Any, value_of: Callable[[re.Match[str]], str]) -> Any:
    if isinstance(value, str):
        return _SECRET.sub(value_of, value)
    if isinstance(value, list):
        return [_in_texts(item, value_of) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _in_texts(item, value_of) for key, item in items}
    return value


def identity(entry: Mapping[str, Any]) -> bytes:
    """Return what two entries of the same server have in common, to be used as a key."""
    return msgspec.json.encode(
        {key: entry[key] for key in REACHED_BY if key in entry}, order="sorted"
    )


def changed_keys(found: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """Return the keys in which a found entry differs from that of an instance.

    Args:
        found: with the values of its secrets.
        there: the same of the instance.
    """
    keys = [key for key in REACHED_BY if found.get(key) != there.get(key)]
    others = [key for key in found if key not in (*REACHED_BY, *_NO_DIFFERENCE)]
    return keys + [key for key in others if found[key] != there.get(key)]


def difference_lines(
    keys: list[str],
    compared: tuple[Mapping[str, Any], Mapping[str, Any]],
    written: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> tuple[str, ...]:
    """Return the differences as lines, `-` for what is there and `+` for what was found.

    Args:
        keys: in which they differ.
        compared: the entries of the instance and of the found server, with the values of their
            secrets, which are not shown.
        written: the same entries as they are written, with references; these are shown.
    """
    there, found = map(masked, written)
    lines: list[str] = []
    for key in keys:
        before, after = compared[0].get(key), compared[1].get(key)
        if not isinstance(before or after, dict):
            lines += _pair(key, there.get(key), found.get(key))
            continue
        values, shown = (
            (_table(before), _table(after)),
            (_table(there.get(key)), _table(found.get(key))),
        )
        for name in dict.fromkeys([*values[0], *values[1]]):
            if values[0].get(name) != values[1].get(name):
                lines += _pair(f"{key}.{name}", shown[0].get(name), shown[1].get(name))
    return tuple(lines)


def _table(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _pair(path: str, old: Any, new: Any) -> Iterator[str]:
    if old is not None:
        yield f"- {path}: {_text(old)}"
    if new is not None:
        yield f"+ {path}: {_text(new)}"


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
