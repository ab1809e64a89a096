"""A disk without room: what was there stays as it was, and serving goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e import peers
from tests.e2e.raw_client import HttpClient
from tests.e2e.rest_client import chaos_entry, configure_rest, rest_router

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.processes import RouterProcess
    from tests.e2e.workspace import Workspace

DISK: Final = "size=64k"


@contextmanager
def _mounted(folder: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of 64 kB."""
    mount = [peers.program("mount"), "-t", "tmpfs", "-o", DISK, "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a disk of its own cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run([peers.program("umount"), str(folder)], check=True)


@pytest.fixture
def small_disk(workspace: Workspace) -> Iterator[Path]:
    """The folder of instances on a disk of its own."""
    with _mounted(workspace.path / "data") as disk:
        yield disk


def _fill(disk: Path) -> None:
    with (disk / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * os.statvfs(disk).f_bsize)
        except OSError:
            pass  # which is what it was for


@pytest.mark.fault(25, "disk full", "507, not a byte changed, serving goes on")
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting is for root")
def test_full_disk_is_507_changes_no_byte_and_stops_nothing(
    workspace: Workspace, small_disk: Path
) -> None:
    configure_rest(workspace)
    workspace.add_chaos("plain")
    file = small_disk / "plain" / "mcp_settings.json"
    with rest_router(workspace) as (router, api):
        router.stderr.wait_for("plain is ready")
        before = file.read_bytes()
        _fill(small_disk)
        changed = api.ask("PATCH", "/api/instances/plain", {"metadata": {"note": "y" * 2000}})
        assert (changed.status, changed.code) == (507, "CONFIG_ERROR"), changed
        assert api.ask("POST", "/api/instances", chaos_entry(workspace, "mine")).status == 507
        assert file.read_bytes() == before
        assert sorted(path.name for path in file.parent.iterdir()) == [file.name]
        assert api.call("echo", text="still here").json["content"][0]["text"] == "still here"
        assert api.row("plain")["metadata"] == {}

        (small_disk / "filling").unlink()
        assert api.ask("PATCH", "/api/instances/plain", {"metadata": {"a": 1}}).status == 200
        assert api.row("plain")["metadata"] == {"a": 1}


@pytest.mark.fault(25, "disk read-only", "507, serving goes on")
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting is for root")
def test_read_only_disk_is_507_too_and_stops_nothing(
    workspace: Workspace, small_disk: Path
) -> None:
    configure_rest(workspace)
    workspace.add_chaos("plain")
    file = small_disk / "plain" / "mcp_settings.json"
    remount = [peers.program("mount"), "-o"]
    with rest_router(workspace) as (router, api):
        router.stderr.wait_for("plain is ready")
        before = file.read_bytes()
        subprocess.run([*remount, "remount,ro", str(small_disk)], check=True)
        for method, target, body in [
            ("PATCH", "/api/instances/plain", {"metadata": {"a": 1}}),
            ("POST", "/api/instances/plain/disable", None),
            ("DELETE", "/api/instances/plain", None),
            ("POST", "/api/instances", chaos_entry(workspace, "mine")),
        ]:
            changed = api.ask(method, target, body)
            assert (changed.status, changed.code) == (507, "CONFIG_ERROR"), (method, changed)
            assert "Read-only file system" in changed.json["detail"]["error"]
        assert file.read_bytes() == before
        assert api.call("echo", text="still here").json["content"][0]["text"] == "still here"

        subprocess.run([*remount, "remount,rw", str(small_disk)], check=True)
        assert api.ask("PATCH", "/api/instances/plain", {"metadata": {"a": 1}}).status == 200


@pytest.mark.fault(25, "disk of the log full", "said once on stderr, and its end")
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting is for root")
def test_full_disk_of_the_log_is_said_on_stderr_and_so_is_its_end(workspace: Workspace) -> None:
    logs = workspace.path / "logs"
    logs.mkdir()
    with _mounted(logs):
        with workspace.add_chaos("plain").serve("http") as router:
            router.stderr.wait_for("plain is ready")
            _fill(logs)
            file = logs / "latest-http.txt"
            before = file.read_bytes()
            while "cannot be written (No space left on device)" not in router.stderr.text:
                _log_something(router)  # the last page of the file may have room for a few lines
            _log_something(router)  # the line before was begun, and is completed later
            assert file.read_bytes().startswith(before)
            client = HttpClient(router.url("/mcp"))
            client.initialize()
            assert client.call(1, "plain", "echo", text="x")["content"][0]["text"] == "x"
            client.close()

            (logs / "filling").unlink()
            _log_something(router)
            router.stderr.wait_for(r"can be written again; \d+ records were lost there")
        text = file.read_text()
        assert "records were lost here: No space left on device" in text
        assert router.stderr.text.count("cannot be written") == 1


def _log_something(router: RouterProcess) -> None:
    """Have the router log a line, and wait for it on stderr."""
    lines = router.stderr.text.count("reading config.json")
    router.popen.send_signal(signal.SIGHUP)
    ends_at_s = time.monotonic() + 30
    while router.stderr.text.count("reading config.json") == lines:
        assert time.monotonic() < ends_at_s, router.stderr.text
        time.sleep(0.01)  # for the next line like one that is there already
