"""A router that is stopped, crowded, or used for a long time."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.chaos_upstream import FLOODS
from tests.e2e.counted_router import CountedRouter
from tests.e2e.fault_site import Site, text_of, waits_for
from tests.e2e.process_resources import open_files, open_files_at_most, resident_bytes
from tests.e2e.processes import RouterProcess, running_with

if TYPE_CHECKING:
    from tests.e2e.fault_table import Measured
    from tests.e2e.raw_client import HttpClient
    from tests.e2e.workspace import Workspace

T_S: Final = 1


def cpu_s(pid: int) -> float:
    """Return the processor time of the first thread of a process (proc(5), schedstat)."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


# --- Stopped ---------------------------------------------------------------------------------


@pytest.mark.fault(2, "router stopped (SIGSTOP) over a deadline", "an answer in time is delivered")
def test_answer_that_came_while_the_router_was_stopped_is_delivered(
    workspace: Workspace, measured: Measured
) -> None:
    workspace.configure(mcp_client={"timeout": T_S})
    path = workspace.path / "go"
    with workspace.add_chaos("a").serve("http") as router, ThreadPoolExecutor(1) as threads:
        site = Site(workspace, router)
        with site.client() as client:
            call = threads.submit(client.call, 1, "a", "answer_when", path=str(path))
            waits_for(path.with_suffix(".called").exists)
            router.popen.send_signal(signal.SIGSTOP)
            path.touch()
            waits_for(path.with_suffix(".answered").exists)
            time.sleep(2 * T_S)  # the deadline passes
            router.popen.send_signal(signal.SIGCONT)
            assert text_of(call.result(30)) == "in time"
    measured(f"T = {T_S} s, stopped for {2 * T_S} s")


LATER: Final = """
import os, time
real = time.time
time.time = lambda: real() + (86400 if os.path.exists({jump!r}) else 0)
"""
"""Makes the wall clock of a Python process jump by a day as soon as a file is there."""


@pytest.mark.fault(26, "the wall clock jumps a day", "no timer fires")
def test_jump_of_the_wall_clock_ends_nothing(workspace: Workspace, measured: Measured) -> None:
    path, jump, site_packages = (workspace.path / name for name in ("go", "jump", "site"))
    site_packages.mkdir()
    (site_packages / "sitecustomize.py").write_text(LATER.format(jump=str(jump)))
    env = {**os.environ, "PYTHONPATH": str(site_packages)}
    workspace.add_chaos("a")
    words = ["serve", "--transport", "http", *workspace.words]
    with RouterProcess(words, env) as router, ThreadPoolExecutor(1) as threads:
        site = Site(workspace, router)
        with site.client() as client:
            call = threads.submit(client.call, 1, "a", "answer_when", path=str(path))
            waits_for(path.with_suffix(".called").exists)
            jump.touch()
            assert site.state("a")["state"] == "ready"  # a new session; the old one is kept, too
            path.touch()
            assert text_of(call.result(30)) == "in time"
            assert text_of(client.call(2, "a", "echo", text="still here")) == "still here"
        row = site.state("a")
    assert (row["restarts"], row["last_error"]) == (0, None)
    tomorrow = datetime.now() + timedelta(days=1)
    assert f"{tomorrow:%Y-%m-%d}" in router.stderr.text, "The clock of the log did not jump"
    measured("call, session and server went on")


# --- Crowded ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.fault(33, "upstream talks without end", "calls to others <= 1.5 x the CPU")
def test_flood_costs_others_little(kind: str, workspace: Workspace, measured: Measured) -> None:
    workspace.add_chaos("noisy").add_chaos("quiet")
    with workspace.serve("http") as router, ExitStack() as clients:
        site = Site(workspace, router)
        client = clients.enter_context(site.client())
        loud = clients.enter_context(site.client())
        for _ in range(300):
            clients.enter_context(site.client())
        _cpu_of_calls(router.pid, client, 100)
        calm_s = _cpu_of_calls(router.pid, client, 300)
        wanted = {"instance_name": "noisy", "tool_name": "flood", "arguments": {"kind": kind}}
        call = {"name": "mcp.router.call", "arguments": wanted}
        loud.post({"id": 1, "method": "tools/call", "params": call})
        router.stderr.wait_for("noisy says too much unasked")
        flooded_s = _cpu_of_calls(router.pid, client, 300)
    measured(f"{kind}: {flooded_s / calm_s:.2f} x")
    assert flooded_s <= 2 * calm_s  # this machine is noisy


