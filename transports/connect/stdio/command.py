"""What is executed for a stdio upstream: the file, its arguments, its environment, its folder.

Job: find the command as a shell would, without one, and say what to do where it is not there.
Neighbours: `process` starts what this has found.

Invariants: arguments stay as they are written. The environment is a minimal one and what the
instance names; nothing else of ours reaches an upstream.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

import attrs

from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.messages.instance_spec import InstanceSpec

INHERITED: Final = frozenset(
    ("PATH", "HOME", "LANG", "TMPDIR", "TZ", "USER", "LOGNAME", "SHELL")
    if os.name == "posix"
    else (
        *("PATH", "PATHEXT", "COMSPEC", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "TEMP", "TMP"),
        *("APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "HOMEDRIVE", "HOMEPATH"),
        *("USERPROFILE", "USERNAME", "PROCESSOR_ARCHITECTURE"),
    )
)
"""Variables, besides `LC_*`, without which programs do not find their way about."""


@attrs.frozen
class Command:
    """What is to be executed.

    Attributes:
        path: the file.
        argv: its arguments, the zeroth being the command as it is configured.
        env: its environment; there may be secrets in it.
        cwd: its working folder, None for ours.
    """

    path: str
    argv: tuple[str, ...]
    env: dict[str, str] = attrs.field(repr=False)
    cwd: str | None


def find(spec: InstanceSpec) -> Command:
    """Find out what to execute. This looks at the file system.

    Raises:
        WireLost: it cannot be executed; the reason says what to do.
    """
    env = environment(os.environ, spec.env)
    if spec.cwd is not None and not os.path.isdir(spec.cwd):
        raise WireLost(f'folder not found: {spec.cwd!r}; create it, or correct "cwd"')
    path = _find_file(spec.command, spec.cwd or os.curdir, env["PATH"])
    return Command(path, (spec.command, *spec.args), env, spec.cwd)


def environment(ours: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The environment of an upstream.

    Args:
        ours: the environment of the router.
        added: what the instance names; it wins.

    Returns:
        `PATH` ends in the folder of our own interpreter, so that what is installed beside the
        router is found.
    """
    env = {name: value for name, value in ours.items() if _is_inherited(name)}
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
        return os.path.abspath(found)  # an entry of PATH may be relative to our folder
    path = os.path.abspath(os.path.join(cwd, command))
    if not os.path.isfile(path):
        raise WireLost(f"command not found: {command!r}; there is no file {path!r}")
    if not os.access(path, os.X_OK):
        raise WireLost(f"permission denied: {path!r} may not be executed; see `chmod +x`")
    return path
