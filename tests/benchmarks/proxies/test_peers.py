"""The command lines of the peers, without any of them installed."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import attrs
import pytest

from benchmarks.native import native
from benchmarks.native.native import LoadError
from benchmarks.proxies import aggregators, bridges
from benchmarks.proxies.peer import LeftOutError, Peer, free_port
from benchmarks.proxies.peers import PEERS
from benchmarks.proxies.proxy import Upstream

LOCKS = Path(bridges.__file__).parents[1] / "peers"
TWO = [Upstream("one", ("/a path/echo", "--tools", "20")), Upstream("two", ("/bin/two",))]


def test_bridge_gets_the_command_of_its_upstream_as_one_word(tmp_path: Path) -> None:
    words = attrs.evolve(bridges.SUPERGATEWAY, places={"stdio": ""}).command(TWO[:1], tmp_path)
    command = words[words.index("--stdio") + 1]
    assert shlex.split(command) == ["/a path/echo", "--tools", "20"]


def test_peer_runs_in_its_folder_with_its_variables(tmp_path: Path) -> None:
    peer = Peer("peer", tmp_path, {"stdio": ""}, lambda _: ["peer"], environment={"A": "1"})
    assert peer.command(TWO, tmp_path / "new") == [
        "env",
        "-C",
        str(tmp_path / "new"),
        "A=1",
        "peer",
    ]
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_transport_that_a_peer_does_not_have_is_an_error(peer: Peer, tmp_path: Path) -> None:
    for kind in {"http", "sse", "stdio"} - peer.kinds:
        with pytest.raises(ValueError, match=kind):
            peer.serve(kind, TWO, tmp_path).__enter__()  # type: ignore[arg-type]


def test_fastmcp_gets_all_upstreams_and_prefixes_names_only_when_there_are_several(
    tmp_path: Path,
) -> None:
    aggregators.FASTMCP.command(TWO, tmp_path)
    servers = json.loads((tmp_path / "mcp.json").read_text())["mcpServers"]
    assert servers == {
        "one": {"command": "/a path/echo", "args": ["--tools", "20"]},
        "two": {"command": "/bin/two", "args": []},
    }
    assert aggregators.FASTMCP.called_over_stdio(TWO)[0] == "one_echo"
    assert aggregators.FASTMCP.called_over_stdio(TWO[:1])[0] == "echo"


def test_mcp_router_1_gets_an_entry_for_each_upstream(tmp_path: Path) -> None:
    aggregators.MCP_ROUTER_1.command(TWO, tmp_path)
    entry = json.loads((tmp_path / "data" / "two" / "mcp_settings.json").read_text())
    assert entry["name"] == "two"
    assert entry["command"] == "/bin/two"
    name, arguments = aggregators.MCP_ROUTER_1.called_over_stdio(TWO)
    assert name == "mcp.router.call"
    assert json.loads(arguments) == {
        "instance_name": "one",
        "tool_name": "echo",
        "arguments": {"text": "%TEXT%"},
    }


def test_a_peer_that_is_not_installed_is_left_out_with_the_way_out(tmp_path: Path) -> None:
    peer = Peer("fast peer", tmp_path / "nowhere", {"http": "/mcp"}, lambda _: ["peer"])
    with pytest.raises(LeftOutError, match="fast peer is not installed; `make bench-peers`"):
        peer.require()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_name_of_each_peer_has_the_version_that_is_pinned(peer: Peer) -> None:
    *_, version, _ = peer.name.split()
    assert f"{PACKAGES[peer]}=={version}" in _pinned()


def _pinned() -> str:
    """Return what all locks pin, each as `name==version`."""
    python = "".join(lock.read_text() for lock in LOCKS.glob("*.txt"))
    packages = json.loads((LOCKS / "package-lock.json").read_text())["packages"]
    npm = [f"npm:{name[13:]}=={one.get('version')}" for name, one in packages.items()]
    return python + "\n".join(npm)


PACKAGES = {
    bridges.DCC_MCP_SERVER: "dcc-mcp-server",
    bridges.PYPI_MCP_PROXY: "mcp-proxy",
    bridges.CONTEXTFORGE: "mcp-contextforge-gateway",
    bridges.NPM_MCP_PROXY: "npm:mcp-proxy",
    bridges.SUPERGATEWAY: "npm:supergateway",
    aggregators.FASTMCP: "fastmcp",
    aggregators.MCP_ROUTER_1: "mcp-router",
}


def test_free_port_can_be_listened_on() -> None:
    assert 1024 <= free_port() <= 65535


@pytest.mark.skipif(native.obstacle() is not None, reason=str(native.obstacle()))
def test_a_peer_that_ends_is_an_error_at_once_with_its_last_words(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "raise SystemExit('no such server')"]
    peer = Peer("peer", tmp_path, {"http": "/mcp"}, lambda _: words)
    with (
        pytest.raises(LoadError, match="peer ended with 1: no such server"),
        peer.serve("http", TWO, tmp_path),
    ):
        pass
