"""An MCP server over HTTP that answers as a test tells it to, rightly or wrongly."""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Message = dict[str, Any]


@attrs.frozen
class Request:
    """One request: its head, and the message in its body, if it has one."""

    head: str
    message: Message


class Answering(Protocol):
    def __call__(self, message: Message) -> Message | None: ...


def right_answer(message: Message) -> Message | None:
    """Answer as an echo does; None for a notification."""
    if "id" not in message:
        return None
    result: Message = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}
    if message["method"] == "tools/call":
        result = {"content": [{"type": "text", "text": message["params"]["arguments"]["text"]}]}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def calls_answered(change: Callable[[Message, Message], Message | None]) -> Answering:
    """Answer all but calls rightly; of a call, `change` gets request and right answer."""

    def answer(message: Message) -> Message | None:
        right = right_answer(message)
        return change(message, right) if right and message["method"] == "tools/call" else right

    return answer


# --- How an answer is sent --------------------------------------------------------------------


def as_json(answer: Message) -> bytes:
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nMcp-Session-Id: a-session\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + body


def in_chunks(answer: Message) -> bytes:
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + _chunks(body)


def as_events(answer: Message) -> bytes:
    """Send a notification before the answer, and the answer in two lines of data."""
    first, last = json.dumps(answer).split(" ", 1)
    events = (
        ': a comment\r\n\r\nid: 1\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress"}'
        f"\r\n\r\nevent: message\r\ndata: {first}\r\ndata: {last}\r\n\r\n"
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    return head + b"\r\n" + _chunks(events.encode())


def until_close(answer: Message) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(answer).encode()
    )


def _chunks(body: bytes) -> bytes:
    halves = [body[: len(body) // 2], body[len(body) // 2 :]]
    return b"".join(b"%x\r\n%b\r\n" % (len(half), half) for half in halves) + b"0\r\n\r\n"


# --- The server -------------------------------------------------------------------------------


@contextmanager
def serving(
    answer: Answering = right_answer,
    sending: Callable[[Message], bytes] = as_json,
    *,
    call_status: int = 200,
) -> Iterator[tuple[str, list[Request]]]:
    """Serve on a free port; yield the URL, and all requests so far.

    Args:
        answer: what it answers; None for 202 without an answer.
        sending: how it sends an answer; the connection is closed after `until_close`.
        call_status: 200, or the status with which it refuses calls; 0 closes the connection.
    """
    requests: list[Request] = []

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self._serve_one():
                pass

        def _serve_one(self) -> bool:
            head = ""
            while (line := self.rfile.readline().decode()) not in ("\r\n", ""):
                head += line
            if not head:
                return False
            fields = dict(one.lower().split(": ", 1) for one in head.splitlines()[1:])
            message = json.loads(self.rfile.read(int(fields.get("content-length", "0"))) or "{}")
            requests.append(Request(head, message))
            return self._answer(message)

        def _answer(self, message: Message) -> bool:
            if message.get("method") == "tools/call" and call_status != 200:
                refusal = f"HTTP/1.1 {call_status} No\r\nContent-Length: 4\r\n\r\nbusy"
                self.wfile.write(refusal.encode() if call_status else b"")
                return bool(call_status)
            found = answer(message) if message else None
            accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
            self.wfile.write(sending(found) if found else accepted)
            return found is None or sending is not until_close

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Connection) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/mcp", requests
        finally:
            server.shutdown()
            thread.join()
