from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.search import listing
from benchmarks.search.listing import NotListedError, catalogues, list_tools
from benchmarks.search.real_servers import MissingServerError, Server

if TYPE_CHECKING:
    from pathlib import Path

SERVER = """
import json, sys
print("hello, I am no message")
for line in sys.stdin:
    message = json.loads(line)
    method, params = message.get("method"), message.get("params", {})
    if method == "initialize":
        print(json.dumps({"id": 7, "method": "roots/list"}), flush=True)
        assert json.loads(sys.stdin.readline())["result"] == {"roots": []}
        result = {"serverInfo": {"title": "Two pages"}, "instructions": "Turn the page."}
    elif method == "tools/list":
        last = params.get("cursor") == "2"
        result = {"tools": [{"name": "b" if last else "a"}]} | ({} if last else {"nextCursor": "2"})
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LISTED", tmp_path / "listed")
    monkeypatch.setattr(listing, "FILES", tmp_path)
    monkeypatch.setattr(listing, "without_network", lambda command: command)


def _listed(program: str, limit_s: float = 30.0) -> list[str]:
    found = list_tools("one", [sys.executable, "-c", program], {}, limit_s)
    return [tool["name"] for tool in found.tools]


def test_all_pages_of_a_server_are_listed() -> None:
    found = list_tools("one", [sys.executable, "-c", SERVER], {})
    assert (found.name, found.title, found.instructions) == ("one", "Two pages", "Turn the page.")
    assert [tool["name"] for tool in found.tools] == ["a", "b"]


def test_a_server_that_ends_or_stays_silent_or_refuses_is_not_listed() -> None:
    with pytest.raises(NotListedError, match="ended before"):
        _listed("print('no')")
    with pytest.raises(NotListedError, match="in time"):
        _listed("import sys; sys.stdin.read()", limit_s=0.05)
    refusal = '{"id": 1, "error": {"code": 1, "message": "a key is missing"}}'
    with pytest.raises(NotListedError, match="a key is missing"):
        _listed(
            f"import sys; sys.stdin.readline(); print({refusal!r}, flush=True); sys.stdin.read()"
        )


def test_a_server_that_does_not_list_is_left_out_in_a_line_and_the_rest_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []

    def command(server: Server) -> list[str]:
        if server.name == "missing":
            raise MissingServerError("missing is not installed")
        started.append(server.name)
        return [sys.executable, "-c", SERVER if server.name == "good" else "pass"]

    monkeypatch.setattr(Server, "command", command)
    servers = [Server(name, name) for name in ("good", "missing", "ends")]
    said: list[str] = []
    assert [one.name for one in catalogues(servers, said.append)] == ["good"]
    assert sorted(said) == [
        "Left out: ends: it ended before it had listed its tools",
        "Left out: missing: missing is not installed",
    ]
    started.clear()
    assert [one.name for one in catalogues(servers[:1], said.append)] == ["good"]
    assert started == []
    catalogues(servers[:1], said.append, anew=True)
    assert started == ["good"]
