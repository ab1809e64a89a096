"""Plans what `uninstall` changes in the file of a client. Nothing is written here.

A file that is as `install` left it becomes what it was before, byte for byte. Of a file that has
changed since, only what was put in is taken out, if it is still exactly as it was written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from router.client_files.formats.documents import (
    Document,
    parse_document,
    with_entry,
    without,
)
from router.client_files.installing.entries import ENTRY_NAME
from router.client_files.installing.file_writes import check_writable, read_content
from router.client_files.installing.ledger import sha256_of
from router.client_files.installing.plans import FilePlan
from router.files.json_files import quote_key
from router.files.jsonc.values import find_value, same_value_in_any_order
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.client_files.formats.documents import Format
    from router.client_files.installing.ledger import Change, Ledger, Row


def plan_uninstall(ledger: Ledger, rows: Sequence[Row]) -> FilePlan:
    """Plan to undo all changes of one file.

    Args:
        ledger: has the backups.
        rows: those of the file, in the order of time, at least one.

    Raises:
        ConfigError: the file cannot be read or written; or what was put into it has been changed
            since, and the message says what to take out.
    """
    first = rows[0]
    content = read_content(Path(first.path))
    data, file_format = content.data, cast("Format", first.format)
    made_folders: list[str] = []
    if data is not None:
        for row in reversed(rows):
            data = _before(ledger, row, data)
            if data is None:
                break
        made_folders = first.made_folders if data is None else []
    if data != content.data:
        check_writable(content)
    folders = tuple(Path(folder) for folder in made_folders)
    changes = tuple(change for row in rows for change in row.changes)
    return FilePlan(first.client, content, file_format, data, changes, folders)


def _before(ledger: Ledger, row: Row, data: bytes) -> bytes | None:
    """Return the content of a file before a change; None if there was no such file."""
    found = sha256_of(data)
    if found == row.sha256_before:
        return data  # the change did not happen, or has been undone by hand
    if found == row.sha256_after:
        if row.sha256_before is None:
            return None
        backup = ledger.read_backup(row)
        if backup is not None:
            return backup
    document = parse_document(cast("Format", row.format), data, row.path)
    taken_out = [change for change in row.changes if change.after is None]
    others = [change for change in row.changes if change.after is not None]
    # In the order of the file, since each that comes back is put behind the one before.
    for change in (*taken_out, *reversed(others)):
        document = _without_change(document, change, row.path)
    return document.data


def _without_change(document: Document, change: Change, place: str) -> Document:
    if change.is_item:
        return _without_made(_without_item(document, change), change)
    found = find_value(document.value, change.path)
    if same_value_in_any_order(found, change.after):
        if change.before is None:
            return _without_made(without(document, change.path), change)
        return with_entry(document, change.path, change.before)
    if found is None or same_value_in_any_order(found, change.before):
        return document  # it has been undone by hand
    path = ".".join(quote_key(key) for key in change.path)
    if change.path[-1] != ENTRY_NAME:
        problem = f"{path} is there again, but not as it was before --move"
        raise ConfigError(place, f"{problem}; rename it or take it out, and run this again")
    raise ConfigError(place, f"{path} was changed after it was put in; take it out by hand")


def _without_item(document: Document, change: Change) -> Document:
    items: object = find_value(document.value, change.path)
    if isinstance(items, list):
        for index, item in enumerate(cast("list[object]", items)):
            if same_value_in_any_order(item, change.after):
                return without(document, (*change.path, index))
    return document


def _without_made(document: Document, change: Change) -> Document:
    """Take out what was made around a change, as far as nothing else is in it."""
    if change.made is None:
        return document
    innermost = len(change.path) if change.is_item else len(change.path) - 1
    for depth in range(innermost, len(change.made) - 1, -1):
        around = change.path[:depth]
        if find_value(document.value, around) not in ({}, []):
            break
        document = without(document, around)
    return document
