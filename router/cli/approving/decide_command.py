"""`mcp-router approve|deny ID`: decides about a call that waits for a yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.cli.arguments import add_router_options
from router.cli.terminal import ask_yes_no, complain, say

if TYPE_CHECKING:
    import argparse

    from router.cli.rest_api.rest_client import RestApi

DESCRIPTION: Final = """\
Decide about a call that waits for a yes. approve shows the whole call and asks; the router then
carries it out once, with the very arguments that were shown. deny refuses it."""

EXAMPLES: Final = """
mcp-router approvals
mcp-router approve 1f3a90bc
mcp-router deny 1f3a90bc
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operand and options of these commands."""
    parser.add_argument("id", metavar="ID", help="as mcp-router approvals shows it")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the call, and decide; the status is 1 if it was neither approved nor denied."""
    # For start-up time: help needs none of it.
    from router.cli.approving.approvals import call_text, waiting_calls
    from router.cli.rest_api.running_router import running_router

    api = running_router(arguments)
    call = next((one for one in waiting_calls(api) if one.id == arguments.id), None)
    is_yes = arguments.command == "approve"
    if call is None:
        # The router knows why it is not there. No call has this digest, so this approves none.
        _decide(api, arguments.id, "0" * 64, approve=is_yes)
        return 1
    say(call_text(call))
    if is_yes and not ask_yes_no("Approve it?", is_yes=arguments.yes):
        complain("nothing was decided; the call still waits")
        return 1
    _decide(api, call.id, call.sha256, approve=is_yes)
    say("approved\n" if is_yes else "denied\n")
    return 0


def _decide(api: RestApi, call_id: str, sha256: str, *, approve: bool) -> None:
    # For start-up time, as above.
    from router.cli.rest_api.requests import ask, route

    body = {"approve": approve, "arguments_sha256": sha256}
    ask(api, "POST", route("approvals", call_id), body)
