"""Reads the files of clients on this machine, and single files that a person names.

Invariants: nothing is written; a file that cannot be read or understood fails nothing but itself.
All functions block on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from router.client_files.clients.client import ANY_KEY, ClientFile, Dialect
from router.client_files.clients.table import CLIENTS, client_named, files_of
from router.client_files.reading.entries import Origin, read_server
from router.client_files.reading.tables import decode, servers_in
from router.files.json_files import read_bytes
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from router.client_files.clients.client import Client, FileFormat, Machine
    from router.client_files.reading.found import FoundServer

FILE_LIMIT_BYTES: Final = 64 * 1024 * 1024
"""Claude Code keeps its history in the same file, which grows to some megabytes."""

_TABLES: Final[dict[tuple[str, ...], str]] = {
    ("mcpServers",): "",
    ("servers",): "",
    ("context_servers",): "zed",
    ("mcp_servers",): "codex",
    ("mcp", "servers"): "",
    ("mcp",): "opencode",
    ("projects", ANY_KEY, "mcpServers"): "claude-code",
}
"""Keys of tables in files that belong to no known client -> the client that writes them so."""

_ENTRY_KEYS: Final = ("command", "url", "httpUrl", "serverUrl")


@attrs.frozen
class ReadFile:
    """The servers of one file.

    Attributes:
        path: the file.
        title: the client, for people; empty for a file that belongs to none.
        servers: in the order of the file.
        problem: the reason why it could not be read; None if it could.
    """

    path: Path
    title: str
    servers: tuple[FoundServer, ...] = ()
    problem: str | None = None


def read_clients(clients: Iterable[Client], machine: Machine) -> list[ReadFile]:
    """Return the files of clients that are there, in the order of clients."""
    return [
        file
        for client in clients
        for path, tables in _by_path(files_of(client, machine)).items()
        if (file := _read(path, client.title, tables)) is not None
    ]


def read_file(path: Path, machine: Machine) -> ReadFile:
    """Return the servers of a file that a person names, in the format of whatever client.

    Raises:
        FileNotFoundError: there is no such file.
    """
    tables = _tables_like(path, machine)
    if tables:
        client = client_named(tables[0].client)
        read = _read(path, client.title, tables)
    else:
        read = _read(path, "", [])
    if read is None:
        raise FileNotFoundError(2, "there is no such file", str(path))
    return read


def _by_path(files: Iterable[ClientFile]) -> dict[Path, list[ClientFile]]:
    """Return the tables by their files, each table once.

    In the home folder, the file for all projects is in the place of a project's as well.
    """
    paths: dict[Path, dict[tuple[str, ...], ClientFile]] = {}
    for file in files:
        paths.setdefault(file.path, {}).setdefault(file.servers_at, file)
    return {path: list(tables.values()) for path, tables in paths.items()}


def _read(path: Path, title: str, tables: list[ClientFile]) -> ReadFile | None:
    """Return the servers in the tables of a file, or in all tables if none are given.

    Returns:
        None if there is no such file.
    """
    place, kind = str(path), _format_of(path)
    try:
        data = read_bytes(path, place, FILE_LIMIT_BYTES)
        members = decode(data, place, kind) if data.strip() else {}
        servers = (
            tuple(server for table in tables for server in servers_in(members, table))
            if tables
            else tuple(_servers_anywhere(members, path))
        )
    except FileNotFoundError:
        return None
    except ConfigError as exc:
        return ReadFile(path, title, problem=str(exc).removeprefix(f"{place}: "))
    return ReadFile(path, title, servers)


def _format_of(path: Path) -> FileFormat:
    return "toml" if path.suffix == ".toml" else "json"


def _tables_like(path: Path, machine: Machine) -> list[ClientFile]:
    """Return the tables of the client whose files have this path, or end in the same names.

    So `other/project/.cursor/mcp.json` is read as Cursor's, and `other/.mcp.json` as Claude Code's.
    """
    files = [file for client in CLIENTS for file in files_of(client, machine)]
    same = [file for file in files if file.path == path]
    alike = [file for file in files if _tail(file.path) == _tail(path) != ()]
    # Elsewhere than at home, such a file is that of a project.
    alike.sort(key=lambda file: file.project is None)
    found = same or [file for file in alike if file.path == alike[0].path]
    once = [file for tables in _by_path(found).values() for file in tables]
    return [attrs.evolve(file, path=path, project=_project_of(file, path)) for file in once]


def _tail(path: Path) -> tuple[str, ...]:
    """Return the last names of a path by which a file of a client is recognised, if there are."""
    if path.name.startswith("."):
        return path.parts[-1:]
    return path.parts[-2:] if path.parent.name.startswith(".") else ()


def _project_of(file: ClientFile, path: Path) -> Path | None:
    """Return the folder of the project for a file like that of a client."""
    if file.project is None or file.path == path:
        return file.project
    depth = len(file.path.relative_to(file.project).parts)
    return path.parents[depth - 1]


def _servers_anywhere(members: dict[str, Any], path: Path) -> Iterator[FoundServer]:
    """Yield the servers of a file of unknown format, or the only one that it consists of.

    Raises:
        ConfigError: there are none.
    """
    is_found = False
    for servers_at, client in _TABLES.items():
        if not _has(members, servers_at):
            continue
        dialect = client_named(client).dialect if client else Dialect()
        file = ClientFile("", path, "user", _format_of(path), servers_at)
        for server in servers_in(members, file, dialect):
            is_found = True
            yield server
    if not is_found and any(key in members for key in _ENTRY_KEYS):
        name = members.get("name")
        written = name if isinstance(name, str) and name else path.parent.name
        yield read_server(written, members, Origin("", Dialect(), path, "user", ""))
    elif not is_found and not any(_has(members, keys) for keys in _TABLES):
        known = ", ".join(".".join(keys) for keys in _TABLES)
        raise ConfigError(str(path), f"there are no servers in it; expected one of {known}")


def _has(members: dict[str, Any], keys: tuple[str, ...]) -> bool:
    """Return whether a file has an object of objects at these keys."""
    value: Any = members
    for key in keys:
        if key == ANY_KEY:
            return isinstance(value, dict)
        value = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
    return isinstance(value, dict)
