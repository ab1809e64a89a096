"""Makes calls over keep-alive HTTP connections for a while, and prints the figures as JSON.

It runs as a process of its own: one thread over raw sockets, which costs little beside the server.

Invariants:

- Each connection has one `tools/call` in flight. The next call is sent after the last answer.
- Every answer is compared whole with the first answer, which is checked.
- The warm-up does not count.
- Every server gets the same bytes.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import attrs

WARM_UP_S: Final = 0.5

TEXT: Final = "The quick brown fox jumps over the lazy dog."

LENGTH_HEADER: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SESSION_HEADER: Final = re.compile(rb"\r\nmcp-session-id: *([!-~]+)", re.IGNORECASE)
HEAD_END: Final = b"\r\n\r\n"
_RECEIVE_BYTES: Final = 1 << 16

INITIALIZE: Final = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "load", "version": "1"},
}
CALL_ID: Final = 2
_CALL: Final = {
    "name": "mcp.router.call",
    "arguments": {"instance_name": "echo", "tool_name": "echo", "arguments": {"text": TEXT}},
}
NO_SESSION: Final = b"0" * 32
"""The session id sent to a server that gave none, so that all requests have the same size."""


@attrs.frozen
class Load:
    """The figures of one run.

    Attributes:
        calls: the number of calls answered within the measured time.
        seconds: the measured time.
        p50_ms, p99_ms: from a call's first byte sent to its answer's last byte received.
    """

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds


def whole_answer(data: bytes) -> tuple[bytes, bytes] | None:
    """Return the head and the body of the response in `data`; None while some of it is missing.

    Raises:
        ValueError: the response has no Content-Length, or more bytes follow it.
    """
    head, end, body = data.partition(HEAD_END)
    if not end:
        return None
    length = LENGTH_HEADER.search(head)
    if length is None:
        raise ValueError(f"An answer without Content-Length: {head!r}")
    missing = int(length[1]) - len(body)
    if missing < 0:
        raise ValueError(f"More than one answer: {data!r}")
    return None if missing else (head, body)


def request_bytes(
    where: SplitResult,
    session: bytes | None,
    message: dict[str, Any],
    *,
    revision: str = "2025-06-18",
    method: str | None = None,
) -> bytes:
    """Return a POST with the headers that the SDK's clients send.

    Args:
        session: the id of the session; None without one.
        message: the message, without `jsonrpc`.
        revision: the protocol revision.
        method: the `Mcp-Method` header, which 2026-07-28 wants; None for revisions without it.
    """
    body = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()
    head = (
        f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        f"MCP-Protocol-Version: {revision}\r\nContent-Length: {len(body)}"
    ).encode()
    if method is not None:
        head += f"\r\nMcp-Method: {method}".encode()
    if session is not None:
        head += b"\r\nMcp-Session-Id: " + session
    return head + HEAD_END + body


class Caller:
    """One connection with a session of its own, which repeats one call."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self.socket = socket.create_connection((where.hostname, where.port or 80), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._sent_at_s = 0.0
        call = {"id": CALL_ID, "method": "tools/call", "params": _CALL}
        self._request = request_bytes(where, self._open_session(where), call)
        self._answer = self._ask(self._request)[1]
        assert TEXT in self._answer.decode(), self._answer

    def _open_session(self, where: SplitResult) -> bytes:
        hello = {"id": 1, "method": "initialize", "params": INITIALIZE}
        head, _ = self._ask(request_bytes(where, None, hello))
        found = SESSION_HEADER.search(head)
        session = found[1] if found else NO_SESSION
        self._ask(request_bytes(where, session, {"method": "notifications/initialized"}))
        return session

    def _ask(self, request: bytes) -> tuple[bytes, bytes]:
        self.socket.sendall(request)
        data = b""
        while (answer := whole_answer(data)) is None:
            data += self._receive()
        return answer

    def _receive(self) -> bytes:
        data = self.socket.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionError("The server closed the connection")
        return data

    def call(self) -> None:
        """Send the call. The socket becomes readable when some of the answer has come."""
        self._sent_at_s = time.perf_counter()
        self.socket.sendall(self._request)

    def read(self) -> float | None:
        """Read some of the answer; return the latency in seconds once it is whole, else None."""
        self._buffer += self._receive()
        answer = whole_answer(self._buffer)
        if answer is None:
            return None
        assert answer[1] == self._answer, f"Another answer: {answer[1]!r}"
        self._buffer = b""
        return time.perf_counter() - self._sent_at_s


def run(url: str, callers: int, seconds: float) -> Load:
    """Make calls for `seconds`, after a warm-up."""
    with selectors.DefaultSelector() as ready:
        for caller in [Caller(url) for _ in range(callers)]:
            ready.register(caller.socket, selectors.EVENT_READ, caller)
            caller.call()
        _drive(ready, WARM_UP_S)
        began_s = time.perf_counter()
        latencies_s = sorted(_drive(ready, seconds))
        took_s = time.perf_counter() - began_s
        for key in list(ready.get_map().values()):
            key.data.socket.close()
    return Load(
        calls=len(latencies_s),
        seconds=took_s,
        p50_ms=1000 * latencies_s[len(latencies_s) // 2],
        p99_ms=1000 * latencies_s[len(latencies_s) * 99 // 100],
    )


def _drive(ready: selectors.BaseSelector, seconds: float) -> list[float]:
    """Keep every caller calling; return the latencies of the calls that ended."""
    latencies_s: list[float] = []
    ends_at_s = time.perf_counter() + seconds
    while time.perf_counter() < ends_at_s:
        for key, _ in ready.select(timeout=30):
            caller: Caller = key.data
            if (latency_s := caller.read()) is not None:
                latencies_s.append(latency_s)
                caller.call()
    return latencies_s


def main() -> None:
    """Run `python -m benchmarks.load URL CALLERS SECONDS`."""
    _, url, callers, seconds = sys.argv
    json.dump(attrs.asdict(run(url, int(callers), float(seconds))), sys.stdout)


if __name__ == "__main__":
    main()
