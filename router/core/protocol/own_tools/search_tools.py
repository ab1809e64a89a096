"""Defines the router's tools that find, describe and call the tools of servers, and their
arguments.

Invariants:

- The definitions are short: each client of a view that searches has them in its context.
- The names of servers and what they say of themselves come from outside, in one bounded line.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
from msgspec import Raw, Struct

from router.core.protocol.own_tools.router_tools import (
    CALL_TOOL,
    DESCRIBE,
    RUN,
    SEARCH,
    spelled,
    tool_definition,
)
from router.core.text.raw_json import EMPTY_OBJECT, check_key_case, is_object, raw_of, text_of
from router.core.text.sentences import cut_to_one_line
from router.messages.catalog import Item
from router.messages.errors import INVALID_PARAMS, RpcError
from router.messages.own_tools.search import Kind
from router.messages.params import given, object_of

if TYPE_CHECKING:
    from router.core.names.client_names import Spelling
    from router.messages.instances.exposure import Expose

DEFAULT_LIMIT: Final = 5
MAX_LIMIT: Final = 20
"""Results of a search, and tools that are described at a time."""

MAX_QUERY_CHARS: Final = 1000

DEFAULT_RUN_S: Final = 30
"""Seconds of a run of code, unless a call may not take as long."""

MIN_RUN_S: Final = 0.1

MAX_CODE_BYTES: Final = 65_536

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


# --- Definitions -----------------------------------------------------------------------------

_DEFINITIONS: Final[tuple[dict[str, Any], ...]] = (
    tool_definition(
        SEARCH,
        "Find tools by what they do. A result has the name of a tool, a sentence about it, and its "
        "arguments; those with ? may be left out. mcp.router.call_tool calls it.",
        optional=("limit", "instance", "kind"),
        query={"type": "string", "description": "What is to be done, in a few words"},
        limit={
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_LIMIT,
            "default": DEFAULT_LIMIT,
        },
        instance={"type": "string", "description": "Search this server only"},
        kind={"type": "string", "enum": list(KINDS), "default": "tool"},
    ),
    tool_definition(
        DESCRIBE,
        "Show tools in full, with their schemas, and what their servers say about using them. "
        "Takes prompts and resources as well.",
        tools={
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": MAX_LIMIT,
            "description": "Names, as mcp.router.search shows them",
        },
    ),
    tool_definition(
        CALL_TOOL,
        "Call a tool by its name; the result is the tool's own.",
        optional=("arguments",),
        name={"type": "string", "description": "Name, as mcp.router.search shows it"},
        # Said although it is the default: Pydantic AI would tell its model that there are none.
        arguments={
            "type": "object",
            "description": "Arguments of the tool",
            "additionalProperties": True,
        },
    ),
)

_RUN: Final = tool_definition(
    RUN,
    "Run Python code that calls tools, so that long results stay out of this conversation. "
    "await call_tool(name, arguments) returns a tool's structured content, else its text; await "
    "search(query, limit=5) finds tools; several at once with asyncio.gather. No files, no "
    "network, no packages. Returns the value of the last line, and what was printed.",
    optional=("timeout_s",),
    code={"type": "string"},
    timeout_s={"type": "number", "default": DEFAULT_RUN_S},
)

DEFINITIONS: Final[dict[Expose, tuple[dict[str, Any], ...]]] = {
    "search": _DEFINITIONS,
    "code": (*_DEFINITIONS, _RUN),
}
"""The kind of a list -> the tools of the router that it begins with."""

_INSTRUCTIONS: Final = (
    "This server stands in front of several MCP servers and does not list all of their tools. "
    "mcp.router.search finds tools by what they do, mcp.router.describe shows them in full, and "
    "mcp.router.call_tool calls one. Search before you say that something cannot be done. A tool "
    "whose name you know can be called without a search. With kind, mcp.router.search finds "
    "prompts and resources."
)

INSTRUCTIONS: Final[dict[Expose, str]] = {
    "search": _INSTRUCTIONS,
    "code": f"{_INSTRUCTIONS} mcp.router.run runs code that calls several tools.",
}
"""The kind of a list -> the text for the model, in place of the servers' own."""


