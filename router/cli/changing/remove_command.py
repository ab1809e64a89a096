"""`mcp-router remove INSTANCE …`: removes instances, after a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.cli.arguments import add_router_options
from router.cli.terminal import ask_yes_no, complain, say
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from router.cli.rest_api.rest_client import RestApi

DESCRIPTION: Final = """\
Remove servers from the router: each is stopped, and its entry in data/ is deleted. While no router
runs, the files are changed alone."""

EXAMPLES: Final = """
mcp-router remove second
mcp-router remove second third --yes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `remove`."""
    parser.add_argument("instances", metavar="INSTANCE", nargs="+")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, then remove one instance after the other; the status is 1 if any could not be."""
    # For start-up time: help needs none of it.
    from router.cli.changing.changes import files_of, names_in, problem_text, reached_router
    from router.cli.rest_api.names import no_such
    from router.cli.rest_api.requests import get_json, route

    api = reached_router(arguments)
    if api is None:
        known = names_in(files_of(arguments)[1])
    else:
        known = [row["name"] for row in get_json(api, route("instances"))]
    names = list(dict.fromkeys(arguments.instances))
    unknown = [name for name in names if name not in known]
    for name in unknown:
        complain(str(no_such("instance", name, known)))
    if unknown:
        return 1  # Nothing is removed by half of a mistaken command.
    if not ask_yes_no(f"Remove {', '.join(names)}?", is_yes=arguments.yes):
        complain("nothing was removed")
        return 1
    failed = False
    for name in names:
        try:
            say(f"{_remove(arguments, api, name)}\n")
        except ConfigError as error:
            complain(problem_text(error))
            failed = True
    return int(failed)


def _remove(arguments: argparse.Namespace, api: RestApi | None, name: str) -> str:
    # For start-up time, as above.
    from router.cli.changing.changes import ask_for, change_files, files_of
    from router.messages.commands import RemoveInstance

    if api is not None:
        return f"{ask_for(api, 'DELETE', name)['removed']}: removed"
    _, paths = files_of(arguments)
    return f"{change_files(paths, RemoveInstance(name))}: removed from {paths.data}"
