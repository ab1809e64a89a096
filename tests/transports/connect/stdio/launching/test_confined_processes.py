"""Processes with a sandbox are known again, whatever they do to hide."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import pytest

from router.messages.instances.instance_spec import InstanceSpec
from router.messages.instances.sandbox import Sandbox
from tests.transports.connect.stdio.children import on_linux, ready, result_of
from transports.connect.stdio.launching.confined_processes import is_confined
from transports.connect.stdio.sandbox.confinement import this_system
from transports.connect.stdio.stdio_wire import connect_stdio

if TYPE_CHECKING:
    from pathlib import Path

ORPHAN: Final = """
import json, os, sys
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writing, b"%d" % os.getpid())
        os.execve("/bin/sleep", ["sleep", "1000"], {})
    os._exit(0)
os.wait()
pids = [os.getpid(), int(os.read(reading, 20))]
print(json.dumps({"jsonrpc": "2.0", "id": 2, "result": {"pids": pids}}), flush=True)
sys.stdin.read()
"""
"""Starts an orphan in a session of its own, with an empty environment."""


@on_linux
@pytest.mark.parametrize("sandbox", [Sandbox(), None])
async def test_a_confined_process_and_what_it_leaves_are_known(sandbox: Sandbox | None) -> None:
    if this_system().problem(Sandbox()):
        pytest.skip("this system cannot confine processes")
    args = ("-I", "-S", "-c", ORPHAN)
    spec = InstanceSpec("t", "t", command=sys.executable, args=args, sandbox=sandbox)
    async with connect_stdio(spec) as wire:
        pids = result_of(await ready(wire))["pids"]
        assert [is_confined(pid) for pid in pids] == [sandbox is not None] * 2
    assert all(map(is_confined, pids))  # they have ended, so nothing is known of them


@on_linux
def test_a_process_without_new_privileges_is_none_unless_a_launcher_has_started_it(
    tmp_path: Path,
) -> None:
    parents = {os.getpid(): os.getppid(), os.getppid(): 0}
    for pid, parent in parents.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "status").write_text("Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t0\n")
        (tmp_path / str(pid) / "cmdline").write_bytes(b"python\0x\0")
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (x) S {parent} " + "0 " * 30)
    assert not is_confined(os.getpid(), tmp_path)
    (tmp_path / str(os.getppid()) / "cmdline").write_bytes(
        b"python\0/a/launching/launcher.py\x003\0"
    )
    assert is_confined(os.getpid(), tmp_path)


def test_nothing_is_said_of_a_process_that_is_out_of_sight() -> None:
    assert not is_confined(0)