@functools.lru_cache(maxsize=64)
def items(listed_as: Expose, spelling: Spelling, servers: str) -> tuple[Item, ...]:
    """Return the tools as they are listed.

    Args:
        listed_as: a key of `DEFINITIONS`.
        spelling: of the router's own tools.
        servers: names what can be searched, for the description of `search`; empty for nothing.
    """
    listed: list[Item] = []
    for definition in DEFINITIONS[listed_as]:
        name = definition["name"]
        shown = msgspec.json.decode(spelled(bytes(raw_of(definition)).decode(), spelling))
        if name == SEARCH and servers:
            shown["description"] += f" Servers: {servers}"
        listed.append(Item(spelled(name, spelling), raw_of(shown)))
    return tuple(listed)


# --- The servers that can be searched --------------------------------------------------------

MAX_SERVERS_BYTES: Final = 1024
"""Of the line that names the servers."""

_LEAST_SUMMARY_BYTES: Final = 12
_AROUND_SUMMARY: Final = len(" ()")


def servers_line(servers: tuple[tuple[str, str], ...]) -> str:
    """Return the names of servers, each with as much of its summary as there is room for.

    Args:
        servers: the name of each, and a line about it; that may be empty.
    """
    names = ", ".join(name for name, _ in servers)
    room = MAX_SERVERS_BYTES - len(names.encode())
    if room < 0:
        return _cut_names([name for name, _ in servers])
    # A short summary leaves the rest of its share to the longer ones.
    shown: dict[str, str] = {}
    by_length = sorted(servers, key=lambda one: len(one[1].encode()))
    for number, (name, summary) in enumerate(by_length):
        share = room // (len(by_length) - number) - _AROUND_SUMMARY
        cut = _cut_to_bytes(summary, share)
        if cut:
            shown[name] = cut
            room -= len(cut.encode()) + _AROUND_SUMMARY
    return ", ".join(f"{name} ({shown[name]})" if name in shown else name for name, _ in servers)


def _cut_names(names: list[str]) -> str:
    """Return as many of the names as there is room for, and the number of the others."""
    room = MAX_SERVERS_BYTES - len(f" and {len(names)} more")
    shown = 0
    while len(", ".join(names[: shown + 1]).encode()) <= room:
        shown += 1
    return f"{', '.join(names[:shown])} and {len(names) - shown} more"


def _cut_to_bytes(text: str, max_bytes: int) -> str:
    """Return a text, cut where it has more bytes; empty if too few of them would be left."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= max_bytes:
        return encoded.decode()
    if max_bytes < _LEAST_SUMMARY_BYTES:
        return ""
    kept = encoded[: max_bytes - len("…".encode())].decode(errors="ignore")
    return f"{kept.rstrip()}…"


# --- Arguments -------------------------------------------------------------------------------


class SearchArguments(Struct, frozen=True):
    """The arguments of `search`.

    Attributes:
        query: words as people or models write them; not empty.
        limit: the greatest number of results.
        instance: the only instance to be searched; None for all.
        kind: the kind to be searched.
    """

    query: str
    limit: int = DEFAULT_LIMIT
    instance: str | None = None
    kind: Kind = "tool"


_SEARCH_KEYS: Final = frozenset(SearchArguments.__struct_fields__)


def search_arguments_of(arguments: Raw | None) -> SearchArguments:
    """Return the arguments of `search`; null ones count as absent.

    Raises:
        RpcError: -32602, one is missing, of the wrong type or out of range.
    """
    members = check_key_case(object_of(arguments, "arguments"), _SEARCH_KEYS, "arguments")
    query = text_of(members, "query", "arguments").strip()
    if not query:
        raise RpcError(INVALID_PARAMS, "arguments.query is empty; say in a few words what to find")
    if len(query) > MAX_QUERY_CHARS:
        raise RpcError(
            INVALID_PARAMS,
            f"arguments.query is longer than {MAX_QUERY_CHARS:,} characters; a few words will do",
        )
    instance = None
    if given(members, "instance") is not None:
        instance = text_of(members, "instance", "arguments") or None
    return SearchArguments(query, _limit_of(members), instance, _kind_of(members))


def _limit_of(members: dict[str, Raw]) -> int:
    raw = given(members, "limit")
    if raw is None:
        return DEFAULT_LIMIT
    limit: Any = None
    with suppress(msgspec.MsgspecError, RecursionError):
        limit = msgspec.json.decode(raw)
    if isinstance(limit, float) and limit.is_integer():
        limit = int(limit)  # JSON has one type of numbers, and some models write 5.0.
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        problem = f"arguments.limit must be an integer from 1 to {MAX_LIMIT}"
        raise RpcError(INVALID_PARAMS, problem)
    return limit


def _kind_of(members: dict[str, Raw]) -> Kind:
    if given(members, "kind") is None:
        return "tool"
    kind = text_of(members, "kind", "arguments")
    for each in KINDS:
        if each == kind:
            return each
    expected = ", ".join(f'"{each}"' for each in KINDS)
    raise RpcError(INVALID_PARAMS, f"arguments.kind must be one of {expected}")


_DESCRIBE_KEYS: Final = frozenset({"tools"})
_texts: Final = msgspec.json.Decoder(list[str])


def described_names_of(arguments: Raw | None) -> list[str]:
    """Return the names that `describe` is to show, each once; one name need not be in an array.

    Raises:
        RpcError: -32602, there is none, or there are too many, or one is no string.
    """
    members = check_key_case(object_of(arguments, "arguments"), _DESCRIBE_KEYS, "arguments")
    raw = given(members, "tools")
    if raw is None:
        raise RpcError(INVALID_PARAMS, "arguments.tools is missing")
    try:
        listed = b"[%b]" % raw if bytes(raw).startswith(b'"') else raw
        names = list(dict.fromkeys(_texts.decode(listed)))
    except msgspec.MsgspecError:
        raise RpcError(INVALID_PARAMS, "arguments.tools must be an array of names") from None
    if not 1 <= len(names) <= MAX_LIMIT:
        raise RpcError(INVALID_PARAMS, f"arguments.tools must have from 1 to {MAX_LIMIT} names")
    return names


class CalledTool(Struct, frozen=True, eq=False):
    """The arguments of `call_tool`: the name of a tool, and that tool's arguments."""

    name: str
    arguments: Raw


