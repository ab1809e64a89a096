"""Servers on stdio that die, hang, babble, or cling to life."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.client_2026 import REVISION_2026
from tests.e2e.fault_site import Site, error_of, text_of, waits_for
from tests.e2e.process_resources import MIB, resident_bytes
from tests.e2e.processes import running_with, still_running
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.fault_table import Measured
    from tests.e2e.raw_client import HttpClient

T_S: Final = 2
"""The timeout of calls."""

FRAME_LIMIT_BYTES: Final = 16 * MIB


SERVERS: Final = (
    *("killed", "hung", "garbled", "long", "cut", "loud", "no_stdin", "no_stdout", "deaf"),
    *("left", "quiet"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    workspace = Workspace(tmp_path_factory.mktemp("faults"))
    workspace.configure(mcp_client={"timeout": T_S})
    for name in SERVERS:
        workspace.add_chaos(name, "noisy" if name == "garbled" else "plain")
    workspace.add_chaos("endless", "endless")
    with workspace.serve("http") as router:
        yield Site(workspace, router)


# --- Death and silence -----------------------------------------------------------------------


@pytest.mark.fault(
    1,
    "upstream SIGKILLed in a call",
    "-32012 in <= 1 s, back in <= 2 s, never called again by itself",
)
def test_killed_server_loses_its_call_and_comes_back(site: Site, measured: Measured) -> None:
    calls = site.workspace.path / "calls"
    with site.client() as client, site.client() as other, ThreadPoolExecutor(1) as threads:
        pid = int(text_of(client.call(0, "killed", "pid")))
        hanging = threads.submit(other.call, 1, "killed", "count_and_hang", path=str(calls))
        waits_for(calls.exists)
        began_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        assert error_of(hanging.result(30)) == "SESSION_LOST"
        measured.took("told after", time.monotonic() - began_s, 1.0)
        assert text_of(client.call(2, "killed", "echo", text="back")) == "back"
        measured.took("back after", time.monotonic() - began_s, 2.0)
        assert calls.read_text() == "called\n"


@pytest.mark.fault(2, "upstream hangs", "-32011 at T, cancelled upstream, late reply dropped")
def test_hanging_call_ends_at_its_timeout(site: Site, measured: Measured) -> None:
    with site.client() as client:
        began_s = time.monotonic()
        assert error_of(client.call(1, "hung", "hang", label="late")) == "TIMEOUT"
        took_s = time.monotonic() - began_s
        assert took_s >= T_S
        measured.took(f"T = {T_S} s, ended after", took_s, T_S + 0.5)
        assert text_of(client.call(2, "hung", "await_cancelled", label="late")) == "cancelled"


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
@pytest.mark.fault(12, "upstream closes one of its streams", "treated as dead in <= 1 s")
def test_server_that_closes_a_stream_is_dead(stream: str, site: Site, measured: Measured) -> None:
    name = f"no_{stream}"
    with site.client() as client:
        pid = text_of(client.call(0, name, "pid"))
        began_s = time.monotonic()
        assert error_of(client.call(1, name, "close", stream=stream)) == "SESSION_LOST"
        measured.took(f"{stream}: told after", time.monotonic() - began_s, 1.0)
        assert text_of(client.call(2, name, "pid")) != pid


@pytest.mark.fault(13, "upstream never reads its stdin", "ended at the write deadline of 10 s")
@pytest.mark.slow
def test_server_that_never_reads_is_ended(site: Site, measured: Measured) -> None:
    with site.client() as client, site.client() as other:
        pid = int(text_of(client.call(0, "deaf", "pid")))
        client.call(1, "deaf", "stop_reading")
        began_s = time.monotonic()
        assert error_of(client.call(2, "deaf", "echo", text="x" * MIB)) == "TIMEOUT"
        assert text_of(other.call(1, "quiet", "echo", text="others")) == "others"
        waits_for(lambda: not Path(f"/proc/{pid}").exists())
        measured.took("ended after", time.monotonic() - began_s, 12.0)
        site.router.stderr.wait_for("does not read its input")


# --- What it writes --------------------------------------------------------------------------


@pytest.mark.fault(6, "garbage on stdout", "skipped and counted, the next reply is delivered")
def test_garbage_is_skipped_and_counted(site: Site, measured: Measured) -> None:
    with site.client() as client:
        for number in range(10):
            assert text_of(client.call(number, "garbled", "echo", text="x")) == "x"
    assert site.state("garbled")["restarts"] == 0
    skipped = site.router.stderr.wait_for(r"garbled: skipped a line .* \((\d+) so far\)")
    measured(f"{skipped[1]} and more lines skipped, no restart")


@pytest.mark.fault(7, "a line of 100 MB", "its session ended, little memory, others served")
def test_endless_line_ends_its_session_alone(site: Site, measured: Measured) -> None:
    with site.client() as client, site.client() as other, ThreadPoolExecutor(1) as threads:
        client.call(0, "long", "echo", text="warm")
        before = resident_bytes(site.router.pid)
        call = threads.submit(client.call, 1, "long", "long_line", bytes=100 * MIB)
        peak, slowest_s = before, 0.0
        while not call.done():
            began_s = time.monotonic()
            assert text_of(other.call(2, "quiet", "echo", text="x")) == "x"
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            peak = max(peak, resident_bytes(site.router.pid))
        assert error_of(call.result()) == "SESSION_LOST"
        site.router.stderr.wait_for("longer than the limit")
    assert peak - before < 3 * FRAME_LIMIT_BYTES
    measured(f"+{(peak - before) / MIB:.0f} MiB")
    measured.took("others answered within", slowest_s, 0.25)


@pytest.mark.fault(8, "UTF-8 cut at every offset", "decoded right")
def test_bytes_may_come_one_by_one(site: Site, measured: Measured) -> None:
    text = "ä€😀 \u200f漢字"
    with site.client() as client:
        assert text_of(client.call(1, "cut", "pieces", text=text)) == text
    measured(f"{len(text.encode())} bytes, each alone")


@pytest.mark.parametrize(
    "size", [20 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.slow)], ids=["20M", "1G"]
)
@pytest.mark.fault(9, "floods stderr", "no deadlock, RSS < +10 MB, what is dropped is counted")
def test_flood_on_stderr_is_limited(size: int, site: Site, measured: Measured) -> None:
    with site.client() as client:
        client.call(0, "loud", "shout", bytes=MIB)
        before = resident_bytes(site.router.pid)
        params = {"instance_name": "loud", "tool_name": "shout", "arguments": {"bytes": size}}
        began_s = time.monotonic()
        # It may take longer than a call may.
        client.post(
            {
                "id": 1,
                "method": "tools/call",
                "params": {"name": "mcp.router.call", "arguments": params},
            }
        )
        waits_for(lambda: not site_is_loud(client), 170)
        took_s = time.monotonic() - began_s
        grown = resident_bytes(site.router.pid) - before
    assert grown < 10 * MIB
    site.router.stderr.wait_for(r"loud.* lines on stderr were not logged")
    measured(f"{size // MIB} MiB in {took_s:.1f} s, +{grown / MIB:.1f} MiB")


def site_is_loud(client: HttpClient) -> bool:
    """Return whether the server is still busy with stderr: it answers one call after the other."""
    return "isError" in client.call("again", "loud", "echo", text="x")


# --- What it leaves --------------------------------------------------------------------------


@pytest.mark.fault(20, "client leaves in a call", "the upstream is told within 1 s")
def test_call_of_a_client_that_left_is_cancelled(site: Site, measured: Measured) -> None:
    """A client with a session leaves by ending it: a lost connection may be taken up again."""
    with site.client() as client, site.client() as leaving, ThreadPoolExecutor(1) as threads:
        marks = site.workspace.path / "left"
        wanted = {"path": str(marks), "label": "left"}
        hang = {"instance_name": "left", "tool_name": "count_and_hang", "arguments": wanted}
        params = {"name": "mcp.router.call", "arguments": hang}
        leaving.send({"id": 1, "method": "tools/call", "params": params})
        waits_for(marks.exists)
        seen = threads.submit(client.call, 2, "left", "await_cancelled", label="left")
        began_s = time.monotonic()
        with closing(leaving.on_another_connection()) as same:
            assert same.delete() in {200, 204}
        assert text_of(seen.result(30)) == "cancelled"
        measured.took("told after", time.monotonic() - began_s, 1.0)


@pytest.mark.fault(11, "upstream forks and setsids", "none left <= 1 s after stop")
@pytest.mark.fault(28, "router SIGKILLed", "no orphan processes <= 1 s")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_router(
    how: signal.Signals, tmp_path: Path, measured: Measured
) -> None:
    workspace = Workspace(tmp_path)
    for mode in ("plain", "parent", "daemon", "stubborn"):
        workspace.add_chaos(mode, mode)
    with workspace.serve("http") as router:
        site = Site(workspace, router)
        with site.client() as client:
            for mode in ("plain", "parent", "daemon", "stubborn"):
                assert text_of(client.call(mode, mode, "echo", text="up")) == "up"
        waits_for(lambda: any("asleep" in one.command for one in running_with(str(tmp_path))))
        everything = [one for one in running_with(str(tmp_path)) if one.pid != router.pid]
        router.popen.send_signal(how)
        router.wait()
        began_s = time.monotonic()
        assert not still_running(everything, 30)
        measured.took(f"{how.name}: gone after", time.monotonic() - began_s, 1.0)


# --- Starts ----------------------------------------------------------------------------------


@pytest.mark.fault(4, "initialise takes long", "others served at once, state `starting` visible")
def test_late_server_delays_nobody(tmp_path: Path, measured: Measured) -> None:
    workspace = Workspace(tmp_path).add_chaos("late", "late").add_chaos("quiet")
    with workspace.serve("http") as router:
        site = Site(workspace, router)
        with site.client() as client, site.client() as waiting, ThreadPoolExecutor(1) as threads:
            began_s = time.monotonic()
            assert text_of(client.call(1, "quiet", "echo", text="x")) == "x"
            took_s = time.monotonic() - began_s
            assert site.state("late")["state"] == "starting"
            call = threads.submit(waiting.call, 1, "late", "echo", text="at last")
            (workspace.path / "let-in").touch()
            assert text_of(call.result(60)) == "at last"
    measured.took("another server answered within", took_s, 2.0)


@pytest.mark.fault(5, "initialise is never answered", "killed at the start timeout")
def test_server_that_never_answers_initialize_is_ended(tmp_path: Path, measured: Measured) -> None:
    workspace = Workspace(tmp_path).add_chaos("silent", "silent")
    workspace.configure(mcp_client={"start_timeout_s": 1})
    with workspace.serve("http") as router:
        began_s = time.monotonic()
        router.stderr.wait_for(r"silent is down \(not started within 1 s")
        measured.took("start timeout 1 s, ended after", time.monotonic() - began_s, 2.0)
        site = Site(workspace, router)
        row = site.state("silent")
        assert "not started within" in row["last_error"]


@pytest.mark.fault(3, "crash loop", "jittered back-off, then `failed`; the router stays ready")
def test_server_that_keeps_dying_is_given_up(tmp_path: Path, measured: Measured) -> None:
    workspace = Workspace(tmp_path).add_chaos("exit", "exit").add_chaos("quiet")
    with workspace.serve("http") as router:
        site = Site(workspace, router)
        took_s = waits_for(lambda: site.state("exit")["state"] == "failed")
        row = site.state("exit")
        assert "status 3" in row["last_error"]
        assert "the licence has expired" in row["last_error"]
        with site.client() as client:
            assert text_of(client.call(1, "quiet", "echo", text="x")) == "x"
    measured(f"`failed` after {took_s:.1f} s and {row['restarts']} restarts")


# --- Lists, and eras -------------------------------------------------------------------------


@pytest.mark.fault(38, "a list whose cursor never ends", "cut, and said")
def test_list_without_end_is_cut_and_that_is_said(site: Site, measured: Measured) -> None:
    cut = "tools/list does not end: it was cut after 1000 pages with 1000 items"
    took_s = waits_for(lambda: site.state("endless")["state"] == "ready")
    measured(f"ready after {took_s:.1f} s more")
    row = site.state("endless")
    assert row["last_error"] == cut
    site.router.stderr.wait_for(f"WARNING - endless: {cut}")
    with site.client() as client:
        assert text_of(client.call(1, "endless", "echo", text="served")) == "served"


@pytest.mark.slow  # it takes the seconds that it is about
@pytest.mark.fault(4, "a server of both eras starts slowly", "spoken to in the newer one")
def test_server_of_both_eras_is_known_for_that_however_slowly_it_starts(
    workspace: Workspace, measured: Measured
) -> None:
    workspace.add_chaos("slow", "slow_2026")
    with workspace.serve("http") as router:
        site = Site(workspace, router)
        took_s = waits_for(lambda: site.state("slow")["state"] == "ready")
        measured(f"ready after {took_s:.1f} s")
        assert took_s > 5
        with site.client() as client:
            params = json.loads(text_of(client.call(1, "slow", "raw")))
    assert params["_meta"]["io.modelcontextprotocol/protocolVersion"] == REVISION_2026
