"""Forwards the connections of one port to a server that listens on another.

A server "restarts" when its port is forwarded to another process: how long that takes depends on
events in the test, and not on how long a process needs to start.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_BYTES: Final = 1 << 16


class _Forwarder(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, to: int) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.to = to
        self.sockets: list[socket.socket] = []


class _Connection(BaseRequestHandler):
    server: _Forwarder  # pyright: ignore[reportIncompatibleVariableOverride]

    def handle(self) -> None:
        client: socket.socket = self.request
        with socket.create_connection(("127.0.0.1", self.server.to)) as server:
            self.server.sockets += (client, server)
            answers = threading.Thread(target=_copy, args=(server, client), daemon=True)
            answers.start()
            _copy(client, server)
            answers.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(READ_BYTES):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def forwarding(port: int, to: int) -> Iterator[None]:
    """Forward `port`; on leaving, all connections break and new ones are refused."""
    with _Forwarder(port, to) as forwarder:
        thread = threading.Thread(target=forwarder.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            forwarder.shutdown()
            thread.join()
            forwarder.server_close()
            for sock in forwarder.sockets:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
