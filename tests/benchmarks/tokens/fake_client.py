"""A client of a router that answers from a table, and keeps what was asked."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.raw_client import HttpClient

CALL = "tools/call"


class FakeClient(HttpClient):
    """Answers `tools/list` with `tools`, and calls with what `answers` has for the tool's name."""

    def __init__(self, answers: dict[str, Any], tools: tuple[dict[str, Any], ...] = ()) -> None:
        self._answers, self._tools = answers, tools
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def post(self, message: dict[str, Any]) -> tuple[int, bytes]:
        if message["method"] == "tools/list":
            result: dict[str, Any] = {"tools": list(self._tools)}
        else:
            assert message["method"] == CALL
            name, arguments = message["params"]["name"], message["params"]["arguments"]
            self.calls.append((name, arguments))
            answer = self._answers[name]
            answer = answer(arguments) if callable(answer) else answer
            if isinstance(answer, Exception):
                result = {"content": [{"type": "text", "text": str(answer)}], "isError": True}
            else:
                text = answer if isinstance(answer, str) else json.dumps(answer)
                result = {"content": [{"type": "text", "text": text}]}
        body = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        return 200, json.dumps(body).encode()
