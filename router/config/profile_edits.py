"""Writes one change of a profile to `config.json`: puts or removes it.

Invariants:

- The changed file is written only if start-up would read it with no problem. On any problem
  nothing is written.
- Between reading and writing, the lock of the file's folder is held: no change that another router
  makes in this way is lost.
- Nothing but the profile concerned changes: every other byte stays, comments as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from router.config.profiles import DEFAULT_VIEWS
from router.config.settings import CONFIG_LIMIT_BYTES, settings_of
from router.files.json_files import read_bytes
from router.files.jsonc.document import parse_jsonc
from router.files.jsonc.edits import remove, set_member
from router.files.safe_folder import SafeFolder, locked
from router.messages.errors import INSTANCE_NOT_FOUND, INVALID_PARAMS, ConfigError, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from router.files.jsonc.document import JsoncDocument
    from router.messages.instances.exposure import Profile


class SavedProfile(Struct, frozen=True):
    """A change that is on disk.

    Attributes:
        was_there: True if the file had a profile of this name before.
        profile: as the file has it now; None if it was removed.
    """

    was_there: bool
    profile: Profile | None


def save_profile(path: Path, name: str, value: Mapping[str, Any] | None) -> SavedProfile:
    """Put a profile safely to disk, in the place of one of the same name, or remove it.

    Blocks on disk: not for the event loop.

    Args:
        path: of `config.json`.
        name: of the profile.
        value: the profile as it is to stand in the file; None removes it.

    Raises:
        RpcError: -32010, there is no such profile to remove; -32602, the file would have a mistake
            with this change; nothing was changed.
        ConfigError: the file is missing or broken already; nothing was changed.
        OSError: the file could not be written, and is as it was.
    """
    file = path.name
    with SafeFolder.open(path.parent) as folder, locked(folder):
        try:
            before = read_bytes(path, file, CONFIG_LIMIT_BYTES)
        except FileNotFoundError:
            raise ConfigError(file, "is gone") from None
        settings = settings_of(before, file)
        was_there = name in settings.profiles
        if value is None and not was_there:
            raise no_such_profile(name, settings.profiles)
        if name == settings.server.view and name in DEFAULT_VIEWS and (value is None) == was_there:
            # Everybody at the default place would see something else at once.
            problem = f'{file}: server.view is "{name}", and would be another view with this change'
            raise RpcError(INVALID_PARAMS, f"{problem}; change server.view first")
        text = _with_profile(parse_jsonc(before, file), name, value)
        try:
            after = settings_of(text, file)
        except ConfigError as exc:
            problem = f"Profile '{name}' is in use: {exc}" if value is None else str(exc)
            raise RpcError(INVALID_PARAMS, problem) from None
        if len(text) > CONFIG_LIMIT_BYTES:
            limit_mb = CONFIG_LIMIT_BYTES // (1024 * 1024)
            raise RpcError(INVALID_PARAMS, f"{file} would be larger than {limit_mb} MB")
        folder.write(file, text)
    return SavedProfile(was_there, after.profiles.get(name))


def no_such_profile(name: str, profiles: Iterable[str]) -> RpcError:
    """Return the error for a profile that is not there; it names those there are."""
    available = ", ".join(f"'{one}'" for one in profiles) or "none"
    return RpcError(
        INSTANCE_NOT_FOUND, f"Profile not found: {name}. Available profiles: {available}"
    )


def _with_profile(file: JsoncDocument, name: str, value: Mapping[str, Any] | None) -> bytes:
    """Return the text of the file with a profile, or without it."""
    if value is None:
        return remove(file, ["profiles", name]).data
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # A lone surrogate, a number that is too large, or too deep nesting.
        raise RpcError(INVALID_PARAMS, "The profile cannot be written as JSON") from None
    return set_member(file, ["profiles", name], dict(value)).data
