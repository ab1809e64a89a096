"""Judges the instances of the running router: which are down, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.doctor.findings import Finding, split_way_out

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

_STATES: Final = {
    "failed": "has failed",
    "backoff": "is down, and is about to be tried again",
    "needs_login": "needs a login",
}
"""How a state is said where its own word is no adjective."""


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each instance that is down, and for a router that does not answer."""
    running = facts.running
    if running.problem:
        yield _no_answer(facts)
    for instance in running.instances:
        severity = _SEVERITIES.get(instance.state)
        # What `check` finds in its files has been said with its fix, and no restart mends it.
        is_said = any(line in instance.reason for line in facts.problems)
        if severity is not None and not is_said:
            yield Finding(severity, "instances", instance.name, _problem(instance), _fix(instance))


def _no_answer(facts: Facts) -> Finding:
    if not facts.own_processes:
        problem = "does not run, so its instances were not looked at"
        return Finding("note", "instances", "the router", problem, f"start it: {_SERVE}")
    reason, way_out = split_way_out(facts.running.problem)
    fix = way_out or "give --url and --token"
    problem = f"did not say how its instances are: {reason}"
    return Finding("note", "instances", "the running router", problem, fix)


def _problem(instance: InstanceState) -> str:
    reason = f": {instance.reason}" if instance.reason else ""
    return f"{_STATES.get(instance.state, f'is {instance.state}')}{reason}"


def _fix(instance: InstanceState) -> str:
    if instance.state == "starting":
        return "wait for it: mcp-router status"
    if instance.state == "needs_login":
        return f"mcp-router login {instance.name}"
    again = "" if instance.retry_in_s is None else " (the router tries again by itself)"
    return f"mend what the reason says, then: mcp-router restart {instance.name}{again}"
