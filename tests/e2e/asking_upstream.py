"""An upstream over stdio, of a handshake revision, whose tools ask the client.

Run as `python asking_upstream.py RECORD`: each line that comes in is appended to the file RECORD
before it is handled, so a test can tell what did *not* come. Like `chaos_upstream`, it uses nothing
but the standard library and answers from one thread, in the order of arrival.

The answer of a tool is one text: the JSON list of the replies to its questions, in the order in
which it asked them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

FORM: Final = {
    "message": "Who are you?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}
SECOND_FORM: Final = FORM | {"message": "Really?"}
URL: Final = {
    "mode": "url",
    "elicitationId": "of-the-upstream",
    "url": "https://login.example.test/device?code=1",
    "message": "Log in there",
}
SAMPLE: Final = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "whisper"}}],
    "maxTokens": 10,
}

Question = tuple[str, dict[str, Any] | None]

ROUNDS: Final[dict[str, list[list[Question]]]] = {
    "form": [[("elicitation/create", FORM)]],
    "url": [[("elicitation/create", URL)]],
    "sample": [[("sampling/createMessage", SAMPLE)]],
    "roots": [[("roots/list", None)]],
    "twice": [[("elicitation/create", FORM)], [("elicitation/create", SECOND_FORM)]],
    "both": [[("elicitation/create", FORM), ("sampling/createMessage", SAMPLE)]],
    "progress_then_form": [[("elicitation/create", FORM)]],
    "form_then_hang": [[("elicitation/create", FORM)]],
    "first_of_two": [[("elicitation/create", FORM)]],
}
"""Tool -> its questions: those of a round are asked at once, the next round after their answers."""

TOOLS: Final = (
    *ROUNDS,
    "second_of_two",
    "needs_url",
    "plain",
    "await_cancelled",
    "logs",
    "region",
    "exit",
)
MIRRORED: Final = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
}
"""Over HTTP, this argument is to be in a header as well (a rule of 2026-07-28)."""

URL_REQUIRED: Final = -32042


class Call:
    """One call of a tool that asks."""

    def __init__(self, upstream: Upstream, request_id: Any, params: dict[str, Any]) -> None:
        self.request_id = request_id
        self._upstream = upstream
        self._tool: str = params["name"]
        self._token = (params.get("_meta") or {}).get("progressToken")
        self._rounds = list(ROUNDS[self._tool])
        self._open: set[str] = set()
        self._said: dict[str, Any] = {}
        if self._tool.startswith("progress_"):
            self._progress()
        self._ask()

    def _progress(self) -> None:
        params = {"progressToken": self._token, "progress": 1, "total": 2}
        self._upstream.send({"method": "notifications/progress", "params": params})

    def _ask(self) -> None:
        for method, params in self._rounds.pop(0):
            question = self._upstream.ask(self, method, params)
            self._open.add(question)
            self._said[question] = None  # in the order of asking

    def answered(self, question: str, answer: dict[str, Any]) -> None:
        """One answer has come; after the last one of a round, go on."""
        self._open.remove(question)
        self._said[question] = answer.get("result", {"error": answer.get("error")})
        if self._open:
            return
        if self._rounds:
            self._ask()
        elif self._tool.endswith("_hang"):
            self._progress()
        else:
            self._upstream.text(self.request_id, json.dumps(list(self._said.values())))


class Upstream:
    """The server; `take` is called with each message that came in."""

    def __init__(self) -> None:
        self._asked: dict[str, Call] = {}
        self._cancelled = 0
        self._logged_in: set[str] = set()
        self._waiting: list[Any] = []
        self._first: tuple[Any, dict[str, Any]] | None = None

    def send(self, message: dict[str, Any]) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        os.write(1, line)

    def text(self, request_id: Any, text: str) -> None:
        result = {"content": [{"type": "text", "text": text}]}
        self.send({"id": request_id, "result": result})

    def ask(self, call: Call, method: str, params: dict[str, Any] | None) -> str:
        question = f"question-{call.request_id}-{len(self._asked)}"
        self._asked[question] = call
        message: dict[str, Any] = {"id": question, "method": method}
        self.send(message if params is None else message | {"params": params})
        return question

    def take(self, message: dict[str, Any]) -> None:
        method, request_id = message.get("method"), message.get("id")
        if method == "initialize":
            self.send({"id": request_id, "result": _hello(message["params"]["protocolVersion"])})
        elif method == "tools/list":
            schemas = {"region": MIRRORED}
            plain = {"type": "object"}
            tools = [{"name": name, "inputSchema": schemas.get(name, plain)} for name in TOOLS]
            self.send({"id": request_id, "result": {"tools": tools}})
        elif method == "tools/call":
            self._call(request_id, message["params"])
        elif method == "notifications/cancelled":
            self._cancel()
        elif method in {"ping", "logging/setLevel"}:
            self.send({"id": request_id, "result": {}})
        elif method is None and request_id in self._asked:
            self._asked[request_id].answered(request_id, message)
        elif method is not None and request_id is not None:
            unknown = {"code": -32601, "message": f"Method not found: {method}"}
            self.send({"id": request_id, "error": unknown})

    def _call(self, request_id: Any, params: dict[str, Any]) -> None:
        name = params["name"]
        if name == "first_of_two":
            self._first = (request_id, params)
        elif name in ROUNDS:
            Call(self, request_id, params)
        elif name == "second_of_two":
            self._second_of_two(request_id)
        elif name == "await_cancelled":
            self._waiting.append(request_id)
            self._settle()
        elif name == "needs_url":
            self._needs_url(request_id, params["arguments"]["label"])
        elif name == "logs":
            self._log(request_id)
        elif name == "region":
            self.text(request_id, params["arguments"]["region"])
        elif name == "exit":
            os._exit(1)
        else:
            self.text(request_id, "plain")

    def _second_of_two(self, request_id: Any) -> None:
        """Ask about the first call now, while the second is in flight, and then answer that."""
        assert self._first is not None
        Call(self, *self._first)
        self.text(request_id, "second")

    def _log(self, request_id: Any) -> None:
        for level in ("debug", "warning"):
            params = {"level": level, "data": level}
            self.send({"method": "notifications/message", "params": params})
        self.text(request_id, "logged")

    def _needs_url(self, request_id: Any, label: str) -> None:
        """The first call with a label is refused, as if its user had to log in."""
        if label in self._logged_in:
            self.text(request_id, "logged in")
        else:
            self._logged_in.add(label)
            self.send({"id": request_id, "error": _url_required()})

    def _cancel(self) -> None:
        self._cancelled += 1
        self._settle()

    def _settle(self) -> None:
        while self._cancelled and self._waiting:
            self._cancelled -= 1
            self.text(self._waiting.pop(0), "cancelled")


def _hello(revision: str) -> dict[str, Any]:
    return {
        "protocolVersion": revision,
        "capabilities": {"tools": {}, "logging": {}},
        "serverInfo": {"name": "asking", "version": "1"},
    }


def _url_required() -> dict[str, Any]:
    data = {"elicitations": [URL]}
    return {"code": URL_REQUIRED, "message": "Log in first", "data": data}


def main() -> None:
    record, upstream = Path(sys.argv[1]), Upstream()
    for line in sys.stdin:
        with record.open("a") as file:
            file.write(line)
        upstream.take(json.loads(line))


if __name__ == "__main__":
    main()
