"""A config.json and a data/ folder as MCP Router 1.1 documents them, unchanged."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.rest import Client
from tests.e2e.site import CHAOS
from tests.e2e.wire import HttpClient

if TYPE_CHECKING:
    from tests.e2e.site import Site

TOKEN: Final = "token-of-the-documentation"

CONFIG: Final[dict[str, Any]] = {
    "api": {
        "enabled": True,
        "port": 0,
        "host": "127.0.0.1",
        "cors_origin": "*",
        "auto_find_port": True,
        "enable_realtime_logs": False,
    },
    "server": {
        "host": "0.0.0.0",
        "transport_type": "stdio",
        "allow_instance_management": False,
        "http": {"enabled": True, "port": 0},
        "sse": {"enabled": True, "port": 0},
    },
    "mcp_client": {"enabled": True, "timeout": 30},
    "security": {
        "bearer_token": TOKEN,
        "enable_validation": True,
        "allow_stdio_via_api": "with_token",
    },
    "logging": {
        "level": "INFO",
        "format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s",
        "directory": "logs",
    },
    "watcher": {"enabled": True, "watch_path": "data", "debounce_delay": 1.0},
}


def test_documented_files_serve_as_they_are(site: Site) -> None:
    documented = json.dumps(CONFIG, indent=2)
    site.config_file.write_text(documented)
    site.add(
        "flat",
        type="stdio",
        command=sys.executable,
        args=["-B", str(CHAOS), "plain", str(site.folder)],
        env={},
        isActive=True,
        metadata={"description": "As documented"},
    )
    with site.serve("http", "sse") as router:
        api = Client(int(router.stderr.wait_for(r"Listening on http://127\.0\.0\.1:(\d+)$")[1]))
        router.stderr.wait_for("flat is ready")
        got = Client(api.port, TOKEN).call("echo", "flat", text="by REST")
        assert got.json["content"][0]["text"] == "by REST"
        http = HttpClient(router.url("/mcp").replace("0.0.0.0", "127.0.0.1"), token=TOKEN)
        http.initialize()
        assert http.call(1, "flat", "echo", text="by MCP")["content"][0]["text"] == "by MCP"
        http.close()
    assert site.config_file.read_text() == documented
