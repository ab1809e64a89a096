"""An HTTP server that gives the answers it is told."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from router.files.local_sockets import FOLDER, socket_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LIMIT_S = 30


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answer as many requests, each on a connection of its own, with these bytes.

    Yields:
        The URL, and a list that gets the bytes of each request.
    """
    with socket.create_server(("127.0.0.1", 0)) as server, _serving(server, answers) as requests:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", requests


@contextmanager
def answering_locally(home: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """Answer as many requests as the router of `config.json` in that folder, on its local socket.

    Args:
        home: `XDG_RUNTIME_DIR` as well.
        answers: the answers.

    Yields:
        A list that gets the bytes of each request.
    """
    folder = home / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / socket_name(home / "config.json")))
        server.listen()
        with _serving(server, answers) as requests:
            yield requests


@contextmanager
def _serving(server: socket.socket, answers: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Answer connections that ask something; a command may look first who is there."""
    requests: list[bytes] = []
    server.settimeout(LIMIT_S)

    def serve() -> None:
        while len(requests) < len(answers):
            connection, _ = server.accept()
            with connection:
                connection.settimeout(LIMIT_S)
                if request := connection.recv(1 << 16):
                    requests.append(request)
                    connection.sendall(answers[len(requests) - 1])

    thread = threading.Thread(target=serve)
    thread.start()
    yield requests
    thread.join(LIMIT_S)


def http_response(status: str, body: str) -> bytes:
    content = body.encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def unused_url() -> str:
    """Return the URL of a port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"
