"""One HTTP server that lists what real servers list, each at a path of its own.

It stands for the servers that need a network to do anything: a client sees their tools, and a call
of one is an error.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.search.catalogues import Catalogue

POLL_S: Final = 0.02
"""Seconds after which the server notices that it is to end."""


@contextmanager
def stub_server(catalogues: Sequence[Catalogue]) -> Iterator[dict[str, str]]:
    """Serve catalogues until the context ends; yield the URL of each, by its name."""
    by_name = {one.name: one for one in catalogues}

    class Stub(_Stub):
        served = by_name

    with ThreadingHTTPServer(("127.0.0.1", 0), Stub) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=[POLL_S], daemon=True)
        thread.start()
        yield {name: f"http://127.0.0.1:{server.server_port}/{name}" for name in by_name}
        server.shutdown()
        thread.join()


class _Stub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Mapping[str, Catalogue]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = json.loads(body)
        catalogue = self.served[self.path.strip("/")]
        if "id" not in message:
            self._answer(202)
        else:
            answer = {"jsonrpc": "2.0", "id": message["id"], **_answer(catalogue, message)}
            self._answer(200, json.dumps(answer).encode())

    def do_GET(self) -> None:
        self._answer(405)  # there is no event stream of its own (MCP 2025-11-25, Transports)

    def do_DELETE(self) -> None:
        self._answer(405)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name)
        """Say nothing."""


def _answer(catalogue: Catalogue, message: dict[str, Any]) -> dict[str, Any]:
    """Return the result or the error of a request."""
    if message["method"] == "initialize":
        info = {"name": catalogue.name, "version": "1"}
        result: dict[str, Any] = {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": info | ({"title": catalogue.title} if catalogue.title else {}),
        }
        if catalogue.instructions:
            result["instructions"] = catalogue.instructions
        return {"result": result}
    if message["method"] == "tools/list":
        return {"result": {"tools": catalogue.tools}}
    if message["method"] == "ping":
        return {"result": {}}
    return {"error": {"code": -32601, "message": "This server only lists its tools"}}
