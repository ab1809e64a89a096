"""A REST API that answers what it is told to, over a real socket."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW: Final[dict[str, Any]] = {
    "name": "files",
    "state": "ready",
    "connected": True,
    "tools_count": 2,
}
NOT_FOUND: Final = {"detail": {"error": "Instance not found: x", "code": "INSTANCE_NOT_FOUND"}}


@attrs.define
class FakeRouter:
    """Answers by method and path.

    Attributes:
        url: of its API.
        answers: `GET /api/tools` -> a body, or a status with a body; bytes are an event stream.
        asked: the requests, in order: method and path, and the decoded body (None without one).
    """

    url: str = ""
    answers: dict[str, Any] = attrs.field(factory=dict[str, Any])
    asked: list[tuple[str, Any]] = attrs.field(factory=list[tuple[str, Any]])

    def answer(self, target: str, body: Any, status: int = 200) -> FakeRouter:
        """Answer a request from now on."""
        self.answers[target] = (status, body)
        return self

    def bodies(self, target: str) -> list[Any]:
        """Return the bodies of the requests that asked for this."""
        return [body for asked, body in self.asked if asked == target]


@contextmanager
def fake_router(*rows: dict[str, Any]) -> Iterator[FakeRouter]:
    """Run one that has these instances."""
    router = FakeRouter()
    router.answer("GET /health", {"status": "healthy"})
    router.answer("GET /api/instances", list(rows))
    for row in rows:
        router.answer(f"GET /api/instances/{row['name']}", row)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_DELETE(self) -> None:
            self._serve()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            target = f"{self.command} {self.path}"
            router.asked.append((target, body))
            status, answer = router.answers.get(target, (404, NOT_FOUND))
            is_stream = isinstance(answer, bytes)
            data = answer if is_stream else json.dumps(answer).encode()
            self.send_response(status)
            kind = "text/event-stream" if is_stream else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        router.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield router
        finally:
            server.shutdown()
            thread.join()


def event(kind: str, value: Any) -> bytes:
    """Return one server-sent event."""
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()
