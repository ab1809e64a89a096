"""`moves`: servers that the router has as well leave the client, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.client_files.importing.instances import PresentInstance, PresentInstances
from router.client_files.importing.itself import OwnAddresses
from router.client_files.importing.plan import Known
from router.client_files.installing.entries import ENTRY_NAME
from router.client_files.installing.moves import other_entries_of_router, servers_to_move
from router.files.jsonc.document import parse_jsonc
from tests.router.client_files.shapes import FILES_ENTRY

if TYPE_CHECKING:
    from tests.router.client_files.installing.bench import Bench

FILE = b"""{
  "mcpServers": {
    "files": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
      "env": {"LOG_LEVEL": "debug"}
    },
    "same, other name": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
      "env": {"LOG_LEVEL": "debug"}
    },
    "other": {"command": "uvx", "args": ["other"]},
    "broken": {"command": 1},
    "old": {"url": "http://localhost:3000/mcp"}
  }
}
"""
OWN = OwnAddresses(ports=frozenset({3000}))


def _known(*instances: tuple[str, dict[str, Any]]) -> Known:
    present = [
        PresentInstance(name, entry, entry, f"data/{name}/mcp_settings.json")
        for name, entry in instances
    ]
    return Known(PresentInstances(tuple(present)), lambda _: None, own=OWN)


def _put(bench: Bench) -> None:
    path = bench.target("cursor").path
    path.parent.mkdir()
    path.write_bytes(FILE)


def test_servers_that_an_instance_is_the_same_as_are_moved(bench: Bench) -> None:
    _put(bench)

    moved = servers_to_move(bench.target("cursor"), _known(("files", FILES_ENTRY)))
    assert moved == ("files", "same, other name", "old")

    bench.install("cursor", moved=moved)
    value = parse_jsonc(bench.target("cursor").path.read_bytes(), "mcp.json").value
    assert list(value["mcpServers"]) == ["other", "broken", ENTRY_NAME]
    assert servers_to_move(bench.target("cursor"), _known(("files", FILES_ENTRY))) == ()
    bench.uninstall("cursor")
    assert bench.target("cursor").path.read_bytes() == FILE


def test_servers_come_back_in_their_order_into_a_file_that_has_changed(bench: Bench) -> None:
    _put(bench)
    path = bench.target("cursor").path
    bench.install("cursor", moved=("files", "same, other name", "old"))
    path.write_bytes(path.read_bytes().replace(b'"uvx"', b'"uv"'))

    bench.uninstall("cursor")

    value = parse_jsonc(path.read_bytes(), "mcp.json").value
    assert list(value["mcpServers"]) == ["other", "broken", "files", "same, other name", "old"]


def test_what_the_router_does_not_have_stays(bench: Bench) -> None:
    _put(bench)

    assert servers_to_move(bench.target("cursor"), _known(("files", {"command": "x"}))) == ("old",)


def test_what_the_client_would_not_get_from_the_router_stays(bench: Bench) -> None:
    _put(bench)
    target = bench.target("cursor")
    off = FILES_ENTRY | {"isActive": False}

    assert servers_to_move(target, _known(("files", off))) == ("old",)
    assert servers_to_move(target, _known(("files", FILES_ENTRY)), ("docs",)) == ("old",)
    assert "files" in servers_to_move(target, _known(("files", FILES_ENTRY)), ("fi*",))

    target.path.write_bytes(b'{"mcpServers": {"a": {"command": "x", "args": ["${input:key}"]}}}')
    lacking = {"command": "x", "args": ["${secret:key}"]}
    assert servers_to_move(target, _known(("a", lacking))) == ()


def test_other_entries_for_this_router_are_named(bench: Bench) -> None:
    _put(bench)
    bench.install("cursor")

    assert other_entries_of_router(bench.target("cursor"), OWN) == ("old",)
