"""A folder with a config.json and data/ of its own, to run a router in.

All ports in its config.json are 0, so each listener takes a free port and says which.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import attrs

from tests.e2e.processes import RouterProcess, router_command

CHAOS: Final = Path(__file__).with_name("chaos_upstream.py")

CONFIG: Final[dict[str, Any]] = {
    "server": {"http": {"port": 0}, "sse": {"port": 0}, "tool_names": "dotted"},
    "watcher": {"enabled": False},
}


@attrs.frozen
class Workspace:
    """The folder of a router; the command lines of router and upstreams contain its path."""

    path: Path

    def __attrs_post_init__(self) -> None:
        (self.path / "data").mkdir(parents=True, exist_ok=True)
        self.configure()

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def words(self) -> list[str]:
        """The arguments of a router that runs here."""
        return ["-c", str(self.config_file), "--data", str(self.path / "data")]

    def configure(self, **sections: dict[str, Any]) -> None:
        """Write config.json: the defaults of these tests, and `sections` over them."""
        self.config_file.write_text(json.dumps(CONFIG | sections))

    def add(self, name: str, **entry: Any) -> Workspace:
        """Add an instance, in a provider folder of its own."""
        folder = self.path / "data" / name
        folder.mkdir()
        settings = {"provider": name, "name": name, **entry}
        (folder / "mcp_settings.json").write_text(json.dumps(settings))
        return self

    def add_command(self, name: str, *argv: str, **entry: Any) -> Workspace:
        """Add an upstream that is started by a command."""
        return self.add(name, type="stdio", command=argv[0], args=list(argv[1:]), **entry)

    def add_chaos(self, name: str, mode: str = "plain") -> Workspace:
        """Add our misbehaving upstream; `chaos_upstream.MODES` says how."""
        return self.add_command(name, sys.executable, "-B", str(CHAOS), mode, str(self.path))

    def add_example(self) -> Workspace:
        """Add the example that comes with the router."""
        return self.add_command("example", sys.executable, "-m", "router.example")

    def serve(self, *transports: str) -> RouterProcess:
        """Start a router that listens on the network."""
        words = [word for one in transports or ("http", "sse") for word in ("--transport", one)]
        return RouterProcess(["serve", *words, *self.words])

    @property
    def stdio_command(self) -> list[str]:
        """The command that a client runs to have a router on stdio."""
        return router_command("stdio", *self.words)
