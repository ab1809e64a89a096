"""Small catalogues to search in."""

from __future__ import annotations

from typing import Any

import msgspec

from router.messages.instances.exposure import EVERY_NAME, NameFilter
from router.messages.own_tools.search import (
    Found,
    IndexTools,
    Kind,
    Searchable,
    SearchTools,
    ToolsFound,
)
from router.search.index import ToolIndex


def tool(name: str, description: str = "", shown: str | None = None, **more: Any) -> Searchable:
    described = {"name": name, "description": description, "inputSchema": {}, **more}
    raw = msgspec.Raw(msgspec.json.encode(described))
    return Searchable("tool", name, shown or name, raw)


def row(name: str, *offered: Searchable) -> IndexTools:
    return IndexTools(name, name, "", offered)


def search(
    query: str,
    *rows: str,
    key: int = 1,
    names: NameFilter = EVERY_NAME,
    kind: Kind = "tool",
    limit: int = 5,
) -> SearchTools:
    return SearchTools(key, query, frozenset(rows), names, kind, limit)


def keys(found: ToolsFound) -> list[str]:
    return [f"{each.row}/{each.key}" for each in found.found]


def index_of(*rows: IndexTools) -> ToolIndex:
    index = ToolIndex()
    for each in rows:
        index.put(each)
    return index


def found_tool(row: str, key: str) -> Found:
    return Found(row, "tool", key)


FILES = row(
    "files",
    tool("create_directory", "Create a new directory, or ensure that it exists."),
    tool("read_text_file", "Read the complete contents of a file as text."),
    tool("move_file", "Move or rename files and directories."),
)
CHAT = row(
    "chat",
    tool("post_message", "Post a new message to a channel."),
    tool("list_channels", "List the public channels of the workspace."),
    tool("add_reaction", "Add a reaction emoji to a message."),
)
WEATHER = row(
    "weather", tool("get_forecast", "查询城市的天气"), tool("getAirQuality", "Air by city.")
)
"""Rows whose addresses are the names of their instances."""
