"""`mcp-router stdio`, `http`, `sse` and `api`: serve on one transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.cli.arguments import add_serving_options
from router.cli.serving import serve_command

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Serve on this transport alone, until Ctrl+C or SIGTERM; on stdio until stdin ends. The REST API
serves beside it where api.enabled is true in config.json."""

EXAMPLES: Final = """
mcp-router stdio --config ~/mcp/config.json
mcp-router http --port 8080
mcp-router api --host 127.0.0.1 --port 8001"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that serve; `api` has no views."""
    add_serving_options(parser, view=not parser.prog.endswith(" api"))


run = serve_command.run
