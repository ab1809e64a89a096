"""Describes a client of MCP: where its files are, and how it writes a server into them. Data only.

`table` has a `Client` for each client that is known.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Platform: TypeAlias = Literal["linux", "darwin", "win32"]
"""The values of `sys.platform` that make a difference to clients; every other Unix is "linux"."""

Transport: TypeAlias = Literal["stdio", "http", "sse"]
Scope: TypeAlias = Literal["user", "project"]
FileFormat: TypeAlias = Literal["json", "toml"]
TimeoutUnit: TypeAlias = Literal["s", "ms"]

ANY_KEY: Final = "*"
"""In `ClientFile.servers_at`, stands for every key of an object, such as the path of a project."""


@attrs.frozen
class Machine:
    """All that the places of files depend on, as data.

    Attributes:
        platform: the system.
        environ: the environment of the user.
        home: the user's home folder.
        cwd: the folder of the project, for files of scope "project".
    """

    platform: Platform
    environ: Mapping[str, str] = attrs.field(repr=False)
    home: Path
    cwd: Path

    @classmethod
    def this_one(cls) -> Machine:
        """Return the machine of this process."""
        known: dict[str, Platform] = {"darwin": "darwin", "win32": "win32"}
        platform = known.get(sys.platform, "linux")
        return cls(platform, dict(os.environ), Path.home(), Path.cwd())


@attrs.frozen
class ClientFile:
    """One table of servers in one file. A file with several tables has as many of these.

    Attributes:
        client: the name of the client.
        path: absolute; the file need not exist.
        scope: "user" for all projects, "project" for one.
        format: "json" may have comments and trailing commas.
        servers_at: the keys that lead to the object of servers by name, with `ANY_KEY`.
        project: the folder of the project; None for all projects, or where the keys name it.
    """

    client: str
    path: Path
    scope: Scope
    format: FileFormat
    servers_at: tuple[str, ...]
    project: Path | None = None


@attrs.frozen
class Dialect:
    """The way in which a client writes a server.

    Attributes:
        url_key: holds the URL of a server that speaks streamable HTTP.
        bare_url: the transport that a `url` without a `type` stands for; with "http", HTTP+SSE
            is tried as well.
        types: transport -> the value of `type`; without a transport, no `type` is written.
        command_is_array: True if `command` holds the arguments as well.
        env_key: holds the variables of a process.
        headers_at: the keys that lead to the headers of a URL.
        reference: a reference to the environment variable NAME; None if the client has none.
        timeout_key: holds the time for one call; None if there is no such key.
        timeout_unit: the unit of that time.
        expands_dollar_names: True if `$NAME` is a reference wherever it stands.
    """

    url_key: str = "url"
    bare_url: Transport = "http"
    types: Mapping[str, str] = attrs.field(factory=dict[str, str])
    command_is_array: bool = False
    env_key: str = "env"
    headers_at: tuple[str, ...] = ("headers",)
    reference: str | None = None
    timeout_key: str | None = None
    timeout_unit: TimeoutUnit = "s"
    expands_dollar_names: bool = False

    def reference_to(self, name: str) -> str | None:
        """Return a reference to an environment variable, if the client has references."""
        return None if self.reference is None else self.reference.replace("NAME", name)


@attrs.frozen
class Client:
    """A program that uses MCP servers.

    Attributes:
        name: as it is written on the command line.
        title: as its users know it.
        files: returns its files on a machine, the first to be written to before the others. Of
            two servers with the same name, the one in the earlier file of a scope counts.
        speaks: the transports by which it reaches a server.
        dialect: the way in which it writes a server.
        family: another name, which stands for several clients; empty for none.
    """

    name: str
    title: str
    files: Callable[[Machine], tuple[ClientFile, ...]] = attrs.field(repr=False)
    speaks: frozenset[Transport]
    dialect: Dialect
    family: str = ""
