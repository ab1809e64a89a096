"""Converts decoded JSON to attrs classes, strictly, with errors that name the path.

A JSON string is no number, `true` is no integer, and an unknown key is an error. What has no
mistake is converted here, up to the first mistake. Then `every_mistake` converts it once more, by
cattrs, to name all of them.

Invariants: all errors of a file are found in one go; no key of `config.json` is known here.
"""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

from router.config.conversion.single_values import (
    TYPE_NAMES,
    Check,
    UnexpectedValue,
    has_check,
    join_errors,
    to_checked,
    to_literal,
    to_plain,
    unexpected,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Check", "convert_strictly", "join_errors")

T = TypeVar("T")


def convert_strictly(value: object, kind: type[T], place: str) -> T:
    """Return the attrs class `kind` made from a decoded JSON value.

    Args:
        value: as the JSON decoder returned it.
        kind: a class with default values for the keys that may be missing.
        place: the file's name in messages.

    Raises:
        ConfigError: for everything that is wrong in `value`, one problem a line.
    """
    try:
        return _convert(value, kind)
    except UnexpectedValue:
        # For start-up time, as the second conversion: cattrs takes long to import, and writes and
        # compiles a function for each class. Only a file with mistakes needs it.
        from router.config.conversion.every_mistake import convert_or_name_mistakes

        return convert_or_name_mistakes(value, kind, place)


# --- Without a mistake -----------------------------------------------------------------------


def _convert(value: Any, kind: Any) -> Any:
    """Convert a value and all that is in it.

    Raises:
        UnexpectedValue: something is wrong in it.
    """
    if kind in TYPE_NAMES:
        return to_plain(value, kind)
    if has_check(kind):
        return to_checked(value, kind)
    convert = _OF_PARTS.get(get_origin(kind)) or (_to_class if attrs.has(kind) else None)
    if convert is None:
        raise TypeError(f"no setting can be a {kind}")
    return convert(value, kind)


def _to_optional(value: Any, kind: Any) -> Any:
    """Convert to `X | None`; all other types that are several have a check."""
    (part,) = (part for part in get_args(kind) if part is not type(None))
    return None if value is None else _convert(value, part)


def _to_tuple(value: Any, kind: Any) -> Any:
    if not isinstance(value, list):
        raise unexpected("an array", value)
    part, _ = get_args(kind)
    return tuple(_convert(item, part) for item in cast("list[Any]", value))


def _to_dict(value: Any, kind: Any) -> Any:
    if not isinstance(value, dict):
        raise unexpected("an object", value)
    key_part, part = get_args(kind)
    items = cast("dict[str, Any]", value).items()
    return {_convert(key, key_part): _convert(item, part) for key, item in items}


def _to_class(value: Any, kind: Any) -> Any:
    if not isinstance(value, dict):
        raise unexpected("an object", value)
    kinds = _kinds_of_attributes(kind)
    found = {}
    for key, item in cast("dict[str, Any]", value).items():
        if key not in kinds:
            raise UnexpectedValue("unknown key")
        found[key] = _convert(item, kinds[key])
    if not found.keys() >= _required(kind):
        raise UnexpectedValue("is missing")
    return kind(**found)


@cache
def _kinds_of_attributes(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _required(kind: Any) -> frozenset[str]:
    return frozenset(one.name for one in attrs.fields(kind) if one.default is attrs.NOTHING)


_OF_PARTS: Final[dict[Any, Callable[[Any, Any], Any]]] = {
    Literal: to_literal,
    Union: _to_optional,
    UnionType: _to_optional,
    tuple: _to_tuple,
    dict: _to_dict,
}
"""The origin of a type -> the conversion to it."""
