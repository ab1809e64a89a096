"""Listens on this machine for the browser that comes back from a login.

It is for routers to which that browser has no way: those on stdio alone, and those elsewhere. The
router is told the URL, and finishes the login.

Invariants: it listens on 127.0.0.1 alone, answers one path, and ends with the command. What a
browser sends is neither logged nor shown.
"""

from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

PATH: Final = "/oauth/callback"

POLL_S: Final = 0.1
"""How often the listener looks whether the command has ended."""

_DONE: Final = "You are logged in. You can close this page, and go back to the terminal.\n"
_FAILED: Final = "The login has failed; the terminal says why. You can close this page.\n"


@contextmanager
def callback_listener(take: Callable[[str], bool]) -> Generator[str]:
    """Listen, and yield the redirect URI.

    Args:
        take: is given the query of a callback, in a thread; returns whether the login succeeded.
    """

    class _Answer(BaseHTTPRequestHandler):
        timeout = 10.0  # a silent connection must not keep the command

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path != PATH:
                self._answer(404, "There is nothing here.\n")
            else:
                self._answer(200, _DONE if take(query) else _FAILED)

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PATH}"
    finally:
        server.shutdown()
        server.server_close()
