"""`mcp-router tools [INSTANCE [TOOL]]`: lists tools, or shows all about one.

`tools pins` and `tools approve` are about tools that are not as they were approved; an instance of
such a name is shown by `mcp-router inspect`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.cli.arguments import add_router_options
from router.cli.rest_api.running_router import running_router
from router.cli.terminal import say, terminal_width
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from router.cli.rest_api.rest_client import RestApi

DESCRIPTION: Final = """\
List the tools of a running router, or show all about one: its arguments and their types. With
--cost, show about how many tokens they cost a model, the ten dearest, and what each view lists.
With security.pinning, `tools pins` lists those that are not as they were approved, and `tools
approve` shows each difference, asks, and approves it."""

EXAMPLES: Final = """
mcp-router tools
mcp-router tools example
mcp-router tools example add
mcp-router tools --cost
mcp-router tools pins
mcp-router tools approve
mcp-router tools approve example add --yes
"""

_PINS: Final = "pins"
_APPROVE: Final = "approve"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `tools`."""
    parser.add_argument("instance", metavar="INSTANCE", nargs="?", help="only those of this one")
    parser.add_argument("tool", metavar="TOOL", nargs="*", help="all about this one")
    parser.add_argument("--cost", action="store_true", help="what they cost a model, in tokens")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before approving")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or the tool."""
    # For start-up time: help needs none of it.
    import msgspec

    from router.cli.calling.schema_text import described
    from router.cli.running.status import printable_json
    from router.cli.text_columns import joined

    if arguments.cost and (arguments.tool or arguments.instance in (_PINS, _APPROVE)):
        raise ConfigError("--cost", "takes an instance and no more")
    api = running_router(arguments)
    if arguments.instance in (_PINS, _APPROVE):
        return _run_on_pins(arguments, api)
    if arguments.cost:
        from router.cli.calling.tool_costs import show_costs

        return show_costs(api, arguments.instance, is_json=arguments.json)
    if len(arguments.tool) > 1:
        problem = "tools shows one tool at a time"
        raise ConfigError(" ".join(arguments.tool[1:]), problem)
    shown: Any
    if arguments.tool:
        shown = find_tool(api, arguments.instance, arguments.tool[0])
        lines = described(arguments.instance, shown, terminal_width())
    else:
        shown = tools_by_instance(api, arguments.instance)
        lines = listed(shown, terminal_width())
    if arguments.json:
        data = msgspec.json.format(msgspec.json.encode(shown), indent=2)
        say(f"{printable_json(data)}\n")
    else:
        say(joined(lines))
    return 0


def _run_on_pins(arguments: argparse.Namespace, api: RestApi) -> int:
    # For start-up time, as above.
    from router.cli.calling.tool_approvals import approve, show_pins

    words: list[str] = arguments.tool
    instance, tools = (words[0] if words else None), words[1:]
    if arguments.instance == _PINS:
        if tools:
            raise ConfigError(" ".join(tools), "tools pins takes an instance and no more")
        return show_pins(api, instance, is_json=arguments.json)
    return approve(api, instance, tools, is_yes=arguments.yes, is_json=arguments.json)


def tools_by_instance(api: RestApi, instance: str | None) -> dict[str, list[dict[str, Any]]]:
    """Return the tools of all instances, or of one.

    Raises:
        ConfigError: there is no such instance, or the router cannot be asked.
    """
    # For start-up time, as above.
    from router.cli.rest_api.names import known_instance
    from router.cli.rest_api.requests import get_json, route

    if instance is None:
        return get_json(api, route("tools"))
    with known_instance(api, instance):
        return {instance: get_json(api, route("tools", instance))}


def find_tool(api: RestApi, instance: str, name: str) -> dict[str, Any]:
    """Return one tool of an instance.

    Raises:
        ConfigError: there is no such instance or tool, it waits for approval, or the router cannot
            be asked.
    """
    # For start-up time, as above.
    from router.cli.rest_api.names import no_such

    tools = tools_by_instance(api, instance)[instance]
    for tool in tools:
        if tool["name"] == name:
            return tool
    from router.cli.calling.tool_approvals import check_not_quarantined

    check_not_quarantined(api, instance, name)
    raise no_such("tool", name, (tool["name"] for tool in tools), f" in {instance}")


def listed(tools: dict[str, list[dict[str, Any]]], width: int | None) -> list[str]:
    """Return a line for each tool: instance, name with arguments, and what it does.

    Args:
        tools: by instance.
        width: of the terminal; None to have nothing cut.
    """
    # For start-up time, as above.
    from router.cli.calling.schema_text import compact
    from router.cli.text_columns import columns_of, safe_line

    rows = [
        (
            safe_line(instance),
            safe_line(tool["name"]) + compact(tool.get("inputSchema") or {}),
            first_line(tool.get("description")),
        )
        for instance, those in tools.items()
        for tool in those
    ]
    return columns_of(rows, width) or ["There are no tools now; mcp-router status says why."]


def first_line(text: Any) -> str:
    """Return the first line of a description that says something."""
    # For start-up time, as above.
    from router.cli.text_columns import safe_line

    lines = (safe_line(line) for line in str(text or "").splitlines())
    return next(filter(None, lines), "")
