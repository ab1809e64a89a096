"""Changes one value of a file of JSON with comments, and keeps every other byte.

What is new is written like what is beside it: its indentation, its line ends, one line or many,
and a comma behind the last member if there was one.

Invariants:

- Comments stay, also those inside an object of which a member is removed.
- A new member that is removed again leaves the bytes that there were before. Only an object or
  array that held nothing but white space comes back as `{}` or `[]`.
- Each result is read again, and must hold exactly the value that was asked for.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from router.files.json_files import kind_of, quote_key
from router.files.jsonc.document import Child, JsoncDocument, Node, parse_jsonc
from router.files.jsonc.values import same_value, with_value, without_value
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPACE: Final = b" \t\r\n"
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_COMMENT: Final = re.compile(rb"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_COMMENT_ON_LINE: Final = re.compile(rb"[ \t]*(?://[^\r\n]*|/\*.*?\*/)", re.DOTALL)
_REST_OF_LINE_IS_EMPTY: Final = re.compile(rb"[ \t]*(?:[\r\n]|\Z)")
_BLANKS: Final = re.compile(rb"[ \t]*")
_DEFAULT_INDENT: Final = b"  "


def set_member(document: JsoncDocument, path: Sequence[str], value: Any) -> JsoncDocument:
    """Return the file with another value at a path of keys; the same bytes if it is there already.

    Objects on the way that are missing are made. A new member is the last of its object.

    Raises:
        ConfigError: something on the way is no object, or the result cannot be read again.
    """
    parent, missing = _walk(document, path)
    child = None if parent is None else parent.child(path[-1] if not missing else missing[0])
    if parent is None:
        data = _with_root(document.data, _nested(missing, value))
    elif child is None:
        data = _inserted(document, parent, missing[0], _nested(missing[1:], value))
    elif same_value(child.node.value, value):
        return document
    else:
        data = _replaced(document, parent, child, value)
    return _checked(document, data, with_value(document.value, path, value))


def append_item(document: JsoncDocument, path: Sequence[str], value: Any) -> JsoncDocument:
    """Return the file with one more item in the array at a path, which is made if it is missing.

    Raises:
        ConfigError: as `set_member`; or there is something else than an array.
    """
    found = document.find(path)
    if found is None:
        return set_member(document, path, [value])
    value_there: object = found.value
    if not isinstance(value_there, list):
        raise _unexpected(document, path, "an array", value_there)
    items = cast("list[Any]", value_there)
    data = _inserted(document, found, None, value)
    return _checked(document, data, with_value(document.value, path, [*items, value]))


def remove(document: JsoncDocument, path: Sequence[str | int]) -> JsoncDocument:
    """Return the file without the member or item at a path; the same bytes if it is not there.

    Raises:
        ConfigError: the result cannot be read again.
    """
    parent = document.find(path[:-1])
    child = None if parent is None else parent.child(path[-1])
    if parent is None or child is None:
        return document
    data = _removed(document.data, parent, parent.children.index(child))
    return _checked(document, data, without_value(document.value, path))


# --- Finding the place -----------------------------------------------------------------------


def _walk(document: JsoncDocument, path: Sequence[str]) -> tuple[Node | None, Sequence[str]]:
    """Return the deepest object on a path, and the keys that are missing in it."""
    node = document.root
    for depth, key in enumerate(path):
        if node is not None and not isinstance(node.value, dict):
            raise _unexpected(document, path[:depth], "an object", node.value)
        child = None if node is None else node.child(key)
        if child is None:
            return node, path[depth:]
        if depth == len(path) - 1:
            return node, ()
        node = child.node
    raise AssertionError("a path has at least one key")


def _nested(keys: Sequence[str], value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


def _unexpected(
    document: JsoncDocument, path: Sequence[str], expected: str, value: object
) -> ConfigError:
    at = f"{'.'.join(quote_key(key) for key in path)}: " if path else ""
    problem = f"{document.where(path)}: {at}expected {expected}, got {kind_of(value)}"
    return ConfigError(document.place, problem)


def _checked(document: JsoncDocument, data: bytes, expected: Any) -> JsoncDocument:
    edited = parse_jsonc(data, document.place)
    if not same_value(edited.value, expected):
        # Never seen; a file that is not ours is rather left alone than changed wrongly.
        raise ConfigError(document.place, "cannot be changed without changing something else")
    return edited


# --- Layout ----------------------------------------------------------------------------------


class _Layout(Struct, frozen=True):
    """The way in which one object or array is written.

    Attributes:
        line_end: what ends its lines; empty if all is on one line.
        indent: of its members' lines.
        unit: by how much deeper objects are indented.
        colon: what stands between a key and its value.
        gap: what stands behind a comma on one line.
    """

    line_end: bytes
    indent: bytes
    unit: bytes
    colon: bytes
    gap: bytes

    def written(self, key: str | None, value: Any) -> bytes:
        """Return a member or item as it is to be written."""
        text = _encoded(value, self)
        return text if key is None else _encoded(key, self) + self.colon + text


def _encoded(value: Any, layout: _Layout) -> bytes:
    separators = ("," + layout.gap.decode(), layout.colon.decode())
    indent = None
    if layout.line_end:
        separators, indent = (",", separators[1]), layout.unit.decode()
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )
    # A lone surrogate becomes the escape of JSON that stands for it.
    lines = text.encode("utf-8", "backslashreplace").split(b"\n")
    return (layout.line_end + layout.indent).join(lines)


def _layout_in(document: JsoncDocument, container: Node) -> _Layout:
    """Return the layout of new members of an object or array."""
    data = document.data
    root = container if document.root is None else document.root
    unit, colon = _unit_of(data, root), _colon_of(data, container, root)
    sample = _last_on_own_line(data, container)
    if sample is not None:
        line_end, indent = _line_end_before(data, sample.start), _indent_of(data, sample.start)
    elif not container.children and (_is_tall(data, root) or b"//" in _inside(data, container)):
        line_end = _line_end_before(data, container.start)
        indent = _indent_of(data, container.start) + unit
    else:
        line_end = indent = b""
    return _Layout(line_end, indent, unit, colon, _gap_of(data, container, colon))


def _inside(data: bytes, container: Node) -> bytes:
    return data[container.start + 1 : container.end - 1]


def _is_tall(data: bytes, root: Node) -> bool:
    """Return whether new objects of the file take several lines."""
    return not root.children or _last_on_own_line(data, root) is not None


def _last_on_own_line(data: bytes, container: Node) -> Child | None:
    return next((c for c in reversed(container.children) if _begins_line(data, c.start)), None)


def _line_start(data: bytes, offset: int) -> int:
    return max(data.rfind(b"\n", 0, offset), data.rfind(b"\r", 0, offset)) + 1


def _begins_line(data: bytes, offset: int) -> bool:
    return not data[_line_start(data, offset) : offset].strip(b" \t")


def _indent_of(data: bytes, offset: int) -> bytes:
    """Return the white space at the beginning of a line."""
    found = _BLANKS.match(data, _line_start(data, offset))
    return b"" if found is None else found[0]


def _line_end_before(data: bytes, offset: int) -> bytes:
    """Return the line end before an offset; without one, the first of the file."""
    start = _line_start(data, offset)
    if start:
        return b"\r\n" if data[start - 2 : start] == b"\r\n" else data[start - 1 : start]
    found = _LINE_END.search(data)
    return b"\n" if found is None else found[0]


def _unit_of(data: bytes, node: Node) -> bytes:
    """Return by how much the first indented line of a value is deeper than its opening line."""
    waiting = [node]
    while waiting:
        container = waiting.pop(0)
        sample = _last_on_own_line(data, container)
        if sample is not None:
            outer, inner = _indent_of(data, container.start), _indent_of(data, sample.start)
            if inner.startswith(outer) and len(inner) > len(outer):
                return inner[len(outer) :]
        waiting += [child.node for child in container.children if child.node.children]
    return _DEFAULT_INDENT


def _colon_of(data: bytes, *containers: Node) -> bytes:
    """Return a colon like the first one in these objects, with or without a space behind it."""
    for child in (child for node in containers for child in node.children[:1]):
        if child.key is not None:
            has_space = data[child.colon + 1 : child.colon + 2] in (b" ", b"\t")
            return b": " if has_space else b":"
    return b": "


def _gap_of(data: bytes, container: Node, colon: bytes) -> bytes:
    """Return what stands behind a comma on one line."""
    if container.commas and len(container.children) > 1:
        gap = data[container.commas[0] + 1 : container.children[1].start]
        return b" " if gap[:1] in (b" ", b"\t") else b""
    return b" " if colon == b": " else b""


# --- Writing ---------------------------------------------------------------------------------


def _with_root(data: bytes, value: Any) -> bytes:
    """Return a file that held nothing but comments, with a value behind them."""
    line_end = _line_end_before(data, 0)
    layout = _Layout(line_end, b"", _DEFAULT_INDENT, b": ", b" ")
    on_new_line = b"" if _begins_root_line(data) else line_end
    return data + on_new_line + _encoded(value, layout) + line_end


def _begins_root_line(data: bytes) -> bool:
    return _begins_line(data.removeprefix(b"\xef\xbb\xbf"), len(data))


def _replaced(document: JsoncDocument, parent: Node, child: Child, value: Any) -> bytes:
    data, root = document.data, document.root or parent
    colon = _colon_of(data, parent)
    line_end = indent = b""
    if _begins_line(data, child.start):
        line_end, indent = _line_end_before(data, child.start), _indent_of(data, child.start)
    layout = _Layout(line_end, indent, _unit_of(data, root), colon, _gap_of(data, parent, colon))
    return data[: child.node.start] + _encoded(value, layout) + data[child.node.end :]


def _inserted(document: JsoncDocument, container: Node, key: str | None, value: Any) -> bytes:
    data = document.data
    layout = _layout_in(document, container)
    text = layout.written(key, value)
    if not container.children:
        return _inserted_first(data, container, layout, text)
    last = container.children[-1]
    has_last_comma = len(container.commas) == len(container.children)
    behind = container.commas[-1] + 1 if has_last_comma else last.end
    if layout.line_end:
        behind_comments = _end_of_comments_on_line(data, behind)
        text = layout.line_end + layout.indent + text
    else:
        behind_comments = behind
        text = layout.gap + text
    if has_last_comma:
        return data[:behind_comments] + text + b"," + data[behind_comments:]
    return data[:behind] + b"," + data[behind:behind_comments] + text + data[behind_comments:]


def _inserted_first(data: bytes, container: Node, layout: _Layout, text: bytes) -> bytes:
    inside = _inside(data, container)
    head, tail = data[: container.start + 1], data[container.end - 1 :]
    comments = inside.rstrip(_SPACE)
    if comments:
        own_line = layout.line_end + layout.indent
        return head + comments + own_line + text + inside[len(comments) :] + tail
    if not layout.line_end:
        return head + text + tail
    closing = layout.line_end + _indent_of(data, container.start)
    return head + layout.line_end + layout.indent + text + closing + tail


def _end_of_comments_on_line(data: bytes, offset: int) -> int:
    while found := _COMMENT_ON_LINE.match(data, offset):
        offset = found.end()
    return offset


# --- Removing --------------------------------------------------------------------------------


def _removed(data: bytes, container: Node, index: int) -> bytes:
    if len(container.children) == 1 and not _has_comments(data, container):
        return data[: container.start + 1] + data[container.end - 1 :]
    child, commas = container.children[index], container.commas
    before = container.start + 1 if index == 0 else commas[index - 1] + 1
    between = data[before : child.start]
    begin = before + len(between.rstrip(_SPACE))
    cuts = [(begin, child.end)]
    behind = child.end
    if index < len(commas):
        cuts.append((commas[index], commas[index] + 1))
        behind = commas[index] + 1
    elif index > 0:
        cuts.append((commas[index - 1], commas[index - 1] + 1))
    if _needs_its_line(data, before, begin, child, behind):
        blanks = _BLANKS.match(data, behind)
        cuts[0] = (child.start, child.end)
        cuts.append((behind, behind if blanks is None else blanks.end()))
    for start, end in sorted(cuts, reverse=True):
        data = data[:start] + data[end:]
    return data


def _needs_its_line(data: bytes, before: int, begin: int, child: Child, behind: int) -> bool:
    """Return whether the line break before a removed child has to stay.

    It ends a `//` comment, or the child shares its line with a comment of its own.
    """
    if not _LINE_END.search(data, begin, child.start):
        return False
    has_comment_before_comma = bool(data[child.end : behind].strip(_SPACE + b","))
    if has_comment_before_comma or _COMMENT_ON_LINE.match(data, behind):
        return True
    comments = [found[0] for found in _COMMENT.finditer(data, before, begin)]
    ends_comment = bool(comments) and comments[-1].startswith(b"//")
    return ends_comment and not _REST_OF_LINE_IS_EMPTY.match(data, behind)


def _has_comments(data: bytes, container: Node) -> bool:
    child = container.children[0]
    outside = data[container.start + 1 : child.start] + data[child.end : container.end - 1]
    return bool(outside.strip(_SPACE + b","))
