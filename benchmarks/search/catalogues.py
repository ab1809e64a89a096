"""Holds the tools of real servers, and copies them where more are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
from msgspec import Raw, json

from router.config.settings import Settings
from router.core.names.direct_names import direct_name
from router.core.text.sentences import cut_to_one_line, first_sentence
from router.messages.own_tools.search import IndexTools, Searchable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME_LIMIT: Final = Settings().server.name_limit


@attrs.frozen
class Catalogue:
    """The tools of one server.

    Attributes:
        name: the name of its instance.
        title: its name for people; empty for none.
        instructions: what it says to the model; empty for none.
        tools: its tools, as it describes them.
    """

    name: str
    title: str
    instructions: str
    tools: list[dict[str, Any]] = attrs.field(hash=False)

    def index_tools(self) -> IndexTools:
        """Return what has the router index them."""
        offered = tuple(
            Searchable("tool", one["name"], self.direct_name(one["name"]), Raw(json.encode(one)))
            for one in self.tools
        )
        return IndexTools(self.name, self.name, self.summary, offered)

    @property
    def summary(self) -> str:
        """A line about it, as the router finds it."""
        return first_sentence(self.instructions) or cut_to_one_line(self.title)

    def direct_name(self, tool: str) -> str:
        """Return the name by which the router shows a tool."""
        return direct_name(self.name, tool, NAME_LIMIT)


def copies(catalogues: Sequence[Catalogue], tools: int) -> list[Catalogue]:
    """Return the catalogues and copies of them, under other names, until there are enough tools.

    Returns:
        Catalogues with exactly `tools` tools.
    """
    found: list[Catalogue] = []
    left = tools
    for one in _endless(catalogues):
        found.append(attrs.evolve(one, tools=one.tools[:left]))
        left -= len(one.tools)
        if left <= 0:
            return found
    raise ValueError("There are no tools to copy")


def _endless(catalogues: Sequence[Catalogue]) -> Iterator[Catalogue]:
    turn = 1
    while any(one.tools for one in catalogues):
        for one in catalogues:
            yield one if turn == 1 else attrs.evolve(one, name=f"{one.name}-{turn}")
        turn += 1
