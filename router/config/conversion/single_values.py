"""Converts single JSON values, which have no parts, and says what is wrong with them.

Invariant: a value marked secret is never quoted.
"""

from __future__ import annotations

import sys
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin

from msgspec import Struct

from router.files.json_files import kind_of, quote_value
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Check(Struct, frozen=True):
    """A rule for a value, beyond its type: `Annotated[int, Check("a port", ...)]`.

    Attributes:
        expected: what is accepted, for the message `expected ..., got ...`.
        accepts: returns whether a value, which has the right type, is accepted.
        secret: never quote the value.
    """

    expected: str
    accepts: Callable[[Any], bool]
    secret: bool = False


class UnexpectedValue(ValueError):
    """A value that is not what was expected; its text is for the user."""


def join_errors(errors: Sequence[ConfigError]) -> ConfigError:
    """Return one error for several; its text has one problem a line."""
    first, *others = errors
    if not others:
        return first
    return ConfigError(first.place, "\n".join([first.problem, *map(str, others)]))


TYPE_NAMES: Final[dict[type, str]] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
}


def _is_a(value: object, kind: type | UnionType) -> bool:
    """Return whether a JSON value is of a type, without Python's conversions."""
    if isinstance(kind, UnionType):
        return any(_is_a(value, part) for part in get_args(kind))
    if kind is bool or isinstance(value, bool):  # in Python, True is an int
        return kind is bool and isinstance(value, bool)
    if kind is float:
        # An integer will do, unless no float can hold it.
        return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
    return isinstance(value, kind)


def to_plain(value: Any, kind: type) -> Any:
    """Convert to one of `TYPE_NAMES`."""
    if _is_a(value, kind):
        return value
    raise unexpected(TYPE_NAMES[kind], value)


def to_checked(value: Any, kind: Any) -> Any:
    """Convert to a type with a `Check`."""
    base, check = get_args(kind)
    if not _is_a(value, base):
        # A base of several types is only named in the words of the check.
        expected: str = TYPE_NAMES.get(base) or check.expected
        raise unexpected(expected, value, secret=check.secret)
    if check.accepts(value):
        return value
    if check.secret:
        raise UnexpectedValue(f"expected {check.expected}")
    raise unexpected(check.expected, value)


def to_literal(value: Any, kind: Any) -> Any:
    """Convert to one of several words."""
    words = get_args(kind)
    if isinstance(value, str) and value in words:
        return value
    raise unexpected("one of " + ", ".join(f'"{word}"' for word in words), value)


def has_check(kind: Any) -> bool:
    """Return whether a type is an `Annotated` one with a `Check`."""
    return get_origin(kind) is Annotated and isinstance(get_args(kind)[1], Check)


def unexpected(expected: str, value: object, *, secret: bool = False) -> UnexpectedValue:
    """Return the error for a value that is not what was expected."""
    got = kind_of(value) if secret else quote_value(value)
    return UnexpectedValue(f"expected {expected}, got {got}")
