"""Defines the router's own tools (`mcp.router.use` and others), their arguments and results.

Invariants:

- Names, order, keys and sentences are those of MCP Router 1.1, on which prompts and scripts rely.
- `call` has no result of its own: the upstream's result is the result.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from router.core.protocol.bridging import structured_content
from router.core.text.raw_json import EMPTY_OBJECT, check_key_case, is_object, raw_of, text_of
from router.messages.catalog import Item
from router.messages.commands import AddInstance, RemoveInstance, SetActive
from router.messages.errors import INVALID_PARAMS, NOT_ALLOWED, RpcError
from router.messages.frames import NO_RAW
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from router.core.names.client_names import Spelling
    from router.messages.commands import Change
    from router.messages.core_settings import CoreSettings

SERVER_NAME: Final = "mcp_router"
CAPABILITIES: Final = {"tools": {"listChanged": True}, "logging": {}}
_INSTRUCTIONS: Final = (
    "This server stands in front of several MCP servers. mcp.router.list shows them, "
    "mcp.router.help shows their tools, mcp.router.call calls one of those tools, and "
    "mcp.router.use lists the tools of one server beside these from then on. Each tool of a server "
    "can also be called by its direct name, {instance}__{tool}, whether it is listed or not."
)


def instructions(spelling: Spelling) -> str:
    """Return the text for the model that says how to use the router's own tools."""
    return spelled(_INSTRUCTIONS, spelling)


def server_info(settings: CoreSettings) -> dict[str, str]:
    """Return the router's `Implementation` object (MCP 2025-11-25, Lifecycle, Initialization)."""
    return {"name": SERVER_NAME, "version": settings.version}


# --- Definitions -----------------------------------------------------------------------------

USE: Final = "mcp.router.use"
LIST: Final = "mcp.router.list"
HELP: Final = "mcp.router.help"
CALL: Final = "mcp.router.call"
SEARCH: Final = "mcp.router.search"
DESCRIBE: Final = "mcp.router.describe"
CALL_TOOL: Final = "mcp.router.call_tool"
RUN: Final = "mcp.router.run"
ADD: Final = "mcp.router.add"
REMOVE: Final = "mcp.router.remove"
DISABLE: Final = "mcp.router.disable"
ENABLE: Final = "mcp.router.enable"

MANAGEMENT: Final = (ADD, REMOVE, DISABLE, ENABLE)
"""The tools that change instances; `server.allow_instance_management` allows them."""

_INSTANCE_NAME: Final = {
    "type": "string",
    "description": "Name of the instance, as mcp.router.list shows it (or its provider's name)",
}


def tool_definition(
    name: str, description: str, /, optional: tuple[str, ...] = (), **properties: dict[str, Any]
) -> dict[str, Any]:
    """Return a tool as it is listed.

    Args:
        optional: the properties that a call may leave out.
        properties: name -> JSON Schema.
    """
    required = [key for key in properties if key not in optional]
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {
        "name": name,
        "description": description,
        "inputSchema": schema | ({"required": required} if required else {}),
    }


_DEFINITIONS: Final = (
    tool_definition(
        USE,
        "Select an MCP server instance for this session. From then on its tools are listed "
        "beside the router's and can be called by their own names. Without a session nothing is "
        "remembered, and the answer has direct names to call its tools by.",
        instance_name=_INSTANCE_NAME,
    ),
    tool_definition(
        LIST,
        "List all configured MCP server instances, each with a summary, its state, transport and "
        "number of tools.",
    ),
    tool_definition(
        HELP,
        "Show the tools of every connected instance: names, descriptions and input schemas. If "
        "that is too long, it is cut to names and first sentences; then narrow it with these "
        "arguments. What they leave is shown with annotations and output schemas as well.",
        optional=("instance_name", "tool_name", "query"),
        instance_name=_INSTANCE_NAME | {"description": "Show only the tools of this instance"},
        tool_name={"type": "string", "description": "Show only the tool of exactly this name"},
        query={
            "type": "string",
            "description": "Show only tools with this text in their name or description, in upper "
            "or lower case",
        },
    ),
    tool_definition(
        CALL,
        "Call a tool of an instance without selecting it first; the result is the tool's own.",
        optional=("arguments",),
        instance_name=_INSTANCE_NAME,
        tool_name={"type": "string", "description": "Name of the tool, as mcp.router.help shows"},
        arguments={
            "type": "object",
            "description": "Arguments for the tool, as its schema says",
            # Some agents tell their model of no arguments otherwise.
            "additionalProperties": True,
        },
    ),
)

