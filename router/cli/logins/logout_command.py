"""`mcp-router logout INSTANCE`: forgets the login of the running router at a remote server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from router.cli.arguments import add_router_options
from router.cli.terminal import say

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Forget the login of the running router at a remote server, and have its tokens revoked where the
server offers that."""

EXAMPLES: Final = """
mcp-router logout github
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operand and the options of `logout`."""
    parser.add_argument("instance", metavar="INSTANCE", help="the server to log out of")
    parser.add_argument(
        "--person", metavar="NAME", default="", help="with oauth.per_user: whose login it is"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Log out; the status is 0 also where there was no login."""
    # For start-up time: its help needs none of it.
    from router.cli.logins.login_steps import LOGIN_STEP_S, say_json
    from router.cli.rest_api.names import known_instance
    from router.cli.rest_api.requests import ask, route
    from router.cli.rest_api.running_router import running_router
    from router.cli.text_columns import safe_line

    api = running_router(arguments)
    target = route("instances", arguments.instance, "login")
    if arguments.person:
        target += "?" + urlencode({"person": arguments.person})
    with known_instance(api, arguments.instance):
        answer: dict[str, Any] = ask(api, "DELETE", target, timeout_s=LOGIN_STEP_S)
    if arguments.json:
        say_json(answer)
    else:
        became = "logged out" if answer["was_logged_in"] else "was not logged in"
        say(f"{safe_line(answer['instance'])}: {became}\n")
    return 0
