"""A proxy before a remote server that breaks calls in the way that a test chooses.

It reads each HTTP request to its end. A request with a `tools/call` in it meets the fault of the
moment; every other request passes, so sessions begin and lists are read in all modes.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_BYTES: Final = 1 << 16
LIMIT_S: Final = 30.0
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a RST at once."""


@attrs.frozen
class Pass:
    """Forward the request and the response."""

    delay_s: float = 0.0


@attrs.frozen
class Reset:
    """Reset the connection once the request is there."""


@attrs.frozen
class HalfOpen:
    """Never answer, like a machine that is gone."""


@attrs.frozen
class Cut:
    """Forward the request, and the first bytes of the response; then close the connection."""

    after_bytes: int


@attrs.frozen
class Status:
    """Answer with this status instead of the server."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_for_all: bool = False
    """True to answer every request so, not only calls."""


Fault: TypeAlias = Pass | Reset | HalfOpen | Cut | Status


class FaultProxy(ThreadingTCPServer):
    """The proxy.

    Attributes:
        fault: what happens to the next call.
        calls: the number of calls so far, whatever became of them.
        requests: the number of all requests so far.
        is_left: set when the router closed a connection on which a call was left without an answer.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, to: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.to = to
        self.fault: Fault = Pass()
        self.calls = self.requests = 0
        self.is_left = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mcp"


class _Connection(BaseRequestHandler):
    server: FaultProxy  # pyright: ignore[reportIncompatibleVariableOverride]

    def handle(self) -> None:
        client: socket.socket = self.request
        client.settimeout(LIMIT_S)
        with suppress(OSError):
            while (request := _read_request(client)) and self._meets(client, request):
                pass

    def _meets(self, client: socket.socket, request: bytes) -> bool:
        """Do to a request what the fault says; return whether the connection goes on."""
        proxy, fault = self.server, self.server.fault
        is_call = b'"tools/call"' in request
        proxy.calls += is_call
        proxy.requests += 1
        if isinstance(fault, Status) and (is_call or fault.is_for_all):
            client.sendall(_response(fault))
            return True
        if not is_call or isinstance(fault, (Pass, Cut)):
            time.sleep(fault.delay_s if is_call and isinstance(fault, Pass) else 0.0)
            limit = fault.after_bytes if is_call and isinstance(fault, Cut) else None
            self._forward(client, request, limit)
        elif isinstance(fault, Reset):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
        elif client.recv(1) == b"":
            proxy.is_left.set()
        return False

    def _forward(self, client: socket.socket, request: bytes, limit: int | None) -> None:
        """Forward a request and its response; the server closes the connection after that."""
        head, _, body = request.partition(b"\r\n\r\n")
        lines = [one for one in head.split(b"\r\n") if not one.lower().startswith(b"connection:")]
        request = b"\r\n".join([*lines, b"Connection: close", b"", body])
        left = limit
        with socket.create_connection(("127.0.0.1", self.server.to)) as server:
            server.sendall(request)
            while left != 0 and (data := server.recv(READ_BYTES)):
                data = data if left is None else data[:left]
                left = None if left is None else left - len(data)
                client.sendall(data)


def _read_request(client: socket.socket) -> bytes:
    """Return the next request; empty if the connection ended."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := client.recv(READ_BYTES)):
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while len(body) < sum(lengths):
        if not (chunk := client.recv(READ_BYTES)):
            return b""
        body += chunk
    return head + b"\r\n\r\n" + body


def _response(status: Status) -> bytes:
    fields = [*status.headers, ("Content-Length", str(len(status.body)))]
    head = [f"HTTP/1.1 {status.status} X", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*head, "", ""]).encode() + status.body


@contextmanager
def fault_proxy(to: int) -> Iterator[FaultProxy]:
    """Run a proxy before the server on the port `to`."""
    with FaultProxy(to) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
