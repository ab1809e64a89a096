"""Collects the texts that enter the context of a model while it does a task, by part.

- The tools as hosts give them to models: name, description and input schema of each; and the
  instructions of the server.
- Each call as the model writes it: name and arguments.
- The text of each result.

Each text counts once, when it comes. Hosts send the whole context again with each turn, and cache
it; that is the same for all views.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Literal

from benchmarks.client import answer_in

if TYPE_CHECKING:
    from tests.e2e.raw_client import HttpClient

Part = Literal["listing", "finding", "calling"]
PARTS: Final[tuple[Part, ...]] = ("listing", "finding", "calling")
"""The list of tools and the instructions; searches, descriptions and the like; the calls of the
tools that do the task."""


class FailedCallError(Exception):
    """A call was answered with an error."""


class Conversation:
    """A session with a router, and the texts of it that a model sees.

    Args:
        client: a session that is open, and its own.

    Attributes:
        texts: the texts so far.
        last: the text of the last result of `call`.
        known: what a model has found out already and need not ask again, by any name.
    """

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._id = 0
        self.texts: dict[Part, list[str]] = defaultdict(list)
        self.last = ""
        self.known: dict[str, Any] = {}

    def list_tools(self, instructions: str) -> None:
        """List the tools, as a host does before the model has said anything."""
        if instructions:
            self.texts["listing"].append(instructions)
        self.texts["listing"] += [
            shown_to_model(tool) for tool in self.request("tools/list")["tools"]
        ]

    def find(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a tool that finds or describes others; return what it says."""
        return json.loads(self._call("finding", name, arguments))

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        """Call a tool that does something; return the text of the result."""
        self.last = self._call("calling", name, arguments)
        return self.last

    def _call(self, part: Part, name: str, arguments: dict[str, Any]) -> str:
        self.texts[part].append(_json({"name": name, "arguments": arguments}))
        result = self.request("tools/call", name=name, arguments=arguments)
        text = "\n".join(one.get("text", "") for one in result["content"])
        self.texts[part].append(text)
        if result.get("isError"):
            raise FailedCallError(f"{name} failed: {text[:300]}")
        return text

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result of a request.

        Raises:
            FailedCallError: it was answered with an error.
        """
        self._id += 1
        _, body = self._client.post({"id": self._id, "method": method, "params": params})
        answer = answer_in(body, self._id)
        if "result" not in answer:
            raise FailedCallError(f"{method} {params.get('name', '')}: {answer.get('error')}")
        return answer["result"]


def shown_to_model(tool: dict[str, Any]) -> str:
    """Return a tool as hosts give it to models."""
    return _json({key: tool[key] for key in ("name", "description", "inputSchema") if key in tool})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