_CALL_KEYS: Final = frozenset(CalledTool.__struct_fields__)


def called_tool_of(arguments: Raw | None) -> CalledTool:
    """Return the arguments of `call_tool`; absent or null tool arguments become an empty object.

    Raises:
        RpcError: -32602, one is missing or of the wrong type, or those of the tool stand beside its
            name, as some models write them.
    """
    members = check_key_case(object_of(arguments, "arguments"), _CALL_KEYS, "arguments")
    beside = sorted(members.keys() - _CALL_KEYS)
    if beside and given(members, "arguments") is None:
        problem = f"arguments.{cut_to_one_line(beside[0])}: arguments of the tool belong into "
        raise RpcError(INVALID_PARAMS, problem + '"arguments": {…}, beside "name"')
    of_tool = given(members, "arguments") or EMPTY_OBJECT
    if not is_object(of_tool):
        raise RpcError(INVALID_PARAMS, "arguments.arguments must be an object")
    return CalledTool(text_of(members, "name", "arguments"), of_tool)


class RunArguments(Struct, frozen=True, eq=False):
    """The arguments of `run`: code, and the seconds that it may take."""

    code: str
    timeout_s: float


_RUN_KEYS: Final = frozenset(RunArguments.__struct_fields__)


def run_arguments_of(arguments: Raw | None, max_timeout_s: float) -> RunArguments:
    """Return the arguments of `run`.

    Args:
        max_timeout_s: the seconds that a call may take (`mcp_client.timeout`).

    Raises:
        RpcError: -32602, one is missing, of the wrong type or out of range.
    """
    members = check_key_case(object_of(arguments, "arguments"), _RUN_KEYS, "arguments")
    code = text_of(members, "code", "arguments")
    size = len(code.encode())
    if size > MAX_CODE_BYTES:
        problem = f"arguments.code has {size:,} bytes; at most {MAX_CODE_BYTES:,} are allowed"
        raise RpcError(INVALID_PARAMS, problem)
    raw = given(members, "timeout_s")
    if raw is None:
        return RunArguments(code, min(DEFAULT_RUN_S, max_timeout_s))
    with suppress(msgspec.MsgspecError):
        timeout_s = msgspec.json.decode(raw, type=float)
        if MIN_RUN_S <= timeout_s <= max_timeout_s:
            return RunArguments(code, timeout_s)
    raise RpcError(
        INVALID_PARAMS,
        f"arguments.timeout_s must be a number of seconds from {MIN_RUN_S} to {max_timeout_s:g}, "
        "the time of a call (mcp_client.timeout)",
    )
