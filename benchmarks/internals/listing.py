"""Measures `tools/list` of a large direct view, beside a server that sends the same bytes.

The static server has the Hypercorn and Trio of the router, and its whole answer in memory. So the
difference is what the router does for a list: it admits the client, asks its actor, and wraps the
list, which is encoded already, into an answer.
"""

from __future__ import annotations

import json
import socket
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from benchmarks.internals.raw_http import (
    HEAD_END,
    INITIALIZE,
    LENGTH_HEADER,
    NO_SESSION,
    SESSION_HEADER,
    request_bytes,
)
from benchmarks.native.native import echo_command
from benchmarks.proxies.processes import started
from benchmarks.rows import Row
from tests.e2e.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.context import Context
    from tests.e2e.processes import RouterProcess

SUITE: Final = "listing"
INSTANCES: Final = 100
TOOLS_OF_EACH: Final = 40
TOOLS: Final = INSTANCES * TOOLS_OF_EACH

REVISIONS: Final = ("2025-06-18", "2026-07-28")
"""One revision with sessions, one without."""

LISTS_IN_ROUND: Final = 20
WARM_UP_LISTS: Final = 10
READY_LIMIT_S: Final = 120.0
_POLL_S: Final = 0.2

_ENVELOPE: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
}


def site_with_tools(folder: Path) -> Workspace:
    """Return a folder to run a router in, whose default view lists `TOOLS` tools."""
    workspace = Workspace(folder)
    workspace.configure(server=CONFIG["server"] | {"view": "direct"})
    for number in range(INSTANCES):
        workspace.add_command(f"server-{number}", *echo_command(tools=TOOLS_OF_EACH))
    return workspace


class Lister:
    """One connection that asks for the same list again and again."""

    def __init__(self, url: str, revision: str) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self.socket = socket.create_connection((where.hostname, where.port or 80), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        list_tools: dict[str, Any] = {"id": 2, "method": "tools/list"}
        if revision == "2026-07-28":
            asked = list_tools | {"params": {"_meta": _ENVELOPE}}
            self._request = request_bytes(
                where, None, asked, revision=revision, method="tools/list"
            )
            return
        hello = {"id": 1, "method": "initialize", "params": INITIALIZE}
        head, _ = self._ask(request_bytes(where, None, hello))
        found = SESSION_HEADER.search(head)
        self._request = request_bytes(where, found[1] if found else NO_SESSION, list_tools)

    def lists(self) -> tuple[bytes, float]:
        """Ask for the list; return the answer's body and the time it took in seconds."""
        began_s = time.perf_counter()
        _, body = self._ask(self._request)
        return body, time.perf_counter() - began_s

    def _ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Send a request; return head and body of the answer, which is read without a copy."""
        self.socket.sendall(request)
        begun = b""
        while HEAD_END not in begun:
            begun += self._received(self.socket.recv(1 << 16))
        head, _, beginning = begun.partition(HEAD_END)
        length = LENGTH_HEADER.search(head)
        assert length is not None, f"An answer without Content-Length: {head!r}"
        body = bytearray(int(length[1]))
        body[: len(beginning)] = beginning
        missing = memoryview(body)[len(beginning) :]
        while missing:
            count = self.socket.recv_into(missing)
            assert count, "The server closed the connection"
            missing = missing[count:]
        return head, bytes(body)

    @staticmethod
    def _received(data: bytes) -> bytes:
        assert data, "The server closed the connection"
        return data


@contextmanager
def full_list(router: RouterProcess) -> Iterator[str]:
    """Wait until the router lists every tool; yield its URL."""
    url = router.url("/mcp")
    gives_up_at_s = time.monotonic() + READY_LIMIT_S
    while (count := _count_of(url)) < TOOLS:
        assert time.monotonic() < gives_up_at_s, f"Only {count} of {TOOLS} tools are listed"
        time.sleep(_POLL_S)
    yield url


def _count_of(url: str) -> int:
    lister = Lister(url, REVISIONS[-1])
    with lister.socket:
        return len(json.loads(lister.lists()[0])["result"]["tools"])


def run(context: Context) -> list[Row]:
    """Ask the router and the static server in turn, at each revision."""
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        site_with_tools(Path(folder)).serve("http") as router,
        full_list(router) as url,
    ):
        for revision in REVISIONS:
            rows += _measure(url, revision, Path(folder), context.rounds)
    return rows


def _measure(url: str, revision: str, folder: Path, rounds: int) -> list[Row]:
    """Return the rows of one revision.

    Args:
        url: of the router.
        revision: the protocol revision of the client.
        folder: gets a file with the answer that the static server sends.
        rounds: how often `LISTS_IN_ROUND` lists are asked of each.
    """
    router = Lister(url, revision)
    answer, _ = router.lists()
    answer_file = folder / f"answer-{revision}.json"
    answer_file.write_bytes(answer)
    command = [sys.executable, "-m", "benchmarks.floors.static_answer", str(answer_file)]
    with started(command) as process:
        static = Lister(process.stderr.wait_for(r"Listening on (\S+)")[1], revision)
        pair = (router, static)
        _medians_ms(pair, answer, WARM_UP_LISTS)
        medians_ms = [_medians_ms(pair, answer, LISTS_IN_ROUND) for _ in range(rounds)]
        static.socket.close()
    router.socket.close()
    figures = {
        ("router", "p50"): [one for one, _ in medians_ms],
        ("static answer", "p50"): [other for _, other in medians_ms],
        ("router", "more p50"): [one - other for one, other in medians_ms],
    }
    load = f"{len(answer) / 1e6:.2f} MB, {revision}"
    return [
        Row.of(SUITE, load, proxy, metric, values, "ms")
        for (proxy, metric), values in figures.items()
    ]


def _medians_ms(pair: tuple[Lister, Lister], answer: bytes, lists: int) -> tuple[float, float]:
    """Return the median time of both; each is asked first every other time."""
    taken_s: dict[Lister, list[float]] = {one: [] for one in pair}
    for turn in range(lists):
        for one in reversed(pair) if turn % 2 else pair:
            body, seconds = one.lists()
            assert body == answer, "Another answer"
            taken_s[one].append(seconds)
    router_ms, static_ms = (1000 * statistics.median(taken_s[one]) for one in pair)
    return router_ms, static_ms
