"""One change of an instance, written to `data/`.

Job: `apply_change`: add, update, remove, enable and disable an entry, safely on disk when it
returns. Neighbours: `storekeeper` above; `admin` (which changes there are), `places` (where
entries stand), `entries` (what they mean) and `folders` (how they are written) below.

Invariants:

- What is written has been read back by the reader that start-up uses. On any problem nothing was
  written.
- Between reading and writing a file, its lock is held: no other process's change is lost.
- Nothing but the entry concerned changes: siblings, unknown keys and the order of keys stay.
- What comes from outside is no reference: `${VAR}` in a new value is refused, so that nobody can
  read the router's environment. A secret that comes back as it is shown
  (`SECRET_MASK`) stays what it was.
- Nor can anybody read a secret that is there: with the `url` of another server, no header stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from router.files.json_files import decode_object, path_step, shown
from router.files.names import INSTANCE_FILE_NAME, NAME_RULE, PROVIDER_RULE, is_name, is_provider
from router.files.safe_folder import NEW_FOLDER_MODE, Folder, locked
from router.instance_files.entries import URL_KEYS, Where, read_entry
from router.instance_files.entry_locations import Data, File
from router.instance_files.reader import FILE_LIMIT_BYTES, entries_in, problem_of
from router.instance_files.variables import Expander, is_reference
from router.messages.commands import (
    SECRET_MASK,
    AddInstance,
    RemoveInstance,
    SetActive,
    UpdateInstance,
)
from router.messages.errors import ALREADY_EXISTS, INVALID_PARAMS, ConfigError, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from router.instance_files.entry_locations import Slot
    from router.messages.commands import Change

_SAME: Final[tuple[tuple[str, ...], ...]] = (
    URL_KEYS,
    ("type", "transport"),
    ("isActive", "disabled"),
)
"""Keys that say the same in different words: setting one takes the place of the others."""

_TABLES: Final = ("env", "headers")
_EXPANDED: Final = ("command", "args", "cwd", *_TABLES, *URL_KEYS)
"""Where references are resolved (see `entries`)."""


def apply_change(data_dir: Path, change: Change) -> str:
    """Write a change; the name of the instance. Blocks on disk: not for the event loop.

    Raises:
        RpcError: -32018, the name is taken; -32602, the change makes no sense; -32010, there is
            no such instance; nothing was changed.
        ConfigError: the file that would have to change is broken; nothing was changed.
        OSError: it could not be written, and is as it was.
    """
    if isinstance(change, AddInstance):
        data_dir.mkdir(NEW_FOLDER_MODE, parents=True, exist_ok=True)
    with Folder.open(data_dir) as folder, locked(folder):
        data = Data(data_dir, folder)
        match change:
            case AddInstance(provider, entry):
                return _add(data, provider, entry)
            case UpdateInstance(name, fields):
                return _update(data, name, fields)
            case RemoveInstance(name):
                return _remove(data, name)
            case SetActive(name, is_active):
                return _set_active(data, name, is_active=is_active)


def _invalid(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message)


# --- JSON ---------------------------------------------------------------------------------------


def _encoded(members: Mapping[str, Any], source: str) -> bytes:
    try:
        text = msgspec.json.format(msgspec.json.encode(members), indent=2) + b"\n"
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise _invalid("The entry cannot be written as JSON") from None
    if len(text) > FILE_LIMIT_BYTES:
        raise _invalid(f"{source} would be larger than {FILE_LIMIT_BYTES // (1024 * 1024)} MB")
    return text


def _decoded(members: Mapping[str, Raw]) -> dict[str, Any]:
    return {key: msgspec.json.decode(raw) for key, raw in members.items()}


def _raw(value: object) -> Raw:
    try:
        return Raw(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise _invalid("The entry cannot be written as JSON") from None


# --- The changes -----------------------------------------------------------------------------


def _add(data: Data, provider: str, given: Mapping[str, Any]) -> str:
    name = given.get("name")
    name = provider if name is None else name
    _check_names(data, provider, name, given.get("provider"))
    _check_new(given, {})
    source = data.source(provider)
    _check_free(data, name)
    entry = _raw_members({"provider": provider, "name": name} | _written(given))
    try:
        with data.folder.sub(provider) as folder:
            file = File.open(folder, source, provider)
            members = file.with_new(name, entry)
    except FileNotFoundError:
        members = entry
    text = _encoded(members, source)
    _check_entry(text, source, provider, name)
    _write_new(data, provider, text)
    return name


def _written(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


def _write_new(data: Data, provider: str, text: bytes) -> None:
    """Write a file in a folder that may be new, and then goes again on a problem."""
    try:
        with data.folder.sub(provider, create=True) as folder:
            folder.write(INSTANCE_FILE_NAME, text)
    except OSError:
        data.folder.remove_folder(provider)  # only if it is empty
        raise


def _update(data: Data, name: str, fields: Mapping[str, Any]) -> str:
    new_name = fields.get("name")
    new_name = name if new_name is None else new_name
    if new_name != name:
        _check_name(new_name)
        _check_free(data, new_name)

    def updated(file: File, slot: Slot) -> dict[str, Any]:
        before = entry = file.entry(slot)
        for key, value in fields.items():
            entry = _with_field(entry, key, value, slot, file.provider)
        _check_headers_stay_here(_decoded(before), _decoded(entry), fields)
        members = file.with_entry(slot, entry)
        _check_entry(_encoded(members, file.source), file.source, file.provider, new_name)
        return members

    _rewrite(data, name, updated)
    return new_name


def _with_field(
    entry: dict[str, Raw], key: str, value: Any, slot: Slot, provider: str
) -> dict[str, Raw]:
    old = _decoded(entry)
    if key == "provider" and value != (old.get(key) or provider):
        raise _invalid("provider: cannot be changed; add a new instance and remove this one")
    if key == "provider" or (key == "name" and value in (None, slot.name)):
        return entry
    if value is None:
        return _replaced(entry, key, None)
    before = next((old[same] for same in _group(key) if old.get(same) is not None), None)
    value = _unmasked(value, before, key) if key != "metadata" else value
    _check_new({key: value}, {key: before})
    return _replaced(entry, key, _raw(value))


def _remove(data: Data, name: str) -> str:
    provider = data.provider_of(name)
    with data.folder.sub(provider) as folder:
        file = File.open(folder, data.source(provider), provider)
        members = file.without(file.slot(name))
        if members is None:
            folder.remove(INSTANCE_FILE_NAME)
        else:
            folder.write(INSTANCE_FILE_NAME, _encoded(members, file.source))
    if members is None:
        data.folder.remove_folder(provider)  # which stays if it holds anything else
    return name


def _set_active(data: Data, name: str, *, is_active: bool) -> str:
    def switched(file: File, slot: Slot) -> dict[str, Any]:
        return file.with_entry(slot, _replaced(file.entry(slot), "isActive", _raw(is_active)))

    return _rewrite(data, name, switched)


def _rewrite(data: Data, name: str, new: Callable[[File, Slot], dict[str, Any]]) -> str:
    provider = data.provider_of(name)
    with data.folder.sub(provider) as folder:
        file = File.open(folder, data.source(provider), provider)
        members = new(file, file.slot(name))
        folder.write(INSTANCE_FILE_NAME, _encoded(members, file.source))
    return name


def _group(key: str) -> tuple[str, ...]:
    return next((group for group in _SAME if key in group), (key,))


def _replaced(entry: Mapping[str, Raw], key: str, raw: Raw | None) -> dict[str, Raw]:
    """The entry with another value for a key, in its old place; None removes it."""
    group, result = _group(key), dict[str, Raw]()
    for old, value in entry.items():
        if old not in group:
            result[old] = value
        elif raw is not None and key not in result:
            result[key] = raw
    if raw is not None:
        result.setdefault(key, raw)
    return result


def _raw_members(values: Mapping[str, Any]) -> dict[str, Raw]:
    return {key: _raw(value) for key, value in values.items()}


# --- What is allowed -------------------------------------------------------------------------


def _check_name(name: object) -> None:
    if not is_name(name):
        raise _invalid(f"name: {NAME_RULE}, got {shown(name)}")


def _check_free(data: Data, name: str) -> None:
    taken = data.names().get(name)
    if taken is not None:
        raise RpcError(ALREADY_EXISTS, f"Instance '{name}' already exists (in {taken})")


def _check_names(data: Data, provider: str, name: object, said: object) -> None:
    if not is_provider(provider):
        raise _invalid(f"provider: {PROVIDER_RULE}, got {shown(provider)}")
    _check_name(name)
    if said not in (None, provider):
        raise _invalid("provider: is not the one that the entry is to be added to")
    for other in data.providers():
        if other != provider and other.casefold() == provider.casefold():
            raise _invalid(f"provider: '{provider}' differs from another one only in case")


def _check_entry(text: bytes, source: str, provider: str, name: str) -> None:
    """Would the file, read as at start-up, hold this instance, with nothing wrong in it?"""
    for where, entry in entries_in(decode_object(text, source), source, provider):
        if isinstance(entry, dict) and _is_sound(cast("dict[str, Any]", entry), where, name):
            return
    raise _invalid(f"{source} would not hold an instance '{name}'")


def _is_sound(entry: dict[str, Any], where: Where, name: str) -> bool:
    """Is this the entry? If so, nothing may be wrong in it."""
    read = read_entry(entry, where, Expander(None))
    if isinstance(read, ConfigError) or read.name != name:
        return False
    if read.problem is not None:
        raise _invalid(problem_of(read).problem)
    return True


def _check_new(new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    """Refuse references in values that were not there before (security: secrets)."""
    for key in new:
        if key not in _EXPANDED:
            continue
        before = {text for _, text in _strings(old.get(key), key)}
        for path, text in _strings(new[key], key):
            if text not in before and is_reference(text, bare=key in _TABLES):
                problem = "a reference such as ${VAR} only works where it stands in the file"
                raise _invalid(f"{path}: {problem}; write it there")


def _check_headers_stay_here(
    old: Mapping[str, Any], new: Mapping[str, Any], fields: Mapping[str, Any]
) -> None:
    """Refuse another server that would be sent what is in the file (security: secrets)."""
    if not old.get("headers") or _origin(old) == _origin(new):
        return
    given = fields.get("headers", SECRET_MASK)
    if given == SECRET_MASK or (
        isinstance(given, dict) and SECRET_MASK in cast("Any", given).values()
    ):
        problem = "is another server's, which gets no header of this one"
        raise _invalid(f"url: {problem}; give the headers anew, or null for none")
    _check_new({"headers": given}, {})


def _origin(entry: Mapping[str, Any]) -> tuple[object, ...]:
    """Whom an entry's URL leads to (RFC 6454 section 4); a URL that is none leads to itself."""
    url = next((entry[key] for key in URL_KEYS if entry.get(key) is not None), "")
    try:
        parts = urlsplit(url)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, parts.hostname, parts.port or default
    except (ValueError, TypeError, AttributeError):
        return (url,)


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """All strings in a JSON value, each with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, part in cast("dict[str, Any]", value).items():
            yield from _strings(part, f"{path}.{path_step(key)}")
    elif isinstance(value, list):
        for index, part in enumerate(cast("list[Any]", value)):
            yield from _strings(part, f"{path}[{index}]")


def _unmasked(new: Any, old: Any, path: str) -> Any:
    """`new` with the old value wherever it is the mask.

    Raises:
        RpcError: -32602, there is no old value.
    """
    if new == SECRET_MASK:
        if old is None:
            raise _invalid(f"{path}: is shown as set, and there is no value that could stay")
        return old
    if isinstance(new, dict):
        before = cast("dict[str, Any]", old) if isinstance(old, dict) else {}
        items = cast("dict[str, Any]", new).items()
        return {key: _unmasked(part, before.get(key), f"{path}.{key}") for key, part in items}
    if isinstance(new, list):
        parts = cast("list[Any]", old) if isinstance(old, list) else []
        return [
            _unmasked(part, parts[index] if index < len(parts) else None, f"{path}[{index}]")
            for index, part in enumerate(cast("list[Any]", new))
        ]
    return new
