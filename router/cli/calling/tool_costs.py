"""`mcp-router tools --cost`: shows how many tokens tools cost a model.

Invariant: text from the router is data: it cannot forge lines or move the cursor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.cli.rest_api.names import known_instance
from router.cli.rest_api.requests import ask_bytes, route
from router.cli.rest_api.rest_client import NO_ROUTER
from router.cli.running.status import printable_json
from router.cli.terminal import say, terminal_width
from router.cli.text_columns import columns_of, joined, safe_line, wrapped
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from router.cli.rest_api.rest_client import RestApi

ADVICE: Final = (
    'Estimates. Under "tools" in the entry of an instance, "deny" saves all that a tool costs; '
    '"describe" with its first sentence alone saves what DESCRIBE SAVES says.'
)


class _Instance(msgspec.Struct, frozen=True):
    name: str
    tools: int
    tokens: int


class _Tool(msgspec.Struct, frozen=True):
    instance: str
    tool: str
    tokens: int
    share: float
    describe_saves: int


class _View(msgspec.Struct, frozen=True):
    kind: str
    tools: int
    tokens: int
    listed_tokens: int
    place: str | None = None
    reason: str | None = None


class Costs(msgspec.Struct, frozen=True):
    """The answer of the router. A newer one may send unknown keys."""

    total_tokens: int
    instances: list[_Instance]
    dearest: list[_Tool]
    views: list[_View]


def show_costs(api: RestApi, instance: str | None, *, is_json: bool) -> int:
    """Print what all tools cost, or those of one instance.

    Raises:
        ConfigError: there is no such instance, or the router cannot be asked.
    """
    if instance is None:
        body = ask_bytes(api, "GET", route("costs"))
    else:
        with known_instance(api, instance):
            body = ask_bytes(api, "GET", route("costs", instance))
    try:
        costs = msgspec.json.decode(body, type=Costs)
    except msgspec.MsgspecError:
        raise ConfigError(api.place, NO_ROUTER) from None
    if is_json:
        say(f"{printable_json(msgspec.json.format(body, indent=2))}\n")
    else:
        say(joined(cost_lines(costs, terminal_width())))
    return 0


def cost_lines(costs: Costs, width: int | None) -> list[str]:
    """Return three tables: the dearest tools, the instances, and the views.

    Args:
        costs: the answer of the router.
        width: of the terminal; None to have nothing cut.
    """
    if not costs.dearest:
        return ["There are no tools now; mcp-router status says why."]
    tools = [
        (f"{tool.tokens:,}", f"{tool.share:.1%}", f"{tool.describe_saves:,}", _name(tool))
        for tool in costs.dearest
    ]
    instances = [
        (f"{one.tokens:,}", f"{one.tools:,}", safe_line(one.name)) for one in costs.instances
    ]
    views = [
        (f"{view.listed_tokens:,}", f"{view.tokens:,}", f"{view.tools:,}", _view(view))
        for view in costs.views
    ]
    count = sum(one.tools for one in costs.instances)
    return [
        *columns_of([("TOKENS", "SHARE", "DESCRIBE SAVES", "DEAREST TOOLS"), *tools], width),
        "",
        *columns_of([("TOKENS", "TOOLS", "INSTANCE"), *instances], width),
        "",
        *columns_of([("LISTED", "ALL TOOLS", "TOOLS", "VIEW"), *views], width),
        "",
        f"{count:,} tools, about {costs.total_tokens:,} tokens",
        *wrapped(ADVICE, width),
    ]


def _name(tool: _Tool) -> str:
    return f"{safe_line(tool.instance)}  {safe_line(tool.tool)}"


def _view(view: _View) -> str:
    name = "the default" if view.place is None else safe_line(view.place)
    why = f": {safe_line(view.reason)}" if view.reason else ""
    return f"{name} ({safe_line(view.kind)}{why})"
