"""Finds the entry of an instance in `data/`, and makes the new content of its file.

Invariants: nothing here writes. Siblings, unknown keys and the order of keys stay; the bytes of
values that are not touched stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from router.files.json_files import decode_members, decode_object, read_bytes, read_bytes_in
from router.files.names import INSTANCE_FILE_NAME, is_name
from router.instance_files.reader import FILE_LIMIT_BYTES, folders_in, read_entries, source_of
from router.messages.commands import OUTER_KEYS
from router.messages.errors import INSTANCE_NOT_FOUND, ConfigError, RpcError
from router.messages.instances.instance_spec import InstanceSpec
from router.references.expander import Expander

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from router.files.safe_folder import SafeFolder


class NamedEntry(Struct, frozen=True):
    """An entry with the name of its instance.

    Attributes:
        name: of the instance.
        outer_key: `mcpServers` or `servers`; None in the flat form.
        key: of the entry under the outer key.
        path: of the entry in the file, for messages.
    """

    name: str
    outer_key: str | None
    key: str
    path: str


class DataFolder(Struct, frozen=True):
    """The folder of providers, whose lock is held.

    Attributes:
        path: to read from; a provider's folder may be a link of the user's own.
        folder: to write to, which follows no link.
    """

    path: Path
    folder: SafeFolder

    def providers(self) -> list[str]:
        """Return the names of the folders that may hold a provider."""
        return folders_in(self.path)

    def source(self, provider: str) -> str:
        """Return a provider's file as messages name it."""
        return source_of(self.path, provider)

    def source_holding(self, name: str) -> str | None:
        """Return the file that holds an instance of this name, for messages; None if none does."""
        for provider in self.providers():
            if any(entry.name == name for entry in self._entries_of(provider, [])):
                return self.source(provider)
        return None

    def provider_of(self, name: str) -> str:
        """Return the folder that an instance stands in: the first one, as for the reader.

        Raises:
            RpcError: -32010, there is no such instance.
        """
        broken: list[ConfigError] = []
        for provider in self.providers():
            if any(entry.name == name for entry in self._entries_of(provider, broken)):
                return provider
        # An instance whose file has become invalid stays in force, but cannot be changed.
        hint = f" (unless in {broken[0]})" if broken else ""
        raise RpcError(INSTANCE_NOT_FOUND, f"Instance not found: {name}{hint}")

    def _entries_of(self, provider: str, broken: list[ConfigError]) -> Iterator[NamedEntry]:
        """Yield the entries of a provider; a file that cannot be read is added to `broken`."""
        source = self.source(provider)
        try:
            data = read_bytes(self.path / provider / INSTANCE_FILE_NAME, source, FILE_LIMIT_BYTES)
            yield from _named_entries(decode_object(data, source), source, provider)
        except FileNotFoundError:
            return
        except ConfigError as exc:
            broken.append(exc)


def _named_entries(members: Mapping[str, Any], source: str, provider: str) -> Iterator[NamedEntry]:
    """Yield the entries of a file, but for those whose name cannot be used."""
    for location, found in read_entries(members, source, provider, Expander(None)):
        if isinstance(found, InstanceSpec):
            outer_key = location.path.partition(".")[0] or None
            yield NamedEntry(found.name, outer_key, location.name, location.path)


class ProviderFile(Struct, frozen=True):
    """A provider's file, read in order to change it.

    Attributes:
        source: the file as messages name it.
        provider: its folder.
        members: of the whole file, as they are written.
    """

    source: str
    provider: str
    members: dict[str, Raw]

    @classmethod
    def read(cls, folder: SafeFolder, source: str, provider: str) -> ProviderFile:
        """Read a provider's file in its folder.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: as `SafeFolder.read`.
            ConfigError: the file is too large or broken.
        """
        data = read_bytes_in(folder, INSTANCE_FILE_NAME, source, FILE_LIMIT_BYTES)
        return cls(source, provider, decode_members(data, source))

    def find(self, name: str) -> NamedEntry:
        """Return the entry of an instance.

        Raises:
            RpcError: -32010, there is no such instance.
        """
        values = {key: msgspec.json.decode(raw) for key, raw in self.members.items()}
        for entry in _named_entries(values, self.source, self.provider):
            if entry.name == name:
                return entry
        raise RpcError(INSTANCE_NOT_FOUND, f"Instance not found: {name}")

    def members_of(self, entry: NamedEntry) -> dict[str, Raw]:
        """Return the members of an entry, as they are written."""
        if entry.outer_key is None:
            return self.members
        raw = self._entries_under(entry.outer_key)[entry.key]
        return decode_members(bytes(raw), f"{self.source}: {entry.path}")

    def with_entry(self, entry: NamedEntry, members: Mapping[str, Raw]) -> dict[str, Any]:
        """Return the file's content with other members for an entry."""
        if entry.outer_key is None:
            return dict(members)
        entries = {**self._entries_under(entry.outer_key), entry.key: members}
        return {**self.members, entry.outer_key: entries}

    def with_new_entry(self, name: str, members: Mapping[str, Raw]) -> dict[str, Any]:
        """Return the file's content with an entry more.

        The flat form holds one entry only: it is wrapped, as a whole, to make room.
        """
        outer_key = next((key for key in OUTER_KEYS if key in self.members), None)
        if outer_key is not None:
            entries = self._entries_under(outer_key)
            return {**self.members, outer_key: {**entries, _free_key(name, entries): members}}
        written = msgspec.json.decode(self.members.get("name", Raw(b"null")))
        first = written if is_name(written) else self.provider
        return {OUTER_KEYS[0]: {first: self.members, _free_key(name, [first]): members}}

    def without_entry(self, entry: NamedEntry) -> dict[str, Any] | None:
        """Return the file's content without an entry; None if no other entry is left."""
        if entry.outer_key is None:
            return None
        entries = self._entries_under(entry.outer_key)
        del entries[entry.key]
        others = [key for key in OUTER_KEYS if key in self.members and key != entry.outer_key]
        if not entries and not any(self._entries_under(key) for key in others):
            return None
        return {**self.members, entry.outer_key: entries}

    def _entries_under(self, outer_key: str) -> dict[str, Raw]:
        return decode_members(bytes(self.members[outer_key]), f"{self.source}: {outer_key}")


def _free_key(name: str, taken: Iterable[str]) -> str:
    """Return the key for an entry: its name, unless a sibling of another name has that key."""
    key, number = name, 2
    while key in taken:
        key, number = f"{name}-{number}", number + 1
    return key
