"""Reads and changes `pins.json`, the file of approved tools beside `config.json`. Blocks on disk.

Invariants:

- A file that cannot be understood is neither used nor replaced: what was approved would be lost.
- It is replaced in one step while the lock of its folder is held, and only the tools that a change
  names are changed. So two routers of one folder do not undo each other's approvals.
- Nobody but its owner may read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from router.files.safe_folder import NEW_FOLDER_MODE, SafeFolder, locked
from router.messages.catalog import ApprovedTool
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

VERSION: Final = 1

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Thousands of tools take a few megabytes."""

_WAY_OUT: Final = (
    "put back a copy of it, or remove it to have all tools approved as they are now; "
    "then reload the router"
)


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    instances: dict[str, dict[str, ApprovedTool]]


_decoder: Final = msgspec.json.Decoder(_File)


def approved_forms(
    tools: Mapping[str, Mapping[str, bytes | None]], digest_of: Callable[[bytes], str]
) -> dict[str, dict[str, ApprovedTool | None]]:
    """Return tools, given as JSON by instance and name, as the file has them."""
    return {
        instance: {
            name: None if raw is None else ApprovedTool(digest_of(raw), Raw(raw))
            for name, raw in those.items()
        }
        for instance, those in tools.items()
    }


def read_pins(path: Path) -> dict[str, dict[str, ApprovedTool]]:
    """Return the approved tools, by instance and name; nothing where there is no file.

    Raises:
        ConfigError: the file cannot be read or understood.
    """
    try:
        with SafeFolder.open(path.parent) as folder:
            return _read(folder, path)
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise ConfigError(path.name, f"cannot be read: {exc.strerror or exc}") from None


def change_pins(path: Path, changes: Mapping[str, Mapping[str, ApprovedTool | None]]) -> None:
    """Save approved tools; None for a tool that is to be forgotten.

    Raises:
        ConfigError: the file that is there cannot be understood.
        OSError: the file could not be written; it is as it was.
    """
    path.parent.mkdir(NEW_FOLDER_MODE, parents=True, exist_ok=True)
    with SafeFolder.open(path.parent) as folder, locked(folder):
        try:
            instances = _read(folder, path)
        except FileNotFoundError:
            instances = {}
        for instance, tools in changes.items():
            kept = instances.get(instance, {}) | dict(tools)
            instances[instance] = {name: one for name, one in kept.items() if one is not None}
        # Not laid out for people: tools are kept as the bytes that their servers sent.
        folder.write(path.name, msgspec.json.encode(_File(VERSION, instances)) + b"\n")


def _read(folder: SafeFolder, path: Path) -> dict[str, dict[str, ApprovedTool]]:
    data = folder.read(path.name, MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        problem = f"is larger than {MAX_FILE_BYTES // (1024 * 1024)} MB"
        raise ConfigError(path.name, f"{problem}; {_WAY_OUT}")
    try:
        data.decode("utf-8")  # msgspec checks the syntax of raw parts, but not their UTF-8
        file = _decoder.decode(data)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as exc:
        raise ConfigError(path.name, f"cannot be understood ({exc}); {_WAY_OUT}") from None
    if file.version != VERSION:
        problem = f"has the version {file.version}, not {VERSION}"
        raise ConfigError(path.name, f"{problem}; {_WAY_OUT}")
    return file.instances
