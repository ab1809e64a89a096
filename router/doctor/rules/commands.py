"""Judges whether commands of servers are found, and whether their processes can be confined."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from router.doctor.findings import Finding
from transports.connect.stdio.command import environment
from transports.connect.stdio.sandbox.confinement import sandbox_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.doctor.facts import Facts, Surroundings
    from router.messages.instances.instance_spec import InstanceSpec


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each command that a service would not find, and for each sandbox."""
    for spec in facts.specs:
        if spec.type != "stdio" or not spec.is_active or spec.problem is not None:
            continue
        yield from _judge_sandbox(spec)
        if os.path.dirname(spec.command):
            yield from _judge_path(spec)
        else:
            yield from _judge_name(spec, facts.surroundings)


def _judge_sandbox(spec: InstanceSpec) -> Iterator[Finding]:
    for problem in sandbox_problems(spec, environment(os.environ, spec.env)):
        if problem.startswith("sandbox."):
            continue  # `check` says it with its file
        is_refused = spec.sandbox is not None and spec.sandbox.required
        severity = "error" if is_refused else "warning"
        yield Finding(severity, "commands", spec.name, problem, "see docs/sandbox.md")


def _judge_path(spec: InstanceSpec) -> Iterator[Finding]:
    path = os.path.abspath(os.path.join(spec.cwd or os.curdir, spec.command))
    if not os.path.isfile(path):
        problem, fix = f"there is no file {path}", "install it, or correct its path"
    elif not os.access(path, os.X_OK):
        problem, fix = f"{path} may not be executed", f"chmod +x {path}"
    else:
        return
    yield Finding("error", "commands", spec.name, problem, fix)


def _judge_name(spec: InstanceSpec, paths: tuple[Surroundings, ...]) -> Iterator[Finding]:
    for one in paths:
        searched = environment({"PATH": one.path}, spec.env)["PATH"]
        if shutil.which(spec.command, path=searched) is None:
            problem = f"the command {spec.command} is not found with the PATH of {one.whose}"
            yield Finding("error", "commands", spec.name, problem, _way_out(spec.command, one))


def _way_out(command: str, one: Surroundings) -> str:
    elsewhere = shutil.which(command)
    if elsewhere is None:
        return f'install {command}, or give its full path as "command"'
    if one.is_unit:
        folder = os.path.dirname(elsewhere)
        return f"add {folder} to Environment=PATH= in {one.whose}, or give the path {elsewhere}"
    return f'give the full path as "command": {elsewhere}'
