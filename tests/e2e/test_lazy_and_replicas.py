"""Lazy instances, idle stops and replicas: real processes behind a real router."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.processes import Process, running_with, still_running
from tests.e2e.rest_client import RestClient, configure_rest, rest_router
from tests.e2e.workspace import CHAOS, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.fault_table import Measured

SETTLE_LIMIT_S: Final = 60.0
"""For servers to start or to stop: far beyond what they need, even on a busy machine."""

IDLE_S: Final = 0.5


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    configure_rest(workspace)
    return workspace


def add(workspace: Workspace, name: str, **entry: Any) -> None:
    """Add a well-behaved server, which has the name of its instance on its command line."""
    argv = (sys.executable, "-B", str(CHAOS), "plain", str(workspace.path), f"is-{name}")
    workspace.add_command(name, *argv, **entry)


def add_slow(workspace: Workspace, name: str, script: str, **entry: Any) -> None:
    """Add a server behind a shell script, in which `$0` runs it."""
    server = f"{sys.executable} -B {CHAOS} plain {workspace.path} is-{name}"
    workspace.add_command(name, "sh", "-c", script.replace("$0", server), **entry)


def servers(workspace: Workspace, name: str = "") -> list[Process]:
    """Return the processes of servers, not those that only hold their command lines."""
    rows = running_with(str(workspace.path))
    servers = [row for row in rows if row.command.split()[1:3] == ["-B", str(CHAOS)]]
    return [row for row in servers if f"is-{name}" in row.command]


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that has no event to wait for."""
    ends_at_s = time.monotonic() + SETTLE_LIMIT_S
    while not holds():
        assert time.monotonic() < ends_at_s
        time.sleep(0.01)


def states(rest: RestClient) -> dict[str, str]:
    return {row["name"]: row["state"] for row in rest.ask("GET", "/api/instances").json}


def text_of(rest: RestClient, tool: str, instance: str, **params: Any) -> str:
    answer = rest.call(tool, instance, **params)
    assert answer.status == 200, answer.json
    return answer.json["content"][0]["text"]


def test_of_many_lazy_instances_only_the_used_one_runs_and_all_are_listed(
    workspace: Workspace,
) -> None:
    names = [f"s{n}" for n in range(6)]
    for name in names:
        add(workspace, name, start="lazy", idle_stop_s=IDLE_S)
    with rest_router(workspace) as (_, rest):
        # Nothing is known of them, so each is started once, and stopped again.
        eventually(lambda: set(states(rest).values()) == {"idle"})
        eventually(lambda: not servers(workspace))
        assert all(rest.row(name)["tools_count"] > 0 for name in names)
    for name in names:
        (workspace.path / "data" / name / "mcp_settings.json").unlink()
        (workspace.path / "data" / name).rmdir()
        add(workspace, name, start="lazy")
    with rest_router(workspace) as (_, rest):
        assert set(states(rest).values()) == {"idle"}
        assert all(rest.row(name)["tools_count"] > 0 for name in names)
        assert text_of(rest, "echo", "s3", text="x") == "x"
        assert states(rest) == {name: "ready" if name == "s3" else "idle" for name in names}
        assert len(servers(workspace)) == len(servers(workspace, "s3")) == 1
    assert not still_running(servers(workspace))


def test_the_first_call_waits_for_a_start_that_takes_longer_than_a_call_may(
    workspace: Workspace,
) -> None:
    configure_rest(workspace, mcp_client={"timeout": 1})
    add_slow(workspace, "slow", "sleep 2; exec $0", start="lazy", idle_stop_s=IDLE_S)
    with rest_router(workspace) as (_, rest):
        eventually(lambda: states(rest) == {"slow": "idle"})
        assert text_of(rest, "echo", "slow", text="x") == "x"


def test_no_call_is_lost_to_a_stop_for_idleness(workspace: Workspace) -> None:
    add_slow(workspace, "slow", "$0; sleep 0.7", idle_stop_s=IDLE_S)
    with rest_router(workspace) as (_, rest):
        before = text_of(rest, "pid", "slow")
        eventually(lambda: states(rest) == {"slow": "idle"})
        # Its process still ends: the shell sleeps.
        after = text_of(rest, "pid", "slow")
        assert before != after
        row = rest.row("slow")
        assert (row["state"], row["last_error"], row["restarts"]) == ("ready", None, 0)


def test_calls_at_the_very_moment_of_a_stop_are_all_answered(workspace: Workspace) -> None:
    add(workspace, "busy", idle_stop_s=IDLE_S)
    with rest_router(workspace) as (_, rest), ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            eventually(lambda: states(rest) == {"busy": "idle"})
            texts = threads.map(lambda n: text_of(rest, "echo", "busy", text=str(n)), range(4))
            assert list(texts) == ["0", "1", "2", "3"]


@pytest.mark.fault(
    37,
    "a replica killed in a call",
    "its calls in flight end in <= 1 s, others are served, back in <= 2 s",
)
def test_replicas_share_the_calls_and_the_death_of_one_is_felt_by_its_calls_alone(
    workspace: Workspace, tmp_path: Path, measured: Measured
) -> None:
    add(workspace, "many", replicas=3)
    with rest_router(workspace) as (_, rest), ThreadPoolExecutor(3) as threads:
        replicas = ["many#1", "many#2", "many#3"]

        def ready() -> list[str]:
            row = rest.row("many")
            return [one["name"] for one in row["replicas"] if one["state"] == "ready"]

        eventually(lambda: ready() == replicas)
        pids = {text_of(rest, "pid", "many") for _ in range(3)}
        assert len(pids) == 3
        # A call in each of them, which lasts until a file is there.
        files = [tmp_path / f"answer-{n}" for n in range(3)]
        calls = [threads.submit(rest.call, "answer_when", "many", path=str(file)) for file in files]
        eventually(lambda: all(file.with_suffix(".called").exists() for file in files))
        victim = min(pids)
        died_at_s = time.monotonic()
        os.kill(int(victim), signal.SIGKILL)
        lost = next(as_completed(calls, timeout=SETTLE_LIMIT_S))
        measured.took("its call ended after", time.monotonic() - died_at_s, promised_s=1.0)
        assert lost.result().code == "SESSION_LOST"
        for file in files:
            file.touch()
        others = [call.result() for call in calls if call is not lost]
        assert [answer.json["content"][0]["text"] for answer in others] == ["in time"] * 2
        later = [text_of(rest, "pid", "many") for _ in range(30)]
        assert victim not in later
        eventually(lambda: ready() == replicas)
        measured.took("back after", time.monotonic() - died_at_s, promised_s=2.0)
        row = rest.row("many")
        assert (row["state"], row["restarts"]) == ("ready", 1)
        assert sorted(one["restarts"] for one in row["replicas"]) == [0, 0, 1]
        assert len({text_of(rest, "pid", "many") for _ in range(3)}) == 3
    assert not still_running(servers(workspace))


def test_the_number_of_replicas_can_be_changed_while_they_run(workspace: Workspace) -> None:
    add(workspace, "many", replicas=1)
    with rest_router(workspace) as (_, rest):
        for number in (3, 2, 1):
            answer = rest.ask("PATCH", "/api/instances/many", {"replicas": number})
            assert answer.status == 200, answer.json
            eventually(lambda number=number: len(servers(workspace)) == number)
            assert text_of(rest, "echo", "many", text="x") == "x"
