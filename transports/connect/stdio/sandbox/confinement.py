"""Decides how the process of an instance is confined, and whether this system can do that.

The launcher carries it out, between the fork and the command; see `launching/confine.py`.

Invariants:

- Nothing is confined in parts: where the system cannot do all that is asked for, the process is
  started as without a sandbox and the log says so, or not at all.
- A path that is not there allows nothing.
- Nor does a path with a link in it that the process itself could change.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.messages.instances.instance_spec import ROOT_REFERENCE
from transports.connect.stdio.sandbox.landlock import (
    CONTROL,
    LEAST_ABI,
    READ,
    WRITE,
    handled_files,
    ruleset_for,
)
from transports.connect.stdio.sandbox.needed_paths import (
    DEVICES,
    READABLE,
    files_of_program,
    interpreter_of,
)
from transports.connect.stdio.sandbox.network_filter import call_filter
from transports.connect.stdio.sandbox.resolved_paths import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from router.messages.instances.instance_spec import InstanceSpec
    from router.messages.instances.sandbox import Sandbox

_CREATE_RULESET: Final = 444
_VERSION: Final = 1  # LANDLOCK_CREATE_RULESET_VERSION

_WHY_NOT: Final = {
    errno.ENOSYS: "its kernel has no Landlock, which came with Linux 5.13",
    errno.EOPNOTSUPP: "Landlock is switched off in its kernel (see the boot parameter lsm=)",
    errno.EPERM: "a container or a service manager forbids Landlock here",
}


class Confinement(Struct, frozen=True):
    """The rights of a confined process.

    Attributes:
        ruleset: a `struct landlock_ruleset_attr`.
        rules: pairs of rights and an absolute path without links; they hold for all below a folder
            as well.
        call_filter: an array of `struct sock_filter`; empty for none.
    """

    ruleset: bytes
    rules: tuple[tuple[int, str], ...]
    call_filter: bytes = b""

    def fields(self) -> Iterator[str]:
        """Yield it as `launching/confine.py` expects it."""
        yield self.ruleset.hex()
        yield self.call_filter.hex()
        for rights, path in self.rules:
            yield f"{rights:x} {path}"


class System(Struct, frozen=True):
    """The ability of a system to confine processes.

    Attributes:
        abi: the version of Landlock; 0 for none.
        machine: as `os.uname` names it.
        why_not: the reason why there is no Landlock, as the end of a sentence.
    """

    abi: int
    machine: str
    why_not: str = ""

    def problem(self, sandbox: Sandbox) -> str | None:
        """Return the reason why processes cannot be confined so here, or None if they can."""
        if not self.abi:
            return f"this system cannot confine processes: {self.why_not}"
        if self.abi < LEAST_ABI:
            return f"this system cannot confine processes: Linux {_LINUX[self.abi]}; 6.2 is needed"
        if not sandbox.network and call_filter(self.machine, network=False) is None:
            return f'"network": false is not known on machines of the kind {self.machine}'
        return None


_LINUX: Final = {1: "5.13 has Landlock 1", 2: "5.19 has Landlock 2"}


def this_system() -> System:
    """Return what this system can do; it never changes while it runs."""
    if sys.platform != "linux":
        return System(0, "", "it needs Linux")
    import ctypes  # inside, since few instances have a sandbox

    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    machine = os.uname().machine
    if abi > 0:
        return System(abi, machine)
    number = ctypes.get_errno()
    return System(0, machine, _WHY_NOT.get(number, os.strerror(number).lower()))


def confinement_of(
    sandbox: Sandbox, system: System, program: str, env: Mapping[str, str], cwd: str | None
) -> Confinement:
    """Return the rights of a process. Looks at the file system.

    Args:
        sandbox: as it is configured.
        system: can do that, see `System.problem`.
        program: the absolute path of the program.
        env: the environment of the process; `~` stands for its `HOME`.
        cwd: the working folder of the process, which it may read; None for the router's own.
    """
    written = [resolve(_absolute(path, env, cwd)) for path in sandbox.write]
    read = [*READABLE, *_files_of(program, [each.path for each in written])]
    read += _folders_of(env.get("PATH", ""), env.get("HOME", ""))
    if cwd is not None:
        read.append(os.path.abspath(cwd))
    read += (_absolute(path, env, cwd) for path in sandbox.read)
    paths = [(READ, resolve(path)) for path in read]
    paths += [(READ | WRITE, resolve(path)) for path in DEVICES]
    named = handled_files(system.abi) & (READ | WRITE | CONTROL)
    paths += [(named, path) for path in written]
    rules = [
        (rights, path.path)
        for rights, path in paths
        if not path.can_be_changed(each.path for each in written if each is not path)
    ]
    calls = call_filter(system.machine, network=sandbox.network) or b""
    return Confinement(ruleset_for(system.abi), tuple(dict.fromkeys(rules)), calls)


def sandbox_problems(spec: InstanceSpec, env: Mapping[str, str]) -> Iterator[str]:
    """Yield what keeps the process of an instance from being confined as its user means it.

    Args:
        spec: the instance.
        env: the environment of its process.
    """
    if spec.sandbox is None:
        return
    problem = this_system().problem(spec.sandbox)
    if problem is not None:
        yield problem
    written = [resolve(_absolute(path, env, spec.cwd)) for path in spec.sandbox.write]
    for key, paths in (("read", spec.sandbox.read), ("write", spec.sandbox.write)):
        for path in paths:
            found = resolve(_absolute(path, env, spec.cwd))
            if ROOT_REFERENCE in found.path:
                continue  # it is known when a session is started for a client
            if not os.path.exists(found.path):
                nothing = f"there is no {path}, so it allows nothing"
                yield f"sandbox.{key}: {nothing}; create it, or take it out"
            elif found.can_be_changed(each.path for each in written if each != found):
                yield (
                    f"sandbox.{key}: a link in {path} is where the process may write, "
                    "so it allows nothing"
                )


def _files_of(program: str, written: Sequence[str]) -> Iterator[str]:
    """Yield what a program needs, and what the interpreter of a script does.

    Args:
        program: an absolute path.
        written: the folders that the process may write to; what stands there has no say.
    """
    yield from files_of_program(program)
    behind = resolve(program)
    if behind.can_be_changed(written):
        return
    yield from files_of_program(behind.path)
    interpreter = None if behind.is_within(written) else interpreter_of(behind.path)
    if interpreter is not None:
        yield from files_of_program(interpreter)
        behind = resolve(interpreter)
        if not behind.can_be_changed(written):
            yield from files_of_program(behind.path)


def _folders_of(search_path: str, home: str) -> Iterator[str]:
    """Yield the folders in `PATH`: programs start others. A home is none of them."""
    for folder in search_path.split(os.pathsep):
        if os.path.isabs(folder) and folder.rstrip("/") not in ("", home.rstrip("/")):
            yield folder


def _absolute(path: str, env: Mapping[str, str], cwd: str | None) -> str:
    if path == "~" or path.startswith("~/"):
        path = env.get("HOME", os.sep) + path[1:]
    return os.path.abspath(os.path.join(cwd or os.curdir, path))
