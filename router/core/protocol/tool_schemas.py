"""Finds what does not fit in the arguments of a call, by the tool's own `inputSchema`.

A schema is compiled when its tool is first checked after a listing.

Invariants:

- A copy is decoded to be checked: the router forwards the bytes that came in.
- Nothing is fetched or opened because a schema says so. Regular expressions take linear time.
- A schema that cannot be compiled, or might take long, is not used: the server checks as well.
- No message quotes a value, because values may be secrets.
- The server reads what was checked. A key that stands twice in one object is refused, since
  another reader might take the other value.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import jsonschema_rs
import msgspec
from msgspec import Struct

from router.core.text.raw_json import EMPTY_OBJECT, printable
from router.messages.params import object_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from msgspec import Raw

    from router.messages.catalog import Item

MAX_SCHEMA_BYTES: Final = 64 * 1024
"""Size of a schema that is checked; ten times the size of real tools' schemas."""

MAX_STEPS: Final = 20_000
"""Subschemas in a schema once every `$ref` is replaced by its target: about 1 ms to check."""

MAX_PATTERN_BYTES: Final = 1024 * 1024
"""Size of one compiled regular expression, which bounds the time to compile it."""

MAX_MISTAKES: Final = 10
"""Mistakes that are named for one call: as many as a model corrects at once."""

MAX_MESSAGE: Final = 300
"""Characters for one mistake; the names of keys and the options of an `enum` may be long."""

MAX_MISTAKE_CHECKS: Final = 20_000
"""Values times subschemas, up to which all mistakes are collected: about 50 ms if each is one.

The library cannot stop in between; beyond this, only the first mistake is looked for.
"""

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


class Checker(Struct, frozen=True):
    """A compiled schema.

    Attributes:
        validator: the compiled schema itself.
        subschemas: the number of its subschemas, each reference replaced by its target.
        finds_reasons: False for a recursive schema: to find the reasons might take long.
    """

    validator: jsonschema_rs.Validator
    subschemas: int
    finds_reasons: bool

    def mistakes_in(self, arguments: Any, data: bytes) -> list[str]:
        """Return the mistakes in arguments, each with its place; empty if they fit.

        Args:
            arguments: an object.
            data: the same before it was decoded.
        """
        if self.validator.is_valid(arguments):
            return []
        if not self.finds_reasons:
            return ["arguments: do not match the tool's inputSchema"]
        # Every value but the outermost and the first of each array or object follows a comma.
        value_count = sum(map(data.count, (b",", b"[", b"{")))
        if value_count * self.subschemas <= MAX_MISTAKE_CHECKS:
            return [_text_of(error) for error in self.validator.iter_errors(arguments)]
        mistakes: list[str] = []
        try:
            self.validator.validate(arguments)
        except jsonschema_rs.ValidationError as error:
            mistakes.append(_text_of(error))
        return mistakes


def _text_of(error: jsonschema_rs.ValidationError) -> str:
    place = "".join(_step(step) for step in error.instance_path)
    return f"arguments{place}: {error.message}"


def _joined(mistakes: list[str]) -> str:
    """Return the mistakes as one text of a bounded length."""
    named = [
        mistake[:MAX_MESSAGE] + "…" if len(mistake) > MAX_MESSAGE else mistake
        for mistake in mistakes[:MAX_MISTAKES]
    ]
    more = len(mistakes) - len(named)
    return "; ".join([*named, f"and {more} more"] if more else named)


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"


class Schemas(Struct):
    """The input schemas of one listing of tools."""

    # Each tool is raw and whole; its checker is None where its schema is not used.
    _tools: dict[str, Raw]
    _checkers: dict[str, Checker | None] = {}

    @classmethod
    def of(cls, tools: Iterable[Item]) -> Schemas:
        """Return the schemas of these tools."""
        return cls({item.key: item.raw for item in tools})

    def problem_in(self, tool: str, arguments: Raw | None) -> str | None:
        """Return what does not fit in the arguments of a call, with its places; None if all does.

        Args:
            tool: the name of a listed tool.
            arguments: a raw object; an absent one is empty.
        """
        if tool not in self._checkers:
            self._checkers[tool] = compile_schema(object_of(self._tools[tool]).get("inputSchema"))
        checker = self._checkers[tool]
        if checker is None:
            return None
        data = bytes(arguments or EMPTY_OBJECT)
        try:
            decoded = _decode(data)
        except (msgspec.MsgspecError, RecursionError):
            # Numbers beyond what a float holds: only the server may understand them.
            mistakes = _repeated_keys(data)
        else:
            mistakes = _repeated_keys(data) if _may_repeat_key(data, decoded) else []
            mistakes += checker.mistakes_in(decoded, data)
        return _joined(mistakes) if mistakes else None


