"""Judges the instances of the running router: which are down, and why, and whose tools changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.doctor.findings import Finding, split_way_out
from router.logs.record_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.doctor.facts import Facts, InstanceState
    from router.doctor.findings import Severity

_SEVERITIES: Final[dict[str, Severity]] = {
    "failed": "error",
    "backoff": "error",
    "needs_login": "warning",
    "degraded": "warning",
    "starting": "note",
}
"""The states in which an instance cannot be used, or not as it should be."""

_SERVE: Final = "mcp-router serve --transport http"

MAX_NAMES: Final = 5
"""Names of tools in a finding."""

_STATES: Final = {
    "failed": "has failed",
    "backoff": "is down, and is about to be tried again",
    "needs_login": "needs a login",
}
"""How a state is said where its own word is no adjective."""


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each instance that is down, or whose tools are not as approved.

    A router that does not answer is one as well.
    """
    running = facts.running
    if running.problem:
        yield _no_answer(facts)
    for instance in running.instances:
        severity = _SEVERITIES.get(instance.state)
        # What `check` finds in its files has been said with its fix, and no restart mends it.
        is_said = any(line in instance.reason for line in facts.problems)
        if severity is not None and not is_said:
            yield Finding(severity, "instances", instance.name, _problem(instance), _fix(instance))
        if instance.unapproved:
            yield _unapproved(instance)


def _no_answer(facts: Facts) -> Finding:
    if not facts.own_processes:
        problem = "does not run, so its instances were not looked at"
        return Finding("note", "instances", "the router", problem, f"start it: {_SERVE}")
    reason, way_out = split_way_out(facts.running.problem)
    fix = way_out or "give --url and --token"
    problem = f"did not say how its instances are: {reason}"
    return Finding("note", "instances", "the running router", problem, fix)


def _problem(instance: InstanceState) -> str:
    reason = instance.reason
    if instance.state == "needs_login":
        reason, _ = split_way_out(reason)
    reason = f": {reason}" if reason else ""
    return f"{_STATES.get(instance.state, f'is {instance.state}')}{reason}"


def _unapproved(instance: InstanceState) -> Finding:
    names = ", ".join(map(one_line, instance.unapproved[:MAX_NAMES]))
    more = len(instance.unapproved) - MAX_NAMES
    shown = names + (f" and {more} more" if more > 0 else "")
    problem = f"offers tools that are not as they were approved: {shown}"
    fix = f"look at them and approve them: mcp-router tools approve {instance.name}"
    return Finding("warning", "instances", instance.name, problem, fix)


def _fix(instance: InstanceState) -> str:
    if instance.state == "starting":
        return "wait for it: mcp-router status"
    if instance.state == "needs_login":
        # A machine's access is mended, not logged in to.
        way_out = split_way_out(instance.reason)[1].removeprefix("run: ")
        return way_out or f"mcp-router login {instance.name}"
    again = "" if instance.retry_in_s is None else " (the router tries again by itself)"
    return f"mend what the reason says, then: mcp-router restart {instance.name}{again}"
