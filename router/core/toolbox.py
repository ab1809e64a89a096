"""The router's own tools: `mcp.router.use`, `list`, `help`, `call`.

Job: their definitions, what their arguments say, and the shape of their results. Neighbours:
`from_client` calls the tools; `instances` and the catalogues are shown here. Pure.

Invariants: names, order, keys and sentences are those of MCP Router 1.1, which prompts and
scripts rely on. `call` never shapes anything: the upstream's own result is the result.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
from msgspec import Raw

from router.core.instances import State
from router.core.params import (
    EMPTY_OBJECT,
    given,
    is_object,
    known,
    object_of,
    raw_of,
    text_of,
)
from router.core.revisions import has_structured_content
from router.errors import INVALID_PARAMS, RpcError
from router.messages import Item

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.core.instances import Instance

USE: Final = "mcp.router.use"
LIST: Final = "mcp.router.list"
HELP: Final = "mcp.router.help"
CALL: Final = "mcp.router.call"

_INSTANCE_NAME: Final = {
    "type": "string",
    "description": "Name of the instance, as mcp.router.list shows it (or its provider's name)",
}


def _tool(name: str, description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    required = [key for key, schema in properties.items() if schema.get("type") == "string"]
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {
        "name": name,
        "description": description,
        "inputSchema": schema | ({"required": required} if required else {}),
    }


_DEFINITIONS: Final = (
    _tool(
        USE,
        "Select an MCP server instance for this session. From then on its tools are listed "
        "beside the router's and can be called by their own names.",
        instance_name=_INSTANCE_NAME,
    ),
    _tool(
        LIST,
        "List all configured MCP server instances with their state, transport and number of tools.",
    ),
    _tool(
        HELP,
        "Show the tools of every connected instance: names, descriptions and input schemas.",
    ),
    _tool(
        CALL,
        "Call a tool of an instance without selecting it first; the result is the tool's own.",
        instance_name=_INSTANCE_NAME,
        tool_name={"type": "string", "description": "Name of the tool, as mcp.router.help shows"},
        arguments={"type": "object", "description": "Arguments for the tool, as its schema says"},
    ),
)

_CANONICAL: Final = {
    spelling: definition["name"]
    for definition in _DEFINITIONS
    for spelling in (definition["name"], definition["name"].replace(".", "_"))
}


def canonical(name: str) -> str | None:
    """The dotted name of one of our tools in either spelling; None for any other tool."""
    return _CANONICAL.get(name)


@functools.cache
def items(spelling: str) -> tuple[Item, ...]:
    """Our tools as they are listed.

    Args:
        spelling: "dotted", or "underscored" for clients that reject dots
            (`server.tool_names` of config.json).
    """
    listed: list[Item] = []
    for definition in _DEFINITIONS:
        name = definition["name"]
        shown = name.replace(".", "_") if spelling == "underscored" else name
        listed.append(Item(shown, raw_of(definition | {"name": shown})))
    return tuple(listed)


# --- Arguments -------------------------------------------------------------------------------


@attrs.frozen
class CallArguments:
    """What `mcp.router.call` is to call."""

    instance_name: str
    tool_name: str
    arguments: Raw


_USE_KEYS: Final = frozenset({"instance_name"})


def instance_name_of(arguments: Raw | None) -> str:
    """The one argument of `use`.

    Raises:
        RpcError: it is missing or no string.
    """
    members = known(object_of(arguments, "arguments"), _USE_KEYS, "arguments")
    return text_of(members, "instance_name", "arguments")


_CALL_KEYS: Final = frozenset({"instance_name", "tool_name", "arguments"})


def call_arguments_of(arguments: Raw | None) -> CallArguments:
    """The arguments of `call`; absent or null tool arguments are an empty object.

    Raises:
        RpcError: one is missing or of the wrong type.
    """
    members = known(object_of(arguments, "arguments"), _CALL_KEYS, "arguments")
    of_tool = given(members, "arguments") or EMPTY_OBJECT
    if not is_object(of_tool):
        raise RpcError(INVALID_PARAMS, "arguments.arguments must be an object")
    return CallArguments(
        text_of(members, "instance_name", "arguments"),
        text_of(members, "tool_name", "arguments"),
        of_tool,
    )


# --- What the tools show ---------------------------------------------------------------------


def listing(instances: Iterable[Instance], now_s: float) -> list[dict[str, Any]]:
    """The value of `list`: one object for each instance."""
    return [_listed(instance, now_s) for instance in instances]


def _listed(instance: Instance, now_s: float) -> dict[str, Any]:
    spec, session = instance.spec, instance.session
    return {
        "name": spec.name,
        "provider": spec.provider,
        "display_name": spec.display_name,
        "active": spec.is_active,
        "connected": session is not None,
        "transport_type": spec.type,
        "tools_count": 0 if session is None else len(session.catalog.tools),
        "metadata": spec.metadata,
        "state": instance.state,
        "in_state_s": round(now_s - instance.since_s, 1),
        "restarts": instance.restarts,
        "last_error": instance.last_error,
    }


def help_text(instances: Iterable[Instance]) -> dict[str, Any]:
    """The value of `help`: active and connected instances that have at least one tool."""
    return {
        instance.name: {
            "provider": instance.spec.provider,
            "display_name": instance.spec.display_name,
            "tools": tools_of(instance),
        }
        for instance in instances
        if instance.session is not None and instance.session.catalog.tools
    }


def tools_of(instance: Instance) -> list[dict[str, Any]]:
    """An instance's tools with the three keys that help and REST show."""
    if instance.session is None:
        return []
    return [_shown(item) for item in instance.session.catalog.tools]


def _shown(item: Item) -> dict[str, Any]:
    tool = object_of(item.raw, "tool")
    return {
        "name": item.key,
        "description": tool.get("description", ""),
        "inputSchema": tool.get("inputSchema", EMPTY_OBJECT),
    }


def used(instance: Instance) -> dict[str, Any]:
    """The value of `use`."""
    tools = () if instance.session is None else instance.session.catalog.tools
    return {
        "instance": instance.name,
        "tools": [item.key for item in tools],
        "active": instance.state is State.READY,
    }


# --- Results ---------------------------------------------------------------------------------


def result_of(value: Any, revision: str) -> Raw:
    """A tool result: the value as JSON text (indent 2), and as `structuredContent`.

    `structuredContent` is an object in the handshake revisions (MCP 2025-06-18, Tools), so a
    value that is none stands under `result` in it.
    """
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": False}
    if has_structured_content(revision):
        result["structuredContent"] = value if isinstance(value, dict) else {"result": value}
    return raw_of(result)


def error_result_of(error: RpcError) -> Raw:
    """The result that tells a model what went wrong (MCP 2025-11-25, Tools, Error Handling)."""
    told = {"error": error.message, "code": error.string_code}
    text = msgspec.json.format(msgspec.json.encode(told), indent=0).decode()
    return raw_of({"content": [{"type": "text", "text": text}], "isError": True})
