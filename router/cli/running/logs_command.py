"""`mcp-router logs`: prints the log of a running router while it is written."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final

from router.cli.arguments import add_router_options
from router.cli.rest_api.running_router import running_router

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Print the last 200 lines of the log of a running router, and go on while it is written."""

EXAMPLES: Final = """
mcp-router logs -f
mcp-router logs -f -l WARNING"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `logs`."""
    parser.add_argument(
        "-f", "--follow", action="store_true", help="as without it: the log is followed in any case"
    )
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the log until the router ends."""
    # For start-up time: its help needs no Trio.
    from router.cli.running.follow_log import follow

    gc.enable()  # following may go on for days
    return follow(running_router(arguments), arguments.level or "DEBUG")
