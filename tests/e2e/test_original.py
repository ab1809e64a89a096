"""The files and clients that MCP Router 1.1 documents work unchanged."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from tests.e2e import peers
from tests.e2e.processes import RouterProcess
from tests.e2e.raw_client import HttpClient
from tests.e2e.rest_client import RestClient
from tests.e2e.sdk_client import OWN_TOOLS
from tests.e2e.workspace import CHAOS

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

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
        "enabled": True,
        "host": "0.0.0.0",
        "transport_type": "stdio",
        "allow_instance_management": False,
        "stdio": {"enabled": True},
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


def test_documented_files_serve_as_they_are(workspace: Workspace) -> None:
    documented = json.dumps(CONFIG, indent=2)
    workspace.config_file.write_text(documented)
    workspace.add(
        "flat",
        type="stdio",
        command=sys.executable,
        args=["-B", str(CHAOS), "plain", str(workspace.path)],
        env={},
        isActive=True,
        metadata={"description": "As documented"},
    )
    with workspace.serve("http", "sse") as router:
        api = RestClient(int(router.netloc().split(":")[1]))
        router.stderr.wait_for("flat is ready")
        got = RestClient(api.port, TOKEN).call("echo", "flat", text="by REST")
        assert got.json["content"][0]["text"] == "by REST"
        http = HttpClient(router.url("/mcp").replace("0.0.0.0", "127.0.0.1"), token=TOKEN)
        http.initialize()
        assert http.call(1, "flat", "echo", text="by MCP")["content"][0]["text"] == "by MCP"
        http.close()
    assert workspace.config_file.read_text() == documented


def test_watch_path_is_where_the_instances_are(workspace: Workspace) -> None:
    workspace.add_chaos("elsewhere")
    (workspace.path / "data").rename(workspace.path / "servers")
    workspace.configure(watcher={"watch_path": "servers"})
    with RouterProcess(["http", "-c", str(workspace.config_file)]) as router:
        router.stderr.wait_for(r"1 instance in .*/servers$")
        router.stderr.wait_for("elsewhere is ready")
        (workspace.path / "servers" / "elsewhere" / "mcp_settings.json").unlink()
        router.stderr.wait_for("servers: removed elsewhere")
    assert not (workspace.path / "data").exists()


CLIENT: Final = """
import httpx

client = httpx.Client()

def ask(method, params, request_id):
    message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    return client.post("URL", json=message).json()["result"]

info = {"name": "python-client", "version": "1.0.0"}
hello = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": info}
print(ask("initialize", hello, 1)["protocolVersion"])
print(*(tool["name"] for tool in ask("tools/list", {}, 2)["tools"]))
"""


def test_documented_httpx_client_needs_neither_session_nor_accept_header(
    router: RouterProcess,
) -> None:
    done = subprocess.run(
        [peers.python_of("sdk-2025-11-25"), "-"],
        input=CLIENT.replace("URL", router.url("/mcp")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["2024-11-05", " ".join(OWN_TOOLS)]


def test_documented_entry_is_added_and_patched_as_a_whole_over_rest(workspace: Workspace) -> None:
    workspace.configure(api=CONFIG["api"], security={"bearer_token": TOKEN})
    entry: dict[str, Any] = {
        "provider": "test",
        "name": "test_instance",
        "type": "stdio",
        "command": "echo",
        "args": ["hello"],
        "env": {},
        "isActive": False,
    }
    with RouterProcess(["api", *workspace.words]) as router:
        port = int(router.netloc().split(":")[1])
        api = RestClient(port, TOKEN)
        assert api.ask("POST", "/api/instances", entry).status == 201
        changed = entry | {"args": ["other"], "metadata": {"version": "1"}}
        got = api.ask("PATCH", "/api/instances/test_instance", changed)
        assert got.json == {"status": "success", "instance_name": "test_instance"}
        assert api.ask("GET", "/api/instances/test_instance").json["metadata"] == {"version": "1"}
    file = workspace.path / "data" / "test" / "mcp_settings.json"
    assert json.loads(file.read_text()) == changed
