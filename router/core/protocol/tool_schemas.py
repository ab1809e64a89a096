"""Are the arguments of a call what the tool's own `inputSchema` asks for?

Job: compile schemas of tools, once for each listing, and check arguments. Neighbours: `instances`
keeps the `Schemas` of a session; `from_client` has calls checked. Pure.

Invariants:

- A copy is decoded to be checked: what is sent stays byte for byte what came in.
- Nothing is fetched or opened because a schema says so. Regular expressions take linear time.
- A schema that cannot be compiled, or might take long, is not checked: the server does that too.
- No message quotes a value; they may be secrets.
- Who reads the bytes reads what was checked: a key that is there twice in one object is refused,
  since another reader might take the other one.
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
"""Ten times as large as the schemas of real tools get."""

MAX_STEPS: Final = 20_000
"""Subschemas in a schema when every `$ref` is replaced by what it points to: about 1 ms."""

MAX_PATTERN_BYTES: Final = 1024 * 1024
"""Of one compiled regular expression, which bounds the time to compile it."""

MAX_MESSAGE: Final = 300
"""Characters of one message; names of keys and the options of an `enum` may be long."""

_encode: Final = msgspec.json.Encoder().encode
_REFERENCES: Final = frozenset({"$dynamicRef", "$recursiveRef"})


@attrs.frozen
class Checker:
    """A compiled schema; `tells_why` unless finding the reason might take long."""

    validator: jsonschema_rs.Validator
    tells_why: bool

    def check(self, arguments: Any) -> None:
        """Raises RpcError: -32602, with the first thing that is wrong."""
        if self.validator.is_valid(arguments):
            return
        problem = "arguments: do not match the tool's inputSchema"
        if self.tells_why:
            error = next(self.validator.iter_errors(arguments))
            place = "".join(_step(step) for step in error.instance_path)
            problem = f"arguments{place}: {error.message}"
        raise _refusal(problem)


def _refusal(problem: str) -> RpcError:
    is_long = len(problem) > MAX_MESSAGE
    return RpcError(INVALID_PARAMS, problem[:MAX_MESSAGE] + "…" if is_long else problem)


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"


@attrs.define
class Schemas:
    """The input schemas of one listing, compiled when a tool is first called."""

    _tools: dict[str, Raw]
    _checkers: dict[str, Checker | None] = attrs.field(factory=dict[str, "Checker | None"])

    @classmethod
    def of(cls, tools: Iterable[Item]) -> Schemas:
        """Of these tools as they were listed."""
        return cls({item.key: item.raw for item in tools})

    def check(self, tool: str, arguments: Raw | None) -> None:
        """Check the arguments of a call; absent ones are an empty object.

        Raises:
            RpcError: -32602, naming the place in the arguments.
        """
        if tool not in self._checkers:
            self._checkers[tool] = compiled(object_of(self._tools[tool]).get("inputSchema"))
        checker = self._checkers[tool]
        if checker is None:
            return
        raw = arguments or EMPTY_OBJECT
        try:
            given = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, RecursionError):
            _refuse_repetition(raw)
            return  # Numbers beyond what a float holds: only the server may understand them.
        if _may_repeat(raw, given):
            _refuse_repetition(raw)
        checker.check(given)


def _may_repeat(raw: Raw, given: Any) -> bool:
    """May there be keys in the bytes that are not in what was decoded from them?

    Each key and text has two quotes, and `\\"` one more: there and in the copy alike, unless
    it is written as `\\u0022`.
    """
    data = bytes(raw)
    if data.count(b'"') != _encode(given).count(b'"'):
        return True
    return b"\\" in data and b"\\u0022" in data


def _refuse_repetition(raw: Raw) -> None:
    # For start-up time: hardly any call needs this.
    import json

    def once(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                shown = msgspec.json.encode(printable(key)).decode()
                raise _refusal(f"arguments: the key {shown} is there twice in one object")
            seen.add(key)

    with suppress(RecursionError):
        json.loads(bytes(raw), object_pairs_hook=once, parse_int=str, parse_float=str)


def compiled(raw: Raw | None) -> Checker | None:
    """A schema that is ready to check; None where it is not to be checked."""
    if not raw or len(raw) > MAX_SCHEMA_BYTES:
        return None
    try:
        schema = msgspec.json.decode(raw)
        cost = _Cost(schema)
        if cost.of(schema) > MAX_STEPS:
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
    return Checker(validator, not cost.is_recursive)


@attrs.define
class _Cost:
    """Counts subschemas as if references were replaced: a few that double become millions."""

    root: Any
    is_recursive: bool = False
    _known: dict[int, int] = attrs.field(factory=dict[int, int])

    def of(self, node: Any) -> int:
        if isinstance(node, list):
            return sum(map(self.of, cast("list[Any]", node)))
        if not isinstance(node, dict):
            return 0
        members = cast("dict[str, Any]", node)
        known = self._known.get(id(members))
        if known is None:
            self._known[id(members)] = 0  # being counted: who comes by again has found a cycle
            known = self._known[id(members)] = self._counted(members)
        elif known == 0:
            self.is_recursive = True
        return known

    def _counted(self, members: dict[str, Any]) -> int:
        if not _REFERENCES.isdisjoint(members) or (
            members is not self.root and isinstance(members.get("$id", members.get("id")), str)
        ):
            raise ValueError("a reference that only the library can follow")
        reference = members.get("$ref")
        target = self.of(self._target(reference)) if isinstance(reference, str) else 0
        return 1 + target + sum(map(self.of, members.values()))

    def _target(self, reference: str) -> Any:
        """What `#/…` points to (RFC 6901); nothing else is followed."""
        hash_sign, *steps = reference.split("/")
        if hash_sign != "#":
            raise ValueError("not in this schema")
        found: Any = self.root
        for step in steps:
            key = step.replace("~1", "/").replace("~0", "~")
            is_list = isinstance(found, list)
            found = found[int(key) if is_list else key]
        return found
