"""Judges the logins at remote servers: whether they last, and whether people can make theirs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from router.config.security.hosts import is_loopback
from router.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.doctor.facts import Facts, Login
    from router.messages.instances.instance_spec import InstanceSpec


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each login that ends by itself, and for each that nobody can make."""
    for login in facts.running.logins:
        if login.logged_in and not login.renewed and login.expires_at_s is not None:
            yield _ending(login, login.expires_at_s)
    for spec in facts.specs:
        if spec.oauth is not None and spec.oauth.per_user and spec.may_log_in:
            yield from _of_each_person(facts, spec)


def _ending(login: Login, expires_at_s: float) -> Finding:
    try:
        when = datetime.fromtimestamp(expires_at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        when = "some day"
    problem = f"its login ends at {when}, since its server gave nothing to renew it with"
    fix = f"log in again then: mcp-router login {login.instance}"
    return Finding("note", "logins", login.instance, problem, fix)


def _of_each_person(facts: Facts, spec: InstanceSpec) -> Iterator[Finding]:
    settings = facts.settings
    server = settings.server
    if not settings.security.has_token:
        problem = "oauth.per_user is set, and without tokens the router cannot tell people apart"
        fix = f"give each person a token: security.tokens in {facts.config.name}"
        yield Finding("warning", "logins", spec.name, problem, fix)
    if not server.public_url and not is_loopback(server.host):
        problem = "people on other machines cannot open the page on which they log in"
        fix = f"set server.public_url in {facts.config.name} to the URL at which they reach this"
        yield Finding("warning", "logins", spec.name, problem, f"{fix} router")
