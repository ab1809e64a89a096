"""Peers that serve many servers at one place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from benchmarks.proxies.peer import ECHO_ARGUMENTS, PYTHON_PEERS, Peer
from benchmarks.proxies.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.proxies.peer import Launch
    from benchmarks.proxies.proxy import Upstream

_START_MCP_ROUTER_1: Final = ROOT / "benchmarks" / "peers" / "start_mcp_router_1.py"


def _fastmcp(launch: Launch) -> list[str]:
    servers = {
        one.name: {"command": one.command[0], "args": list(one.command[1:])}
        for one in launch.upstreams
    }
    file = launch.folder / "mcp.json"
    file.write_text(json.dumps({"mcpServers": servers}))
    program = PYTHON_PEERS / "fastmcp" / "bin" / "fastmcp"
    quiet = ["--no-banner", "--log-level", "CRITICAL"]
    port = [] if launch.kind == "stdio" else ["--port", str(launch.port)]
    return [str(program), "run", str(file), "--transport", launch.kind, *quiet, *port]


def _fastmcp_tool(upstreams: Sequence[Upstream]) -> tuple[str, str]:
    """Return the name of the echo; fastmcp prefixes names only with several servers."""
    prefix = f"{upstreams[0].name}_" if len(upstreams) > 1 else ""
    return f"{prefix}echo", ECHO_ARGUMENTS


def _mcp_router_1(launch: Launch) -> list[str]:
    for one in launch.upstreams:
        place = launch.folder / "data" / one.name
        place.mkdir(parents=True)
        command = {"command": one.command[0], "args": list(one.command[1:]), "env": {}}
        entry = {"provider": one.name, "name": one.name, "type": "stdio", "isActive": True}
        (place / "mcp_settings.json").write_text(json.dumps(entry | command))
    settings = {"logging": {"level": "OFF"}, "watcher": {"watch_path": "data"}}
    (launch.folder / "config.json").write_text(json.dumps(settings))
    python = PYTHON_PEERS / "mcp-router-1.1" / "bin" / "python"
    return [str(python), str(_START_MCP_ROUTER_1), launch.kind, str(launch.port)]


def _mcp_router_1_tool(upstreams: Sequence[Upstream]) -> tuple[str, str]:
    name = upstreams[0].name
    wrapped = f'"instance_name":"{name}","tool_name":"echo","arguments":{ECHO_ARGUMENTS}'
    return "mcp.router.call", "{" + wrapped + "}"


FASTMCP: Final = Peer(
    "fastmcp 4.1.6 (Python)",
    PYTHON_PEERS / "fastmcp" / "installed",
    {"http": "/mcp", "sse": "/sse", "stdio": ""},
    _fastmcp,
    tool=_fastmcp_tool,
)

MCP_ROUTER_1: Final = Peer(
    "MCP Router 1.1 (Python)",
    PYTHON_PEERS / "mcp-router-1.1" / "installed",
    # On HTTP+SSE it redirects each POST, and fails when a client leaves.
    {"http": "/mcp", "stdio": ""},
    _mcp_router_1,
    tool=_mcp_router_1_tool,
    wrapped=True,
)

AGGREGATORS: Final = (FASTMCP, MCP_ROUTER_1)
