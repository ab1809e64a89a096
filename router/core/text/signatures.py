"""Writes the arguments of a tool as one short line: `path: string, encoding?: "utf8"|"ascii"`.

A model that knows this line can make most calls without the whole schema.

Invariants: pure; whatever the schema, the line is bounded, printable, and takes bounded work.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, TypeGuard, cast

import msgspec
from msgspec import Struct

from router.core.text.sentences import cut_to_one_line

MAX_CHARS: Final = 300
"""Characters of a signature, but for the note about what was left out."""

_MAX_NAME: Final = 64
_MAX_ENUM: Final = 6
"""Values of an `enum` that are written out; of more than that, only their type is."""

_MAX_TYPE: Final = 60
_MAX_DEPTH: Final = 5
"""Levels of a schema that are looked at, references among them: a schema may contain itself."""

_MAX_STEPS: Final = 1000
"""Parts of a schema that are looked at: each of its levels may have several ways to go on."""

_MAX_WRITTEN: Final = MAX_CHARS // 4
"""Arguments of which more than the number is needed: there is no room for as many."""

_MAX_REFERENCE: Final = 256
"""Characters of a reference that is followed."""

_ANY: Final = "any"
_OBJECT: Final = "object"


def signature(schema: Any) -> str:
    """Return the arguments that an input schema describes, the required ones first.

    Args:
        schema: a JSON Schema, decoded; anything else has no arguments.
    """
    if not _is_object(schema):
        return ""
    properties = _object_at(schema, "properties")
    required = schema.get("required")
    listed: list[Any] = cast("list[Any]", required) if isinstance(required, list) else []
    first = dict.fromkeys((one for one in listed if isinstance(one, str)), "")
    marks = first | {name: "?" for name in properties if name not in first}
    root = _Root(schema, _MAX_STEPS)
    written = [
        f"{_name(name)}{mark}: {_type(properties.get(name, True), root)}"
        for name, mark in islice(marks.items(), _MAX_WRITTEN)
    ]
    return _joined(written, len(marks))


def prompt_signature(arguments: Any) -> str:
    """Return the arguments of a prompt, which are all strings: `topic, tone?`.

    Args:
        arguments: the `arguments` of a prompt, decoded; anything else is no arguments.
    """
    listed = cast("list[Any]", arguments) if isinstance(arguments, list) else []
    named = [one for one in listed if _is_object(one) and isinstance(one.get("name"), str)]
    named.sort(key=lambda one: one.get("required") is not True)
    written = [
        _name(one["name"]) + ("" if one.get("required") is True else "?")
        for one in named[:_MAX_WRITTEN]
    ]
    return _joined(written, len(named))


def _joined(written: list[str], count: int) -> str:
    """Return the first of `count` arguments in one line, as many as there is room for."""
    line = ""
    for number, each in enumerate(written):
        longer = f"{line}, {each}" if line else each
        if len(longer) > MAX_CHARS:
            return _and_more(line, count - number)
        line = longer
    return _and_more(line, count - len(written)) if count > len(written) else line


def _and_more(line: str, left: int) -> str:
    more = f"and {left} more"
    return f"{line}, {more}" if line else more


def _name(name: str) -> str:
    line = cut_to_one_line(name)
    return line if len(line) <= _MAX_NAME else line[: _MAX_NAME - 1] + "…"


class _Root(Struct):
    """The whole schema, in which references are looked up, and how many steps may follow."""

    schema: dict[str, Any]
    steps_left: int


# --- Types -----------------------------------------------------------------------------------


def _type(schema: Any, root: _Root, depth: int = 0) -> str:
    """Return the type of an argument in a word or two.

    Args:
        schema: the schema of the argument.
        root: the whole schema.
        depth: the levels above this one.
    """
    root.steps_left -= 1
    if not _is_object(schema) or depth >= _MAX_DEPTH or root.steps_left < 0:
        return _ANY
    for way in (_of_values, _of_reference, _of_choice, _of_name):
        found = way(schema, root, depth)
        if found is not None:
            return found if len(found) <= _MAX_TYPE else _ANY
    return _OBJECT if "properties" in schema else _ANY


def _of_values(schema: dict[str, Any], root: _Root, depth: int) -> str | None:
    """Return the values of a short `enum`, or its `const`."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list):
        return None
    # One more than is written out, and null: so one can tell that there are too many.
    first = cast("list[Any]", values)[: _MAX_ENUM + 2]
    listed = [one for one in first if one is not None]
    is_short = 0 < len(listed) <= _MAX_ENUM
    if is_short and all(map(_is_short_value, listed)):
        text = "|".join(_value(one) for one in listed)
        if len(text) <= _MAX_TYPE:
            return text
    if "type" not in schema and listed and all(isinstance(one, str) for one in listed):
        return "string"
    return None


def _is_short_value(value: Any) -> bool:
    is_long = isinstance(value, str) and len(value) > _MAX_TYPE
    return isinstance(value, str | int | float) and not is_long


def _value(value: Any) -> str:
    return cut_to_one_line(msgspec.json.encode(value).decode(errors="replace"))


def _of_reference(schema: dict[str, Any], root: _Root, depth: int) -> str | None:
    """Return the type that a reference within the schema leads to."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return None
    if len(reference) > _MAX_REFERENCE or not reference.startswith("#"):
        return _ANY
    found: Any = root.schema
    for part in reference.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if _is_object(found) else None
    return _type(found, root, depth + 1)


def _of_choice(schema: dict[str, Any], root: _Root, depth: int) -> str | None:
    """Return the types of which the argument may have any, but for null; or all that it has."""
    for key in ("anyOf", "oneOf", "allOf"):
        options = schema.get(key)
        if isinstance(options, list) and "type" not in schema:
            listed = cast("list[Any]", options)[: _MAX_ENUM + 1]
            types = dict.fromkeys(_type(one, root, depth + 1) for one in listed)
            types.pop("null", None)
            if key == "allOf":
                return next((one for one in types if one != _ANY), _ANY)
            return _ANY if _ANY in types or len(types) > _MAX_ENUM else "|".join(types) or "null"
    return None


_NAMES: Final = frozenset({"string", "integer", "number", "boolean", "object", "null"})


def _of_name(schema: dict[str, Any], root: _Root, depth: int) -> str | None:
    """Return the `type` of a schema."""
    named = schema.get("type")
    if isinstance(named, list):
        only = {"items": schema.get("items")}
        listed = cast("list[Any]", named)[: _MAX_ENUM + 1]
        types = dict.fromkeys(_type({**only, "type": one}, root, depth + 1) for one in listed)
        types.pop("null", None)
        return "|".join(types) or "null"
    if named == "array":
        items = _type(schema.get("items"), root, depth + 1)
        return f"({items})[]" if "|" in items else f"{items}[]"
    return named if isinstance(named, str) and named in _NAMES else None


def _object_at(schema: dict[str, Any], key: str) -> dict[str, Any]:
    found = schema.get(key)
    return found if _is_object(found) else {}


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)
