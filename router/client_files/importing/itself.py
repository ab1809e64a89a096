"""Recognises the router itself among the servers of clients, by its URL or its command. Pure."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.config.settings import Settings

_PROGRAM: Final = "mcp-router"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0", "::"})
_FIRST_STEPS: Final = frozenset({"mcp", "sse"})
"""The first steps in the paths of places where the router listens."""

_LAUNCHERS: Final = frozenset(
    {
        *("uvx", "uv", "pipx", "poetry", "pdm", "hatch", "docker", "podman"),
        *("env", "nice", "sudo", "sh", "bash", "zsh", "cmd", "wsl"),
    }
)
"""Programs that start another one. Those of npm have packages that are not ours: a package of our
name there is another program."""

_MODULES: Final = ("router", "mcp_router_entry_point")
_PROGRAM_FOLDERS: Final = frozenset({"bin", "scripts"})


class OwnAddresses(Struct, frozen=True):
    """The addresses at which this router listens.

    Attributes:
        hosts: names that lead to it.
        ports: of its listeners.
    """

    hosts: frozenset[str] = _LOOPBACK
    ports: frozenset[int] = frozenset()

    @classmethod
    def from_settings(cls, settings: Settings) -> OwnAddresses:
        """Return the addresses that `config.json` names."""
        server = settings.server
        hosts = {host.partition(":")[0] for host in server.allowed_hosts}
        ports = frozenset({server.http.port, server.sse.port})
        return cls(_LOOPBACK | {server.host} | hosts, ports)

    def has(self, url: str, *, at_any_port: bool = False) -> bool:
        """Return whether a URL leads to a place of this router.

        Args:
            url: to be looked at.
            at_any_port: True if it may have listened at another port than `config.json` names.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            return False
        is_place = parts.path.strip("/").partition("/")[0] in _FIRST_STEPS
        is_own_port = at_any_port or port in self.ports or parts.hostname not in _LOOPBACK
        return is_place and is_own_port and parts.hostname in self.hosts


def is_router_itself(entry: Mapping[str, Any], own: OwnAddresses, name: str = "") -> bool:
    """Return whether an entry starts this program, or leads to this router, if by a bridge.

    Args:
        entry: in the router's keys.
        own: the addresses of this router.
        name: of the server; with the name that `install` gives to the router, any port is its own.
    """
    if "url" in entry:
        return own.has(entry["url"], at_any_port=name == _PROGRAM)
    command, args = entry.get("command", ""), entry.get("args", [])
    if any(own.has(arg) for arg in args if "://" in arg):
        return True
    return _runs_program([command, *args])


def _runs_program(words: Sequence[str]) -> bool:
    first = _program(words[0])
    if first == _PROGRAM:
        return True
    is_python = first.startswith(("python", "py"))
    if not is_python and first not in _LAUNCHERS:
        return False  # its arguments are not programs, but may be folders of our name
    pairs = list(itertools.pairwise(words))
    if any(("-m", module) in pairs for module in _MODULES):
        return True
    return any(_program(word) == _PROGRAM and _is_no_folder(word) for word in words)


def _is_no_folder(word: str) -> bool:
    """Return whether a word is a name, or a path below a folder for programs."""
    steps = re.split(r"[\\/]", word)
    return len(steps) == 1 or steps[-2].lower() in _PROGRAM_FOLDERS


def _program(word: str) -> str:
    """Return the name of a program, or of a package such as `mcp-router[otel]==2.0`."""
    name = re.split(r"[\\/]", word)[-1].lower().removesuffix(".exe")
    return re.split(r"[\[=<>~@ ]", name, maxsplit=1)[0]
