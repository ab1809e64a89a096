"""A disk without room: what was there stays as it was, and serving goes on."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e import peers
from tests.e2e.rest_client import chaos_entry, configure_rest, rest_router

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.workspace import Workspace

DISK: Final = "size=64k"


@pytest.fixture
def small_disk(workspace: Workspace) -> Iterator[Path]:
    """The folder of instances on a disk of its own, of 64 kB."""
    data = workspace.path / "data"
    mount = [peers.program("mount"), "-t", "tmpfs", "-o", DISK, "tmpfs", str(data)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a disk of its own cannot be mounted here: {mounted.stderr.strip()}")
    yield data
    subprocess.run([peers.program("umount"), str(data)], check=True)


def _fill(disk: Path) -> None:
    with (disk / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * os.statvfs(disk).f_bsize)
        except OSError:
            pass  # which is what it was for


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
