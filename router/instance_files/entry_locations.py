"""Where the entries of instances stand in `data/`, and files with an entry more, less or other.

Job: find the entry of an instance by its name, and make the new content of its file. Neighbours:
`changes` above, which decides and writes; `store` and `entries` (what there is), `folders` below.

Invariants: nothing here writes. Siblings, unknown keys and the order of keys stay; the bytes of
values that are not touched stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs
import msgspec
from msgspec import Raw

from router.files.json_files import decode_members, decode_object, read_bytes, read_in
from router.files.names import INSTANCE_FILE_NAME, is_name
from router.instance_files.entries import read_entry
from router.instance_files.reader import (
    FILE_LIMIT_BYTES,
    entries_in,
    folders_in,
    source_of,
)
from router.instance_files.variables import Expander
from router.messages.commands import OUTER_KEYS
from router.messages.errors import INSTANCE_NOT_FOUND, ConfigError, RpcError
from router.messages.instance_spec import InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from router.files.safe_folder import Folder


@attrs.frozen
class Slot:
    """The place of an entry in a file: `outer` is None in the flat form."""

    name: str
    outer: str | None
    key: str
    path: str


@attrs.frozen
class Data:
    """`data/`, locked."""

    path: Path
    folder: Folder

    def providers(self) -> list[str]:
        return folders_in(self.path)

    def source(self, provider: str) -> str:
        return source_of(self.path, provider)

    def names(self) -> dict[str, str]:
        """All instances and the files they stand in."""
        found: dict[str, str] = {}
        for provider in self.providers():
            for slot in self.slots_of(provider):
                found.setdefault(slot.name, self.source(provider))
        return found

    def provider_of(self, name: str) -> str:
        """The folder an instance stands in: the first one, as for `store`.

        Raises:
            RpcError: -32010, there is none.
        """
        broken: list[ConfigError] = []
        for provider in self.providers():
            if any(slot.name == name for slot in self.slots_of(provider, broken)):
                return provider
        # One whose file has become invalid goes on as it was, but cannot be changed.
        hint = f" (unless in {broken[0]})" if broken else ""
        raise RpcError(INSTANCE_NOT_FOUND, f"Instance not found: {name}{hint}")

    def slots_of(self, provider: str, broken: list[ConfigError] | None = None) -> Iterator[Slot]:
        source = self.source(provider)
        try:
            data = read_bytes(self.path / provider / INSTANCE_FILE_NAME, source, FILE_LIMIT_BYTES)
            yield from _slots(decode_object(data, source), source, provider)
        except FileNotFoundError:
            return
        except ConfigError as exc:
            if broken is not None:
                broken.append(exc)


def _slots(members: Mapping[str, Any], source: str, provider: str) -> Iterator[Slot]:
    """The entries that can be named."""
    for where, entry in entries_in(members, source, provider):
        if not isinstance(entry, dict):
            continue
        read = read_entry(cast("dict[str, Any]", entry), where, Expander(None))
        if isinstance(read, InstanceSpec):
            outer = where.path.partition(".")[0] or None
            yield Slot(read.name, outer, where.name, where.path)


@attrs.frozen
class File:
    """A provider's file, opened to change it.

    Attributes:
        members: of the whole file, as they are written.
    """

    source: str
    provider: str
    members: dict[str, Raw]

    @classmethod
    def open(cls, folder: Folder, source: str, provider: str) -> File:
        data = read_in(folder, INSTANCE_FILE_NAME, source, FILE_LIMIT_BYTES)
        return cls(source, provider, decode_members(data, source))

    def slot(self, name: str) -> Slot:
        values = {key: msgspec.json.decode(raw) for key, raw in self.members.items()}
        for slot in _slots(values, self.source, self.provider):
            if slot.name == name:
                return slot
        raise RpcError(INSTANCE_NOT_FOUND, f"Instance not found: {name}")

    def table(self, outer: str) -> dict[str, Raw]:
        return decode_members(bytes(self.members[outer]), f"{self.source}: {outer}")

    def entry(self, slot: Slot) -> dict[str, Raw]:
        if slot.outer is None:
            return self.members
        place = f"{self.source}: {slot.path}"
        return decode_members(bytes(self.table(slot.outer)[slot.key]), place)

    def with_entry(self, slot: Slot, entry: Mapping[str, Raw]) -> dict[str, Any]:
        if slot.outer is None:
            return dict(entry)
        return {**self.members, slot.outer: {**self.table(slot.outer), slot.key: entry}}

    def with_new(self, name: str, entry: Mapping[str, Raw]) -> dict[str, Any]:
        """With one entry more; the flat form is wrapped, whole, to make room for it."""
        outer = next((key for key in OUTER_KEYS if key in self.members), None)
        if outer is not None:
            table = self.table(outer)
            return {**self.members, outer: {**table, _free_key(name, table): entry}}
        first = self._flat_name()
        return {OUTER_KEYS[0]: {first: self.members, _free_key(name, [first]): entry}}

    def without(self, slot: Slot) -> dict[str, Any] | None:
        """Without an entry; None when it was the last."""
        if slot.outer is None:
            return None
        table = {key: raw for key, raw in self.table(slot.outer).items() if key != slot.key}
        outers = [key for key in OUTER_KEYS if key in self.members and key != slot.outer]
        if not table and not any(self.table(outer) for outer in outers):
            return None
        return {**self.members, slot.outer: table}

    def _flat_name(self) -> str:
        name = msgspec.json.decode(self.members.get("name", Raw(b"null")))
        return name if is_name(name) else self.provider


def _free_key(name: str, taken: Iterable[str]) -> str:
    """The key for an entry: its name, unless a sibling that is called otherwise has that key."""
    key, number = name, 2
    while key in taken:
        key, number = f"{name}-{number}", number + 1
    return key
