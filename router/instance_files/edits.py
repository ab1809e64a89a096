"""Writes one change of an instance to `data/`: add, update, remove, enable or disable.

Invariants:

- A changed file is written only if the reader that start-up uses finds the instance in it, with
  no problem. On any problem nothing is written.
- Between reading and writing a file, the lock of `data/` is held: no other process's change is
  lost.
- Nothing but the entry concerned changes: siblings, unknown keys and the order of keys stay.
- No secret can be read through a change (see `edit_secrets`), and no private address reached (see
  `private_urls`), unless it comes from the user whose files these are.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

from router.files.json_files import decode_object, quote_value
from router.files.names import INSTANCE_FILE_NAME, NAME_RULE, PROVIDER_RULE, is_name, is_provider
from router.files.safe_folder import NEW_FOLDER_MODE, SafeFolder, locked
from router.instance_files.edit_secrets import (
    refuse_kept_headers_for_another_server,
    refuse_kept_login_for_another_server,
    refuse_new_references,
    unmask,
)
from router.instance_files.entry.entries import URL_KEYS
from router.instance_files.entry.exposures import EXPOSURE_KEYS
from router.instance_files.private_urls import ALLOW_PRIVATE, becomes_guarded
from router.instance_files.provider_files import DataFolder, ProviderFile
from router.instance_files.reader import FILE_LIMIT_BYTES, problem_of, read_entries
from router.messages.commands import AddInstance, RemoveInstance, SetActive, UpdateInstance
from router.messages.errors import ALREADY_EXISTS, INVALID_PARAMS, ConfigError, RpcError
from router.references.expander import Expander

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from router.instance_files.provider_files import NamedEntry
    from router.messages.commands import Change

_SYNONYMS: Final[tuple[tuple[str, ...], ...]] = (
    URL_KEYS,
    ("type", "transport"),
    ("isActive", "disabled"),
)
"""Keys with the same meaning: setting one takes the place of the others."""

_NEVER_SECRET: Final = frozenset({"metadata", *EXPOSURE_KEYS})
"""Keys whose values may hold any JSON, and no secret."""


def apply_change(data_dir: Path, change: Change, *, may_refer: bool = False) -> str:
    """Write a change safely to disk and return the instance's name afterwards.

    Blocks on disk: not for the event loop.

    Args:
        data_dir: the folder of providers.
        change: to be made.
        may_refer: True for a change by the user of this machine, who may write references such as
            `${VAR}`, and URLs of private addresses, into these files anyway.

    Raises:
        RpcError: -32018, the name is taken; -32602, the change makes no sense; -32010, there is
            no such instance; nothing was changed.
        ConfigError: the file that would have to change is broken; nothing was changed.
        OSError: the file could not be written, and is as it was.
    """
    if isinstance(change, AddInstance):
        data_dir.mkdir(NEW_FOLDER_MODE, parents=True, exist_ok=True)
    with SafeFolder.open(data_dir) as folder, locked(folder):
        data = DataFolder(data_dir, folder)
        match change:
            case AddInstance(provider, entry):
                return _add(data, provider, entry, may_refer=may_refer)
            case UpdateInstance(name, fields):
                return _update(data, name, fields, may_refer=may_refer)
            case RemoveInstance(name):
                return _remove(data, name)
            case SetActive(name, is_active):
                return _set_active(data, name, is_active=is_active)


def _invalid(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message)


# --- Adding ----------------------------------------------------------------------------------


def _add(data: DataFolder, provider: str, given: Mapping[str, Any], *, may_refer: bool) -> str:
    present = {key: value for key, value in given.items() if value is not None}
    name = present.get("name", provider)
    _check_provider(data, provider, present.get("provider"))
    _check_name(name)
    if not may_refer:
        refuse_new_references(present, {})
        if becomes_guarded({}, present, present):
            present[ALLOW_PRIVATE] = False
    _check_free_on_disk(data, name)
    source = data.source(provider)
    values = {"provider": provider, "name": name} | present
    entry = {key: _to_raw(value) for key, value in values.items()}
    try:
        with data.folder.subfolder(provider) as folder:
            members = ProviderFile.read(folder, source, provider).with_new_entry(name, entry)
    except FileNotFoundError:
        members = entry
    text = _encode(members, source)
    _check_reads_back(text, source, provider, name)
    _write_to_new_folder(data, provider, text)
    return name


def _write_to_new_folder(data: DataFolder, provider: str, text: bytes) -> None:
    """Write a file in a folder that may be new, and is then removed again on a problem."""
    try:
        with data.folder.subfolder(provider, create=True) as folder:
            folder.write(INSTANCE_FILE_NAME, text)
    except OSError:
        data.folder.remove_empty_folder(provider)
        raise


# --- Changing what is there ------------------------------------------------------------------


@contextmanager
def _open_entry(
    data: DataFolder, name: str
) -> Generator[tuple[SafeFolder, ProviderFile, NamedEntry]]:
    """Find an instance, and yield the folder to write to, the file, and the entry in it."""
    provider = data.provider_of(name)
    with data.folder.subfolder(provider) as folder:
        file = ProviderFile.read(folder, data.source(provider), provider)
        yield folder, file, file.find(name)


def _update(data: DataFolder, name: str, fields: Mapping[str, Any], *, may_refer: bool) -> str:
    new_name = fields.get("name")
    new_name = name if new_name is None else new_name
    if new_name != name:
        _check_name(new_name)
        _check_free_on_disk(data, new_name)
    with _open_entry(data, name) as (folder, file, entry):
        before = after = file.members_of(entry)
        for key, value in fields.items():
            after = _with_field(after, key, value, name, file.provider, may_refer=may_refer)
        if not may_refer:
            old, new = _decode(before), _decode(after)
            refuse_kept_headers_for_another_server(old, new, fields)
            refuse_kept_login_for_another_server(old, new, fields)
            if becomes_guarded(old, new, fields):
                after = _replace_value(after, ALLOW_PRIVATE, _to_raw(False))
        text = _encode(file.with_entry(entry, after), file.source)
        _check_reads_back(text, file.source, file.provider, new_name)
        folder.write(INSTANCE_FILE_NAME, text)
    return new_name


def _with_field(
    members: dict[str, Raw], key: str, value: Any, name: str, provider: str, *, may_refer: bool
) -> dict[str, Raw]:
    """Return an entry's members with one field of a change; null removes its key."""
    old = _decode(members)
    if key == "provider" and value != (old.get(key) or provider):
        raise _invalid("provider: cannot be changed; add a new instance and remove this one")
    if key == "provider" or (key == "name" and value in (None, name)):
        return members
    if value is None:
        return _replace_value(members, key, None)
    before = next((old[same] for same in _synonyms_of(key) if old.get(same) is not None), None)
    # Nothing here is masked when it is shown: an object like the mask means itself.
    value = value if key in _NEVER_SECRET else unmask(value, before, key)
    if not may_refer:
        refuse_new_references({key: value}, {key: before})
    return _replace_value(members, key, _to_raw(value))


