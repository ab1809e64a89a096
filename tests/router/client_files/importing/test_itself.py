from __future__ import annotations

from typing import Any

import attrs
import pytest

from router.client_files.importing.itself import OwnAddresses, is_router_itself
from router.config.settings import Server, Settings

OWN = OwnAddresses.from_settings(
    Settings(server=attrs.evolve(Server(), allowed_hosts=("mcp.example.com:8443",)))
)


@pytest.mark.parametrize(
    "entry",
    [
        {"url": "http://127.0.0.1:3000/mcp"},
        {"url": "http://localhost:3000/mcp/work"},
        {"url": "http://[::1]:3001/sse"},
        {"url": "https://mcp.example.com/mcp"},
        {"command": "mcp-router"},
        {"command": "/opt/venv/bin/mcp-router", "args": ["connect"]},
        {"command": "C:\\Tools\\mcp-router.EXE", "args": ["stdio"]},
        {"command": "uvx", "args": ["mcp-router", "stdio"]},
        {"command": "uvx", "args": ["--from", "mcp-router[otel]==2.0", "x"]},
        {"command": "python3", "args": ["-m", "router", "stdio"]},
        {"command": "/venv/bin/python", "args": ["-P", "-m", "router"]},
        {"command": "uv", "args": ["--directory", "/srv/mcp-router", "run", "mcp-router"]},
        {"command": "env", "args": ["A=1", "/srv/mcp-router/.venv/bin/mcp-router", "connect"]},
        {"command": "bash", "args": ["-c", "/opt/venv/bin/mcp-router stdio"]},
        {"command": "npx", "args": ["-y", "mcp-remote", "http://127.0.0.1:3000/mcp"]},
    ],
)
def test_router_is_recognised(entry: dict[str, Any]) -> None:
    assert is_router_itself(entry, OWN)


@pytest.mark.parametrize(
    "entry",
    [
        {"url": "http://127.0.0.1:4000/mcp"},
        {"url": "http://127.0.0.1:3000/other"},
        {"url": "https://other.example.com/mcp"},
        {"url": "http://127.0.0.1:x/mcp"},
        {"command": "npx", "args": ["-y", "mcp-router"]},
        {"command": "npx", "args": ["-y", "mcp-router-tools"]},
        {"command": "python3", "args": ["-m", "server"]},
        {"command": "node", "args": ["router.js"]},
        {"command": "mcp-server-filesystem", "args": ["/home/me/mcp-router"]},
        {"command": "uvx", "args": ["mcp-server-git", "--repository", "/home/me/mcp-router"]},
        {"command": "uv", "args": ["--directory", "/home/me/mcp-router", "run", "other"]},
    ],
)
def test_other_servers_are_not_taken_for_it(entry: dict[str, Any]) -> None:
    assert not is_router_itself(entry, OWN)


def test_entry_that_was_installed_is_recognised_at_any_port() -> None:
    entry = {"url": "http://127.0.0.1:4000/mcp"}
    assert is_router_itself(entry, OWN, "mcp-router")
    assert not is_router_itself(entry, OWN, "other")
    assert not is_router_itself({"url": "https://other.example/mcp"}, OWN, "mcp-router")
