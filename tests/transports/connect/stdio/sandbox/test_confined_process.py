"""Processes with a sandbox: what they can do, and what the system refuses them."""

from __future__ import annotations

import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from router.messages.instances.instance_spec import InstanceSpec
from router.messages.instances.sandbox import Sandbox
from tests.transports.connect.stdio.children import on_linux, ready, result_of
from transports.connect.stdio.command import find_command
from transports.connect.stdio.sandbox import confinement
from transports.connect.stdio.sandbox.confinement import System, this_system
from transports.connect.stdio.stdio_wire import connect_stdio
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from pathlib import Path

TRIES: Final = """
import json, os, resource, signal, socket, stat, subprocess, sys
folder, port, pid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def attempt(name, function):
    try:
        function()
    except OSError as exc:
        said[name] = exc.strerror
    else:
        said[name] = "done"
said = {}
def read(path): open(path, "rb").read(1)
def write(path): open(path, "ab").write(b"x")
attempt("read allowed", lambda: read(f"{folder}/shown/file"))
attempt("write where it may read", lambda: write(f"{folder}/shown/file"))
attempt("write allowed", lambda: write(f"{folder}/work/file"))
attempt("make a folder", lambda: os.makedirs(f"{folder}/work/new/deep"))
attempt("read a secret", lambda: read(f"{folder}/secret"))
attempt("list its folder", lambda: os.listdir(folder))
attempt("cut a secret", lambda: os.truncate(f"{folder}/secret", 0))
attempt("make a link", lambda: os.symlink(f"{folder}/secret", f"{folder}/work/link"))
attempt("read a link to a secret", lambda: read(f"{folder}/work/link"))
attempt("move it in", lambda: os.rename(f"{folder}/secret", f"{folder}/work/secret"))
attempt("a program", lambda: subprocess.run(["true"], check=True))
attempt("a device", lambda: write("/dev/null"))
attempt("make a device", lambda: os.mknod(f"{folder}/work/null", stat.S_IFCHR, os.makedev(1, 3)))
attempt("signal another process", lambda: os.kill(pid, 0))
def limit(pid): resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
attempt("its own limits", lambda: limit(0))
attempt("the limits of another process", lambda: limit(pid))
attempt("the memory of another one", lambda: read(f"/proc/{pid}/mem"))
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", port)).close())
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close())
attempt("a port", lambda: socket.create_server(("127.0.0.1", 0)).close())
attempt("a socket pair", lambda: socket.socketpair())
reads = subprocess.run(["cat", f"{folder}/secret"], capture_output=True)
said["what it starts"] = "done" if reads.returncode == 0 else reads.stderr.decode()
print(json.dumps({"jsonrpc": "2.0", "id": 2, "result": said}), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("shown", "work"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / "secret").write_text("s3cret")
    return tmp_path


async def _tries(folder: Path, sandbox: Sandbox) -> dict[str, Any]:
    """Return what a process in this sandbox could do: "done", or why not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        args = (str(folder), str(server.getsockname()[1]), str(os.getpid()))
        args = ("-I", "-S", "-c", TRIES, *args)
        spec = InstanceSpec("t", "t", command=sys.executable, args=args, sandbox=sandbox)
        async with connect_stdio(spec) as wire:
            return result_of(await ready(wire))


@on_linux
async def test_a_process_can_do_what_its_sandbox_names_and_nothing_else(folder: Path) -> None:
    if this_system().problem(Sandbox(network=False)):
        pytest.skip("this system cannot confine processes")
    paths = Sandbox((str(folder / "shown"),), (str(folder / "work"),), network=False)
    said = await _tries(folder, paths)
    done = {name for name, outcome in said.items() if outcome == "done"}
    assert done == {
        *("read allowed", "write allowed", "make a folder", "make a link"),
        *("a program", "a device", "a socket pair", "its own limits"),
    }
    refused = {name: outcome for name, outcome in said.items() if name not in done}
    assert all(why.strip().endswith(("denied", "not permitted")) for why in refused.values())
    assert (folder / "secret").read_text() == "s3cret"


@on_linux
async def test_the_network_is_open_unless_it_is_closed(folder: Path) -> None:
    if this_system().problem(Sandbox()):
        pytest.skip("this system cannot confine processes")
    said = await _tries(folder, Sandbox())
    assert {said[name] for name in ("tcp", "udp", "a port")} == {"done"}
    assert said["read a secret"] == "Permission denied"
    assert said["the limits of another process"] == "Operation not permitted"


# --- Systems that cannot do it ---------------------------------------------------------------

OLD: Final = System(2, "x86_64")
NONE: Final = System(0, "x86_64", "Landlock is switched off in its kernel")


def _spec(sandbox: Sandbox) -> InstanceSpec:
    return InstanceSpec("files", "files", command=sys.executable, sandbox=sandbox)


@pytest.mark.skipif(os.name != "posix", reason="commands are found another way there")
@pytest.mark.parametrize(
    ("system", "why"),
    [
        (NONE, "this system cannot confine processes: Landlock is switched off in its kernel"),
        (
            OLD,
            "this system cannot confine processes: Linux 5.19 has Landlock 2; 6.2 is needed",
        ),
        (
            System(7, "mips"),
            '"network": false is not known on machines of the kind mips',
        ),
    ],
)
def test_where_it_is_required_the_start_is_refused_else_the_log_says_so(
    system: System, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(confinement, "this_system", lambda: system)
    with pytest.raises(WireLost) as lost:
        find_command(_spec(Sandbox(network=False, required=True)))
    assert str(lost.value) == f'{why}; without "required": true it starts without its sandbox'
    with caplog.at_level(logging.WARNING):
        assert find_command(_spec(Sandbox(network=False))).confinement is None
    assert caplog.messages == [f"files starts without its sandbox: {why}"]
