"""Finds files of the router that other users of the machine may read.

Invariants: only reads, and follows no link inside `data/` and `logs/`. Windows, whose files have no
such modes, has none.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any, Final, cast

from router.doctor.facts import ReadableFile
from router.doctor.rules.tokens import client_secrets_of, is_literal, tokens_of
from router.files.json_files import decode_object, quote_key, read_bytes
from router.files.names import INSTANCE_FILE_NAME
from router.instance_files.reader import FILE_LIMIT_BYTES, folders_in
from router.messages.commands import OUTER_KEYS
from router.messages.errors import ConfigError
from router.references.expander import is_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from router.config.options import Paths
    from router.config.settings import Settings

_SECRET_NAME: Final = re.compile(r"token|key|secret|password|auth", re.IGNORECASE)
_LOG_FILES: Final = ("*.txt", "*.jsonl*")


def find_readable(paths: Paths, written: Settings) -> tuple[ReadableFile, ...]:
    """Return the files that others may read, with the places of literal secrets in them.

    Args:
        paths: of the router.
        written: the settings as they are written.
    """
    return tuple(_find(paths, written)) if hasattr(os, "geteuid") else ()


def _find(paths: Paths, written: Settings) -> Iterator[ReadableFile]:
    if others_may_read(paths.config):
        tokens = tokens_of(written.security) | client_secrets_of(written.security)
        places = tuple(f"security.{key}" for key, token in tokens.items() if is_literal(token))
        yield ReadableFile("config", paths.config, places)
    if others_may_read(paths.secrets):
        yield ReadableFile("secrets", paths.secrets)
    for path in _instance_files(paths.data):
        if others_may_read(path):
            yield ReadableFile("instances", path, tuple(_literal_secrets(path)))
    for pattern in _LOG_FILES:
        for path in sorted(paths.logs.glob(pattern)):
            if others_may_read(path):
                yield ReadableFile("log", path)


def others_may_read(path: Path) -> bool:
    """Return whether users other than the owner (and root) may read a file."""
    try:
        status = os.stat(path)
        folders = [os.stat(folder).st_mode for folder in path.absolute().parents]
    except OSError:
        return False
    return allows_others(status.st_mode, folders, is_private_group=_is_private_group(status))


def allows_others(mode: int, folders: Iterable[int], *, is_private_group: bool) -> bool:
    """Return whether a mode lets others read, who have to enter all folders of these modes first.

    Args:
        mode: of the file.
        folders: the modes of all folders that lead to it.
        is_private_group: True if its group is its owner's alone.
    """
    folders = tuple(folders)
    if mode & stat.S_IROTH and all(folder & stat.S_IXOTH for folder in folders):
        return True
    is_for_group = bool(mode & stat.S_IRGRP) and not is_private_group
    return is_for_group and all(folder & (stat.S_IXGRP | stat.S_IXOTH) for folder in folders)


def _is_private_group(status: os.stat_result) -> bool:
    """Return whether the group of a file is that of its owner alone, as many systems have it."""
    import grp
    import pwd

    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}


def _instance_files(data: Path) -> list[Path]:
    try:
        return [data / folder / INSTANCE_FILE_NAME for folder in folders_in(data)]
    except (ConfigError, OSError):
        return []


def _literal_secrets(path: Path) -> Iterator[str]:
    """Yield the places in a file of instances that hold a secret and no reference."""
    try:
        members = decode_object(read_bytes(path, path.name, FILE_LIMIT_BYTES), path.name)
    except (ConfigError, OSError):
        return
    outer = [key for key in OUTER_KEYS if isinstance(members.get(key), dict)]
    entries: dict[str, Any] = {"": members} if not outer else {}
    for key in outer:
        entries |= {f"{key}.{quote_key(name)}.": entry for name, entry in members[key].items()}
    for place, entry in entries.items():
        for table in ("env", "headers"):
            values = cast("dict[str, Any]", entry).get(table) if isinstance(entry, dict) else None
            if not isinstance(values, dict):
                continue
            for name, value in cast("dict[str, Any]", values).items():
                is_text = isinstance(value, str) and value and not is_reference(value, bare=True)
                if is_text and _SECRET_NAME.search(name):
                    yield f"{place}{table}.{quote_key(name)}"
