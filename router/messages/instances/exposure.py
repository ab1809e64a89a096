"""Defines the filters and profiles by which users choose what of their servers clients see.

Invariant: in a pattern `*` stands for any characters and `?` for one; everything else is literal.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Final, Literal, TypeAlias

import attrs
from msgspec import Struct

Expose: TypeAlias = Literal["router", "direct", "transparent", "search", "auto", "code"]
"""The kinds of views.

- `router`: the router's own tools; after `use`, also the tools of the selected instance.
- `direct`: everything of every ready instance, under stable unique names.
- `transparent`: one instance, as if the router were not there.
- `search`: as `direct`, but in place of all tools those that find, describe and call them.
- `auto`: `direct` or `search`, by the cost of listing all tools and by what the client can do.
- `code`: as `search`, with a tool that runs code which calls tools.
"""


@functools.lru_cache(maxsize=4096)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return one expression for all of these that have wildcards; None if none has."""
    wild = [_expression(pattern) for pattern in patterns if has_wildcard(pattern)]
    return re.compile("|".join(wild), re.DOTALL) if wild else None


def _expression(pattern: str) -> str:
    first, *parts = map(_literal, pattern.split("*"))
    if not parts:
        return first
    # The earliest place for a part is always as good as a later one. Atomic groups keep it, so that
    # no name takes long, however many `*` there are.
    middle = "".join(f"(?>.*?{part})" for part in parts[:-1])
    return f"{first}{middle}.*{parts[-1]}"


def _literal(part: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in part)


def matches_any(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a name matches one of these patterns as a whole, in the same case."""
    # Long lists hold plain names mostly, which are compared without being compiled.
    if name in patterns:
        return True
    wild = _compiled(patterns)
    return wild is not None and wild.fullmatch(name) is not None


def has_wildcard(pattern: str) -> bool:
    """Return whether a pattern may match other names than itself."""
    return "*" in pattern or "?" in pattern


@attrs.frozen
class NameFilter:
    """Admits names by patterns; what is denied is never admitted.

    Attributes:
        allow, deny: patterns for names.
        approve: of tools: patterns for the names whose calls wait for a yes.
    """

    allow: tuple[str, ...] = ("*",)
    deny: tuple[str, ...] = ()
    approve: tuple[str, ...] = ()

    @property
    def admits_all(self) -> bool:
        """True if no name is refused."""
        return "*" in self.allow and not self.deny

    def admits(self, name: str) -> bool:
        """Return whether something of this name is to be shown."""
        return matches_any(name, self.allow) and not matches_any(name, self.deny)


EVERY_NAME: Final = NameFilter()


class ArgumentExposure(Struct, frozen=True):
    """A change of one argument of a tool.

    Attributes:
        describe: replaces its description; None to keep it.
        is_fixed: True to take the argument out of the schema and put `fixed` into each call.
        fixed: any JSON value.
    """

    describe: str | None = None
    is_fixed: bool = False
    fixed: Any = None


class Exposure(Struct, frozen=True):
    """The part of one instance that every view shows. Tools are named as their server names them.

    Attributes:
        tools, prompts, resources: admit tools and prompts by name, resources and templates by URI.
        rename: tool -> the name that replaces it.
        describe: tool -> the description that replaces its own.
        annotations: tool -> members that are put into its `annotations`.
        arguments: tool -> argument -> its change.
    """

    tools: NameFilter = EVERY_NAME
    prompts: NameFilter = EVERY_NAME
    resources: NameFilter = EVERY_NAME
    rename: dict[str, str] = {}
    describe: dict[str, str] = {}
    annotations: dict[str, dict[str, Any]] = {}
    arguments: dict[str, dict[str, ArgumentExposure]] = {}


EVERYTHING: Final = Exposure()
"""Everything of an instance, as its server has it."""


@attrs.frozen
class Profile:
    """A view that `config.json` defines under a name.

    Attributes:
        expose: its kind; `transparent` shows the one instance that `instances` names.
        instances: patterns for the names of its instances, also of instances to come.
        tools: admits tools by the names that this view shows.
        pinned: patterns for the names of tools that are listed also where tools are searched.
        instructions: replaces the servers' own, for the model; None for those of the servers.
        title: its name for people.
    """

    expose: Expose = "direct"
    instances: tuple[str, ...] = ("*",)
    tools: NameFilter = EVERY_NAME
    pinned: tuple[str, ...] = ()
    instructions: str | None = None
    title: str | None = None
