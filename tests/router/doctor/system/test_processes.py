"""Routers and listening sockets, read from a folder like `/proc`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from router.doctor.facts import PortOwner
from router.doctor.system.processes import PROC, find_owners, find_routers

if TYPE_CHECKING:
    from pathlib import Path


class FakeProc:
    """A folder like `/proc`, of a machine that was booted at 1,000,000 s."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "net").mkdir(parents=True)
        (folder / "stat").write_text("cpu 1\nbtime 1000000\n")
        self._rows = {"tcp": ["header"], "tcp6": ["header"]}
        self._write_rows()

    def add(
        self,
        pid: int,
        *words: str,
        exe: str = "/usr/bin/python3",
        after_s: int = 0,
        cwd: Path | None = None,
        environ: str = "",
    ) -> Path:
        folder = self.folder / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (folder / "exe").symlink_to(exe)
        if cwd is not None:
            (folder / "cwd").symlink_to(cwd)
        (folder / "environ").write_text(environ)
        ticks = after_s * os.sysconf("SC_CLK_TCK")
        fields = ["0"] * 18 + [str(ticks)]
        (folder / "stat").write_text(f"{pid} (a ) b) S {' '.join(fields)}\n")
        return folder

    def listen(self, port: int, inode: int, family: str = "tcp", state: str = "0A") -> None:
        address = f"0100007F:{port:04X}" if family == "tcp" else f"{'0' * 32}:{port:04X}"
        row = f"0: {address} 00000000:0000 {state} 0:0 0:0 0 0 0 {inode} 1"
        self._rows[family].append(row)
        self._write_rows()

    def _write_rows(self) -> None:
        for name, rows in self._rows.items():
            (self.folder / "net" / name).write_text("\n".join(rows))


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


def test_routers_are_processes_that_serve(proc: FakeProc, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "mcp-router"
    program.parent.mkdir()
    program.write_text("")
    serving = [
        ("python3", str(program)),
        ("python3", str(program), "serve", "--transport", "http"),
        ("python3", "-m", "router", "http"),
        ("mcp-router", "-c", "config.json", "serve"),
    ]
    others = [
        ("python3", str(program), "doctor"),
        ("python3", str(program), "connect", "--view", "x"),
        ("vi", "router"),
        ("python3", "-m", "routers"),
        (),
    ]
    for pid, words in enumerate([*serving, *others], start=10):
        proc.add(pid, *words)
    proc.add(os.getpid(), "mcp-router", "serve")
    found = find_routers(proc.folder)
    assert [one.command for one in found] == serving
    assert not any(one.is_deleted or one.version for one in found)


def test_config_of_a_router_is_named_or_in_its_folder(proc: FakeProc, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    named = tmp_path / "other.json"
    proc.add(1, "mcp-router", cwd=tmp_path)
    proc.add(2, "mcp-router", "-c", "other.json", cwd=tmp_path, environ="MCP_ROUTER_CONFIG=/x")
    proc.add(3, "mcp-router", f"--config={named}", cwd=tmp_path)
    proc.add(4, "mcp-router", cwd=tmp_path, environ=f"A=b\0MCP_ROUTER_CONFIG={named}\0")
    proc.add(5, "mcp-router", cwd=tmp_path / "proc")
    proc.add(6, "mcp-router")
    found = [one.config for one in find_routers(proc.folder)]
    assert found == [tmp_path / "config.json", named, named, named, None, None]


def test_router_whose_files_are_gone_or_newer_is_told_apart(proc: FakeProc, tmp_path: Path) -> None:
    interpreter = tmp_path / "venv" / "bin" / "python3"
    package = tmp_path / "venv/lib/python3.12/site-packages/mcp_router-1.1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("")
    os.utime(package / "METADATA", (1_000_500, 1_000_500))
    proc.add(1, str(interpreter), "mcp-router", after_s=100)
    proc.add(2, str(interpreter), "mcp-router", after_s=900)
    proc.add(3, "python3", "mcp-router", exe="/usr/bin/python3.10 (deleted)")
    proc.add(4, "python3", str(tmp_path / "gone" / "mcp-router"))
    found = {one.pid: one for one in find_routers(proc.folder)}
    assert [found[pid].is_outdated for pid in found] == [True, False, False, False]
    assert [found[pid].is_deleted for pid in found] == [False, False, True, True]
    assert [found[pid].version for pid in found] == ["1.1.0", "1.1.0", "", ""]


def test_original_router_is_known_by_its_source(proc: FakeProc, tmp_path: Path) -> None:
    source = tmp_path / "original" / "src" / "mcp" / "router.py"
    source.parent.mkdir(parents=True)
    source.write_text("")
    proc.add(1, "python", "main.py", "http", cwd=tmp_path / "original")
    proc.add(2, "python", "main.py", cwd=tmp_path)
    proc.add(3, "python", str(tmp_path / "original" / "main.py"))
    (found,) = find_routers(proc.folder)
    assert (found.pid, found.version, found.is_deleted) == (1, "1.1", False)


def test_owner_of_a_port_is_found_by_its_socket(proc: FakeProc) -> None:
    proc.listen(3000, 77)
    proc.listen(3000, 77, "tcp6")
    proc.listen(3001, 78, "tcp6")
    proc.listen(8001, 79, state="01")  # a connection
    folder = proc.add(5, "node", "server.js")
    (folder / "fd" / "3").symlink_to("socket:[77]")
    (folder / "fd" / "4").symlink_to("/dev/null")
    assert find_owners([3000, 3001, 8001, 9], proc.folder) == (
        PortOwner(3000, 5, ("node", "server.js")),
        PortOwner(3001),
    )


def test_without_such_a_folder_ports_are_tried(tmp_path: Path) -> None:
    assert find_routers(tmp_path / "none") == ()
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert find_owners([taken], tmp_path / "none") == (PortOwner(taken),)
    assert find_owners([taken], tmp_path / "none") == ()


@pytest.mark.skipif(not PROC.exists(), reason="this system has no /proc")
def test_real_router_and_its_port_are_found(tmp_path: Path) -> None:
    program = tmp_path / "mcp-router"
    program.write_text("print(flush=True)\ninput()")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (owner,) = find_owners([port])
    assert (owner.port, owner.pid) == (port, os.getpid())
    words = (sys.executable, str(program), "serve")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # its command is that of the program by now
        (found,) = (one for one in find_routers() if one.pid == process.pid)
        process.communicate(b"\n")
    assert (found.command, found.is_deleted) == (words, False)
