"""`mcp-router init [FOLDER]`: makes a folder with a commented `config.json` and an example server.

Invariant: a file that is there already is never touched.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from router.cli.terminal import console, print_pairs, say
from router.files.json_files import write_atomically
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Make FOLDER (this one, if none is given) with a config.json that says what its keys are for, and
with one example server in data/. Files that are there already are never touched."""

EXAMPLES: Final = """
mcp-router init ~/mcp
mcp-router serve -c ~/mcp/config.json"""

CONFIG: Final = """\
{
  // Where clients connect. A key that is missing has its default; docs/configuration.md has all.
  "server": {
    "host": "127.0.0.1", // "0.0.0.0" lets other machines in, and needs a token (below)
    "http": { "port": 3000 },
    "sse": { "port": 3001 },
    "transport_type": "http", // what `mcp-router serve` serves without --transport
    // "auto": all tools of all servers, or, if they are too many, tools that find them; or
    // "direct", "search", "router", or the name of a profile
    "view": "auto"
  },

  // A choice of servers and tools, with a place of its own: http://127.0.0.1:3000/mcp/work
  "profiles": {
    // "work": { "instances": ["example"], "tools": { "deny": ["*__fail"] } }
  },

  // The servers themselves are in data/, one folder each.
  "mcp_client": {
    "timeout": 30, // seconds for a call
    "start": "eager" // "lazy": a server is started by its first call
  },

  "security": {
    // Whoever connects over HTTP or SSE then needs it. Keep it out of this file:
    // mcp-router secret set ROUTER_TOKEN, and here "${secret:ROUTER_TOKEN}"
    "bearer_token": ""
  },

  // The REST API for other machines and pages. The commands on this machine do not need it.
  "api": { "enabled": false, "port": 8001 },

  "logging": { "level": "INFO" }
}
"""

CONFIG_NAME: Final = "config.json"
EXAMPLE_NAME: Final = "data/example/mcp_settings.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operand of `init`."""
    parser.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="is made")


def run(arguments: argparse.Namespace) -> int:
    """Write the files, and say what comes next.

    Raises:
        ConfigError: there is a config.json already.
        OSError: the folder or a file cannot be written.
    """
    folder = Path.cwd() / Path(arguments.folder).expanduser()
    config, example = folder / CONFIG_NAME, folder / EXAMPLE_NAME
    if config.exists():
        raise ConfigError(str(config), "is there already, and stays as it is")
    example.parent.mkdir(parents=True, exist_ok=True)
    if not example.exists():
        write_atomically(example, _example_entry())
    write_atomically(config, CONFIG.encode())
    say(f"{config} is ready, with an example server in {example.parent.parent}\n\n")
    of_config = "" if folder == Path.cwd() else f" -c {shlex.quote(str(config))}"
    steps = [
        ("Serve", f"mcp-router serve{of_config}"),
        ("Take servers over", f"mcp-router import{of_config}"),
        ("Add a server", f"mcp-router add{of_config} NAME -- COMMAND…"),
        ("Put it into clients", f"mcp-router install{of_config} CLIENT…"),
    ]
    print_pairs(console(), steps)
    return 0


def _example_entry() -> bytes:
    """Return the entry of the example server, which comes with the router."""
    entry = {"command": sys.executable, "args": ["-m", "router.example"]}
    return msgspec.json.format(msgspec.json.encode(entry), indent=2) + b"\n"
