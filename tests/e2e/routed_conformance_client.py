"""Puts a router between the conformance suite and a client that it checks.

Usage: PYTHON -m tests.e2e.routed_conformance_client ROUTER PID FOLDER COMMAND... URL, with the URL
of the router, its process, the folder of its instances and the client's command. The suite adds the
URL of its server. That server becomes an instance, and the client is run against its view.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.raw_client import HttpClient

if TYPE_CHECKING:
    from collections.abc import Iterator

READY_LIMIT_S: Final = 30.0


def main() -> int:
    """Run the client; return its status."""
    router, pid, folder, *command, url = sys.argv[1:]
    with instance(Path(folder), int(pid), url=url) as name:
        _wait_until_ready(name, router)
        return subprocess.run([*command, f"{router}/{name}"], check=False).returncode


@contextmanager
def instance(data: Path, pid: int, **keys: Any) -> Iterator[str]:
    """Have the router load an instance, and afterwards drop it; yields its name.

    Args:
        data: the folder of the router's instances.
        pid: of the router.
        keys: of the entry.
    """
    name = f"suite-{os.getpid()}"
    is_modern = os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"] >= "2026"
    entry = {"provider": name, "name": name, "type": "http", **keys}
    entry["protocol"] = "auto" if is_modern else "legacy"
    (data / name).mkdir()
    file = data / name / "mcp_settings.json"
    file.write_text(json.dumps(entry))
    os.kill(pid, signal.SIGHUP)
    try:
        yield name
    finally:
        file.unlink()
        os.kill(pid, signal.SIGHUP)


def _wait_until_ready(name: str, router: str) -> None:
    """Wait for an instance.

    Raises:
        TimeoutError: it has not become ready in time; its row says why.
    """
    client = HttpClient(router)
    client.initialize()
    ends_at_s = time.monotonic() + READY_LIMIT_S
    while (row := _row(name, client)).get("state") != "ready":
        if time.monotonic() > ends_at_s:
            raise TimeoutError(f"{name} is not ready: {row}")
        time.sleep(0.02)  # states are asked for, they are not announced
    client.close()


def _row(name: str, client: HttpClient) -> dict[str, Any]:
    """Return the row of an instance in `mcp.router.list`, empty while the router has none."""
    params = {"name": "mcp.router.list", "arguments": {}}
    _, body = client.post({"id": 1, "method": "tools/call", "params": params})
    rows = json.loads(json.loads(body)["result"]["content"][0]["text"])
    return next((row for row in rows if row["name"] == name), {})


if __name__ == "__main__":
    sys.exit(main())
