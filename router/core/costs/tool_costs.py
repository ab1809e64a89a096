"""Counts about how many tokens tools cost a model that is shown them.

A model sees of a tool its name, description and input schema, and most clients show it no more.

Invariants:

- Each tool is counted once per change of its instance's list; the counts are kept with the row.
- At most `MAX_BYTES_AT_ONCE` are counted for one event, since nothing else happens meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.core.names.direct_names import direct_name
from router.core.protocol.own_tools import router_tools
from router.core.text.raw_json import EMPTY_OBJECT, raw_of
from router.core.text.token_estimates import estimate_tokens
from router.messages.params import object_of

if TYPE_CHECKING:
    from router.core.names.exposed_catalog import ExposedCatalog
    from router.core.state.instance_table import Instances
    from router.core.state.instances import Instance
    from router.core.state.routing_state import RoutingState
    from router.core.state.views import View
    from router.messages.catalog import Item

MAX_BYTES_AT_ONCE: Final = 100_000
"""Bytes of tools that take 2 to 4 ms to count."""

TOKENS_A_BYTE: Final = 0.23
"""Of tools as JSON, on average; for tools that nobody had time to count."""


def tokens_of(item: Item, shown: str) -> int:
    """Return the tokens of a tool.

    Args:
        item: the tool.
        shown: the name by which it is listed.
    """
    tool = object_of(item.raw, "tool")
    description = tool.get("description")
    described = b"" if description is None else b',"description":' + bytes(description)
    schema = bytes(tool.get("inputSchema", EMPTY_OBJECT))
    pieces = (b'{"name":', bytes(raw_of(shown)), described, b',"inputSchema":', schema, b"}")
    return estimate_tokens(b"".join(pieces))


class Budget(Struct):
    """The work that one event may still do.

    Attributes:
        bytes_left: bytes of tools that may still be counted.
    """

    bytes_left: int


class ToolCosts(Struct, eq=False):
    """The tokens of the tools of one row under their direct names, as far as they were counted.

    It is kept in `Instance.encoded` as "costs", which is empty again after each change of the list.

    Attributes:
        limit: the greatest length of a direct name in characters.
        by_name: tool, by its name in the list of the row -> its tokens.
        total: of the tools in `by_name`.
        is_whole: True once all tools were counted.
    """

    limit: int
    by_name: dict[str, int] = {}
    total: int = 0
    is_whole: bool = False

    def count(self, row: Instance, item: Item, budget: Budget) -> int | None:
        """Return the tokens of one tool; None if they are unknown and the budget is spent.

        Args:
            row: the row.
            item: the tool, from its list.
            budget: the work that may still be done.
        """
        tokens = self.by_name.get(item.key)
        if tokens is None and budget.bytes_left > 0:
            budget.bytes_left -= len(item.raw)
            tokens = tokens_of(item, direct_name(row.name, item.key, self.limit))
            self.by_name[item.key] = tokens
            self.total += tokens
        return tokens

    def count_all(self, row: Instance, budget: Budget) -> bool:
        """Count the tools of the row as far as the budget goes; return whether all are counted."""
        if not self.is_whole:
            tools = row.offers.catalog.tools
            self.is_whole = all(self.count(row, item, budget) is not None for item in tools)
        return self.is_whole


def costs_of(row: Instance, limit: int) -> ToolCosts:
    """Return what was counted of the tools of a row.

    Args:
        row: the row.
        limit: the greatest length of a direct name in characters.
    """
    kept: ToolCosts | None = row.encoded.get("costs")
    if kept is None or kept.limit != limit:
        kept = row.encoded["costs"] = ToolCosts(limit)
    return kept


def count_tools(state: RoutingState, rows: Instances) -> bool:
    """Count tools of these rows, as many as one event may; return whether all are counted."""
    budget, limit = Budget(MAX_BYTES_AT_ONCE), state.settings.name_limit
    return all(costs_of(row, limit).count_all(row, budget) for row in rows)


# --- A whole list ----------------------------------------------------------------------------


class ListCost(Struct, frozen=True, eq=False):
    """The cost of listing all tools of a view.

    Attributes:
        tokens: of them; if `is_beyond`, of so many that the limit is passed.
        tools: how many of them.
        is_beyond: True if the limit is passed.
        settings: the settings that it was counted with.
        offers: the lists that it was counted from. It holds as long as these are the same objects.
    """

    tokens: int
    tools: int
    is_beyond: bool
    settings: object
    offers: tuple[ExposedCatalog, ...]


def list_cost(state: RoutingState, view: View, seen: Instances, most: int | None) -> ListCost:
    """Return the cost of listing all tools of a view directly.

    Tools that one event has no time to count are taken for average ones, by their bytes.

    Args:
        state: the state.
        view: the view.
        seen: the instances that it shows to a principal.
        most: the tokens beyond which the rest does not matter; None to count all.
    """
    offers = tuple(row.offers for row in seen)
    kept: ListCost | None = seen.encoded.get(("cost", most))
    if (
        kept is not None
        and kept.settings is state.settings
        and len(kept.offers) == len(offers)
        and all(one is other for one, other in zip(kept.offers, offers, strict=True))
    ):
        return kept
    cost, is_exact = _counted(state, view, seen, most, offers)
    if is_exact:
        seen.encoded["cost", most] = cost
    return cost


def _counted(
    state: RoutingState,
    view: View,
    seen: Instances,
    most: int | None,
    offers: tuple[ExposedCatalog, ...],
) -> tuple[ListCost, bool]:
    """Return the cost, and whether all of its tools were counted."""
    budget, limit, is_exact = Budget(MAX_BYTES_AT_ONCE), state.settings.name_limit, True
    tokens, tools = _of_management(state, view)
    for row in seen:
        costs, listed = costs_of(row, limit), set[str]()
        for item in row.offers.catalog.tools:
            # A server may list a name twice; a view does not.
            if item.key in listed or not view.admits_tool(row.name, item.key, limit):
                continue
            listed.add(item.key)
            counted = costs.count(row, item, budget)
            if counted is None:
                counted, is_exact = round(len(item.raw) * TOKENS_A_BYTE), False
            tokens, tools = tokens + counted, tools + 1
            if most is not None and tokens > most:
                return ListCost(tokens, tools, True, state.settings, offers), is_exact
    # The router's own tools alone may cost more.
    is_beyond = most is not None and tokens > most
    return ListCost(tokens, tools, is_beyond, state.settings, offers), is_exact


def _of_management(state: RoutingState, view: View) -> tuple[int, int]:
    """Return tokens and number of the router's own tools in a direct list."""
    if view.is_transparent or not state.settings.allow_instance_management:
        return 0, 0
    spelling = "dotted" if state.settings.tool_names == "dotted" else "underscored"
    own = router_tools.management_items(spelling)
    return sum(tokens_of(item, item.key) for item in own), len(own)
