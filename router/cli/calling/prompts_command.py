"""`mcp-router prompts [INSTANCE [PROMPT key=value …]]`: lists prompts, or fills one in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.cli.arguments import add_router_options
from router.cli.rest_api.running_router import running_router
from router.cli.terminal import complain, is_for_a_person, say, terminal_width

if TYPE_CHECKING:
    import argparse

    from router.cli.rest_api.rest_client import RestApi

DESCRIPTION: Final = """\
List the prompts of a running router, or fill one in. All arguments of prompts are texts; key=@FILE
is the text of a file."""

EXAMPLES: Final = """
mcp-router prompts
mcp-router prompts example summarize text=@README.md sentences=2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `prompts`."""
    parser.add_argument("instance", metavar="INSTANCE", nargs="?", help="only those of this one")
    parser.add_argument("prompt", metavar="PROMPT", nargs="?", help="fill this one in")
    parser.add_argument("words", metavar="KEY=VALUE", nargs="*", default=[], help="its arguments")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_router_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or the messages of the prompt."""
    # For start-up time: help needs none of it.
    import msgspec

    from router.cli.calling.results import ResultText
    from router.cli.calling.tool_arguments import UnfitArguments
    from router.cli.running.status import printable_json
    from router.cli.text_columns import joined

    api = running_router(arguments)
    found = _prompts(api, arguments.instance)
    shown: Any = found
    text = ""
    if arguments.prompt is None:
        text = joined(_lines(found, terminal_width()))
    else:
        try:
            shown = _get(api, arguments, found[arguments.instance])
        except UnfitArguments as exc:
            complain(str(exc))
            return 1
        if not arguments.json:
            is_terminal = is_for_a_person(sys.stdout)
            result = ResultText(Path(), arguments.prompt, is_terminal=is_terminal)
            text = result.of_prompt(shown)
    if arguments.json:
        text = printable_json(msgspec.json.format(msgspec.json.encode(shown), indent=2)) + "\n"
    say(text)
    return 0


def _prompts(api: RestApi, instance: str | None) -> dict[str, list[dict[str, Any]]]:
    # For start-up time, as above.
    from router.cli.rest_api.names import known_instance
    from router.cli.rest_api.requests import get_json, route

    if instance is None:
        return get_json(api, route("prompts"))
    with known_instance(api, instance):
        return {instance: get_json(api, route("prompts", instance))}


def _get(
    api: RestApi, arguments: argparse.Namespace, prompts: list[dict[str, Any]]
) -> dict[str, Any]:
    # For start-up time, as above.
    from router.cli.calling.tool_arguments import read_arguments
    from router.cli.rest_api.names import no_such
    from router.cli.rest_api.requests import CALL_S, ask, route

    instance, name = arguments.instance, arguments.prompt
    prompt = next((one for one in prompts if one["name"] == name), None)
    if prompt is None:
        raise no_such("prompt", name, (one["name"] for one in prompts), f" in {instance}")
    values = read_arguments(arguments.words, schema_of(prompt))
    body = {"name": name, "arguments": values}
    return ask(api, "POST", route("prompts", instance, "get"), body, timeout_s=CALL_S)


def schema_of(prompt: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a prompt's arguments, as a tool would have it."""
    declared: list[dict[str, Any]] = prompt.get("arguments") or []
    properties = {
        one["name"]: {"type": "string", "description": one.get("description") or ""}
        for one in declared
    }
    required = [one["name"] for one in declared if one.get("required")]
    schema = {"type": "object", "properties": properties, "required": required}
    return schema | {"additionalProperties": False}


def _lines(found: dict[str, list[dict[str, Any]]], width: int | None) -> list[str]:
    # For start-up time, as above.
    from router.cli.calling.schema_text import compact
    from router.cli.calling.tools_command import first_line
    from router.cli.text_columns import columns_of, safe_line

    rows = [
        (
            safe_line(instance),
            safe_line(prompt["name"]) + compact(schema_of(prompt)),
            first_line(prompt.get("description") or prompt.get("title")),
        )
        for instance, prompts in found.items()
        for prompt in prompts
    ]
    return columns_of(rows, width) or ["There are no prompts now."]
