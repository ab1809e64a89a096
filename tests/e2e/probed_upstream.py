"""An upstream over stdio that answers the probe for its revision in exactly one way.

Run as `python probed_upstream.py MODE RECORD`; `MODES` names the modes. The name of each method
that comes in is appended to the file RECORD first. Like `chaos_upstream`, it uses nothing but the
standard library.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

MODES: Final = {
    "refuses": "has a handshake, and answers that it knows no other method",
    "ignores": "has a handshake, and answers nothing to what it does not know",
    "dies": "has a handshake, and exits when that does not come first",
    "2026": "speaks 2026-07-28, and answers to `initialize` that it does not do that",
    "future": "speaks a revision that nobody knows yet",
}

REVISION_2026: Final = "2026-07-28"
FUTURE: Final = "2099-01-01"

_TOOLS: Final = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
_CAPABILITIES: Final[dict[str, Any]] = {"tools": {}}


def _handshake(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        info = {"name": "probed", "version": "1"}
        revision = params["protocolVersion"]
        return {"protocolVersion": revision, "capabilities": _CAPABILITIES, "serverInfo": info}
    return _TOOLS if method == "tools/list" else None


def _of_2026(method: str, _: dict[str, Any]) -> dict[str, Any] | None:
    if method == "server/discover":
        found = {"supportedVersions": [REVISION_2026], "capabilities": _CAPABILITIES}
        return found | {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    return _TOOLS | {"resultType": "complete"} if method == "tools/list" else None


def _refusal(mode: str, method: str) -> dict[str, Any]:
    if mode == "future":
        data = {"supported": [FUTURE], "requested": "another"}
        return {"code": -32022, "message": "Unsupported protocol version", "data": data}
    return {"code": -32601, "message": f"Method not found: {method}"}


def _answer(mode: str, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The members of an answer beside its id; None for silence."""
    known = _of_2026 if mode == "2026" else _handshake
    result = None if mode == "future" else known(method, params)
    if result is not None:
        return {"result": result}
    return None if mode == "ignores" else {"error": _refusal(mode, method)}


def main() -> None:
    mode, record = sys.argv[1], Path(sys.argv[2])
    if mode not in MODES:
        sys.exit(f"probed_upstream: unknown mode {mode!r}; one of {', '.join(MODES)}")
    is_first = True
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        with record.open("a") as file:
            file.write(f"{method}\n")
        if mode == "dies" and is_first and method != "initialize":
            sys.exit("probed: expected initialize first")
        is_first = False
        answer = _answer(mode, method, message.get("params") or {}) if "id" in message else None
        if answer is not None:
            told = {"jsonrpc": "2.0", "id": message["id"], **answer}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
