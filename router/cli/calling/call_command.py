"""`mcp-router call INSTANCE TOOL key=value …`: calls a tool of a running router.

The exit status is 0 for a result, 1 for a tool that fails and for every other error, and 130 for
Ctrl+C, which cancels the call.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.cli.arguments import add_router_options
from router.cli.rest_api.running_router import running_router
from router.cli.terminal import complain, is_for_a_person, say
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from router.cli.rest_api.rest_client import RestApi

DESCRIPTION: Final = """\
Call a tool of a running router. Values are read by the tool's schema:

  key=value    as the type that the schema says; a string stays as it is;
               a key that is repeated makes an array
  key:=JSON    as JSON, such as key:=null
  key=@FILE    the text of a file; key=@@x is the text @x

Images and other data are saved as new files, which the output names."""

EXAMPLES: Final = """
mcp-router call example add a=1 b=2
mcp-router call example word_count text=@README.md --json
mcp-router call example countdown start=3 interval_s=0.1
mcp-router call example add --arguments arguments.json
"""

STDIN: Final = "-"
FORBIDDEN: Final = 403


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `call`."""
    parser.add_argument("instance", metavar="INSTANCE")
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("words", metavar="KEY=VALUE", nargs="*", default=[], help="the arguments")
    parser.add_argument(
        "--arguments", metavar="FILE", help="a JSON object with the arguments; - for stdin"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        nargs="?",
        const="",
        help="print the exact result as JSON; with a FILE, or -, the same as --arguments",
    )
    parser.add_argument(
        "--save-to", metavar="DIR", default="", help="where data is saved, instead of here"
    )
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Call the tool and print its result."""
    # For start-up time: help needs none of it.
    import msgspec

    from router.cli.calling.call_stream import call, shown_progress
    from router.cli.calling.results import ResultText
    from router.cli.calling.tool_arguments import UnfitArguments, read_arguments
    from router.cli.running.status import printable_json

    api = running_router(arguments)
    source = _source(arguments)
    is_json = arguments.json == ""
    given = None if source is None else _read_object(source)
    tool = _find_tool(api, arguments.instance, arguments.tool)
    schema: dict[str, Any] | None = None if tool is None else tool.get("inputSchema") or {}
    try:
        params = read_arguments(arguments.words, schema, given)
        _check(tool, params)
    except UnfitArguments as exc:
        complain(str(exc))
        return 1
    body = {"instance": arguments.instance, "tool": arguments.tool, "params": params}
    with shown_progress(arguments.tool, sys.stderr) as progress:
        data = call(api, body, progress)
    result: Any = msgspec.json.decode(data)
    has_failed = result.get("isError") is True
    if is_json:
        say(f"{printable_json(data) if is_for_a_person(sys.stdout) else data.decode()}\n")
        return int(has_failed)
    stream = sys.stderr if has_failed else sys.stdout
    folder = Path(arguments.save_to).expanduser()
    text = ResultText(folder, arguments.tool, is_terminal=is_for_a_person(stream)).of_call(result)
    if stream is not None:
        stream.write(text)
    return int(has_failed)


def _source(arguments: argparse.Namespace) -> str | None:
    """Return the file of the arguments; None if there is none."""
    if arguments.arguments is not None:
        return arguments.arguments
    if not arguments.json:
        return None
    if arguments.json != STDIN and not Path(arguments.json).is_file():
        problem = f"there is no file {arguments.json}; to print JSON, put --json after all else"
        raise ConfigError("--json", problem)
    return arguments.json


def _read_object(source: str) -> dict[str, Any]:
    """Return the JSON object in a file, or on stdin."""
    # For start-up time, as above.
    import msgspec

    try:
        data = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
    except OSError as exc:
        raise ConfigError(source, f"cannot be read: {exc.strerror}") from None
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        place = "stdin" if source == STDIN else source
        raise ConfigError(place, f"expected a JSON object with the arguments: {exc}") from None


def _find_tool(api: RestApi, instance: str, name: str) -> dict[str, Any] | None:
    """Return the tool; None if it cannot be known: its instance starts, or the token may not look.

    Raises:
        ConfigError: there is no such instance or tool, or the router cannot be asked.
    """
    # For start-up time, as above.
    from router.cli.calling.tools_command import find_tool
    from router.cli.rest_api.names import known_instance
    from router.cli.rest_api.requests import Refused, get_json, route

    try:
        return find_tool(api, instance, name)
    except Refused as error:
        if error.status != FORBIDDEN:
            raise
        complain(
            "this token may not read the tools; values are sent as texts, and key:=JSON as JSON"
        )
        return None
    except ConfigError:
        with known_instance(api, instance):
            row = get_json(api, route("instances", instance))
        if row["tools_count"] or row["connected"]:
            raise
    state = str(row["state"])
    complain(f"the tools of {instance} ({state}) are not known; values are sent as texts")
    return None


def _check(tool: dict[str, Any] | None, params: dict[str, Any]) -> None:
    """Check the arguments as a whole, as the router does where `check_arguments` is on.

    Raises:
        UnfitArguments: they do not fit.
    """
    # For start-up time, as above.
    import msgspec
    from msgspec import Raw

    from router.cli.calling.tool_arguments import UnfitArguments
    from router.core.protocol.tool_schemas import Schemas
    from router.messages.catalog import Item

    if tool is None:
        return
    item = Item(tool["name"], Raw(msgspec.json.encode(tool)))
    problem = Schemas.of((item,)).problem_in(tool["name"], Raw(msgspec.json.encode(params)))
    if problem is not None:
        raise UnfitArguments((problem,))
