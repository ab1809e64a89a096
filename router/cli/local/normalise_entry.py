"""`mcp-router add`: rewrites a pasted entry of `data/{provider}/mcp_settings.json` with our keys.

Invariants:

- Unknown keys, other entries and the order of keys stay.
- Values that are not rewritten stay as they were written, such as `1e2` or an escaped letter.
- On any problem the file stays as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Raw, Struct

from router.files.json_files import decode_members, quote_key, quote_value, read_bytes_in
from router.files.names import INSTANCE_FILE_NAME, NAME_RULE, PROVIDER_RULE, is_name, is_provider
from router.files.safe_folder import SafeFolder, locked
from router.instance_files.entry.entries import (
    METADATA_LIMIT,
    TYPES,
    URL_KEYS,
    infer_type,
    read_entry,
)
from router.instance_files.entry.entry_location import EntryLocation
from router.instance_files.reader import (
    FILE_LIMIT_BYTES,
    duplicate_name_error,
    load_instances,
    problem_of,
    source_of,
)
from router.messages.commands import OUTER_KEYS
from router.messages.errors import ConfigError
from router.references.expander import Expander

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from router.messages.instances.instance_spec import InstanceSpec


def normalise_instance(
    data_dir: Path, instance: str, provider: str, display: str | None = None
) -> InstanceSpec:
    """Give an entry its name, its provider, its type and `isActive`, and write it back.

    A single entry under `mcpServers` or `servers` is unwrapped; of several, the entry with the
    key `instance` is rewritten in its place.

    Args:
        data_dir: the folder of the providers.
        instance: the name that the entry gets.
        provider: the folder in `data_dir` that holds the file.
        display: goes to `metadata.display_name`, if given.

    Returns:
        The instance as it will be read.

    Raises:
        ConfigError: a name is invalid or taken, there is no such file or entry, or the entry
            could not be started. The file is then as it was.
        OSError: the file could not be written, and is as it was.
    """
    if not is_name(instance):
        raise ConfigError("instance", f"{NAME_RULE}, got {quote_value(instance)}")
    if not is_provider(provider):
        raise ConfigError("provider", f"{PROVIDER_RULE}, got {quote_value(provider)}")
    source = source_of(data_dir, provider)
    try:
        with SafeFolder.open(data_dir) as data, locked(data), data.subfolder(provider) as folder:
            members = decode_members(
                read_bytes_in(folder, INSTANCE_FILE_NAME, source, FILE_LIMIT_BYTES), source
            )
            found = _find_entry(members, source, instance)
            entry = _normalise(found.entry, instance, provider)
            if display is not None:
                entry = _with_display_name(entry, display, source)
            spec = _read(entry, EntryLocation(source, found.path, provider, instance))
            _check_unique(data_dir, spec, found)
            text = msgspec.json.encode(found.put_back(members, entry))
            folder.write(INSTANCE_FILE_NAME, msgspec.json.format(text, indent=2) + b"\n")
    except FileNotFoundError:
        raise ConfigError(source, "there is no such file; put the server's entry there") from None
    return spec


# --- The entry in its file -------------------------------------------------------------------


class _FoundEntry(Struct, frozen=True):
    """The entry to rewrite.

    Attributes:
        entry: its members.
        outer: the key that holds it and its siblings; None if the file is the entry.
        key: its key under `outer`.
        siblings: all entries under `outer`, itself included.
    """

    entry: dict[str, Raw]
    outer: str | None = None
    key: str = ""
    siblings: dict[str, Raw] = {}

    @property
    def path(self) -> str:
        return f"{self.outer}.{quote_key(self.key)}" if self.outer else ""

    def put_back(self, members: dict[str, Raw], entry: dict[str, Raw]) -> dict[str, Any]:
        """Return the members of the whole file with the rewritten entry."""
        if self.outer is None:
            return dict(entry)
        if len(self.siblings) == 1 and sum(key in members for key in OUTER_KEYS) == 1:
            # The only entry of the file: the flat form can hold it, beside what else is there.
            return {**{k: v for k, v in members.items() if k != self.outer}, **entry}
        return {**members, self.outer: {**self.siblings, self.key: entry}}


def _find_entry(members: dict[str, Raw], source: str, instance: str) -> _FoundEntry:
    outer = next((key for key in OUTER_KEYS if key in members), None)
    if outer is None:
        return _FoundEntry(members)
    siblings = decode_members(bytes(members[outer]), f"{source}: {outer}")
    key = next(iter(siblings)) if len(siblings) == 1 else instance
    if key not in siblings:
        names = ", ".join(f"'{quote_key(name)}'" for name in siblings) or "none"
        raise ConfigError(f"{source}: {outer}", f"no entry '{instance}'; there are: {names}")
    entry = decode_members(bytes(siblings[key]), f"{source}: {outer}.{quote_key(key)}")
    return _FoundEntry(entry, outer, key, siblings)


# --- Rewriting -------------------------------------------------------------------------------


def _normalise(entry: dict[str, Raw], instance: str, provider: str) -> dict[str, Raw]:
    values = _decode(entry)
    instance_type = _type_to_write(values)
    written = {"provider": provider, "name": instance}
    if instance_type is not None:
        written["type"] = instance_type
    known = {key: _encode(value) for key, value in written.items()}
    renamed = _rename_keys(entry, has_type=instance_type is not None)
    # Keys that the entry lacks come first; the others keep their places.
    result = {key: raw for key, raw in known.items() if key not in renamed} | renamed | known
    if values.get("disabled") is True:
        result["isActive"] = _encode(value=False)
    elif values.get("isActive") is None:
        result["isActive"] = _encode(value=True)
    return result


def _type_to_write(values: Mapping[str, Any]) -> str | None:
    """Return the type, or None for a bare `url`, which is tried as HTTP and then as SSE."""
    written = values.get("type") or values.get("transport")
    if isinstance(written, str):
        return TYPES.get(written.lower(), written)
    inferred, try_sse = infer_type(values)
    return None if try_sse else inferred


def _rename_keys(entry: dict[str, Raw], *, has_type: bool) -> dict[str, Raw]:
    """Return the entry with our names for its keys, each in its old place."""
    names = dict.fromkeys(URL_KEYS, "url") | {"transport": "type"}
    url_key = next((key for key in URL_KEYS if key in entry), None)
    renamed: dict[str, Raw] = {}
    for key, raw in entry.items():
        if key in URL_KEYS and key != url_key:
            continue  # the reader takes the first of `URL_KEYS` and ignores the others
        if key == "disabled" or (key in ("type", "transport") and not has_type):
            continue
        renamed[names.get(key, key)] = raw
    return renamed


def _with_display_name(entry: dict[str, Raw], display: str, source: str) -> dict[str, Raw]:
    written = bytes(entry.get("metadata", b"null"))
    metadata = {} if written == b"null" else decode_members(written, f"{source}: metadata")
    metadata["display_name"] = _encode(display)
    if len(metadata) > METADATA_LIMIT:
        raise ConfigError(f"{source}: metadata", f"has more than {METADATA_LIMIT} entries")
    return entry | {"metadata": _encode(metadata)}


def _decode(entry: Mapping[str, Raw]) -> dict[str, Any]:
    return {key: msgspec.json.decode(raw) for key, raw in entry.items()}


def _encode(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))


# --- Checks before anything is written -------------------------------------------------------


def _read(entry: dict[str, Raw], where: EntryLocation) -> InstanceSpec:
    """Return the instance as a start will read it.

    Raises:
        ConfigError: it could not be started. An unset `${VAR}` is no obstacle, since it can be
            set later.
    """
    spec = read_entry(_decode(entry), where, Expander(None))
    if isinstance(spec, ConfigError):
        raise spec
    if spec.problem is not None:
        raise problem_of(spec)
    return spec


def _check_unique(data_dir: Path, spec: InstanceSpec, found: _FoundEntry) -> None:
    for key, raw in found.siblings.items():
        sibling = msgspec.json.decode(raw)
        name = cast("dict[str, Any]", sibling).get("name") if isinstance(sibling, dict) else None
        if key != found.key and (name or key) == spec.name:
            raise duplicate_name_error(spec, spec)
    for other in load_instances(data_dir, {}).specs:
        if other.name == spec.name and other.source != spec.source:
            raise duplicate_name_error(spec, other)
