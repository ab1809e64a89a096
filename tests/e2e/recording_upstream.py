"""An upstream over streamable HTTP that records every byte it is sent.

It has a handshake, and runs in threads of the test's own process.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.e2e.threaded_server import serving_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOL = {"name": "echo", "inputSchema": {"type": "object"}}


class RecordingUpstream(ThreadingHTTPServer):
    """The server; `seen` holds the head and the body of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recorder)
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/mcp"


class _Recorder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RecordingUpstream  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._record(body)
        message = json.loads(body)
        if "id" not in message:
            self._answer(202, b"")
            return
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": _result(message)}
        self._answer(200, json.dumps(answer).encode())

    def do_GET(self) -> None:
        self._record(b"")
        self._answer(405, b"")

    do_DELETE = do_GET

    def _record(self, body: bytes) -> None:
        self.server.seen.append(f"{self.requestline}\n{self.headers}\n{body.decode()}")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - as the base class has it
        """Say nothing."""


def _result(message: dict[str, Any]) -> dict[str, Any]:
    if message["method"] == "initialize":
        return {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "recording", "version": "1"},
        }
    if message["method"] == "tools/list":
        return {"tools": [TOOL]}
    return {"content": [{"type": "text", "text": json.dumps(message.get("params"))}]}


@contextmanager
def recording_upstream() -> Iterator[RecordingUpstream]:
    """Run a recording server."""
    with serving_in_thread(RecordingUpstream()) as server:
        yield server
