"""A raw WebSocket client of the log: it shows each frame, and can send any handshake."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import ssl

LIMIT_S: Final = 30.0

READ_BYTES: Final = 1 << 16

TEXT: Final = 1
CLOSE: Final = 8


class Follower:
    """A client of `/ws`; `status` is the status of the answer to its handshake."""

    def __init__(
        self,
        netloc: str,
        token: str | None,
        target: str = "/ws",
        *lines: str,
        receive_bytes: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connect; `lines` are headers, `receive_bytes` is the size of the kernel's buffer."""
        host, port = netloc.split(":")
        self._sock = socket.socket()
        self._sock.settimeout(LIMIT_S)
        if receive_bytes is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._sock.connect((host, int(port)))
        if tls is not None:
            self._sock = tls.wrap_socket(self._sock, server_hostname=host)
        self._buffer = b""
        own_host = any(line.startswith("Host: ") for line in lines)
        head = [
            f"GET {target} HTTP/1.1", *([] if own_host else [f"Host: {netloc}"]),
            "Upgrade: websocket",
            "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", *lines,
        ]  # fmt: skip
        if token is not None:
            head.append(f"Authorization: Bearer {token}")
        self._sock.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        self.head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.status = int(self.head.split()[1])

    def _fill(self) -> None:
        data = self._sock.recv(READ_BYTES)
        if not data:
            raise EOFError
        self._buffer += data

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def frame(self) -> tuple[int, bytes]:
        """Return kind and content of the next frame (RFC 6455 section 5.2).

        Raises:
            EOFError: the router has closed.
        """
        first, size = self._take(2)
        if size == 126:
            (size,) = struct.unpack(">H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._take(8))
        return first & 0x0F, self._take(size)

    def until(self, mark: str) -> list[str]:
        """Return all texts up to the first with `mark` in it."""
        texts: list[str] = []
        while not texts or mark not in texts[-1]:
            kind, data = self.frame()
            assert kind == TEXT, (kind, data)
            texts.append(data.decode())
        return texts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()
