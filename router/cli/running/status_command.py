"""`mcp-router status`: shows the servers of a running router."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.cli.arguments import add_router_options
from router.cli.rest_api.running_router import running_router
from router.cli.running.status import status_text
from router.cli.terminal import say, terminal_width

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Show the servers of a running router: their states and why, restarts, tools, calls."""

EXAMPLES: Final = """
mcp-router status
mcp-router status --watch
mcp-router status --json
mcp-router status --url http://host:8001 --token "$TOKEN"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `status`."""
    parser.add_argument("--watch", action="store_true", help="show it anew each second")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table, or the JSON; with `--watch`, show the table until Ctrl+C."""
    if arguments.watch:
        # For start-up time: only this needs rich.
        from router.cli.running.watch import watch

        return watch(running_router(arguments))
    text = status_text(running_router(arguments), as_json=arguments.json, width=terminal_width())
    say(text)
    return 0
