"""Idle: a thousand clients of HTTP+SSE that wait, and the latency of another one meanwhile."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from contextlib import ExitStack, closing, contextmanager
from functools import partial
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
    from collections.abc import Iterator, Mapping

    from benchmarks.context import Context
    from benchmarks.proxies.proxy import Running

SUITE: Final = "idle"
CLIENTS: Final = 1000
FILES: Final = 8192
LOAD: Final = f"{CLIENTS:,} SSE clients"
OPEN_LIMIT_S: Final = 60.0
"""For all clients to be there: a proxy that sends each answer to everybody never gets that far."""

ANSWER_LIMIT_S: Final = 30.0
_ENDPOINT: Final = re.compile(rb"event: endpoint\r?\ndata: (\S+)\r?\n")
_INITIALIZED: Final = re.compile(rb'"protocolVersion"')


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
        until_s = time.monotonic() + OPEN_LIMIT_S
        for number in range(CLIENTS):
            if time.monotonic() > until_s:
                raise LoadError(f"Only {number} clients were served in {OPEN_LIMIT_S:.0f} s")
            clients.enter_context(idle_client(running))
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


@contextmanager
def idle_client(running: Running) -> Iterator[None]:
    """Be a client that did the handshake and reads nothing more, until the context ends.

    Raises:
        LoadError: the proxy does not serve it.
    """
    assert running.url is not None
    parts = urlsplit(running.url)
    address = (parts.hostname or "", parts.port or 80)
    with socket.create_connection(address, timeout=ANSWER_LIMIT_S) as stream:
        headers = {"Host": parts.netloc, "Accept": "text/event-stream", **running.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        stream.sendall(f"GET {parts.path} HTTP/1.1\r\n{head}\r\n".encode())
        endpoint = urljoin(running.url, _wait_for(stream, _ENDPOINT)[1].decode())
        with closing(http.client.HTTPConnection(parts.netloc, timeout=ANSWER_LIMIT_S)) as posts:
            post = partial(_post, posts, endpoint, running.headers)
            post({"id": 1, "method": "initialize", "params": HELLO})
            _wait_for(stream, _INITIALIZED)
            post({"method": "notifications/initialized"})
        yield


def _post(
    posts: http.client.HTTPConnection,
    endpoint: str,
    headers: Mapping[str, str],
    message: Mapping[str, object],
) -> None:
    parts = urlsplit(endpoint)
    body = json.dumps({"jsonrpc": "2.0", **message})
    all_headers = {"Content-Type": "application/json", **headers}
    posts.request("POST", f"{parts.path}?{parts.query}", body, all_headers)
    response = posts.getresponse()
    answer = response.read()
    if response.status // 100 != 2:
        raise LoadError(f"HTTP {response.status}: {answer[:200]!r}")


def _wait_for(stream: socket.socket, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
    """Read a stream up to a pattern; what comes with it is read, too."""
    received = b""
    while (found := pattern.search(received)) is None:
        data = stream.recv(1 << 16)
        if not data:
            raise LoadError(f"The event stream ended: {received[-200:]!r}")
        received += data
    return found
