"""Converts decoded JSON to attrs classes, strictly, with errors that name the path.

cattrs walks the classes; the conversions are ours: a JSON string is no number, `true` is no
integer, and an unknown key is an error.

Invariants: all errors of a file are found in one go; a value marked secret is never quoted; no
key of `config.json` is known here.
"""

from __future__ import annotations

import sys
from functools import cache
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    cast,
    get_args,
    get_origin,
)

import attrs
from cattrs.converters import Converter
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn
from msgspec import Struct

from router.files.json_files import kind_of, quote_key, quote_value
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
    try:
        return _converter.structure(value, kind)
    except (ClassValidationError, IterableValidationError, _UnexpectedValue) as exc:
        raise join_errors(list(_errors_in(exc, place, ""))) from None


def join_errors(errors: Sequence[ConfigError]) -> ConfigError:
    """Return one error for several; its text has one problem a line."""
    first, *others = errors
    if not others:
        return first
    return ConfigError(first.place, "\n".join([first.problem, *map(str, others)]))


# --- Conversions -----------------------------------------------------------------------------

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


def _to_tuple(value: Any, kind: Any) -> Any:
    if not isinstance(value, list):
        raise _unexpected("an array", value)
    return tuple(_converter.structure(value, list[get_args(kind)[0]]))


def _to_dict(value: Any, kind: Any) -> Any:
    """Convert an object whose keys are the user's own words; each of them is checked."""
    if not isinstance(value, dict):
        raise _unexpected("an object", value)
    key_kind, item_kind = get_args(kind)
    found: dict[str, Any] = {}
    problems: list[Exception] = []
    for key, item in cast("dict[str, Any]", value).items():
        try:
            found[_converter.structure(key, key_kind)] = _converter.structure(item, item_kind)
        except (ClassValidationError, IterableValidationError, _UnexpectedValue) as exc:
            # As cattrs does for the fields of a class: the note becomes a step of the path.
            exc.add_note(AttributeValidationNote("in an object", quote_key(key), item_kind))
            problems.append(exc)
    if problems:
        # `ExceptionGroup.__new__`, as typeshed has it, hides the third parameter.
        raise IterableValidationError("in an object", problems, kind)  # pyright: ignore[reportCallIssue]
    return found


def _to_class(kind: Any) -> Callable[[Any, Any], Any]:
    """Return the conversion to one attrs class."""

    # For start-up time: cattrs writes and compiles a function for each class. Most files have no
    # objects for some of them.
    @cache
    def filling() -> Callable[[dict[str, Any], Any], Any]:
        return make_dict_structure_fn(kind, _converter, _cattrs_forbid_extra_keys=True)

    def convert(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise _UnexpectedValue(f"expected an object, got {kind_of(value)}")
        return filling()(cast("dict[str, Any]", value), kind)

    return convert


def _unexpected(expected: str, value: object, *, secret: bool = False) -> _UnexpectedValue:
    got = kind_of(value) if secret else quote_value(value)
    return _UnexpectedValue(f"expected {expected}, got {got}")


def _new_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for kind in _TYPE_NAMES:
        converter.register_structure_hook(kind, _to_plain)
    converter.register_structure_hook_func(lambda t: get_origin(t) is Literal, _to_literal)
    converter.register_structure_hook_func(lambda t: get_origin(t) is tuple, _to_tuple)
    converter.register_structure_hook_func(lambda t: get_origin(t) is dict, _to_dict)
    converter.register_structure_hook_func(_has_check, _to_checked)
    converter.register_structure_hook_factory(attrs.has, _to_class)
    return converter


def _has_check(kind: Any) -> bool:
    return get_origin(kind) is Annotated and isinstance(get_args(kind)[1], Check)


_converter: Final = _new_converter()


# --- Errors with their paths -----------------------------------------------------------------


def _errors_in(exc: BaseException, place: str, path: str) -> Iterator[ConfigError]:
    """Yield the errors in the tree of exceptions that cattrs raises, each with its path."""
    if isinstance(exc, (ClassValidationError, IterableValidationError)):
        for part in exc.exceptions:
            yield from _errors_in(part, place, path + _path_step(part))
    elif isinstance(exc, ForbiddenExtraKeysError):
        known = ", ".join(attribute.name for attribute in attrs.fields(exc.cl))
        for key in sorted(exc.extra_fields):
            problem = f"unknown key; the keys here are {known}"
            yield ConfigError(_with_path(place, f"{path}.{quote_key(key)}"), problem)
    elif isinstance(exc, KeyError):
        yield ConfigError(_with_path(place, path), "is missing")
    else:
        yield ConfigError(_with_path(place, path), str(exc))


def _path_step(exc: BaseException) -> str:
    """Return the last step of the path to where `exc` was raised, as cattrs noted it."""
    for note in getattr(exc, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f".{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""


def _with_path(place: str, path: str) -> str:
    return f"{place}: {path.removeprefix('.')}" if path else place
