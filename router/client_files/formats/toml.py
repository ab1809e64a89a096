"""Reads TOML 1.0, and adds or removes one table of a file, keeping every other byte.

`tomlkit` writes the new table. It does not write the rest of the file: it would end its lines
differently, and drop the comments behind a table together with it. So the statements of the file
are found here, a table is put behind them, and lines are taken out of them.

Invariants:

- A comment that has a line for itself is never removed.
- A new table that is removed again leaves the bytes that there were before.
- Each result is read again by `tomllib`, and must hold exactly what was asked for.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from router.files.json_files import kind_of, line_and_column, quote_key
from router.files.jsonc.document import BYTE_ORDER_MARK
from router.files.jsonc.values import (
    find_value,
    same_value_in_any_order,
    with_value,
    without_value,
)
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PLACE: Final = re.compile(r" \(at (?:(line \d+, column \d+)|end of document)\)$")
_LINE_END: Final = re.compile(rb"\r\n|\n")
_BLANK_LINE_BEFORE: Final = re.compile(rb"(?<=\n)[ \t]*\r?\n\Z")
_BLANK_OR_COMMENT: Final = re.compile(rb"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_PIECE: Final = re.compile(
    rb'"""(?:[^\\]|\\.)*?"{3,5}'
    rb"|'''.*?'{3,5}"
    rb'|"(?:[^"\\\n]|\\.)*"'
    rb"|'[^'\n]*'"
    rb"|#[^\n]*"
    rb"|[\[\]{}\n]"
    rb"""|[^"'#\[\]{}\n]+""",
    re.DOTALL,
)


class Statement(Struct, frozen=True):
    """A header or a key with its value, with the whole of its lines.

    Attributes:
        start: the offset of its first line.
        end: the offset behind its last line.
        path: the keys that lead to what it defines.
    """

    start: int
    end: int
    path: tuple[str, ...]


class TomlDocument(Struct, frozen=True):
    """A file that was read.

    Attributes:
        data: its bytes.
        place: its name in messages.
        value: the table that it is.
    """

    data: bytes
    place: str
    value: dict[str, Any]


