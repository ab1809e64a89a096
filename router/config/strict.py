"""JSON values -> attrs classes, strictly, with errors that name the path.

Job: what cattrs does, in words for a person and without its conversions: a JSON string is no
number, `true` is no integer, and an unknown key is an error. Neighbours: `settings` above,
`errors` below; it knows no key of ours.

Invariants: all errors of a file are found in one go; a value marked secret is never quoted.
"""

from __future__ import annotations

import sys
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

from router.files.json_files import kind_of, path_step, shown
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")


@attrs.frozen
class Check:
    """A rule for a value, beyond its type: `Annotated[int, Check("a port", ...)]`.

    Attributes:
        expected: what is accepted, for the message `expected ..., got ...`.
        accepts: is this value, which has the right type, accepted?
        secret: never quote the value.
    """

    expected: str
    accepts: Callable[[Any], bool]
    secret: bool = False


class _Wrong(ValueError):
    """A value that is not what was expected; its text is for the user."""


def structure(value: object, kind: type[T], place: str) -> T:
    """The attrs class `kind` made from a decoded JSON value.

    Raises:
        ConfigError: for everything that is wrong in it, one problem a line.
    """
    try:
        return _converter.structure(value, kind)
    except (ClassValidationError, IterableValidationError, _Wrong) as exc:
        raise joined(list(_problems(exc, place, ""))) from None


def joined(problems: Sequence[ConfigError]) -> ConfigError:
    """One error for several: its text has one problem a line."""
    lines = "\n".join(str(problem) for problem in problems[1:])
    first = problems[0]
    return ConfigError(first.place, f"{first.problem}\n{lines}") if lines else first


# --- What is accepted ------------------------------------------------------------------------

_NAMES: Final[dict[type, str]] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
}


def _is_a(value: object, kind: type) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
    return isinstance(value, kind)


def _plain(value: Any, kind: type) -> Any:
    if _is_a(value, kind):
        return value
    raise _wrong(_NAMES[kind], value)


def _checked(value: Any, kind: Any) -> Any:
    base, rule = get_args(kind)
    if _is_a(value, base) and rule.accepts(value):
        return value
    if rule.secret and _is_a(value, base):
        raise _Wrong(f"expected {rule.expected}")
    expected = rule.expected if _is_a(value, base) else _NAMES[base]
    raise _wrong(expected, value, secret=rule.secret)


def _one_of(value: Any, kind: Any) -> Any:
    words = get_args(kind)
    if isinstance(value, str) and value in words:
        return value
    raise _wrong("one of " + ", ".join(f'"{word}"' for word in words), value)


def _array(value: Any, kind: Any) -> Any:
    if not isinstance(value, list):
        raise _wrong("an array", value)
    return tuple(_converter.structure(value, list[get_args(kind)[0]]))


def _mapping(value: Any, kind: Any) -> Any:
    """An object whose keys are the user's own words; every one of them is checked."""
    if not isinstance(value, dict):
        raise _wrong("an object", value)
    key_kind, item_kind = get_args(kind)
    found: dict[str, Any] = {}
    problems: list[Exception] = []
    for key, item in cast("dict[str, Any]", value).items():
        try:
            found[_converter.structure(key, key_kind)] = _converter.structure(item, item_kind)
        except (ClassValidationError, IterableValidationError, _Wrong) as exc:
            exc.add_note(AttributeValidationNote("in an object", path_step(key), item_kind))
            problems.append(exc)
    if problems:
        # `ExceptionGroup.__new__`, as typeshed has it, hides the third parameter.
        raise IterableValidationError("in an object", problems, kind)  # pyright: ignore[reportCallIssue]
    return found


def _wrong(expected: str, value: object, *, secret: bool = False) -> _Wrong:
    got = kind_of(value) if secret else shown(value)
    return _Wrong(f"expected {expected}, got {got}")


def _object_of(kind: Any) -> Callable[[Any, Any], Any]:
    fill = make_dict_structure_fn(kind, _converter, _cattrs_forbid_extra_keys=True)

    def object_of(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise _Wrong(f"expected an object, got {kind_of(value)}")
        return fill(cast("dict[str, Any]", value), kind)

    return object_of


def _new_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for kind in _NAMES:
        converter.register_structure_hook(kind, _plain)
    converter.register_structure_hook_func(lambda t: get_origin(t) is Literal, _one_of)
    converter.register_structure_hook_func(lambda t: get_origin(t) is tuple, _array)
    converter.register_structure_hook_func(lambda t: get_origin(t) is dict, _mapping)
    converter.register_structure_hook_func(_has_check, _checked)
    converter.register_structure_hook_factory(attrs.has, _object_of)
    return converter


def _has_check(kind: Any) -> bool:
    return get_origin(kind) is Annotated and isinstance(get_args(kind)[1], Check)


_converter: Final = _new_converter()


# --- What was wrong, and where ---------------------------------------------------------------


def _problems(exc: BaseException, place: str, path: str) -> Iterator[ConfigError]:
    if isinstance(exc, (ClassValidationError, IterableValidationError)):
        for part in exc.exceptions:
            yield from _problems(part, place, path + _step(part))
    elif isinstance(exc, ForbiddenExtraKeysError):
        known = ", ".join(attribute.name for attribute in attrs.fields(exc.cl))
        for key in sorted(exc.extra_fields):
            where = _joined_path(place, f"{path}.{path_step(key)}")
            yield ConfigError(where, f"unknown key; the keys here are {known}")
    elif isinstance(exc, KeyError):
        yield ConfigError(_joined_path(place, path), "is missing")
    else:
        yield ConfigError(_joined_path(place, path), str(exc))


def _step(exc: BaseException) -> str:
    """The last step of the path to where `exc` was raised, as cattrs noted it."""
    for note in getattr(exc, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f".{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""


def _joined_path(place: str, path: str) -> str:
    return f"{place}: {path.removeprefix('.')}" if path else place
