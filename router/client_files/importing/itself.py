"""Recognises the router itself among the servers of clients, by its URL or its command. Pure."""

from __future__ import annotations

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

_NPM: Final = frozenset({"npx", "bunx", "npm", "pnpm", "yarn", "bun", "deno"})
"""Programs whose packages are not ours: a package of our name there is another program."""


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
    if first in _NPM:
        return False
    if first.startswith(("python", "py")) and list(words[1:3]) in (
        ["-m", "router"],
        ["-m", "mcp_router_entry_point"],
    ):
        return True
    return any(_program(word) == _PROGRAM for word in words)


def _program(word: str) -> str:
    """Return the name of a program, or of a package such as `mcp-router[otel]==2.0`."""
    name = re.split(r"[\\/]", word)[-1].lower().removesuffix(".exe")
    return re.split(r"[\[=<>~@ ]", name, maxsplit=1)[0]
