"""Plans what `install` changes in the file of a client. Nothing is written here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct, field

from router.client_files.formats.documents import (
    Document,
    parse_document,
    with_entry,
    with_item,
    without,
)
from router.client_files.installing.entries import ENTRY_NAME, Entry
from router.client_files.installing.file_writes import (
    Content,
    check_writable,
    missing_folders,
    read_content,
)
from router.client_files.installing.ledger import Change
from router.files.json_files import kind_of
from router.files.jsonc.values import find_value, same_value_in_any_order
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from router.client_files.formats.documents import Format
    from router.client_files.installing.targets import Target


class FilePlan(Struct, frozen=True):
    """A change of one file that is not made yet.

    Attributes:
        client: the client's name.
        content: the file as it was read.
        format: of the file.
        after: its content afterwards; None if it is to be removed.
        changes: what is changed in it, for the ledger; of an undo, what is undone.
        made_folders: the folders to be made for it, or to be removed with it.
        notes: sentences about what the user has to do, or should know.
    """

    client: str
    content: Content
    format: Format
    after: bytes | None
    changes: tuple[Change, ...] = ()
    made_folders: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to do."""
        return self.content.data == self.after


def plan_install(target: Target, entry: Entry, moved: Collection[str] = ()) -> FilePlan:
    """Plan to put the router into a client.

    Args:
        target: the client's file.
        entry: what is put into it.
        moved: names of servers in the same table that are taken out.

    Raises:
        ConfigError: the client is not here; its file cannot be read, or not be written to.
    """
    if not target.is_here:
        problem = f"{target.client.title} seems not to be installed: there is no {target.folder}"
        raise ConfigError(target.client.name, f"{problem}; start it once, or make that folder")
    content, document, servers_at = read_target(target)
    edits = _Edits(document)
    edits.put((*servers_at, ENTRY_NAME), entry.value)
    if entry.input is not None:
        edits.put_input(entry.input)
    for name in moved:
        edits.take_out((*servers_at, name))
    after = edits.document.data if edits.changes else content.data
    if after != content.data:
        check_writable(content)
    return FilePlan(
        target.client.name,
        content,
        format_of(target),
        after,
        tuple(edits.changes),
        missing_folders(content.real_path) if content.data is None else (),
        entry.notes,
    )


def read_target(target: Target) -> tuple[Content, Document, tuple[str, ...]]:
    """Read the file of a client, and return the keys that lead to its servers as well.

    Raises:
        ConfigError: it cannot be read, or is no object.
    """
    content = read_content(target.path)
    document = parse_document(format_of(target), content.data or b"", str(target.path))
    value: object = document.value
    if not isinstance(value, dict):
        raise ConfigError(str(target.path), f"expected an object, got {kind_of(value)}")
    members = cast("dict[str, Any]", value)
    return content, document, target.servers_at(members)


def format_of(target: Target) -> Format:
    """Return the format of a client's file."""
    return target.tables[0].format


def _no_changes() -> list[Change]:
    return []


class _Edits(Struct):
    """Changes a document step by step, and notes each change."""

    document: Document
    changes: list[Change] = field(default_factory=_no_changes)

    def put(self, path: Sequence[str], value: dict[str, Any]) -> None:
        before = find_value(self.document.value, path)
        if same_value_in_any_order(before, value):
            return
        made = self._missing(path[:-1])
        self.document = with_entry(self.document, path, value)
        self.changes.append(Change(list(path), before, value, made=made))

    def put_input(self, row: dict[str, Any]) -> None:
        inputs: object = find_value(self.document.value, ("inputs",))
        for item in cast("list[object]", inputs) if isinstance(inputs, list) else []:
            if isinstance(item, dict) and cast("dict[str, Any]", item).get("id") == row["id"]:
                return
        made = self._missing(("inputs",))
        self.document = with_item(self.document, ("inputs",), row)
        self.changes.append(Change(["inputs"], None, row, is_item=True, made=made))

    def take_out(self, path: Sequence[str]) -> None:
        before = find_value(self.document.value, path)
        if before is not None:
            self.document = without(self.document, path)
            self.changes.append(Change(list(path), before, None))

    def _missing(self, path: Sequence[str]) -> list[str] | None:
        """Return the keys to the outermost object on a path that is not there."""
        members: object = self.document.value
        for depth, key in enumerate(path, 1):
            members = find_value(members, (key,))
            if members is None:
                return list(path[:depth])
        return None
