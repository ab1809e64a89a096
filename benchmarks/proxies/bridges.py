"""Peers that bridge one stdio server to a transport with a port."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from benchmarks.proxies.peer import NPM_PEERS, PYTHON_PEERS, Peer

if TYPE_CHECKING:
    from benchmarks.proxies.peer import Launch


def _command_of(launch: Launch) -> str:
    return shlex.join(launch.upstreams[0].command)


def _dcc_mcp_server(launch: Launch) -> list[str]:
    program = PYTHON_PEERS / "dcc-mcp-server" / "bin" / "dcc-mcp-server"
    alone = ["--no-register", "--gateway-port", "0", "--no-admin"]
    return [
        *(str(program), "translate", "--stdio", _command_of(launch)),
        *("--port", str(launch.port), *alone),
    ]


def _pypi_mcp_proxy(launch: Launch) -> list[str]:
    program = PYTHON_PEERS / "mcp-proxy" / "bin" / "mcp-proxy"
    listens = ["--port", str(launch.port), "--log-level", "ERROR"]
    return [str(program), *listens, "--", *launch.upstreams[0].command]


def _npm_mcp_proxy(launch: Launch) -> list[str]:
    program = NPM_PEERS / ".bin" / "mcp-proxy"
    server = {"http": "stream", "sse": "sse"}[launch.kind]
    listens = ["--host", "127.0.0.1", "--port", str(launch.port), "--server", server]
    return [str(program), *listens, "--", *launch.upstreams[0].command]


def _supergateway(launch: Launch) -> list[str]:
    program = NPM_PEERS / ".bin" / "supergateway"
    # Without sessions it starts a server for each request, which takes 50 ms a call.
    output = ["streamableHttp", "--stateful"] if launch.kind == "http" else ["sse"]
    return [
        *(str(program), "--stdio", _command_of(launch), "--port", str(launch.port)),
        *("--outputTransport", *output, "--logLevel", "none"),
    ]


def _contextforge(launch: Launch) -> list[str]:
    python = PYTHON_PEERS / "contextforge" / "bin" / "python"
    exposes = {"http": ["--expose-streamable-http", "--jsonResponse"], "sse": ["--expose-sse"]}
    return [
        *(str(python), "-m", "mcpgateway.translate", "--stdio", _command_of(launch)),
        *(*exposes[launch.kind], "--port", str(launch.port), "--logLevel", "error"),
    ]


DCC_MCP_SERVER: Final = Peer(
    "dcc-mcp-server 0.20.49 (Rust)",
    PYTHON_PEERS / "dcc-mcp-server" / "installed",
    # Its /sse never sends the `endpoint` event, so no client of HTTP+SSE can use it.
    {"http": "/mcp"},
    _dcc_mcp_server,
    environment={"RUST_LOG": "error"},
)

PYPI_MCP_PROXY: Final = Peer(
    "mcp-proxy 0.13.0 (Python)",
    PYTHON_PEERS / "mcp-proxy" / "installed",
    {"http": "/mcp", "sse": "/sse"},
    _pypi_mcp_proxy,
)

NPM_MCP_PROXY: Final = Peer(
    "mcp-proxy 6.7.19 (Node)",
    NPM_PEERS / ".installed",
    {"http": "/mcp", "sse": "/sse"},
    _npm_mcp_proxy,
)

SUPERGATEWAY: Final = Peer(
    "supergateway 4.0.0 (Node)",
    NPM_PEERS / ".installed",
    {"http": "/mcp", "sse": "/sse"},
    _supergateway,
)

CONTEXTFORGE: Final = Peer(
    "ContextForge translate 1.0.7 (Python)",
    PYTHON_PEERS / "contextforge" / "installed",
    {"http": "/mcp", "sse": "/sse"},
    _contextforge,
    # It does not start without secrets, though this part of it uses none.
    environment={
        "JWT_SECRET_KEY": "of-the-benchmarks-0123456789-abcdefghij-KLMNOPQRST",
        "AUTH_ENCRYPTION_SECRET": "of-the-benchmarks-9876543210-KLMNOPQRST-abcdefghij",
    },
)
