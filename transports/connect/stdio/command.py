"""Finds the command of a stdio upstream as a shell would, but without a shell.

If the command cannot be executed, the error says what the user can do.

Invariants: arguments stay as they are written. The environment holds a few standard variables and
those that the instance names; nothing else of the router's reaches an upstream.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

import attrs

from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.instances.instance_spec import InstanceSpec
    from transports.connect.stdio.sandbox.confinement import Confinement

log = logging.getLogger("mcp_router.upstream")

INHERITED: Final = frozenset(
    ("PATH", "HOME", "LANG", "TMPDIR", "TZ", "USER", "LOGNAME", "SHELL")
    if os.name == "posix"
    else (
        *("PATH", "PATHEXT", "COMSPEC", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "TEMP", "TMP"),
        *("APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "HOMEDRIVE", "HOMEPATH"),
        *("USERPROFILE", "USERNAME", "PROCESSOR_ARCHITECTURE"),
    )
)
"""Variables, besides `LC_*`, that programs need to find their files, folders and language."""


@attrs.frozen
class ProcessCommand:
    """A command that can be executed.

    Attributes:
        path: the file.
        argv: the arguments; the first is the command as it is configured.
        env: the environment, which may hold secrets.
        cwd: the working folder; None for the router's own.
        confinement: the rights of the process; None for all that the router has.
    """

    path: str
    argv: tuple[str, ...]
    env: dict[str, str] = attrs.field(repr=False)
    cwd: str | None
    confinement: Confinement | None = None


def find_command(spec: InstanceSpec) -> ProcessCommand:
    """Return the command of an instance. Blocks, since it looks at the file system.

    Raises:
        WireLost: the command cannot be executed; the reason says what to do.
    """
    env = environment(os.environ, spec.env)
    if spec.cwd is not None and not os.path.isdir(spec.cwd):
        raise WireLost(f'folder not found: {spec.cwd!r}; create it, or correct "cwd"')
    path = _find_file(spec.command, spec.cwd or os.curdir, env["PATH"])
    confinement = _confinement(spec, path, env)
    return ProcessCommand(path, (spec.command, *spec.args), env, spec.cwd, confinement)


def _confinement(spec: InstanceSpec, path: str, env: dict[str, str]) -> Confinement | None:
    if spec.sandbox is None:
        return None
    # For start-up time: few instances have a sandbox.
    from transports.connect.stdio.sandbox.confinement import confinement_of, this_system

    system = this_system()
    problem = system.problem(spec.sandbox)
    if problem is None:
        return confinement_of(spec.sandbox, system, path, env, spec.cwd)
    if spec.sandbox.required:
        raise WireLost(f'{problem}; without "required": true it starts without its sandbox')
    log.warning("%s starts without its sandbox: %s", spec.name, problem)
    return None


def environment(ours: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an upstream.

    `PATH` ends in the folder of the router's own interpreter, so that programs installed beside
    the router are found.

    Args:
        ours: the environment of the router.
        added: the variables that the instance names; they override the router's.
    """
    env = {name: value for name, value in ours.items() if _is_inherited(name)}
    # Windows does not distinguish case in names, and has its own in upper case.
    env |= {name if os.name == "posix" else name.upper(): value for name, value in added.items()}
    beside_us = os.path.dirname(sys.executable)
    env["PATH"] = os.pathsep.join([env.get("PATH") or os.defpath, beside_us])
    return env


def _is_inherited(name: str) -> bool:
    return name in INHERITED or name.startswith("LC_")


def _find_file(command: str, cwd: str, search_path: str) -> str:
    if not os.path.dirname(command):
        found = shutil.which(command, path=search_path)
        if found is None:
            raise WireLost(
                f"command not found: {command!r}; install it, give its full path, or add its "
                'folder to PATH in "env"'
            )
        return os.path.abspath(found)  # an entry of PATH may be relative to the router's folder
    path = os.path.abspath(os.path.join(cwd, command))
    if os.path.isdir(path):
        raise WireLost(f"{path!r} is a folder, no command; give the full path of the program in it")
    if not os.path.isfile(path):
        raise WireLost(f"command not found: {command!r}; there is no file {path!r}")
    if not os.access(path, os.X_OK):
        raise WireLost(f"permission denied: {path!r} may not be executed; see `chmod +x`")
    return path
