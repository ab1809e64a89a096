"""One entry of `data/{provider}/mcp_settings.json` in our own words (`mcp-router add`).

Job: unwrap, rename and complete an entry that was pasted. Neighbours: `cli` above, `store` (what
there is), `entries` (what an entry means), `files` and `folders` (how it is written) below.

Invariants: what is not understood, other entries and the order of keys stay; the bytes of values
that are not touched stay; on any problem the file is as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs
import msgspec
from msgspec import Raw

from router.files.json_files import decode_members, quote_key, quote_value, read_bytes_in
from router.files.names import INSTANCE_FILE_NAME, NAME_RULE, PROVIDER_RULE, is_name, is_provider
from router.files.safe_folder import SafeFolder, locked
from router.instance_files.entries import (
    METADATA_LIMIT,
    TYPES,
    URL_KEYS,
    EntryLocation,
    infer_type,
    read_entry,
)
from router.instance_files.reader import (
    FILE_LIMIT_BYTES,
    duplicate_name_error,
    load_instances,
    problem_of,
    source_of,
)
from router.instance_files.variables import Expander
from router.messages.commands import OUTER_KEYS
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from router.messages.instance_spec import InstanceSpec


def normalise_instance(
    data_dir: Path, instance: str, provider: str, display: str | None = None
) -> InstanceSpec:
    """Rewrite `data/{provider}/mcp_settings.json` in our own words (contract: `mcp-router add`).

    A single entry under `mcpServers` or `servers` is unwrapped; of several, the one called
    `instance` is rewritten in its place. `display` goes to `metadata.display_name`. Unknown keys,
    other entries and their order stay.

    Raises:
        ConfigError: a name that cannot be, no such file or entry, an entry that could not be
            started, or a name that another instance has. The file is then as it was.
        OSError: the file could not be written, and is as it was.
    """
    _check_names(instance, provider)
    source = source_of(data_dir, provider)
    try:
        with SafeFolder.open(data_dir) as data, locked(data), data.subfolder(provider) as folder:
            members = decode_members(
                read_bytes_in(folder, INSTANCE_FILE_NAME, source, FILE_LIMIT_BYTES), source
            )
            chosen = _choose(members, source, instance)
            entry = _normalised(chosen.entry, instance, provider, display, source)
            spec = _checked(entry, EntryLocation(source, chosen.path, provider, instance))
            _check_unique(data_dir, spec, chosen)
            folder.write(INSTANCE_FILE_NAME, as_file(chosen.put_back(members, entry)))
    except FileNotFoundError:
        raise ConfigError(source, "there is no such file; put the server's entry there") from None
    return spec


def as_file(members: dict[str, Any]) -> bytes:
    """The text of a file; what is `Raw` in it differs in white space only."""
    return msgspec.json.format(msgspec.json.encode(members), indent=2) + b"\n"


def _check_names(instance: str, provider: str) -> None:
    if not is_name(instance):
        raise ConfigError("instance", f"{NAME_RULE}, got {quote_value(instance)}")
    if not is_provider(provider):
        raise ConfigError("provider", f"{PROVIDER_RULE}, got {quote_value(provider)}")


def _no_siblings() -> dict[str, Raw]:
    return {}


@attrs.frozen
class _Chosen:
    """The entry to rewrite; `siblings` are all entries next to it, itself included."""

    entry: dict[str, Raw]
    outer: str | None = None
    key: str = ""
    siblings: dict[str, Raw] = attrs.field(factory=_no_siblings)

    @property
    def path(self) -> str:
        return f"{self.outer}.{quote_key(self.key)}" if self.outer else ""

    def is_alone(self, members: dict[str, Raw]) -> bool:
        """Is there no other entry in the file, so that the flat form can hold it?"""
        return len(self.siblings) == 1 and sum(key in members for key in OUTER_KEYS) == 1

    def put_back(self, members: dict[str, Raw], entry: dict[str, Raw]) -> dict[str, Any]:
        """The whole file with the rewritten entry."""
        if self.outer is None:
            return dict(entry)
        if self.is_alone(members):
            return {**{k: v for k, v in members.items() if k != self.outer}, **entry}
        return {**members, self.outer: {**self.siblings, self.key: entry}}


def _choose(members: dict[str, Raw], source: str, instance: str) -> _Chosen:
    outer = next((key for key in OUTER_KEYS if key in members), None)
    if outer is None:
        return _Chosen(members)
    siblings = decode_members(bytes(members[outer]), f"{source}: {outer}")
    key = next(iter(siblings)) if len(siblings) == 1 else instance
    if key not in siblings:
        names = ", ".join(f"'{quote_key(name)}'" for name in siblings) or "none"
        raise ConfigError(f"{source}: {outer}", f"no entry '{instance}'; there are: {names}")
    entry = decode_members(bytes(siblings[key]), f"{source}: {outer}.{quote_key(key)}")
    return _Chosen(entry, outer, key, siblings)


def _normalised(
    entry: dict[str, Raw], instance: str, provider: str, display: str | None, source: str
) -> dict[str, Raw]:
    values = {key: msgspec.json.decode(raw) for key, raw in entry.items()}
    kind = _kind(values)
    new = {"provider": provider, "name": instance} | ({"type": kind} if kind else {})
    body = _renamed(entry, has_type=kind is not None)
    if values.get("isActive") is None:
        new_last = {"isActive": _raw(values.get("disabled") is not True)}
    elif values.get("disabled") is True:
        new_last = {"isActive": _raw(value=False)}
    else:
        new_last = {}
    head = {key: _raw(value) for key, value in new.items()}
    result = {key: raw for key, raw in head.items() if key not in body} | body | head | new_last
    return result if display is None else result | _metadata(result, display, source)


def _kind(values: Mapping[str, Any]) -> str | None:
    """The type to write; None leaves a bare `url` to be tried as HTTP, then as SSE."""
    written = values.get("type") or values.get("transport")
    if isinstance(written, str):
        return TYPES.get(written.lower(), written)
    kind, try_sse = infer_type(values)
    return None if try_sse else kind


def _renamed(entry: dict[str, Raw], *, has_type: bool) -> dict[str, Raw]:
    """The entry with our names for its keys, each in its old place."""
    names = dict.fromkeys(URL_KEYS, "url") | {"transport": "type"}
    url_key = next((key for key in URL_KEYS if key in entry), None)
    renamed: dict[str, Raw] = {}
    for key, raw in entry.items():
        if key in URL_KEYS and key != url_key:
            continue
        if key == "disabled" or (key in ("type", "transport") and not has_type):
            continue
        renamed[names.get(key, key)] = raw
    return renamed


def _metadata(entry: dict[str, Raw], display: str, source: str) -> dict[str, Raw]:
    written = bytes(entry.get("metadata", b"null"))
    metadata = {} if written == b"null" else decode_members(written, f"{source}: metadata")
    metadata["display_name"] = _raw(display)
    if len(metadata) > METADATA_LIMIT:
        raise ConfigError(f"{source}: metadata", f"has more than {METADATA_LIMIT} entries")
    return {"metadata": _raw(metadata)}


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))


def _checked(entry: dict[str, Raw], where: EntryLocation) -> InstanceSpec:
    """The instance as it will be read, but for `${VAR}`, which may be set later."""
    values = {key: msgspec.json.decode(raw) for key, raw in entry.items()}
    read = read_entry(values, where, Expander(None))
    if isinstance(read, ConfigError):
        raise read
    if read.problem is not None:
        raise problem_of(read)
    return read


def _check_unique(data_dir: Path, spec: InstanceSpec, chosen: _Chosen) -> None:
    for key, raw in chosen.siblings.items():
        if key != chosen.key and _name_of(key, raw) == spec.name:
            raise duplicate_name_error(spec, spec)
    for other in load_instances(data_dir, {}).specs:
        if other.name == spec.name and other.source != spec.source:
            raise duplicate_name_error(spec, other)


def _name_of(key: str, raw: Raw) -> object:
    entry = msgspec.json.decode(raw)
    name = cast("dict[str, Any]", entry).get("name") if isinstance(entry, dict) else None
    return name or key