def parse_toml(data: bytes, place: str) -> TomlDocument:
    """Read a file.

    Raises:
        ConfigError: it is not UTF-8, not TOML, or nested too deeply.
    """
    try:
        text = data.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
        return TomlDocument(data, place, tomllib.loads(text))
    except UnicodeDecodeError as exc:
        where = line_and_column(data.removeprefix(BYTE_ORDER_MARK), exc.start)
        raise ConfigError(place, f"{where}: is not UTF-8; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(place, _located(str(exc))) from None
    except RecursionError:
        raise ConfigError(place, "is nested too deeply") from None


def _located(problem: str) -> str:
    found = _PLACE.search(problem)
    reason = _PLACE.sub("", problem)
    where = f"{found[1]}: " if found is not None and found[1] else ""
    at_end = " at the end of the file" if found is not None and not found[1] else ""
    return f"{where}invalid TOML: {reason}{at_end}"


def set_table(document: TomlDocument, path: Sequence[str], table: dict[str, Any]) -> TomlDocument:
    """Return the file with a table, the last one; the same bytes if it is there already.

    Raises:
        ConfigError: the file has a value that is no table there, or defines the tables around it
            in a form that no header can add to.
    """
    _check_tables(document, path)
    found = find_value(document.value, path)
    if same_value_in_any_order(found, table):
        return document
    without = document if found is None else remove_table(document, path)
    data = _with_block(without.data, _written(path, table))
    try:
        edited = parse_toml(data, document.place)
    except ConfigError:
        raise _no_header_fits(document, path, "is written in braces") from None
    if not same_value_in_any_order(edited.value, with_value(document.value, path, table)):
        # Never seen; a file that is not ours is rather left alone than changed wrongly.
        raise ConfigError(document.place, "cannot be changed without changing something else")
    return edited


def _check_tables(document: TomlDocument, path: Sequence[str]) -> None:
    value: object = document.value
    for depth, key in enumerate(path[:-1], 1):
        value = cast("dict[str, object]", value).get(key, {})
        if not isinstance(value, dict):
            problem = f"expected a table, got {kind_of(value)}"
            raise _no_header_fits(document, path[: depth + 1], problem)


def _no_header_fits(document: TomlDocument, path: Sequence[str], problem: str) -> ConfigError:
    outer = ".".join(quote_key(key) for key in path[:-1])
    way_out = f"write it with headers, such as [{outer}.NAME]"
    return ConfigError(document.place, f"{outer}: {problem}; {way_out}")


def remove_table(document: TomlDocument, path: Sequence[str]) -> TomlDocument:
    """Return the file without a table, and those in it; the same bytes if it is not there.

    Raises:
        ConfigError: it is part of a table in braces.
    """
    if find_value(document.value, path) is None:
        return document
    data = document.data
    found = [s for s in statements(document) if s.path[: len(path)] == tuple(path)]
    for statement in reversed(found):
        data = _without_lines(data, statement.start, statement.end)
    expected = without_value(document.value, path)
    if not find_value(expected, path[:-1]):
        # A table that only the header of another table has made is gone together with that.
        emptied = without_value(document.value, path[:-1])
    else:
        emptied = expected
    try:
        edited = parse_toml(data, document.place)
    except ConfigError:
        edited = document
    if not any(same_value_in_any_order(edited.value, value) for value in (expected, emptied)):
        name = ".".join(quote_key(key) for key in path)
        raise ConfigError(document.place, f"{name} is written in braces; take it out by hand")
    return edited


# --- Statements ------------------------------------------------------------------------------


def statements(document: TomlDocument) -> Iterator[Statement]:
    """Yield the headers and keys of a file in their order."""
    data = document.data
    at = len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
    header: tuple[str, ...] = ()
    while at < len(data):
        blank = _BLANK_OR_COMMENT.match(data, at)
        if blank is not None:
            at = blank.end()
            continue
        end = _statement_end(data, at)
        text = data[at:end].decode()
        path = _path_in(text)
        if text.lstrip().startswith("["):
            header = path
            yield Statement(at, end, header)
        else:
            yield Statement(at, end, header + path)
        at = end


def _statement_end(data: bytes, at: int) -> int:
    """Return the offset behind the line with which a statement ends."""
    depth = 0
    while (found := _PIECE.match(data, at)) is not None:
        at = found.end()
        if found[0] in (b"[", b"{"):
            depth += 1
        elif found[0] in (b"]", b"}"):
            depth -= 1
        elif found[0] == b"\n" and depth == 0:
            break
    return at


def _path_in(statement: str) -> tuple[str, ...]:
    """Return the keys of a header, or those to the left of a value."""
    text = statement if statement.lstrip().startswith("[") else f"{_key_of(statement)}= 0"
    value: object = tomllib.loads(text)
    path: list[str] = []
    while value and isinstance(value, (dict, list)):
        if isinstance(value, list):  # the header is one of an array of tables
            value = cast("list[object]", value)[0]
            continue
        (key, value), *_ = cast("dict[str, object]", value).items()
        path.append(key)
    return tuple(path)


def _key_of(statement: str) -> str:
    found = re.match(r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^"'=])*""", statement)
    return statement if found is None else found[0]


# --- Writing ---------------------------------------------------------------------------------


def _written(path: Sequence[str], table: dict[str, Any]) -> str:
    """Return a table with its header, as lines that end with a line feed."""
    # For start-up time: only a change of a TOML file needs it.
    import tomlkit

    value: dict[str, Any] = table
    for key in reversed(path):
        value = {key: value}
    text = tomlkit.dumps(value)
    # Headers of tables around it may be there already, and need not be repeated.
    return text[text.index(_header(path)) :]


def _header(path: Sequence[str]) -> str:
    import tomlkit

    return f"[{'.'.join(tomlkit.key(key).as_string() for key in path)}]\n"


def _with_block(data: bytes, block: str) -> bytes:
    """Return a file with lines behind its last one, and a blank line between."""
    found = _LINE_END.search(data)
    line_end = b"\n" if found is None else found[0]
    added = line_end.join(block.encode().split(b"\n"))
    if data in (b"", BYTE_ORDER_MARK):
        return data + added
    if not data.endswith(b"\n"):
        # The last line has no end then, neither before nor afterwards.
        return data + line_end * 2 + added.removesuffix(line_end)
    return data + line_end + added


def _without_lines(data: bytes, start: int, end: int) -> bytes:
    """Return a file without some of its lines, and without one blank line before them."""
    before, removed, after = data[:start], data[start:end], data[end:]
    blank = _BLANK_LINE_BEFORE.search(before)
    if blank is not None and removed.lstrip().startswith(b"["):
        before = before[: blank.start()]
    if not after and not removed.endswith(b"\n"):
        before = before.removesuffix(b"\n").removesuffix(b"\r")
    return before + after
