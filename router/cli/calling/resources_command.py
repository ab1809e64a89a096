"""`mcp-router resources [INSTANCE [URI]]`: lists resources, or reads one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.cli.arguments import add_router_options
from router.cli.rest_api.running_router import running_router
from router.cli.terminal import is_for_a_person, say, terminal_width

if TYPE_CHECKING:
    import argparse

    from router.cli.rest_api.rest_client import RestApi

DESCRIPTION: Final = """\
List the resources and templates of a running router, or read the resource of a URI.

What is no text is saved as a new file, which the output names."""

EXAMPLES: Final = """
mcp-router resources
mcp-router resources example
mcp-router resources example example://guide
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `resources`."""
    parser.add_argument("instance", metavar="INSTANCE", nargs="?", help="only those of this one")
    parser.add_argument("uri", metavar="URI", nargs="?", help="read this one")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--save-to", metavar="DIR", default="", help="where data is saved, instead of here"
    )
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or the resource."""
    # For start-up time: help needs none of it.
    import msgspec

    from router.cli.calling.results import ResultText
    from router.cli.running.status import printable_json
    from router.cli.text_columns import joined

    api = running_router(arguments)
    shown: Any
    if arguments.uri is None:
        shown = _resources(api, arguments.instance)
        text = joined(_lines(shown, terminal_width()))
    else:
        shown = _read(api, arguments.instance, arguments.uri)
        is_terminal = is_for_a_person(sys.stdout)
        name = arguments.uri.rstrip("/").rpartition("/")[2] or arguments.instance
        folder = Path(arguments.save_to).expanduser()
        text = ""
        if not arguments.json:
            text = ResultText(folder, name, is_terminal=is_terminal).of_reading(shown)
    if arguments.json:
        text = printable_json(msgspec.json.format(msgspec.json.encode(shown), indent=2)) + "\n"
    say(text)
    return 0


def _resources(api: RestApi, instance: str | None) -> dict[str, dict[str, list[dict[str, Any]]]]:
    # For start-up time, as above.
    from router.cli.rest_api.names import known_instance
    from router.cli.rest_api.requests import get_json, route

    if instance is None:
        return get_json(api, route("resources"))
    with known_instance(api, instance):
        return {instance: get_json(api, route("resources", instance))}


def _read(api: RestApi, instance: str, uri: str) -> dict[str, Any]:
    """Read a resource; where the server has none of this URI, say which it has.

    Raises:
        ConfigError: it cannot be read.
    """
    # For start-up time, as above.
    from router.cli.rest_api.names import NOT_FOUND, known_instance, no_such
    from router.cli.rest_api.requests import CALL_S, Refused, ask, route

    with known_instance(api, instance):
        try:
            target = route("resources", instance, "read")
            return ask(api, "POST", target, {"uri": uri}, timeout_s=CALL_S)
        except Refused as error:
            if error.status != NOT_FOUND:
                raise
            found = _resources(api, instance)[instance]
            known = [one["uri"] for one in found["resources"]]
            raise no_such("resource", uri, known, f" in {instance}") from None


def _lines(found: dict[str, dict[str, list[dict[str, Any]]]], width: int | None) -> list[str]:
    # For start-up time, as above.
    from router.cli.calling.tools_command import first_line
    from router.cli.text_columns import columns_of, safe_line

    rows = [
        (safe_line(instance), safe_line(one.get("uri") or one.get("uriTemplate") or ""),
         safe_line(one.get("mimeType") or "-"),
         first_line(one.get("description") or one.get("title") or one.get("name")))
        for instance, lists in found.items()
        for one in (*lists["resources"], *lists["templates"])
    ]  # fmt: skip
    return columns_of(rows, width) or ["There are no resources now."]
