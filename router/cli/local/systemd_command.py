"""`mcp-router systemd`: prints the units of systemd for this installation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.cli.arguments import add_serving_options, add_transports, options_of
from router.cli.local.print_units import unit_text
from router.cli.terminal import say

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Print a unit of systemd that serves as this installation and these options do."""

EXAMPLES: Final = """
mcp-router systemd --transport http | sudo tee /etc/systemd/system/mcp-router.service
mcp-router systemd --user --socket"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `systemd`."""
    add_transports(parser)
    add_serving_options(parser)
    parser.add_argument(
        "--user", action="store_true", help="a unit for your own service manager, not the machine's"
    )
    parser.add_argument(
        "--socket", action="store_true", help="the socket unit, with which restarts refuse nobody"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the unit."""
    text = unit_text(
        options_of(arguments),
        os.environ,
        Path.cwd(),
        is_user=arguments.user,
        is_socket=arguments.socket,
    )
    say(text)
    return 0
