"""Runs the MCP Inspector's command line as a client."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

from tests.e2e import peers

if TYPE_CHECKING:
    from tests.e2e.processes import RouterProcess

ERAS: Final = ["legacy", "auto", "modern"]

INSPECT_LIMIT_S: Final = 120.0


def asked(target: list[str], method: str, *words: str) -> dict[str, Any]:
    """Have the Inspector send one request; return the result that it prints."""
    script = peers.npm_script("@modelcontextprotocol/inspector", "clients/launcher/build/index.js")
    done = subprocess.run(
        [peers.NODE, script, "--cli", *target, "--method", method, *words],
        capture_output=True,
        text=True,
        timeout=INSPECT_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def over(router: RouterProcess, transport: str) -> list[str]:
    """Return the words for a router that listens."""
    path = {"http": "/mcp", "sse": "/sse"}[transport]
    return ["--server-url", router.url(path), "--transport", transport]
