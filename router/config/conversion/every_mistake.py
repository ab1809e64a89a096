"""Converts decoded JSON to attrs classes by cattrs, to name every mistake in it with its path.

cattrs walks the classes; the conversions of single values are those of `single_values`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, get_args, get_origin

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

from router.config.conversion.single_values import (
    TYPE_NAMES,
    UnexpectedValue,
    has_check,
    join_errors,
    to_checked,
    to_literal,
    to_plain,
    unexpected,
)
from router.core.text.nearest_names import likely_meant
from router.files.json_files import kind_of, quote_key
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


def convert_or_name_mistakes(value: object, kind: type[T], place: str) -> T:
    """Return the same as `strict.convert_strictly`.

    Raises:
        ConfigError: for everything that is wrong in `value`, one problem a line.
    """
    try:
        return _converter.structure(value, kind)
    except (ClassValidationError, IterableValidationError, UnexpectedValue) as exc:
        raise join_errors(list(_errors_in(exc, place, ""))) from None


# --- Conversions -----------------------------------------------------------------------------


def _to_tuple(value: Any, kind: Any) -> Any:
    if not isinstance(value, list):
        raise unexpected("an array", value)
    return tuple(_converter.structure(value, list[get_args(kind)[0]]))


def _to_dict(value: Any, kind: Any) -> Any:
    """Convert an object whose keys are the user's own words; each of them is checked."""
    if not isinstance(value, dict):
        raise unexpected("an object", value)
    key_kind, item_kind = get_args(kind)
    found: dict[str, Any] = {}
    problems: list[Exception] = []
    for key, item in cast("dict[str, Any]", value).items():
        try:
            found[_converter.structure(key, key_kind)] = _converter.structure(item, item_kind)
        except (ClassValidationError, IterableValidationError, UnexpectedValue) as exc:
            # As cattrs does for the fields of a class: the note becomes a step of the path.
            exc.add_note(AttributeValidationNote("in an object", quote_key(key), item_kind))
            problems.append(exc)
    if problems:
        # `ExceptionGroup.__new__`, as typeshed has it, hides the third parameter.
        raise IterableValidationError("in an object", problems, kind)  # pyright: ignore[reportCallIssue]
    return found


def _to_class(kind: Any) -> Callable[[Any, Any], Any]:
    """Return the conversion to one attrs class."""
    fill = make_dict_structure_fn(kind, _converter, _cattrs_forbid_extra_keys=True)

    def convert(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise UnexpectedValue(f"expected an object, got {kind_of(value)}")
        return fill(cast("dict[str, Any]", value), kind)

    return convert


def _new_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for kind in TYPE_NAMES:
        converter.register_structure_hook(kind, to_plain)
    converter.register_structure_hook_func(lambda t: get_origin(t) is Literal, to_literal)
    converter.register_structure_hook_func(lambda t: get_origin(t) is tuple, _to_tuple)
    converter.register_structure_hook_func(lambda t: get_origin(t) is dict, _to_dict)
    converter.register_structure_hook_func(has_check, to_checked)
    converter.register_structure_hook_factory(attrs.has, _to_class)
    return converter


_converter: Final = _new_converter()


# --- Errors with their paths -----------------------------------------------------------------


def _errors_in(exc: BaseException, place: str, path: str) -> Iterator[ConfigError]:
    """Yield the errors in the tree of exceptions that cattrs raises, each with its path."""
    if isinstance(exc, (ClassValidationError, IterableValidationError)):
        for part in exc.exceptions:
            yield from _errors_in(part, place, path + _path_step(part))
    elif isinstance(exc, ForbiddenExtraKeysError):
        names = [attribute.name for attribute in attrs.fields(exc.cl)]
        for key in sorted(exc.extra_fields):
            meant = likely_meant(key, names)
            way_out = f"did you mean {meant}?" if meant else f"the keys here are {', '.join(names)}"
            problem = f"unknown key; {way_out}"
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
