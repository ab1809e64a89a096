"""A client on a connection that stays open, which makes the same call over and over."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from benchmarks.internals.raw_http import (
    INITIALIZE,
    NO_SESSION,
    SESSION_HEADER,
    request_bytes,
    whole_answer,
)

if TYPE_CHECKING:
    from urllib.parse import SplitResult

TEXT: Final = "The quick brown fox jumps over the lazy dog."
CALL_ID: Final = 2
_CALL: Final = {
    "name": "mcp.router.call",
    "arguments": {"instance_name": "echo", "tool_name": "echo", "arguments": {"text": TEXT}},
}
_RECEIVE_BYTES: Final = 1 << 16


class Caller:
    """A connection with a session of its own, which repeats one call.

    Every answer is compared whole with the first one, which is checked.
    """

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self.socket = socket.create_connection((where.hostname, where.port or 80), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
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
        self.socket.sendall(self._request)

    def read(self) -> bool:
        """Read some of the answer; return True once it is whole."""
        self._buffer += self._receive()
        answer = whole_answer(self._buffer)
        if answer is None:
            return False
        assert answer[1] == self._answer, f"Another answer: {answer[1]!r}"
        self._buffer = b""
        return True
