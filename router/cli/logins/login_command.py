"""`mcp-router login [INSTANCE]`: logs the running router in to a remote server.

Invariants: a token never comes here. A browser is opened only for a person at a terminal, who sees
it; everybody else gets the URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.cli.arguments import UsageError, add_router_options

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Log the running router in to a remote server, in your browser. Without INSTANCE, list the servers
that need it. Where there is no browser, the code for another device is shown, if the server's login
offers that; else open the URL anywhere, and paste what the address bar says at the end."""

EXAMPLES: Final = """
mcp-router login
mcp-router login github
mcp-router login github --no-browser
mcp-router login github --device
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operand and the options of `login`."""
    parser.add_argument("instance", metavar="INSTANCE", nargs="?", help="the server to log in to")
    parser.add_argument(
        "--no-browser", action="store_true", help="print the URL, and take what you paste"
    )
    parser.add_argument(
        "--device", action="store_true", help="log in on another device, with a code"
    )
    parser.add_argument(
        "--person",
        metavar="NAME",
        default="",
        help="with oauth.per_user: log in for the clients of this token, or for stdio",
    )
    parser.add_argument("--json", action="store_true", help="print how it ended as JSON")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Log in, or list the instances that need it."""
    if arguments.no_browser and arguments.device:
        raise UsageError("--no-browser and --device do not go together", "login")
    if arguments.instance is None and (arguments.no_browser or arguments.device):
        raise UsageError("name the server to log in to", "login")
    # For start-up time: its help needs none of it.
    from router.cli.logins.login_steps import list_needed, log_in
    from router.cli.rest_api.running_router import running_router

    api = running_router(arguments)
    if arguments.instance is None:
        list_needed(api, as_json=arguments.json)
    else:
        log_in(api, arguments)
    return 0
