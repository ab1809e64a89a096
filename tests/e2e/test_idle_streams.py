"""A thousand clients that only listen: what each of them costs, and what calls of others cost."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.process_resources import file_limit, has_files, open_files_at_most, resident_bytes
from tests.e2e.raw_client import HttpClient
from tests.e2e.secured_router import LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.workspace import Workspace

CLIENTS: Final = 1000
FILES: Final = 8192
CLIENT_BYTES: Final = 50_000
"""The most memory for each client; the promise of row 22."""

CALLS: Final = 200
ADDED_MS: Final = 10.0
"""The most processor time that these clients may add to a call of another one."""


@pytest.fixture
def many_files() -> Iterator[None]:
    with file_limit(FILES):
        yield


def cpu_ms(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def call_cost_ms(client: HttpClient, pid: int) -> float:
    """Return the processor time of one call, on average."""
    before_ms = cpu_ms(pid)
    for number in range(CALLS):
        client.call(number, "plain", "echo", text="x")
    return (cpu_ms(pid) - before_ms) / CALLS


def listening(netloc: str, among: ExitStack) -> None:
    """Open a stream, and wait for its first event."""
    host, port = netloc.split(":")
    sock = socket.create_connection((host, int(port)), timeout=LIMIT_S)
    among.enter_context(closing(sock)).sendall(b"GET /sse HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    data = b""
    while b"event: endpoint" not in data:
        more = sock.recv(1 << 16)
        assert more, data
        data += more


@pytest.mark.fault(22, "1,000 idle SSE clients", "<= 50 kB each, calls as before")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(not has_files(FILES), reason=f"needs {FILES} open files")
@pytest.mark.usefixtures("many_files")
def test_a_thousand_idle_streams_cost_little_and_slow_nobody(workspace: Workspace) -> None:
    with workspace.add_chaos("plain").serve("http", "sse") as router, ExitStack() as streams:
        netloc = router.netloc("/sse")
        client = streams.enter_context(closing(HttpClient(router.url("/mcp"))))
        client.initialize()
        call_cost_ms(client, router.pid)  # what is done for the first time only
        alone_ms = call_cost_ms(client, router.pid)
        files = len(list(Path(f"/proc/{router.pid}/fd").iterdir()))
        with ExitStack() as listeners:
            before_bytes = resident_bytes(router.pid)
            for _ in range(CLIENTS):
                listening(netloc, listeners)
            assert (resident_bytes(router.pid) - before_bytes) / CLIENTS < CLIENT_BYTES
            assert call_cost_ms(client, router.pid) - alone_ms < ADDED_MS
        assert open_files_at_most(router.pid, files) <= files
