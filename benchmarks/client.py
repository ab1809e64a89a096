"""A client of streamable HTTP for what the load generator does not do: a few calls, open sessions.

One connection, one request at a time. It reads JSON and event-stream answers.
"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from benchmarks.native.native import LoadError

if TYPE_CHECKING:
    from benchmarks.proxies.proxy import Running

ANSWER_LIMIT_S: Final = 60.0

HELLO: Final = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "load", "version": "1"},
}


class Client:
    """A connection to a proxy, with the session that was opened last."""

    def __init__(self, running: Running) -> None:
        assert running.url is not None
        parts = urlsplit(running.url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=ANSWER_LIMIT_S)
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-06-18",
            **running.headers,
        }
        self._id = 0

    def open_session(self) -> None:
        """Do the handshake; a session opened before stays open, and is used no more.

        Raises:
            LoadError: the proxy refuses.
        """
        self._headers.pop("Mcp-Session-Id", None)
        self._request("initialize", HELLO)
        self._post({"method": "notifications/initialized"})

    def text_of(self, tool: str, arguments: str, text: str) -> str:
        """Call a tool with a text; return the text of the answer.

        Args:
            tool: its name.
            arguments: its arguments as JSON, with `%TEXT%` for the text.

        Raises:
            LoadError: the answer is an error, or has no text.
        """
        filled = json.loads(arguments.replace("%TEXT%", text))
        result = self._request("tools/call", {"name": tool, "arguments": filled})
        try:
            answer: str = result["content"][0]["text"]
        except (KeyError, IndexError, TypeError) as error:
            raise LoadError(f"A result without text: {result}") from error
        if result.get("isError"):
            raise LoadError(f"{tool} failed: {answer}")
        return answer

    def close(self) -> None:
        """Close the connection; sessions stay open."""
        self._connection.close()

    def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._id += 1
        body = self._post({"id": self._id, "method": method, "params": params})
        answer = answer_in(body, self._id)
        if "result" not in answer:
            raise LoadError(f"{method} was answered with {answer}")
        return answer["result"]

    def _post(self, message: dict[str, Any]) -> bytes:
        body = json.dumps({"jsonrpc": "2.0", **message})
        self._connection.request("POST", self._path, body, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status // 100 != 2:
            raise LoadError(f"HTTP {response.status}: {answer[:200]!r}")
        if session := response.headers.get("Mcp-Session-Id"):
            self._headers["Mcp-Session-Id"] = session
        return answer


def answer_in(body: bytes, request_id: int) -> dict[str, Any]:
    """Return the answer to a request in a body, which is JSON or an event stream.

    Raises:
        LoadError: it has none.
    """
    is_json = body.lstrip().startswith(b"{")
    datas = [body] if is_json else [line[5:] for line in body.splitlines() if line[:5] == b"data:"]
    for data in datas:
        message = json.loads(data) if data.strip() else {}
        if message.get("id") == request_id and "method" not in message:
            return message
    raise LoadError(f"No answer to {request_id} in {body[:200]!r}")
