"""`mcp-router approvals`: shows the calls that wait for a yes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from router.cli.arguments import add_router_options
from router.cli.terminal import say

if TYPE_CHECKING:
    import argparse

    from router.cli.rest_api.rest_client import RestApi

DESCRIPTION: Final = """\
Show the calls that wait for a yes: tools.approve names their tools, and their clients cannot be
asked. Each is refused if nobody decides in time."""

EXAMPLES: Final = """
mcp-router approvals
mcp-router approvals --watch
mcp-router approve 1f3a90bc
mcp-router deny 1f3a90bc
"""

EVERY_S: Final = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `approvals`."""
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--watch", action="store_true", help="print each as it comes, until Ctrl+C")
    shown.add_argument("--json", action="store_true", help="as JSON")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    # For start-up time: help needs none of it.
    from router.cli.approving.approvals import call_text, waiting_calls
    from router.cli.rest_api.requests import ask_bytes, route
    from router.cli.rest_api.running_router import running_router
    from router.cli.running.status import printable_json

    api = running_router(arguments)
    if arguments.json:
        say(printable_json(ask_bytes(api, "GET", route("approvals"))) + "\n")
    elif arguments.watch:
        _watch(api)
    else:
        calls = waiting_calls(api)
        say("\n".join(map(call_text, calls)) or "No call waits for approval\n")
    return 0


def _watch(api: RestApi) -> None:
    # For start-up time, as above.
    from router.cli.approving.approvals import call_text, waiting_calls

    known: set[str] = set()
    while True:
        calls = waiting_calls(api)
        for call in calls:
            if call.id not in known:
                say(f"{call_text(call)}\n")
        known = {call.id for call in calls}
        time.sleep(EVERY_S)
