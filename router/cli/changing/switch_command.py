"""`mcp-router restart|enable|disable INSTANCE …`: starts and stops instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.cli.arguments import add_router_options
from router.cli.terminal import complain, say
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from router.cli.rest_api.rest_client import RestApi

DESCRIPTION: Final = """\
Start and stop servers of a running router: restart ends its sessions and starts them anew, also
after a failure; disable stops a server for good, and enable starts it again. While no router runs,
enable and disable change the files in data/."""

EXAMPLES: Final = """
mcp-router restart example
mcp-router disable example other
mcp-router enable example
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of these commands."""
    parser.add_argument("instances", metavar="INSTANCE", nargs="+")
    parser.add_argument(
        "--no-wait", action="store_true", help="do not wait until the servers are ready"
    )
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Switch one instance after the other; the status is 1 if any could not be."""
    # For start-up time: help needs none of it.
    from router.cli.changing.changes import problem_text, reached_router

    api = reached_router(arguments)
    if api is None and arguments.command == "restart":
        raise ConfigError(
            "restart", "no router runs; start one with mcp-router serve --transport http"
        )
    failed = False
    for name in dict.fromkeys(arguments.instances):
        try:
            say(f"{_switch(arguments, api, name)}\n")
        except ConfigError as error:
            complain(problem_text(error))
            failed = True
    return int(failed)


def _switch(arguments: argparse.Namespace, api: RestApi | None, name: str) -> str:
    """Switch an instance, and return what became of it."""
    # For start-up time, as above.
    from router.cli.changing.changes import ask_for, change_files, files_of, state_line
    from router.messages.commands import SetActive

    command: str = arguments.command
    if api is None:
        _, paths = files_of(arguments)
        name = change_files(paths, SetActive(name, command == "enable"))
        return f"{name}: {command}d in {paths.data}; no router runs"
    wait = command != "disable" and not arguments.no_wait
    answer: dict[str, Any] = ask_for(api, "POST", name, command, wait=wait)
    return state_line(api, answer["instance"])
