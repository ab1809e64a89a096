"""A server that never stops talking holds up nobody but itself."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.e2e.chaos_upstream import FLOODS
from tests.e2e.raw_client import HttpClient
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("kind", FLOODS)
def test_flood_of_one_server_ends_no_call_of_anybody(kind: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path).add_chaos("noisy").add_chaos("quiet")
    with workspace.serve("http") as router, ExitStack() as connections:
        client, loud = (HttpClient(router.url("/mcp")) for _ in range(2))
        for one in client, loud:
            connections.callback(one.close)
            one.initialize()
        assert _call_of_noisy(loud, "flood", kind=kind)[0] == 200
        router.stderr.wait_for("noisy says too much unasked; from now on it has to wait")
        for number in range(20):
            echoed = client.call(number, "quiet", "echo", text=str(number))
            assert echoed["content"][0]["text"] == str(number)
        status, body = _call_of_noisy(client, "structured")
        assert status == 200
        # Its own answer stands behind what it has said before, and still comes. Only a server that
        # asks without end may be so late in reading the refusals that no call fits behind them.
        assert b'"sum": 3}}}' in body or (kind == "requests" and b"OVERLOADED" in body)


def _call_of_noisy(client: HttpClient, tool: str, **arguments: str) -> tuple[int, bytes]:
    wanted = {"instance_name": "noisy", "tool_name": tool, "arguments": arguments}
    params = {"name": "mcp.router.call", "arguments": wanted}
    return client.post({"id": tool, "method": "tools/call", "params": params})
