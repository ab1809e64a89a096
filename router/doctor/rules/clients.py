"""Judges how the clients of this machine are linked to the router.

Invariant: no finding quotes a header or a variable of a client.
"""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from router.client_files.clients.table import CLIENTS
from router.config.profiles import DEFAULT_VIEWS
from router.core.text.nearest_names import did_you_mean
from router.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.client_files.reading.found import FoundServer
    from router.doctor.facts import Facts

_OUR_NAMES: Final = frozenset({"mcp-router", "mcp_router", "mcprouter", "router"})
"""Names under which clients have a router."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PATHS: Final = ("mcp", "sse")


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each link that leads nowhere, and one if there is no link at all."""
    is_linked = False
    for file in facts.clients:
        if file.problem is not None:
            fix = (
                f"correct it; until then, {file.title} cannot read it, and nothing here changes it"
            )
            yield Finding("warning", "clients", str(file.path), file.problem, fix)
        for server in file.servers:
            if _is_router(server, facts):
                is_linked = True
                yield from _judge_link(server, facts)
    if not is_linked:
        names = ", ".join(sorted({file.title for file in facts.clients if file.title}))
        problem = "no client of this machine is linked to this router"
        there_are = f"; of those here: {names}" if names else ""
        fix = f"mcp-router install CLIENT{there_are}"
        yield Finding("note", "clients", "clients", problem, fix)


def _is_router(server: FoundServer, facts: Facts) -> bool:
    """Return whether a server in the file of a client is, or was meant to be, this router."""
    if _runs_router(server.entry):
        return _config_in(server.entry) in (None, facts.config.resolve())
    url = _url(server.entry)
    if url is None:
        return False
    host, port, steps = url
    is_ours = server.name.lower() in _OUR_NAMES or port in _live_ports(facts)
    hosts = {*_LOOPBACK, facts.settings.server.host.strip("[]")}
    return is_ours and host in hosts and bool(steps) and steps[0] in _PATHS


def _runs_router(entry: dict[str, Any]) -> bool:
    words = _words(entry)
    is_program = any(
        os.path.basename(word).removesuffix(".exe") == "mcp-router" for word in words[:2]
    )
    return is_program or words[1:3] == ["-m", "router"]


def _config_in(entry: dict[str, Any]) -> Path | None:
    """Return the config file that a command of the router names."""
    for word, following in pairwise(_words(entry)):
        if word in ("-c", "--config"):
            return Path(following).expanduser().resolve()
    return None


def _words(entry: dict[str, Any]) -> list[str]:
    return [str(entry.get("command", "")), *map(str, entry.get("args", ()))]


def _judge_link(server: FoundServer, facts: Facts) -> Iterator[Finding]:
    where = f"{server.path}: {server.place}"
    title = next((one.title for one in CLIENTS if one.name == server.client), server.client)
    again = f"mcp-router install {server.client}" if server.client else "correct it"
    for problem in _problems(server, title, facts):
        yield Finding("error", "clients", where, problem, again)


def _problems(server: FoundServer, title: str, facts: Facts) -> Iterator[str]:
    url = _url(server.entry)
    if url is None:
        yield from _problems_of_command(server.entry, facts)
        return
    _, port, steps = url
    if port not in _live_ports(facts):
        live = " and ".join(map(str, sorted(_live_ports(facts))))
        yield f"leads {title} to port {port}, and this router is at {live}"
    if len(steps) > 1:
        yield from _problems_of_view(steps[1], facts, others=())
    speaks = next((one.speaks for one in CLIENTS if one.name == server.client), None)
    if speaks is not None and not speaks - {"stdio"}:
        yield f"is a URL, and {title} starts commands alone"
    headers = {str(name).lower() for name in server.entry.get("headers", {})}
    if facts.settings.security.has_token and "authorization" not in headers:
        yield "sends no token, and this router asks for one"


def _problems_of_command(entry: dict[str, Any], facts: Facts) -> Iterator[str]:
    command = str(entry["command"])
    if os.path.dirname(command) and not os.path.isfile(command):
        yield f"starts {command}, which is not there"
    elif shutil.which(command) is None:
        yield f"starts {command}, which is not on the PATH"
    for word, following in pairwise(_words(entry)):
        if word == "--view":
            yield from _problems_of_view(following, facts, others=DEFAULT_VIEWS)


def _problems_of_view(name: str, facts: Facts, others: tuple[str, ...]) -> Iterator[str]:
    names = (*facts.settings.profiles, *(spec.name for spec in facts.specs))
    if name not in (*names, *others):
        yield f"asks for the view '{name}', which is not there{did_you_mean(name, names)}"


def _live_ports(facts: Facts) -> frozenset[int]:
    """Return the ports at which this router serves MCP, or would serve it."""
    server = facts.settings.server
    routers = {process.pid for process in facts.own_processes}
    held = {owner.port for owner in facts.owners if owner.pid in routers}
    return frozenset({server.http.port, server.sse.port} | held) - {0, facts.settings.api.port}


def _url(entry: dict[str, Any]) -> tuple[str, int, list[str]] | None:
    """Return the host, the port and the steps of the path of an entry's URL."""
    try:
        parts = urlsplit(str(entry.get("url", "")))
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    if parts.hostname is None or port is None:
        return None
    return parts.hostname, port, [unquote(step) for step in parts.path.split("/") if step]
