"""An MCP server on stdio that costs next to nothing: it answers every call with the call's text.

It runs as a script and imports only the standard library. Requests that are read together are
answered in one write. With a number as its argument it lists so many tools besides the echo.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

TOOL: Final = {
    "name": "echo",
    "description": "Give back the text",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
}


def more_tools(number: int) -> list[dict[str, Any]]:
    """Return tools that are listed only, each of about 500 bytes, as those of real servers are."""
    text = {"type": "string", "description": "A path relative to the root of the project"}
    schema = {
        "type": "object",
        "properties": {"path": text, "pattern": text, "limit": {"type": "integer", "minimum": 1}},
        "required": ["path"],
    }
    description = "Find files below a folder whose names match a pattern, newest first, in pages"
    return [
        {"name": f"find_files_{n}", "description": description, "inputSchema": schema}
        for n in range(number)
    ]


def result_of(
    method: str, params: dict[str, Any], tools: Sequence[dict[str, Any]] = (TOOL,)
) -> dict[str, Any]:
    """Return the result of a request to a server that has these tools."""
    if method == "tools/call":
        return {"content": [{"type": "text", "text": params["arguments"]["text"]}]}
    if method == "tools/list":
        return {"tools": tools}
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "echo", "version": "1"},
        }
    return {}


def answer(line: bytes, tools: Sequence[dict[str, Any]]) -> bytes:
    """Return the line that answers a line; empty for a notification."""
    message = json.loads(line)
    if "id" not in message:
        return b""
    result = result_of(message["method"], message.get("params") or {}, tools)
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode() + b"\n"


def main() -> None:
    """Answer until stdin ends."""
    tools = [TOOL, *more_tools(int(sys.argv[1]) if sys.argv[1:] else 0)]
    buffer = b""
    while chunk := os.read(0, 1 << 16):
        *lines, buffer = (buffer + chunk).split(b"\n")
        data = b"".join([answer(line, tools) for line in lines])
        while data:
            data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
