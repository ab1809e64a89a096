"""Processes in which code runs: their rights, their ends, and who gets them next."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trio
from msgspec import Raw

from router.code_mode import sandboxes
from router.code_mode.sandboxes import SandboxLost
from tests.router.code_mode.sandboxed import (
    TIMEOUT_S,
    group_of,
    open_pool,
    run_in,
    until_it_is_gone,
    until_it_runs,
)


async def test_a_sandbox_that_cannot_take_a_line_ends_at_once() -> None:
    """Else nothing in it would see the death of the router."""
    async with open_pool() as pool:
        sandbox = await pool.take()
        await until_it_runs(sandbox)
        await sandbox.send({"answer": Raw(b"[")})
        with pytest.raises(SandboxLost):
            await sandbox.receive()
        await until_it_is_gone(sandbox)
        await sandbox.end()


async def test_no_variable_of_the_router_reaches_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_ROUTER", "x")
    async with open_pool() as pool:
        sandbox = await pool.take()
        await until_it_runs(sandbox)
        group = group_of(sandbox)
        found = b"".join(Path(f"/proc/{pid}/environ").read_bytes() for pid in group)  # noqa: ASYNC240
        await sandbox.end()
    assert b"SECRET" not in found
    assert b"PATH" not in found


PROBE = """
import json, os, runpy, socket, sys
path, *fields = sys.argv[1:]
router = os.getppid()
runpy.run_path(path)["confine"]([each.encode() for each in fields])
def internet(family=socket.AF_INET, kind=socket.SOCK_STREAM):
    socket.socket(family, kind)
tries = {{
    "write": lambda: open({folder!r} + "/written", "w"),
    "read": lambda: open({folder!r} + "/probe.py"),
    "look": lambda: os.listdir({folder!r}),
    "the router": lambda: open(f"/proc/{{router}}/environ"),
    "processes": lambda: os.listdir("/proc"),
    "signal": lambda: os.kill(router, 0),
    "TCP": internet,
    "UDP": lambda: internet(kind=socket.SOCK_DGRAM),
    "IPv6": lambda: internet(socket.AF_INET6),
}}
done = []
for name, one in tries.items():
    try:
        one()
        done.append(name)
    except OSError:
        pass
print(json.dumps({{"result": done}}), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sandboxes.rights(), reason="this system confines no processes")
async def test_what_breaks_out_of_the_interpreter_is_confined(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE.format(folder=str(tmp_path)))
    monkeypatch.setattr(sandboxes, "PROGRAM", probe)
    async with open_pool() as pool:
        sandbox = await pool.take()
        assert (await sandbox.receive()).result == []
        await sandbox.end()


@pytest.mark.skipif(not sandboxes.rights(), reason="this system confines no processes")
async def test_both_processes_of_a_sandbox_are_confined() -> None:
    async with open_pool() as pool:
        sandbox = await pool.take()
        await until_it_runs(sandbox)
        told = [Path(f"/proc/{pid}/status").read_text() for pid in group_of(sandbox)]  # noqa: ASYNC240
        await sandbox.end()
    assert all("Seccomp:\t2\n" in one and "NoNewPrivs:\t1\n" in one for one in told)


@pytest.mark.parametrize("code", ["while True:\n    pass", "await call_tool('endless')"])
async def test_what_is_ended_leaves_no_process(code: str) -> None:
    async with open_pool() as pool:
        sandbox = await pool.take()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_in, sandbox, code)
            await until_it_runs(sandbox)
            assert group_of(sandbox)
            nursery.cancel_scope.cancel()
        await sandbox.end()
        await until_it_is_gone(sandbox)


async def test_a_sandbox_whose_process_dies_is_lost() -> None:
    async with open_pool() as pool:
        sandbox = await pool.take()
        os.kill(sandbox.pid, 9)
        report = await run_in(sandbox, "1")
        assert (report.error or "").startswith("The sandbox has ended, and the code with it")
        with pytest.raises(SandboxLost):
            await sandbox.send({"run": {"code": "x" * 100_000, "timeout_s": 1}})
        await sandbox.end()


async def test_a_sandbox_is_used_again_and_nothing_of_the_run_before_is_there() -> None:
    async with open_pool() as pool:
        first = await pool.take()
        await run_in(first, "secret = 1")
        pool.give_back(first)
        again = await pool.take()
        assert again is first
        report = await run_in(again, "secret")
        assert "NameError" in (report.error or "")
        pool.give_back(again)
    with trio.fail_after(TIMEOUT_S):
        await until_it_is_gone(again)


async def test_only_some_sandboxes_rest_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxes, "MAX_RESTING", 1)
    async with open_pool() as pool:
        first, second = await pool.take(), await pool.take()
        pool.give_back(first)
        pool.give_back(second)
        await until_it_is_gone(second)
        assert await pool.take() is first
        pool.give_back(first)


if sys.platform != "linux":
    pytestmark = pytest.mark.skip("only Linux tells of processes in /proc")
