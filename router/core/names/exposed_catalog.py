"""Turns the catalog of a server into the catalog that clients see of it.

An `Exposure` says what is shown, under which names, and with which texts and arguments.

Invariants:

- Pure. What an exposure does not change stays as the server sent it, byte for byte and in order.
- A shown name belongs to exactly one of the server's names.
- A mistake in an exposure never hides a tool that it does not name; it is a line in `unknown`.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import msgspec
from msgspec import Raw, Struct

from router.core.text.nearest_names import nearest_names
from router.core.text.raw_json import (
    check_key_case,
    is_object,
    raw_of,
)
from router.core.text.sentences import cut_to_one_line
from router.messages.catalog import Catalog, Item
from router.messages.instances.exposure import EVERYTHING, ArgumentExposure, has_wildcard
from router.messages.params import object_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from router.messages.instances.exposure import Exposure, NameFilter

MAX_SUGGESTIONS: Final = 10
"""Problems that suggest a name; each may take 20 ms for a server of thousands of tools."""

_TRUE: Final = b"true"
_strings: Final = msgspec.json.Decoder(list[str])


class CalledTool(Struct, frozen=True, eq=False):
    """The parts of a call that are the same for each call of a tool.

    Attributes:
        raw_name: the server's name for it.
        fixed: its fixed arguments, raw; None if it has none.
    """

    raw_name: Raw
    fixed: dict[str, Raw] | None


@attrs.frozen
class ExposedCatalog:
    """The part of one server that clients see.

    Attributes:
        catalog: what is shown, each tool by its shown name.
        own_names: shown name -> the server's name, for the tools that are renamed.
        fixed: the server's name of a tool -> its fixed arguments, raw.
        unknown: one sentence for each name in the exposure that cannot be applied, beginning with
            its key, such as `tools.rename.read_fil: the server offers no tool of this name`.
        hides_tools: True if a tool of the server may not be called by its own name. A name that is
            not shown must then not be passed on to the server.
        withheld: the server's names of the tools that wait for approval; None unless such tools are
            withheld (`security.pinning`).
    """

    catalog: Catalog
    own_names: dict[str, str] = attrs.field(factory=dict[str, str])
    fixed: dict[str, dict[str, Raw]] = attrs.field(factory=dict[str, dict[str, Raw]])
    unknown: tuple[str, ...] = ()
    hides_tools: bool = False
    withheld: frozenset[str] | None = None
    # Made at the first call of each tool.
    _called: dict[str, CalledTool] = attrs.field(
        init=False, eq=False, repr=False, factory=dict[str, "CalledTool"]
    )

    def own_name(self, shown: str) -> str:
        """Return the server's name for a tool that is shown."""
        return self.own_names.get(shown, shown)

    def called_tool(self, shown: str) -> CalledTool:
        """Return what a call of a tool that is shown needs."""
        called = self._called.get(shown)
        if called is None:
            called = self._called[shown] = self.unlisted_tool(self.own_name(shown))
        return called

    def unlisted_tool(self, own: str) -> CalledTool:
        """Return what a call of a tool needs that is not shown, and that the server may have."""
        return CalledTool(raw_of(own), self.fixed.get(own))


NOTHING: Final = ExposedCatalog(Catalog())
"""The part of a server that is not there."""


def expose(
    catalog: Catalog, exposure: Exposure, withheld: frozenset[str] | None = None
) -> ExposedCatalog:
    """Return what clients see of a server that offers this catalog.

    Args:
        withheld: see `ExposedCatalog`.
    """
    if exposure == EVERYTHING and not withheld:
        return ExposedCatalog(catalog, hides_tools=withheld is not None, withheld=withheld)
    offered = catalog.tools
    if withheld:
        offered = tuple(item for item in offered if item.key not in withheld)
    admitted = [item for item in offered if exposure.tools.admits(item.key)]
    shown, refused = _shown_names((item.key for item in admitted), exposure.rename)
    exposed = Catalog(
        tuple(_exposed_tool(item, shown.get(item.key), exposure) for item in admitted),
        _filtered(catalog.prompts, exposure.prompts),
        _filtered(catalog.resources, exposure.resources),
        _filtered(catalog.templates, exposure.resources),
    )
    return ExposedCatalog(
        exposed,
        {name: own for own, name in shown.items()},
        fixed_arguments(exposure),
        (*_unknown_names(catalog, exposure), *refused),
        # What no list shows was never approved.
        hides_tools=not exposure.tools.admits_all or bool(exposure.rename) or withheld is not None,
        withheld=withheld,
    )


