"""An MCP server on stdio that costs next to nothing: it answers every call with the call's text.

It runs as a script and imports only the standard library. Requests that are read together are
answered in one write.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

TOOL: Final = {
    "name": "echo",
    "description": "Give back the text",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
}


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a request."""
    if method == "tools/call":
        return {"content": [{"type": "text", "text": params["arguments"]["text"]}]}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "echo", "version": "1"},
        }
    return {}


def answer(line: bytes) -> bytes:
    """Return the line that answers a line; empty for a notification."""
    message = json.loads(line)
    if "id" not in message:
        return b""
    result = result_of(message["method"], message.get("params") or {})
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode() + b"\n"


def main() -> None:
    """Answer until stdin ends."""
    buffer = b""
    while chunk := os.read(0, 1 << 16):
        *lines, buffer = (buffer + chunk).split(b"\n")
        data = b"".join([answer(line) for line in lines])
        while data:
            data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