_MANAGEMENT_DEFINITIONS: Final = (
    tool_definition(
        ADD,
        "Add an MCP server instance, and start it. It is saved and survives a restart.",
        provider_name={"type": "string", "description": "Provider: the folder it is kept in"},
        config={
            "type": "object",
            "description": "Its configuration, as in mcp_settings.json: name (default: the "
            "provider's), and command, args, env or url, headers",
        },
    ),
    tool_definition(
        REMOVE, "Stop an instance and remove its configuration.", instance_name=_INSTANCE_NAME
    ),
    tool_definition(
        DISABLE,
        "Stop an instance; it stays configured and is not started again until it is enabled.",
        instance_name=_INSTANCE_NAME,
    ),
    tool_definition(ENABLE, "Start an instance that was disabled.", instance_name=_INSTANCE_NAME),
)


def items_for(settings: CoreSettings, spelling: Spelling) -> tuple[Item, ...]:
    """Return the router's tools as these settings have them listed.

    Equal arguments give the same object, so that two listings can be compared with `is`.

    Args:
        settings: say whether the tools that change instances are there.
        spelling: the client's, see `client_names.spelling_for`.
    """
    return items(spelling, with_management=settings.allow_instance_management)


@functools.cache
def items(spelling: Spelling, *, with_management: bool = False) -> tuple[Item, ...]:
    """Return the router's tools as they are listed.

    Args:
        spelling: of their names, and of those that their descriptions mention.
        with_management: True to list the tools that change instances as well.
    """
    definitions = (*_DEFINITIONS, *(_MANAGEMENT_DEFINITIONS if with_management else ()))
    listed: list[Item] = []
    for definition in definitions:
        text = spelled(bytes(raw_of(definition)).decode(), spelling)
        listed.append(Item(spelled(definition["name"], spelling), Raw(text.encode())))
    return tuple(listed)


@functools.cache
def management_items(spelling: Spelling) -> tuple[Item, ...]:
    """Return only the tools that change instances; equal arguments give the same object."""
    return items(spelling, with_management=True)[len(_DEFINITIONS) :]


def spelled(text: str, spelling: Spelling) -> str:
    """Return a text with the names of the router's tools in this spelling."""
    return text.replace(_PREFIX, _underscored(_PREFIX)) if spelling == "underscored" else text


_PREFIX: Final = "mcp.router."


def _underscored(name: str) -> str:
    return name.replace(".", "_")


_CANONICAL_NAMES: Final = {
    spelling: name
    for name in (USE, LIST, HELP, CALL, SEARCH, DESCRIBE, CALL_TOOL, RUN, *MANAGEMENT)
    for spelling in (name, _underscored(name))
}


def canonical_name(name: str) -> str | None:
    """Return the dotted name of a router tool, given in either spelling; None for other tools."""
    return _CANONICAL_NAMES.get(name)


def check_management(settings: CoreSettings, called: str) -> None:
    """Check that the tools that change instances are allowed.

    Args:
        settings: the settings in force.
        called: the tool's name as the client spelled it.

    Raises:
        RpcError: -32016, they are not.
    """
    if not settings.allow_instance_management:
        raise RpcError(
            NOT_ALLOWED,
            f"Instance management is disabled. Tool '{called}' is not available. Enable "
            "'server.allow_instance_management' in config.json to use this tool.",
        )


# --- Arguments -------------------------------------------------------------------------------

_INSTANCE_KEYS: Final = frozenset({"instance_name"})


def instance_name_of(arguments: Raw | None) -> str:
    """Return the only argument of `use`, `remove`, `disable` and `enable`.

    Raises:
        RpcError: -32602, it is missing or no string.
    """
    members = check_key_case(object_of(arguments, "arguments"), _INSTANCE_KEYS, "arguments")
    return text_of(members, "instance_name", "arguments")


class HelpArguments(Struct, frozen=True):
    """The arguments of `help`, each None if it is not given; they narrow the answer.

    Attributes:
        instance_name: show the tools of this instance only.
        tool_name: show tools of exactly this name only.
        query: show tools only that have this text in their name or description.
    """

    instance_name: str | None = None
    tool_name: str | None = None
    query: str | None = None

    @property
    def is_narrow(self) -> bool:
        """True if any argument is given."""
        return self != _NOT_NARROW


