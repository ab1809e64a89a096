"""Finds the tables of servers in the content of a file, and reads each server.

Invariants: pure; a mistake in one server never affects another.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from router.client_files.clients.client import ANY_KEY, ClientFile, Dialect
from router.client_files.clients.table import client_named
from router.client_files.reading.entries import Origin, read_server
from router.files.json_files import kind_of, quote_key
from router.files.jsonc.document import parse_jsonc
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from router.client_files.clients.client import FileFormat
    from router.client_files.reading.found import FoundServer

_KEYS_OF_A_SERVER = frozenset({"type", "command", "url"})


def decode(data: bytes, place: str, file_format: FileFormat) -> dict[str, Any]:
    """Return the members of a file.

    Args:
        data: the content of the file.
        place: the file's name in messages.
        file_format: of the content.

    Raises:
        ConfigError: it does not parse, or is no object.
    """
    value = _decode_toml(data, place) if file_format == "toml" else _decode_json(data, place)
    if not isinstance(value, dict):
        raise ConfigError(place, f"expected an object, got {kind_of(value)}")
    return cast("dict[str, Any]", value)


def _decode_json(data: bytes, place: str) -> Any:
    # Claude Code's file has megabytes of history: most files need no reader of comments.
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return parse_jsonc(data, place).value


def _decode_toml(data: bytes, place: str) -> Any:
    try:
        return tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError:
        raise ConfigError(place, "is not UTF-8; save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise ConfigError(place, f"invalid TOML: {exc}") from None


def servers_in(
    members: Mapping[str, Any], file: ClientFile, dialect: Dialect | None = None
) -> Iterator[FoundServer]:
    """Yield the servers of one table of a file.

    Args:
        members: of the file.
        file: says where the table is.
        dialect: the way in which servers are written; that of the client if it is not given.

    Raises:
        ConfigError: there is something else in the place of the table.
    """
    dialect = dialect or client_named(file.client).dialect
    defaults = _defaults_of_inputs(members)
    for keys, table, project in _tables(members, file):
        if not isinstance(table, dict):
            problem = f"expected an object, got {kind_of(table)}"
            raise ConfigError(f"{file.path}: {path_of(keys)}", problem)
        for name, entry in cast("dict[str, Any]", table).items():
            # A lone surrogate would be no text for whoever shows the place.
            place = path_of((*keys, name)).encode(errors="replace").decode()
            yield read_server(
                name,
                entry,
                Origin(
                    client=file.client,
                    dialect=dialect,
                    path=file.path,
                    scope=file.scope,
                    place=place,
                    project=project,
                    defaults=defaults,
                ),
            )


def path_of(keys: Sequence[str]) -> str:
    """Return a path of keys as messages name it, such as `projects."/home/me".mcpServers`."""
    return ".".join(
        f'"{quote_key(key)}"' if set("./\\ ") & set(key) else quote_key(key) for key in keys
    )


def _tables(
    members: Mapping[str, Any], file: ClientFile
) -> Iterator[tuple[tuple[str, ...], object, Path | None]]:
    """Yield the tables that the keys lead to, with their keys and the folder of their project."""
    found: list[tuple[tuple[str, ...], object, Path | None]] = [((), members, file.project)]
    for step in file.servers_at:
        found = [
            ((*keys, key), value, Path(key) if step == ANY_KEY else project)
            for keys, inner, project in found
            if isinstance(inner, dict)
            for key, value in cast("dict[str, Any]", inner).items()
            if (step in (ANY_KEY, key)) and value is not None
        ]
    is_opencode = file.servers_at[:1] == ("mcp",)
    for keys, table, project in found:
        if not is_opencode or has_version_2(members["mcp"]) == (len(keys) > 1):
            yield keys, table, project


def has_version_2(mcp: object) -> bool:
    """Return whether `mcp` of opencode holds its servers in `servers`.

    In version 1, `servers` would be a server of that name.
    """
    servers = cast("dict[str, Any]", mcp).get("servers") if isinstance(mcp, dict) else None
    return isinstance(servers, dict) and not _KEYS_OF_A_SERVER & set(
        cast("dict[str, Any]", servers)
    )


def _defaults_of_inputs(members: Mapping[str, Any]) -> dict[str, str]:
    """Return the values that VS Code would offer for its inputs, but for passwords."""
    inputs = members.get("inputs")
    defaults: dict[str, str] = {}
    for one in cast("list[Any]", inputs) if isinstance(inputs, list) else []:
        row = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        key, default = row.get("id"), row.get("default")
        if isinstance(key, str) and isinstance(default, str) and row.get("password") is not True:
            defaults[key] = default
    return defaults
