"""Idle: a thousand clients of HTTP+SSE that wait, and the latency of another one meanwhile."""

from __future__ import annotations

import http.client
import json
import re
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from benchmarks.client import HELLO
from benchmarks.native.native import LoadError
from benchmarks.proxies.floors import SSE_PROXY
from benchmarks.proxies.processes import call
from benchmarks.proxies.router import ROUTER
from benchmarks.rows import Row
from tests.e2e.process_resources import file_limit, resident_bytes

if TYPE_CHECKING:
    from benchmarks.context import Context
    from benchmarks.proxies.proxy import Running

SUITE: Final = "idle"
CLIENTS: Final = 1000
FILES: Final = 8192
LOAD: Final = f"{CLIENTS:,} SSE clients"
ANSWER_LIMIT_S: Final = 30.0
_ENDPOINT: Final = re.compile(rb"event: endpoint\r?\ndata: (\S+)\r?\n")


def run(context: Context) -> list[Row]:
    """Measure each proxy, one after the other."""
    rows: list[Row] = []
    with file_limit(FILES):
        for proxy in context.with_peers("sse", [SSE_PROXY, ROUTER]):
            with context.serving("sse", [proxy]) as serving:
                for name, running in serving.items():
                    found = context.attempt(name, lambda one=running: measure(one, context))
                    rows += _rows(name, found or {})
    return rows


def measure(running: Running, context: Context) -> dict[str, tuple[list[float], str]]:
    """Return the figures of a proxy that answers, with their units, by name."""
    before_us = _p50s_us(running, context)
    before_bytes = resident_bytes(running.pid)
    with ExitStack() as clients:
        for _ in range(CLIENTS):
            clients.enter_context(closing(IdleClient(running)))
        after_bytes = resident_bytes(running.pid)
        with_them_us = _p50s_us(running, context)
    slower = [one / other for one, other in zip(with_them_us, before_us, strict=True)]
    return {
        "memory of a client": ([(after_bytes - before_bytes) / CLIENTS / 1e3], "kB"),
        "p50 before": (before_us, "us"),
        "p50 with them": (with_them_us, "us"),
        "p50 with them / before": (slower, ""),
    }


def _p50s_us(running: Running, context: Context) -> list[float]:
    """Return the median latency of one caller, in each round."""
    loads = [call("sse", running, seconds=context.seconds) for _ in range(context.rounds)]
    return [one.p50_us for one in loads]


def _rows(name: str, figures: dict[str, tuple[list[float], str]]) -> list[Row]:
    return [
        Row.of(SUITE, LOAD, name, metric, values, unit)
        for metric, (values, unit) in figures.items()
    ]


class IdleClient:
    """A client that did the handshake, and reads nothing more.

    Raises:
        LoadError: the proxy does not serve it.
    """

    def __init__(self, running: Running) -> None:
        assert running.url is not None
        parts = urlsplit(running.url)
        self._headers = running.headers
        address = (parts.hostname or "", parts.port or 80)
        self._socket = socket.create_connection(address, timeout=ANSWER_LIMIT_S)
        headers = {"Host": parts.netloc, "Accept": "text/event-stream", **running.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._socket.sendall(f"GET {parts.path} HTTP/1.1\r\n{head}\r\n".encode())
        self._received = b""
        self._endpoint = urljoin(running.url, self._wait_for(_ENDPOINT)[1].decode())
        with closing(http.client.HTTPConnection(parts.netloc, timeout=ANSWER_LIMIT_S)) as posts:
            self._post(posts, {"id": 1, "method": "initialize", "params": HELLO})
            self._wait_for(re.compile(rb'"protocolVersion"'))
            self._post(posts, {"method": "notifications/initialized"})

    def _post(self, posts: http.client.HTTPConnection, message: dict[str, object]) -> None:
        parts = urlsplit(self._endpoint)
        headers = {"Content-Type": "application/json", **self._headers}
        body = json.dumps({"jsonrpc": "2.0", **message})
        posts.request("POST", f"{parts.path}?{parts.query}", body, headers)
        response = posts.getresponse()
        answer = response.read()
        if response.status // 100 != 2:
            raise LoadError(f"HTTP {response.status}: {answer[:200]!r}")

    def _wait_for(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        while (found := pattern.search(self._received)) is None:
            data = self._socket.recv(1 << 16)
            if not data:
                raise LoadError(f"The event stream ended: {self._received[-200:]!r}")
            self._received += data
        self._received = b""
        return found

    def close(self) -> None:
        """Leave."""
        self._socket.close()
