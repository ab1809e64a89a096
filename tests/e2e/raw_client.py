"""Raw JSON-RPC clients: over stdio at any revision, and over HTTP with a handshake.

Tests use these clients to see every byte, or to send messages that no SDK would send.
"""

from __future__ import annotations

import copy
import http.client
import json
import select
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from tests.e2e.processes import descendants, kill_all

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_LIMIT_S: Final = 30.0

HELLO: Final = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "raw", "version": "1"},
}


class StdioRouter:
    """A router on stdio and the pipes to it; killed on leaving."""

    def __init__(self, command: Sequence[str], **popen: Any) -> None:
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, **popen
        )
        self.lines: list[bytes] = []
        self._buffer = b""
        self._id = 0

    def send_line(self, line: bytes) -> None:
        """Write a line as it is."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + b"\n")
        self.popen.stdin.flush()

    def send(self, **message: Any) -> None:
        """Write a message."""
        self.send_line(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def read(self, limit_s: float = ANSWER_LIMIT_S) -> dict[str, Any]:
        """Return the next message.

        Raises:
            AssertionError: stdout ended, or nothing came in time.
        """
        assert self.popen.stdout is not None
        ends_at_s = time.monotonic() + limit_s
        while b"\n" not in self._buffer:
            left_s = max(0.0, ends_at_s - time.monotonic())
            assert select.select([self.popen.stdout], [], [], left_s)[0], "No answer in time"
            chunk = self.popen.stdout.read1(1 << 20)  # type: ignore[attr-defined]
            assert chunk, "The router closed its stdout"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        self.lines.append(line)
        return json.loads(line)

    def answer_to(self, request_id: int | str | None) -> dict[str, Any]:
        """Return the answer to a request; messages before it are only kept in `lines`."""
        while True:
            message = self.read()
            if message.get("id") == request_id and "method" not in message:
                return message

    def request(self, method: str, **params: Any) -> Any:
        """Send a request and return its result."""
        self._id += 1
        self.send(id=self._id, method=method, params=params)
        return self.answer_to(self._id)["result"]

    def initialize(self) -> Any:
        """Do the handshake; return the result of `initialize`."""
        result = self.request("initialize", **HELLO)
        self.send(method="notifications/initialized")
        return result

    def call(self, instance: str, tool: str, **arguments: Any) -> Any:
        """Call a tool of an instance; return its result."""
        wanted = {"instance_name": instance, "tool_name": tool, "arguments": arguments}
        return self.request("tools/call", name="mcp.router.call", arguments=wanted)

    def listed(self) -> dict[str, dict[str, Any]]:
        """Return the rows of `mcp.router.list`, by name of instance."""
        result = self.request("tools/call", name="mcp.router.list", arguments={})
        return {row["name"]: row for row in json.loads(result["content"][0]["text"])}

    def end_stdin(self) -> None:
        """Close the stdin of the router."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        if self.popen.poll() is None:
            children = descendants(self.popen.pid)
            self.popen.stdin.close()
            try:
                self.popen.wait(15)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
                kill_all(children)
        self.popen.stdin.close()
        self.popen.stdout.close()


class HttpClient:
    """A handshake client of streamable HTTP that reads one JSON body for each request."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=ANSWER_LIMIT_S)
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def post(self, message: dict[str, Any]) -> tuple[int, bytes]:
        """Post a message; return the status and the body."""
        body = json.dumps({"jsonrpc": "2.0", **message})
        self._connection.request("POST", self._path, body, self._headers)
        response = self._connection.getresponse()
        if session := response.headers.get("Mcp-Session-Id"):
            self._headers["Mcp-Session-Id"] = session
        return response.status, response.read()

    def send(self, message: dict[str, Any]) -> None:
        """Post a message, and wait for nothing."""
        body = json.dumps({"jsonrpc": "2.0", **message})
        self._connection.request("POST", self._path, body, self._headers)

    def initialize(self) -> None:
        """Open a session."""
        status, body = self.post({"id": "hello", "method": "initialize", "params": HELLO})
        assert status == 200, body
        assert self.post({"method": "notifications/initialized"})[0] == 202

    def delete(self) -> int:
        """End the session; return the status."""
        self._connection.request("DELETE", self._path, headers=self._headers)
        response = self._connection.getresponse()
        response.read()
        return response.status

    def on_another_connection(self) -> HttpClient:
        """Return a client of the same session."""
        same = copy.copy(self)
        same._connection = http.client.HTTPConnection(
            self._connection.host, self._connection.port, timeout=ANSWER_LIMIT_S
        )
        return same

    def call(self, request_id: int | str, instance: str, tool: str, **arguments: Any) -> Any:
        """Call a tool of an instance with this request id; return its result."""
        wanted = {"instance_name": instance, "tool_name": tool, "arguments": arguments}
        params = {"name": "mcp.router.call", "arguments": wanted}
        status, body = self.post({"id": request_id, "method": "tools/call", "params": params})
        assert status == 200, body
        answer = json.loads(body)
        assert answer["id"] == request_id
        return answer["result"]

    def close(self) -> None:
        self._connection.close()
