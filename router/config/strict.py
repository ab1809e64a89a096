"""Converts decoded JSON to attrs classes, strictly, with errors that name the path.

A JSON string is no number, `true` is no integer, and an unknown key is an error.

Invariants: all errors of a file are found in one go; a value marked secret is never quoted; no
key of `config.json` is known here.
"""

from __future__ import annotations

import sys
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
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
from msgspec import Struct

from router.files.json_files import kind_of, quote_key, quote_value
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


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


class _UnexpectedValue(ValueError):
    """A value that is not what was expected; its text is for the user."""


def convert_strictly(value: object, kind: type[T], place: str) -> T:
    """Return the attrs class `kind` made from a decoded JSON value.

    Args:
        value: as the JSON decoder returned it.
        kind: a class with default values for the keys that may be missing.
        place: the file's name in messages.

    Raises:
        ConfigError: for everything that is wrong in `value`, one problem a line.
    """
    conversion = _Conversion(place)
    converted = conversion.convert(value, kind, "")
    if conversion.problems:
        raise join_errors(conversion.problems)
    return converted


def join_errors(errors: Sequence[ConfigError]) -> ConfigError:
    """Return one error for several; its text has one problem a line."""
    first, *others = errors
    if not others:
        return first
    return ConfigError(first.place, "\n".join([first.problem, *map(str, others)]))


# --- Classes and collections ------------------------------------------------------------------


class _Conversion:
    """Converts one value with all that it contains.

    Attributes:
        problems: everything that is wrong in it; a value with a problem is converted to None.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self.problems: list[ConfigError] = []

    def convert(self, value: Any, kind: Any, path: str) -> Any:
        """Return a value as `kind` has it.

        Args:
            value: as the JSON decoder returned it.
            kind: an attrs class, or another type in the annotation of one.
            path: of the value in the file; empty for the whole file.
        """
        try:
            if attrs.has(kind):
                return self._to_class(value, kind, path)
            origin = get_origin(kind)
            if origin is dict:
                return self._to_dict(value, kind, path)
            if origin is tuple:
                return self._to_tuple(value, kind, path)
            if origin in (Union, UnionType):
                return self._to_optional(value, kind, path)
            return _to_simple(value, kind, origin)
        except _UnexpectedValue as exc:
            self._add_problem(path, str(exc))
            return None

    def _to_class(self, value: Any, kind: Any, path: str) -> Any:
        found, known = _object(value), _kinds_in(kind)
        before, made = len(self.problems), dict[str, Any]()
        for attribute in attrs.fields(kind):
            name = attribute.name
            if name in found:
                made[name] = self.convert(found[name], known[name], f"{path}.{name}")
            elif attribute.default is attrs.NOTHING:
                self._add_problem(f"{path}.{name}", "is missing")
        for key in sorted(found.keys() - known.keys()):
            problem = f"unknown key; the keys here are {', '.join(known)}"
            self._add_problem(f"{path}.{quote_key(key)}", problem)
        return kind(**made) if len(self.problems) == before else None

    def _to_dict(self, value: Any, kind: Any, path: str) -> dict[str, Any]:
        """Convert an object whose keys are the user's own words; each of them is checked."""
        key_kind, item_kind = get_args(kind)
        made: dict[str, Any] = {}
        for key, item in _object(value).items():
            before, item_path = len(self.problems), f"{path}.{quote_key(key)}"
            name = self.convert(key, key_kind, item_path)
            if len(self.problems) == before:
                made[name] = self.convert(item, item_kind, item_path)
        return made

    def _to_tuple(self, value: Any, kind: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _unexpected("an array", value)
        item_kind = get_args(kind)[0]
        items = enumerate(cast("list[Any]", value))
        return tuple([self.convert(item, item_kind, f"{path}[{n}]") for n, item in items])

    def _to_optional(self, value: Any, kind: Any, path: str) -> Any:
        """Convert to the one kind that is not None; a union of more has a `Check`."""
        (only,) = (part for part in get_args(kind) if part is not NoneType)
        return None if value is None else self.convert(value, only, path)

    def _add_problem(self, path: str, problem: str) -> None:
        place = f"{self._place}: {path.removeprefix('.')}" if path else self._place
        self.problems.append(ConfigError(place, problem))


def _kinds_in(kind: type) -> dict[str, Any]:
    """Return the types of the attributes of a class, by their names and in their order."""
    hints = get_type_hints(kind, include_extras=True)
    return {attribute.name: hints[attribute.name] for attribute in attrs.fields(kind)}


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _UnexpectedValue(f"expected an object, got {kind_of(value)}")
    return cast("dict[str, Any]", value)


# --- Single values ----------------------------------------------------------------------------

_TYPE_NAMES: Final[dict[type, str]] = {
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


def _to_simple(value: Any, kind: Any, origin: Any) -> Any:
    if origin is Literal:
        return _to_literal(value, kind)
    if origin is Annotated:
        return _to_checked(value, kind)
    return _to_plain(value, kind)


def _to_plain(value: Any, kind: type) -> Any:
    if _is_a(value, kind):
        return value
    raise _unexpected(_TYPE_NAMES[kind], value)


def _to_checked(value: Any, kind: Any) -> Any:
    base, check = get_args(kind)
    if not _is_a(value, base):
        # A base of several types is only named in the words of the check.
        expected: str = _TYPE_NAMES.get(base) or check.expected
        raise _unexpected(expected, value, secret=check.secret)
    if check.accepts(value):
        return value
    if check.secret:
        raise _UnexpectedValue(f"expected {check.expected}")
    raise _unexpected(check.expected, value)


def _to_literal(value: Any, kind: Any) -> Any:
    words = get_args(kind)
    if isinstance(value, str) and value in words:
        return value
    raise _unexpected("one of " + ", ".join(f'"{word}"' for word in words), value)


def _unexpected(expected: str, value: object, *, secret: bool = False) -> _UnexpectedValue:
    got = kind_of(value) if secret else quote_value(value)
    return _UnexpectedValue(f"expected {expected}, got {got}")
