"""The router's side of its launcher."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.e2e.processes import Process, process_table, running_with, still_running
from tests.transports.connect.stdio.children import (
    ECHO,
    LIMIT_S,
    PING,
    PONG,
    on_linux,
    on_posix,
    python,
    ready,
    result_of,
    says,
)
from transports.connect.stdio.command import ProcessCommand
from transports.connect.stdio.launching import launch
from transports.connect.stdio.launching.launch import SCRIPT, Launcher, encode_command
from transports.connect.stdio.launching.run_mark import VARIABLE, Mark, this_run
from transports.connect.stdio.stdio_wire import connect_stdio
from transports.connect.wire import WireLost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from router.messages.instances.instance_spec import InstanceSpec

TELLS_ITS_ENVIRONMENT = """
import json
print(json.dumps({"jsonrpc": "2.0", "id": 2, "result": dict(os.environ)}), flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def launcher() -> AsyncIterator[Launcher]:
    async with Launcher() as launcher:
        yield launcher


def _launchers() -> list[Process]:
    """The launchers of this process, without their guards."""
    return [
        row for row in process_table() if str(SCRIPT) in row.command and row.parent == os.getpid()
    ]


# --- The command as bytes --------------------------------------------------------------------


def _command(*argv: str, **env: str) -> ProcessCommand:
    return ProcessCommand("/bin/x", argv, env, None)


def test_a_command_is_its_fields_behind_their_length() -> None:
    command = ProcessCommand("/bin/x", ("x", "", "ü"), {"A": "1=2"}, "/tmp")
    text = "/tmp\0000\0/bin/x\0003\0x\0\0ü\0A=1=2\0M=m".encode()
    assert encode_command(command, {"M": "m"}) == len(text).to_bytes(4, "big") + text


@pytest.mark.parametrize("name", ["", "A=B"])
def test_a_variable_that_no_process_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="illegal environment variable name"):
        encode_command(_command("x", **{name: "value"}), {})


@pytest.mark.parametrize("command", [_command("x", "a\0b"), _command("x", A="1\0B=2")])
def test_a_nul_character_is_refused(command: ProcessCommand) -> None:
    with pytest.raises(ValueError, match="embedded null byte"):
        encode_command(command, {})


# --- The launcher ----------------------------------------------------------------------------


@on_posix
async def test_servers_that_start_at_the_same_time_share_one_launcher(
    token: str, launcher: Launcher
) -> None:
    running = trio.Semaphore(0)
    may_end = trio.Event()

    async def run() -> None:
        async with connect_stdio(says(token, PONG), launcher=launcher) as wire:
            await ready(wire)
            running.release()
            await may_end.wait()

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(run)
            for _ in range(5):
                await running.acquire()
            assert len(_launchers()) == 1
            assert len(running_with(token)) == 5
            may_end.set()
    assert not still_running(running_with(token))
    assert len(_launchers()) == 1
    await launcher.aclose()
    assert _launchers() == []


@on_posix
async def test_a_launcher_that_was_killed_is_replaced_at_the_next_start(
    token: str, launcher: Launcher, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.fail_after(LIMIT_S):
        async with connect_stdio(python(token, ECHO), launcher=launcher) as first:
            await first.send([PING])
            await ready(first)
            (killed,) = _launchers()
            os.kill(killed.pid, signal.SIGKILL)
            assert not still_running([killed], LIMIT_S)
            async with connect_stdio(says(token, PONG), launcher=launcher) as second:
                await ready(second)
                (other,) = _launchers()
                assert other.pid != killed.pid
            await first.send([PING])
            await ready(first)
    assert caplog.messages == [
        "The launcher of stdio servers was killed by signal 9; here is another"
    ]
    assert not still_running(running_with(token))


@on_posix
async def test_a_launcher_that_cannot_start_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, launcher: Launcher, token: str
) -> None:
    spec = says(token, PONG)
    monkeypatch.setattr(sys, "executable", f"{token}/gone")
    with trio.fail_after(LIMIT_S), pytest.raises(WireLost, match="cannot start"):
        async with connect_stdio(spec, launcher=launcher):
            raise AssertionError
    monkeypatch.undo()
    await _start_and_end(spec, launcher)


@on_posix
async def test_a_launcher_that_ends_by_itself_is_a_reason_each_time(
    monkeypatch: pytest.MonkeyPatch,
    launcher: Launcher,
    token: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = tmp_path / "launcher.py"
    broken.write_text("raise SystemExit(3)")
    monkeypatch.setattr(launch, "SCRIPT", broken)
    for _ in range(2):
        with trio.fail_after(LIMIT_S), pytest.raises(WireLost, match=r"its launcher (was|ends)"):
            await _start_and_end(says(token, PONG), launcher)
        assert not still_running(running_with(str(broken)), LIMIT_S)
    assert "The launcher of stdio servers ended with status 3; here is another" in caplog.messages


@on_posix
async def test_a_launcher_that_does_nothing_is_killed_and_replaced(
    monkeypatch: pytest.MonkeyPatch, launcher: Launcher, token: str
) -> None:
    await _start_and_end(says(token, PONG), launcher)
    (stopped,) = _launchers()
    os.kill(stopped.pid, signal.SIGSTOP)
    monkeypatch.setattr(launch, "GUARD_S", 0.05)
    with trio.fail_after(LIMIT_S), pytest.raises(WireLost, match=r"launcher did nothing for 0.05"):
        await _start_and_end(says(token, PONG), launcher)
    monkeypatch.undo()
    assert not still_running([stopped], LIMIT_S)
    await _start_and_end(says(token, PONG), launcher)


@on_posix
async def test_a_launcher_that_is_killed_before_it_has_started_a_server_is_a_reason(
    launcher: Launcher, token: str
) -> None:
    await _start_and_end(says(token, PONG), launcher)
    (stopped,) = _launchers()
    os.kill(stopped.pid, signal.SIGSTOP)

    async def kill() -> None:
        await trio.testing.wait_all_tasks_blocked(0.1)
        os.kill(stopped.pid, signal.SIGKILL)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(kill)
        with trio.fail_after(LIMIT_S), pytest.raises(WireLost, match="its launcher was killed"):
            await _start_and_end(says(token, PONG), launcher)


async def _start_and_end(spec: InstanceSpec, launcher: Launcher) -> None:
    async with connect_stdio(spec, launcher=launcher) as wire:
        await ready(wire)


@on_posix
async def test_a_launcher_that_does_not_end_is_killed(launcher: Launcher, token: str) -> None:
    await _start_and_end(says(token, PONG), launcher)
    (stopped,) = _launchers()
    os.kill(stopped.pid, signal.SIGSTOP)
    with trio.fail_after(LIMIT_S):
        await launcher.aclose()
    assert not still_running([stopped])


@on_linux
async def test_a_command_has_the_mark_of_this_run_in_its_environment(
    token: str, tmp_path: Path
) -> None:
    spec = python(token, TELLS_ITS_ENVIRONMENT, env={VARIABLE: "mine"})
    async with Launcher(tmp_path) as launcher, connect_stdio(spec, launcher=launcher) as wire:
        env = result_of(await ready(wire))
    run = this_run(tmp_path)
    assert run is not None
    assert run.pid == os.getpid()
    assert env[VARIABLE] == Mark(run, 1).text
