"""An MCP server on stdio whose tools are those in a file, and change when the file does.

It runs as a script and imports only the standard library. The tool `reload` says that the list has
changed, so that it is read again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def result_of(method: str, params: dict[str, Any], tools: Path) -> dict[str, Any]:
    """Return the result of a request."""
    if method == "tools/call":
        return {"content": [{"type": "text", "text": params["name"]}]}
    if method == "tools/list":
        return {"tools": json.loads(tools.read_text())}
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "changing", "version": "1"},
        }
    return {}


def say(**message: Any) -> None:
    """Write one message."""
    print(json.dumps({"jsonrpc": "2.0"} | message), flush=True)  # noqa: T201


def main() -> None:
    """Answer until stdin ends."""
    tools = Path(sys.argv[1])
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            result = result_of(message["method"], message.get("params") or {}, tools)
            say(id=message["id"], result=result)
            if message.get("params", {}).get("name") == "reload":
                say(method="notifications/tools/list_changed")


if __name__ == "__main__":
    main()