def _filtered(items: tuple[Item, ...], names: NameFilter) -> tuple[Item, ...]:
    if names.admits_all:
        return items
    return tuple(item for item in items if names.admits(item.key))


# --- Names -----------------------------------------------------------------------------------


def _shown_names(own: Iterable[str], rename: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the renames that can be applied, own name -> shown name, and why others cannot.

    A tool whose own name it is keeps a name; of two tools that are renamed to it, the first does.
    A refused rename gives its tool the own name back, which may take that from another rename.
    """
    names = list(dict.fromkeys(own))
    renamed = {name: rename[name] for name in names if rename.get(name, name) != name}
    problems: list[str] = []
    while True:
        holders = {name: name for name in names if name not in renamed}
        taken = {
            name: holder
            for name, shown in renamed.items()
            if (holder := holders.setdefault(shown, name)) != name
        }
        if not taken:
            return renamed, problems
        for name, holder in taken.items():
            shown = renamed.pop(name)
            problems.append(
                f"tools.rename.{name}: '{shown}' is the name of "
                + ("another tool" if holder == shown else f"'{holder}', which is renamed as well")
                + "; this tool keeps its own name"
            )


# --- One tool --------------------------------------------------------------------------------


def _exposed_tool(item: Item, shown: str | None, exposure: Exposure) -> Item:
    """Return a tool as it is shown; the same object if nothing about it changes."""
    own = item.key
    describe = exposure.describe.get(own)
    annotations = exposure.annotations.get(own)
    arguments = exposure.arguments.get(own)
    if shown is None and describe is None and not annotations and not arguments:
        return item
    tool = object_of(item.raw, "tool")
    if shown is not None:
        tool["name"] = raw_of(shown)
    if describe is not None:
        tool["description"] = raw_of(describe)
    if annotations:
        before = _members(tool.get("annotations")) or {}
        added = {key: raw_of(value) for key, value in annotations.items()}
        tool["annotations"] = raw_of(before | added)
    if arguments and (schema := _members(tool.get("inputSchema"))) is not None:
        tool["inputSchema"] = raw_of(_exposed_schema(schema, arguments))
    return Item(shown or own, raw_of(tool))


def _members(raw: Raw | None) -> dict[str, Raw] | None:
    """Return the members of a raw object; None for anything else."""
    return object_of(raw) if raw and is_object(raw) else None


def _exposed_schema(
    schema: dict[str, Raw], arguments: Mapping[str, ArgumentExposure]
) -> dict[str, Raw]:
    """Return the members of an input schema without the fixed arguments and with the new texts."""
    properties = _members(schema.get("properties"))
    if properties is not None:
        shown = {
            name: _described(property_, arguments.get(name, _UNCHANGED).describe)
            for name, property_ in properties.items()
            if not arguments.get(name, _UNCHANGED).is_fixed
        }
        schema["properties"] = raw_of(shown)
    return _without_required(schema, {name for name, one in arguments.items() if one.is_fixed})


_UNCHANGED: Final = ArgumentExposure()


def _described(schema: Raw, text: str | None) -> Raw:
    """Return the schema of a property with another description, if there is one."""
    if text is None:
        return schema
    # The schema `true` admits anything, as an empty object does (JSON Schema 2020-12, Core 4.3.2).
    members = {} if bytes(schema) == _TRUE else _members(schema)
    return schema if members is None else raw_of(members | {"description": raw_of(text)})


def _without_required(schema: dict[str, Raw], fixed: set[str]) -> dict[str, Raw]:
    try:
        required = _strings.decode(schema["required"])
    except (KeyError, msgspec.MsgspecError):
        return schema
    kept = [name for name in required if name not in fixed]
    if kept == required:
        return schema
    if kept:
        return schema | {"required": raw_of(kept)}
    # Draft 4 of JSON Schema allows no empty list (Validation 5.4.3).
    return {key: value for key, value in schema.items() if key != "required"}


# --- Fixed arguments -------------------------------------------------------------------------


def fixed_arguments(exposure: Exposure) -> dict[str, dict[str, Raw]]:
    """Return the fixed arguments of each tool, by the server's name."""
    return {
        tool: fixed
        for tool, arguments in exposure.arguments.items()
        if (fixed := {n: raw_of(one.fixed) for n, one in arguments.items() if one.is_fixed})
    }


def with_fixed(arguments: Raw | None, fixed: dict[str, Raw]) -> Raw:
    """Return the arguments of a call with the fixed ones in them, whatever the client sent there.

    Args:
        arguments: raw, as the client sent them; None or null for none.
        fixed: the fixed arguments of the tool, raw.

    Raises:
        RpcError: -32602, `arguments` is no object, or has a key that differs from a fixed one only
            in case: some servers would take that for the fixed one.
    """
    if arguments is None or bytes(arguments) == b"null":
        return raw_of(fixed)
    if not fixed:
        return arguments
    members = check_key_case(object_of(arguments, "arguments"), frozenset(fixed), "arguments")
    return raw_of(members | fixed)


# --- Names that the server does not offer ----------------------------------------------------


def _unknown_names(catalog: Catalog, exposure: Exposure) -> Iterator[str]:
    """Yield a sentence for each name in the exposure that the catalog lacks."""
    tools = _keys(catalog.tools)
    unknown = chain(
        _unknown_in_filters(catalog, exposure),
        _unknown_in_tables(tools, exposure),
        _unknown_arguments(tools, exposure),
    )
    for number, (problem, name, known) in enumerate(unknown):
        nearest = nearest_names(name, known)[:1] if number < MAX_SUGGESTIONS else []
        yield problem + "".join(f"; did you mean '{cut_to_one_line(near)}'?" for near in nearest)


_Unknown: TypeAlias = "tuple[str, str, Collection[str]]"
"""A sentence about a name, that name, and the names that there are."""


def _unknown_in_filters(catalog: Catalog, exposure: Exposure) -> Iterator[_Unknown]:
    for key, kind, names, items in (
        ("tools", "tool", exposure.tools, catalog.tools),
        ("prompts", "prompt", exposure.prompts, catalog.prompts),
        (
            *("resources", "resource or template", exposure.resources),
            (*catalog.resources, *catalog.templates),
        ),
    ):
        known = _keys(items)
        lists = (("allow", names.allow), ("deny", names.deny), ("approve", names.approve))
        for list_key, patterns in lists:
            for name in patterns:
                if not has_wildcard(name) and name not in known:
                    yield f"{key}.{list_key}: the server offers no {kind} '{name}'", name, known


def _unknown_in_tables(tools: dict[str, Item], exposure: Exposure) -> Iterator[_Unknown]:
    for key, table in (
        ("rename", exposure.rename),
        ("describe", exposure.describe),
        ("annotations", exposure.annotations),
        ("arguments", exposure.arguments),
    ):
        for name in table:
            if name not in tools:
                yield f"tools.{key}.{name}: the server offers no tool of this name", name, tools


def _unknown_arguments(tools: dict[str, Item], exposure: Exposure) -> Iterator[_Unknown]:
    for tool, arguments in exposure.arguments.items():
        if tool in tools:
            known = _arguments_of(tools[tool])
            for name in arguments:
                if name not in known:
                    place = f"tools.arguments.{tool}.{name}"
                    yield f"{place}: the tool has no argument of this name", name, known


def _keys(items: Iterable[Item]) -> dict[str, Item]:
    return {item.key: item for item in items}


def _arguments_of(item: Item) -> dict[str, Raw]:
    schema = _members((_members(item.raw) or {}).get("inputSchema")) or {}
    return _members(schema.get("properties")) or {}