_NOT_NARROW: Final = HelpArguments()

_HELP_KEYS: Final = frozenset(HelpArguments.__struct_fields__)


def help_arguments_of(arguments: Raw | None) -> HelpArguments:
    """Return the arguments of `help`; null and empty ones count as absent.

    Raises:
        RpcError: -32602, one is no string.
    """
    members = check_key_case(object_of(arguments, "arguments"), _HELP_KEYS, "arguments")
    texts = {
        key: text_of(members, key, "arguments") or None
        for key in _HELP_KEYS
        if given(members, key) is not None
    }
    return HelpArguments(**texts)


class CallArguments(Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """The arguments of `call`: the instance, its tool and that tool's arguments."""

    instance_name: str
    tool_name: str
    arguments: Raw = EMPTY_OBJECT


_CALL_KEYS: Final = frozenset(CallArguments.__struct_fields__)
_call_arguments: Final = msgspec.json.Decoder(CallArguments)

_NULL: Final = Raw(b"null")


def call_arguments_of(arguments: Raw | None) -> CallArguments:
    """Return the arguments of `call`; absent or null tool arguments become an empty object.

    Args:
        arguments: raw, as the client sent them; None or null for none.

    Raises:
        RpcError: -32602, one is missing or of the wrong type.
    """
    try:
        called = _call_arguments.decode(arguments or NO_RAW)
    except (msgspec.MsgspecError, RecursionError):
        return _unusual_call_arguments(arguments)
    return called if is_object(called.arguments) else _unusual_call_arguments(arguments)


def _unusual_call_arguments(arguments: Raw | None) -> CallArguments:
    """Read arguments that have other keys, leave some out, or are malformed."""
    whole = object_of(None if arguments == _NULL else arguments, "arguments")
    members = check_key_case(whole, _CALL_KEYS, "arguments")
    tool_arguments = given(members, "arguments") or EMPTY_OBJECT
    if not is_object(tool_arguments):
        raise RpcError(INVALID_PARAMS, "arguments.arguments must be an object")
    return CallArguments(
        text_of(members, "instance_name", "arguments"),
        text_of(members, "tool_name", "arguments"),
        tool_arguments,
    )


_ADD_KEYS: Final = frozenset({"provider_name", "config"})


def change_of(tool: str, arguments: Raw | None) -> Change:
    """Return the change that one of the `MANAGEMENT` tools asks for.

    Args:
        tool: its canonical name.
        arguments: raw, as the client sent them.

    Raises:
        RpcError: -32602, an argument is missing or of the wrong type.
    """
    if tool == ADD:
        members = check_key_case(object_of(arguments, "arguments"), _ADD_KEYS, "arguments")
        config = given(members, "config") or NO_RAW
        if not is_object(config):
            raise RpcError(INVALID_PARAMS, "arguments.config must be an object")
        provider = text_of(members, "provider_name", "arguments")
        return AddInstance(provider, msgspec.json.decode(config))
    name = instance_name_of(arguments)
    return RemoveInstance(name) if tool == REMOVE else SetActive(name, tool == ENABLE)


# --- Results ---------------------------------------------------------------------------------


def compact(value: Any) -> bytes:
    """Return a value as JSON without white space, also where raw parts of it have some."""
    return msgspec.json.format(msgspec.json.encode(value), indent=-1)


def result_of(value: Any, revision: str, *, is_compact: bool = False) -> Raw:
    """Return a tool result: the value as JSON text, and structured if the revision has that.

    Args:
        is_compact: True for JSON without white space, False for an indentation of 2.
    """
    encoded = compact(value) if is_compact else msgspec.json.encode(value)
    text = (encoded if is_compact else msgspec.json.format(encoded, indent=2)).decode()
    result = {"content": [{"type": "text", "text": text}], "isError": False}
    return raw_of(result | structured_content(value, revision))


def text_result_of(value: Any) -> Raw:
    """Return a tool result that holds a value once, as JSON text: every byte costs a model."""
    text = compact(value).decode()
    return raw_of({"content": [{"type": "text", "text": text}], "isError": False})


def error_result_of(error: RpcError) -> Raw:
    """Return a tool result for the model to read (MCP 2025-11-25, Tools, Error Handling)."""
    value = {"error": error.message, "code": error.string_code}
    text = msgspec.json.format(msgspec.json.encode(value), indent=0).decode()
    return raw_of({"content": [{"type": "text", "text": text}], "isError": True})
