"""Judges the installed program: routers that run an older one, and packages in its way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.doctor.facts import Facts, Process


_OWN_ENVIRONMENT: Final = "give mcp-router an environment of its own, such as by uv tool install"


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each router to be restarted, and each package with a name of ours."""
    for sentence in facts.foreign:
        subject = "the Python environment"
        yield Finding("error", "packages", subject, sentence, _OWN_ENVIRONMENT)
    for process in facts.processes:
        problem = _problem(process, facts.version)
        if problem:
            fix = f"systemctl restart mcp-router if it is a service, else end process {process.pid}"
            yield Finding("warning", "processes", f"process {process.pid}", problem, fix)
    running = facts.running
    if running.version and is_older(running.version, facts.version):
        problem = f"is MCP Router {running.version}, and this program is {facts.version}"
        yield Finding("warning", "processes", running.url, problem, "restart that router")


def _problem(process: Process, version: str) -> str:
    if process.is_deleted:
        return "is a router whose program is not on disk any more"
    if process.version and is_older(process.version, version):
        return f"is MCP Router {process.version}, and this program is {version}"
    if process.is_outdated:
        return "is a router that was started before its program was last installed"
    return ""


def is_older(version: str, than: str) -> bool:
    """Return whether a version is before another; of both, only the numbers count."""
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3]]
