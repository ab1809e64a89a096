"""Compares the HTTP headers of a tool call with the arguments that they repeat.

With `x-mcp-header` in a tool's `inputSchema` a server has its clients repeat arguments in
`Mcp-Param-*` headers, for proxies that do not read bodies (MCP 2026-07-28, Transports, Custom
Headers).

Invariants:

- A header and its argument are there together and are equal, or neither is there: a proxy in front
  of the router may have admitted the call for what the header says.
- A schema that marks a property which must not be marked asks for no header, since clients leave
  such a tool out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import msgspec

from router.messages.errors import HEADER_MISMATCH, RpcError
from router.messages.frames import NO_RAW
from router.messages.params import object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from msgspec import Raw

    from router.messages.catalog import Item

KEYWORD: Final = "x-mcp-header"

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""The name of a header (RFC 9110, section 5.6.2)."""

_TYPES: Final = frozenset({"string", "integer", "boolean"})
"""The types of properties that may be marked: the text of other numbers is not the same for all."""

_NAMED_SCHEMAS: Final = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
)
_SCHEMAS: Final = frozenset(
    {
        *("items", "contains", "unevaluatedItems", "additionalProperties", "propertyNames"),
        *("unevaluatedProperties", "not", "if", "then", "else", "contentSchema"),
        *("allOf", "anyOf", "oneOf", "prefixItems"),
    }
)
"""Keywords whose values are schemas, by name or not (JSON Schema 2020-12, Core, section 10)."""

_DECIMAL: Final = re.compile(r"(-?[0-9]{1,1000})(?:\.0+)?")
"""An integer in a header; `42` and `42.0` are equal."""


class ParamHeader(NamedTuple):
    """A header that a tool asks for.

    Attributes:
        name: behind `Mcp-Param-`, as the schema writes it.
        path: the keys that lead to the argument.
        is_integer: True if the header holds an integer.
    """

    name: str
    path: tuple[str, ...]
    is_integer: bool


# --- What a tool asks for --------------------------------------------------------------------


def headers_of_tools(tools: Iterable[Item]) -> dict[str, tuple[ParamHeader, ...]]:
    """Return the headers that tools ask for, by tool; most ask for none and are left out."""
    mark = KEYWORD.encode()
    found = {item.key: _headers_of(item.raw) for item in tools if mark in bytes(item.raw)}
    return {name: headers for name, headers in found.items() if headers}


def _headers_of(tool: Raw) -> tuple[ParamHeader, ...]:
    try:
        schema = msgspec.json.decode(object_of(tool, "tool").get("inputSchema", NO_RAW))
        marked = [(path, node) for path, node in _schemas_in(schema) if KEYWORD in node]
    except (RpcError, msgspec.MsgspecError, RecursionError):
        return ()
    if not all(map(_may_be_marked, marked)):
        return ()
    headers = [
        ParamHeader(node[KEYWORD], path or (), node["type"] == "integer") for path, node in marked
    ]
    names = {header.name.lower() for header in headers}
    return tuple(headers) if len(names) == len(headers) else ()


def _schemas_in(root: Any) -> Iterator[tuple[tuple[str, ...] | None, dict[str, Any]]]:
    """Yield each schema in a schema, with the keys of the argument that it alone describes.

    There are no keys where a schema describes several values, or one of them on some condition.
    """
    waiting: list[tuple[tuple[str, ...] | None, Any]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        if not isinstance(node, dict):
            continue
        members = cast("dict[str, Any]", node)
        yield path, members
        for key, value in members.items():
            if key in _NAMED_SCHEMAS and isinstance(value, dict):
                outer = path if key == "properties" else None
                for name, schema in cast("dict[str, Any]", value).items():
                    waiting.append((None if outer is None else (*outer, name), schema))
            elif key in _SCHEMAS:
                schemas = cast("list[Any]", value) if isinstance(value, list) else [value]
                waiting += [(None, schema) for schema in schemas]


def _may_be_marked(marked: tuple[tuple[str, ...] | None, dict[str, Any]]) -> bool:
    path, node = marked
    name, kind = node[KEYWORD], node.get("type")
    is_token = isinstance(name, str) and _TOKEN.fullmatch(name) is not None
    return bool(path) and is_token and isinstance(kind, str) and kind in _TYPES


# --- What a call has -------------------------------------------------------------------------


def check(
    declared: tuple[ParamHeader, ...], arguments: Raw | None, sent: Mapping[str, str | None]
) -> None:
    """Check that the headers of a call say what its arguments say.

    Args:
        declared: the headers that the tool asks for.
        arguments: the arguments of the call.
        sent: the decoded values of its `Mcp-Param-*` headers, by the rest of their names in lower
            case; None for a value that cannot be read.

    Raises:
        RpcError: -32020, a header differs from its argument, or one of the two is missing.
    """
    try:
        values: Any = {} if arguments is None else msgspec.json.decode(arguments)
    except (msgspec.MsgspecError, RecursionError):
        return  # The server refuses it: the call is no JSON.
    for header in declared:
        key = header.name.lower()
        value = _value_at(header.path, values)
        expected = _text_of(value)
        if expected is None and key not in sent:
            continue
        if expected is None or key not in sent or not _is_equal(header, value, sent[key]):
            raise RpcError(
                HEADER_MISMATCH,
                f"Mcp-Param-{header.name} must be sent once and repeat "
                f"params.arguments.{'.'.join(header.path)}, and only where that is given",
            )


def _value_at(path: tuple[str, ...], value: Any) -> Any:
    """Return the value at a path; None where there is none."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(key)
    return value


def _text_of(value: Any) -> str | None:
    """Return the text of a value in a header; None for a value that is in no header."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None


def _is_equal(header: ParamHeader, value: Any, text: str | None) -> bool:
    if text is None:
        return False
    if header.is_integer and isinstance(value, (int, float)) and not isinstance(value, bool):
        found = _DECIMAL.fullmatch(text)
        return found is not None and int(found[1]) == value
    return text == _text_of(value)