SERVERS, CRASHING = 60, 30


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.fault(36, "half of 60 servers crash again and again", "calls to others <= 2 x the CPU")
def test_crash_storm_costs_others_little(workspace: Workspace, measured: Measured) -> None:
    names = [f"crashing-{number}" for number in range(CRASHING)]
    for name in names:
        workspace.add_chaos(name, "crashing")
    for number in range(SERVERS - CRASHING - 1):
        workspace.add_chaos(f"calm-{number}")
    workspace.add_chaos("quiet")
    broken = workspace.path / "broken"
    with workspace.serve("http") as router, ExitStack() as clients:
        site = Site(workspace, router)
        client = clients.enter_context(site.client())
        router.stderr.wait_for(f"All {SERVERS} instances are up", 300)
        _cpu_of_calls(router.pid, client, 100)
        calm_s = _cpu_of_calls(router.pid, client, 1000)
        broken.touch()
        for one in running_with(f"chaos_upstream.py crashing {workspace.path}"):
            if "launcher" not in one.command:
                os.kill(one.pid, signal.SIGKILL)
        storm_s = max(_cpu_of_calls(router.pid, client, 1000) for _ in range(10))
        broken.unlink()
        healed_s = waits_for(
            lambda: all(site.state(name)["state"] == "ready" for name in names[::5]), 200
        )
    measured(f"{storm_s / calm_s:.2f} x, all back after {healed_s:.0f} s")
    assert storm_s <= 2 * calm_s


def _cpu_of_calls(pid: int, client: HttpClient, count: int) -> float:
    before_s = cpu_s(pid)
    for number in range(count):
        client.call(number, "quiet", "echo", text="x")
    return (cpu_s(pid) - before_s) / count


# --- Long life -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.fault(31, "10,000 sessions", "memory, files and tasks as before")
def test_sessions_leave_nothing(workspace: Workspace, measured: Measured) -> None:
    with CountedRouter(workspace.add_chaos("a")) as router:
        site = Site(workspace, router)

        def come_and_go(count: int) -> None:
            for _ in range(count):
                with site.client() as client:
                    assert client.delete() in {200, 204}

        come_and_go(2000)
        before, files, tasks = resident_bytes(router.pid), open_files(router.pid), router.tasks()
        come_and_go(8000)
        grown = resident_bytes(router.pid) - before
        measured(f"{grown / 8000:+.0f} bytes a session")
        assert grown <= 2_000_000
        assert open_files_at_most(router.pid, files) <= files
        assert router.tasks_at_most(tasks) <= tasks


def _is_another(client: HttpClient, before: str) -> bool:
    return text_of(client.call("again", "a", "pid")) != before


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.fault(
    31, "1,000 restarts of an upstream", "memory, files, threads and tasks as before"
)
def test_restarts_leave_nothing(workspace: Workspace, measured: Measured) -> None:
    entry_file = workspace.add_chaos("a").path / "data" / "a" / "mcp_settings.json"
    entry = json.loads(entry_file.read_text())
    with CountedRouter(workspace) as router:
        site = Site(workspace, router)
        with site.client() as client:

            def restart(first: int, count: int) -> None:
                for number in range(first, first + count):
                    before = text_of(client.call(number, "a", "pid"))
                    entry_file.write_text(json.dumps({**entry, "env": {"RESTART": str(number)}}))
                    router.popen.send_signal(signal.SIGHUP)
                    waits_for(partial(_is_another, client, before))

            restart(0, 200)
            before, files = resident_bytes(router.pid), open_files(router.pid)
            threads, tasks = len(os.listdir(f"/proc/{router.pid}/task")), router.tasks()
            restart(200, 800)
            grown = resident_bytes(router.pid) - before
            measured(f"{grown / 800 / 1000:+.1f} kB a restart")
            assert grown <= 4_000_000
            assert open_files_at_most(router.pid, files) <= files
            assert len(os.listdir(f"/proc/{router.pid}/task")) <= threads + 1
            assert router.tasks_at_most(tasks) <= tasks
