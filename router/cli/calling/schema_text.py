"""Writes the arguments of tools for a person: in one line for lists, and one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from router.cli.calling.tool_arguments import types_of
from router.cli.text_columns import columns_of, safe_line, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_ANY: Final = "any"


def compact(schema: dict[str, Any]) -> str:
    """Return the arguments that a schema names, such as `(a, zone?)`: `?` marks optional ones."""
    required = _strings(schema.get("required"))
    names = _properties(schema)
    shown = [safe_line(name) if name in required else f"{safe_line(name)}?" for name in names]
    return f"({', '.join(shown)})"


def type_text(schema: Any) -> str:
    """Return the type of a value in a few words, such as `integer` or `"a" | "b"`."""
    if not isinstance(schema, dict):
        return _ANY
    known = cast("dict[str, Any]", schema)
    for key in ("anyOf", "oneOf"):
        if isinstance(known.get(key), list):
            return " | ".join(dict.fromkeys(map(type_text, known[key])))
    if isinstance(known.get("enum"), list):
        return " | ".join(safe_line(_encoded(one)) for one in known["enum"])
    if "const" in known:
        return safe_line(_encoded(known["const"]))
    if isinstance(known.get("$ref"), str):
        return safe_line(known["$ref"].rpartition("/")[2])
    kinds = [f"array of {type_text(known['items'])}" if _is_typed_array(known, kind) else kind
             for kind in types_of(known)]  # fmt: skip
    return safe_line(" | ".join(kinds)) or _ANY


def _is_typed_array(schema: dict[str, Any], kind: str) -> bool:
    return kind == "array" and "items" in schema


def described(instance: str, tool: dict[str, Any], width: int | None) -> list[str]:
    """Return the lines that tell all about a tool: what it does, its arguments, how to call it."""
    schema = cast("dict[str, Any]", tool.get("inputSchema") or {})
    about = safe_text(str(tool.get("description") or "")).splitlines()
    rows = [_row(name, one, schema) for name, one in _properties(schema).items()]
    lines = [safe_line(str(tool["name"])), *(f"  {line}".rstrip() for line in about), ""]
    if rows:
        inner = None if width is None else width - 2
        shown = columns_of(rows, inner, is_wrapped=True)
        lines += ["Arguments:", *(f"  {line}" for line in shown), ""]
        for name in schema.get("$defs", ()) or ():
            shape = safe_line(_encoded(schema["$defs"][name]))
            lines += [f"  {safe_line(name)} is {shape}", ""]
    else:
        lines += ["It takes no arguments.", ""]
    words = " ".join(_example(name, one) for name, one in _required(schema))
    name = safe_line(str(tool["name"]))
    return [*lines, f"mcp-router call {safe_line(instance)} {name} {words}".rstrip()]


def _row(name: str, one: Any, schema: dict[str, Any]) -> tuple[str, str, str, str]:
    known = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
    need = "required" if name in _strings(schema.get("required")) else "optional"
    if "default" in known:
        need = f"default {safe_line(_encoded(known['default']))}"
    return safe_line(name), type_text(one), need, safe_line(str(known.get("description") or ""))


def _example(name: str, schema: Any) -> str:
    return f"{safe_line(name)}={type_text(schema).split(' ')[0].upper()}"


def _required(schema: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    properties = _properties(schema)
    return ((name, properties.get(name)) for name in _strings(schema.get("required")))


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("properties")
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _strings(value: Any) -> list[str]:
    found = cast("list[Any]", value) if isinstance(value, list) else []
    return [one for one in found if isinstance(one, str)]


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()
