"""`mcp-router search WORD...`: searches as a model does in a view that searches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.cli.terminal import say, terminal_width
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    import argparse

DESCRIPTION: Final = """\
Search what the servers of a running router on this machine offer, in the words that a model might
use, and show what it would find: the best first, each with its arguments."""

EXAMPLES: Final = """
mcp-router search how many words a text has
mcp-router search send a message --limit 3 --view work
mcp-router search guide --kind resource
"""

_TOOL: Final = "mcp.router.search"
_REVISION: Final = "2026-07-28"  # It needs no session.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the operands and options of `search`."""
    parser.add_argument("words", metavar="WORD", nargs="+", help="what is to be done")
    parser.add_argument("--view", metavar="NAME", help="the profile, instead of the default view")
    parser.add_argument("--limit", type=int, default=5, metavar="NUMBER", help="at most 20, or 5")
    parser.add_argument("--kind", choices=("tool", "prompt", "resource"), default="tool")
    parser.add_argument("--json", action="store_true", help="the answer that a model gets")


def run(arguments: argparse.Namespace) -> int:
    """Print what is found."""
    # For start-up time: help needs none of it.
    import msgspec

    from router.cli.running.status import printable_json
    from router.cli.text_columns import joined

    asked = {"query": " ".join(arguments.words), "limit": arguments.limit, "kind": arguments.kind}
    answer = _answer(arguments, asked)
    if arguments.json:
        say(f"{printable_json(msgspec.json.format(msgspec.json.encode(answer), indent=2))}\n")
    else:
        say(joined(_lines(answer, answer[f"{arguments.kind}s"], terminal_width())))
    return 0


def _answer(arguments: argparse.Namespace, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of the tool that searches.

    Raises:
        ConfigError: the router cannot be asked, or refuses.
    """
    # For start-up time, as above.
    import os
    from pathlib import Path
    from urllib.parse import quote

    import msgspec

    from router.cli.arguments import options_of
    from router.cli.rest_api.local_router import find_local_router, no_local_router
    from router.cli.rest_api.requests import ask
    from router.config.options import locate

    config = locate(options_of(arguments), os.environ, Path.cwd()).config
    api = find_local_router(config, os.environ)
    if api is None:
        raise no_local_router(config)
    of_protocol = "io.modelcontextprotocol"
    about = {
        f"{of_protocol}/protocolVersion": _REVISION,
        f"{of_protocol}/clientInfo": {"name": "mcp-router search", "version": ""},
        f"{of_protocol}/clientCapabilities": {},
    }
    params = {"name": _TOOL, "arguments": asked, "_meta": about}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {"MCP-Protocol-Version": _REVISION, "Mcp-Method": "tools/call", "Mcp-Name": _TOOL}
    headers["Accept"] = "application/json, text/event-stream"
    place = f"/{quote(arguments.view, safe='', errors='replace')}" if arguments.view else ""
    said = ask(api, "POST", f"/mcp{place}", body, headers=headers)
    try:
        answer: dict[str, Any] = msgspec.json.decode(said["result"]["content"][0]["text"])
        if not said["result"]["isError"]:
            return answer
        problem: str = answer["error"]
    except (msgspec.MsgspecError, LookupError, TypeError):
        problem = "a server answers there, and not the router; --view takes a profile"
    raise ConfigError("search", problem)


def _lines(answer: dict[str, Any], found: list[dict[str, Any]], width: int | None) -> list[str]:
    """Return lines for each result, and then how many there are."""
    # For start-up time, as above.
    from router.cli.text_columns import safe_line, wrapped

    lines: list[str] = []
    for one in found:
        takes = one.get("signature", one.get("arguments"))
        name = one.get("uri") or one.get("uriTemplate") or f"{one['name']}({takes})"
        lines += wrapped(safe_line(name), width)
        about = safe_line(one.get("description", ""))
        lines += [f"  {line}" for line in wrapped(about, width and width - 2) if line]
    ends = [safe_line(answer[key]) for key in ("found", "hint") if key in answer]
    return [*lines, *([""] if lines else []), *ends]
