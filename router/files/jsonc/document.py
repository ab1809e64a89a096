"""Reads JSON with comments and trailing commas, and keeps the place of every value in the file.

Clients' files are JSON (RFC 8259) with what editors allow besides: a byte order mark, `//` and
`/* */` comments, and a comma after the last member. `edits` changes such a file in place.

Invariants:

- Offsets count bytes of the file as it is, with its byte order mark.
- Nothing is guessed: what this grammar does not know is an error with line and column. So is a
  key that an object has twice, and a number that Python cannot hold.
- A lone surrogate, written as an escape, stays in the string. Clients write them when they cut a
  text in the middle of a character. Such a string cannot be encoded as UTF-8.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from router.files.json_files import line_and_column, quote_key
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

DEPTH_LIMIT: Final = 100
"""Deepest nesting of objects and arrays. No settings come near it, and it bounds recursion."""

# The possessive quantifiers keep a string or comment without an end from being tried in all ways.
_GAP: Final = re.compile(rb"(?:[ \t\r\n]++|//[^\r\n]*+|/\*.*?\*/)*+", re.DOTALL)
_STRING_CONTENT: Final = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+')
_STRING: Final = re.compile(rb'"%b"' % _STRING_CONTENT.pattern)
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?([eE][+-]?[0-9]++)?")
_COMMA_BEHIND_THE_LAST: Final = re.compile(rb",\s*[}\]]")
_WORD: Final = re.compile(rb"[A-Za-z_$]+")
_WORDS: Final[dict[bytes, object]] = {b"true": True, b"false": False, b"null": None}


class Child(Struct, frozen=True):
    """A member of an object or an item of an array.

    Attributes:
        key: the member's key; None for an item.
        start: the offset of its first byte: the key's, or that of the item.
        colon: the offset of the colon behind the key; of an item, that of its first byte.
        node: its value.
    """

    key: str | None
    start: int
    colon: int
    node: Node

    @property
    def end(self) -> int:
        """The offset behind its last byte."""
        return self.node.end


class Node(Struct, frozen=True):
    """A value and its place.

    Attributes:
        start: the offset of its first byte.
        end: the offset behind its last byte.
        value: the value as Python has it.
        children: of an object or array, in the order of the file.
        commas: the offsets of the commas between children, and of one behind the last.
    """

    start: int
    end: int
    value: Any
    children: tuple[Child, ...] = ()
    commas: tuple[int, ...] = ()

    def child(self, key: str | int) -> Child | None:
        """Return the member with this key, or the item with this index."""
        if isinstance(key, int):
            is_there = isinstance(self.value, list) and 0 <= key < len(self.children)
            return self.children[key] if is_there else None
        return next((child for child in self.children if child.key == key), None)


class JsoncDocument(Struct, frozen=True):
    """A file that was read.

    Attributes:
        data: its bytes.
        place: its name in messages.
        root: its value; None if it holds nothing but white space and comments.
    """

    data: bytes
    place: str
    root: Node | None

    @property
    def value(self) -> Any:
        """The value of the file; an empty object if the file is empty, as editors take it."""
        return {} if self.root is None else self.root.value

    def find(self, path: Sequence[str | int]) -> Node | None:
        """Return the value at a path of keys and indices, if it is there."""
        node = self.root
        for key in path:
            child = None if node is None else node.child(key)
            if child is None:
                return None
            node = child.node
        return node

    def where(self, path: Sequence[str | int]) -> str:
        """Return line and column of the value at a path, or of the file."""
        node = self.find(path) or self.root
        return line_and_column(self.data, 0 if node is None else node.start)


def parse_jsonc(data: bytes, place: str) -> JsoncDocument:
    """Read a file.

    Args:
        data: its bytes, with a byte order mark if it has one.
        place: its name in messages.

    Raises:
        ConfigError: it is not UTF-8, not JSON with comments, is nested too deeply, has a key
            twice in one object, or holds a number that is too large. It says line and column.
    """
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as exc:
        where = line_and_column(data, exc.start)
        raise ConfigError(place, f"{where}: is not UTF-8; save it as UTF-8") from None
    return JsoncDocument(data, place, _Parser(data, place).parse())


def has_comments(data: bytes) -> bool:
    """Return whether a file may hold what JSON has not: comments, or a comma behind the last."""
    return b"//" in data or b"/*" in data or _COMMA_BEHIND_THE_LAST.search(data) is not None


class _Parser:
    """Reads one file by recursive descent; each method takes an offset and returns the next."""

    def __init__(self, data: bytes, place: str) -> None:
        self._data = data
        self._place = place

    def parse(self) -> Node | None:
        data = self._data
        start = len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
        start = self._skip_gap(start)
        if start == len(data):
            return None
        root = self._value(start, 0)
        end = self._skip_gap(root.end)
        if end < len(data):
            raise self._error(end, "something follows the end of its value")
        return root

    # --- Values --------------------------------------------------------------------------

    def _value(self, start: int, depth: int) -> Node:
        first = self._data[start : start + 1]
        if first == b"{":
            return self._object(start, depth)
        if first == b"[":
            return self._array(start, depth)
        if first == b'"':
            text, end = self._string(start)
            return Node(start, end, text)
        number = _NUMBER.match(self._data, start)
        return self._word(start) if number is None else self._number(number)

    def _object(self, start: int, depth: int) -> Node:
        children: list[Child] = []
        commas: list[int] = []
        members: dict[str, Any] = {}
        at = self._enter(start, depth)
        while self._data[at : at + 1] != b"}":
            self._expect_comma_before(at, children, commas, "}")
            child = self._member(at, depth)
            assert child.key is not None  # of a member
            if child.key in members:
                problem = f"the key {quote_key(child.key)} is there twice in one object"
                raise self._error(at, problem, syntax=False)
            members[child.key] = child.node.value
            children.append(child)
            at = self._after_child(child, commas)
        return Node(start, at + 1, members, tuple(children), tuple(commas))

    def _array(self, start: int, depth: int) -> Node:
        children: list[Child] = []
        commas: list[int] = []
        at = self._enter(start, depth)
        while self._data[at : at + 1] != b"]":
            self._expect_comma_before(at, children, commas, "]")
            child = Child(None, at, at, self._value(at, depth + 1))
            children.append(child)
            at = self._after_child(child, commas)
        values = [child.node.value for child in children]
        return Node(start, at + 1, values, tuple(children), tuple(commas))

    def _enter(self, start: int, depth: int) -> int:
        if depth >= DEPTH_LIMIT:
            problem = f"is nested too deeply; {DEPTH_LIMIT} levels are allowed"
            raise self._error(start, problem, syntax=False)
        return self._skip_gap(start + 1)

    def _member(self, start: int, depth: int) -> Child:
        if self._data[start : start + 1] != b'"':
            raise self._error(start, 'expected a key in " or }', at_end="} is missing")
        key, end = self._string(start)
        colon = self._skip_gap(end)
        if self._data[colon : colon + 1] != b":":
            raise self._error(colon, "expected : after a key")
        return Child(key, start, colon, self._value(self._skip_gap(colon + 1), depth + 1))

    def _after_child(self, child: Child, commas: list[int]) -> int:
        at = self._skip_gap(child.end)
        if self._data[at : at + 1] != b",":
            return at
        commas.append(at)
        return self._skip_gap(at + 1)

    def _expect_comma_before(
        self, at: int, children: list[Child], commas: list[int], closing: str
    ) -> None:
        if len(commas) < len(children):
            raise self._error(at, f"expected , or {closing}", at_end=f"{closing} is missing")

    # --- Scalars -------------------------------------------------------------------------

    def _string(self, start: int) -> tuple[str, int]:
        found = _STRING.match(self._data, start)
        if found is None:
            raise self._string_error(start)
        text = found[0]
        if b"\\" in text:
            return json.loads(text.decode()), found.end()
        return text[1:-1].decode(), found.end()

    def _string_error(self, start: int) -> ConfigError:
        content = _STRING_CONTENT.match(self._data, start + 1)
        at = start + 1 if content is None else content.end()
        if self._data[at : at + 1] == b"\\" and at + 1 < len(self._data):
            return self._error(at, "the string has a \\ that begins no escape of JSON")
        if at < len(self._data) and self._data[at] not in b"\r\n":
            return self._error(at, "the string holds a control character; write it as an escape")
        return self._error(start, 'the string has no closing "')

    def _number(self, found: re.Match[bytes]) -> Node:
        text = found[0].decode()
        start, end = found.span()
        if _WORD.match(self._data, end) or self._data[end : end + 1].isdigit():
            raise self._error(start, "this is no number of JSON")
        is_float = found[1] is not None or found[2] is not None
        try:
            value = float(text) if is_float else int(text)
        except ValueError:  # Python reads no number of more than 4,300 digits
            value = math.inf
        if value in (math.inf, -math.inf):
            raise self._error(start, "the number is too large", syntax=False)
        return Node(start, end, value)

    def _word(self, start: int) -> Node:
        found = _WORD.match(self._data, start)
        word = b"" if found is None else found[0]
        if word not in _WORDS:
            raise self._error(start, "expected a value")
        return Node(start, start + len(word), _WORDS[word])

    # --- Gaps and errors -----------------------------------------------------------------

    def _skip_gap(self, start: int) -> int:
        """Return the offset of the next token, behind white space and comments."""
        found = _GAP.match(self._data, start)
        end = start if found is None else found.end()
        if self._data.startswith(b"/*", end):
            raise self._error(end, "the comment has no closing */")
        return end

    def _error(
        self, offset: int, problem: str, *, syntax: bool = True, at_end: str | None = None
    ) -> ConfigError:
        if offset >= len(self._data):
            problem = f"it ends too early{f': {at_end}' if at_end else ''}"
        where = line_and_column(self._data, offset)
        return ConfigError(self._place, f"{where}: {'invalid JSON: ' if syntax else ''}{problem}")