def _remove(data: DataFolder, name: str) -> str:
    with _open_entry(data, name) as (folder, file, entry):
        members = file.without_entry(entry)
        if members is None:
            folder.remove(INSTANCE_FILE_NAME)
        else:
            folder.write(INSTANCE_FILE_NAME, _encode(members, file.source))
    if members is None:
        data.folder.remove_empty_folder(file.provider)
    return name


def _set_active(data: DataFolder, name: str, *, is_active: bool) -> str:
    # Not read back: an instance with a problem may be switched, off above all.
    with _open_entry(data, name) as (folder, file, entry):
        members = _replace_value(file.members_of(entry), "isActive", _to_raw(is_active))
        folder.write(INSTANCE_FILE_NAME, _encode(file.with_entry(entry, members), file.source))
    return name


def _synonyms_of(key: str) -> tuple[str, ...]:
    return next((keys for keys in _SYNONYMS if key in keys), (key,))


def _replace_value(members: Mapping[str, Raw], key: str, raw: Raw | None) -> dict[str, Raw]:
    """Return the members with another value for a key, in its old place; None removes the key."""
    synonyms, result = _synonyms_of(key), dict[str, Raw]()
    for old_key, value in members.items():
        if old_key not in synonyms:
            result[old_key] = value
        elif raw is not None and key not in result:
            result[key] = raw
    if raw is not None:
        result.setdefault(key, raw)
    return result


# --- Checks ----------------------------------------------------------------------------------


def _check_name(name: object) -> None:
    if not is_name(name):
        raise _invalid(f"name: {NAME_RULE}, got {quote_value(name)}")


def _check_provider(data: DataFolder, provider: str, in_entry: object) -> None:
    if not is_provider(provider):
        raise _invalid(f"provider: {PROVIDER_RULE}, got {quote_value(provider)}")
    if in_entry not in (None, provider):
        raise _invalid("provider: is not the one that the entry is to be added to")
    for other in data.providers():
        # Some file systems would take both for the same folder.
        if other != provider and other.casefold() == provider.casefold():
            raise _invalid(f"provider: '{provider}' differs from another one only in case")


def _check_free_on_disk(data: DataFolder, name: str) -> None:
    """Raise if a file holds an instance of this name."""
    # The core has refused names of the instances that it knows, early. This check, under the
    # lock, is for files that another process has changed since.
    taken_in = data.source_holding(name)
    if taken_in is not None:
        raise RpcError(ALREADY_EXISTS, f"Instance '{name}' already exists (in {taken_in})")


def _check_reads_back(text: bytes, source: str, provider: str, name: str) -> None:
    """Raise unless the file, read as at start-up, holds this instance with no problem."""
    members = decode_object(text, source)
    for _, found in read_entries(members, source, provider, Expander(None)):
        if isinstance(found, ConfigError) or found.name != name:
            continue
        if found.problem is not None:
            raise _invalid(problem_of(found).problem)
        return
    raise _invalid(f"{source} would not hold an instance '{name}'")


# --- JSON ------------------------------------------------------------------------------------


_NOT_JSON: Final = (TypeError, ValueError, OverflowError, RecursionError)
"""Raised for values that JSON cannot hold, such as lone surrogates, or that are nested deeply."""


def _encode(members: Mapping[str, Any], source: str) -> bytes:
    """Return the text of a file; values that are `Raw` differ in white space only."""
    try:
        text = msgspec.json.format(msgspec.json.encode(members), indent=2) + b"\n"
    except _NOT_JSON:
        raise _invalid("The entry cannot be written as JSON") from None
    if len(text) > FILE_LIMIT_BYTES:
        raise _invalid(f"{source} would be larger than {FILE_LIMIT_BYTES // (1024 * 1024)} MB")
    return text


def _to_raw(value: object) -> Raw:
    try:
        return Raw(msgspec.json.encode(value))
    except _NOT_JSON:
        raise _invalid("The entry cannot be written as JSON") from None


def _decode(members: Mapping[str, Raw]) -> dict[str, Any]:
    return {key: msgspec.json.decode(raw) for key, raw in members.items()}
