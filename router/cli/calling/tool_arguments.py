"""Makes the arguments of a call from words such as `a=1`, by the tool's own `inputSchema`.

- `key=value` is read as the type that the schema gives: an integer, a number, true or false, null,
  an array or object as JSON. A string stays as it is. A key that is repeated makes an array.
- `key:=JSON` is taken as JSON, whatever the schema says.
- `key=@file` is the text of a file; `key=@@x` is the text `@x`.

Invariants: nothing is sent unless all of it fits; each mistake names its key, and no value.
"""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import msgspec

from router.core.text.nearest_names import did_you_mean
from router.logs.record_text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Schema = dict[str, Any]

_WORD: Final = re.compile(r"(.+?)(:=|=)(.*)", re.DOTALL)
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_MAX_STEPS: Final = 32
"""Of references in a schema that are followed, one after the other."""

ANYTHING: Final[Schema] = {}


@attrs.frozen
class UnfitArguments(Exception):
    """The arguments cannot be sent; `problems` are sentences, one for each mistake."""

    problems: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.problems)


class _Unfit(Exception):
    """One value does not fit; the text says what is expected."""


def read_arguments(
    words: Sequence[str], schema: Schema | None, given: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the arguments of a call.

    Args:
        words: `key=value`, `key:=JSON` or `key=@file`.
        schema: the tool's `inputSchema`; None if it is not known, so that all values are texts.
        given: further arguments, taken as they are; the words win a key.

    Raises:
        UnfitArguments: a word, a key or a value does not fit, or a key is missing.
    """
    problems: list[str] = []
    texts: dict[str, list[str]] = {}
    raws: dict[str, str] = {}
    for word in words:
        found = _WORD.fullmatch(word)
        if not _is_text(word):
            problems.append(f"{one_line(word)}: is not UTF-8 text")
        elif found is None:
            problems.append(f"{one_line(word)}: expected key=value, key:=JSON or key=@file")
        elif found[2] == ":=":
            raws[found[1]] = found[3]
        else:
            texts.setdefault(found[1], []).append(found[3])
    resolver = _Resolver(schema or ANYTHING)
    properties, values = resolver.properties, dict(given or {})
    for key in dict.fromkeys((*texts, *raws)):
        if key not in properties and not resolver.takes_others:
            problems.append(f"{one_line(key)}: there is no such argument{_like(key, properties)}")
        elif key in raws:
            _keep(problems, key, partial(_json, raws[key]), values)
        else:
            wanted = {"type": "string"} if schema is None else properties.get(key, ANYTHING)
            _keep(problems, key, partial(resolver.value, texts[key], wanted), values)
    missing = [key for key in resolver.required if key not in (*values, *texts, *raws)]
    problems += [f"{one_line(key)}: is missing{_hint(properties.get(key))}" for key in missing]
    if problems:
        raise UnfitArguments(tuple(problems))
    return values


def _keep(problems: list[str], key: str, read: Callable[[], Any], values: dict[str, Any]) -> None:
    try:
        values[key] = read()
    except _Unfit as exc:
        problems.append(f"{one_line(key)}: {exc}")


def _like(key: str, names: dict[str, Schema]) -> str:
    return did_you_mean(key, names) or "; the tool takes none"


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:  # bytes of the command line that no JSON can hold
        return False
    return True


def _hint(schema: Any) -> str:
    about = cast("Schema", schema).get("description") if isinstance(schema, dict) else None
    return f" ({one_line(about)[:80]})" if isinstance(about, str) and about else ""


def types_of(schema: Schema) -> tuple[str, ...]:
    """Return the types that a schema names; none if it takes any value."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return (kind,)
    if isinstance(kind, list):
        return tuple(one for one in cast("list[Any]", kind) if isinstance(one, str))
    if "const" in schema or "enum" in schema:
        options = cast("list[Any]", schema.get("enum", [schema.get("const")]))
        return tuple(dict.fromkeys(_type_of(one) for one in options))
    return ()


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return names.get(cast("type[Any]", type(value)), "null")


class _Resolver:
    """Reads values by the parts of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._root = schema
        whole = self.resolved(schema)
        found = whole.get("properties")
        self.properties: dict[str, Any] = found if isinstance(found, dict) else {}
        required = whole.get("required")
        names = cast("list[Any]", required) if isinstance(required, list) else []
        self.required = [name for name in names if isinstance(name, str)]
        # Where a schema says nothing of others, a misspelled key would be ignored by most servers.
        others = whole.get("additionalProperties")
        self.takes_others = (
            bool(others) or "patternProperties" in whole or (others is None and not self.properties)
        )

    def resolved(self, schema: Any) -> Schema:
        """Return a schema with its own `$ref` followed."""
        for _ in range(_MAX_STEPS):
            if not isinstance(schema, dict):
                return ANYTHING
            known = cast("Schema", schema)
            reference = known.get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#/"):
                return known
            schema = self._target(reference)
        return ANYTHING

    def _target(self, reference: str) -> Any:
        found: Any = self._root
        for step in reference[2:].split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            found = cast("Schema", found).get(key) if isinstance(found, dict) else None
        return found

    def options(self, schema: Any) -> list[Schema]:
        """Return the schemas of which a value has to fit one; each is looked at once."""
        pending, seen, found = [schema], set[int](), list[Schema]()
        while pending:
            known = self.resolved(pending.pop())
            if id(known) in seen:
                continue  # a schema may refer to itself
            seen.add(id(known))
            parts = self._parts(known)
            if parts is None:
                kinds = types_of(known)
                found += [known | {"type": kind} for kind in kinds] if len(kinds) > 1 else [known]
            else:
                pending += reversed(parts)
        return found or [ANYTHING]

    def _parts(self, schema: Schema) -> list[Any] | None:
        """Return the schemas that say the type in place of this one; None if it does so itself."""
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list):
                return schema[key]
        parts = schema.get("allOf")
        if not isinstance(parts, list) or types_of(schema):
            return None
        those = cast("list[Any]", parts)
        return [part for part in those if types_of(self.resolved(part))][:1] or those[:1]

    def value(self, texts: list[str], schema: Any) -> Any:
        """Return the value that these texts are for a schema; several make an array.

        Raises:
            _Unfit: they are none.
        """
        texts = [_content(text) for text in texts]
        options = self.options(schema)
        arrays = [one for one in options if types_of(one) == ("array",)]
        if len(texts) > 1:
            if not arrays and any(types_of(one) for one in options):
                raise _Unfit("is given more than once, and takes one value")
            items = arrays[0].get("items", ANYTHING) if arrays else ANYTHING
            return [self._one(text, self.options(items)) for text in texts]
        (text,) = texts
        if arrays and not text.lstrip().startswith("["):
            others = [one for one in options if one not in arrays]
            if not others or types_of(others[0]) == ("null",):
                return [self._one(text, self.options(arrays[0].get("items", ANYTHING)))]
        return self._one(text, options)

    def _one(self, text: str, options: list[Schema]) -> Any:
        # Strings take any text, so every other type is tried before.
        ordered = sorted(options, key=lambda one: "string" in types_of(one))
        is_text_taken = any("string" in types_of(one) for one in ordered)
        problems: list[str] = []
        for option in ordered:
            if is_text_taken and types_of(option) == ("null",):
                continue  # null would be a text here: `key:=null` says what is meant
            try:
                return _converted(text, option)
            except _Unfit as exc:
                problems.append(str(exc))
        raise _Unfit("; or ".join(dict.fromkeys(problems)))


def _content(text: str) -> str:
    """Return a value as it is, or the content of the file that it names."""
    if text.startswith("@@"):
        return text[1:]
    if not text.startswith("@"):
        return text
    path = Path(text[1:]).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or "it is no UTF-8 text"
        raise _Unfit(
            f"{one_line(str(path))} cannot be read: {why}; for a text that begins with @, write @@"
        ) from None


def _converted(text: str, schema: Schema) -> Any:
    kinds = types_of(schema)
    kind = kinds[0] if kinds else ""
    value = _READ[kind](text) if kind in _READ else text
    options = cast("list[Any]", schema.get("enum", []))
    if "const" in schema:
        options = [schema["const"]]
    if options and value not in options:
        named = [one if isinstance(one, str) else str(_encoded(one)) for one in options]
        raise _Unfit(
            f"expected one of {', '.join(map(one_line, named))}{did_you_mean(text, named)}"
        )
    return value


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode("utf-8", "surrogateescape"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise _Unfit("what follows := is not JSON; a text needs its quotes") from None


def _integer(text: str) -> int:
    if _INTEGER.fullmatch(text.strip()) is None or len(text) > 300:
        raise _Unfit("expected an integer")
    return int(text)


def _number(text: str) -> int | float:
    if _INTEGER.fullmatch(text.strip()) is not None and len(text) <= 300:
        return int(text)
    try:
        value = float(text)
    except ValueError:
        raise _Unfit("expected a number") from None
    # JSON has no others, and Python reads more than JSON: 1_000, and digits of other scripts.
    if not math.isfinite(value) or "_" in text or not text.isascii():
        raise _Unfit("expected a number")
    return value


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    raise _Unfit("expected true or false")


def _null(text: str) -> None:
    if text not in ("null", ""):
        raise _Unfit("expected null")


def _array(text: str) -> Any:
    return _json_of(text, list, "expected an array, as JSON or by repeating the key")


def _object(text: str) -> Any:
    return _json_of(text, dict, "expected an object as JSON")


def _json_of(text: str, kind: type[Any], problem: str) -> Any:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise _Unfit(problem) from None
    if not isinstance(value, kind):
        raise _Unfit(problem)
    return value


def _anything(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


_READ: Final[dict[str, Callable[[str], Any]]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": _null,
    "array": _array,
    "object": _object,
    "": _anything,
}
"""Type -> what reads a text as it; a string is the text itself."""
