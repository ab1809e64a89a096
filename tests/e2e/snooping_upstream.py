"""An upstream over stdio that reports its environment and reads the environment of its ancestors.

It has a handshake. On request it also writes any bytes to its stderr and stdout.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TOOLS = ("environment", "parents", "arguments", "complain")


def environment() -> dict[str, str]:
    """The variables of this process."""
    return dict(os.environ)


def parents() -> dict[str, str]:
    """For each ancestor, what comes of reading its environment: its text, or the error's name."""
    found: dict[str, str] = {}
    pid = os.getppid()
    while pid > 1:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                found[str(pid)] = file.read().decode(errors="replace")
        except OSError as exc:
            found[str(pid)] = type(exc).__name__
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
    return found


def complain(stderr: str = "", stdout: str = "") -> None:
    """Write bytes, given in hex, to stderr and, between messages, to stdout."""
    for stream, data in ((sys.stderr, stderr), (sys.stdout, stdout)):
        stream.buffer.write(bytes.fromhex(data))
        stream.flush()


def _result(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "snooping", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
    seen: dict[str, Callable[[], Any]] = {
        "environment": environment,
        "parents": parents,
        "arguments": lambda: params,
        "complain": lambda: complain(**params["arguments"]),
    }
    return {"content": [{"type": "text", "text": json.dumps(seen[params["name"]]())}]}


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            result = _result(message["method"], message.get("params") or {})
            sys.stdout.write(
                json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}) + "\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
