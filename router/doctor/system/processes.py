"""Finds the routers that run on this machine, and who listens on which ports, in `/proc` of Linux.

Where there is no such folder, nothing is known of processes, and ports are tried.

Invariants: only reads; a process that ends meanwhile, or that belongs to another user, fails
nothing.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.config.options import CONFIG_VARIABLE
from router.config.values import MODES
from router.doctor.facts import PortOwner, Process

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

PROC: Final = Path("/proc")

_LISTENS: Final = "0A"
"""The state of a socket in `/proc/net/tcp` (TCP_LISTEN)."""

_SERVING: Final = frozenset({"serve", *MODES})
_DELETED: Final = " (deleted)"


# --- Routers ---------------------------------------------------------------------------------


def find_routers(proc: Path = PROC) -> tuple[Process, ...]:
    """Return the processes that serve as an MCP Router, without this one."""
    found = (_router(folder, proc) for folder in _process_folders(proc))
    return tuple(process for process in found if process is not None)


def _process_folders(proc: Path) -> list[Path]:
    try:
        folders = [folder for folder in proc.iterdir() if folder.name.isdecimal()]
    except OSError:
        return []
    return sorted(folders, key=lambda folder: int(folder.name))


def _router(folder: Path, proc: Path) -> Process | None:
    words = _words(folder)
    program = _program_in(words)
    if program is None and _is_original(folder, words):
        return Process(int(folder.name), words, version="1.1", config=_config_of(folder, words))
    if program is None or int(folder.name) == os.getpid():
        return None
    try:
        executable = os.readlink(folder / "exe")
    except OSError:  # it belongs to another user
        executable = ""
    script = words[program]
    is_path = os.path.isabs(script)
    is_deleted = executable.endswith(_DELETED) or (is_path and not os.path.exists(script))
    version, installed_s = _package_beside(words[0])
    started_s = _started_s(folder, proc)
    is_outdated = started_s is not None and installed_s > started_s
    config = _config_of(folder, words)
    return Process(int(folder.name), words, is_deleted, version, is_outdated, config)


def _config_of(folder: Path, words: tuple[str, ...]) -> Path | None:
    """Return the config file of a router; None if it is not known, or another user's."""
    try:
        cwd = Path(os.readlink(folder / "cwd"))
        variables = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    begins = f"{CONFIG_VARIABLE}="
    named = next((one.removeprefix(begins) for one in variables if one.startswith(begins)), None)
    for word, following in pairwise((*words, "")):
        if word in ("-c", "--config"):
            named = following
        elif word.startswith("--config="):
            named = word.partition("=")[2]
    if named is None and not (cwd / "config.json").exists():
        return None  # it is that of its user, whose folders are not known
    return (cwd / (named or "config.json")).resolve()


def _program_in(words: tuple[str, ...]) -> int | None:
    """Return the index of the word that names the program; None if it is no router that serves."""
    for index, word in enumerate(words[:3]):
        is_module = word == "router" and words[index - 1] == "-m"
        if os.path.basename(word) == "mcp-router" or is_module:
            command = next((one for one in words[index + 1 :] if not one.startswith("-")), None)
            # Of `mcp-router -c FILE` the first such word is a file.
            is_option = len(words) > index + 1 and words[index + 1].startswith("-")
            return index if command is None or command in _SERVING or is_option else None
    return None


def _is_original(folder: Path, words: tuple[str, ...]) -> bool:
    """Return whether a process is MCP Router 1.1, which is started as `main.py` of its source."""
    script = next((Path(word) for word in words[:3] if os.path.basename(word) == "main.py"), None)
    if script is None:
        return False
    try:
        cwd = Path(os.readlink(folder / "cwd"))
    except OSError:
        return False
    return ((cwd / script).parent / "src" / "mcp" / "router.py").is_file()


def _words(folder: Path) -> tuple[str, ...]:
    try:
        data = (folder / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(data.decode(errors="replace").rstrip("\0").split("\0")) if data else ()


def _package_beside(interpreter: str) -> tuple[str, float]:
    """Return the version of the package that an interpreter has, and when it was installed."""
    if not os.path.isabs(interpreter):
        return "", 0.0
    folder = Path(interpreter).parent.parent / "lib"
    for found in folder.glob("python3*/site-packages/mcp_router-*.dist-info"):
        try:
            installed_s = (found / "METADATA").stat().st_mtime
        except OSError:
            continue
        return found.name.removeprefix("mcp_router-").removesuffix(".dist-info"), installed_s
    return "", 0.0


def _started_s(folder: Path, proc: Path) -> float | None:
    """Return the time at which a process started, in seconds since the epoch (proc(5))."""
    try:
        # The name of the program is in parentheses, and may hold anything.
        fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        lines = (proc / "stat").read_text().splitlines()
        booted_s = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return booted_s + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


# --- Ports -----------------------------------------------------------------------------------


def find_owners(ports: Iterable[int], proc: Path = PROC) -> tuple[PortOwner, ...]:
    """Return who listens on these ports, with one row for each port."""
    wanted = sorted(set(ports))
    if not (proc / "net" / "tcp").exists():
        return tuple(PortOwner(port) for port in wanted if _is_taken(port))
    inodes = dict(_listening(proc, wanted))
    owners = dict(_holders(proc, inodes))
    taken = sorted(set(inodes.values()))
    return tuple(owners.get(port, PortOwner(port)) for port in taken)


def _listening(proc: Path, ports: Container[int]) -> Iterator[tuple[str, int]]:
    """Yield the inode and the port of each socket that listens on one of the ports."""
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if fields[3] == _LISTENS and port in ports:
                yield fields[9], port


def _holders(proc: Path, inodes: dict[str, int]) -> Iterator[tuple[int, PortOwner]]:
    """Yield the port and its owner for each process that has one of the sockets open."""
    for folder in _process_folders(proc) if inodes else ():
        for link in _open_files(folder):
            port = inodes.get(link.removeprefix("socket:[").removesuffix("]"))
            if port is not None:
                yield port, PortOwner(port, int(folder.name), _words(folder))


def _open_files(folder: Path) -> Iterator[str]:
    """Yield what the descriptors of a process stand for."""
    try:
        names = os.listdir(folder / "fd")
    except OSError:  # the process has ended, or belongs to another user
        return
    for name in names:
        with suppress(OSError):  # it was closed meanwhile
            yield os.readlink(folder / "fd" / name)


def _is_taken(port: int) -> bool:
    """Return whether somebody answers on this port of the machine."""
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0
