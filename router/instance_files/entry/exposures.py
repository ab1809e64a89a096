"""Reads the keys of an entry that say what of its server clients see into an `Exposure`.

These are `tools`, `prompts` and `resources`, and `includeTools` and `excludeTools`, as Gemini CLI
writes them. `docs/configuration.md` explains them.

Invariants:

- Pure. In these keys nothing unknown is ignored: with a misspelled `deny` a tool would be shown
  that its owner believes to be hidden. An entry with a mistake in them is not started.
- The values are no secrets, and hold no references: `${VAR}` stands for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from router.files.json_files import kind_of, quote_key, quote_value
from router.messages.instances.exposure import EVERYTHING, ArgumentExposure, Exposure, NameFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PATTERNS_LIMIT: Final = 1000
PATTERN_LIMIT: Final = 2000
"""Characters of a name, a URI or a pattern for them."""

SHOWN_NAME_LIMIT: Final = 128
"""Characters of the new name of a tool (MCP 2025-11-25, Tools, Tool Names)."""

TEXT_LIMIT: Final = 10_000
TABLE_LIMIT: Final = 1000

EXPOSURE_KEYS: Final = ("tools", "prompts", "resources", "includeTools", "excludeTools")
"""Keys of an entry that are read here."""

_FILTER_KEYS: Final = ("allow", "deny")
_TOOL_KEYS: Final = (*_FILTER_KEYS, "approve", "rename", "describe", "annotations", "arguments")
_ARGUMENT_KEYS: Final = ("describe", "fixed")


def read_exposure(members: Mapping[str, Any], note: Callable[[str, str], None]) -> Exposure:
    """Return what an entry shows of its server.

    Args:
        members: of the entry, decoded.
        note: takes a mistake: the path in the entry, such as `tools.allow`, and the problem.
    """
    if not any(members.get(key) is not None for key in EXPOSURE_KEYS):
        return EVERYTHING
    reader = _ExposureReader(members, note)
    tools = reader.section("tools", _TOOL_KEYS)
    exposure = Exposure(
        tools=reader.tool_filter(tools),
        prompts=reader.name_filter("prompts", reader.section("prompts", _FILTER_KEYS)),
        resources=reader.name_filter("resources", reader.section("resources", _FILTER_KEYS)),
        rename=dict(reader.new_names("tools.rename", tools.get("rename"))),
        describe=dict(reader.texts("tools.describe", tools.get("describe"))),
        annotations=dict(reader.objects("tools.annotations", tools.get("annotations"))),
        arguments=dict(reader.arguments("tools.arguments", tools.get("arguments"))),
    )
    return EVERYTHING if exposure == EVERYTHING else exposure


class _ExposureReader(Struct, frozen=True):
    """Reads one value after the other and notes mistakes. JSON null is an absent key."""

    members: Mapping[str, Any]
    note: Callable[[str, str], None]

    # --- Filters ---

    def section(self, key: str, known: tuple[str, ...]) -> dict[str, Any]:
        """Return the members under `key`; an array there is the list of what is allowed."""
        value = self.members.get(key)
        if isinstance(value, list):
            return {"allow": cast("list[Any]", value)}
        section = self._object(key, value, f"expected an object of {_listed(known)}, or an array")
        if section and all(isinstance(switch, bool) for switch in section.values()):
            lists = '"allow": [...] or "deny": [...]'
            self.note(key, f"is a table of true and false; write the names in {lists} instead")
            return {}
        return dict(self._known(key, section, known))

    def tool_filter(self, tools: dict[str, Any]) -> NameFilter:
        """Return the filter of `tools`, with the names in Gemini CLI's keys added to it."""
        names = self.name_filter("tools", tools)
        allow = self._patterns("includeTools", self.members.get("includeTools"))
        deny = self._patterns("excludeTools", self.members.get("excludeTools"))
        if allow is None:
            allow = names.allow
        elif tools.get("allow") is not None:
            self.note("includeTools", "says the same as tools.allow; keep one of the two")
        approve = self._patterns("tools.approve", tools.get("approve"))
        return NameFilter(allow, (*names.deny, *(deny or ())), approve or ())

    def name_filter(self, key: str, section: dict[str, Any]) -> NameFilter:
        is_array = isinstance(self.members.get(key), list)
        allow = self._patterns(key if is_array else f"{key}.allow", section.get("allow"))
        deny = self._patterns(f"{key}.deny", section.get("deny"))
        return NameFilter(("*",) if allow is None else allow, deny or ())

    def _patterns(self, path: str, value: Any) -> tuple[str, ...] | None:
        """Return the strings of an array; None if there is no array."""
        if value is None:
            return None
        if not isinstance(value, list):
            self.note(path, f"expected an array of strings, got {quote_value(value)}")
            return None
        patterns = cast("list[Any]", value)
        if len(patterns) > PATTERNS_LIMIT:
            self.note(path, f"has more than {PATTERNS_LIMIT} elements")
            return None
        return tuple(
            self._text(f"{path}[{i}]", pattern, PATTERN_LIMIT) for i, pattern in enumerate(patterns)
        )

    # --- Tables by the server's names of tools ---

    def new_names(self, path: str, value: Any) -> Iterator[tuple[str, str]]:
        for step, tool, name in self._table(path, value):
            shown = self._text(step, name, SHOWN_NAME_LIMIT)
            if shown.isprintable():
                yield tool, shown
            else:
                self.note(step, "has a line break or another control character")

    def texts(self, path: str, value: Any) -> Iterator[tuple[str, str]]:
        for step, tool, text in self._table(path, value):
            yield tool, self._text(step, text, TEXT_LIMIT, may_be_empty=True)

    def objects(self, path: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        for step, tool, members in self._table(path, value):
            yield tool, self._object(step, members)

    def arguments(self, path: str, value: Any) -> Iterator[tuple[str, dict[str, ArgumentExposure]]]:
        for step, tool, arguments in self._table(path, value):
            rows = self._table(step, arguments)
            yield tool, {name: self._argument(place, row) for place, name, row in rows}

    def _argument(self, path: str, value: Any) -> ArgumentExposure:
        # Null is an absent description, and a value that may be fixed.
        members = dict(self._known(path, self._object(path, value), _ARGUMENT_KEYS))
        describe, is_fixed = members.get("describe"), "fixed" in members
        if describe is not None:
            describe = self._text(f"{path}.describe", describe, TEXT_LIMIT, may_be_empty=True)
        return ArgumentExposure(describe, is_fixed, members.get("fixed"))

    # --- Parts ---

    def _table(self, path: str, value: Any) -> Iterator[tuple[str, str, Any]]:
        """Yield each member of an object that is not null: its path, its key and its value."""
        table = self._object(path, value)
        if len(table) > TABLE_LIMIT:
            self.note(path, f"has more than {TABLE_LIMIT} entries")
            return
        for key, member in table.items():
            if member is not None:
                yield f"{path}.{quote_key(key)}", key, member

    def _object(
        self, path: str, value: Any, expected: str = "expected an object"
    ) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.note(path, f"{expected}, got {quote_value(value)}")
            return {}
        return cast("dict[str, Any]", value)

    def _known(
        self, path: str, members: dict[str, Any], known: tuple[str, ...]
    ) -> Iterator[tuple[str, Any]]:
        for key, value in members.items():
            if key in known:
                yield key, value
            else:
                self.note(f"{path}.{quote_key(key)}", f"unknown key; expected {_listed(known)}")

    def _text(self, path: str, value: Any, limit: int, *, may_be_empty: bool = False) -> str:
        if not isinstance(value, str) or not (value or may_be_empty):
            expected = "a string" if may_be_empty else "a string that is not empty"
            got = quote_value(value) if isinstance(value, str) else kind_of(value)
            self.note(path, f"expected {expected}, got {got}")
            return ""
        if len(value) > limit:
            self.note(path, f"is longer than {limit:,} characters")
            return ""
        return value


def _listed(keys: tuple[str, ...]) -> str:
    return ", ".join(keys[:-1]) + f" or {keys[-1]}"
