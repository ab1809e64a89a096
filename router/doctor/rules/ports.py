"""Judges who holds the ports that the router listens on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.config.settings import Settings
    from router.doctor.facts import Facts, PortOwner

_SHOWN_CHARACTERS: Final = 60


class _Wanted(Struct, frozen=True):
    """A port that a router with these settings takes."""

    section: str
    port: int
    looks_further: bool


def wanted_ports(settings: Settings) -> tuple[int, ...]:
    """Return the ports of all listeners that these settings may open."""
    return tuple(one.port for one in _wanted(settings))


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each port that somebody else holds."""
    routers = {process.pid for process in facts.own_processes}
    for one in _wanted(facts.settings):
        for owner in facts.owners:
            if owner.port == one.port and owner.pid not in routers and not _answers(facts, owner):
                yield _finding(one, owner, facts)


def _answers(facts: Facts, owner: PortOwner) -> bool:
    """Return whether a socket whose owner is not known is probably that of a router that runs."""
    return owner.pid is None and bool(facts.own_processes or facts.running.version)


def _wanted(settings: Settings) -> Iterator[_Wanted]:
    server, api = settings.server, settings.api
    for section, one, is_on in (
        ("server.http", server.http, True),
        ("server.sse", server.sse, True),
        ("api", api, api.enabled),
    ):
        if is_on and one.port:
            yield _Wanted(section, one.port, one.auto_find_port)


def _may_be_unwanted(one: _Wanted, facts: Facts) -> bool:
    """Return whether a router runs without this listener, or the settings name another one."""
    if facts.own_processes or facts.running.version:
        return True
    named = facts.settings.server.transport_type
    return one.section != "api" and named in ("http", "sse") and one.section != f"server.{named}"


def _finding(one: _Wanted, owner: PortOwner, facts: Facts) -> Finding:
    who = "another process" if owner.pid is None else f"process {owner.pid}"
    words = " ".join(owner.command)
    if words:
        who += f" ({words[:_SHOWN_CHARACTERS]})"
    problem = f"{who} holds port {one.port}"
    if one.looks_further:
        fix = f"none is needed: the router looks for another port; or set {one.section}.port"
        return Finding("note", "ports", f"{one.section}.port", problem, fix)
    if _may_be_unwanted(one, facts):
        fix = f"none is needed where nothing is to listen there; or set {one.section}.port"
        return Finding("note", "ports", f"{one.section}.port", problem, fix)
    end_it = "end it" if owner.pid is None else f"end process {owner.pid}"
    fix = f"{end_it}, or set {one.section}.port to another, or {one.section}.auto_find_port to true"
    # Only the start says which of the listeners it wants.
    return Finding("warning", "ports", f"{one.section}.port", problem, fix)
