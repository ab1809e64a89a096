"""Finds the places in `config.json` and `data/` that refer to secrets and variables.

Invariant: a file that cannot be read or understood has no place; other commands report it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from router.files.json_files import read_bytes, strings_in
from router.files.jsonc.document import parse_jsonc
from router.files.names import INSTANCE_FILE_NAME
from router.instance_files.reader import FILE_LIMIT_BYTES, folders_in, source_of
from router.messages.errors import ConfigError
from router.references.expander import secret_names_in, variable_names_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def find_secret_uses(config: Path, data_dir: Path) -> dict[str, tuple[str, ...]]:
    """Return the names in `${secret:NAME}`, each with its places.

    Args:
        config: the path of `config.json`.
        data_dir: the folder of providers.
    """
    return _find_uses(config, data_dir, secret_names_in)


def find_variable_uses(config: Path, data_dir: Path) -> dict[str, tuple[str, ...]]:
    """Return the names in `${VAR}` and `${env:VAR}` without a default, each with its places."""
    return _find_uses(config, data_dir, variable_names_in)


def _find_uses(
    config: Path, data_dir: Path, names_in: Callable[[str], list[str]]
) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for path, source in _files(config, data_dir):
        for place, text in strings_in(_members(path, source), ""):
            for name in names_in(text):
                places = found.setdefault(name, [])
                if f"{source}: {place}" not in places:
                    places.append(f"{source}: {place}")
    return {name: tuple(places) for name, places in found.items()}


def _files(config: Path, data_dir: Path) -> Iterator[tuple[Path, str]]:
    yield config, config.name
    try:
        folders = folders_in(data_dir)
    except (ConfigError, FileNotFoundError):
        return
    for folder in folders:
        yield data_dir / folder / INSTANCE_FILE_NAME, source_of(data_dir, folder)


def _members(path: Path, source: str) -> dict[str, Any]:
    """Return the members of a file, which may have comments as `config.json` may."""
    try:
        value = parse_jsonc(read_bytes(path, source, FILE_LIMIT_BYTES), source).value
    except (ConfigError, FileNotFoundError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