def _may_repeat_key(data: bytes, decoded: Any) -> bool:
    """Return whether the bytes may hold a key that decoding dropped.

    Every key and string has two quotes, and every escaped quote one more. The bytes and their
    decoded copy have the same number, unless a key was dropped. A quote written as `\\u0022` spoils
    the count, so such bytes are always suspected.
    """
    if data.count(b'"') != _encode(decoded).count(b'"'):
        return True
    return b"\\" in data and b"\\u0022" in data


def _repeated_keys(data: bytes) -> list[str]:
    """Return a mistake for each key that is repeated in one object."""
    # Imported here for start-up time: hardly any call needs this.
    import json

    repeated: dict[str, None] = {}

    def note_pairs(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                repeated[key] = None
            seen.add(key)

    # Numbers stay strings: a huge one would take long to convert, and nobody reads it.
    with suppress(RecursionError):
        json.loads(data, object_pairs_hook=note_pairs, parse_int=str, parse_float=str)
    return [
        f"arguments: the key {msgspec.json.encode(printable(key)).decode()} is there twice in "
        "one object"
        for key in repeated
    ]


def compile_schema(raw: Raw | None) -> Checker | None:
    """Compile a schema; None where it is absent, too large, too complex or invalid."""
    if not raw or len(raw) > MAX_SCHEMA_BYTES:
        return None
    try:
        schema = msgspec.json.decode(raw)
        counter = _SubschemaCounter(schema)
        subschemas = counter.count(schema)
        if subschemas > MAX_STEPS:
            return None
        validator = jsonschema_rs.validator_for(
            schema,
            offline=True,
            mask="the value",
            validate_formats=False,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=MAX_PATTERN_BYTES),
        )
    except (ValueError, LookupError, TypeError, RecursionError, jsonschema_rs.ReferencingError):
        return None
    return Checker(validator, subschemas, not counter.is_recursive)


_UNSUPPORTED_REFERENCES: Final = frozenset({"$dynamicRef", "$recursiveRef"})


class _SubschemaCounter(Struct):
    """Counts subschemas as if every reference were replaced by its target.

    A few references that double become millions of subschemas, which would take long to check.
    Schemas with references that cannot be followed here raise `ValueError`.
    """

    root: Any
    is_recursive: bool = False
    _counts: dict[int, int] = {}

    def count(self, node: Any) -> int:
        if isinstance(node, list):
            return sum(map(self.count, cast("list[Any]", node)))
        if not isinstance(node, dict):
            return 0
        members = cast("dict[str, Any]", node)
        found = self._counts.get(id(members))
        if found is None:
            # 0 marks a node that is being counted: to meet it again is to have found a cycle.
            self._counts[id(members)] = 0
            found = self._counts[id(members)] = self._count_members(members)
        elif found == 0:
            self.is_recursive = True
        return found

    def _count_members(self, members: dict[str, Any]) -> int:
        if not _UNSUPPORTED_REFERENCES.isdisjoint(members) or (
            members is not self.root and isinstance(members.get("$id", members.get("id")), str)
        ):
            raise ValueError("a reference that only the library can follow")
        reference = members.get("$ref")
        target = self.count(self._target(reference)) if isinstance(reference, str) else 0
        return 1 + target + sum(map(self.count, members.values()))

    def _target(self, reference: str) -> Any:
        """Return the node at a JSON pointer `#/…` (RFC 6901); other references are not followed."""
        hash_sign, *steps = reference.split("/")
        if hash_sign != "#":
            raise ValueError("not in this schema")
        found: Any = self.root
        for step in steps:
            key = step.replace("~1", "/").replace("~0", "~")
            is_list = isinstance(found, list)
            found = found[int(key) if is_list else key]
        return found
