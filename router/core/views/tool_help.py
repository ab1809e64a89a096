"""Builds the value of `mcp.router.help`: the tools of instances, in as much detail as fits.

Invariants:

- The value has one object for each instance, with its `tools`, as in MCP Router 1.1. A note to the
  reader is such an object too, so that a program may walk over all of them.
- The answer is within the limit in bytes, however many tools there are: it has less detail then,
  and the note says how to ask for the rest. Only the names of instances are never left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.protocol.own_tools.router_tools import HELP, USE, compact, spelled
from router.core.text.nearest_names import did_you_mean
from router.core.text.raw_json import optional_text_of
from router.core.text.sentences import cut_to_one_line, first_sentence
from router.core.views.instance_views import tool_view
from router.messages.errors import TOOL_NOT_FOUND, RpcError
from router.messages.params import object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from router.core.names.client_names import Spelling
    from router.core.protocol.own_tools.router_tools import HelpArguments
    from router.core.state.instances import Instance
    from router.messages.catalog import Item

NOTE: Final = HELP
"""The key of the note. No instance can have it as its name, because of the dots."""


def tool_help(
    shown: Iterable[tuple[Instance, Sequence[Item]]],
    asked: HelpArguments,
    limit_bytes: int,
    spelling: Spelling,
) -> dict[str, Any]:
    """Return the tools that are asked for, by the names of their instances.

    Args:
        shown: the instances to look at, each with its tools that the asker is shown; one without a
            session has none. If an instance is asked for, it is the only one here, and has a
            session.
        asked: narrows the answer.
        limit_bytes: the size up to which the answer has all details.
        spelling: of the names of the router's own tools in the note.

    Raises:
        RpcError: -32014, there is no tool of the name that is asked for.
    """
    offered = [(instance, tools) for instance, tools in shown if not instance.is_awaited]
    names = [item.key for _, tools in offered for item in tools]
    if asked.tool_name is not None and asked.tool_name not in names:
        where = "any connected instance"
        if asked.instance_name is not None:
            where = f"instance '{offered[0][0].name}'"
        message = f"Tool '{asked.tool_name}' not found in {where}"
        raise RpcError(TOOL_NOT_FOUND, message + did_you_mean(asked.tool_name, names))
    found = [
        (instance, matching)
        for instance, tools in offered
        if (matching := [item for item in tools if _matches(item, asked)])
    ]
    if not found and asked.is_narrow:
        return _note(_nothing_found(asked))
    return _as_far_as_it_fits(found, asked, limit_bytes, spelling)


# --- The choice of tools ---------------------------------------------------------------------


def _matches(item: Item, asked: HelpArguments) -> bool:
    if asked.tool_name not in {None, item.key}:
        return False
    if asked.query is None:
        return True
    wanted = asked.query.casefold()
    return wanted in item.key.casefold() or wanted in _description(item).casefold()


def _description(item: Item) -> str:
    return optional_text_of(object_of(item.raw, "tool"), "description") or ""


def _nothing_found(asked: HelpArguments) -> str:
    if asked.query is None:
        return f"Instance '{asked.instance_name}' has no tools."
    return f"No tool here has '{cut_to_one_line(asked.query)}' in its name or description."


# --- Details ---------------------------------------------------------------------------------


def _as_far_as_it_fits(
    found: list[tuple[Instance, list[Item]]],
    asked: HelpArguments,
    limit_bytes: int,
    spelling: Spelling,
) -> dict[str, Any]:
    """Return the tools with the most details with which the answer is within the limit."""
    full = _rows(found, _in_detail if asked.is_narrow else tool_view)
    size_bytes = len(compact(full))
    if size_bytes <= limit_bytes:
        return full
    why = (
        f"In full this answer has {size_bytes:,} bytes, more than {limit_bytes:,} "
        f"(server.help_limit_bytes). {_way_out(asked, spelling)}"
    )
    for what, show in _BRIEFER:
        brief = _note(f"{what} only. {why}") | _rows(found, show)
        if len(compact(brief)) <= limit_bytes:
            return brief
    counted = {
        instance.name: {"tools_count": len(items), "tools": list[Any]()}
        for instance, items in found
    }
    return _note(f"Numbers of tools only. {why}") | counted


def _way_out(asked: HelpArguments, spelling: Spelling) -> str:
    if asked.tool_name is None:
        return (
            "For descriptions and schemas ask again with instance_name, with tool_name, or with "
            "query, which is a part of a name or description."
        )
    return f"{spelled(USE, spelling)} lists the tools of an instance in full."


def _note(text: str) -> dict[str, Any]:
    return {NOTE: {"note": text, "tools": []}}


def _rows(
    found: list[tuple[Instance, list[Item]]], show: Callable[[Item], dict[str, Any]]
) -> dict[str, Any]:
    return {
        instance.name: {
            "provider": instance.spec.provider,
            "display_name": instance.spec.display_name,
            "tools": list(map(show, items)),
        }
        for instance, items in found
    }


_MORE: Final = ("title", "annotations", "outputSchema")
"""Members of a tool that are shown if the server has them, once the answer is narrowed."""


def _in_detail(item: Item) -> dict[str, Any]:
    tool = object_of(item.raw, "tool")
    return tool_view(item) | {key: tool[key] for key in _MORE if key in tool}


def _in_brief(item: Item) -> dict[str, Any]:
    return {"name": item.key, "description": first_sentence(_description(item))}


def _by_name(item: Item) -> dict[str, Any]:
    return {"name": item.key}


_BRIEFER: Final = (("Names and first sentences", _in_brief), ("Names", _by_name))
