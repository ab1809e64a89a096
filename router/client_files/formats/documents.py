"""Reads and changes a file of a client in either format, with the same functions.

A document is never changed: each function returns another one, or the same where there is nothing
to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from router.client_files.formats.toml import TomlDocument, parse_toml, remove_table, set_table
from router.files.jsonc.document import JsoncDocument, parse_jsonc
from router.files.jsonc.edits import append_item, remove, set_member

if TYPE_CHECKING:
    from collections.abc import Sequence

Document: TypeAlias = JsoncDocument | TomlDocument
Format: TypeAlias = Literal["json", "toml"]


def parse_document(file_format: Format, data: bytes, place: str) -> Document:
    """Read a file.

    Raises:
        ConfigError: it cannot be read; the message says line and column.
    """
    return parse_toml(data, place) if file_format == "toml" else parse_jsonc(data, place)


def with_entry(document: Document, path: Sequence[str], entry: dict[str, Any]) -> Document:
    """Return the file with an object, or a table of TOML, at a path of keys.

    Raises:
        ConfigError: the file has something else there that this cannot be put into.
    """
    if isinstance(document, TomlDocument):
        return set_table(document, path, entry)
    return set_member(document, path, entry)


def with_item(document: Document, path: Sequence[str], item: dict[str, Any]) -> Document:
    """Return the file with one more item in an array, which is made if it is missing. JSON only.

    Raises:
        ConfigError: the file has something else there.
    """
    return append_item(cast("JsoncDocument", document), path, item)


def without(document: Document, path: Sequence[str | int]) -> Document:
    """Return the file without what is at a path of keys, and of an index for an item.

    Raises:
        ConfigError: it cannot be taken out without changing something else.
    """
    if isinstance(document, TomlDocument):
        return remove_table(document, cast("Sequence[str]", path))
    return remove(document, path)
