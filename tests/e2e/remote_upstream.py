"""A remote server of a few lines over streamable HTTP, with sessions or of 2026-07-28."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.threaded_server import serving_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

HANDSHAKE: Final = "2025-11-25"
TOOLS: Final = [{"name": "echo", "inputSchema": {"type": "object"}}]
NOTHING: Final = {"ttlMs": 0, "cacheScope": "private", "resultType": "complete"}


class RemoteServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        revision: the only one that it speaks.
        calls: the number of calls that it carried out.
        resumed: the number of streams that were resumed.
    """

    daemon_threads = True

    def __init__(self, revision: str) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.revision = revision
        self.calls = self.resumed = 0


class _Talk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RemoteServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        if "id" not in message:
            self._answer(202, b"")
            return
        if message["method"] == "tools/call":
            self.server.calls += 1
            self._stream([b"id: %d\nretry: 1\ndata: \n\n" % message["id"], _event(message["id"])])
            return
        result = _result(message["method"], self.server.revision)
        if result is None:
            error = {"code": -32601, "message": "Method not found"}
            self._answer(404, _encoded(message["id"], error=error))
        else:
            self._answer(200, _encoded(message["id"], result=result))

    def do_GET(self) -> None:
        resumed_from = self.headers.get("Last-Event-Id")
        if resumed_from is None:
            self._answer(405, b"")
        else:
            self.server.resumed += 1
            self._stream([_event(int(resumed_from))])

    def do_DELETE(self) -> None:
        self._answer(200, b"")

    def _stream(self, events: list[bytes]) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(event)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.server.revision == HANDSHAKE:
            self.send_header("Mcp-Session-Id", "s1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


def _event(request_id: int) -> bytes:
    result = {"content": [{"type": "text", "text": "hello"}], "resultType": "complete"}
    return b"data: %b\n\n" % _encoded(request_id, result=result)


def _encoded(request_id: Any, **members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, **members}).encode()


def _result(method: str, revision: str) -> dict[str, Any] | None:
    if method == "tools/list":
        return {"tools": TOOLS, **NOTHING}
    if method == "server/discover" and revision == REVISION_2026:
        return {"supportedVersions": [REVISION_2026], "capabilities": {"tools": {}}, **NOTHING}
    if method == "initialize" and revision == HANDSHAKE:
        info = {"name": "remote", "version": "1"}
        return {"protocolVersion": revision, "capabilities": {"tools": {}}, "serverInfo": info}
    return {} if method == "ping" and revision == HANDSHAKE else None


@contextmanager
def remote_server(revision: str = HANDSHAKE) -> Iterator[RemoteServer]:
    """Run a server that speaks this revision."""
    with serving_in_thread(RemoteServer(revision)) as server:
        yield server
