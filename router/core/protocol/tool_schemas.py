"""Checks the arguments of a call against the tool's own `inputSchema`.

A schema is compiled when its tool is first called after a listing.

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

import attrs
import jsonschema_rs
import msgspec

from router.core.protocol.raw_json import EMPTY_OBJECT, object_of, printable
from router.messages.errors import INVALID_PARAMS, RpcError

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

MAX_MESSAGE: Final = 300
"""Characters of one message; the names of keys and the options of an `enum` may be long."""

_encode: Final = msgspec.json.Encoder().encode


@attrs.frozen
class Checker:
    """A compiled schema.

    Attributes:
        validator: the compiled schema itself.
        finds_reason: False for a recursive schema: to find the reason might take long.
    """

    validator: jsonschema_rs.Validator
    finds_reason: bool

    def check(self, arguments: Any) -> None:
        """Check decoded arguments.

        Raises:
            RpcError: -32602, with the first mistake and its place if the reason is found.
        """
        if self.validator.is_valid(arguments):
            return
        problem = "arguments: do not match the tool's inputSchema"
        if self.finds_reason:
            error = next(self.validator.iter_errors(arguments))
            place = "".join(_step(step) for step in error.instance_path)
            problem = f"arguments{place}: {error.message}"
        raise _arguments_error(problem)


def _arguments_error(problem: str) -> RpcError:
    is_long = len(problem) > MAX_MESSAGE
    return RpcError(INVALID_PARAMS, problem[:MAX_MESSAGE] + "…" if is_long else problem)


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"


@attrs.define
class Schemas:
    """The input schemas of one listing of tools."""

    # Each tool is raw and whole; its checker is None where its schema is not used.
    _tools: dict[str, Raw]
    _checkers: dict[str, Checker | None] = attrs.field(factory=dict[str, "Checker | None"])

    @classmethod
    def of(cls, tools: Iterable[Item]) -> Schemas:
        """Return the schemas of these tools."""
        return cls({item.key: item.raw for item in tools})

    def check(self, tool: str, arguments: Raw | None) -> None:
        """Check the arguments of a call; absent ones are an empty object.

        Raises:
            RpcError: -32602, with the place in the arguments.
        """
        if tool not in self._checkers:
            self._checkers[tool] = compile_schema(object_of(self._tools[tool]).get("inputSchema"))
        checker = self._checkers[tool]
        if checker is None:
            return
        raw = arguments or EMPTY_OBJECT
        try:
            decoded = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, RecursionError):
            _refuse_repeated_key(raw)
            return  # Numbers beyond what a float holds: only the server may understand them.
        if _may_repeat_key(raw, decoded):
            _refuse_repeated_key(raw)
        checker.check(decoded)


def _may_repeat_key(raw: Raw, decoded: Any) -> bool:
    """Return whether the bytes may hold a key that decoding dropped.

    Every key and string has two quotes, and every escaped quote one more. The bytes and their
    decoded copy have the same number, unless a key was dropped. A quote written as `\\u0022` spoils
    the count, so such bytes are always suspected.
    """
    data = bytes(raw)
    if data.count(b'"') != _encode(decoded).count(b'"'):
        return True
    return b"\\" in data and b"\\u0022" in data


def _refuse_repeated_key(raw: Raw) -> None:
    # Imported here for start-up time: hardly any call needs this.
    import json

    def check_pairs(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                shown = msgspec.json.encode(printable(key)).decode()
                raise _arguments_error(f"arguments: the key {shown} is there twice in one object")
            seen.add(key)

    # Numbers stay strings: a huge one would take long to convert, and nobody reads it.
    with suppress(RecursionError):
        json.loads(bytes(raw), object_pairs_hook=check_pairs, parse_int=str, parse_float=str)


def compile_schema(raw: Raw | None) -> Checker | None:
    """Compile a schema; None where it is absent, too large, too complex or invalid."""
    if not raw or len(raw) > MAX_SCHEMA_BYTES:
        return None
    try:
        schema = msgspec.json.decode(raw)
        counter = _SubschemaCounter(schema)
        if counter.count(schema) > MAX_STEPS:
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
    return Checker(validator, not counter.is_recursive)


_UNSUPPORTED_REFERENCES: Final = frozenset({"$dynamicRef", "$recursiveRef"})


@attrs.define
class _SubschemaCounter:
    """Counts subschemas as if every reference were replaced by its target.

    A few references that double become millions of subschemas, which would take long to check.
    Schemas with references that cannot be followed here raise `ValueError`.
    """

    root: Any
    is_recursive: bool = False
    _counts: dict[int, int] = attrs.field(factory=dict[int, int])

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
