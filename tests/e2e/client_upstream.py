"""An upstream over stdio, of a handshake revision, that says all it knows of its client.

Run as `python client_upstream.py [WORD...]`. Like `chaos_upstream`, it uses nothing but the
standard library and answers from one thread, in the order of arrival.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final

TOOLS: Final = {
    "who": "answers with the client, the process, and what the client has said so far",
    "roots": "asks the client for its roots during the call, and answers with them",
    "later": "answers at once, and asks the client for its roots afterwards",
}


class Upstream:
    """The server; `take` is called with each message that came in."""

    def __init__(self) -> None:
        self._client: dict[str, Any] = {}
        self._later: Any = None
        self._roots_changed = 0
        self._calls: dict[str, Any] = {}

    def take(self, message: dict[str, Any]) -> None:
        method, request_id = message.get("method"), message.get("id")
        if method == "initialize":
            self._client = message["params"]
            self._answer(request_id, _hello(self._client["protocolVersion"]))
        elif method == "tools/list":
            listed = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
            self._answer(request_id, {"tools": listed})
        elif method == "tools/call":
            self._call(request_id, message["params"]["name"])
        elif method == "notifications/roots/list_changed":
            self._roots_changed += 1
        elif method is None:
            self._answered(str(request_id), message.get("result", message.get("error")))
        elif request_id is not None:
            self._send({"id": request_id, "error": {"code": -32601, "message": "Not here"}})

    def _call(self, request_id: Any, name: str) -> None:
        if name == "who":
            self._text(request_id, self._known())
        elif name == "roots":
            self._calls["during"] = request_id
            self._send({"id": "during", "method": "roots/list"})
        else:
            self._text(request_id, "later")
            self._send({"id": "later", "method": "roots/list"})

    def _answered(self, question: str, answer: Any) -> None:
        if question == "later":
            self._later = answer
        else:
            self._text(self._calls.pop(question), answer)

    def _known(self) -> dict[str, Any]:
        return {
            "client": self._client["clientInfo"]["name"],
            "capabilities": self._client["capabilities"],
            "pid": os.getpid(),
            "cwd": os.getcwd(),
            "words": sys.argv[1:],
            "later": self._later,
            "roots_changed": self._roots_changed,
        }

    def _text(self, request_id: Any, value: Any) -> None:
        self._answer(request_id, {"content": [{"type": "text", "text": json.dumps(value)}]})

    def _answer(self, request_id: Any, result: dict[str, Any]) -> None:
        self._send({"id": request_id, "result": result})

    def _send(self, message: dict[str, Any]) -> None:
        os.write(1, json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def _hello(revision: str) -> dict[str, Any]:
    info = {"name": "client-upstream", "version": "1"}
    return {"protocolVersion": revision, "capabilities": {"tools": {}}, "serverInfo": info}


if __name__ == "__main__":
    upstream = Upstream()
    for line in sys.stdin:
        upstream.take(json.loads(line))
