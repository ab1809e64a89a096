"""`data/{provider}/mcp_settings.json`: all instances there are.

Job: find and read the files, and write one entry back. Neighbours: the composition root and
`cli` above, `entries` (what an entry means) and `files` (how a file is read and written) below.

Invariants: a broken file or entry never affects another one; names are unique, the first in the
order of folders, then of entries, stays; saving keeps every byte of values it does not touch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import msgspec
from msgspec import Raw

from router.entries import (
    METADATA_LIMIT,
    NAME_RULE,
    PROVIDER_RULE,
    TYPES,
    URL_KEYS,
    Where,
    infer_type,
    is_name,
    is_provider,
    read_entry,
    secrets_of,
)
from router.errors import ConfigError
from router.expand import Expander
from router.files import (
    decode_members,
    decode_object,
    kind_of,
    path_step,
    read_bytes,
    shown,
    write_atomically,
)
from router.messages import InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FILE_NAME: Final = "mcp_settings.json"
FILE_LIMIT_BYTES: Final = 5 * 1024 * 1024

OUTER_KEYS: Final = ("mcpServers", "servers")
"""What the entries stand under, unless the file is one entry; `servers` is VS Code's."""


@attrs.frozen
class Loaded:
    """What `data/` says.

    Attributes:
        specs: in the order of folders, then as in the file; unusable ones have a `problem`.
        problems: files and entries that gave no spec at all.
        secrets: values that must not appear in a log.
    """

    specs: tuple[InstanceSpec, ...] = ()
    problems: tuple[ConfigError, ...] = ()
    secrets: frozenset[str] = attrs.field(default=frozenset(), repr=False)


def load_instances(data_dir: Path, environ: Mapping[str, str]) -> Loaded:
    """Read all instances. Blocks on disk: not for the event loop.

    Args:
        data_dir: the folder of providers; one that does not exist has none.
        environ: what `${VAR}` stands for.
    """
    expander = Expander(environ)
    specs: dict[str, InstanceSpec] = {}
    problems: list[ConfigError] = []
    for found in _instances(data_dir, expander):
        if isinstance(found, InstanceSpec) and found.name in specs:
            problems.append(_duplicate(found, specs[found.name]))
        elif isinstance(found, InstanceSpec):
            specs[found.name] = found
        else:
            problems.append(found)
    secrets = frozenset(expander.values).union(*map(secrets_of, specs.values()))
    return Loaded(tuple(specs.values()), tuple(problems), secrets)


def _duplicate(late: InstanceSpec, first: InstanceSpec) -> ConfigError:
    return ConfigError(
        late.source,
        f'the name "{late.name}" is already taken in {first.source}, which stays; '
        "give one of them another name",
    )


def _instances(data_dir: Path, expander: Expander) -> Iterator[InstanceSpec | ConfigError]:
    try:
        folders = sorted(path.name for path in data_dir.iterdir() if path.is_dir())
    except FileNotFoundError:
        return
    except OSError as exc:
        yield ConfigError(data_dir.name, f"cannot be read: {exc.strerror or exc}")
        return
    for folder in folders:
        try:
            yield from _in_file(data_dir, folder, expander)
        except FileNotFoundError:
            continue  # Not every folder need hold a provider, and this one may just be gone.
        except ConfigError as exc:
            yield exc


def _in_file(
    data_dir: Path, folder: str, expander: Expander
) -> Iterator[InstanceSpec | ConfigError]:
    source = _source(data_dir, folder)
    data = read_bytes(data_dir / folder / FILE_NAME, source, FILE_LIMIT_BYTES)
    for where, entry in _entries(decode_object(data, source), source, folder):
        if isinstance(entry, dict):
            yield read_entry(cast("dict[str, Any]", entry), where, expander)
        else:
            yield ConfigError(where.place(), f"expected an object, got {kind_of(entry)}")


def _entries(members: dict[str, Any], source: str, folder: str) -> Iterator[tuple[Where, object]]:
    """The entries of a file, or what stands in their place."""
    outer_keys = [key for key in OUTER_KEYS if key in members]
    if not outer_keys:
        yield Where(source, "", folder, folder), members
    for outer in outer_keys:
        table = members[outer]
        if not isinstance(table, dict):
            yield Where(source, outer, folder, folder), table
            continue
        for name, entry in cast("dict[str, Any]", table).items():
            yield Where(source, f"{outer}.{path_step(name)}", folder, name), entry


def _source(data_dir: Path, folder: str) -> str:
    return f"{data_dir.name}/{path_step(folder)}/{FILE_NAME}"


# --- mcp-router add --------------------------------------------------------------------------


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
    source, path = _source(data_dir, provider), data_dir / provider / FILE_NAME
    try:
        members = decode_members(read_bytes(path, source, FILE_LIMIT_BYTES), source)
    except FileNotFoundError:
        raise ConfigError(source, "there is no such file; put the server's entry there") from None
    chosen = _choose(members, source, instance)
    entry = _normalised(chosen.entry, instance, provider, display, source)
    spec = _checked(entry, Where(source, chosen.path, provider, instance))
    _check_unique(data_dir, spec, chosen)
    text = msgspec.json.encode(chosen.put_back(members, entry))
    write_atomically(path, msgspec.json.format(text, indent=2) + b"\n")
    return spec


def _check_names(instance: str, provider: str) -> None:
    if not is_name(instance):
        raise ConfigError("instance", f"{NAME_RULE}, got {shown(instance)}")
    if not is_provider(provider):
        raise ConfigError("provider", f"{PROVIDER_RULE}, got {shown(provider)}")


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
        return f"{self.outer}.{path_step(self.key)}" if self.outer else ""

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
        names = ", ".join(f"'{path_step(name)}'" for name in siblings) or "none"
        raise ConfigError(f"{source}: {outer}", f"no entry '{instance}'; there are: {names}")
    entry = decode_members(bytes(siblings[key]), f"{source}: {outer}.{path_step(key)}")
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


def _checked(entry: dict[str, Raw], where: Where) -> InstanceSpec:
    """The instance as it will be read, but for `${VAR}`, which may be set later."""
    values = {key: msgspec.json.decode(raw) for key, raw in entry.items()}
    read = read_entry(values, where, Expander(None))
    if isinstance(read, ConfigError):
        raise read
    if read.problem is not None:
        raise ConfigError(where.source, read.problem.removeprefix(f"{where.source}: "))
    return read


def _check_unique(data_dir: Path, spec: InstanceSpec, chosen: _Chosen) -> None:
    for key, raw in chosen.siblings.items():
        if key != chosen.key and _name_of(key, raw) == spec.name:
            raise _duplicate(spec, spec)
    for other in load_instances(data_dir, {}).specs:
        if other.name == spec.name and other.source != spec.source:
            raise _duplicate(spec, other)


def _name_of(key: str, raw: Raw) -> object:
    entry = msgspec.json.decode(raw)
    name = cast("dict[str, Any]", entry).get("name") if isinstance(entry, dict) else None
    return name or key
